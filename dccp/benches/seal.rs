//! What sealing and opening a mail of 5 KB costs on one core: `cargo bench -p dccp --bench seal`.
//! Targets (suite 0x0001): 300 µs to seal and 200 µs to open one by one, 90 µs each in batches of 64 with a session.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dccp::batch::{self, RootCache};
use dccp::kem::DecapsulationKey;
use dccp::keys::{DeviceSigner, SigningKey, falcon};
use dccp::limits::BATCH_MESSAGES_MAX;
use dccp::message::{Class, FsClass, Message};
use dccp::seal::{Draft, RecipientKey, SealedMessage, seal, unseal, unseal_with};
use dccp::session::{OpenCache, Session};
use dccp::{Did, Suite, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

/// Acme's device and a key of Globex.
struct Scene {
    signer: DeviceSigner,
    opener: DecapsulationKey,
    to: RecipientKey,
    message: Message,
}

impl Scene {
    fn of(suite: Suite) -> Self {
        let rng = &mut rand::rng();
        let falcon = falcon::SigningKey::generate(rng);
        let signer = DeviceSigner::new(SigningKey::generate(rng), Some(falcon));
        let opener = DecapsulationKey::generate(suite.choices().kem, rng);
        let did = |letter: char| -> Did {
            format!("did:dccp:1{}a", String::from(letter).repeat(51)).parse().expect("a DID")
        };
        let kem = opener.encapsulation_key().clone();
        let to = RecipientKey { did: did('g'), suite, key_id: kem.key_id(), kem, fs_class: FsClass::Epoch };
        let message = Message {
            sender: did('a'),
            message_id: uuid::Uuid::now_v7(),
            payload: vec![7; 5 * 1024].into(),
            recipients: vec![to.did.clone()],
            content_type: dccp::mail::CONTENT_TYPE.to_owned(),
            timestamp: NOW,
            expires: NOW.saturating_add_ms(60_000),
            class: Class::Normal,
            fs_class: FsClass::Epoch,
            suite,
            own_tree: None,
            your_tree: None,
        };
        Self { signer, opener, to, message }
    }

    fn seal(&self) -> SealedMessage {
        seal(&self.message, &self.to, &self.signer, NOW, &mut rand::rng()).expect("it seals")
    }

    /// A full batch, as a gateway at a high rate makes it.
    fn seal_batch(&self, session: &mut Session) -> Vec<SealedMessage> {
        let draft = |_| Draft::prepare(&self.message, &self.to).expect("it encodes");
        let drafts: Vec<Draft> = (0..BATCH_MESSAGES_MAX).map(draft).collect();
        let leaves: Vec<_> = drafts.iter().map(Draft::leaf).collect();
        let evidence = batch::sign(&leaves, self.to.suite, &self.signer).expect("it signs");
        let finish =
            |(draft, evidence): (Draft, &_)| draft.finish(evidence, NOW, &mut rand::rng(), Some(session));
        drafts.into_iter().zip(&evidence).map(finish).collect::<Result<_, _>>().expect("it seals")
    }

    fn session(&self) -> Session {
        Session::start(&self.to, NOW, &mut rand::rng()).expect("a session")
    }
}

fn one_by_one(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        let scene = Scene::of(suite);
        criterion
            .bench_function(&format!("seal 5 KB, {suite}"), |bench| bench.iter(|| black_box(scene.seal())));
        let open = |bytes| {
            let sealed = SealedMessage::parse(bytes).expect("it parses");
            let unverified = unseal(&sealed, &scene.opener).expect("it opens");
            unverified.verify(scene.signer.verifying_key(), &scene.to.did, NOW).expect("it verifies")
        };
        criterion.bench_function(&format!("open 5 KB, {suite}"), |bench| {
            bench.iter_batched(|| scene.seal().bytes().clone(), open, BatchSize::SmallInput);
        });
    }
}

/// Both figures are per message.
fn in_batches(criterion: &mut Criterion) {
    let scene = Scene::of(Suite::X0001);
    criterion.bench_function("seal 5 KB in batches of 64 with a session", |bench| {
        bench.iter_custom(|messages| {
            per_message(messages, || {
                let mut session = scene.session();
                let started = Instant::now();
                black_box(scene.seal_batch(&mut session));
                started.elapsed()
            })
        });
    });
    criterion.bench_function("open 5 KB of batches of 64 with a session", |bench| {
        bench.iter_custom(|messages| {
            per_message(messages, || {
                let (roots, cache) = (RootCache::default(), OpenCache::default());
                let sealed = scene.seal_batch(&mut scene.session());
                let started = Instant::now();
                for message in sealed {
                    let sealed = SealedMessage::parse(message.bytes().clone()).expect("it parses");
                    let unverified = unseal_with(&sealed, &cache, &scene.opener).expect("it opens");
                    let opened =
                        unverified.verify_with(&roots, scene.signer.verifying_key(), &scene.to.did, NOW);
                    black_box(opened.expect("it verifies"));
                }
                started.elapsed()
            })
        });
    });
}

/// The time of `messages` messages, measured in whole batches.
fn per_message(messages: u64, mut of_a_batch: impl FnMut() -> Duration) -> Duration {
    let batches = messages.div_ceil(BATCH_MESSAGES_MAX as u64);
    let total: Duration = (0..batches).map(|_| of_a_batch()).sum();
    total.mul_f64(messages as f64 / (batches * BATCH_MESSAGES_MAX as u64) as f64)
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = one_by_one, in_batches
}
criterion_main!(benches);
