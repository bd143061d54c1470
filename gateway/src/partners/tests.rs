//! Promises of pinning.

use dccp::did::{Commitment, Device, Founding, HeldBy, Log, Manifest, Quorum, Rotation, found};
use dccp::keys::SigningKey;
use dccp::message::FsClass;
use dccp::node::NodeRecord;
use dccp::partner::{PartnerFile, fingerprint};
use dccp::prekey::{EPOCH_MS, Prekey, epoch_of};
use dccp::xwing::DecapsulationKey;
use dccp::{Did, Suite, UnixMillis};
use finding::Cached;
use policies::{Destination, PartnerStanding};
use tempfile::TempDir;

use super::*;
use crate::spool::{Spool, SpoolConfig, SpoolGuard};

const NOW: UnixMillis = UnixMillis(20_000 * EPOCH_MS + 1000);
const DEVICE_LIFETIME_MS: u64 = 400 * EPOCH_MS;

/// An organisation that can write partner files.
struct Organisation {
    recovery: SigningKey,
    operator: SigningKey,
    device: SigningKey,
    kem: DecapsulationKey,
    log: Log,
}

impl Organisation {
    fn of(domains: &[&str]) -> Organisation {
        let [operator, recovery, device] = [(); 3].map(|()| SigningKey::generate(&mut rand::rng()));
        let founding = Founding::organisation(
            domains.iter().map(|domain| (*domain).to_owned()).collect(),
            operator.verifying_key().clone(),
            Commitment::of(recovery.verifying_key()),
            NOW,
        );
        let log = found(&founding, &[&operator]).unwrap();
        Organisation { recovery, operator, device, kem: DecapsulationKey::generate(&mut rand::rng()), log }
    }

    /// The same organisation with another history: one more update, which names `witness`.
    fn updated(self, witness: &Did) -> Organisation {
        let mut change = self.log.verify().unwrap().change().clone();
        change.witnesses = vec![witness.clone()];
        let log = self.log.update(&change, &[&self.operator]).unwrap();
        Organisation { log, ..self }
    }

    /// Its officers take over with their recovery key, after the first `operations` operations.
    fn recovered(self, operations: usize) -> Organisation {
        let [operator, recovery] = [(); 2].map(|()| SigningKey::generate(&mut rand::rng()));
        let beginning = self.log.beginning(operations).unwrap();
        let rotation = Rotation {
            recovery_next: Quorum::one(Commitment::of(recovery.verifying_key())),
            operators: Quorum::one(operator.verifying_key().clone()),
            org: None,
            change: beginning.verify().unwrap().change().clone(),
        };
        let log = beginning.rotate(&rotation, &[&self.recovery], &[&operator]).unwrap();
        Organisation { log, operator, recovery, ..self }
    }

    /// Whoever has its keys can do the same.
    fn twin(&self) -> Organisation {
        let again = |key: &SigningKey| SigningKey::from_seed(&key.seed());
        Organisation {
            recovery: again(&self.recovery),
            operator: again(&self.operator),
            device: again(&self.device),
            kem: DecapsulationKey::from_seed(&self.kem.seed()),
            log: self.log.clone(),
        }
    }

    fn did(&self) -> Did {
        self.log.did()
    }

    fn prekey(&self, epoch: u64) -> (Prekey, Vec<u8>) {
        let key = DecapsulationKey::generate(&mut rand::rng());
        let prekey = Prekey::new(self.did(), epoch, key.encapsulation_key().clone());
        let record = prekey.sign(&self.operator);
        (prekey, record)
    }

    fn file_with(&self, manifest_epoch: u64, prekeys: Vec<Vec<u8>>) -> String {
        let (not_before, expires) = (NOW, NOW.saturating_add_ms(DEVICE_LIFETIME_MS));
        let device = Device {
            id: "gateway-1".into(),
            signing: self.device.verifying_key().clone().into(),
            kem: self.kem.encapsulation_key().clone(),
            held_by: HeldBy::Gateway,
            not_before,
            expires,
            revoked: None,
        };
        let addresses = vec![format!("/ip4/192.0.2.{manifest_epoch}/tcp/4001")];
        let node = NodeRecord { did: self.did(), peer_id: vec![1; 38], addresses, not_before, expires };
        let suites = [Suite::X0001];
        let operators = [&self.operator];
        let manifest = Manifest::sign(&self.did(), manifest_epoch, &[device], &suites, &operators).unwrap();
        let nodes = vec![node.sign(&self.operator).unwrap()];
        PartnerFile { log: self.log.clone(), manifest, nodes, prekeys }.to_text()
    }

