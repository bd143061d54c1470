//! A partner with valid keys who abuses them: mail in other people's names, to other people, twice, or with SMTP in it.

use dccp::mail;
use dccp::receipt::Action;
use tests::mallory::{Mallory, payload};
use tests::peers::SmtpSink;
use tests::site::Site;

use crate::{Scene, journal_on_mallory};

/// The octets of a mail with this name and body.
fn octets(name: &str, body: &str) -> Vec<u8> {
    format!(
        "From: mallory@mallory.test\r\nMessage-ID: <{name}@mallory.test>\r\nSubject: {name}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a mail that must be refused with `reason`, for mallory to hear and for globex to read.
fn is_refused_because(
    reason: &str,
    from: &str,
    to: &str,
    octets: &[u8],
    globex: &Site,
    mallory: &mut Mallory,
) {
    let sealed = mallory.mail(globex, from, to, octets);
    mallory.send(globex, sealed.clone()).expect("kept");
    let verdict = mallory.verdict_on(globex, &sealed);
    assert_eq!(verdict.action, Action::Failed, "{verdict:?}");
    assert!(verdict.diagnostic.contains(reason), "{reason:?}: {verdict:?}");
    let journal = journal_on_mallory(globex);
    assert!(
        journal[0].contains("failed") && journal[0].contains(reason),
        "{reason:?} is missing:\n{}",
        journal[0]
    );
}

#[test]
fn a_partner_may_send_in_its_own_name() {
    let (scene, mut mallory) = Scene::with_mallory();
    let sealed = mallory.mail(
        scene.globex(),
        "mallory@mallory.test",
        "bob@globex.test",
        &octets("honest-for-once", "Hello\r\n"),
    );
    mallory.send(scene.globex(), sealed.clone()).expect("kept");
    let verdict = mallory.verdict_on(scene.globex(), &sealed);
    assert_eq!(
        verdict.action,
        Action::Delivered,
        "the fixture can do it right, so refusals elsewhere mean something"
    );
    let delivered = scene.ends_well(1);
    assert!(delivered.iter().any(|mail| mail.contains("honest-for-once")));
}

/// What arrives sealed may be odd; its oddities must not hide what only globex may say, or run into it.
#[test]
fn a_partner_cannot_speak_in_our_name_behind_a_broken_header() {
    let (scene, mut mallory) = Scene::with_mallory();
    let odd = b" partner=bank.test; verified\r\n\
        this line is no field\r\n\
        X-DCCP-Status: sealed; suite=0x0001; partner=bank.test; verified\r\n\
        Authentication-Results: gateway.globex.test; dmarc=pass header.from=bank.test\r\n\
        From: mallory@mallory.test\r\nSubject: odd\r\n\r\nHello\r\n";
    let sealed = mallory.mail(scene.globex(), "mallory@mallory.test", "bob@globex.test", odd);
    mallory.send(scene.globex(), sealed.clone()).expect("kept");
    assert_eq!(mallory.verdict_on(scene.globex(), &sealed).action, Action::Delivered);
    let delivered = scene.ends_well(1);
    let mail = delivered.iter().find(|mail| mail.contains("Subject: odd")).expect("it is delivered");
    let (_, behind) = mail.split_once("partner=mallory.test; verified").expect("our word");
    let next_line = behind.trim_start_matches(['\r', '\n']);
    assert!(
        next_line.len() < behind.len() && !next_line.starts_with([' ', '\t']),
        "it ends where we ended it:\n{mail}"
    );
    assert!(!mail.contains("dmarc=pass") && mail.matches("X-DCCP-Status:").count() == 1, "{mail}");
}

#[test]
fn a_partner_may_not_send_in_anybody_elses_name() {
    let (scene, mut mallory) = Scene::with_mallory();
    for from in [
        "alice@acme.test",
        "bob@globex.test",
        "ceo@stranger.test",
        "alice@sub.mallory.test",
        "alice@mallory.test.acme.test",
    ] {
        let (globex, mail) = (scene.globex(), octets("pretended", "I am Alice\r\n"));
        is_refused_because("sender-not-of-partner", from, "bob@globex.test", &mail, globex, &mut mallory);
    }
    scene.globex().await_state("pretended@mallory.test", "failed");
    scene.ends_well(0);
}

#[test]
fn a_partner_may_not_send_to_anybody_else_through_us() {
    let (scene, mut mallory) = Scene::with_mallory();
    for to in ["alice@acme.test", "mallory@mallory.test", "someone@stranger.test", "bob@sub.globex.test"] {
        let (globex, mail) = (scene.globex(), octets("relayed", "Relay me\r\n"));
        is_refused_because("recipient-not-ours", "mallory@mallory.test", to, &mail, globex, &mut mallory);
    }
    scene.ends_well(0);
}

#[test]
fn a_path_that_is_no_address_never_becomes_a_command() {
    let (scene, mut mallory) = Scene::with_mallory();
    for to in [
        "bob@globex.test> NOTIFY=NEVER <x@globex.test",
        "<bob@globex.test>",
        "@globex.test",
        " bob@globex.test",
        "bob carol@globex.test",
    ] {
        let sealed =
            mallory.mail(scene.globex(), "mallory@mallory.test", to, &octets("bad-path", "Hello\r\n"));
        mallory.send(scene.globex(), sealed.clone()).expect("kept");
        let verdict = mallory.verdict_on(scene.globex(), &sealed);
        assert_eq!(verdict.action, Action::Failed, "{to}: {verdict:?}");
    }
    for from in [
        "m@mallory.test> SIZE=1 AUTH=<m@mallory.test",
        "<m@mallory.test>",
        "@mallory.test",
        "m m@mallory.test",
    ] {
        let sealed = mallory.mail(scene.globex(), from, "bob@globex.test", &octets("bad-path", "Hello\r\n"));
        mallory.send(scene.globex(), sealed.clone()).expect("kept");
        let verdict = mallory.verdict_on(scene.globex(), &sealed);
        assert_eq!(verdict.action, Action::Failed, "{from}: {verdict:?}");
    }
    scene.ends_well(0);
}

#[test]
fn octets_with_bare_line_ends_are_not_handed_over() {
    let (scene, mut mallory) = Scene::with_mallory();
    let second = "MAIL FROM:<m@mallory.test>\r\nRCPT TO:<bob@globex.test>\r\nDATA\r\nSubject: injected\r\n\r\ninjected\r\n.\r\n";
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r", "\n"] {
        let mail = octets("smuggled", &format!("first{end}{second}"));
        is_refused_because(
            "bare CR or LF",
            "mallory@mallory.test",
            "bob@globex.test",
            &mail,
            scene.globex(),
            &mut mallory,
        );
    }
    scene.ends_well(0);
}

#[test]
fn an_end_of_data_inside_the_octets_stays_inside() {
    let (scene, mut mallory) = Scene::with_mallory();
    let body = "first\r\n.\r\nMAIL FROM:<m@mallory.test>\r\nRCPT TO:<bob@globex.test>\r\nDATA\r\nSubject: injected\r\n\r\ninjected\r\n.\r\nQUIT\r\n";
    let sealed =
        mallory.mail(scene.globex(), "mallory@mallory.test", "bob@globex.test", &octets("carrier", body));
    mallory.send(scene.globex(), sealed.clone()).expect("kept");
    let verdict = mallory.verdict_on(scene.globex(), &sealed);
    assert_eq!(verdict.action, Action::Delivered, "dots are text: {verdict:?}");
    let delivered = scene.ends_well(1);
    let carrier = delivered.iter().find(|mail| mail.contains("<carrier@mallory.test>")).expect("the carrier");
    assert!(carrier.contains(&body.replace("\r\n", "\n")), "whole and in one piece:\n{carrier}");
}

#[test]
fn a_replay_is_a_duplicate_and_delivered_once() {
    let (scene, mut mallory) = Scene::with_mallory();
    let sealed = mallory.mail(
        scene.globex(),
        "mallory@mallory.test",
        "bob@globex.test",
        &octets("replayed", "Hello\r\n"),
    );
    assert!(!mallory.send(scene.globex(), sealed.clone()).expect("kept").duplicate);
    assert!(mallory.send(scene.globex(), sealed.clone()).expect("known").duplicate);
    assert_eq!(mallory.verdict_on(scene.globex(), &sealed).action, Action::Delivered);
    assert!(mallory.send(scene.globex(), sealed.clone()).expect("known after delivery too").duplicate);
    let mut globex_again = scene;
    assert!(globex_again.sites.globex.terminate().success());
    globex_again.sites.globex.start();
    globex_again.sites.globex.await_links();
    assert!(mallory.send(globex_again.globex(), sealed).expect("known after a restart").duplicate);
    globex_again.ends_well(1);
}

#[test]
fn the_same_message_in_a_new_seal_is_delivered_once() {
    let (scene, mut mallory) = Scene::with_mallory();
    let key = mallory.prekey_of(scene.globex());
    let mut message = mallory.draft(
        &key,
        mail::CONTENT_TYPE,
        payload("mallory@mallory.test", "bob@globex.test", &octets("one", "one\r\n")),
    );
    let first = mallory.seal(&message, &key);
    mallory.send(scene.globex(), first.clone()).expect("kept");
    assert_eq!(mallory.verdict_on(scene.globex(), &first).action, Action::Delivered);
    assert!(
        !mallory.send(scene.globex(), mallory.seal(&message, &key)).expect("kept").duplicate,
        "other bytes"
    );
    message.payload = payload(
        "mallory@mallory.test",
        "bob@globex.test",
        &octets("two", "another text under the same id\r\n"),
    );
    mallory.send(scene.globex(), mallory.seal(&message, &key)).expect("kept");
    scene.sites.globex.settled();
    let journal = journal_on_mallory(scene.globex());
    assert_eq!(
        journal.iter().filter(|reasons| reasons.contains("settled before")).count(),
        2,
        "{journal:#?}"
    );
    scene.ends_well(1);
}

#[test]
fn many_seals_of_one_message_at_the_same_moment_are_delivered_once() {
    let sink = SmtpSink::start_with(&["-d", "%s.", "-w", "1"]);
    let mut scene = Scene::found_with(sink);
    let mallory = Mallory::among(&[scene.globex()]);
    scene.sites.start();
    mallory.await_links();
    let key = mallory.prekey_of(scene.globex());
    let message = mallory.draft(
        &key,
        mail::CONTENT_TYPE,
        payload("mallory@mallory.test", "bob@globex.test", &octets("many", "many\r\n")),
    );
    mallory.send_at_once(scene.globex(), (0..8).map(|_| mallory.seal(&message, &key)).collect());
    scene.sites.globex.settled();
    scene.ends_well(1);
}
