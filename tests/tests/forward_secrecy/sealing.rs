//! Which keys a gateway takes for what it seals, without the road between the two.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dccp::Did;
use dccp::batch::RootCache;
use dccp::message::FsClass;
use dccp::seal::{SealedMessage, unseal_with};
use gateway::config::Config;
use gateway::custody::Custody;
use gateway::flows::sealing::{BUSY_PER_S, Sealer, Suites};
use gateway::forward::{AskPrekeys, Prekeys, Refill, Shelf};
use gateway::introductions::Gossip;
use gateway::metrics::Metrics;
use gateway::partners::Partners;
use gateway::spool::{Arrival, Direction, Kind, NewRow, RowId, Spool, SpoolGuard, State, Turn};
use prometheus_client::registry::Registry;
use tests::mallory::now;
use tests::site::{PATIENCE, TwoSites};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{DAY_MS, open, runtime};

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
