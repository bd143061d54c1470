//! How often an agent may send, and how often to the same recipient: two machines that answer each other without saying so
//! go on at the pace of the second bucket, not at that of the machines.

use std::collections::HashMap;

use dccp::UnixMillis;
use dccp::address::canonical;
use smtp::address::Address;

use crate::agents::AgentId;
use crate::allowance::{Allowance, Bucket};

/// Pairs that are remembered: about 2 MB. A pair that is forgotten had a full allowance.
const PAIRS_MAX: usize = 16_384;

/// What the configuration allows.
#[derive(Debug, Clone, Copy)]
pub struct SendRates {
    /// Messages of one agent in a minute.
    pub per_minute: u32,
    /// Messages of one agent to one recipient in a minute.
    pub per_recipient_per_minute: u32,
}

/// Who sent how much.
pub(super) struct Rates {
    each: Allowance,
    pair: Allowance,
    /// As many as there are agents.
    agents: HashMap<AgentId, Bucket>,
    pairs: HashMap<(AgentId, String), Bucket>,
}

impl Rates {
    pub(super) fn new(rates: SendRates) -> Self {
        let of = |per_minute| Allowance { burst: per_minute, per_minute };
        Self {
            each: of(rates.per_minute),
            pair: of(rates.per_recipient_per_minute),
            agents: HashMap::new(),
            pairs: HashMap::new(),
        }
    }

    /// Counts a message; says whether it is within the allowance of the agent and of each pair.
    pub(super) fn take(&mut self, agent: AgentId, to: &[Address], now: UnixMillis) -> bool {
        let full = Bucket::full(self.each, now);
        let within = self.agents.entry(agent).or_insert(full).take(self.each, now);
        within && to.iter().all(|to| self.take_pair(agent, to, now))
    }

    fn take_pair(&mut self, agent: AgentId, to: &Address, now: UnixMillis) -> bool {
        let (pair, key) = (self.pair, (agent, canonical(to.as_str())));
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&key) {
            self.pairs.retain(|_, bucket| !bucket.is_full(pair, now));
        }
        let known = self.pairs.contains_key(&key);
        let room = known || self.pairs.len() < PAIRS_MAX;
        room && self.pairs.entry(key).or_insert(Bucket::full(pair, now)).take(pair, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn to(name: &str) -> [Address; 1] {
        [format!("{name}@acme.test").parse().unwrap()]
    }

    #[test]
    fn one_recipient_is_not_stormed_and_others_are_still_reached() {
        let mut rates = Rates::new(SendRates { per_minute: 100, per_recipient_per_minute: 10 });
        let sent = (0..50).filter(|_| rates.take([1; 16], &to("alice"), NOW)).count();
        assert_eq!(sent, 10);
        assert!(!rates.take([1; 16], &to("ALICE"), NOW), "another spelling is the same recipient");
        assert!(rates.take([1; 16], &to("bob"), NOW) && rates.take([2; 16], &to("alice"), NOW));
        assert!(rates.take([1; 16], &to("alice"), NOW.saturating_add_ms(6_000)));
    }

    #[test]
    fn an_agent_has_a_rate_however_many_it_writes_to() {
        let mut rates = Rates::new(SendRates { per_minute: 100, per_recipient_per_minute: 10 });
        let sent = (0..500).filter(|number| rates.take([1; 16], &to(&format!("p{number}")), NOW)).count();
        assert_eq!(sent, 100);
    }

    #[test]
    fn pairs_cannot_fill_the_memory() {
        let mut rates = Rates::new(SendRates { per_minute: 100_000, per_recipient_per_minute: 10 });
        for number in 0..20_000 {
            rates.take([1; 16], &to(&format!("p{number}")), NOW);
        }
        assert!(rates.pairs.len() <= PAIRS_MAX);
    }
}
