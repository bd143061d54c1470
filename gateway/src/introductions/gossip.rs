//! What every message carries and hears beside its content, without a look-up per message: the heads of both sides'
//! trees of bindings, and the DIDs of the people it is for. And what partners publish of their trees, which must be the
//! same.
//!
//! ```text
//! sealing ─► Gossip ─ known people, tree heads ─► message          (memory only, never waits)
//!               └─ unknown address, new head ─► GossipTask ─► partner, database ─► memory
//! arrival ─► Gossip ─┘      │
//! head records ─────────────┘          (from streams, from who wants them kept, from the board)
//! ```

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dccp::address::canonical;
use dccp::did::Head;
use dccp::limits::RECIPIENTS_MAX;
use dccp::tree::TreeHead;
use dccp::{Did, UnixMillis};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::seek::confirmed;
use super::{Own, Road};
use crate::clock::Clock;
use crate::partners::{Partner, Partners};
use crate::people::{Asked, Contacts, Registry, Sought, Watch};
use crate::spool::SpoolError;

/// Addresses whose people are remembered: a day's correspondents of a large organisation, some dozen megabytes.
const PEOPLE_MAX: usize = 100_000;

/// Partners whose heads are remembered.
const PARTNERS_MAX: usize = 10_000;

/// How long an answer is remembered here; the database remembers it longer and better.
const REMEMBERED_MS: u64 = 3_600_000;

/// Things that may wait to be looked into; beyond them the next message brings them again.
const HEARD_MAX: usize = 256;

/// How often our own tree is read: a new person is gossiped within a minute.
const OWN_TREE_EVERY: Duration = Duration::from_secs(60);

/// The memory of messages.
#[derive(Clone)]
pub struct Gossip(Arc<Inner>);

struct Inner {
    own: RwLock<Option<TreeHead>>,
    kept: RwLock<Memory<Did, TreeHead>>,
    heard: RwLock<Memory<Did, [Option<TreeHead>; 2]>>,
    people: RwLock<Memory<PartnersAddress, Answered>>,
    news: mpsc::Sender<Heard>,
    clock: Clock,
}

/// A partner, and an address of its people in canonical spelling.
type PartnersAddress = (Did, String);

/// What a partner said of an address, and until when it is remembered here.
struct Answered {
    person: Option<Did>,
    until: UnixMillis,
}

/// Something to look into.
pub enum Heard {
    /// A partner showed the head of its tree.
    Theirs(Did, TreeHead),
    /// A partner says which head of our tree it was shown.
    Ours(Did, TreeHead),
    /// A partner publishes that its tree was at least this at that time; or somebody publishes that of ours.
    Published(Did, TreeHead, UnixMillis),
    /// A mail was written to an address of a partner.
    Address(Did, String),
}

impl Gossip {
    /// An empty memory, and what it wants looked into.
    pub fn new(clock: Clock) -> (Gossip, mpsc::Receiver<Heard>) {
        let (news, heard) = mpsc::channel(HEARD_MAX);
        let inner = Inner {
            own: RwLock::default(),
            kept: RwLock::new(Memory::new(PARTNERS_MAX)),
            heard: RwLock::new(Memory::new(PARTNERS_MAX)),
            people: RwLock::new(Memory::new(PEOPLE_MAX)),
            news,
            clock,
        };
        (Gossip(Arc::new(inner)), heard)
    }

    /// The heads that a message to `partner` carries: ours, and theirs as we know it.
    pub fn heads_for(&self, partner: &Did) -> (Option<TreeHead>, Option<TreeHead>) {
        (*read(&self.0.own), read(&self.0.kept).find(partner).copied())
    }

