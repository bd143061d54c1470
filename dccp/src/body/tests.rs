use bytes::{Buf as _, Bytes};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::stream::Stream;
use super::*;
use crate::limits::CHUNKS_MAX;
use crate::padding::is_padded_len;

/// Octets that are not all the same and not the same in any two chunks.
fn octets(size: usize) -> Bytes {
    (0..size).map(|i| (i % 251) as u8).collect()
}

fn sealed(octets: &Bytes) -> (BodyRef, Vec<Bytes>) {
    let mut sealer = BodySealer::new(octets.len() as u64, &mut StdRng::seed_from_u64(7)).unwrap();
    let (mut rest, mut chunks) = (octets.clone(), Vec::new());
    while let Some(chunk) = sealer.chunk(&mut rest).unwrap() {
        chunks.push(chunk);
    }
    (sealer.finish().unwrap(), chunks)
}

fn opened(body: &BodyRef, chunks: &[Bytes]) -> Result<Vec<u8>, BodyError> {
    let mut opener = BodyOpener::new(body)?;
    let mut clear = Vec::new();
    chunks.iter().try_for_each(|chunk| opener.chunk(chunk, &mut clear))?;
    opener.finish().map(|()| clear)
}

fn tallied(chunks: &[Bytes]) -> Result<BodyOutline, BodyError> {
    let mut tally = Tally::default();
    chunks.iter().try_for_each(|chunk| tally.add(chunk))?;
    Ok(tally.finish())
}

/// Three full chunks and a shorter one.
fn four_chunks() -> (BodyRef, Vec<Bytes>) {
    let (body, chunks) = sealed(&octets(3 * CHUNK_BYTES + 1000));
    assert_eq!(chunks.len(), 4);
    (body, chunks)
}

#[test]
fn a_body_of_any_size_comes_out_as_it_went_in_and_shows_no_more_than_its_class() {
    for size in [1, 1024, 1025, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 1_500_000] {
        let clear = octets(size);
        let (body, chunks) = sealed(&clear);
        assert_eq!(opened(&body, &chunks).unwrap(), clear, "{size}");
        let outline = tallied(&chunks).unwrap();
        assert_eq!(outline, body.outline(), "{size}");
        assert_eq!(outline.chunks() as usize, chunks.len());
        let padded = outline.sealed_bytes as usize - chunks.len() * TAG_BYTES;
        assert!(is_padded_len(padded) && padded >= size, "{size}");
    }
}

#[test]
fn the_largest_body_has_as_many_chunks_as_the_limit_says() {
    let cut = Cut::of(BODY_BYTES_MAX).unwrap();
    assert_eq!(
        (cut.chunks(), cut.clear_len(CHUNKS_MAX - 1), cut.clear_len(CHUNKS_MAX)),
        (CHUNKS_MAX, CHUNK_BYTES, 0)
    );
}

#[test]
fn octets_in_pieces_make_the_same_body() {
    let clear = octets(CHUNK_BYTES + 300);
    let mut sealer = BodySealer::new(clear.len() as u64, &mut StdRng::seed_from_u64(7)).unwrap();
    let mut pieces = clear.slice(..77).chain(clear.slice(77..));
    while sealer.chunk(&mut pieces).unwrap().is_some() {}
    assert_eq!(sealer.finish().unwrap(), sealed(&clear).0);
}

#[test]
fn a_sealer_refuses_a_size_that_no_body_has_and_octets_that_do_not_add_up() {
    let sealer = |size| BodySealer::new(size, &mut StdRng::seed_from_u64(7));
    for size in [0, BODY_BYTES_MAX + 1, u64::MAX] {
        assert_eq!(sealer(size).err(), Some(BodyError::Size(size)));
    }
    let mut short = octets(99);
    assert_eq!(sealer(100).unwrap().chunk(&mut short), Err(BodyError::Miscounted));
    let (mut long, mut hundred) = (octets(101), sealer(100).unwrap());
    assert!(hundred.chunk(&mut long).unwrap().is_some());
    assert_eq!(hundred.chunk(&mut long), Err(BodyError::Miscounted));
    assert_eq!(sealer(100).unwrap().finish(), Err(BodyError::Missing(0)));
}

#[test]
fn two_bodies_of_the_same_octets_share_nothing() {
    let clear = octets(100);
    let mut rng = StdRng::seed_from_u64(7);
    let mut next = || {
        let mut sealer = BodySealer::new(100, &mut rng).unwrap();
        let chunk = sealer.chunk(&mut clear.clone()).unwrap().unwrap();
        (sealer.finish().unwrap(), chunk)
    };
    let ((one, first), (other, second)) = (next(), next());
    assert!(one.key != other.key && one.digest != other.digest && first != second);
    assert_eq!(opened(&one, &[second]), Err(BodyError::NotAuthentic(0)));
}

#[test]
fn a_body_without_its_end_is_refused() {
    let (body, chunks) = four_chunks();
    for kept in 0..4 {
        assert_eq!(opened(&body, &chunks[..kept]), Err(BodyError::Missing(kept as u32)));
    }
}

#[test]
fn chunks_in_another_order_are_refused() {
    let (body, chunks) = four_chunks();
    let order = |indices: [usize; 4]| opened(&body, &indices.map(|index| chunks[index].clone()));
    assert_eq!(order([1, 0, 2, 3]), Err(BodyError::NotAuthentic(0)));
    assert_eq!(order([0, 2, 1, 3]), Err(BodyError::NotAuthentic(1)));
    assert_eq!(order([0, 0, 2, 3]), Err(BodyError::NotAuthentic(1)), "one twice");
    assert_eq!(order([0, 1, 3, 2]), Err(BodyError::Length(2)));
}

