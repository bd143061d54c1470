//! What sealing and opening a mail of 5 KB costs on one core: `cargo run --release -p dccp --example speed`.
//! The design allows 300 µs to seal and 200 µs to open and verify, and 90 µs each in batches of 64 with a session.
//!
//! Medians of short rounds, which a busy machine disturbs less than the long ones of `benches/`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dccp::batch::{self, RootCache};
use dccp::kem::DecapsulationKey;
use dccp::keys::{DeviceSigner, SigningKey};
use dccp::limits::BATCH_MESSAGES_MAX;
use dccp::message::{Class, FsClass, Message};
use dccp::seal::{Draft, RecipientKey, SealedMessage, seal, unseal, unseal_with};
use dccp::session::{OpenCache, Session};
use dccp::suite::KemAlgorithm;
use dccp::{Did, Suite, UnixMillis};

const ROUNDS: usize = 2_000;
const BATCHES: usize = 200;
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn main() {
    let mut rng = rand::rng();
    let signer: DeviceSigner = SigningKey::generate(&mut rng).into();
    let kem = DecapsulationKey::generate(KemAlgorithm::XWing, &mut rng);
    let acme: Did = format!("did:dccp:1{}", "a".repeat(52)).parse().expect("a DID");
    let globex: Did = format!("did:dccp:1{}", "b".repeat(51) + "a").parse().expect("a DID");
    let to = RecipientKey {
        did: globex.clone(),
        suite: Suite::X0001,
        key_id: kem.encapsulation_key().key_id(),
        kem: kem.encapsulation_key().clone(),
        fs_class: FsClass::Epoch,
    };
    let message = Message {
        sender: acme,
        message_id: uuid::Uuid::now_v7(),
        payload: vec![7; 5 * 1024].into(),
        recipients: vec![globex.clone()],
        content_type: dccp::mail::CONTENT_TYPE.to_owned(),
        timestamp: NOW,
        expires: NOW.saturating_add_ms(60_000),
        class: Class::Normal,
        fs_class: FsClass::Epoch,
        suite: Suite::X0001,
        own_tree: None,
        your_tree: None,
    };

    let mut sealed = Vec::with_capacity(ROUNDS);
    let sealing = median(ROUNDS, || {
        sealed.push(seal(&message, &to, &signer, NOW, &mut rng).expect("it seals"));
    });
    let mut next = sealed.into_iter().map(|sealed| sealed.bytes().clone());
    let opening = median(ROUNDS, || {
        let sealed = SealedMessage::parse(next.next().expect("one per round")).expect("it parses");
        let unverified = unseal(&sealed, &kem).expect("it opens");
        black_box(unverified.verify(signer.verifying_key(), &globex, NOW).expect("it verifies"));
    });
    eprintln!("5 KB: seal {sealing:?}, open and verify {opening:?} (medians of {ROUNDS})");

    let mut batches = Vec::with_capacity(BATCHES);
    let sealing = median(BATCHES, || {
        let mut session = Session::start(&to, NOW, &mut rand::rng()).expect("a session");
        let draft = |_| Draft::prepare(&message, &to).expect("it encodes");
        let drafts: Vec<Draft> = (0..BATCH_MESSAGES_MAX).map(draft).collect();
        let leaves: Vec<_> = drafts.iter().map(Draft::leaf).collect();
        let evidence = batch::sign(&leaves, to.suite, &signer).expect("it signs");
        let finish =
            |(draft, evidence): (Draft, &_)| draft.finish(evidence, NOW, &mut rng, Some(&mut session));
        batches.push(drafts.into_iter().zip(&evidence).map(finish).collect::<Result<Vec<_>, _>>());
    });
    let mut next = batches.into_iter();
    let opening = median(BATCHES, || {
        let (roots, cache) = (RootCache::default(), OpenCache::default());
        for message in next.next().expect("one per round").expect("it seals") {
            let sealed = SealedMessage::parse(message.bytes().clone()).expect("it parses");
            let unverified = unseal_with(&sealed, &cache, &kem).expect("it opens");
            let opened = unverified.verify_with(&roots, signer.verifying_key(), &globex, NOW);
            black_box(opened.expect("it verifies"));
        }
    });
    let [sealing, opening] = [sealing, opening].map(|batch| batch / BATCH_MESSAGES_MAX as u32);
    eprintln!(
        "5 KB in batches of {BATCH_MESSAGES_MAX} with a session: seal {sealing:?}, open {opening:?} a message"
    );
}

fn median(rounds: usize, mut act: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let started = Instant::now();
            act();
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
