//! How often one asker may learn something. Beyond it the answer is the one about nobody.

use std::collections::HashMap;

use dccp::{Did, UnixMillis};

use super::Asker;
use crate::allowance::{Allowance, Bucket};

/// A partner writes to new people in bursts: one mail may have 1,000 recipients.
const PARTNER: Allowance = Allowance { burst: 1000, per_minute: 300 };
/// A stranger looks up whom to write to, by hand or for one mail.
const STRANGER: Allowance = Allowance { burst: 20, per_minute: 6 };
/// A stranger costs nothing to be, so all of them together have a limit too.
const ALL_STRANGERS: Allowance = Allowance { burst: 200, per_minute: 120 };
/// Strangers that are remembered: about 1 MB. A stranger that is forgotten had a full allowance.
const STRANGERS_MAX: usize = 8192;

/// Who asked how much. Only partners are kept without limit: there are as many as the administrator pinned.
pub(super) struct Quotas {
    partners: HashMap<Did, Bucket>,
    strangers: HashMap<Vec<u8>, Bucket>,
    all_strangers: Bucket,
}

impl Quotas {
    pub(super) fn new(now: UnixMillis) -> Quotas {
        let all_strangers = Bucket::full(ALL_STRANGERS, now);
        Quotas { partners: HashMap::new(), strangers: HashMap::new(), all_strangers }
    }

    /// Counts a question; says whether it is within the asker's allowance.
    pub(super) fn take(&mut self, asker: &Asker, now: UnixMillis) -> bool {
        match asker {
            Asker::Partner(did) => {
                let full = Bucket::full(PARTNER, now);
                self.partners.entry(did.clone()).or_insert(full).take(PARTNER, now)
            }
            Asker::Stranger(peer) => {
                self.all_strangers.take(ALL_STRANGERS, now)
                    && self.bucket_of(peer, now).is_some_and(|bucket| bucket.take(STRANGER, now))
            }
        }
    }

    fn bucket_of(&mut self, peer: &[u8], now: UnixMillis) -> Option<&mut Bucket> {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(peer) {
            self.strangers.retain(|_, bucket| !bucket.is_full(STRANGER, now));
        }
        let known = self.strangers.contains_key(peer);
        let room = known || self.strangers.len() < STRANGERS_MAX;
        room.then(|| self.strangers.entry(peer.to_vec()).or_insert(Bucket::full(STRANGER, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn stranger(number: u32) -> Asker {
        Asker::Stranger(number.to_be_bytes().to_vec())
    }

    /// How many of `tries` questions are within the allowance.
    fn allowed(quotas: &mut Quotas, asker: &Asker, tries: u32, now: UnixMillis) -> u32 {
        (0..tries).map(|_| u32::from(quotas.take(asker, now))).sum()
    }

    #[test]
    fn a_stranger_has_a_burst_and_then_a_trickle() {
        let mut quotas = Quotas::new(NOW);
        assert_eq!(allowed(&mut quotas, &stranger(1), 100, NOW), STRANGER.burst);
        let later = NOW.saturating_add_ms(60_000);
        assert_eq!(allowed(&mut quotas, &stranger(1), 100, later), STRANGER.per_minute);
        let much_later = NOW.saturating_add_ms(24 * 3_600_000);
        assert_eq!(allowed(&mut quotas, &stranger(1), 100, much_later), STRANGER.burst);
    }

    #[test]
    fn a_slow_trickle_is_not_rounded_away() {
        let mut quotas = Quotas::new(NOW);
        allowed(&mut quotas, &stranger(1), 100, NOW);
        let each_second = (1..=60).map(|second| NOW.saturating_add_ms(second * 1000));
        let allowed: u32 = each_second.map(|now| u32::from(quotas.take(&stranger(1), now))).sum();
        assert_eq!(allowed, STRANGER.per_minute);
    }

    #[test]
    fn many_strangers_share_one_allowance_and_cannot_fill_the_memory() {
        let mut quotas = Quotas::new(NOW);
        let sum: u32 = (0..50_000).map(|number| u32::from(quotas.take(&stranger(number), NOW))).sum();
        assert_eq!(sum, ALL_STRANGERS.burst);
        assert!(quotas.strangers.len() <= STRANGERS_MAX);
    }

    #[test]
    fn a_full_table_forgets_only_those_who_have_their_whole_allowance_back() {
        let mut quotas = Quotas::new(NOW);
        for number in 0..u32::try_from(STRANGERS_MAX).unwrap() {
            let spent = Bucket::empty(NOW);
            quotas.strangers.insert(number.to_be_bytes().to_vec(), spent);
        }
        assert!(!quotas.take(&stranger(1_000_000), NOW), "there is no room");
        let later = NOW.saturating_add_ms(24 * 3_600_000);
        assert!(quotas.take(&stranger(1_000_000), later));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut quotas = Quotas::new(NOW);
        allowed(&mut quotas, &stranger(1), 100, NOW);
        assert_eq!(allowed(&mut quotas, &stranger(1), 10, NOW.saturating_sub_ms(3_600_000)), 0);
    }
}
