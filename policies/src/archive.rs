//! The archive's question: must a copy of this mail be kept, by which rule, and for how long?
//!
//! ```text
//!   ArchiveFacts (who wrote to whom, which way; whether a legal hold names them)
//!        └─► decide_archive(ArchiveRules) ─► ArchiveDecision { keep: Keep { rule, days } | nothing, reasons }
//! ```
//!
//! Not written in Cedar: nothing is allowed or refused here, and a yes has a number. Where several rules fit, the longest
//! retention counts: a copy that stays too long can be forgotten later, one that went too early cannot be brought back. A
//! legal hold keeps what no rule asks for, for as long as the hold stands.

mod pattern;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest;

use crate::Reason;

pub use pattern::{BadPattern, Pattern};

/// Which way a mail goes, as people who keep records see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From our people to somebody else.
    Out,
    /// From somebody else to our people.
    In,
    /// From our people to our people.
    Inside,
}

impl Way {
    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Inside => "inside",
        }
    }
}

/// Which mail is kept, and for how long. What is empty does not narrow; what is there must all fit, for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRule {
    /// Its name, which a copy bears.
    pub name: String,
    /// Ways that it is about.
    pub ways: Vec<Way>,
    /// Senders that it is about.
    pub senders: Vec<Pattern>,
    /// Recipients that it is about.
    pub recipients: Vec<Pattern>,
    /// Days that a copy is kept.
    pub days: u32,
}

/// All rules of the archive, immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveRules {
    rules: Vec<ArchiveRule>,
    generation: String,
}

/// What the house knows of a mail that may have to be kept.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveFacts<'a> {
    /// The reverse-path; empty for the null sender.
    pub sender: &'a str,
    /// Everybody it goes to, and which way.
    pub recipients: &'a [(Way, &'a str)],
    /// The legal hold that names one of them, if one does.
    pub held_by: Option<&'a str>,
}

/// A copy must be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The rule that asks for it, or the hold where no rule does.
    pub rule: String,
    /// Days that it is kept at least; 0: as long as the hold stands.
    pub days: u32,
}

/// The answer, with everything the journal needs to explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a decision that nobody reads keeps nothing"]
pub struct ArchiveDecision {
    /// What is to be kept; `None`: nothing.
    pub keep: Option<Keep>,
    /// The rules that fit, the one that counts first. Never an address.
    pub reasons: Vec<Reason>,
    /// [`ArchiveRules::generation`] of the rules that were asked.
    pub generation: String,
}

impl ArchiveRules {
    /// These rules.
    pub fn new(rules: Vec<ArchiveRule>) -> Self {
        let generation = generation(&rules);
        Self { rules, generation }
    }

    /// The rules, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ArchiveRule> {
        self.rules.iter()
    }

    /// The short hash of all rules.
    pub fn generation(&self) -> &str {
        &self.generation
    }
}

/// Must a copy of this mail be kept? One copy, however many recipients and rules there are.
pub fn decide_archive(rules: &ArchiveRules, facts: &ArchiveFacts<'_>) -> ArchiveDecision {
    let mut fitting: Vec<&ArchiveRule> = rules.iter().filter(|rule| rule.fits(facts)).collect();
    fitting.sort_by_key(|rule| std::cmp::Reverse(rule.days)); // stable: of equal ones the first
    let of_rule = |rule: &&ArchiveRule| Reason {
        rule: rule.name.clone(),
        text: format!("archived under rule {} for {} days", rule.name, rule.days),
    };
    let of_hold = |hold: &str| Reason {
        rule: hold.to_owned(),
        text: format!("archived under the legal hold {hold} for as long as it stands"),
    };
    let reasons = fitting.iter().map(of_rule).chain(facts.held_by.map(of_hold)).collect();
    let by_rule = fitting.first().map(|rule| Keep { rule: rule.name.clone(), days: rule.days });
    let by_hold = || facts.held_by.map(|hold| Keep { rule: hold.to_owned(), days: 0 });
    ArchiveDecision { keep: by_rule.or_else(by_hold), reasons, generation: rules.generation.clone() }
}

impl ArchiveRule {
    fn fits(&self, facts: &ArchiveFacts<'_>) -> bool {
        let any = |patterns: &[Pattern], address: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(address))
        };
        any(&self.senders, facts.sender)
            && facts.recipients.iter().any(|(way, recipient)| {
                (self.ways.is_empty() || self.ways.contains(way)) && any(&self.recipients, recipient)
            })
    }
}

/// 64 bits of SHA-256 over all that the rules say, each part with its length in front.
fn generation(rules: &[ArchiveRule]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut part = |text: &str| {
        hash.update(&(text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    for rule in rules {
        part(&rule.name);
        part(&rule.ways.iter().map(|way| way.as_str()).collect::<Vec<_>>().join(","));
        for patterns in [&rule.senders, &rule.recipients] {
            part(&patterns.len().to_string());
            patterns.iter().for_each(|pattern| part(pattern.as_str()));
        }
        part(&rule.days.to_string());
    }
    hash.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