    fn file(&self) -> String {
        self.file_with(1, vec![])
    }
}

/// A database, and who we are.
struct Desk {
    spool: Spool,
    guard: SpoolGuard,
    ourselves: Ourselves,
    _folder: TempDir,
}

impl Desk {
    fn open() -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let (spool, guard) =
            Spool::open_offline(folder.path().join("data/gateway.db"), SpoolConfig::default()).unwrap();
        let ourselves =
            Ourselves { did: Organisation::of(&["acme.test"]).did(), domains: vec!["acme.test".into()] };
        Desk { spool, guard, ourselves, _folder: folder }
    }

    async fn import(&self, text: &str) -> Result<Imported, ImportError> {
        import(&self.spool, text, &self.ourselves, NOW).await
    }

    async fn partners(&self) -> Partners {
        Partners::load(&self.spool, NOW).await.unwrap()
    }

    async fn close(self) {
        self.guard.close().await;
    }
}

fn standing(partner: &Partner) -> PartnerStanding {
    match partner.destination() {
        Destination::Partner { standing, .. } => standing,
        _ => panic!("a partner is a partner"),
    }
}

#[tokio::test]
async fn an_imported_partner_is_pinned_under_all_its_domains() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test", "globex.example"]);
    assert!(
        matches!(desk.import(&globex.file()).await.unwrap(), Imported::Added { did, .. } if did == globex.did())
    );

    let partners = desk.partners().await;
    let partner = partners.by_domain("GLOBEX.example").unwrap();
    assert_eq!((partner.did(), partner.domain()), (&globex.did(), "globex.test"));
    assert!(partner.owns("Globex.Test") && !partner.owns("acme.test"));
    assert!(partners.by_domain("initech.test").is_none());
    assert_eq!(partners.by_did(&globex.did()).unwrap().nodes().len(), 1);
    assert_eq!(partners.iter().count(), 1);
    assert!(standing(partner) == PartnerStanding::Pinned);
    let signer = globex.device.verifying_key().clone().into();
    assert_eq!(partner.signing_key(&globex.device.verifying_key().key_id()), Some(&signer));
    desk.close().await;
}

#[tokio::test]
async fn another_identity_for_a_pinned_domain_changes_nothing_but_holds_mail() {
    let desk = Desk::open();
    let (globex, impostor) =
        (Organisation::of(&["globex.test"]), Organisation::of(&["globex.test", "free.test"]));
    desk.import(&globex.file()).await.unwrap();
    let before = desk.partners().await.generation();

    let imported = desk.import(&impostor.file()).await.unwrap();
    let clashes = vec![Clash { domain: "globex.test".into(), pinned: globex.did().to_string() }];
    assert_eq!(imported, Imported::Conflict { candidate: impostor.did(), clashes });

    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    assert_eq!(partner.did(), &globex.did(), "the pin stays");
    assert!(standing(partner) == PartnerStanding::Conflict);
    assert_eq!(partner.candidates(), [Candidate { domain: "globex.test".into(), did: impostor.did() }]);
    assert!(partners.by_did(&impostor.did()).is_none(), "nobody is let in by the back door");
    assert!(partners.by_domain("free.test").is_none());
    assert_ne!(partners.generation(), before);
    desk.close().await;
}

#[tokio::test]
async fn a_candidate_is_accepted_only_with_its_own_fingerprint() {
    let desk = Desk::open();
    let (globex, anew) =
        (Organisation::of(&["globex.test"]), Organisation::of(&["globex.test", "globex.example"]));
    desk.import(&globex.file()).await.unwrap();
    desk.import(&anew.file()).await.unwrap();

    for wrong in [fingerprint(&globex.did()), String::new(), fingerprint(&anew.did())[..20].to_owned()] {
        let refused = accept(&desk.spool, "globex.test", &wrong, NOW).await;
        assert!(matches!(refused, Err(AcceptError::OtherFingerprint)), "{wrong}");
    }
    let spoken = fingerprint(&anew.did()).to_uppercase().replace(' ', "-");
    let accepted = accept(&desk.spool, "Globex.test", &spoken, NOW).await.unwrap();
    assert_eq!(accepted.domains, ["globex.example", "globex.test"]);

    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    assert_eq!(partner.did(), &anew.did());
    assert!(standing(partner) == PartnerStanding::Pinned);
    assert!(partners.by_did(&globex.did()).is_none());
    let again = accept(&desk.spool, "globex.test", &spoken, NOW).await;
    assert!(matches!(again, Err(AcceptError::NoCandidate(_))));
    desk.close().await;
}