    /// Takes note of the heads in a verified message. Only what is new costs anything.
    pub fn hear(&self, partner: &Did, own_tree: Option<TreeHead>, your_tree: Option<TreeHead>) {
        let both = [own_tree, your_tree];
        if both == [None, None] || read(&self.0.heard).find(partner) == Some(&both) {
            return;
        }
        let theirs = own_tree.map(|head| Heard::Theirs(partner.clone(), head));
        let ours = your_tree.map(|head| Heard::Ours(partner.clone(), head));
        let told = theirs.into_iter().chain(ours).all(|heard| self.0.news.try_send(heard).is_ok());
        if told {
            write(&self.0.heard).keep(partner.clone(), both);
        }
    }

    /// Takes note of a head record that was verified beside the log of a partner, or beside ours.
    pub fn hear_published(&self, head: &Head) {
        // No room: it is published still when the board is read again.
        _ = self.0.news.try_send(Heard::Published(head.did.clone(), head.tree, head.not_before));
    }

    /// The people behind these addresses of `partner`, as far as they are known; the others are asked for behind the
    /// mail's back.
    pub fn people(&self, partner: &Did, addresses: &[String]) -> Vec<Did> {
        let now = (self.0.clock)();
        let mut known = Vec::new();
        // One recipient is the organisation itself.
        for address in addresses.iter().take(RECIPIENTS_MAX - 1) {
            let key = (partner.clone(), canonical(address));
            match read(&self.0.people).find(&key) {
                Some(answered) if now < answered.until => known.extend(answered.person.clone()),
                _ => _ = self.0.news.try_send(Heard::Address(key.0, key.1)),
            }
        }
        known.sort();
        known.dedup();
        known
    }
}

/// Looks into what was heard.
pub struct GossipTask {
    /// The memory that it fills.
    pub gossip: Gossip,
    /// What is to be looked into.
    pub heard: mpsc::Receiver<Heard>,
    /// Asks partners.
    pub road: Road,
    /// What partners answered.
    pub contacts: Contacts,
    /// Whether partners show one tree.
    pub watch: Watch,
    /// Our own tree.
    pub registry: Arc<Registry>,
    /// What we publish of it.
    pub own: Arc<Own>,
    /// Whose devices may answer.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Time.
    pub clock: Clock,
}

impl GossipTask {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(OWN_TREE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                Some(heard) = self.heard.recv() => self.look_into(heard).await,
                _ = ticks.tick() => self.read_own_tree().await,
            };
            if let Err(error) = looked {
                tracing::warn!(%error, "what messages told about trees and people cannot be kept now");
            }
        }
    }

    async fn read_own_tree(&self) -> Result<(), SpoolError> {
        let head = self.registry.own_tree().await?;
        *write(&self.gossip.0.own) = (head.size > 0).then_some(head);
        self.own.set_tree(head);
        Ok(())
    }

    async fn look_into(&self, heard: Heard) -> Result<(), SpoolError> {
        let now = (self.clock)();
        match heard {
            Heard::Ours(partner, head) => self.watch.observe_our_own(&partner, head, now).await,
            Heard::Theirs(partner, head) => {
                self.watch.observe(&partner, head, now).await?;
                self.settle(&partner, now, now).await
            }
            Heard::Published(ours, tree, _) if ours == *self.own.did() => {
                self.watch.observe_our_own(&ours, tree, now).await
            }
            Heard::Published(partner, tree, since) => {
                self.watch.observe_published(&partner, tree, since, now).await?;
                self.settle(&partner, since, now).await
            }
            Heard::Address(partner, address) => {
                let Some(devices) = self.devices(&partner) else { return Ok(()) };
                let sought = Sought { partner: partner.clone(), devices, address: address.clone() };
                let asked = self.contacts.seek(&sought, &self.road, now).await;
                let person = match asked {
                    Ok(Asked::Person(person)) => confirmed(&self.road, &sought, person, now).await,
                    Ok(Asked::Nobody | Asked::Unknown) => None,
                    Err(error) => {
                        // Remembered as nobody for a while: a partner that is away is not asked with every mail.
                        tracing::debug!(%error, %partner, "a partner did not say whom an address leads to");
                        None
                    }
                };
                let until = now.saturating_add_ms(REMEMBERED_MS);
                write(&self.gossip.0.people).keep((partner.clone(), address), Answered { person, until });
                self.remember_head(&partner).await
            }
        }
    }

    /// Has the partner prove what it showed or published; it said something itself at `spoke_at`.
    async fn settle(&self, partner: &Did, spoke_at: UnixMillis, now: UnixMillis) -> Result<(), SpoolError> {
        if let Some(devices) = self.devices(partner)
            && let Err(error) = self.watch.settle(partner, &devices, &self.road, now).await
        {
            tracing::debug!(%error, %partner, "a partner has not proved its tree yet");
            self.watch.expect_proof(partner, spoke_at, now).await?;
        }
        self.remember_head(partner).await
    }

    async fn remember_head(&self, partner: &Did) -> Result<(), SpoolError> {
        if let Some(head) = self.watch.kept(partner).await? {
            write(&self.gossip.0.kept).keep(partner.clone(), head);
        }
        Ok(())
    }

    fn devices(&self, partner: &Did) -> Option<dccp::did::Devices> {
        let partners = self.partners.borrow();
        partners.by_did(partner).filter(|partner| !partner.is_in_doubt()).map(Partner::devices).cloned()
    }
}

