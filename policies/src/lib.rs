//! The judge: from facts and rules to a decision with reasons, and the only maker of a [`Permit`].
//!
//! ```text
//!   RecipientFacts ─► decide_recipient ─► Decision<()>      at RCPT TO: 250, 451 or 550 per recipient
//!   MailFacts ──────► decide_mail ──────► Decision<Permit>  octets complete: seal, hand over, relay, hold or refuse
//!                         ▲
//!                       Rules  =  rules/*.cedar  +  the administrator's local text      (immutable, one generation)
//!   ArchiveFacts ───► decide_archive ─► ArchiveDecision   must a copy be kept, and for how long?  (archive.rs)
//! ```
//!
//! # Words
//! *Facts*: what the house established about one recipient or one mail. *Rule*: one Cedar policy with an `@id`.
//! *Verdict*: allow, hold or refuse. *Reason*: a rule's id and its sentence. *Permit*: a yes as a value.
//! *Generation*: the short hash of all rule text.
//!
//! # Invariants
//! - Pure: no clock, no files, no network, no randomness. Equal generation and equal facts give an equal decision.
//! - Closed by default: what no rule permits is refused; what cannot be evaluated is refused for now (`451`).
//! - A refusal beats a hold, a hold beats a yes.
//! - Local rules only tighten. No text an administrator can write opens what the standard rules close.
//! - A [`Permit`] to seal names a pinned partner; a permit to hand over exists for our own recipients only; a permit to
//!   relay exists only where the configuration opened the way outside, for mail of our own clients that need not be
//!   encrypted. This holds even if every rule were wrong.
//! - Reasons and replies never carry an address.
//!
//! # Deliberately absent
//! Content detectors, log-in decisions and per-person rules are not here yet. Whether a domain *has* a gateway, which
//! marks a mail bears and whether DMARC passed is found out by the house; a look-up that failed never reaches the judge.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod archive;
mod decision;
mod facts;
mod judge;
mod permit;
mod question;
mod rules;
#[cfg(test)]
mod tests;

pub use archive::{
    ArchiveDecision, ArchiveFacts, ArchiveRule, ArchiveRules, BadPattern, Keep, Pattern, Way, decide_archive,
};
pub use decision::{Decision, Reason, Refusal, Verdict};
pub use facts::{
    Authenticity, Client, Demand, Destination, Direction, DmarcPolicy, Finding, MailFacts, Marks,
    PartnerStanding, RecipientFacts, Role, SenderStanding,
};
pub use permit::{Permit, Purpose};
pub use rules::{Rules, RulesError};

use permit::Course;
use rules::Numbers;

/// May this recipient be accepted? Outbound it is asked at `RCPT TO`, inbound per forward-path of an opened mail.
pub fn decide_recipient(rules: &Rules, facts: &RecipientFacts<'_>) -> Decision<()> {
    let asked = rules.words.ask_recipient(facts);
    judge::judge(rules, asked, &Numbers::default(), false, |_| {
        Purpose::of(&Course::of_recipient(facts)).map(|_purpose| ())
    })
}

/// May this mail go to this destination? A yes is the [`Permit`] to do so, once.
pub fn decide_mail(rules: &Rules, facts: &MailFacts<'_>) -> Decision<Permit> {
    let numbers = Numbers { size: facts.size, size_max: facts.size_max, recipients: facts.recipients as u64 };
    let asked = rules.words.ask_mail(facts);
    judge::judge(rules, asked, &numbers, facts.approved, |reasons| {
        let purpose = Purpose::of(&Course::of_mail(facts))?;
        Some(Permit::new(purpose, reasons.iter().map(|reason| reason.rule.clone()).collect()))
    })
}
