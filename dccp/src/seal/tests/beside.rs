//! Messages whose octets travel beside them.

use super::*;
use crate::body::{BodyRef, BodySealer};
use crate::limits::{RESTING_BYTES_MAX, SEALED_BYTES_MAX};
use crate::mail::{Content, Mail, MailEnvelope};

fn body(octet: u8) -> BodyRef {
    let mut sealer = BodySealer::new(1000, &mut StdRng::seed_from_u64(octet.into())).unwrap();
    sealer.chunk(&mut &[octet; 1000][..]).unwrap();
    sealer.finish().unwrap()
}

fn mail(content: Content) -> Message {
    let forward_paths = vec!["bob@globex.example".to_owned()];
    let envelope = MailEnvelope { forward_paths, ..MailEnvelope::default() };
    Message { payload: Mail { envelope, content }.encode(), ..message(b"") }
}

#[test]
fn a_message_shows_the_outline_of_its_body_and_nothing_else_of_it() {
    let pair = Pair::new();
    let large = mail(Content::Body(body(1)));
    let sealed = pair.seal(&large).unwrap();
    assert_eq!(sealed.body(), Some(body(1).outline()));
    assert_eq!(SealedMessage::parse(sealed.bytes().clone()), Ok(sealed.clone()));
    assert_eq!(pair.receive(sealed.bytes().clone()).unwrap().message, large);

    let small = pair.seal(&mail(Content::Inline(Bytes::from_static(b"hi")))).unwrap();
    assert_eq!(small.body(), None);
    assert_eq!(pair.seal(&message(b"no mail at all")).unwrap().body(), None);
}

#[test]
fn the_outline_outside_cannot_be_changed_taken_off_or_put_on() {
    let pair = Pair::new();
    let changed = |sealed: SealedMessage, outline: Option<BodyRef>| {
        let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
        header.body = outline.map(|body| body.outline().to_wire());
        let sealed = SealedMessage::parse(header.encode_to_vec().into()).unwrap();
        unseal(&sealed, &pair.globex).map(drop)
    };
    let large = || pair.seal(&mail(Content::Body(body(1)))).unwrap();
    assert_eq!(changed(large(), Some(body(1))), Ok(()));
    assert_eq!(changed(large(), Some(body(2))), Err(OpenError::Decryption));
    assert_eq!(changed(large(), None), Err(OpenError::Decryption));
    assert_eq!(changed(pair.seal(&message(b"hello")).unwrap(), Some(body(1))), Err(OpenError::Decryption));
}

/// Old spools hold mails that would be bodies today.
#[test]
fn a_large_message_at_rest_still_opens_but_none_comes_by_the_road() {
    let pair = Pair::new();
    let octets = Bytes::from(vec![7; SEALED_BYTES_MAX]);
    let old = mail(Content::Inline(octets));
    let mut draft = Draft::prepare(&message(b""), &pair.globex_key()).unwrap();
    draft.body = old.to_wire().encode_to_vec();
    let evidence = draft.sign(&pair.acme).unwrap();
    let bytes = draft.finish(&evidence, NOW, &mut rng(), None).unwrap().bytes().clone();

    assert_eq!(SealedMessage::parse(bytes.clone()), Err(SealedMessageError::TooLarge(bytes.len())));
    let resting = SealedMessage::parse_resting(bytes).unwrap();
    let unverified = unseal(&resting, &pair.globex).unwrap();
    let opened = unverified.verify(pair.acme.verifying_key(), &did("globex"), NOW).unwrap();
    assert_eq!(opened.message, old);

    let beyond = Bytes::from(vec![0; RESTING_BYTES_MAX + 1]);
    assert!(matches!(SealedMessage::parse_resting(beyond), Err(SealedMessageError::TooLarge(_))));
}
