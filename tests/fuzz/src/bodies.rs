//! What stands behind the chunks of a body.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use dccp::body::{BodyOpener, BodyRef, CHUNK_BYTES, Tally};
use dccp::mail::{Content, Mail};

use super::keys::{Length, push_field};

/// The key of every body here.
const KEY: [u8; 32] = [1; 32];

/// Chunks that were sealed as they are, under the key of their body and in their places. The first two octets are the
/// size that the reference tells, the rest is what the chunks hide. What opens is its beginning, and the rest is zeros.
pub(crate) fn body(octets: &[u8]) -> bool {
    let Some((size, hidden)) = octets.split_first_chunk::<2>() else { return false };
    let size = u16::from_be_bytes(*size);
    let chunks = sealed(hidden);
    let Some(body) = reference(size, &chunks) else { return false };
    let (mut opener, mut clear) = (BodyOpener::new(&body).expect("a cipher"), Vec::new());
    for chunk in &chunks {
        let before = clear.len();
        if opener.chunk(chunk, &mut clear).is_err() {
            assert_eq!(clear.len(), before, "a refused chunk left something behind");
            return false;
        }
    }
    if opener.finish().is_err() {
        return false;
    }
    let (told, padding) = hidden.split_at(size.into());
    assert!(clear == told && padding.iter().all(|octet| *octet == 0), "other octets than were hidden");
    true
}

/// `docs/PROTOCOL.md` §8.4, beside the implementation that is tested.
fn sealed(hidden: &[u8]) -> Vec<Vec<u8>> {
    let mut okm = [0; 39];
    let prk = Salt::none(HKDF_SHA256).extract(&KEY);
    prk.expand(&[b"DCCP-BODY-v1\0"], Length(39)).and_then(|it| it.fill(&mut okm)).expect("39 octets");
    let (key, prefix) = okm.split_at(32);
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 octets"));
    let last = hidden.len().div_ceil(CHUNK_BYTES).saturating_sub(1);
    let seal = |(index, clear): (usize, &[u8])| {
        let nonce = [prefix, &(index as u32).to_be_bytes(), &[u8::from(index == last)]].concat();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).expect("12 octets");
        let mut chunk = clear.to_vec();
        cipher.seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk).expect("sealed");
        chunk
    };
    hidden.chunks(CHUNK_BYTES).enumerate().map(seal).collect()
}

/// As a mail has it; `None` when there is no such body.
fn reference(size: u16, chunks: &[Vec<u8>]) -> Option<BodyRef> {
    let mut tally = Tally::default();
    chunks.iter().try_for_each(|chunk| tally.add(chunk)).ok()?;
    let mut body = Vec::new();
    push_field(&mut body, 1, &KEY);
    push_field(&mut body, 2, tally.finish().digest.as_bytes());
    // Field 3, a number of three octets at most.
    body.extend([0x18, size as u8 | 0x80, (size >> 7) as u8 | 0x80, (size >> 14) as u8]);
    let shortest = body.iter().rposition(|octet| octet & 0x7f != 0).unwrap_or_default();
    body.truncate(shortest + 1);
    *body.last_mut()? &= 0x7f;
    let mut mail = Vec::new();
    push_field(&mut mail, 2, b"bob@globex.example");
    // Field 16.
    mail.extend([0x82, 0x01, body.len() as u8]);
    mail.extend(body);
    match Mail::decode(mail.into()).ok()?.content {
        Content::Body(body) => Some(body),
        Content::Inline(_) => None,
    }
}
