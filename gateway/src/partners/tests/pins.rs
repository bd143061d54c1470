//! Who is pinned, who is a candidate, and what is refused.

use super::*;

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
