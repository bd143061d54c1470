use proptest::prelude::*;

use super::*;

fn read_text(text: &str) -> Result<MessageFacts, MessageError> {
    read(text.as_bytes(), &Limits::default())
}

fn facts(text: &str) -> MessageFacts {
    read_text(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const NESTED: &str = "From: \"Alice A.\" <alice@acme.example>, carol@acme.example\r\n\
    Message-ID: <1.2@acme.example>\r\n\
    Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n aus Bern\r\n\
    Content-Type: multipart/mixed;\r\n boundary=\"outer\"\r\n\r\n\
    preamble\r\n--outer\r\n\
    Content-Type: multipart/alternative; boundary=outer-in\r\n\r\n\
    --outer-in\r\n\r\ntext\r\n--outer-in\r\nContent-Type: text/html\r\n\r\n<p>\r\n--outer-in--\r\n\
    --outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: in it\r\n\r\n--outerfake\r\nbody\r\n\
    --outer--\r\nepilogue\r\n--outer\r\n";

#[test]
fn the_facts_of_a_nested_message_are_read_without_touching_it() {
    let facts = facts(NESTED);
    assert_eq!(facts.from.as_deref(), Some("alice@acme.example"));
    assert_eq!(facts.message_id.as_deref(), Some("1.2@acme.example"));
    assert_eq!(facts.subject.as_deref(), Some("Grüße aus Bern"));
    assert_eq!(facts.content_type, "multipart/mixed");
    assert_eq!(facts.header_len, NESTED.find("\r\n\r\n").unwrap() + 2);
    // mixed, alternative, text, html, rfc822, the message in it
    assert_eq!((facts.parts, facts.depth), (6, 2));
}

#[test]
fn odd_but_harmless_mail_is_accepted() {
    let long = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(100_000));
    for text in [
        "From: a@b.example\r\n\r\n",
        "From: a@b.example\r\n",
        "From: a@b.example\r\n\r\n\r\n\r\n",
        "X-Only: 1\r\n\r\nbody\r\n",
        "Subject : obsolete blank\r\n\r\n",
        "Subject:\r\n\r\n",
        "Subject: fold\r\n \r\n\tmore\r\n\r\nx\r\n",
        "Subject: 8-bit größe\r\nFrom: <>\r\nMessage-ID: none\r\n\r\nä\r\n",
        "From: undisclosed\r\n\r\n",
        "Content-Type: text\r\n\r\nx\r\n",
        "Content-Type: \r\n\r\nx\r\n",
        "Content-Type: text/plain\r\n\r\n--x\r\n--\r\n",
        &long,
    ] {
        facts(text);
    }
    let latin1 = read(b"Subject: gr\xfc\xdfe\r\n\r\nx\xff\r\n", &Limits::default()).unwrap();
    assert!(latin1.subject.is_some());
    assert_eq!(facts("X: 1\r\n\r\n").from, None);
    assert_eq!(facts("From: Team: b@c.example, d@e.example;\r\n\r\n").from.as_deref(), Some("b@c.example"));
}

#[test]
fn a_header_section_that_readers_would_read_differently_is_refused() {
    assert_eq!(read_text(""), Err(MessageError::NoHeader));
    assert_eq!(read_text("\r\nbody\r\n"), Err(MessageError::NoHeader));
    for (text, line) in [
        ("hello\r\nworld\r\n", 1),
        ("Subject: x\r\ngarbage\r\nFrom: a@b.example\r\n\r\n", 2),
        (" folded first\r\nSubject: x\r\n\r\n", 1),
        ("From alice Mon Jan 1\r\nSubject: x\r\n\r\n", 1),
        ("Subject: x\r\n y\r\n: empty name\r\n\r\n", 3),
        ("Subject: x\r\nbad name: y\r\n\r\n", 2),
        ("Größe: x\r\n\r\n", 1),
    ] {
        assert_eq!(read_text(text), Err(MessageError::GarbageInHeader { line }), "{text:?}");
    }
}

#[test]
fn nul_octets_are_refused_anywhere() {
    assert_eq!(read_text("Subject: \0\r\n\r\n"), Err(MessageError::Nul));
    assert_eq!(read_text("Subject: x\r\n\r\nx\0\r\n"), Err(MessageError::Nul));
}

#[test]
fn a_multipart_must_have_a_boundary_that_appears() {
    assert_eq!(read_text("Content-Type: multipart/mixed\r\n\r\nx\r\n"), Err(MessageError::NoBoundary));
    assert_eq!(
        read_text("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\nx\r\n"),
        Err(MessageError::NoBoundary)
    );
    assert_eq!(
        read_text("Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n --b\r\n-- b\r\n--bb\r\n"),
        Err(MessageError::BoundaryMissing)
    );
    let inner = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: multipart/mixed; boundary=c\r\n\r\nno c here\r\n--b--\r\n--c\r\n";
    assert_eq!(read_text(inner), Err(MessageError::BoundaryMissing));
}

#[test]
fn a_boundary_counts_with_padding_without_a_close_and_on_the_first_body_line() {
    assert_eq!(facts("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b \t\r\n\r\nx\r\n--b\r\n").parts, 3);
    assert_eq!(facts("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n").parts, 1);
    // A part without a header and without an empty line.
    assert_eq!(
        facts("Content-Type: multipart/mixed; boundary=\"=:x\"\r\n\r\n--=:x\r\n--=:x\r\n--=:x--\r\n").parts,
        3
    );
}

#[test]
fn a_cut_off_message_inside_a_report_is_accepted() {
    let report = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: x\r\nContent-Type: multipart/mixed; boundary=gone\r\n\r\n--b--\r\n";
    assert_eq!(facts(report).parts, 3);
}

#[test]
fn a_digest_holds_messages_by_default() {
    let digest =
        "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\nhi\r\n--b--\r\n";
    assert_eq!((facts(digest).parts, facts(digest).depth), (3, 2));
}

#[test]
fn an_encoded_encapsulated_message_is_opaque() {
    let message =
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n";
    assert_eq!(facts(message).parts, 1);
}

#[test]
fn nesting_ends_at_its_limit_however_it_is_done() {
    let limits = Limits::default();
    let multiparts = |n: usize| -> String {
        let open = |i| format!("Content-Type: multipart/mixed; boundary=b{i}x\r\n\r\n--b{i}x\r\n");
        (0..n).map(open).collect::<String>() + "\r\n"
    };
    let messages = |n: usize| "Content-Type: message/rfc822\r\n\r\n".repeat(n) + "Subject: x\r\n\r\n";
    for nest in [&multiparts as &dyn Fn(usize) -> String, &messages] {
        assert_eq!(read(nest(32).as_bytes(), &limits).unwrap().depth, 32);
        assert_eq!(read(nest(33).as_bytes(), &limits), Err(MessageError::TooDeep { max: 32 }));
        assert_eq!(read(nest(20_000).as_bytes(), &limits), Err(MessageError::TooDeep { max: 32 }));
    }
}

#[test]
fn parts_end_at_their_limit() {
    let parts = |n: usize| {
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned() + &"--b\r\n\r\nx\r\n".repeat(n)
    };
    assert_eq!(facts(&parts(999)).parts, 1_000);
    assert_eq!(read_text(&parts(1_000)), Err(MessageError::TooManyParts { max: 1_000 }));
}

#[test]
fn a_long_header_section_is_refused_wherever_it_is() {
    let max = Limits::default().header_octets_max;
    let error = Err(MessageError::HeaderTooLong { max });
    let many = "X-Field: 12345\r\n".repeat(max / 16);
    assert!(read_text(&many).is_ok());
    assert_eq!(read_text(&format!("{many}X: 1\r\n\r\n")), error);
    assert_eq!(read_text(&format!("X: {}\r\n\r\n", "x".repeat(max))), error);
    let part = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{many}X: 1\r\n\r\n--b--\r\n");
    assert_eq!(read_text(&part), error);
}

#[test]
fn a_mail_loop_is_recognised() {
    let loops = |n: usize| "Received: by x; today\r\n".repeat(n) + "Subject: x\r\n\r\n";
    assert_eq!(facts(&loops(100)).received_count, 100);
    let error = read_text(&loops(101)).unwrap_err();
    assert_eq!(error, MessageError::Loop { max: 100 });
    assert_eq!((error.reply().code, error.reply().enhanced), (554, Some(Enhanced(5, 4, 6))));
}

#[test]
fn every_refusal_but_the_loop_is_554_5_6_0() {
    let reply = MessageError::GarbageInHeader { line: 3 }.reply();
    assert_eq!(
        reply.to_string(),
        "554 5.6.0 message refused: line 3 of the header section is not a header field"
    );
}

#[test]
fn facts_are_cut_at_whole_characters() {
    let subject = facts(&format!("Subject: {}\r\n\r\n", "ü".repeat(2_000))).subject.unwrap();
    assert_eq!(subject.len(), 998);
    let media = facts(&format!("Content-Type: text/{}\r\n\r\n", "x".repeat(2_000))).content_type;
    assert_eq!(media.len(), 998);
}

#[test]
fn only_crlf_is_a_line_end_in_strict_octets() {
    assert_eq!(crlf_strict(b""), Ok(()));
    assert_eq!(crlf_strict(b"a\r\n\r\nb"), Ok(()));
    for (octets, offset) in [
        (&b"a\n"[..], 1),
        (b"a\r", 1),
        (b"a\r\n\n", 3),
        (b"a\r\r\n", 1),
        (b"a\r\n.\r", 4),
        (b"\n\r", 0),
        (b"\r\n.\n", 3),
    ] {
        assert_eq!(crlf_strict(octets), Err(BareLineEnd { offset }), "{}", octets.escape_ascii());
    }
}

/// What it costs is counted in [`mime::walk`], which asserts its promise in every test: a few looks at each octet.
#[test]
fn bombs_cost_no_more_than_a_few_looks_at_their_octets() {
    const OCTETS: usize = 1024 * 1024;
    let open =
        |i| format!("Content-Type: multipart/mixed; boundary=\"{i}{}\"\r\n\r\n--{i}\r\n", "b".repeat(60));
    let nested: String = (0..31).map(open).collect();
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let deep = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    for (head, piece) in [
        // Lines that begin like every open boundary, and lines that are nearly one.
        (nested.as_str(), "--x\r\n"),
        (nested.as_str(), "x\r\n--x\r\n"),
        (nested.as_str(), "--0bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"),
        (multipart, "\r\n--"),
        (multipart, "--b --b\r\n"),
        // Parts that may be headers, to their end or without one.
        (multipart, "--b\r\nX: 1\r\n 2"),
        (multipart, "--b\r\nno field at all "),
        (deep, "Content-Type: message/rfc822\r\n\r\n"),
        (deep, "X-Field: 1\r\n"),
        (deep, "--: \r\n"),
    ] {
        let _ = read_text(&(head.to_owned() + &piece.repeat(OCTETS / piece.len())));
    }
}

/// What may be put together from pieces costs the square of its length, so it is short.
#[test]
fn a_content_type_that_is_too_long_is_refused_wherever_it_is() {
    let max = Limits::default().content_type_octets_max;
    let error = Err(MessageError::ContentTypeTooLong { max });
    // The value begins behind the colon and ends behind its line.
    let field = |octets: usize| {
        let value = (0..).map(|at| format!(";{at}*1=a")).scan(" text/plain".to_owned(), |value, piece| {
            *value += &piece;
            Some(value.clone())
        });
        let value = value.take_while(|value| value.len() + 2 <= octets).last().unwrap_or_default();
        format!("Content-Type:{value}{}\r\n", " ".repeat(octets - 2 - value.len()))
    };
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    let message = "Content-Type: message/rfc822\r\n\r\n";
    for head in ["", multipart, message] {
        assert_eq!(read_text(&format!("{head}{}\r\n", field(max))).map(|_| ()), Ok(()), "{head}");
        assert_eq!(read_text(&format!("{head}{}\r\n", field(max + 1))), error, "{head}");
    }
    let reply = MessageError::ContentTypeTooLong { max }.reply();
    assert_eq!(reply.to_string(), "554 5.6.0 message refused: a Content-Type has more than 4096 octets");
}

#[test]
fn what_is_encoded_or_compressed_is_one_part_whatever_is_in_it() {
    // RFC 1952: 29 octets that would become a thousand.
    let gzip = "H4sIAAAAAAAC/3N0HAWjYBQMdwAAAS6gUegDAAA=";
    for kind in ["application/gzip", "application/zip", "message/rfc822", "application/x-tar+gzip"] {
        let text = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n{gzip}\r\n");
        assert_eq!((facts(&text).parts, facts(&text).depth), (1, 0), "{kind}");
    }
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\nContent-Encoding: gzip\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(facts(multipart).parts, 2);
}

/// Pieces of which structures are made, well or badly.
fn structure() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/digest; boundary=\"b b\"\r\n",
        "Content-Type: multipart/mixed; boundary=bb\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: ;;;*=\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "X: 1\r\n",
        " folded\r\n",
        "\r\n",
        "\r\n",
        "--b\r\n",
        "--bb\r\n",
        "--b b\r\n",
        "--b--\r\n",
        "--bb--\r\n",
        "--b b-- \r\n",
        "--b",
        "--",
        "--: \r\n",
        "text",
    ]);
    proptest::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_read_stays_within_the_limits(text in structure()) {
        let limits = Limits { depth_max: 5, parts_max: 20, ..Limits::default() };
        if let Ok(facts) = read(text.as_bytes(), &limits) {
            prop_assert!(facts.parts <= 20 && facts.depth <= 5 && facts.depth < facts.parts, "{facts:?}");
            prop_assert!(facts.header_len <= text.len());
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = read(&octets, &Limits::default());
        let _ = crlf_strict(&octets);
    }

    #[test]
    fn arbitrary_headers_never_panic(
        name in "(From|Subject|Message-ID|Content-Type|Content-Transfer-Encoding)",
        value in "[ -~é\r\n\t\"<>;=?*%()\\\\]{0,80}",
        body in "(--b|--|\r\n|Content-Type: multipart/digest; boundary=b|:|x){0,30}",
    ) {
        let text = format!("Content-Type: multipart/mixed; boundary=b\r\n{name}: {value}\r\n\r\n{body}");
        let _ = read_text(&text);
        let _ = read_text(&format!("{name}:{value}"));
    }

    #[test]
    fn strict_octets_hold_no_bare_line_end(octets in proptest::collection::vec(
        proptest::sample::select(b"\r\na".as_slice()), 0..20)) {
        let text = String::from_utf8(octets.clone()).unwrap();
        prop_assert_eq!(crlf_strict(&octets).is_ok(), !text.replace("\r\n", "").contains(['\r', '\n']));
    }
}