/// A map that forgets everything when it is full: what matters comes again with the next message.
struct Memory<K, V> {
    entries: HashMap<K, V>,
    entries_max: usize,
}

impl<K: Eq + Hash, V> Memory<K, V> {
    fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), entries_max }
    }

    fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    fn keep(&mut self, key: K, value: V) {
        if self.entries.len() >= self.entries_max {
            self.entries.clear();
        }
        self.entries.insert(key, value);
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(letter: &str) -> Did {
        // 256 bits in 52 characters: the last one carries only one of them.
        format!("did:dccp:1{}a", letter.repeat(51)).parse().unwrap()
    }

    fn head(size: u64) -> Option<TreeHead> {
        Some(TreeHead { size, root: [7; 32] })
    }

    #[test]
    fn an_unknown_address_is_asked_for_and_never_waited_for() {
        let (gossip, mut heard) = Gossip::new(|| UnixMillis(1_000));
        assert_eq!(gossip.people(&did("a"), &["Bob@Globex.test".into()]), []);
        assert!(
            matches!(heard.try_recv(), Ok(Heard::Address(_, address)) if address == canonical("Bob@Globex.test"))
        );

        let key = (did("a"), canonical("bob@globex.test"));
        write(&gossip.0.people)
            .keep(key.clone(), Answered { person: Some(did("b")), until: UnixMillis(1_001) });
        assert_eq!(gossip.people(&did("a"), &["bob@globex.test".into()]), [did("b")]);
        assert!(heard.try_recv().is_err());
        write(&gossip.0.people).keep(key, Answered { person: Some(did("b")), until: UnixMillis(1_000) });
        assert_eq!(gossip.people(&did("a"), &["bob@globex.test".into()]), [], "an old answer does not count");
    }

    #[test]
    fn a_head_is_looked_into_once() {
        let (gossip, mut heard) = Gossip::new(|| UnixMillis(0));
        gossip.hear(&did("a"), head(3), None);
        assert!(matches!(heard.try_recv(), Ok(Heard::Theirs(_, seen)) if Some(seen) == head(3)));
        gossip.hear(&did("a"), head(3), None);
        gossip.hear(&did("b"), None, None);
        assert!(heard.try_recv().is_err());
        gossip.hear(&did("a"), head(3), head(1));
        assert!(heard.try_recv().is_ok());
        assert!(matches!(heard.try_recv(), Ok(Heard::Ours(_, seen)) if Some(seen) == head(1)));
    }

    #[test]
    fn a_full_memory_forgets_rather_than_grows() {
        let mut memory = Memory::new(2);
        (0..5).for_each(|n| memory.keep(n, n));
        assert_eq!((memory.entries.len(), memory.find(&4)), (1, Some(&4)));
    }
}
