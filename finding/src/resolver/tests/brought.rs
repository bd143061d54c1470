//! Records that somebody brings without being asked, and records that somebody else keeps.

use super::*;

async fn scene_that_knows(organisation: &Organisation) -> Scene {
    let scene = Scene::new(silent(), Ok(organisation.bytes()));
    scene.resolver.resolve(&organisation.did(), NOW).await.unwrap();
    scene
}

#[tokio::test]
async fn a_log_that_a_caller_brings_counts_if_it_proves_itself() {
    let globex = Organisation::globex();
    let scene = scene_that_knows(&globex).await;
    let asked = scene.asked();
    let brought = globex.rotated(30).bytes();
    let found = scene.resolver.weigh(&globex.did(), "caller", brought, NOW).await.unwrap();
    assert_eq!((head(&found), found.standing), (1, Standing::Fresh));
    assert_eq!(scene.asked(), asked, "no source is asked on a caller's word");
    assert_eq!(head(&scene.resolver.resolve(&globex.did(), NOW).await.unwrap()), 1);
}

#[tokio::test]
async fn what_is_known_already_is_no_news_and_makes_nothing_fresh() {
    let globex = Organisation::globex();
    let updated = globex.updated(1);
    let scene = scene_that_knows(&updated).await;
    for old in [&globex, &updated] {
        let error = scene.resolver.weigh(&globex.did(), "caller", old.bytes(), later(600_000)).await;
        assert_eq!(error.unwrap_err(), ResolveError::Invalid(vec![("caller", Refusal::Stale)]));
    }
    let found = scene.resolver.resolve(&globex.did(), later(600_000)).await.unwrap();
    assert_eq!(found.standing, Standing::FromCache { age_ms: 600_000 });
}

#[tokio::test]
async fn a_caller_with_a_cut_off_branch_or_records_of_nobody_changes_nothing() {
    let globex = Organisation::globex();
    let acme = Organisation::found("acme.test", 20);
    let scene = scene_that_knows(&globex.rotated(30)).await;
    for (brought, did) in [
        (globex.updated(2).bytes(), globex.did()),
        (b"no bundle".to_vec(), globex.did()),
        (globex.bytes(), acme.did()),
        (acme.bytes(), acme.did()),
    ] {
        let error = scene.resolver.weigh(&did, "caller", brought, NOW).await.unwrap_err();
        assert!(matches!(error, ResolveError::Invalid(_)), "{error}");
    }
    assert_eq!(scene.cache.of.lock().unwrap().len(), 1);
    assert_eq!(head(&scene.resolver.resolve(&globex.did(), NOW).await.unwrap()), 1);
}

#[tokio::test]
async fn a_second_history_that_a_caller_brings_freezes_the_did() {
    let globex = Organisation::globex();
    let scene = scene_that_knows(&globex.updated(1)).await;
    let error = scene.resolver.weigh(&globex.did(), "caller", globex.updated(2).bytes(), NOW).await;
    assert_eq!(error.unwrap_err(), ResolveError::Duplicity { at_seq: 1 });
}

#[tokio::test]
async fn what_somebody_else_wrote_into_the_cache_counts_once_memory_is_forgotten() {
    let globex = Organisation::globex();
    let scene = scene_that_knows(&globex).await;
    let mut kept = scene.cache.load(&globex.did()).await.unwrap().unwrap();
    kept.bundle = globex.rotated(30).bytes();
    scene.cache.store(&globex.did(), &kept).await.unwrap();
    assert_eq!(head(&scene.resolver.resolve(&globex.did(), NOW).await.unwrap()), 0);
    scene.resolver.forget();
    assert_eq!(head(&scene.resolver.resolve(&globex.did(), NOW).await.unwrap()), 1);
}