#[test]
fn every_value_of_a_field_is_heard_whole_and_decoded() {
    let long = "x".repeat(2_000);
    let octets = format!(
        "Subject: one\r\nX-Mark: a\r\n  b\r\nSUBJECT : =?utf-8?q?=5Bsecure=5D?= two\r\nSubject: {long}\r\nX-Empty:\r\n\r\nSubject: body\r\n"
    );
    let values = |name| values(octets.as_bytes(), name).collect::<Vec<_>>();
    assert_eq!(values("subject"), ["one", "[secure] two", &long]);
    assert_eq!(values("x-mark"), ["a b"]);
    assert_eq!(values("X-Empty"), [""]);
    assert!(values("X-None").is_empty());
}

#[test]
fn everybody_whom_from_names_is_an_author_and_nobody_is_overlooked() {
    let authors = |header: &str| authors(format!("{header}\r\n\r\nFrom: eve@c\r\n").as_bytes());
    let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(authors("From: Alice <alice@a>"), named(&["alice@a"]));
    assert_eq!(authors("From: \"boss@a\" <alice@a>,\r\n bob@b"), named(&["alice@a", "bob@b"]));
    assert_eq!(authors("FROM: alice@a\r\nSubject: x\r\nfrom : boss@a"), named(&["alice@a", "boss@a"]));
    assert_eq!(authors("From: Team: alice@a, bob@b;"), named(&["alice@a", "bob@b"]));
    assert_eq!(authors("Subject: no author"), named(&[]));
    for unclear in ["From:", "From: Alice", "From: nobody:;", "From: alice@a\r\nFrom: Boss"] {
        assert_eq!(authors(unclear), None, "{unclear}");
    }
    let long = format!("From: {}alice@a", "bob@b, ".repeat(FROM_OCTETS_MAX / 7));
    assert_eq!(authors(&long), None);
}
