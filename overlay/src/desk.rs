//! Who may ask now: how many questions at a time, how fast, and how large the answers may be.
//!
//! Strangers are told apart by the network they come from, not by their PeerId: a key costs
//! nothing. Partners have means of their own, which strangers cannot use up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dccp::Did;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{AskLimits, Rate};
use crate::gate::Gate;
use crate::window::Budget;

/// Networks of strangers that are remembered at one time: more than ask within a few seconds.
const NETWORKS_MAX: usize = 4096;

/// Leading bits of an IPv6 address that name one customer of a provider (RFC 6177).
const IPV6_NETWORK_BITS: u32 = 64;

/// On whose account a question goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Partner(Did),
    /// `None`: reached by a name, not by an address.
    Stranger(Option<IpAddr>),
}

impl Source {
    /// A stranger behind this address.
    pub(crate) fn stranger(address: &Multiaddr) -> Source {
        let ip = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Some(IpAddr::V4(ip)),
            Some(Protocol::Ip6(ip)) => Some(match ip.to_canonical() {
                IpAddr::V6(ip) => {
                    let network = u128::MAX << (u128::BITS - IPV6_NETWORK_BITS);
                    IpAddr::V6((u128::from(ip) & network).into())
                }
                ip4 => ip4,
            }),
            _ => None,
        };
        Source::Stranger(ip)
    }

    fn is_stranger(&self) -> bool {
        matches!(self, Source::Stranger(_))
    }
}

/// Where askers wait to be admitted.
pub(crate) struct Desk {
    limits: AskLimits,
    ledger: Mutex<Ledger>,
    strangers_bytes: Budget,
    partners_bytes: Budget,
}

struct Ledger {
    accounts: HashMap<Source, Account>,
    strangers: Gate,
    strangers_open: usize,
    partners_open: usize,
}

struct Account {
    gate: Gate,
    open: usize,
}

/// Why an asker was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// It asks too fast, or strangers do.
    TooFast,
    /// Too many of its questions are open, or of all.
    Busy,
}

impl TurnedAway {
    pub(crate) fn label(self) -> &'static str {
        match self {
            TurnedAway::TooFast => "rate",
            TurnedAway::Busy => "busy",
        }
    }
}

/// The place of one question; dropping it gives the place back.
pub(crate) struct Seat {
    desk: Arc<Desk>,
    source: Source,
}

impl Desk {
    pub(crate) fn new(limits: AskLimits, now: Instant) -> Arc<Desk> {
        let Rate { burst, interval } = limits.strangers_rate;
        Arc::new(Desk {
            strangers_bytes: Budget::new(limits.strangers_bytes_max),
            partners_bytes: Budget::new(limits.partners_bytes_max),
            ledger: Mutex::new(Ledger {
                accounts: HashMap::new(),
                strangers: Gate::new(burst, interval, now),
                strangers_open: 0,
                partners_open: 0,
            }),
            limits,
        })
    }

    /// Admits one question, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, source: Source, now: Instant) -> Result<Seat, TurnedAway> {
        self.ledger().admit(&source, &self.limits, now)?;
        Ok(Seat { desk: Arc::clone(self), source })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn admit(&mut self, source: &Source, limits: &AskLimits, now: Instant) -> Result<(), TurnedAway> {
        if self.accounts.len() >= NETWORKS_MAX && !self.accounts.contains_key(source) {
            self.accounts.retain(|_, account| account.open > 0 || !account.gate.is_full(now));
            if self.accounts.len() >= NETWORKS_MAX && source.is_stranger() {
                return Err(TurnedAway::TooFast);
            }
        }
        let (Rate { burst, interval }, open, open_max) = match source.is_stranger() {
            true => (limits.stranger_rate, &mut self.strangers_open, limits.strangers_max),
            false => (limits.partner_rate, &mut self.partners_open, limits.partners_max),
        };
        let account = self
            .accounts
            .entry(source.clone())
            .or_insert_with(|| Account { gate: Gate::new(burst, interval, now), open: 0 });
        // The asker's own rate first: one that asks too fast must not use up what all share.
        if !account.gate.pass(now) {
            return Err(TurnedAway::TooFast);
        }
        if account.open >= limits.per_asker_max || *open >= open_max {
            return Err(TurnedAway::Busy);
        }
        if source.is_stranger() && !self.strangers.pass(now) {
            return Err(TurnedAway::TooFast);
        }
        account.open += 1;
        *open += 1;
        Ok(())
    }

