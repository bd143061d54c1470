//! What we believe of partners.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use dccp::partner::PartnerFile;
use dccp::tree::TreeHead;

use super::*;

/// The way to Globex, which can be closed.
pub(super) struct Road {
    pub(super) honest: Desk,
    pub(super) closed: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl Ask for Road {
    async fn ask(&self, partner: &Did, question: Vec<u8>) -> Result<Vec<u8>, AskError> {
        assert_eq!(partner, &self.honest.did());
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.closed.load(Ordering::Relaxed) {
            return Err(AskError::Unreachable("the road is closed".into()));
        }
        let acme =
            Asker::Partner("did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap());
        self.honest
            .registry
            .answer(&question, &acme, NOW)
            .await
            .ok_or(AskError::Unreachable("refused".into()))
    }
}

/// Acme, which writes to people of Globex.
pub(super) struct Acme {
    spool: Spool,
    guard: SpoolGuard,
    contacts: Contacts,
    pub(super) watch: Watch,
    pub(super) road: Road,
    _folder: TempDir,
}

impl Acme {
    async fn writes_to_globex() -> Acme {
        Acme::named("acme.test", Desk::open().await).await
    }

    /// The same under another name, and with the Globex that it is shown.
    pub(super) async fn named(domain: &str, honest: Desk) -> Acme {
        let folder = tempfile::tempdir().unwrap();
        let (spool, guard) =
            Spool::open_offline(folder.path().join("data/gateway.db"), SpoolConfig::default()).unwrap();
        let office = Office::of(domain);
        let watch = Watch::new(spool.clone(), office.did.clone());
        let contacts = Contacts::new(spool.clone(), office.vault.clone(), watch.clone());
        let road = Road { honest, closed: AtomicBool::new(false), asked: AtomicUsize::new(0) };
        Acme { spool, guard, contacts, watch, road, _folder: folder }
    }

    pub(super) fn globex(&self) -> Did {
        self.road.honest.did()
    }

    fn sought(&self, address: &str) -> Sought {
        let devices = self.road.honest.office.devices.clone();
        Sought { partner: self.globex(), devices, address: address.into() }
    }

    pub(super) async fn seek(&self, address: &str, now: UnixMillis) -> Result<Asked, AskError> {
        self.contacts.seek(&self.sought(address), &self.road, now).await
    }

    async fn found(&self, address: &str) -> Did {
        match self.seek(address, NOW).await.unwrap() {
            Asked::Person(person) => person.did,
            other => panic!("{other:?}"),
        }
    }

    async fn known(&self, address: &str, now: UnixMillis) -> Asked {
        self.contacts.known(&self.globex(), address, now).await
    }

    pub(super) async fn alarms(&self) -> Vec<TreeAlarm> {
        alarms(&self.spool).await.unwrap()
    }

    pub(super) async fn settle(&self) -> Result<(), AskError> {
        let devices = self.road.honest.office.devices.clone();
        self.watch.settle(&self.globex(), &devices, &self.road, NOW).await
    }

    pub(super) async fn close(self) {
        self.guard.close().await;
        self.road.honest.close().await;
    }
}

#[tokio::test]
async fn a_partner_is_asked_once_a_day_about_a_person_and_sooner_about_nobody() {
    let acme = Acme::writes_to_globex().await;
    let bob = acme.road.honest.publish(BOB).await;
    assert_eq!(acme.known(BOB, NOW).await, Asked::Unknown);
    assert_eq!(acme.found("Bob@Globex.test").await, bob);
    assert_eq!(acme.seek(EVE, NOW).await.unwrap(), Asked::Nobody);
    acme.seek(BOB, NOW).await.unwrap();
    assert_eq!(acme.road.asked.load(Ordering::Relaxed), 2, "what is known is not asked");

    let in_hours = |hours: u64| NOW.saturating_add_ms(hours * 3_600_000);
    assert!(matches!(acme.known(BOB, in_hours(23)).await, Asked::Person(person) if person.did == bob));
    assert_eq!(acme.known(EVE, in_hours(1)).await, Asked::Unknown);
    assert_eq!(acme.known(BOB, in_hours(24)).await, Asked::Unknown);
    acme.close().await;
}

#[tokio::test]
async fn a_partner_that_does_not_answer_changes_nothing() {
    let acme = Acme::writes_to_globex().await;
    acme.road.honest.publish(BOB).await;
    acme.road.closed.store(true, Ordering::Relaxed);
    assert!(matches!(acme.seek(BOB, NOW).await, Err(AskError::Unreachable(_))));
    assert_eq!(acme.known(BOB, NOW).await, Asked::Unknown);
    acme.road.closed.store(false, Ordering::Relaxed);
    assert!(matches!(acme.seek(BOB, NOW).await, Ok(Asked::Person(_))));
    acme.close().await;
}

#[tokio::test]
async fn an_answer_signed_by_another_than_the_partner_is_not_believed() {
    let acme = Acme::writes_to_globex().await;
    acme.road.honest.publish(BOB).await;
    let mut sought = acme.sought(BOB);
    sought.devices = Office::of("globex.test").devices;
    let refused = acme.contacts.seek(&sought, &acme.road, NOW).await;
    assert!(matches!(refused, Err(AskError::Answer(_))));
    assert_eq!(acme.known(BOB, NOW).await, Asked::Unknown);
    acme.close().await;
}

#[tokio::test]
async fn a_tree_that_grows_is_followed_without_alarm() {
    let acme = Acme::writes_to_globex().await;
    for number in 0..5 {
        let address = format!("person{number}@globex.test");
        acme.road.honest.publish(&address).await;
        acme.seek(&address, NOW).await.unwrap();
        let kept = acme.watch.kept(&acme.globex()).await.unwrap();
        assert_eq!(kept, Some(acme.road.honest.registry.own_tree().await.unwrap()));
    }
    assert_eq!(acme.alarms().await, []);
    acme.close().await;
}

#[tokio::test]
async fn a_head_of_another_tree_raises_an_alarm_and_replaces_nothing() {
    let acme = Acme::writes_to_globex().await;
    for address in [BOB, EVE] {
        acme.road.honest.publish(address).await;
        acme.seek(address, NOW).await.unwrap();
    }
    let kept = acme.watch.kept(&acme.globex()).await.unwrap().unwrap();
    // Of the same size, of a smaller, and of one that Globex does not have.
    let forged = [2, 1, 9].map(|size| TreeHead { size, root: [7; 32] });
    for seen in forged {
        acme.watch.observe(&acme.globex(), seen, NOW).await.unwrap();
        acme.settle().await.unwrap();
    }
    let alarms = acme.alarms().await;
    assert_eq!(alarms.iter().map(|alarm| alarm.seen).collect::<Vec<_>>(), forged);
    assert!(alarms.iter().all(|alarm| alarm.kept == kept && alarm.partner == acme.globex()));
    assert_eq!(acme.watch.kept(&acme.globex()).await.unwrap(), Some(kept));
    acme.close().await;
}

#[tokio::test]
async fn a_head_waits_until_the_partner_can_be_asked() {
    let acme = Acme::writes_to_globex().await;
    acme.road.honest.publish(BOB).await;
    acme.seek(BOB, NOW).await.unwrap();
    acme.road.honest.publish(EVE).await;
    let grown = acme.road.honest.registry.own_tree().await.unwrap();
    acme.watch.observe(&acme.globex(), grown, NOW).await.unwrap();
    acme.road.closed.store(true, Ordering::Relaxed);
    assert!(acme.settle().await.is_err());
    assert_eq!(acme.watch.kept(&acme.globex()).await.unwrap().unwrap().size, 1);
    acme.road.closed.store(false, Ordering::Relaxed);
    acme.settle().await.unwrap();
    assert_eq!(acme.watch.kept(&acme.globex()).await.unwrap(), Some(grown));
    assert_eq!(acme.alarms().await, []);
    acme.close().await;
}

#[tokio::test]
async fn a_partner_that_shows_ever_new_heads_cannot_fill_the_database() {
    let acme = Acme::writes_to_globex().await;
    for size in 1..500 {
        acme.watch.observe(&acme.globex(), TreeHead { size, root: [1; 32] }, NOW).await.unwrap();
    }
    for root in 2..200 {
        acme.watch.observe(&acme.globex(), TreeHead { size: 1, root: [root; 32] }, NOW).await.unwrap();
    }
    let count = |table: &'static str| {
        let query = format!("SELECT count(*) FROM {table}");
        acme.spool.read(move |database| database.query_row(&query, [], |row| row.get::<_, i64>(0)))
    };
    assert!(count("observed_heads").await.unwrap() <= 65);
    assert!(count("tree_alarms").await.unwrap() <= 64);
    acme.close().await;
}

#[tokio::test]
async fn a_tree_of_ours_that_we_do_not_have_raises_an_alarm() {
    let desk = Desk::open().await;
    for address in [BOB, EVE] {
        desk.add(address, Holding::Org).await;
    }
    let watch = Watch::new(desk.spool.clone(), desk.did());
    let acme = Office::of("acme.test").did;
    let ours = desk.registry.own_tree().await.unwrap();
    watch.observe_our_own(&acme, ours, NOW).await.unwrap();
    watch.observe_our_own(&acme, TreeHead { size: 0, root: [0; 32] }, NOW).await.unwrap();
    assert_eq!(alarms(&desk.spool).await.unwrap(), []);
    let forged = [1, 2, 3].map(|size| TreeHead { size, root: [7; 32] });
    for seen in forged {
        watch.observe_our_own(&acme, seen, NOW).await.unwrap();
    }
    let alarms = alarms(&desk.spool).await.unwrap();
    assert_eq!(alarms.iter().map(|alarm| alarm.seen).collect::<Vec<_>>(), forged);
    assert!(alarms.iter().all(|alarm| alarm.partner == desk.did() && alarm.kept == ours));
    desk.close().await;
}

#[tokio::test]
async fn a_tree_that_is_published_as_ours_and_is_not_raises_an_alarm() {
    let desk = Desk::open().await;
    let first = desk.registry.own_tree().await.unwrap();
    desk.add(BOB, Holding::Org).await;
    let watch = Watch::new(desk.spool.clone(), desk.did());
    // Somebody restores the backup of yesterday, or publishes with a stolen key.
    let lost = TreeHead { size: 2, root: [7; 32] };
    for published in [first, desk.registry.own_tree().await.unwrap(), lost] {
        watch.observe_our_own(&desk.did(), published, NOW).await.unwrap();
    }
    let [alarm] = alarms(&desk.spool).await.unwrap().try_into().unwrap();
    assert_eq!((alarm.seen, alarm.what.as_str()), (lost, "a tree is published as ours that we do not have"));
    desk.close().await;
}

#[tokio::test]
async fn a_binding_that_goes_back_raises_an_alarm_and_is_not_believed() {
    let acme = Acme::writes_to_globex().await;
    let globex = &acme.road.honest;
    globex.publish(BOB).await;
    globex.registrar.deactivate(BOB, NOW).await.unwrap();
    let second = globex.publish(BOB).await;
    assert_eq!(acme.found(BOB).await, second);
    // Globex brings the first bob back, as if the second had never been.
    globex
        .spool
        .write(|database| {
            database.execute("UPDATE people SET state = 3 WHERE generation = 2", [])?;
            database.execute("UPDATE people SET state = 1, generation = 0, leaf = 0 WHERE generation = 1", [])
        })
        .await
        .unwrap();
    let expire = acme.spool.write(|database| database.execute("UPDATE contacts SET expires = 0", []));
    expire.await.unwrap();
    assert!(matches!(acme.seek(BOB, NOW).await, Err(AskError::Contradiction)));
    assert_eq!(acme.known(BOB, NOW).await, Asked::Unknown);
    assert_eq!(acme.alarms().await.len(), 1);
    acme.close().await;
}

#[tokio::test]
async fn a_person_counts_only_when_the_log_names_the_address_back() {
    let acme = Acme::writes_to_globex().await;
    let globex = &acme.road.honest;
    for address in [BOB, EVE] {
        globex.publish(address).await;
    }
    let document = async |did: &Did| {
        let bundle = globex.registrar.bundle(did, NOW).await.unwrap().unwrap();
        PartnerFile::from_bytes(&bundle).unwrap().log.verify().unwrap()
    };
    let Asked::Person(bob) = acme.seek(BOB, NOW).await.unwrap() else { panic!("bob is published") };
    let eve = document(&acme.found(EVE).await).await;
    let log = document(&bob.did).await;
    assert!(bob.is_confirmed_by(&log, "Bob@globex.test"));
    assert!(!bob.is_confirmed_by(&log, EVE), "another address");
    assert!(!bob.is_confirmed_by(&eve, BOB), "another log");
    globex.registrar.deactivate(BOB, NOW).await.unwrap();
    assert!(!bob.is_confirmed_by(&document(&bob.did).await, BOB), "the DID has ended");
    acme.close().await;
}
