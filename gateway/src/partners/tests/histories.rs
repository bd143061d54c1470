//! Which of two histories of one identity counts.

use super::*;

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
