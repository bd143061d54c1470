//! What is in a frame: sealed messages, and what they hide.

use bytes::Bytes;
use dccp::keys::Domain;
use dccp::limits::{
    BODY_BYTES_MAX, CHUNKS_MAX, FORWARD_PATHS_MAX, OUTCOMES_MAX, PATH_BYTES_MAX, RECEIPTS_MAX, RECIPIENTS_MAX,
};
use dccp::mail::{Content, Mail};
use dccp::receipt;
use dccp::seal::{Draft, SealedMessage, unseal};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::keys::{Envelope, NOW, acme, push_field};

/// A sealed message has one encoding, and opens or is refused.
pub(crate) fn sealed_message(octets: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(octets);
    let Ok(sealed) = SealedMessage::parse(bytes.clone()) else { return false };
    assert_eq!(sealed.bytes(), &bytes, "other octets than were read");
    unseal(&sealed, acme().kem_of(sealed.suite())).is_ok()
}

/// What a ciphertext hides: the first octet chooses the suite, the rest is the whole plaintext with its padding.
pub(crate) fn signed_part(octets: &[u8]) -> bool {
    let Some((envelope, plain)) = choose(octets) else { return false };
    open(&envelope.sealed_plain(plain.to_vec()))
}

/// A body that was signed as it is: the first octet chooses the suite.
pub(crate) fn agent_message(octets: &[u8]) -> bool {
    let Some((envelope, body)) = choose(octets) else { return false };
    let device = &acme().device;
    let signature = device.sign(envelope.suite, Domain::Message, body).expect("a device with all keys");
    let mut evidence = Vec::new();
    push_field(&mut evidence, 1, device.verifying_key().key_id().as_bytes());
    push_field(&mut evidence, 2, &signature);
    let mut signed = Vec::new();
    push_field(&mut signed, 1, body);
    push_field(&mut signed, 2, &evidence);
    open(&envelope.sealed(&signed))
}

fn choose(octets: &[u8]) -> Option<(&'static Envelope, &[u8])> {
    let (first, rest) = octets.split_first()?;
    let envelopes = &acme().envelopes;
    Some((&envelopes[usize::from(*first) % envelopes.len()], rest))
}

/// A message that was opened and believed can be sealed again, and is the same message then.
fn open(sealed: &SealedMessage) -> bool {
    let acme = acme();
    let (kem, me) = (acme.kem_of(sealed.suite()), acme.document.did());
    let Ok(unverified) = unseal(sealed, kem) else { return false };
    let Ok(opened) = unverified.verify(acme.device.verifying_key(), me, NOW) else { return false };
    let message = opened.message;
    assert!((1..=RECIPIENTS_MAX).contains(&message.recipients.len()) && message.recipients.contains(me));
    assert_eq!(message.suite, sealed.suite());

    let mut to = acme.recipient_key(message.suite);
    to.fs_class = message.fs_class;
    if message.expires <= NOW {
        return true; // within the skew of clocks: it may still be read, but not be made
    }
    let again = Draft::prepare(&message, &to).expect("what was accepted can be sealed");
    let evidence = again.sign(&acme.device).expect("a device with all keys");
    let again = again.finish(&evidence, NOW, &mut StdRng::seed_from_u64(9), None).expect("sealed");
    let again = unseal(&again, kem).and_then(|it| it.verify(acme.device.verifying_key(), me, NOW));
    assert_eq!(again.expect("opens").message, message);
    true
}

/// A mail's envelope is bounded, and what was read is what is written.
pub(crate) fn mail_payload(octets: &[u8]) -> bool {
    let Ok(mail) = Mail::decode(Bytes::copy_from_slice(octets)) else { return false };
    let paths = &mail.envelope.forward_paths;
    assert!((1..=FORWARD_PATHS_MAX).contains(&paths.len()));
    assert!(
        paths
            .iter()
            .chain([&mail.envelope.reverse_path])
            .all(|path| { path.len() <= PATH_BYTES_MAX && !path.contains(['\r', '\n', '\0']) })
    );
    if let Content::Body(body) = &mail.content {
        let outline = body.outline();
        assert!((1..=BODY_BYTES_MAX).contains(&body.size()) && outline.sealed_bytes > body.size());
        assert!((1..=CHUNKS_MAX).contains(&outline.chunks()));
    }
    let written = mail.encode();
    assert_eq!(written.len(), octets.len(), "the mail had two encodings");
    assert_eq!(Mail::decode(written).as_ref(), Ok(&mail), "another mail when read again");
    true
}

/// A batch of receipts is bounded, and what was read is what is written.
pub(crate) fn receipts(octets: &[u8]) -> bool {
    let Ok(receipts) = receipt::decode(octets) else { return false };
    assert!(receipts.len() <= RECEIPTS_MAX);
    assert!(receipts.iter().all(|receipt| receipt.outcomes.len() <= OUTCOMES_MAX));
    let written = receipt::encode(&receipts);
    assert_eq!(receipt::decode(&written).as_ref(), Ok(&receipts), "other receipts when read again");
    true
}
