use proptest::prelude::*;

use super::*;
use crate::message::crlf_strict;
use crate::server::Budget;
use crate::server::session::content::Content;
use crate::server::session::keep::BareLineEnds;

const SIZE_MAX: u64 = 1_000;
const STRICT: Terms = Terms { size_max: SIZE_MAX, declared: None, bare_line_ends: BareLineEnds::Refused };
const LENIENT: Terms = Terms { bare_line_ends: BareLineEnds::Mended, ..STRICT };

fn receive<'a>(terms: Terms, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Fault> {
    let mut chunks = Chunks::new(terms, Budget::new(1 << 20).grant());
    for piece in pieces {
        chunks.feed(piece);
    }
    chunks.complete().map(|kept| kept.octets.to_vec())
}

#[test]
fn dots_and_false_ends_are_octets_like_others() {
    let message = b"..\r\n.\r\nMAIL FROM:<>\r\n.\r\n";
    assert_eq!(receive(STRICT, [&message[..]]).as_deref(), Ok(&message[..]));
}

#[test]
fn a_line_end_may_lie_in_two_chunks() {
    assert_eq!(receive(STRICT, [&b"a\r"[..], b"", b"\nb\r\n"]).as_deref(), Ok(&b"a\r\nb\r\n"[..]));
    for pieces in [[&b"a\r"[..], b"b\r\n"], [b"a", b"\nb\r\n"], [b"a\r", b"\r\n"], [b"a\r\nb", b"c\r"]] {
        assert!(matches!(receive(STRICT, pieces), Err(Fault::BareLineEnd { .. })), "{pieces:?}");
    }
}

#[test]
fn the_bare_line_end_is_found_in_its_line() {
    assert_eq!(receive(STRICT, [&b"a\r\nb\r\nc\nd\r\n"[..]]), Err(Fault::BareLineEnd { line: 3 }));
    assert_eq!(receive(STRICT, [&b"a\r\nb\r"[..], b"\nc\r"]), Err(Fault::BareLineEnd { line: 3 }));
}

#[test]
fn a_last_line_without_an_end_gets_one() {
    assert_eq!(receive(STRICT, [&b"a\r\nb"[..]]).as_deref(), Ok(&b"a\r\nb\r\n"[..]));
    assert_eq!(receive(STRICT, []).as_deref(), Ok(&b""[..]));
    let full = vec![b'x'; SIZE_MAX as usize];
    assert_eq!(receive(STRICT, [full.as_slice()]), Err(Fault::TooLarge { octets: SIZE_MAX + 2 }));
}

#[test]
fn where_it_is_allowed_every_bare_line_end_becomes_crlf() {
    let mended = receive(LENIENT, [&b"a\nb\r"[..], b"c\r", b"\n.\n\r"]);
    assert_eq!(mended.as_deref(), Ok(&b"a\r\nb\r\nc\r\n.\r\n\r\n"[..]));
}

#[test]
fn chunks_that_will_be_refused_hold_no_memory() {
    let budget = Budget::new(1 << 20);
    let mut chunks = Chunks::new(STRICT, budget.grant());
    chunks.feed(b"some text\r\n");
    assert!(budget.free() < 1 << 20);
    chunks.feed(b"bare\nline\r\n");
    assert_eq!((budget.free(), chunks.fault()), (1 << 20, Some(Fault::BareLineEnd { line: 2 })));
}

/// The same message by DATA, its dots stuffed.
fn by_data(terms: Terms, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut wire = Vec::new();
    for (at, &octet) in message.iter().enumerate() {
        if octet == b'.' && (at == 0 || message[..at].ends_with(b"\r\n")) {
            wire.push(b'.');
        }
        wire.push(octet);
    }
    wire.extend_from_slice(b".\r\n");
    let mut content = Content::new(terms, Budget::new(1 << 20).grant());
    assert_eq!(content.feed(&wire), (wire.len(), true));
    content.complete().map(|kept| kept.octets.to_vec())
}

proptest! {
    #[test]
    fn a_message_is_the_same_by_data_and_by_chunks_however_they_are_cut(
        message in proptest::collection::vec(proptest::sample::select(b".\r\na".as_slice()), 0..60),
        piece in 1..9usize,
    ) {
        let message = [message.as_slice(), b"\r\n"].concat();
        for terms in [STRICT, LENIENT] {
            let received = receive(terms, message.chunks(piece));
            prop_assert_eq!(&received, &by_data(terms, &message));
            if let Ok(octets) = received {
                prop_assert_eq!(crlf_strict(&octets), Ok(()));
            }
        }
    }
}
