//! Sealed messages that are broken, forged, stale or meant for somebody else: each is refused with a reason, in the
//! acknowledgement or in the journal and a signed receipt, and none is delivered.

use bytes::Bytes;
use dccp::Did;
use dccp::keys::SigningKey;
use dccp::mail;
use dccp::message::FsClass;
use dccp::receipt::Action;
use dccp::seal::SealedMessage;
use dccp::xwing::DecapsulationKey;
use tests::mallory::{Mallory, now, payload, seal_as};

use crate::{Scene, await_unopened, journal_on_mallory};

const HOUR_MS: u64 = 3_600_000;

/// A mail that would be delivered if it were not spoiled.
fn good(mallory: &Mallory, scene: &Scene) -> SealedMessage {
    mallory.mail(
        scene.globex(),
        "mallory@mallory.test",
        "bob@globex.test",
        b"Subject: spoiled\r\n\r\nspoiled\r\n",
    )
}

fn good_payload() -> Bytes {
    payload("mallory@mallory.test", "bob@globex.test", b"Subject: spoiled\r\n\r\nspoiled\r\n")
}

/// Sends `sealed`, which globex keeps and then cannot open: its receipt and its journal say why.
fn is_given_up_because(reason: &str, sealed: SealedMessage, scene: &Scene, mallory: &mut Mallory) {
    let before = scene.globex().metric("dccp_unopened_total") as usize;
    mallory.send(scene.globex(), sealed.clone()).expect("what cannot be judged before it is opened is kept");
    let verdict = mallory.verdict_on(scene.globex(), &sealed);
    assert_eq!(verdict.action, Action::Failed, "{verdict:?}");
    assert!(verdict.diagnostic.contains(reason), "{reason:?}: {verdict:?}");
    await_unopened(scene.globex(), before + 1);
    let journal = journal_on_mallory(scene.globex());
    assert!(journal[0].contains("failed") && journal[0].contains(reason), "{reason:?}: {}", journal[0]);
}

#[test]
fn a_truncated_message_is_refused_at_the_door() {
    let (scene, mallory) = Scene::with_mallory();
    let whole = good(&mallory, &scene).bytes().clone();
    let lengths = [0, 1, 2, 50, 1_120, 1_200, whole.len() / 2, whole.len() - 16, whole.len() - 1];
    let pieces: Vec<Bytes> = lengths.iter().map(|length| whole.slice(..*length)).collect();
    assert!(pieces.iter().all(|piece| SealedMessage::parse(piece.clone()).is_err()), "no piece parses");
    let longer = Bytes::from([&whole[..], b"\0"].concat());
    assert!(SealedMessage::parse(longer.clone()).is_err(), "nor does more than the whole");

    let refusals = mallory.raw(scene.globex()).deliver(pieces.into_iter().chain([longer]));
    assert_eq!(refusals.len(), lengths.len() + 1, "{refusals:?}");
    assert!(journal_on_mallory(scene.globex()).is_empty(), "nothing of it is kept");
    scene.ends_well(0);
}

#[test]
fn another_version_and_an_unknown_suite_are_refused_by_number() {
    let (scene, mallory) = Scene::with_mallory();
    let whole = good(&mallory, &scene).bytes().clone();
    assert_eq!(whole[..4], [0x08, 1, 0x10, 1], "version and suite stand in front");
    let with = |at: usize, value: u8| {
        let mut octets = whole.to_vec();
        octets[at] = value;
        Bytes::from(octets)
    };
    let refusals =
        mallory.raw(scene.globex()).deliver([with(1, 2), with(1, 0x7f), with(3, 3), with(3, 0x7e)]);
    for (seq, words) in [(1, "version 2"), (2, "version 127"), (3, "0x0003"), (4, "0x007e")] {
        let refusal = refusals.get(&seq).expect("refused");
        assert!(refusal.starts_with("Unsupported") && refusal.contains(words), "{refusal}");
    }
    scene.ends_well(0);
}

/// Which octets get a bit flipped: all of the header, some of the rest, all of the tag at the end.
fn positions(length: usize) -> Vec<usize> {
    let header = 0..48;
    let tag = length - 16..length;
    header.chain((48..length - 16).step_by(97)).chain(tag).collect()
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (scene, mallory) = Scene::with_mallory();
    let whole = good(&mallory, &scene).bytes().clone();
    let flip = |at: usize| {
        let mut octets = whole.to_vec();
        octets[at] ^= 1 << (at % 8);
        Bytes::from(octets)
    };
    let flipped: Vec<Bytes> = positions(whole.len()).into_iter().map(flip).collect();
    let (parsing, refused): (Vec<_>, Vec<_>) =
        flipped.iter().partition(|octets| SealedMessage::parse((*octets).clone()).is_ok());
    assert!(parsing.len() > 50 && refused.len() > 5, "{} parse and {} do not", parsing.len(), refused.len());

    let refusals = mallory.raw(scene.globex()).deliver(flipped.iter().cloned());
    assert_eq!(refusals.len(), refused.len(), "{refusals:?}");
    await_unopened(scene.globex(), parsing.len());
    scene.sites.globex.settled();
    let journal = journal_on_mallory(scene.globex());
    assert_eq!(journal.len(), parsing.len());
    for reasons in journal {
        let known = ["cannot be decrypted", "which we do not hold", "KEM", "ciphertext"];
        assert!(known.iter().any(|words| reasons.contains(words)), "{reasons}");
    }
    scene.ends_well(0);
}

