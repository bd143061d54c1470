//! The layer in front of the cache: the answers that are asked for again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dccp::{Did, UnixMillis};

use super::{Resolution, ResolveError};

/// Answers kept: more partners than an organisation has.
const ENTRIES_MAX: usize = 8192;
/// Octets of bundles kept: thousands of ordinary ones, or twenty of the largest a hostile organisation can make.
const BYTES_MAX: usize = 64 * 1024 * 1024;

type Answer = Result<Resolution, ResolveError>;

/// Bounded in entries and octets; the least recently used answers go first.
#[derive(Default)]
pub(super) struct Memory(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    answers: HashMap<Did, Entry>,
    bytes: usize,
    clock: u64,
}

struct Entry {
    answer: Answer,
    from: UnixMillis,
    until: UnixMillis,
    bytes: usize,
    used: u64,
}

impl Memory {
    /// The answer, if it may still be given at `now`.
    pub(super) fn recall(&self, did: &Did, now: UnixMillis) -> Option<Answer> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.clock += 1;
        let clock = shelf.clock;
        // A clock that was put back must not keep an answer for longer than it was meant for.
        let entry = shelf.answers.get_mut(did).filter(|entry| (entry.from..entry.until).contains(&now))?;
        entry.used = clock;
        Some(entry.answer.clone())
    }

    /// Forgets all answers.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Shelf::default();
    }

    /// Keeps an answer of so many octets from now on for `for_ms`.
    pub(super) fn keep(&self, did: &Did, answer: Answer, bytes: usize, now: UnixMillis, for_ms: u64) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.remove(did);
        while shelf.answers.len() >= ENTRIES_MAX || shelf.bytes + bytes > BYTES_MAX {
            let oldest = shelf.answers.iter().min_by_key(|(_, entry)| entry.used).map(|(did, _)| did.clone());
            let Some(oldest) = oldest else { break };
            shelf.remove(&oldest);
        }
        shelf.clock += 1;
        let entry =
            Entry { answer, from: now, until: now.saturating_add_ms(for_ms), bytes, used: shelf.clock };
        shelf.bytes += bytes;
        shelf.answers.insert(did.clone(), entry);
    }
}

impl Shelf {
    fn remove(&mut self, did: &Did) {
        if let Some(entry) = self.answers.remove(did) {
            self.bytes -= entry.bytes;
        }
    }
}
