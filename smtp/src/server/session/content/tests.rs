use proptest::prelude::*;

use super::*;
use crate::message::crlf_strict;
use crate::server::Budget;
use crate::server::session::keep::BareLineEnds;

const SIZE_MAX: u64 = 10_000;
const STRICT: Terms = Terms { size_max: SIZE_MAX, declared: None, bare_line_ends: BareLineEnds::Refused };
const LENIENT: Terms = Terms { bare_line_ends: BareLineEnds::Mended, ..STRICT };

fn content(budget: &Budget) -> Content {
    Content::new(STRICT, budget.grant())
}

fn receive(wire: &[u8], piece: usize) -> Option<(Result<Vec<u8>, Fault>, usize)> {
    receive_on(STRICT, wire, piece)
}

/// Feeds `wire` in pieces of `piece` octets, as a driver does: what is not consumed comes again. Returns the
/// message and how many octets of `wire` were consumed.
fn receive_on(terms: Terms, wire: &[u8], piece: usize) -> Option<(Result<Vec<u8>, Fault>, usize)> {
    let mut content = Content::new(terms, Budget::new(1 << 20).grant());
    let (mut consumed, mut available) = (0, 0);
    while available < wire.len() {
        available = (available + piece).min(wire.len());
        let (used, ended) = content.feed(&wire[consumed..available]);
        consumed += used;
        if ended {
            return Some((content.complete().map(|kept| kept.octets.to_vec()), consumed));
        }
        assert!(available - consumed <= 2, "only what is ambiguous may stay behind");
    }
    None
}

/// What a client does (RFC 5321 §4.5.2), line by line, and the end mark.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    for line in message.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

fn whole(wire: &[u8]) -> Result<Vec<u8>, Fault> {
    receive(wire, wire.len()).expect("ended").0
}

#[test]
fn dots_are_unstuffed_exactly() {
    for (wire, message) in [
        (&b".\r\n"[..], &b""[..]),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"..a\r\n...\r\n.\r\n", b".a\r\n..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"), // a dot the client forgot to double is gone: §4.5.2 says so
        (b"a.\r\n .\r\n.\r\n", b"a.\r\n .\r\n"),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
    ] {
        assert_eq!(whole(wire).as_deref(), Ok(message), "{:?}", wire.escape_ascii().to_string());
    }
}

#[test]
fn what_follows_the_end_is_left_alone() {
    let (message, consumed) = receive(b"a\r\n.\r\nMAIL FROM:<>\r\n", 100).unwrap();
    assert_eq!((message.as_deref(), consumed), (Ok(&b"a\r\n"[..]), 6));
}

#[test]
fn nothing_but_crlf_dot_crlf_ends_a_message() {
    for smuggled in [
        "\n.\n",
        "\r.\r",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r\n",
        "\r\n.\r",
        "\n\n.\n\n",
        "\r\r\n.\r\r\n",
        "\r\n.\n\r\n",
        "\r\n.\0\r\n",
        "\r\n. \r\n",
        "\r\0\n.\r\n",
    ] {
        let wire = format!("a{smuggled}MAIL FROM:<evil@x.example>\r\nb\r\n.\r\n");
        let (message, consumed) = receive(wire.as_bytes(), wire.len()).unwrap();
        assert_eq!(consumed, wire.len(), "{smuggled:?} split the message");
        if smuggled.replace("\r\n", "").contains(['\r', '\n']) {
            assert_eq!(message, Err(Fault::BareLineEnd { line: message_line(smuggled) }), "{smuggled:?}");
        }
    }
}

/// The line, counted by CRLF, in which `a{smuggled}` has its first bare line end.
fn message_line(smuggled: &str) -> u64 {
    let bytes = smuggled.as_bytes();
    let mut lines = 1;
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\r', Some(b'\n')) => (lines, at) = (lines + 1, at + 2),
            (b'\r' | b'\n', _) => break,
            _ => at += 1,
        }
    }
    lines
}

#[test]
fn a_message_at_the_limit_is_taken_and_one_octet_more_is_counted_to_its_end() {
    let mut message = vec![b'x'; SIZE_MAX as usize - 2];
    message.extend_from_slice(b"\r\n");
    assert_eq!(whole(&stuffed(&message)), Ok(message.clone()));
    message.insert(0, b'x');
    assert_eq!(whole(&stuffed(&message)), Err(Fault::TooLarge { octets: SIZE_MAX + 1 }));
    let huge = b"x\r\n".repeat(100_000);
    assert_eq!(whole(&stuffed(&huge)), Err(Fault::TooLarge { octets: 300_000 }));
}

#[test]
fn stuffed_dots_do_not_count_towards_the_size() {
    let message = b".\r\n".repeat(SIZE_MAX as usize / 3);
    assert_eq!(whole(&stuffed(&message)), Ok(message));
}

#[test]
fn a_message_that_will_be_refused_holds_no_memory() {
    let budget = Budget::new(1 << 20);
    let mut bare = content(&budget);
    bare.feed(b"some text\r\n");
    assert!(budget.free() < 1 << 20);
    bare.feed(b"bare\nline\r\n");
    assert_eq!(budget.free(), 1 << 20);
    let mut large = content(&budget);
    large.feed(&b"x\r\n".repeat(5_000));
    large.feed(b"x\r\n");
    assert_eq!(budget.free(), 1 << 20);
}