#[tokio::test]
async fn a_rejected_candidate_leaves_the_pin_as_it_was() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    desk.import(&globex.file()).await.unwrap();
    let before = desk.partners().await.generation();
    desk.import(&Organisation::of(&["globex.test"]).file()).await.unwrap();
    assert_eq!(reject(&desk.spool, "globex.test").await.unwrap(), globex.did().as_str());

    let partners = desk.partners().await;
    assert!(standing(partners.by_domain("globex.test").unwrap()) == PartnerStanding::Pinned);
    assert_eq!(partners.generation(), before);
    let unknown = reject(&desk.spool, "initech.test").await;
    assert!(matches!(unknown, Err(AcceptError::UnknownDomain(_))));
    desk.close().await;
}

#[tokio::test]
async fn the_same_identity_refreshes_but_never_goes_back() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    desk.import(&globex.file_with(2, vec![])).await.unwrap();
    let refreshed = desk.import(&globex.file_with(3, vec![])).await.unwrap();
    assert!(matches!(refreshed, Imported::Refreshed { .. }));
    let addresses =
        |partners: &Partners| partners.by_domain("globex.test").unwrap().nodes()[0].addresses.clone();
    assert_eq!(addresses(&desk.partners().await), ["/ip4/192.0.2.3/tcp/4001"]);

    let older = desk.import(&globex.file_with(1, vec![])).await;
    assert!(matches!(older, Err(ImportError::Older { theirs: (0, 1), known: (0, 3) })));
    assert_eq!(addresses(&desk.partners().await), ["/ip4/192.0.2.3/tcp/4001"]);
    desk.close().await;
}

#[tokio::test]
async fn a_refresh_does_not_settle_a_conflict() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    desk.import(&globex.file()).await.unwrap();
    desk.import(&Organisation::of(&["globex.test"]).file()).await.unwrap();
    desk.import(&globex.file_with(2, vec![])).await.unwrap();
    assert!(desk.partners().await.by_domain("globex.test").unwrap().is_in_conflict());
    desk.close().await;
}

#[tokio::test]
async fn nobody_is_imported_under_our_name() {
    let mut desk = Desk::open();
    let thief = Organisation::of(&["thief.test", "acme.test"]);
    let refused = desk.import(&thief.file()).await;
    assert!(matches!(refused, Err(ImportError::OurDomain(domain)) if domain == "acme.test"));

    let ourselves = Organisation::of(&["other.test"]);
    desk.ourselves.did = ourselves.did();
    assert!(matches!(desk.import(&ourselves.file()).await, Err(ImportError::Ourselves)));
    assert_eq!(desk.partners().await.iter().count(), 0);
    desk.close().await;
}

#[tokio::test]
async fn a_forged_or_expired_file_is_refused_and_nothing_is_kept() {
    let desk = Desk::open();
    let (globex, other) = (Organisation::of(&["globex.test"]), Organisation::of(&["globex.test"]));
    let mut forged = PartnerFile::from_text(&globex.file()).unwrap();
    forged.manifest = PartnerFile::from_text(&other.file()).unwrap().manifest;
    assert!(matches!(desk.import(&forged.to_text()).await, Err(ImportError::File(_))));
    assert!(matches!(desk.import("no partner file").await, Err(ImportError::File(_))));

    let later = NOW.saturating_add_ms(2 * DEVICE_LIFETIME_MS);
    let expired = import(&desk.spool, &globex.file(), &desk.ourselves, later).await;
    assert!(matches!(expired, Err(ImportError::File(_))));
    assert_eq!(desk.partners().await.iter().count(), 0);
    desk.close().await;
}

