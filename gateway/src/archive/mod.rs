//! The archive: copies of mail that must be kept, sealed so that this gateway cannot read them any more.
//!
//! ```text
//! mail_out, mail_home ─┐                    rules (config) ─┐
//! mail_in ─────────────┴─► Archivist::copy ─ decide ◄───────┴─ holds (people, by order)
//!                             │ facts + envelope + octets
//!                             ▼ seal to the archive key (its private half was made elsewhere and never comes here);
//!                             │ of a large mail its reference: the octets rest in the spool's large body, which the copy keeps
//!                          spool: with the acceptance, or before the hand-over, in one commit
//!
//! officer's key or shares ─► dccp-gateway archive export | open ─► .eml files + manifest
//! ```
//!
//! Words: a *copy* is one mail as it was accepted, with its whole envelope; a *rule* says which mail is kept and for how
//! long; a *hold* keeps what it names until it is lifted, rule or no rule; the *archive key* opens copies.
//!
//! Invariants:
//! - A mail that must be archived and cannot be is not accepted, or not handed over.
//! - One copy per mail, however many organisations it goes to and however often it is tried.
//! - What the running gateway can tell of a copy is what its tags tell: times, ids, sizes, and whether a person that is asked
//!   about is in it.
//! - Copies go by their time, all that are due at once; there is no way to take out one.
//!
//! Deliberately absent: search in contents, and mail that the gateway writes itself (reports).

mod administration;
mod holds;
mod keeper;
pub mod key;
mod people;
pub mod seal;

use std::sync::Arc;

use bytes::Bytes;
use dccp::UnixMillis;
use dccp::kem::KemError;
use policies::{ArchiveFacts, ArchiveRules, Way, decide_archive};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use administration::Administration;
pub use holds::Holds;
pub use keeper::{Keeper, trouble};
pub use people::{tag_of, tags_of};

use crate::custody::Vault;
use crate::flows::bodies::Stored;
use crate::flows::records::purpose;
use crate::spool::{CopyWay, NewCopy, Note, RowId, Stage};
use key::PublicKey;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// What every copy is made by, while the archive is on.
pub struct Law {
    /// Whom copies are sealed to.
    pub key: PublicKey,
    /// Which mail is kept.
    pub rules: ArchiveRules,
}

/// Decides about copies and makes them. Clones share everything.
#[derive(Clone)]
pub struct Archivist {
    law: Option<Arc<Law>>,
    vault: Arc<Vault>,
    holds: watch::Receiver<Arc<Holds>>,
}

/// What a copy tells of its mail beside the octets: sealed with them, and the manifest of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The queue id that SMTP was told.
    pub queue_id: String,
    /// Which way it went.
    pub way: String,
    /// When it was accepted, or opened.
    pub at_ms: u64,
    /// The rule or hold that asked for the copy.
    pub rule: String,
    /// Days that the rule keeps it.
    pub days: u32,
    /// The reverse-path; empty for the null sender.
    pub from: String,
    /// Every recipient as the envelope had it, those that no header names included.
    pub to: Vec<String>,
    /// Recipients as the client named them, where aliases stood for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// The Message-ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Who handed it in, where a client did: address, name, user.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// Where it went, or where it came from, and what was found and decided about each.
    pub legs: Vec<Leg>,
}

/// One organisation that a mail went to or came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Its mail domain.
    pub domain: String,
    /// Its DID, where it has a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// Verdicts, and the protection on the way, in words.
    pub steps: Vec<String>,
}

/// A mail that may have to be archived.
pub struct Candidate<'a> {
    /// The name of the copy.
    pub id: RowId,
    /// All that will be sealed beside the octets; `way`, `rule` and `days` are filled in here.
    pub facts: Facts,
    /// Which way it goes to each of `facts.to`.
    pub ways: Vec<Way>,
    /// As it came, octet for octet.
    pub octets: Stored<'a>,
}

/// A copy that must be kept, and what the journal says of it.
pub struct Archived {
    /// For the spool.
    pub copy: NewCopy,
    /// The decision.
    pub note: Note,
}

impl Archivist {
    /// Without a `law` nothing is archived.
    pub fn new(law: Option<Arc<Law>>, vault: Arc<Vault>, holds: watch::Receiver<Arc<Holds>>) -> Self {
        Self { law, vault, holds }
    }

    /// Whether anything can be archived.
    pub fn is_on(&self) -> bool {
        self.law.is_some()
    }

    /// The copy of a mail that must be kept; `None`: no rule and no hold asks for one.
    ///
    /// # Errors
    /// [`KemError`] when the archive key is not usable; the mail must not go on then.
    pub fn copy(&self, candidate: Candidate<'_>) -> Result<Option<Archived>, KemError> {
        let Some(law) = &self.law else { return Ok(None) };
        let Candidate { id, mut facts, ways, octets } = candidate;
        let at = UnixMillis(facts.at_ms);
        let addresses = || std::iter::once(&facts.from).chain(&facts.to).chain(&facts.named);
        let people = tags_of(&self.vault, addresses().map(String::as_str));
        let holds = self.holds.borrow().clone();
        let recipients: Vec<(Way, &str)> =
            ways.iter().copied().zip(facts.to.iter().map(String::as_str)).collect();
        let decision = decide_archive(
            &law.rules,
            &ArchiveFacts { sender: &facts.from, recipients: &recipients, held_by: holds.names(&people, at) },
        );
        let Some(keep) = decision.keep else { return Ok(None) };
        let words: Vec<&str> = decision.reasons.iter().map(|reason| reason.text.as_str()).collect();
        let note = Note::new(
            at,
            Stage::Decided,
            format!("{} (archive rules {})", words.join(", "), decision.generation),
        );
        let way = overall(&ways);
        facts.way = way.as_str().to_owned();
        facts.rule = keep.rule.clone();
        facts.days = keep.days;
        let sealed = seal::seal(&law.key, &facts, &octets, &mut rand::rng())?;
        let copy = NewCopy {
            id,
            queue_id: facts.queue_id,
            way,
            at,
            rule: keep.rule,
            keep_until: at.saturating_add_ms(u64::from(keep.days).saturating_mul(DAY_MS)),
            key_id: *law.key.key_id().as_bytes(),
            message_id_tag: facts.message_id.map(|id| self.vault.tag(purpose::MESSAGE_ID, id.as_bytes())),
            people,
            sealed: Bytes::from(sealed),
            large: octets.large(),
        };
        Ok(Some(Archived { copy, note }))
    }
}

/// Who handed a mail in, in words: address, the name it called itself, the user it proved to be.
pub fn client_words(client: &smtp::server::Client) -> String {
    let user = client.user.as_ref().map(|user| format!(", user {user}")).unwrap_or_default();
    format!("{} ({}){user}", client.address.ip(), client.hello)
}

/// A mail that leaves is one that leaves, whoever of our people gets it too.
fn overall(ways: &[Way]) -> CopyWay {
    if ways.contains(&Way::In) {
        return CopyWay::In;
    }
    if ways.contains(&Way::Out) { CopyWay::Out } else { CopyWay::Inside }
}

#[cfg(test)]
mod tests;
