use proptest::prelude::*;

use super::*;

fn code(line: &str) -> u16 {
    parse(line.as_bytes()).unwrap_err().code
}

fn mail_from(line: &str) -> MailFrom {
    match parse(line.as_bytes()) {
        Ok(Command::Mail { mail, .. }) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn forward(line: &str) -> Forward {
    match parse(line.as_bytes()) {
        Ok(Command::Recipient(to)) => to,
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
    assert_eq!(code("MAIL FROM:<> RET=FULL"), 555);
    assert_eq!(code("MAIL FROM:<> AUTH=<>"), 555);
    assert_eq!(code("RCPT TO:<a@b.example> NOTIFY=NEVER"), 555);
    assert_eq!(code("RCPT TO:<postmaster> X"), 555);
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
    for verb in ["AUTH PLAIN", "BDAT 1 LAST", "EXPN all", "ETRN x"] {
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
