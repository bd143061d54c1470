//! Forward secrecy, seen by a thief: he has the sealed messages that crossed yesterday, and then comes by data
//! directories and key files. Real gateways, real mail, real keys; only the thief's calendar is turned.

mod forward_secrecy {
    pub(crate) mod loot;
    mod sealing;
}

use std::fs;

use bytes::Bytes;
use dccp::did::{Device, Manifest};
use dccp::keys::{DeviceSigner, SigningKey, falcon};
use dccp::mail;
use dccp::message::FsClass;
use dccp::partner::PartnerFile;
use dccp::prekey::OneTimePrekey;
use dccp::receipt::Action;
use dccp::seal::{RecipientKey, SealedMessage};
use dccp::stock::Question;
use dccp::{Did, Suite};
use forward_secrecy::loot::Loot;
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::spool::{Spool, SpoolConfig, SpoolGuard};
use tests::mallory::{Mallory, now, payload, seal_as};
use tests::peers::{SmtpSink, free_port};
use tests::site::{Site, TwoSites, eventually};
use tests::submit::{letter, submitted};
use tokio::runtime::Runtime;

const DAY_MS: u64 = 24 * 3_600_000;

fn open(config: &Config) -> (Spool, SpoolGuard) {
    Spool::open_offline(config.database_path(), SpoolConfig::default()).expect("a spool")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The sealed messages that rest at a site at this moment: what a thief on the road captured.
async fn captured(site: &Site) -> Vec<SealedMessage> {
    let (spool, guard) = open(&Config::load(&site.config()).expect("a configuration"));
    let look = "SELECT body FROM bodies JOIN rows ON rows.seq = bodies.row WHERE direction = 1";
    let bodies = spool.read(move |db| db.prepare(look)?.query_map([], |row| row.get(0))?.collect()).await;
    let bodies: Vec<Vec<u8>> = bodies.expect("the bodies");
    guard.close().await;
    bodies.into_iter().map(|body| SealedMessage::parse(Bytes::from(body)).expect("sealed")).collect()
}

/// The sentence of the design: yesterday's full data directory and all of today's keys do not open yesterday's messages.
#[test]
fn yesterdays_data_directory_and_all_of_todays_keys_open_nothing_that_crossed_yesterday() {
    let mail_server = free_port();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("smtp:127.0.0.1:{mail_server}"));
    sites.start();
    submitted(
        sites.acme.smtp,
        "alice@acme.test",
        &["bob@globex.test"],
        &letter("captured@acme.test", "Hello"),
    );
    let runtime = runtime();
    let captured = eventually("the mail rests at globex", || runtime.block_on(captured(&sites.globex)).pop());
    let waiting = Loot::of(&sites.globex);
    let _sink = SmtpSink::start_on(mail_server);
    sites.acme.await_state("captured@acme.test", "delivered");
    sites.settled();
    let journal = sites.globex.await_state("captured@acme.test", "delivered").to_string();
    assert!(journal.contains("epoch key"), "{journal}");
    assert!(sites.globex.terminate().success());

    let yesterday = Loot::of(&sites.globex);
    let tomorrow = Loot::of(&sites.globex);
    runtime.block_on(async {
        assert!(yesterday.opens(&captured).await, "the thief is no fool: with yesterday's keys he reads");
        tomorrow.live_on(now().saturating_add_ms(DAY_MS)).await;
        assert!(tomorrow.opens(&captured).await, "the gateway itself still opens what is late");
        for of_yesterday in [&yesterday, &waiting] {
            let mix = tomorrow.copied().with_data(of_yesterday);
            assert!(!mix.opens(&captured).await, "yesterday's data directory opens with today's keys");
        }
        tomorrow.live_on(now().saturating_add_ms(5 * DAY_MS)).await;
        assert!(!tomorrow.opens(&captured).await, "after 72 hours everything together opens it");
    });
}

/// The first mail does not wait for a one-time key; those that follow have one each.
#[test]
fn mail_between_two_gateways_soon_travels_under_one_time_keys() {
    let sink = SmtpSink::start();
    let mut sites = TwoSites::found("lmtp:127.0.0.1:9", &format!("smtp:127.0.0.1:{}", sink.port()));
    sites.start();
    let mut mails = 0;
    eventually("a mail has a one-time key", || {
        mails += 1;
        let id = format!("once-{mails}@acme.test");
        submitted(sites.acme.smtp, "alice@acme.test", &["bob@globex.test"], &letter(&id, "Hello"));
        let sent = sites.acme.await_state(&id, "delivered").to_string();
        let opened = sites.globex.await_state(&id, "delivered").to_string();
        assert_eq!(sent.contains("one-time key"), opened.contains("one-time key"), "{sent}\n{opened}");
        opened.contains("one-time key").then_some(())
    });
    assert!(sites.globex.metric("dccp_one_time_keys_served_total") >= 1.0);
    sites.settled();
}

/// One-time keys of a running gateway, given by another process on its database.
fn served_beside(runtime: &Runtime, site: &Site, to: &Did, count: usize) -> Vec<OneTimePrekey> {
    let config = Config::load(&site.config()).expect("a configuration");
    eventually("the gateway has a stock", || {
        runtime.block_on(async {
            let (spool, guard) = open(&config);
            let custody = Custody::open(&config, now()).expect("the keys of init");
            let question = Question { count, suite: Suite::X0001 };
            let stock = custody.serve(to, question, now(), &spool).await.expect("served");
            guard.close().await;
            stock.map(|stock| stock.verify(custody.document(), now()).expect("a valid stock"))
        })
    })
}

