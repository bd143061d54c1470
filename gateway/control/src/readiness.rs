//! Can the gateway do its work now?

use serde::{Deserialize, Serialize};

/// Whether the gateway can do its work now, and what is missing if not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// True when every check is ok.
    pub ready: bool,
    /// One entry per part that was asked, in the order mail passes them.
    pub checks: Vec<Check>,
}

/// What one part of the gateway said when asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The part, in one or two words: `spool`, `overlay`, `smtp`.
    pub name: String,
    /// Can this part do its work?
    pub ok: bool,
    /// In words, for a person: what it does, or what is missing and what to do about it.
    pub detail: String,
}

impl Readiness {
    /// Ready if and only if every check is ok. No checks at all is *not* ready: nobody vouched.
    pub fn of(checks: Vec<Check>) -> Self {
        Self { ready: !checks.is_empty() && checks.iter().all(|check| check.ok), checks }
    }

    /// What is missing, in words: `spool: the disk is full`.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter(|check| !check.ok).map(|check| format!("{}: {}", check.name, check.detail))
    }
}

impl Check {
    /// This part works.
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), ok: true, detail: detail.into() }
    }

    /// This part does not work; `detail` says what is missing.
    pub fn failed(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), ok: false, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_makes_the_gateway_not_ready_and_is_named() {
        let readiness =
            Readiness::of(vec![Check::ok("spool", "writable"), Check::failed("overlay", "not listening")]);
        assert!(!readiness.ready);
        assert_eq!(readiness.missing().collect::<Vec<_>>(), ["overlay: not listening"]);
    }

    #[test]
    fn a_gateway_nobody_vouched_for_is_not_ready() {
        assert!(!Readiness::of(Vec::new()).ready);
    }

    #[test]
    fn a_gateway_whose_parts_all_work_is_ready() {
        assert!(Readiness::of(vec![Check::ok("spool", "writable")]).ready);
    }
}
