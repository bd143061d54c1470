//! Delivery reports, read back by an independent parser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime};

use mail_parser::{Message, MessageParser, MimeHeaders};
use proptest::prelude::*;
use smtp::{
    address::Address,
    dsn::{Action, Diagnostic, OriginalRecipient, RecipientReport, Report, compose},
    reply::Enhanced,
};

const ORIGINAL: &[u8] =
    b"Received: by gw\r\nFrom: alice@acme.test\r\nSubject: =?utf-8?q?Z=C3=BCrich_plan?=\r\n\
    Message-ID: <42@acme.test>\r\n\r\nthe secret of the message\r\n";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn no_such_user(recipient: &str) -> RecipientReport {
    RecipientReport {
        recipient: recipient.into(),
        action: Action::Failed,
        status: Enhanced(5, 1, 1),
        remote_mta: Some("mx.globex.test".into()),
        diagnostic: Some(Diagnostic::Smtp("550 5.1.1 no such user".to_owned())),
        last_attempt: Some(at(1_700_000_100)),
        original: None,
    }
}

fn report(sender: &str, recipients: &[RecipientReport], original: &[u8]) -> Vec<u8> {
    let report = Report {
        reporting_mta: "gw.acme.test",
        report_id: "Q-17.report",
        arrival: at(1_700_000_000),
        now: at(1_700_000_200),
        original_sender: &sender.parse::<Address>().unwrap(),
        original_envelope_id: Some("envelope 7"),
        recipients,
        original_headers: original,
    };
    compose(&report).to_vec()
}

/// The three parts, decoded.
fn parts(message: &Message<'_>) -> [(String, Vec<u8>); 3] {
    let leaves: Vec<(String, Vec<u8>)> = message.parts[1..]
        .iter()
        .map(|part| {
            let kind = part.content_type().unwrap();
            (format!("{}/{}", kind.ctype(), kind.subtype().unwrap()), part.contents().to_vec())
        })
        .collect();
    leaves.try_into().unwrap()
}

fn read(octets: &[u8]) -> [(String, Vec<u8>); 3] {
    parts(&MessageParser::default().parse(octets).unwrap())
}

#[test]
fn a_report_has_the_three_parts_of_rfc_6522_and_says_it_is_automatic() {
    let octets = report("alice@acme.test", &[no_such_user("bob@globex.test")], ORIGINAL);
    let message = MessageParser::default().parse(&octets).unwrap();
    let kind = message.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    let from = message.from().unwrap().first().unwrap();
    assert_eq!(
        (from.name(), from.address()),
        (Some("Mail Delivery System"), Some("MAILER-DAEMON@gw.acme.test"))
    );
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("alice@acme.test"));
    assert_eq!(message.header_raw("Auto-Submitted").unwrap().trim(), "auto-replied");
    assert_eq!(message.message_id(), Some("Q-17.report@gw.acme.test"));
    assert_eq!(message.in_reply_to().as_text(), Some("42@acme.test"));
    assert_eq!(message.date().unwrap().to_timestamp(), 1_700_000_200);
    let kinds = parts(&message).map(|(kind, _)| kind);
    assert_eq!(kinds, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
}

#[test]
fn the_delivery_status_has_the_fields_of_rfc_3464() {
    let delayed = RecipientReport {
        action: Action::Delayed { will_retry_until: at(1_700_400_000) },
        status: Enhanced(4, 4, 1),
        remote_mta: None,
        diagnostic: Some(Diagnostic::Local("the partner's node does not answer".into())),
        last_attempt: None,
        ..no_such_user("grün@globex.test")
    };
    let [_, (_, status), _] =
        read(&report("alice@acme.test", &[no_such_user("bob@globex.test"), delayed], ORIGINAL));
    assert_eq!(
        String::from_utf8(status).unwrap().replace("\r\n", "\n").trim_end(),
        "Reporting-MTA: dns; gw.acme.test\n\
         Original-Envelope-Id: envelope 7\n\
         Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\n\
         \n\
         Final-Recipient: rfc822; bob@globex.test\n\
         Action: failed\n\
         Status: 5.1.1\n\
         Remote-MTA: dns; mx.globex.test\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user\n\
         Last-Attempt-Date: Tue, 14 Nov 2023 22:15:00 +0000\n\
         \n\
         Final-Recipient: utf-8; gr\\x{FC}n@globex.test\n\
         Action: delayed\n\
         Status: 4.4.1\n\
         Diagnostic-Code: x-local; the partner's node does not answer\n\
         Will-Retry-Until: Sun, 19 Nov 2023 13:20:00 +0000"
    );
}

