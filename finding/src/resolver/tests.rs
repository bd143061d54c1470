use std::collections::HashMap;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;
use crate::fixture::{DAY_MS, NOW, Organisation};

mod brought;

/// A source that answers what the test says, and counts how often it was asked.
struct Told {
    name: &'static str,
    answer: StdMutex<Result<Vec<u8>, SourceError>>,
    asked: AtomicUsize,
    /// Answers are held back until there is a permit.
    gate: Semaphore,
}

impl Told {
    fn new(name: &'static str, answer: Result<Vec<u8>, SourceError>) -> Arc<Self> {
        let gate = Semaphore::new(1_000_000);
        Arc::new(Self { name, answer: StdMutex::new(answer), asked: AtomicUsize::new(0), gate })
    }

    fn tell(&self, answer: Result<Vec<u8>, SourceError>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Source for Told {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn fetch(&self, _did: &Did, _nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.answer.lock().unwrap().clone()
    }
}

/// A cache that keeps, or fails on demand.
#[derive(Default)]
struct Kept {
    of: StdMutex<HashMap<Did, Cached>>,
    fails: StdMutex<bool>,
}

impl Kept {
    fn check(&self) -> Result<(), CacheError> {
        if *self.fails.lock().unwrap() { Err(CacheError("disk".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Cache for Kept {
    async fn load(&self, did: &Did) -> Result<Option<Cached>, CacheError> {
        self.check()?;
        Ok(self.of.lock().unwrap().get(did).cloned())
    }

    async fn store(&self, did: &Did, cached: &Cached) -> Result<(), CacheError> {
        self.check()?;
        self.of.lock().unwrap().insert(did.clone(), cached.clone());
        Ok(())
    }
}

/// Two sources, a cache, and resolvers that come and go like processes.
struct Scene {
    overlay: Arc<Told>,
    https: Arc<Told>,
    cache: Arc<Kept>,
    resolver: Resolver,
}

fn silent() -> Result<Vec<u8>, SourceError> {
    Err(SourceError::Unreachable("no answer".into()))
}

impl Scene {
    fn new(overlay: Result<Vec<u8>, SourceError>, https: Result<Vec<u8>, SourceError>) -> Self {
        let (overlay, https) = (Told::new("overlay", overlay), Told::new("https", https));
        let cache = Arc::new(Kept::default());
        let resolver = Resolver::new(vec![overlay.clone(), https.clone()], cache.clone());
        Self { overlay, https, cache, resolver }
    }

    /// Both sources say this from now on.
    fn tell(&self, organisation: &Organisation) {
        self.overlay.tell(Ok(organisation.bytes()));
        self.https.tell(Ok(organisation.bytes()));
    }

    /// The process starts again: the memory is gone, the cache is not.
    fn restart(&mut self) {
        self.resolver = Resolver::new(vec![self.overlay.clone(), self.https.clone()], self.cache.clone());
    }

    fn asked(&self) -> (usize, usize) {
        (self.overlay.asked(), self.https.asked())
    }
}

fn head(resolution: &Resolution) -> u64 {
    resolution.records.partner.document.seq()
}

fn later(ms: u64) -> UnixMillis {
    NOW.saturating_add_ms(ms)
}

#[tokio::test]
async fn the_longest_log_of_all_sources_counts_whoever_has_it() {
    let globex = Organisation::globex();
    let updated = globex.updated(1);
    for (overlay, https) in [(&globex, &updated), (&updated, &globex)] {
        let scene = Scene::new(Ok(overlay.bytes()), Ok(https.bytes()));
        let found = scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
        assert_eq!((head(&found), found.standing), (1, Standing::Fresh));
    }
}

#[tokio::test]
async fn one_source_is_enough_when_the_other_is_silent() {
    let globex = Organisation::globex();
    let scene = Scene::new(silent(), Ok(globex.bytes()));
    let found = scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    assert_eq!(found.standing, Standing::Fresh);
    assert_eq!(found.refusals.len(), 1);
}

#[tokio::test]
async fn nobody_is_asked_again_within_the_hour_not_even_after_a_restart() {
    let globex = Organisation::globex();
    let mut scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    let again = scene.resolver.resolve(&globex.did(), later(1000)).await.unwrap();
    assert_eq!(again.standing, Standing::FromCache { age_ms: 1000 });
    scene.restart();
    let again = scene.resolver.resolve(&globex.did(), later(FRESH_MS - 1)).await.unwrap();
    assert_eq!(again.standing, Standing::FromCache { age_ms: FRESH_MS - 1 });
    assert_eq!(scene.asked(), (1, 1));
    scene.resolver.resolve(&globex.did(), later(FRESH_MS)).await.unwrap();
    assert_eq!(scene.asked(), (2, 2));
}

#[tokio::test]
async fn a_refresh_asks_however_young_the_answer() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.tell(&globex.rotated(30));
    assert_eq!(head(&scene.resolver.refresh(&globex.did(), later(1)).await.unwrap()), 1);
    assert_eq!(head(&scene.resolver.resolve(&globex.did(), later(2)).await.unwrap()), 1);
}

#[tokio::test]
async fn a_shorter_log_never_replaces_what_was_seen() {
    let globex = Organisation::globex();
    let mut scene = Scene::new(silent(), Ok(globex.rotated(30).bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.tell(&globex);
    scene.restart();
    let found = scene.resolver.resolve(&globex.did(), later(DAY_MS)).await.unwrap();
    assert_eq!((head(&found), found.standing), (1, Standing::Stale { age_ms: DAY_MS }));
    assert!(found.refusals.iter().all(|(_, refusal)| *refusal == Refusal::Stale));
}

#[tokio::test]
async fn sources_that_are_all_silent_leave_what_was_seen_stale() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.overlay.tell(silent());
    scene.https.tell(silent());
    let found = scene.resolver.resolve(&globex.did(), later(DAY_MS)).await.unwrap();
    assert_eq!(found.standing, Standing::Stale { age_ms: DAY_MS });
    // And they are left alone for a while.
    let found = scene.resolver.resolve(&globex.did(), later(DAY_MS + 10)).await.unwrap();
    assert_eq!(found.standing, Standing::Stale { age_ms: DAY_MS + 10 });
    assert_eq!(scene.asked(), (2, 2));
}

#[tokio::test]
async fn silence_is_never_taken_for_absence() {
    let globex = Organisation::globex();
    for (overlay, https) in [(silent(), silent()), (silent(), Err(SourceError::NotFound))] {
        let scene = Scene::new(overlay, https);
        let error = scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
        assert!(matches!(error, ResolveError::Unreachable(_)) && error.is_temporary(), "{error}");
    }
    let scene = Scene::new(Err(SourceError::NotFound), Err(SourceError::NotFound));
    assert_eq!(scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err(), ResolveError::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_costs_its_wait_and_no_more() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    let _held = scene.overlay.gate.acquire_many(1_000_000).await.unwrap();
    let before = tokio::time::Instant::now();
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    assert!(before.elapsed() <= SOURCE_WAIT + Duration::from_millis(10));
}

#[tokio::test]
async fn a_replayed_manifest_is_refused() {
    let globex = Organisation::globex().with_epoch(2);
    let mut scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    let globex = globex.with_epoch(1);
    scene.tell(&globex);
    scene.restart();
    let found = scene.resolver.resolve(&globex.did(), later(DAY_MS)).await.unwrap();
    assert_eq!(found.records.partner.devices.epoch(), 2);
    assert_eq!(found.refusals[0].1, Refusal::Regressed { known: 2, offered: 1 });
}

#[tokio::test]
async fn a_replayed_manifest_is_refused_even_when_the_one_we_saw_has_expired() {
    let globex = Organisation::globex().with_epoch(2);
    let scene = Scene::new(silent(), Ok(globex.with_devices_until(later(DAY_MS)).bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.tell(&globex.with_epoch(1));
    let error = scene.resolver.resolve(&Organisation::globex().did(), later(10 * DAY_MS)).await.unwrap_err();
    assert_eq!(error, ResolveError::Regressed { known: 2, offered: 1 });
}

#[tokio::test]
async fn after_a_rotation_epochs_begin_anew() {
    let globex = Organisation::globex();
    let thief = Organisation::globex().with_epoch(u64::MAX);
    let scene = Scene::new(silent(), Ok(thief.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.tell(&globex.rotated(30).with_epoch(2));
    let found = scene.resolver.refresh(&globex.did(), NOW).await.unwrap();
    assert_eq!((head(&found), found.records.partner.devices.epoch()), (1, 2));
}

#[tokio::test]
async fn records_of_another_did_or_of_nobody_are_refused() {
    let (globex, acme) = (Organisation::globex(), Organisation::found("acme.test", 50));
    for (answer, why) in
        [(acme.bytes(), Refusal::OtherDid), (vec![0; BUNDLE_BYTES_MAX + 1], Refusal::TooLarge)]
    {
        let scene = Scene::new(Ok(answer), Err(SourceError::NotFound));
        let error = scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
        assert_eq!(
            error,
            ResolveError::Invalid(vec![("overlay", why), ("https", SourceError::NotFound.into())])
        );
        assert!(scene.cache.of.lock().unwrap().is_empty(), "nothing is stored");
    }
    let scene = Scene::new(Ok(b"<html>".to_vec()), Err(SourceError::NotFound));
    let error = scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
    assert!(matches!(error, ResolveError::Invalid(refusals) if matches!(refusals[0].1, Refusal::Invalid(_))));
}

#[tokio::test]
async fn two_logs_that_contradict_each_other_freeze_the_did() {
    let globex = Organisation::globex();
    let mut scene = Scene::new(Ok(globex.updated(1).bytes()), Ok(globex.updated(2).bytes()));
    let frozen = ResolveError::Duplicity { at_seq: 1 };
    assert_eq!(scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err(), frozen);
    // Neither a single voice, nor silence, nor a restart thaws it.
    scene.https.tell(silent());
    scene.restart();
    assert_eq!(scene.resolver.resolve(&globex.did(), later(10)).await.unwrap_err(), frozen);
    scene.overlay.tell(silent());
    scene.restart();
    assert_eq!(scene.resolver.resolve(&globex.did(), later(DAY_MS)).await.unwrap_err(), frozen);
    assert!(!frozen.is_temporary());
}

#[tokio::test]
async fn a_contradiction_to_what_was_seen_freezes_too() {
    let globex = Organisation::globex();
    let scene = Scene::new(silent(), Ok(globex.updated(1).bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.https.tell(Ok(globex.updated(2).bytes()));
    let error = scene.resolver.refresh(&globex.did(), NOW).await.unwrap_err();
    assert_eq!(error, ResolveError::Duplicity { at_seq: 1 });
}

#[tokio::test]
async fn a_frozen_did_is_freed_by_the_recovery_keys_within_a_minute() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.updated(1).bytes()), Ok(globex.updated(2).bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
    // The officers rotate away from the branch they know nothing of: it wins over both.
    scene.tell(&globex.rotated(30));
    let found = scene.resolver.resolve(&globex.did(), later(60_000)).await.unwrap();
    assert_eq!((head(&found), found.standing), (1, Standing::Fresh));
    assert_eq!(scene.cache.of.lock().unwrap()[&globex.did()].frozen, None);
}

#[tokio::test]
async fn a_rotation_that_continues_one_branch_cuts_off_the_other() {
    let globex = Organisation::globex();
    let (ours, thief) = (globex.updated(1), globex.updated(2));
    let scene = Scene::new(Ok(ours.bytes()), Ok(thief.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
    scene.overlay.tell(Ok(ours.rotated(30).bytes()));
    let found = scene.resolver.refresh(&globex.did(), NOW).await.unwrap();
    assert_eq!(head(&found), 2);
    assert_eq!(found.refusals[0], ("https", Refusal::CutOff { at_seq: 1 }));
}

#[tokio::test]
async fn a_thief_of_the_operator_key_cannot_bring_his_branch_back() {
    let globex = Organisation::globex();
    let thief = globex.updated(2);
    let scene = Scene::new(silent(), Ok(globex.rotated(30).bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.tell(&thief);
    let found = scene.resolver.refresh(&globex.did(), NOW).await.unwrap();
    assert_eq!((head(&found), found.standing), (1, Standing::Stale { age_ms: 0 }));
}

#[tokio::test]
async fn a_cache_that_fails_is_no_empty_cache() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    *scene.cache.fails.lock().unwrap() = true;
    let error = scene.resolver.resolve(&globex.did(), NOW).await.unwrap_err();
    assert_eq!(error, ResolveError::Cache(CacheError("disk".into())));
    assert!(error.is_temporary());
}

#[tokio::test]
async fn records_that_have_expired_are_no_answer() {
    let globex = Organisation::globex();
    let scene = Scene::new(silent(), Ok(globex.bytes()));
    scene.resolver.resolve(&globex.did(), NOW).await.unwrap();
    scene.https.tell(silent());
    let error = scene.resolver.resolve(&globex.did(), later(40 * DAY_MS)).await.unwrap_err();
    assert!(matches!(error, ResolveError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_question() {
    let globex = Organisation::globex();
    let scene = Scene::new(Ok(globex.bytes()), Ok(globex.bytes()));
    let did = globex.did();
    let answers = futures::future::join_all((0..50).map(|_| scene.resolver.resolve(&did, NOW))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(scene.asked(), (1, 1));
}

#[test]
fn memory_is_bounded_and_forgets_what_was_not_asked_for() {
    let memory = Memory::default();
    let answer = || Err(ResolveError::NotFound);
    let dids: Vec<Did> = (0..3).map(|seed| Organisation::found("a.test", seed * 2 + 1).did()).collect();
    let third = 64 * 1024 * 1024 / 3;
    memory.keep(&dids[0], answer(), third, NOW, 1000);
    memory.keep(&dids[1], answer(), third, NOW, 1000);
    assert!(memory.recall(&dids[0], NOW).is_some());
    memory.keep(&dids[2], answer(), 2 * third, NOW, 1000);
    let kept = dids.iter().map(|did| memory.recall(did, NOW).is_some()).collect::<Vec<_>>();
    assert_eq!(kept, [true, false, true]);
    assert!(memory.recall(&dids[2], later(1000)).is_none(), "its time is over");
    assert!(memory.recall(&dids[2], UnixMillis(NOW.0 - 1)).is_none(), "the clock was put back");
}
