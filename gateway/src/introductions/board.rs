//! The board: what partners publish of their trees, read from the shelves of others.
//!
//! An organisation can tell us one thing in its answers and messages and another thing to somebody else. What it
//! publishes lies in the hash table, with nodes that it did not choose, and is the same for all who look: so every
//! partner is looked up there once an hour, and each record that counts goes the way of a head that was heard. Nobody
//! learns whose partners we are from that but the nodes that are asked, and those are near the DID, not near us.
//!
//! So are we ourselves: what is published in our name and is not ours was signed with a stolen key, or before our
//! database was set back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dccp::did::{DidDocument, Head};
use dccp::{Did, UnixMillis};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{Gossip, Own, Road};
use crate::clock::Clock;
use crate::partners::{Partner, Partners};

/// How often somebody may have a turn.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// Partners looked up in one turn, one after the other: 720 in an hour, and whoever has more of them needs longer.
const LOOKED_UP_AT_ONCE: usize = 4;

/// How soon the same partner is looked up again: as often as the shelves exchange what they have.
const LOOKED_UP_AGAIN_MS: u64 = 3_600_000;

/// The task that reads the board.
pub struct Board {
    /// Leads to the shelves.
    pub road: Road,
    /// Who we are.
    pub own: Arc<Own>,
    /// Whom we know.
    pub partners: watch::Receiver<Arc<Partners>>,
    /// Takes what was read.
    pub gossip: Gossip,
    /// Time.
    pub clock: Clock,
}

impl Board {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        // Not at once: at the start nobody is connected yet, and nothing would be found.
        let mut turns = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read: HashMap<Did, UnixMillis> = HashMap::new();
        let reading = async {
            loop {
                turns.tick().await;
                for (did, document) in self.due(&mut read) {
                    read.insert(did.clone(), (self.clock)());
                    for head in counting(&self.road.heads(&did).await, &document, (self.clock)()) {
                        self.gossip.hear_published(&head);
                    }
                }
            }
        };
        stop.run_until_cancelled(reading).await;
    }

    /// Those whose time has come, the longest unread first. Forgets who is no partner any more.
    fn due(&self, read: &mut HashMap<Did, UnixMillis>) -> Vec<(Did, DidDocument)> {
        let partners = self.partners.borrow();
        let others = partners.iter().filter(|partner| !partner.is_in_doubt()).map(Partner::document);
        let all: Vec<&DidDocument> = others.chain([self.own.document()]).collect();
        read.retain(|did, _| partners.by_did(did).is_some() || did == self.own.did());
        let now = (self.clock)();
        let last = |document: &DidDocument| read.get(document.did()).copied();
        let is_due = |document: &&DidDocument| {
            last(document).is_none_or(|last| now >= last.saturating_add_ms(LOOKED_UP_AGAIN_MS))
        };
        let mut due: Vec<&DidDocument> = all.into_iter().filter(is_due).collect();
        due.sort_by_key(|document| last(document));
        let due = due.into_iter().take(LOOKED_UP_AT_ONCE);
        due.map(|document| (document.did().clone(), document.clone())).collect()
    }
}

/// The records among the candidates that count beside this log: what anybody else signed, and what its owner signed of
/// another state of it, says nothing here.
fn counting(candidates: &[Bytes], document: &DidDocument, now: UnixMillis) -> Vec<Head> {
    candidates.iter().filter_map(|record| Head::verify(record, document, now).ok()).collect()
}

#[cfg(test)]
mod tests {
    use dccp::did::{Commitment, Founding, found};
    use dccp::keys::SigningKey;
    use dccp::tree::TreeHead;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY_MS: u64 = 24 * 3_600_000;

    fn organisation(operator: &SigningKey) -> DidDocument {
        let recovery = SigningKey::from_seed(&[9; 64]);
        let recovery = Commitment::of(recovery.verifying_key());
        let domains = vec!["globex.test".to_owned()];
        let founding = Founding::organisation(domains, operator.verifying_key().clone(), recovery, NOW);
        found(&founding, &[operator]).unwrap().verify().unwrap()
    }

    fn head(document: &DidDocument, root: u8, expires: UnixMillis) -> Head {
        Head::of(document, 1, TreeHead { size: 3, root: [root; 32] }, Vec::new(), (NOW, expires))
    }

    #[test]
    fn nobody_can_put_words_into_the_mouth_of_another() {
        let [globex, mallory] = [1, 2].map(|seed| SigningKey::from_seed(&[seed; 64]));
        let (document, theirs) = (organisation(&globex), organisation(&mallory));
        let later = NOW.saturating_add_ms(DAY_MS);
        let genuine = head(&document, 1, later);
        let candidates: Vec<Bytes> = [
            genuine.sign(&globex).unwrap(),
            head(&document, 2, later).sign(&mallory).unwrap(),
            head(&theirs, 3, later).sign(&mallory).unwrap(),
            head(&document, 4, NOW.saturating_add_ms(1)).sign(&globex).unwrap(),
            b"no record".to_vec(),
        ]
        .map(Bytes::from)
        .into();
        let now = NOW.saturating_add_ms(DAY_MS / 2);
        assert_eq!(
            counting(&candidates, &document, now),
            [genuine],
            "forged, of another, expired, no record"
        );
    }
}