#[test]
fn a_person_reads_which_message_which_recipient_why_and_what_to_do() {
    let [(_, text), ..] = read(&report("alice@acme.test", &[no_such_user("bob@globex.test")], ORIGINAL));
    let text = String::from_utf8(text).unwrap().replace("\r\n", "\n");
    for expected in [
        "Subject:    Zürich plan\n",
        "could not be delivered to:\n\n  <bob@globex.test>\n",
        "There is no such mailbox at the destination.\n",
        "The mail server mx.globex.test said: 550 5.1.1 no such user\n",
        "What to do: check the address for typing mistakes",
    ] {
        assert!(text.contains(expected), "{expected:?} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 78));
}

#[test]
fn nobody_else_puts_lines_into_the_words_for_the_person() {
    let hostile = "\r\n\r\nYour account is suspended.\u{2028}\r\n";
    let report_of = RecipientReport {
        recipient: hostile.into(),
        remote_mta: Some(hostile.into()),
        diagnostic: Some(Diagnostic::Smtp(format!("550 {hostile}"))),
        ..no_such_user("")
    };
    let local = RecipientReport { diagnostic: Some(Diagnostic::Local(hostile.into())), ..report_of.clone() };
    let original = b"Subject: =?utf-8?q?=0D=0AYour account is suspended.?=\r\n";
    let [(_, text), ..] = read(&report("alice@acme.test", &[report_of, local], original));
    let text = String::from_utf8(text).unwrap();
    let injected = |line: &str| line.trim_start().starts_with("Your account");
    assert!(text.contains("suspended") && !text.lines().any(injected), "{text}");
}

#[test]
fn a_delay_does_not_ask_the_sender_to_do_anything() {
    let action = Action::Delayed { will_retry_until: at(1_700_400_000) };
    let delayed = RecipientReport { action, status: Enhanced(4, 4, 1), ..no_such_user("bob@globex.test") };
    let octets = report("alice@acme.test", &[delayed], ORIGINAL);
    let message = MessageParser::default().parse(&octets).unwrap();
    assert_eq!(message.subject(), Some("Your message is delayed"));
    let [(_, text), ..] = parts(&message);
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("has not been delivered yet to:") && text.contains("There is nothing to do"));
    assert!(!text.contains("could not be delivered") && !text.contains("What to do"));
}

#[test]
fn the_header_of_the_original_is_returned_and_nothing_of_its_body() {
    let octets = report("alice@acme.test", &[no_such_user("bob@globex.test")], ORIGINAL);
    let [_, _, (_, header)] = read(&octets);
    let end = ORIGINAL.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    assert_eq!(header.trim_ascii_end(), &ORIGINAL[..end]);
    assert!(!String::from_utf8(octets).unwrap().contains("secret"));
}

#[test]
fn an_8_bit_or_overlong_header_is_returned_in_quoted_printable() {
    let original = [b"Subject: gr\xfcn ".to_vec(), b"x".repeat(2_000), b"\r\nTo: b@c\r\n".to_vec()].concat();
    let octets = report("alice@acme.test", &[no_such_user("bob@globex.test")], &original);
    assert!(octets.is_ascii());
    let [_, _, (_, header)] = read(&octets);
    // The parser has already decoded Latin-1 guesses into UTF-8, so only the frame is compared.
    let header = String::from_utf8_lossy(&header).into_owned();
    assert!(header.starts_with("Subject: gr") && header.trim_end().ends_with("\r\nTo: b@c"), "{header}");
    assert!(header.contains(&"x".repeat(2_000)));
}

#[test]
fn a_report_to_an_internationalized_sender_has_utf_8_in_to_only() {
    let octets = report("jürgen@acme.test", &[no_such_user("bob@globex.test")], ORIGINAL);
    let text = String::from_utf8(octets).unwrap();
    let rest: String = text.split_inclusive("\r\n").filter(|line| !line.starts_with("To: ")).collect();
    assert!(text.contains("To: <jürgen@acme.test>\r\n") && rest.is_ascii());
}

/// Names of the fields in the delivery status; folded lines belong to the field before.
fn field_names(status: &[u8]) -> Vec<String> {
    let text = String::from_utf8(status.to_vec()).unwrap();
    let lines = text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(' '));
    lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

fn hostile_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("\r\n--=_report_0000000000000000\r\n".to_owned()),
        Just("\r\nAction: delivered\r\n".to_owned()),
        Just("x".repeat(400)),
        "\\PC{0,12}",
        any::<String>(),
    ];
    proptest::collection::vec(token, 0..6).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn whatever_the_other_side_says_the_report_keeps_its_shape(
        recipient in hostile_text(),
        remote in hostile_text(),
        said in hostile_text(),
        found in hostile_text(),
        original in proptest::collection::vec(any::<u8>(), 0..600),
        subject in hostile_text(),
    ) {
        let smtp = RecipientReport {
            recipient: recipient.clone(),
            remote_mta: Some(remote),
            diagnostic: Some(Diagnostic::Smtp(format!("550 {said}"))),
            ..no_such_user("")
        };
        let local = RecipientReport { recipient, diagnostic: Some(Diagnostic::Local(found)), ..smtp.clone() };
        let original = [format!("Subject: {subject}\r\n").as_bytes(), &original].concat();
        let octets = report("alice@acme.test", &[smtp, local], &original);

        prop_assert!(octets.is_ascii());
        let text = String::from_utf8(octets.clone()).unwrap();
        prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 998));
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        prop_assert!(head.lines().count() <= 11, "{}", head);

        let [_, (_, status), _] = read(&octets);
        let group = ["Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"];
        let expected = [&["Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"][..], &group, &group].concat();
        prop_assert_eq!(field_names(&status), expected);
    }
}

