//! Partners' one-time keys at hand: a few for each partner we write to, in memory alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dccp::limits::{CLOCK_SKEW_MS_MAX, STOCK_SERVED_MAX};
use dccp::prekey::OneTimePrekey;
use dccp::suite::KemAlgorithm;
use dccp::{Did, Suite, UnixMillis};
use tokio::sync::Notify;

use crate::partners::Partner;

/// Keys at hand below which more are asked for: half an answer, so that the answer comes before the last one is used.
const LOW: usize = STOCK_SERVED_MAX / 2;

/// How long a partner is left alone after it was asked: at any higher rate sessions do better.
const PAUSE_MS: u64 = 2_000;

/// Partners with keys at hand. Each has at most one and a half answers (60 kB); beyond this the partner that was written
/// to least recently loses its keys, unused.
const DRAWERS_MAX: usize = 512;

/// The keys at hand. Clones share them.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Inner>);

#[derive(Default)]
struct Inner {
    drawers: Mutex<HashMap<Did, Drawer>>,
    bell: Notify,
}

/// What is at hand of one partner.
struct Drawer {
    keys: Vec<OneTimePrekey>,
    /// The partner's DID log when the keys were verified: after a recovery nothing that a thief signed may be left.
    head: [u8; 32],
    wanted: Option<Suite>,
    asked_at: Option<UnixMillis>,
    used_at: UnixMillis,
}

impl Shelf {
    /// A key of this partner for a message in `suite`, never given before. Rings for more when few are left.
    pub fn take(&self, partner: &Partner, suite: Suite, now: UnixMillis) -> Option<OneTimePrekey> {
        let mut drawers = self.drawers();
        make_room(&mut drawers, partner.did());
        let drawer = drawers.entry(partner.did().clone()).or_insert_with(|| Drawer::empty(partner, now));
        drawer.keep_usable(partner, suite.choices().kem, now);
        drawer.used_at = now;
        let key = drawer.keys.pop();
        if drawer.keys.len() < LOW && drawer.may_be_filled_at(now) {
            drawer.wanted = Some(suite);
            self.0.bell.notify_one();
        }
        key
    }

    /// Puts keys away that were verified against this partner's log.
    pub(super) fn put(&self, partner: &Partner, keys: Vec<OneTimePrekey>) {
        if let Some(drawer) = self.drawers().get_mut(partner.did()) {
            if drawer.head != *partner.document().head_hash() {
                drawer.keys.clear();
            }
            drawer.head = *partner.document().head_hash();
            drawer.keys.extend(keys);
        }
    }

    /// Waits until keys are wanted, and says whose. They count as asked for then.
    pub(super) async fn wanted(&self, now: impl Fn() -> UnixMillis) -> Vec<(Did, Suite)> {
        loop {
            let wanted = self.take_wishes(now());
            if !wanted.is_empty() {
                return wanted;
            }
            self.0.bell.notified().await;
        }
    }

    fn take_wishes(&self, now: UnixMillis) -> Vec<(Did, Suite)> {
        let mut drawers = self.drawers();
        let wish = |(did, drawer): (&Did, &mut Drawer)| {
            let suite = drawer.wanted.take()?;
            drawer.asked_at = Some(now);
            Some((did.clone(), suite))
        };
        drawers.iter_mut().filter_map(wish).collect()
    }

    fn drawers(&self) -> MutexGuard<'_, HashMap<Did, Drawer>> {
        self.0.drawers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawer {
    fn empty(partner: &Partner, now: UnixMillis) -> Drawer {
        let head = *partner.document().head_hash();
        Drawer { keys: Vec::new(), head, wanted: None, asked_at: None, used_at: now }
    }

    fn keep_usable(&mut self, partner: &Partner, kem: KemAlgorithm, now: UnixMillis) {
        if self.head != *partner.document().head_hash() {
            *self = Drawer::empty(partner, now);
        }
        let soon = now.saturating_add_ms(CLOCK_SKEW_MS_MAX);
        self.keys.retain(|key| soon < key.expires && key.kem.algorithm() == kem);
    }

    /// A clock that was put back does not stop the asking.
    fn may_be_filled_at(&self, now: UnixMillis) -> bool {
        self.asked_at.is_none_or(|asked| now < asked || asked.saturating_add_ms(PAUSE_MS) <= now)
    }
}

fn make_room(drawers: &mut HashMap<Did, Drawer>, newcomer: &Did) {
    if drawers.len() < DRAWERS_MAX || drawers.contains_key(newcomer) {
        return;
    }
    let idle = drawers.iter().min_by_key(|(_, drawer)| drawer.used_at).map(|(did, _)| did.clone());
    idle.and_then(|did| drawers.remove(&did));
}