    fn leave(&mut self, source: &Source) {
        if let Some(account) = self.accounts.get_mut(source) {
            account.open = account.open.saturating_sub(1);
        }
        let open = match source.is_stranger() {
            true => &mut self.strangers_open,
            false => &mut self.partners_open,
        };
        *open = open.saturating_sub(1);
    }
}

impl Seat {
    /// Waits until an answer of this size may be held. `None` never comes: budgets are not closed.
    pub(crate) async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let budget = match self.source.is_stranger() {
            true => &self.desk.strangers_bytes,
            false => &self.desk.partners_bytes,
        };
        budget.take(bytes).await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.ledger().leave(&self.source);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> AskLimits {
        AskLimits {
            per_asker_max: 2,
            strangers_max: 3,
            partners_max: 3,
            stranger_rate: Rate { burst: 4, interval: SECOND },
            strangers_rate: Rate { burst: 6, interval: SECOND },
            partner_rate: Rate { burst: 10, interval: SECOND },
            ..AskLimits::default()
        }
    }

    fn network(number: u8) -> Source {
        Source::stranger(&format!("/ip4/192.0.2.{number}/tcp/1").parse().unwrap())
    }

    fn partner() -> Source {
        Source::Partner("did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap())
    }

    #[test]
    fn one_asker_cannot_take_all_places_and_a_place_comes_back() {
        let now = Instant::now();
        let desk = Desk::new(limits(), now);
        let first = desk.admit(network(1), now).ok().unwrap();
        let _second = desk.admit(network(1), now).ok().unwrap();
        assert_eq!(desk.admit(network(1), now).err(), Some(TurnedAway::Busy));
        let _other = desk.admit(network(2), now).ok().unwrap();
        assert_eq!(desk.admit(network(3), now).err(), Some(TurnedAway::Busy), "strangers are full");
        drop(first);
        assert!(desk.admit(network(1), now).is_ok());
    }

    #[test]
    fn strangers_that_ask_too_fast_do_not_keep_others_or_partners_out() {
        let now = Instant::now();
        let desk = Desk::new(limits(), now);
        for _ in 0..4 {
            assert!(desk.admit(network(1), now).is_ok());
        }
        for _ in 0..1000 {
            assert_eq!(desk.admit(network(1), now).err(), Some(TurnedAway::TooFast));
        }
        assert!(desk.admit(network(2), now).is_ok(), "the shared rate is not used up");
        assert!(desk.admit(network(2), now).is_ok());
        assert_eq!(desk.admit(network(3), now).err(), Some(TurnedAway::TooFast), "all strangers together");
        assert!(desk.admit(partner(), now).is_ok());
        assert!(desk.admit(network(1), now + SECOND).is_ok());
    }

    #[test]
    fn a_provider_customer_is_one_asker_however_many_addresses_it_has() {
        let of = |text: &str| Source::stranger(&text.parse().unwrap());
        assert_eq!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8::ffff:1/udp/9/quic-v1"));
        assert_ne!(of("/ip6/2001:db8::1/tcp/1"), of("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_eq!(of("/ip6/::ffff:192.0.2.1/tcp/1"), network(1));
    }

    #[test]
    fn accounts_of_strangers_are_bounded_and_forgotten() {
        let now = Instant::now();
        let lavish = Rate { burst: 1 << 20, interval: SECOND };
        let desk = Desk::new(AskLimits { strangers_rate: lavish, ..limits() }, now);
        let many = |number: u16| {
            let [high, low] = number.to_be_bytes();
            Source::stranger(&format!("/ip4/198.51.{high}.{low}/tcp/1").parse().unwrap())
        };
        for number in 0..NETWORKS_MAX as u16 {
            assert!(desk.admit(many(number), now).is_ok());
        }
        assert_eq!(desk.admit(network(1), now).err(), Some(TurnedAway::TooFast));
        assert!(desk.admit(partner(), now).is_ok());
        assert!(desk.admit(network(1), now + SECOND).is_ok());
        assert_eq!(desk.ledger().accounts.len(), 1);
    }
}