#[test]
fn a_message_to_a_key_that_is_not_ours_is_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let mut key = mallory.prekey_of(scene.globex());
    key.kem = DecapsulationKey::generate(&mut rand::rng()).encapsulation_key().clone().into();
    key.key_id = key.kem.key_id();
    let sealed = mallory.seal(&mallory.draft(&key, mail::CONTENT_TYPE, good_payload()), &key);
    is_given_up_because("which we do not hold", sealed, &scene, &mut mallory);
    scene.ends_well(0);
}

#[test]
fn a_message_for_somebody_else_that_was_sealed_to_us_is_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let mut key = mallory.prekey_of(scene.globex());
    key.did = mallory.custody.did().clone();
    let sealed = mallory.seal(&mallory.draft(&key, mail::CONTENT_TYPE, good_payload()), &key);
    is_given_up_because("not addressed to us", sealed, &scene, &mut mallory);
    scene.ends_well(0);
}

#[test]
fn a_message_signed_by_a_key_that_is_no_device_of_its_sender_is_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let key = mallory.prekey_of(scene.globex());
    let stranger = SigningKey::generate(&mut rand::rng()).into();
    let unknown_key =
        seal_as(&mallory.draft(&key, mail::CONTENT_TYPE, good_payload()), &key, &stranger, now());
    is_given_up_because("not one of the sender's devices", unknown_key, &scene, &mut mallory);

    let operator = SigningKey::from_seed(&mallory.custody.operator().seed()).into();
    let operator = seal_as(&mallory.draft(&key, mail::CONTENT_TYPE, good_payload()), &key, &operator, now());
    is_given_up_because("not one of the sender's devices", operator, &scene, &mut mallory);

    let mut in_acmes_name = mallory.draft(
        &key,
        mail::CONTENT_TYPE,
        payload("alice@acme.test", "bob@globex.test", b"X: y\r\n\r\n"),
    );
    in_acmes_name.sender = did_of_acme(&scene);
    let in_acmes_name = mallory.seal(&in_acmes_name, &key);
    is_given_up_because("not one of the sender's devices", in_acmes_name, &scene, &mut mallory);

    let mut in_nobodys_name = mallory.draft(&key, mail::CONTENT_TYPE, good_payload());
    in_nobodys_name.sender =
        "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("a DID");
    let in_nobodys_name = mallory.seal(&in_nobodys_name, &key);
    is_given_up_because("is not a partner", in_nobodys_name, &scene, &mut mallory);
    scene.ends_well(0);
}

fn did_of_acme(scene: &Scene) -> Did {
    let (_, body) = scene.acme().get("/api/v1/overview");
    let overview: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    overview["did"].as_str().expect("a DID").parse().expect("a DID")
}

#[test]
fn a_message_from_the_past_or_the_future_is_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let key = mallory.prekey_of(scene.globex());
    let mut stale = mallory.draft(&key, mail::CONTENT_TYPE, good_payload());
    stale.timestamp = now().saturating_sub_ms(2 * HOUR_MS);
    stale.expires = now().saturating_sub_ms(HOUR_MS);
    let stale = seal_as(&stale, &key, mallory.custody.device(), now().saturating_sub_ms(2 * HOUR_MS));
    is_given_up_because("has expired", stale, &scene, &mut mallory);

    let mut early = mallory.draft(&key, mail::CONTENT_TYPE, good_payload());
    early.timestamp = now().saturating_add_ms(HOUR_MS);
    early.expires = now().saturating_add_ms(2 * HOUR_MS);
    let early = mallory.seal(&early, &key);
    is_given_up_because("from the future", early, &scene, &mut mallory);
    scene.ends_well(0);
}

/// Protocol §8.1, step 5: who opens the archive later must be able to trust what it says about its protection.
#[test]
fn a_message_that_lies_about_its_forward_secrecy_is_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let mut key = mallory.prekey_of(scene.globex());
    key.fs_class = FsClass::Static;
    let sealed = mallory.seal(&mallory.draft(&key, mail::CONTENT_TYPE, good_payload()), &key);
    is_given_up_because("static", sealed, &scene, &mut mallory);
    scene.ends_well(0);
}

#[test]
fn contents_that_are_no_mail_are_given_up() {
    let (scene, mut mallory) = Scene::with_mallory();
    let key = mallory.prekey_of(scene.globex());
    let spoiled =
        |content_type: &str, payload: Bytes| mallory.seal(&mallory.draft(&key, content_type, payload), &key);
    let two_lines = "bob@globex.test>\r\nRCPT TO:<carol@globex.test";
    let cases = [
        (spoiled("application/x-mallory", good_payload()), "content type \"application/x-mallory\""),
        (spoiled("MESSAGE/RFC822", good_payload()), "content type"),
        (spoiled(mail::CONTENT_TYPE, Bytes::from_static(b"\xff\xff\xff garbage")), "content is not readable"),
        (spoiled(mail::CONTENT_TYPE, Bytes::new()), "forward paths"),
        (
            spoiled(mail::CONTENT_TYPE, payload("mallory@mallory.test", two_lines, b"X: y\r\n\r\n")),
            "malformed path",
        ),
        (
            spoiled(
                mail::CONTENT_TYPE,
                payload("mallory@mallory.test\r\nDATA", "bob@globex.test", b"X: y\r\n\r\n"),
            ),
            "malformed path",
        ),
    ];
    for (sealed, reason) in cases {
        is_given_up_because(reason, sealed, &scene, &mut mallory);
    }
    scene.ends_well(0);
}
