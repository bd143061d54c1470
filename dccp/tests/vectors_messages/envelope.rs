//! A second reader and writer of sealed messages, written from `docs/PROTOCOL.md` alone: protobuf by hand, the key
//! schedule and the padding anew. It also writes what the first refuses to.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use dccp::Suite;

/// A protobuf field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    Number(u64),
    Octets(Vec<u8>),
}

/// Fields in the order in which they are written.
pub(crate) type Fields = Vec<(u64, Field)>;

pub(crate) fn octets(bytes: impl AsRef<[u8]>) -> Field {
    Field::Octets(bytes.as_ref().to_vec())
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn encode(fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, field) in fields {
        match field {
            Field::Number(value) => {
                varint(&mut out, number << 3);
                varint(&mut out, *value);
            }
            Field::Octets(bytes) => {
                varint(&mut out, number << 3 | 2);
                varint(&mut out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
    }
    out
}

pub(crate) fn decode(mut bytes: &[u8]) -> Fields {
    let mut fields = Vec::new();
    let next = |bytes: &mut &[u8]| {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (octet, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        number
    };
    while !bytes.is_empty() {
        let key = next(&mut bytes);
        let value = next(&mut bytes);
        if key & 7 == 0 {
            fields.push((key >> 3, Field::Number(value)));
        } else {
            let (contents, rest) = bytes.split_at(value as usize);
            bytes = rest;
            fields.push((key >> 3, octets(contents)));
        }
    }
    fields
}

/// The same fields with another value for one, or without it.
pub(crate) fn with(fields: &Fields, number: u64, field: Option<Field>) -> Fields {
    let mut fields = fields.clone();
    match (fields.iter().position(|(other, _)| *other == number), field) {
        (Some(at), Some(field)) => fields[at].1 = field,
        (Some(at), None) => drop(fields.remove(at)),
        (None, Some(field)) => {
            let at = fields.iter().position(|(other, _)| *other > number).unwrap_or(fields.len());
            fields.insert(at, (number, field));
        }
        (None, None) => {}
    }
    fields
}

pub(crate) fn get(fields: &Fields, number: u64) -> Option<Vec<u8>> {
    fields.iter().find(|(other, _)| *other == number).map(|(_, field)| match field {
        Field::Octets(bytes) => bytes.clone(),
        Field::Number(number) => panic!("{number} is no octets"),
    })
}

pub(crate) fn get_number(fields: &Fields, number: u64) -> Option<u64> {
    fields.iter().find(|(other, _)| *other == number).map(|(_, field)| match field {
        Field::Number(number) => *number,
        Field::Octets(_) => panic!("not a number"),
    })
}

/// §7: key (32) ‖ nonce (12).
pub(crate) fn key_and_nonce(secret: &[u8], suite: Suite, seq: Option<u64>) -> [u8; 44] {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            44
        }
    }
    let info = match seq {
        None => [b"DCCP-SEAL-v1\0".as_slice(), &suite.id().to_be_bytes()].concat(),
        Some(seq) => {
            [b"DCCP-SESSION-v1\0".as_slice(), &suite.id().to_be_bytes(), &seq.to_be_bytes()].concat()
        }
    };
    let mut okm = [0; 44];
    Salt::none(HKDF_SHA256).extract(secret).expand(&[&info], Length).unwrap().fill(&mut okm).unwrap();
    okm
}

fn aead(suite: Suite, okm: &[u8; 44]) -> (LessSafeKey, Nonce) {
    let aead = if matches!(suite.id(), 0x0001 | 0x0101) { &AES_256_GCM } else { &CHACHA20_POLY1305 };
    let key = LessSafeKey::new(UnboundKey::new(aead, &okm[..32]).unwrap());
    (key, Nonce::try_assume_unique_for_key(&okm[32..]).unwrap())
}

pub(crate) fn encrypt(suite: Suite, okm: &[u8; 44], aad: &[u8], mut plain: Vec<u8>) -> Vec<u8> {
    let (key, nonce) = aead(suite, okm);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut plain).unwrap();
    plain
}

pub(crate) fn decrypt(suite: Suite, okm: &[u8; 44], aad: &[u8], mut cipher: Vec<u8>) -> Vec<u8> {
    let (key, nonce) = aead(suite, okm);
    let length = key.open_in_place(nonce, Aad::from(aad), &mut cipher).unwrap().len();
    cipher.truncate(length);
    cipher
}

/// §6, up to 64 KiB.
pub(crate) fn pad(signed: &[u8]) -> Vec<u8> {
    let mut plain = (signed.len() as u32).to_be_bytes().to_vec();
    plain.extend_from_slice(signed);
    let class = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64].map(|kib| kib * 1024);
    plain.resize(class.into_iter().find(|class| plain.len() <= *class).unwrap(), 0);
    plain
}

/// §8.2: the id of a session.
pub(crate) fn session_id(kem_ct: &[u8]) -> Vec<u8> {
    digest(&SHA256, kem_ct).as_ref()[..16].to_vec()
}
