//! Forward secrecy, seen by a thief: he has the sealed messages that crossed yesterday, and then comes by data
//! directories and key files. Real gateways, real mail, real keys; only the thief's calendar is turned.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use dccp::batch::RootCache;
use dccp::did::{Device, Manifest};
use dccp::keys::{DeviceSigner, SigningKey, falcon};
use dccp::mail;
use dccp::message::FsClass;
use dccp::partner::PartnerFile;
use dccp::prekey::OneTimePrekey;
use dccp::receipt::Action;
use dccp::seal::{RecipientKey, SealedMessage, unseal, unseal_with};
use dccp::stock::Question;
use dccp::{Did, Suite, UnixMillis};
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::flows::sealing::{BUSY_PER_S, Sealer, Suites};
use gateway::forward::{AskPrekeys, Prekeys, Refill, Shelf};
use gateway::introductions::Gossip;
use gateway::metrics::Metrics;
use gateway::partners::Partners;
use gateway::spool::{Arrival, Direction, Kind, NewRow, RowId, Spool, SpoolConfig, SpoolGuard, State, Turn};
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tests::mallory::{Mallory, now, payload, seal_as};
use tests::peers::{SmtpSink, free_port};
use tests::site::{PATIENCE, Site, TwoSites, eventually};
use tests::submit::{letter, submitted};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const DAY_MS: u64 = 24 * 3_600_000;

/// Everything under a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let there = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &there),
            false => drop(fs::copy(entry.path(), there).expect("copied")),
        }
    }
}

/// A folder of a gateway that somebody took away: configuration, keys and data.
struct Loot(TempDir);

impl Loot {
    fn of(site: &Site) -> Loot {
        site.at_one_moment(|| Loot::of_folder(site.folder()))
    }

    fn of_folder(folder: &Path) -> Loot {
        let loot = Loot(tempfile::tempdir().expect("a folder"));
        copy(folder, loot.0.path());
        let text = fs::read_to_string(loot.config_path()).expect("a configuration");
        let (there, here) = (folder.display().to_string(), loot.0.path().display().to_string());
        fs::write(loot.config_path(), text.replace(&there, &here)).expect("written");
        loot
    }

    /// The same with the data directory of another day.
    fn with_data(self, of: &Loot) -> Loot {
        fs::remove_dir_all(self.data()).expect("removed");
        copy(&of.data(), &self.data());
        self
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn config_path(&self) -> PathBuf {
        self.0.path().join("dccp-config.yaml")
    }

    fn config(&self) -> Config {
        Config::load(&self.config_path()).expect("a configuration")
    }

    /// What the gateway itself would do here at `at`, its daily work included.
    async fn live_on(&self, at: UnixMillis) {
        let (spool, guard) = open(&self.config());
        Custody::load(&self.config(), &spool, at).await.expect("the gateway starts");
        guard.close().await;
    }

    /// Whether any key in here opens the message.
    async fn opens(&self, sealed: &SealedMessage) -> bool {
        let (spool, guard) = open(&self.config());
        let custody = Custody::open(&self.config(), now()).expect("key files");
        custody.take_stored_prekeys(now(), &spool).await.expect("what is stored");
        let device = custody.own_device().kem.key_id();
        let keys = [custody.device_kem(&sealed.key_id()), custody.device_kem(&device)];
        let claimed =
            spool.due(Direction::In, None, UnixMillis(u64::MAX >> 1), 100, usize::MAX).await.expect("rows");
        let mut opens = keys.into_iter().flatten().any(|key| unseal(sealed, &key).is_ok());
        for row in claimed {
            let key =
                custody.opening_key(&sealed.key_id(), row.claimed.as_ref(), &spool).await.expect("a look");
            opens |= key.is_some_and(|(key, _)| unseal(sealed, &key).is_ok());
        }
        guard.close().await;
        opens
    }
}

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
            let mix = Loot::of_folder(tomorrow.0.path()).with_data(of_yesterday);
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

/// Acme's sealing and globex's opening, without the road between them.
struct Pair {
    acme: Arc<Custody>,
    globex: Arc<Custody>,
    spools: [(Spool, Option<SpoolGuard>); 2],
    partners: [watch::Receiver<Arc<Partners>>; 2],
    metrics: Metrics,
    _sites: TwoSites,
}

/// Asks globex as if over the overlay.
struct Wire {
    prekeys: Prekeys,
    asker: Did,
}

#[async_trait]
impl AskPrekeys for Wire {
    async fn ask(&self, _partner: &Did, question: Vec<u8>) -> Option<Vec<u8>> {
        self.prekeys.answer(&self.asker, &question).await
    }
}

impl Pair {
    async fn found() -> Pair {
        let sites = TwoSites::found("lmtp:127.0.0.1:9", "lmtp:127.0.0.1:9");
        let configs =
            [&sites.acme, &sites.globex].map(|site| Config::load(&site.config()).expect("configured"));
        let spools = configs.each_ref().map(open);
        let acme = Arc::new(Custody::load(&configs[0], &spools[0].0, now()).await.expect("keys"));
        let globex = Arc::new(Custody::load(&configs[1], &spools[1].0, now()).await.expect("keys"));
        globex.restock(now(), &spools[1].0).await.expect("a stock");
        let mut partners = Vec::new();
        for (spool, _) in &spools {
            partners.push(watch::channel(Arc::new(Partners::load(spool, now()).await.expect("partners"))).1);
        }
        let partners = partners.try_into().unwrap_or_else(|_| unreachable!("two"));
        let spools = spools.map(|(spool, guard)| (spool, Some(guard)));
        let metrics = Metrics::new(&mut Registry::default());
        Pair { acme, globex, spools, partners, metrics, _sites: sites }
    }

