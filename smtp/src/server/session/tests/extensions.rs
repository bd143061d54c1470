//! The parameters of MAIL and RCPT: DSN (RFC 3461), REQUIRETLS (RFC 8689), and how long lines may be.

use super::*;

#[test]
fn the_house_hears_what_reports_the_sender_wants() {
    let talk = talk(
        "EHLO x\r\nMAIL FROM:<a@acme.example> RET=HDRS ENVID=QQ314159\r\n\
         RCPT TO:<b@globex.example> NOTIFY=SUCCESS ORCPT=rfc822;b@acme.example\r\n",
    );
    assert_eq!(talk.codes(), ["220", "250", "250", "250"]);
    assert!(
        talk.questions[0].contains("ret: Some(Headers), envid: Some(\"QQ314159\")"),
        "{:?}",
        talk.questions
    );
}

#[test]
fn after_helo_recipients_have_no_parameters_either() {
    let talk = talk("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@globex.example> NOTIFY=NEVER\r\n");
    assert_eq!(talk.codes(), ["220", "250", "250", "555"]);
}

#[test]
fn an_original_recipient_beyond_ascii_needs_smtputf8() {
    let rcpt = "RCPT TO:<b@globex.example> ORCPT=utf-8;bö@acme.example\r\n";
    assert_eq!(talk(&format!("EHLO x\r\nMAIL FROM:<>\r\n{rcpt}")).codes()[3..], ["553"]);
    assert_eq!(talk(&format!("EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\n{rcpt}")).codes()[3..], ["250"]);
}

#[test]
fn the_longest_lines_of_all_extensions_fit() {
    let local = "a".repeat(64);
    let domain = format!("{0}.{0}.{0}", "d".repeat(60));
    let original = format!("rfc822;{}", "x".repeat(493));
    let rcpt = format!("RCPT TO:<{local}@{domain}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={original}\r\n");
    let mail = format!(
        "MAIL FROM:<{local}@{domain}> SIZE=00000000000000000900 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID={}\r\n",
        "+2B".repeat(100)
    );
    assert_eq!(talk(&format!("EHLO x\r\n{mail}{rcpt}")).codes(), ["220", "250", "250", "250"]);
}

#[test]
fn requiretls_is_offered_and_taken_under_tls_only() {
    let wanting = b"EHLO x\r\nMAIL FROM:<> REQUIRETLS\r\n";
    let clear = talk_in_pieces(&mut session_with(Config { tls: Some(tls()), ..config() }), [&wanting[..]]);
    assert!(!clear.output.contains("250-REQUIRETLS") && !clear.output.contains("250 REQUIRETLS"));
    assert!(clear.output.ends_with("530 5.7.10 REQUIRETLS needs TLS here as well, say STARTTLS first\r\n"));
    let without = talk_in_pieces(&mut session_with(config()), [&wanting[..]]);
    assert!(without.output.contains("550 5.7.30"), "{}", without.output);
    let mut session = session_with(Config { tls: Some(tls()), ..config() });
    session.secured(facts(), None);
    let secured = talk_in_pieces(&mut session, [&wanting[..]]);
    assert!(secured.output.contains("REQUIRETLS\r\n"));
    assert!(secured.questions[0].contains("require_tls: true"));
}
