use proptest::prelude::*;

use super::*;
use crate::reply::Enhanced;
use crate::server::Ret;

fn code(line: &str) -> u16 {
    parse(line.as_bytes()).unwrap_err().code
}

fn mail_from(line: &str) -> MailFrom {
    match parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail.from,
        other => panic!("{line}: {other:?}"),
    }
}

fn forward(line: &str) -> Forward {
    recipient(line).to
}

fn recipient(line: &str) -> Recipient {
    match parse(line.as_bytes()) {
        Ok(Command::Recipient(recipient)) => recipient,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn verbs_have_no_case_and_trailing_blanks_no_meaning() {
    assert_eq!(parse(b"qUiT  "), Ok(Command::Quit));
    assert_eq!(parse(b"EHLO mx.acme.example"), Ok(Command::Ehlo("mx.acme.example".into())));
    assert_eq!(parse(b"HELO [IPv6:2001:db8::1]"), Ok(Command::Helo("[IPv6:2001:db8::1]".into())));
    assert_eq!(parse(b"NOOP whatever"), Ok(Command::Noop));
    assert_eq!(parse(b"VRFY bob"), Ok(Command::Verify));
}

#[test]
fn mail_takes_each_known_parameter_once() {
    let mail = mail_from("MAIL FROM:<a@b.example> SIZE=1000 body=8bitmime SMTPUTF8");
    assert_eq!(mail.reverse_path.as_str(), "a@b.example");
    assert_eq!((mail.size, mail.body_8bit, mail.smtputf8), (Some(1_000), true, true));
    assert!(!mail_from("MAIL FROM:<> BODY=7BIT").body_8bit);
    assert_eq!(mail_from("mail from: <>").reverse_path, ReversePath::Null);
    assert_eq!(mail_from("MAIL FROM:<> SIZE=99999999999999999999").size, Some(u64::MAX));
    assert_eq!(code("MAIL FROM:<> SIZE=1 SIZE=1"), 501);
    assert_eq!(code("MAIL FROM:<> BODY=7BIT BODY=8BITMIME"), 501);
    assert_eq!(code("MAIL FROM:<> SIZE=x"), 501);
    assert_eq!(code("MAIL FROM:<> SIZE=+1"), 501);
    assert_eq!(code("MAIL FROM:<> SIZE"), 501);
    assert_eq!(code("MAIL FROM:<> SMTPUTF8=yes"), 501);
    assert_eq!(code("MAIL FROM:<> BODY=BINARYMIME"), 501);
}

#[test]
fn unknown_parameters_are_refused_with_555() {
    assert_eq!(code("MAIL FROM:<> NOTIFY=NEVER"), 555);
    assert_eq!(code("MAIL FROM:<> MT-PRIORITY=3"), 555);
    assert_eq!(code("RCPT TO:<a@b.example> RET=FULL"), 555);
    assert_eq!(code("RCPT TO:<postmaster> X"), 555);
}

#[test]
fn the_sender_says_what_reports_it_wants() {
    let mail = mail_from("MAIL FROM:<a@b.example> RET=hdrs ENVID=QQ+2B1");
    assert_eq!((mail.ret, mail.envid.as_deref()), (Some(Ret::Headers), Some("QQ+1")));
    let to = recipient("RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.example");
    assert_eq!(to.notify, Notify::On { success: true, failure: false, delay: true });
    assert_eq!(to.orcpt.unwrap().address, "x+y@z.example");
    let postmaster = recipient("RCPT TO:<postmaster> NOTIFY=NEVER");
    assert_eq!((postmaster.notify, postmaster.parameters), (Notify::Never, true));
    for bad in [
        "MAIL FROM:<> RET",
        "MAIL FROM:<> RET=BODY",
        "MAIL FROM:<> RET=FULL RET=FULL",
        "MAIL FROM:<> ENVID=",
        "MAIL FROM:<> ENVID=a+2bc",
        "MAIL FROM:<> ENVID=a ENVID=b",
        "RCPT TO:<a@b.example> NOTIFY",
        "RCPT TO:<a@b.example> NOTIFY=NEVER,SUCCESS",
        "RCPT TO:<a@b.example> ORCPT=a@b.example",
        "RCPT TO:<a@b.example> ORCPT=rfc822;",
        "RCPT TO:<a@b.example> NOTIFY=NEVER NOTIFY=NEVER",
    ] {
        let reply = parse(bad.as_bytes()).unwrap_err();
        assert_eq!((reply.code, reply.status()), (501, Enhanced(5, 5, 4)), "{bad}");
    }
}

#[test]
fn an_original_recipient_beyond_ascii_is_seen_to_need_smtputf8() {
    let raw = recipient("RCPT TO:<a@b.example> ORCPT=utf-8;jürgen@b.example");
    let escaped = recipient("RCPT TO:<a@b.example> ORCPT=utf-8;j\\x{FC}rgen@b.example");
    assert_eq!((raw.ascii, escaped.ascii), (false, true));
    assert_eq!(raw.orcpt, escaped.orcpt);
}

#[test]
fn a_submitter_must_be_well_formed() {
    for good in ["<>", "alice@acme.example", "al+2Bice@acme.example"] {
        let line = format!("MAIL FROM:<> AUTH={good}");
        assert!(matches!(parse(line.as_bytes()), Ok(Command::Mail(Mail { auth: true, .. }))), "{good}");
    }
    for bad in ["", "alice", "a=b@c.example", "+0A"] {
        assert_eq!(code(&format!("MAIL FROM:<> AUTH={bad}")), 501, "{bad}");
    }
}

#[test]
fn the_size_of_a_chunk_is_read_strictly() {
    assert_eq!(parse(b"BDAT 0"), Ok(Command::Chunk { octets: 0, last: false }));
    assert_eq!(parse(b"bdat 86 last"), Ok(Command::Chunk { octets: 86, last: true }));
    let endless = Ok(Command::Chunk { octets: u64::MAX, last: false });
    assert_eq!(parse(b"BDAT 99999999999999999999"), endless);
    for bad in
        ["BDAT", "BDAT LAST", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 1 FIRST", "BDAT 1  LAST", "BDAT 1 LAST 2"]
    {
        assert_eq!(code(bad), 501, "{bad}");
    }
    assert_eq!(code("BDAT 100000000000000000000"), 501);
    assert!(announces_chunk(b"bdat\0 5") && !announces_chunk(b"BDA"));
}

#[test]
fn a_path_must_stand_in_angle_brackets_and_nothing_may_follow_it() {
    for bad in [
        "MAIL FROM:a@b.example",
        "MAIL FROM:<a@b.example",
        "MAIL FROM:<a@b.example>SIZE=1",
        "MAIL FROM:<a@b.example>>",
        "MAIL FROM <a@b.example>",
        "MAIL TO:<a@b.example>",
        "MAIL",
        "MAIL é",
        "RCPT TO:",
        "RCPT TO:<>",
        "RCPT TO:<a>",
        "RCPT TO:<\"a>b@c.example",
        "MAIL FROM:<postmaster>",
    ] {
        assert_eq!(code(bad), 501, "{bad}");
    }
}

#[test]
fn quotes_hide_the_bracket_inside_them() {
    let Forward::Address(address) = forward("RCPT TO:<\"a> b\\\"\"@c.example>") else { panic!() };
    assert_eq!(address.local(), "\"a> b\\\"\"");
}

#[test]
fn a_source_route_is_checked_and_ignored() {
    let Forward::Address(address) = forward("RCPT TO:<@hop.example,@two.example:bob@c.example>") else {
        panic!()
    };
    assert_eq!(address.as_str(), "bob@c.example");
    assert_eq!(code("RCPT TO:<@hop.example,two.example:bob@c.example>"), 501);
    assert_eq!(code("RCPT TO:<@:bob@c.example>"), 501);
}

#[test]
fn postmaster_needs_no_domain() {
    assert_eq!(forward("RCPT TO:<pOstmaster>"), Forward::Postmaster);
}

#[test]
fn a_non_ascii_sender_needs_smtputf8() {
    assert_eq!(code("MAIL FROM:<ü@b.example>"), 553);
    assert!(mail_from("MAIL FROM:<ü@b.example> SMTPUTF8").smtputf8);
}

#[test]
fn control_characters_never_pass() {
    for bad in ["NOOP\n", "\rNOOP", "NO\nOP", "EHLO a\0b", "NOOP \u{7f}", "MAIL FROM:<a\tb@c.example>"] {
        assert_eq!(code(bad), 500, "{bad:?}");
    }
    assert_eq!(parse(b"NOOP \xff").unwrap_err().code, 500);
}

#[test]
fn a_greeting_name_that_could_break_a_header_is_refused() {
    for bad in ["EHLO", "EHLO a b", "EHLO a(b)", "EHLO a;b", "EHLO <a>", "EHLO ü.example"] {
        assert_eq!(code(bad), 501, "{bad}");
    }
    assert_eq!(code(&format!("EHLO {}", "a".repeat(256))), 501);
}

#[test]
fn arguments_where_none_belong_are_refused() {
    for bad in ["DATA now", "RSET it", "QUIT please", "STARTTLS now", "VRFY"] {
        assert_eq!(code(bad), 501, "{bad}");
    }
}

#[test]
fn what_is_not_offered_is_not_implemented_and_the_rest_unknown() {
    for verb in ["EXPN all", "ETRN x", "TURN"] {
        assert_eq!(code(verb), 502, "{verb}");
    }
    for verb in ["", " ", "HELLO", "MAILFROM:<>", "Received: by x"] {
        assert_eq!(code(verb), 500, "{verb}");
    }
}

proptest! {
    #[test]
    fn arbitrary_lines_never_panic(line in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&line);
    }

    #[test]
    fn arbitrary_arguments_never_panic(line in "(MAIL FROM:|RCPT TO:|EHLO )[<>\"\\\\@:, a-c.=é0-9A-Z]{0,60}") {
        let _ = parse(line.as_bytes());
    }
}
