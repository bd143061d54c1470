//! One key encapsulation for many messages.

use super::suites::Duo;
use super::*;
use crate::limits::{SESSION_MESSAGES_MAX, SESSION_MS_MAX};
use crate::session::{OpenCache, Session, SessionError, session_id};

fn open(duo: &Duo, sealed: &SealedMessage, cache: Option<&OpenCache>) -> Result<Opened, OpenError> {
    let unverified = match cache {
        Some(cache) => unseal_with(sealed, cache, &duo.globex),
        None => unseal(sealed, &duo.globex),
    };
    unverified?.verify(duo.acme.verifying_key(), &did("globex"), NOW)
}

fn seal_in(duo: &Duo, session: &mut Session, payload: &[u8]) -> SealedMessage {
    let draft = duo.draft(payload);
    let evidence = draft.sign(&duo.acme).unwrap();
    draft.finish(&evidence, NOW, &mut rng(), Some(session)).unwrap()
}

#[test]
fn messages_of_a_session_open_in_any_order_with_and_without_a_cache() {
    for duo in Suite::ALL.map(Duo::of) {
        let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
        let mut messages: Vec<_> = (0..4_u8).map(|number| seal_in(&duo, &mut session, &[number])).collect();
        assert_eq!(messages.iter().map(SealedMessage::seq).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
        assert!(messages.iter().all(|message| message.session() == messages[0].session()));
        assert_eq!(messages[0].session(), Some(session_id(messages[0].kem_ct())));

        messages.reverse();
        let cache = OpenCache::new(8);
        for (sealed, number) in messages.iter().zip([3, 2, 1, 0]) {
            let sealed = SealedMessage::parse(sealed.bytes().clone()).unwrap();
            assert_eq!(open(&duo, &sealed, None).unwrap().message.payload[..], [number]);
            assert_eq!(open(&duo, &sealed, Some(&cache)).unwrap().message.payload[..], [number]);
            assert_eq!(cache.len(), 1, "one secret for the session");
        }
    }
}

#[test]
fn the_cache_is_used_bounded_and_forgets_with_the_key() {
    let duo = Duo::of(Suite::X0001);
    let cache = OpenCache::new(2);
    let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
    let sealed = seal_in(&duo, &mut session, b"hello");
    // A wrong secret under the right name: that it is used shows in what it cannot open.
    cache.keep(duo.key().key_id, sealed.kem_ct(), SharedSecret::copied(&[9; 32]));
    assert_eq!(open(&duo, &sealed, Some(&cache)), Err(OpenError::Decryption));
    cache.forget(&duo.key().key_id);
    assert!(cache.is_empty());
    assert!(open(&duo, &sealed, Some(&cache)).is_ok());
    for _ in 0..4 {
        let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
        assert!(open(&duo, &seal_in(&duo, &mut session, b""), Some(&cache)).is_ok());
    }
    assert_eq!(cache.len(), 2);
}

#[test]
fn neither_single_messages_nor_rubbish_fill_the_cache() {
    let duo = Duo::of(Suite::X0001);
    let cache = OpenCache::new(2);
    let single = seal(&duo.message(b""), &duo.key(), &duo.acme, NOW, &mut rng()).unwrap();
    assert!(open(&duo, &single, Some(&cache)).is_ok());
    let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
    let mut header = wire::SealedMessage::decode(seal_in(&duo, &mut session, b"").bytes().clone()).unwrap();
    header.ciphertext = vec![0; header.ciphertext.len()].into();
    let rubbish = SealedMessage::parse(header.encode_to_vec().into()).unwrap();
    assert_eq!(open(&duo, &rubbish, Some(&cache)), Err(OpenError::Decryption));
    assert!(cache.is_empty());
}

#[test]
fn the_number_and_the_id_of_a_session_cannot_be_altered() {
    let duo = Duo::of(Suite::X0001);
    let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
    let sealed = seal_in(&duo, &mut session, b"hello");
    let altered = |change: &dyn Fn(&mut wire::SealedMessage)| {
        let mut header = wire::SealedMessage::decode(sealed.bytes().clone()).unwrap();
        change(&mut header);
        SealedMessage::parse(header.encode_to_vec().into())
    };
    let renumbered = altered(&|header| header.seq = 2).unwrap();
    assert_eq!(open(&duo, &renumbered, None), Err(OpenError::Decryption));
    let single = altered(&|header| (header.seq, header.session) = (0, Bytes::new())).unwrap();
    assert_eq!(open(&duo, &single, None), Err(OpenError::Decryption), "not a message by itself");

    let refused = |change: &dyn Fn(&mut wire::SealedMessage)| altered(change).unwrap_err();
    let out_of_bounds = SealedMessageError::OutOfBounds;
    assert_eq!(refused(&|header| header.seq = 0), out_of_bounds("session"));
    assert_eq!(refused(&|header| header.session.clear()), out_of_bounds("session"));
    assert_eq!(refused(&|header| header.session = vec![1; 16].into()), out_of_bounds("session"));
    assert_eq!(refused(&|header| header.session = vec![1; 2].into()), out_of_bounds("session"));
    assert_eq!(refused(&|header| header.seq = SESSION_MESSAGES_MAX + 1), out_of_bounds("seq"));
}

#[test]
fn a_session_ends_by_time_and_by_number() {
    let duo = Duo::of(Suite::X0001);
    let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
    let last = NOW.saturating_add_ms(SESSION_MS_MAX - 1);
    assert!(session.carries(&duo.key(), last));
    assert!(!session.carries(&duo.key(), NOW.saturating_add_ms(SESSION_MS_MAX)));
    assert!(!session.carries(&duo.key(), NOW.saturating_sub_ms(1)), "the clock was set back");
    for number in 1..=SESSION_MESSAGES_MAX {
        assert_eq!(session.next(&duo.key(), NOW), Ok(number));
    }
    assert_eq!(session.next(&duo.key(), NOW), Err(SessionError::Over));
    let draft = duo.draft(b"one too many");
    let evidence = draft.sign(&duo.acme).unwrap();
    let refused = draft.finish(&evidence, NOW, &mut rng(), Some(&mut session)).unwrap_err();
    assert_eq!(refused, SealError::Session(SessionError::Over));
}

#[test]
fn a_session_is_for_one_key_and_never_for_a_one_time_key() {
    let duo = Duo::of(Suite::X0001);
    let mut session = Session::start(&duo.key(), NOW, &mut rng()).unwrap();
    let kem = xwing::DecapsulationKey::from_seed(&[8; 32]).encapsulation_key().clone().into();
    let other = RecipientKey { key_id: EncapsulationKey::key_id(&kem), kem, ..duo.key() };
    assert_eq!(session.next(&other, NOW), Err(SessionError::OtherKey));
    let one_time = RecipientKey { fs_class: FsClass::OneTime, ..duo.key() };
    assert_eq!(session.next(&one_time, NOW), Err(SessionError::OtherKey));
    let refused = Session::start(&one_time, NOW, &mut rng()).map(|_| ()).unwrap_err();
    assert_eq!(refused, SessionError::OneTimeKey);

    // A sender that does it all the same is not believed.
    let message = Message { fs_class: FsClass::OneTime, ..duo.message(b"hello") };
    let mut draft = Draft::prepare(&message, &one_time).unwrap();
    let evidence = draft.sign(&duo.acme).unwrap();
    draft.to = duo.key();
    let sealed = draft.finish(&evidence, NOW, &mut rng(), Some(&mut session)).unwrap();
    assert_eq!(open(&duo, &sealed, None), Err(OpenError::Contradiction("session")));
}