#[test]
fn without_memory_the_message_is_read_to_its_end_and_refused() {
    let budget = Budget::new(100);
    let mut other = budget.grant();
    assert!(other.grow_to(60));
    let mut content = content(&budget);
    assert_eq!(content.feed(&[b'x'; 30]), (30, false));
    assert_eq!(content.feed(&[b'x'; 30]), (30, false));
    drop(other); // too late: octets are lost
    assert_eq!(content.feed(b"x\r\n.\r\n"), (6, true));
    assert_eq!(content.complete().map(|kept| kept.octets), Err(Fault::NoMemory));
    assert_eq!(budget.free(), 100);
}

#[test]
fn memory_is_held_until_the_grant_is_dropped() {
    let budget = Budget::new(100);
    let mut content = content(&budget);
    content.feed(b"hello\r\n.\r\n");
    let Kept { octets, grant, .. } = content.complete().unwrap();
    assert_eq!((octets.as_ref(), budget.free()), (&b"hello\r\n"[..], 93));
    drop(grant);
    assert_eq!(budget.free(), 100);
}

#[test]
fn a_declared_size_takes_no_memory_before_the_octets_are_there() {
    let budget = Budget::new(1 << 20);
    let mut content =
        Content::new(Terms { size_max: 1 << 20, declared: Some(1 << 20), ..STRICT }, budget.grant());
    content.feed(&[b'x'; 100]);
    assert_eq!(budget.free(), (1 << 20) - 100);
}

#[test]
fn where_it_is_allowed_every_bare_line_end_becomes_crlf_and_none_ends_the_message() {
    for (wire, message) in [
        (&b"a\nb\rc\r\n.\r\n"[..], &b"a\r\nb\r\nc\r\n"[..]),
        (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"), // the dot was not at the start of a line: it stays
        (b"a\n.\r\nMAIL FROM:<>\r\n.\r\n", b"a\r\n.\r\nMAIL FROM:<>\r\n"),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\r.\r\r\n.\r\n", b"a\r\n.\r\n\r\n"),
        (b"\n\r\n.\r\n", b"\r\n\r\n"),
        (b"..\n..\r\n.\r\n", b".\r\n..\r\n"),
    ] {
        let received = receive_on(LENIENT, wire, wire.len());
        assert_eq!(received, Some((Ok(message.to_vec()), wire.len())), "{}", wire.escape_ascii());
    }
}

#[test]
fn mended_line_ends_are_counted_and_count_towards_the_size() {
    let mut content = Content::new(LENIENT, Budget::new(1 << 20).grant());
    assert_eq!(content.feed(b"a\nb\rc\r\n.\r\n"), (10, true));
    assert_eq!(content.complete().unwrap().mended, 2);
    let swells = [b"\n".repeat(SIZE_MAX as usize / 2 + 1).as_slice(), b"\r\n.\r\n"].concat();
    let received = receive_on(LENIENT, &swells, swells.len()).unwrap();
    assert_eq!(received.0, Err(Fault::TooLarge { octets: SIZE_MAX + 4 }));
}

proptest! {
    #[test]
    fn unstuffing_undoes_stuffing(lines in proptest::collection::vec("[.a]{0,4}", 0..20), piece in 1..50usize) {
        let message: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
        let wire = stuffed(&message);
        prop_assert_eq!(receive(&wire, piece), Some((Ok(message), wire.len())));
    }

    #[test]
    fn pieces_make_no_difference(wire in proptest::collection::vec(
        proptest::sample::select(b".\r\na".as_slice()), 0..60), piece in 1..8usize) {
        prop_assert_eq!(receive(&wire, piece), receive(&wire, 1_000));
        prop_assert_eq!(receive_on(LENIENT, &wire, piece), receive_on(LENIENT, &wire, 1_000));
    }

    #[test]
    fn mending_moves_no_end_and_leaves_no_bare_line_end(wire in proptest::collection::vec(
        proptest::sample::select(b".\r\na".as_slice()), 0..60)) {
        let (strict, lenient) = (receive(&wire, 1_000), receive_on(LENIENT, &wire, 1_000));
        prop_assert_eq!(strict.as_ref().map(|(_, end)| end), lenient.as_ref().map(|(_, end)| end));
        if let (Some((strict, _)), Some((lenient, _))) = (strict, lenient) {
            let lenient = lenient.unwrap();
            prop_assert_eq!(crlf_strict(&lenient), Ok(()));
            if let Ok(strict) = strict {
                prop_assert_eq!(strict, lenient);
            }
        }
    }

    #[test]
    fn it_ends_exactly_at_the_first_crlf_dot_crlf(wire in proptest::collection::vec(
        proptest::sample::select(b".\r\na".as_slice()), 0..60)) {
        let with_start = [b"\r\n", wire.as_slice()].concat();
        let end = with_start.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| at + 3);
        prop_assert_eq!(receive(&wire, 1_000).map(|(_, consumed)| consumed), end);
    }
}
