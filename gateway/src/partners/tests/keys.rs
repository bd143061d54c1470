//! What messages to a partner are sealed to.

use super::*;

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