    fn wire(&self) -> Wire {
        let prekeys = Prekeys {
            custody: self.globex.clone(),
            spool: self.spools[1].0.clone(),
            partners: self.partners[1].clone(),
            metrics: self.metrics.clone(),
            clock: now,
        };
        Wire { prekeys, asker: self.acme.did().clone() }
    }

    /// Globex takes the message in and opens it; the kind of key that did.
    async fn opened(&self, sealed: &SealedMessage, roots: &RootCache) -> FsClass {
        let spool = &self.spools[1].0;
        let row = arriving(self.acme.did(), sealed);
        let Arrival::Fresh { claimed } = spool.arrive(row, vec![]).await.expect("kept") else {
            panic!("known")
        };
        let key = self.globex.opening_key(&sealed.key_id(), claimed.as_ref(), spool).await.expect("a look");
        let (key, fs_class) = key.expect("a key");
        let unverified = unseal_with(sealed, self.globex.sessions(), &key).expect("opens");
        let signer = self.acme.device().verifying_key();
        let opened = unverified.verify_with(roots, signer, self.globex.did(), now()).expect("verifies");
        assert_eq!(opened.message.fs_class, fs_class);
        fs_class
    }

    async fn close(mut self) {
        for (_, guard) in &mut self.spools {
            guard.take().expect("open").close().await;
        }
    }
}

fn arriving(from: &Did, sealed: &SealedMessage) -> NewRow {
    let id = RowId::fresh();
    NewRow {
        id,
        queue_id: id.to_string(),
        direction: Direction::In,
        kind: Kind::Unopened,
        partner: Some(from.to_string()),
        partner_domain: "acme.test".to_owned(),
        body: sealed.bytes().clone(),
        large: None,
        slip: None,
        summary: Vec::new(),
        message_id_tag: None,
        digest: sealed.digest(),
        sealed_to: Some(*sealed.key_id().as_bytes()),
        size: 1,
        now: now(),
        next_at: now(),
        expires_at: now().saturating_add_ms(DAY_MS),
        state: State::Queued,
        held_by: None,
        turn: Turn::default(),
        leased: true,
    }
}

#[test]
fn sealing_takes_one_time_keys_first_and_a_session_in_a_rush() {
    runtime().block_on(async {
        let pair = Pair::found().await;
        let shelf = Shelf::default();
        let (gossip, _heard) = Gossip::new(now);
        let sealer = Sealer::new(pair.acme.clone(), Suites::default(), shelf.clone(), gossip, now);
        let sealer = sealer.expect("a thread");
        let stop = CancellationToken::new();
        let partners = pair.partners[0].clone();
        let refill = Refill { shelf, asker: Arc::new(pair.wire()), partners: partners.clone(), clock: now };
        let refilling = tokio::spawn(refill.run(stop.clone()));
        let snapshot = partners.borrow().clone();
        let globex = snapshot.by_did(pair.globex.did()).expect("a partner");
        let expires = now().saturating_add_ms(DAY_MS);
        let seal =
            || async { sealer.receipts(RowId::fresh(), &[], globex, expires).await.expect("sealed").0 };
        let roots = RootCache::default();

        let first = seal().await;
        assert_eq!(
            pair.opened(&first, &roots).await,
            FsClass::Epoch,
            "nothing is at hand yet, and nobody waits"
        );
        assert!(first.seq().is_none(), "one message is no rush");
        let patience = Instant::now() + PATIENCE;
        while pair.opened(&seal().await, &roots).await != FsClass::OneTime {
            assert!(Instant::now() < patience, "no one-time key comes to hand");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
        refilling.await.expect("the refill ends");

        // All at once, so that many share a signature.
        let rush = futures::future::join_all((0..20 * BUSY_PER_S).map(|_| seal())).await;
        let mut once = HashSet::new();
        let mut in_session = 0;
        for sealed in &rush {
            match (pair.opened(sealed, &roots).await, sealed.seq()) {
                (FsClass::OneTime, None) => assert!(once.insert(*sealed.key_id().as_bytes()), "used twice"),
                (FsClass::Epoch, Some(_)) => in_session += 1,
                other => panic!("{other:?} in a rush"),
            }
        }
        assert!((1..=64).contains(&once.len()), "the shelf is bounded: {}", once.len());
        assert_eq!(once.len() + in_session, rush.len());
        pair.close().await;
    });
}