#[test]
fn nothing_can_be_put_behind_the_end() {
    let (body, mut chunks) = four_chunks();
    chunks.push(chunks[3].clone());
    assert_eq!(opened(&body, &chunks), Err(BodyError::Surplus(4)));
    assert_eq!(tallied(&chunks), Err(BodyError::Surplus(4)), "nor without the key");
}

#[test]
fn a_chunk_of_another_length_is_refused() {
    let (body, chunks) = four_chunks();
    for (index, length) in [(0, CHUNK_SEALED_BYTES - 1), (3, 0), (3, TAG_BYTES), (3, chunks[3].len() - 1)] {
        let mut cut = chunks.clone();
        cut[index].truncate(length);
        assert_eq!(opened(&body, &cut), Err(BodyError::Length(index as u32)));
    }
    let long = Bytes::from(vec![0; CHUNK_SEALED_BYTES + 1]);
    assert_eq!(tallied(&[long]), Err(BodyError::Length(0)));
    assert_eq!(tallied(&[Bytes::from(vec![0; TAG_BYTES])]), Err(BodyError::Length(0)));
}

/// What a sender makes who knows the key and says the wrong thing about the end.
fn under_the_key(body: &BodyRef, flags: &[bool], octet: u8) -> Vec<Bytes> {
    let stream = Stream::new(&body.key).unwrap();
    let cut = Cut::of(body.size).unwrap();
    let seal = |(index, last): (u32, &bool)| {
        let mut chunk = vec![octet; cut.clear_len(index)];
        let tag = stream.seal(index, *last, &mut chunk).unwrap();
        chunk.extend_from_slice(tag.as_ref());
        Bytes::from(chunk)
    };
    (0..).zip(flags).map(seal).collect()
}

#[test]
fn a_last_chunk_that_says_it_is_not_and_one_before_that_says_it_is_are_refused() {
    let (body, _) = sealed(&octets(2 * CHUNK_BYTES));
    assert_eq!(opened(&body, &under_the_key(&body, &[false, false], 0)), Err(BodyError::NotAuthentic(1)));
    assert_eq!(opened(&body, &under_the_key(&body, &[true, true], 0)), Err(BodyError::NotAuthentic(0)));
}

#[test]
fn chunks_that_were_made_under_the_key_by_somebody_else_have_another_digest() {
    let (body, _) = sealed(&octets(2 * CHUNK_BYTES));
    let others = under_the_key(&body, &[false, true], 0);
    assert_eq!(opened(&body, &others), Err(BodyError::Digest));
    assert_ne!(tallied(&others).unwrap(), body.outline());
}

#[test]
fn padding_that_is_not_zeros_is_refused() {
    let (body, _) = sealed(&octets(1000));
    assert_eq!(opened(&body, &under_the_key(&body, &[true], 7)), Err(BodyError::Padding));
}

#[test]
fn a_reference_with_another_size_opens_nothing() {
    let (body, chunks) = sealed(&octets(2 * CHUNK_BYTES));
    let claimed = |size| opened(&BodyRef { size, ..body.clone() }, &chunks);
    assert_eq!(claimed(CHUNK_BYTES as u64), Err(BodyError::NotAuthentic(0)), "the first is not the last");
    assert_eq!(
        claimed(3 * CHUNK_BYTES as u64),
        Err(BodyError::NotAuthentic(1)),
        "the second is not before the last"
    );
    assert_eq!(claimed(2 * CHUNK_BYTES as u64 - 1), Err(BodyError::Padding), "an octet would be lost");
    assert_eq!(claimed(0), Err(BodyError::Size(0)));
}

#[test]
fn a_refused_chunk_leaves_nothing_behind() {
    let (body, chunks) = four_chunks();
    let mut opener = BodyOpener::new(&body).unwrap();
    let mut clear = b"before".to_vec();
    assert!(opener.chunk(&chunks[1], &mut clear).is_err());
    assert_eq!(clear, b"before");
    assert!(opener.chunk(&chunks[0], &mut clear).is_ok(), "the right one may still come");
}

#[test]
fn hashes_that_were_kept_name_the_body_as_its_chunks_do() {
    let (body, chunks) = four_chunks();
    let mut tally = Tally::default();
    for chunk in &chunks {
        tally.add_hash(chunk_hash(chunk), chunk.len()).unwrap();
    }
    assert_eq!(tally.finish(), body.outline());
}

#[test]
fn a_reference_that_was_kept_opens_the_body_and_one_to_no_body_is_refused() {
    let (body, chunks) = four_chunks();
    let kept = BodyRef::from_bytes(&body.to_bytes()).unwrap();
    assert!(kept == body && opened(&kept, &chunks).is_ok());
    let mut larger_than_any = *body.to_bytes();
    larger_than_any[BODY_REF_BYTES - 8] = 0xFF;
    assert!(BodyRef::from_bytes(&larger_than_any).is_none());
}

#[test]
fn the_key_is_not_printed() {
    let (body, _) = sealed(&octets(1));
    assert_eq!(format!("{body:?}"), format!("BodyRef(1 octets, {})", body.digest));
}

proptest! {
    #[test]
    fn any_altered_octet_is_refused(size in 1_usize..3000, at in any::<prop::sample::Index>(), bit in 0..8) {
        let (body, chunks) = sealed(&octets(size));
        let mut altered = chunks[0].to_vec();
        altered[at.index(chunks[0].len())] ^= 1_u8 << bit;
        let altered = [Bytes::from(altered)];
        prop_assert_eq!(opened(&body, &altered), Err(BodyError::NotAuthentic(0)));
        prop_assert_ne!(tallied(&altered).unwrap(), body.outline());
    }
}