#[test]
fn a_delivery_that_was_asked_about_is_told_with_the_address_as_the_sender_wrote_it() {
    let original = OriginalRecipient { kind: "rfc822".into(), address: "team@acme.test".into() };
    let delivered = RecipientReport {
        action: Action::Delivered,
        status: Enhanced(2, 1, 5),
        diagnostic: None,
        original: Some(original),
        ..no_such_user("bob@globex.test")
    };
    let relayed =
        RecipientReport { action: Action::Relayed, recipient: "carol@old.test".into(), ..delivered.clone() };
    let octets = report("alice@acme.test", &[delivered, relayed], ORIGINAL);
    let message = MessageParser::default().parse(&octets).unwrap();
    assert_eq!(message.subject(), Some("Your message was delivered"));
    let [(_, human), (_, status), _] = parts(&message);
    let (human, status) = (String::from_utf8(human).unwrap(), String::from_utf8(status).unwrap());
    assert!(human.contains("was delivered to:") && human.contains("sends no reports, for:"), "{human}");
    assert!(!human.contains("What to do"), "{human}");
    assert!(status.contains("Original-Recipient: rfc822; team@acme.test\r\nFinal-Recipient: rfc822; bob@"));
    assert!(status.contains("Action: delivered\r\nStatus: 2.1.5") && status.contains("Action: relayed"));
}

#[test]
fn one_failure_among_deliveries_names_the_report() {
    let delivered = RecipientReport { action: Action::Delivered, ..no_such_user("eve@globex.test") };
    let octets = report("alice@acme.test", &[delivered, no_such_user("bob@globex.test")], ORIGINAL);
    let message = MessageParser::default().parse(&octets).unwrap();
    assert_eq!(message.subject(), Some("Your message could not be delivered"));
}