#[tokio::test]
async fn a_partner_whose_records_lapsed_is_held_not_unknown() {
    let desk = Desk::open();
    desk.import(&Organisation::of(&["globex.test"]).file()).await.unwrap();
    let later = NOW.saturating_add_ms(2 * DEVICE_LIFETIME_MS);
    let partners = Partners::load(&desk.spool, later).await.unwrap();
    let partner = partners.by_domain("globex.test").unwrap();
    assert!(partner.has_lapsed());
    assert!(standing(partner) == PartnerStanding::Conflict);
    desk.close().await;
}

#[tokio::test]
async fn a_removed_partner_is_gone_with_all_its_domains_and_prekeys() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test", "globex.example"]);
    let (_, record) = globex.prekey(epoch_of(NOW));
    desk.import(&globex.file_with(1, vec![record])).await.unwrap();
    assert_eq!(remove(&desk.spool, "GLOBEX.example").await.unwrap(), ["globex.example", "globex.test"]);
    assert_eq!(desk.partners().await.iter().count(), 0);
    assert_eq!(remove(&desk.spool, "globex.test").await.unwrap(), Vec::<String>::new());
    let count = "SELECT count(*) FROM partner_prekeys";
    let left: i64 = desk.spool.read(|db| db.query_row(count, [], |row| row.get(0))).await.unwrap();
    assert_eq!(left, 0);
    desk.close().await;
}

#[tokio::test]
async fn messages_are_sealed_to_todays_prekey_and_else_to_the_device() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    let (today, record) = globex.prekey(epoch_of(NOW));
    let (tomorrow, next_record) = globex.prekey(epoch_of(NOW) + 1);
    desk.import(&globex.file_with(1, vec![record, next_record])).await.unwrap();

    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    let key_at = |now| partner.recipient_key(Suite::X0001, now).unwrap();
    assert_eq!((key_at(NOW).key_id, key_at(NOW).fs_class), (today.key_id, FsClass::Epoch));
    assert_eq!(key_at(NOW.saturating_add_ms(EPOCH_MS)).key_id, tomorrow.key_id);
    let without = key_at(NOW.saturating_add_ms(2 * EPOCH_MS));
    assert_eq!(
        (without.key_id, without.fs_class),
        (globex.kem.encapsulation_key().key_id(), FsClass::Static)
    );
    desk.close().await;
}

#[tokio::test]
async fn presented_prekeys_are_learned_once_and_only_from_their_owner() {
    let desk = Desk::open();
    let (globex, mallory) = (Organisation::of(&["globex.test"]), Organisation::of(&["mallory.test"]));
    desk.import(&globex.file()).await.unwrap();
    let partners = desk.partners().await;
    let (first, record) = globex.prekey(epoch_of(NOW));
    let records = [record];
    assert!(partners.learn_prekeys(&globex.did(), &records, NOW, &desk.spool).await.unwrap());
    assert!(!partners.learn_prekeys(&globex.did(), &records, NOW, &desk.spool).await.unwrap());

    let (_, forged) = mallory.prekey(epoch_of(NOW));
    assert!(matches!(
        partners.learn_prekeys(&globex.did(), &[forged], NOW, &desk.spool).await,
        Err(LearnError::Record(_))
    ));
    let (_, own) = mallory.prekey(epoch_of(NOW));
    let stranger = partners.learn_prekeys(&mallory.did(), &[own], NOW, &desk.spool).await;
    assert!(matches!(stranger, Err(LearnError::NotAPartner)));

    let loaded = desk.partners().await;
    assert_eq!(
        loaded.by_did(&globex.did()).unwrap().recipient_key(Suite::X0001, NOW).unwrap().key_id,
        first.key_id
    );
    assert_eq!(loaded.generation(), partners.generation(), "prekeys come and go without a new generation");

    let (second, record) = globex.prekey(epoch_of(NOW));
    assert!(loaded.learn_prekeys(&globex.did(), &[record], NOW, &desk.spool).await.unwrap());
    let newest =
        desk.partners().await.by_did(&globex.did()).unwrap().recipient_key(Suite::X0001, NOW).unwrap().key_id;
    assert_eq!(newest, second.key_id, "learned last wins");
    desk.close().await;
}