fn recipient(key: &OneTimePrekey) -> RecipientKey {
    let (did, kem) = (key.did.clone(), key.kem.clone());
    RecipientKey { did, suite: Suite::X0001, key_id: key.key_id, kem, fs_class: FsClass::OneTime }
}

fn good_mail() -> Bytes {
    payload("m@mallory.test", "bob@globex.test", b"From: m@mallory.test\r\nSubject: once\r\n\r\nOnce.\r\n")
}

#[test]
fn a_one_time_key_opens_one_message_and_is_gone_with_it() {
    let sink = SmtpSink::start();
    let mut globex = Site::found("globex.test", &format!("smtp:127.0.0.1:{}", sink.port()));
    let mut mallory = Mallory::among(&[&globex]);
    globex.start();
    mallory.await_links();
    let runtime = runtime();
    let key = served_beside(&runtime, &globex, mallory.custody.did(), 1).remove(0);
    let secret = sealed_key(&runtime, &globex, &key);
    let to = recipient(&key);

    let first = mallory.seal(&mallory.draft(&to, mail::CONTENT_TYPE, good_mail()), &to);
    mallory.send(&globex, first.clone()).expect("kept");
    let verdict = mallory.verdict_on(&globex, &first);
    assert_eq!(verdict.action, Action::Delivered, "{verdict:?}");
    let (_, journal) = globex.get("/api/v1/messages");
    assert!(journal.contains("delivered"), "{journal}");
    eventually("the key is in no file any more", || {
        let files = ["gateway.db", "gateway.db-wal"]
            .map(|name| fs::read(globex.data().join(name)).unwrap_or_default());
        let found = files.iter().any(|file| file.windows(secret.len()).any(|window| window == secret));
        (!found).then_some(())
    });
    assert!(
        !runtime.block_on(Loot::of(&globex).opens(&first)),
        "the whole folder opens a message that was delivered"
    );

    for after_restart in [false, true] {
        if after_restart {
            globex.kill();
            globex.start();
            globex.await_links();
        }
        let again = mallory.seal(&mallory.draft(&to, mail::CONTENT_TYPE, good_mail()), &to);
        mallory.send(&globex, again.clone()).expect("kept");
        let verdict = mallory.verdict_on(&globex, &again);
        assert_eq!(verdict.action, Action::Failed, "{verdict:?}");
        assert!(verdict.diagnostic.contains("which we do not hold"), "{verdict:?}");
    }
    globex.settled();
}

/// The key as it rests in the database.
fn sealed_key(runtime: &Runtime, site: &Site, key: &OneTimePrekey) -> Vec<u8> {
    let (spool, guard) = open(&Config::load(&site.config()).expect("a configuration"));
    let (look, key_id) = ("SELECT sealed FROM one_time_keys WHERE key_id = ?1", *key.key_id.as_bytes());
    runtime.block_on(async {
        let sealed = spool.read(move |db| db.query_row(look, [key_id], |row| row.get(0))).await;
        guard.close().await;
        sealed.expect("a key at rest")
    })
}

/// Mallory's device learns FN-DSA, and its organisation says so in its manifest: all of it is properly signed.
#[test]
fn a_message_in_a_weaker_suite_than_agreed_is_refused_and_counted() {
    let sink = SmtpSink::start();
    let mut globex = Site::found("globex.test", &format!("smtp:127.0.0.1:{}", sink.port()));
    let mut mallory = Mallory::among(&[&globex]);
    let hybrid = SigningKey::from_seed(&mallory.custody.device().hybrid().seed());
    let weak = DeviceSigner::new(hybrid, Some(falcon::SigningKey::generate(&mut rand::rng())));
    let device = Device { signing: weak.verifying_key().clone(), ..mallory.custody.own_device().clone() };
    let operator = mallory.custody.operator();
    let manifest =
        Manifest::sign(mallory.custody.did(), 2, &[device], &[Suite::X0102, Suite::X0001], &[operator]);
    let text = String::from_utf8(mallory.site.export()).expect("text");
    let file = PartnerFile::from_text(&text).expect("a partner file");
    let file = PartnerFile { manifest: manifest.expect("a manifest"), ..file };
    let path = globex.folder().join("weaker.partner");
    fs::write(&path, file.to_text()).expect("written");
    let done = globex.command(&["partner", "import", path.to_str().expect("a path")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    globex.start();
    mallory.await_links();

    let to = RecipientKey { suite: Suite::X0102, ..mallory.prekey_of(&globex) };
    let mut draft = mallory.draft(&to, mail::CONTENT_TYPE, good_mail());
    draft.suite = Suite::X0102;
    let sealed = seal_as(&draft, &to, &weak, now());
    mallory.send(&globex, sealed.clone()).expect("kept");
    let verdict = mallory.verdict_on(&globex, &sealed);
    assert_eq!(verdict.action, Action::Failed, "{verdict:?}");
    assert!(verdict.diagnostic.contains("refused as a downgrade"), "{verdict:?}");
    globex.await_metric("dccp_downgrades_total", 1.0);
    assert!(globex.log().contains("a downgrade was tried"), "{}", globex.log());
    globex.settled();
}
