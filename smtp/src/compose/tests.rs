use std::time::{Duration, UNIX_EPOCH};

use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Address {
    text.parse().unwrap()
}

struct Given<'a> {
    name: &'a str,
    subject: &'a str,
    media: Media,
    content: &'a str,
}

const PLAIN: Given<'static> =
    Given { name: "Order desk", subject: "Your order", media: Media::Plain, content: "Thank you.\n" };

fn composed(given: &Given<'_>) -> Result<Bytes, ComposeError> {
    let id: MessageId = "<m1@agents.globex.test>".parse().unwrap();
    let answered: MessageId = "q1@acme.test".parse().unwrap();
    compose(&Draft {
        from: &at("a1@agents.globex.test"),
        name: given.name,
        to: &[at("alice@acme.test"), at("bob@globex.test")],
        subject: given.subject,
        date: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        message_id: &id,
        in_reply_to: Some(&answered),
        references: &["q0@acme.test".parse().unwrap(), answered.clone()],
        media: given.media,
        content: given.content,
    })
}

/// What every server must be able to carry.
fn assert_well_formed(octets: &[u8]) {
    crate::message::crlf_strict(octets).unwrap();
    let text = std::str::from_utf8(octets).unwrap();
    assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() <= LINE_OCTETS_MAX), "{text}");
    let header = text.split("\r\n\r\n").next().unwrap();
    assert!(
        header.split("\r\n").all(|line| line.len() <= COLUMN_MAX + 2 && !line.trim().is_empty()),
        "{header}"
    );
    crate::message::read(octets, &crate::message::Limits::default()).unwrap();
}

#[test]
fn what_is_plain_stays_readable() {
    let octets = composed(&PLAIN).unwrap();
    assert_well_formed(&octets);
    assert_eq!(
        std::str::from_utf8(&octets).unwrap(),
        "From: \"Order desk\"\r\n <a1@agents.globex.test>\r\nTo: <alice@acme.test>,\r\n <bob@globex.test>\r\n\
         Subject: Your order\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <m1@agents.globex.test>\r\n\
         In-Reply-To: <q1@acme.test>\r\nReferences: <q0@acme.test>\r\n <q1@acme.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\nThank you.\r\n"
    );
}

#[test]
fn nothing_given_begins_another_field() {
    for nasty in ["a\r\nBcc: eve@evil.test", "a\nBcc: x", "a\rb", "a\0b", "a\u{85}b"] {
        assert_eq!(composed(&Given { subject: nasty, ..PLAIN }), Err(ComposeError::Control("subject")));
        assert_eq!(composed(&Given { name: nasty, ..PLAIN }), Err(ComposeError::Control("name")));
        assert_eq!(nasty.parse::<MessageId>(), Err(ComposeError::MessageId));
    }
}

#[test]
fn a_name_of_a_message_has_two_sides_and_no_more_than_a_line() {
    for wrong in ["", "<>", "a", "@b", "a@", "a b@c", "<a@b", "a@b>", "(a)@b", "ä@b"] {
        assert_eq!(wrong.parse::<MessageId>(), Err(ComposeError::MessageId), "{wrong}");
    }
    let long = format!("{}@b", "a".repeat(MESSAGE_ID_OCTETS_MAX));
    assert_eq!(long.parse::<MessageId>(), Err(ComposeError::MessageId));
    assert_eq!("<a@b>".parse::<MessageId>().unwrap().as_str(), "a@b");
}

#[test]
fn a_message_without_recipients_or_with_endless_words_is_not_composed() {
    let long = "a".repeat(TEXT_CHARACTERS_MAX + 1);
    assert_eq!(composed(&Given { subject: &long, ..PLAIN }), Err(ComposeError::TooLong("subject")));
    assert_eq!(recipients(&[]), Err(ComposeError::NoRecipient));
}

#[test]
fn only_the_types_that_are_known_have_a_name() {
    for media in [Media::Plain, Media::Markdown, Media::Json] {
        assert_eq!(Media::of_type(media.name()), Some(media));
    }
    assert_eq!(Media::of_type("text/html"), None);
}

/// Lines of a subject or a name: no control characters, often not ASCII, often with spaces where they hurt.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,200}",
        "\\PC{0,200}",
        "[ a=?_\"\\\\,;<>()é你😀]{0,80}",
        Just("=?utf-8?q?forged?=".to_owned()),
        "[a-z]{70,200}",
    ]
    .prop_filter("one line", |text| !text.chars().any(char::is_control))
}

proptest! {
    #[test]
    fn an_independent_reader_reads_back_what_was_given(
        subject in line(),
        name in line(),
        content in prop_oneof!["(?s).{0,600}", "[a-z \\r\\n\\t.]{0,600}", "[a-z]{900,1100}"],
        media in prop_oneof![Just(Media::Plain), Just(Media::Markdown), Just(Media::Json)],
    ) {
        let octets = composed(&Given { name: &name, subject: &subject, media, content: &content }).unwrap();
        assert_well_formed(&octets);
        let read = MessageParser::default().parse(&octets[..]).unwrap();
        prop_assert_eq!(read.subject().unwrap_or_default(), &subject);
        let from = read.from().unwrap().first().unwrap();
        prop_assert_eq!((from.name().unwrap_or_default(), from.address()), (&*name, Some("a1@agents.globex.test")));
        let to: Vec<_> = read.to().unwrap().iter().filter_map(|to| to.address()).collect();
        prop_assert_eq!(to, ["alice@acme.test", "bob@globex.test"]);
        prop_assert_eq!(read.message_id(), Some("m1@agents.globex.test"));
        let given = if media.is_text() { with_crlf(&content) } else { content };
        prop_assert_eq!(read.parts[0].contents(), given.as_bytes());
    }
}