#[tokio::test]
async fn a_longer_history_is_taken_and_the_shorter_one_is_refused_from_then_on() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    let before = globex.file();
    desk.import(&before).await.unwrap();
    let later = globex.updated(&Organisation::of(&["initech.test"]).did());
    assert!(matches!(desk.import(&later.file()).await.unwrap(), Imported::Refreshed { .. }));
    assert_eq!(desk.partners().await.by_domain("globex.test").unwrap().document().seq(), 1);

    let refused = desk.import(&before).await;
    assert!(matches!(refused, Err(ImportError::Older { theirs: (0, 1), known: (1, 1) })), "{refused:?}");
    assert_eq!(desk.partners().await.by_domain("globex.test").unwrap().document().seq(), 1);
    desk.close().await;
}

#[tokio::test]
async fn two_histories_freeze_a_partner_until_its_recovery_key_overrules_both() {
    let desk = Desk::open();
    let (globex, thief) = {
        let globex = Organisation::of(&["globex.test"]);
        (globex.twin(), globex)
    };
    let [one, other] = [&["initech.test"], &["hooli.test"]].map(|domains| Organisation::of(domains).did());
    let (globex, thief) = (globex.updated(&one), thief.updated(&other));
    desk.import(&globex.file()).await.unwrap();
    let refused = desk.import(&thief.file()).await.unwrap();
    assert_eq!(refused, Imported::Contradiction { did: globex.did(), at_seq: 1 });
    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    assert!(partner.is_frozen() && standing(partner) == PartnerStanding::Conflict);

    let grown = thief.twin().updated(&one);
    assert!(matches!(desk.import(&grown.file()).await.unwrap(), Imported::Contradiction { .. }));
    let settled = globex.recovered(1);
    assert!(matches!(desk.import(&settled.file_with(2, vec![])).await.unwrap(), Imported::Refreshed { .. }));
    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    assert!(!partner.is_frozen() && standing(partner) == PartnerStanding::Pinned);
    assert_eq!(partner.document().operator(), settled.operator.verifying_key());

    let refused = desk.import(&thief.file_with(9, vec![])).await;
    assert!(matches!(refused, Err(ImportError::Older { .. })), "the thief's history is dead: {refused:?}");
    desk.close().await;
}

#[tokio::test]
async fn an_ended_identity_is_taken_although_it_has_no_manifest_any_more() {
    let desk = Desk::open();
    let globex = Organisation::of(&["globex.test"]);
    desk.import(&globex.file_with(5, vec![])).await.unwrap();
    let last = globex.file_with(5, vec![]);
    let mut ended = PartnerFile::from_text(&last).unwrap();
    ended.log = globex.log.deactivate(&[&globex.recovery]).unwrap();
    assert!(matches!(desk.import(&ended.to_text()).await, Ok(Imported::Ended { .. })));
    assert!(desk.partners().await.by_domain("globex.test").unwrap().is_in_doubt());
    assert!(matches!(desk.import(&last).await, Err(ImportError::Older { .. })), "there is no way back");
    let nobody = Desk::open();
    assert!(
        matches!(nobody.import(&ended.to_text()).await, Err(ImportError::Ended)),
        "it is nobody's partner"
    );
    nobody.close().await;
    desk.close().await;
}

#[tokio::test]
async fn what_the_resolver_found_reaches_the_partner_and_strangers_are_only_remembered() {
    let desk = Desk::open();
    let (globex, stranger) = (Organisation::of(&["globex.test"]), Organisation::of(&["hooli.test"]));
    desk.import(&globex.file()).await.unwrap();
    let before = desk.partners().await.generation();
    let globex = globex.recovered(1);
    for (organisation, epoch) in [(&globex, 2), (&stranger, 1)] {
        let bundle = PartnerFile::from_text(&organisation.file_with(epoch, vec![])).unwrap().to_bytes();
        let kept = Cached { bundle, manifest_epoch: epoch, fetched_at: NOW, frozen: None };
        keep(&desk.spool, &organisation.did(), &kept).await.unwrap();
        assert_eq!(recall(&desk.spool, &organisation.did()).await.unwrap(), Some(kept));
    }
    let partners = desk.partners().await;
    let partner = partners.by_domain("globex.test").unwrap();
    assert_eq!(partner.document().operator(), globex.operator.verifying_key());
    assert_ne!(partners.generation(), before);
    assert!(partners.by_did(&stranger.did()).is_none());
    desk.close().await;
}
