//! MTA-STS: a domain says over HTTPS which hosts take its mail, and that they have proper certificates (RFC 8461).
//!
//! ```text
//! TXT _mta-sts.<domain> ─► record ─┐                     ┌─► Use(policy)
//! what was fetched before ─────────┴─► next_step(now) ───┼─► Fetch ─► https://mta-sts.<domain>/.well-known/mta-sts.txt
//!                                                        └─► Nothing           └─► Policy::parse ─► keep ─► Finding
//! ```
//! A policy that was seen holds until its `max_age` is over, whatever DNS or HTTPS say or fail to say in the meantime:
//! who can keep us from asking must not be able to switch it off (RFC 8461 §10.2).

mod policy;
mod record;

pub use policy::{BadPolicy, Mode, POLICY_BYTES_MAX, POLICY_PATH, Policy};
pub use record::{BadRecord, Record, record};

use super::{NoAnswer, tls_report};

/// A policy is asked for again after this time although its id is the same, so that an unchanged one never runs out
/// (RFC 8461 §3.3 suggests once a day).
const REFRESH_AFTER_MS: u64 = 24 * 3_600_000;

/// A policy as it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The id in the TXT record at that time.
    pub id: String,
    /// What the domain said.
    pub policy: Policy,
    /// When, in milliseconds since 1970.
    pub fetched_at_ms: u64,
}

impl Kept {
    /// Whether its `max_age` is not over.
    pub fn holds(&self, now_ms: u64) -> bool {
        now_ms < self.fetched_at_ms.saturating_add(self.policy.max_age_s.saturating_mul(1_000))
    }
}

/// What is to be done for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The kept policy is current.
    Use,
    /// There is one to fetch, with this id; while it cannot be had, what is kept and holds is used.
    Fetch {
        /// The id to keep it under.
        id: String,
    },
    /// The domain has none.
    Nothing,
}

/// What to do after the TXT look-up. `Err` is a look-up without an answer, or a record that is none (RFC 8461 §3.1:
/// then the domain is assumed to have no policy, but what is kept still holds).
pub fn next_step<E>(kept: Option<&Kept>, txt: &Result<Option<Record>, E>, now_ms: u64) -> Step {
    let kept = kept.filter(|kept| kept.holds(now_ms));
    match (txt, kept) {
        (Ok(Some(record)), Some(kept)) if record.id == kept.id => {
            if now_ms < kept.fetched_at_ms.saturating_add(REFRESH_AFTER_MS) {
                Step::Use
            } else {
                Step::Fetch { id: record.id.clone() }
            }
        }
        (Ok(Some(record)), _) => Step::Fetch { id: record.id.clone() },
        (Ok(None) | Err(_), Some(_)) => Step::Use,
        (Ok(None) | Err(_), None) => Step::Nothing,
    }
}

/// What is known of a domain's policy when a mail is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has none.
    None,
    /// This one holds.
    Policy(Policy),
    /// It could not be asked for, and none is kept. Mail goes on as without one (RFC 8461 §3.3), except such as needs
    /// it.
    Unknown(NoAnswer),
}

impl Finding {
    /// The policy, if one holds.
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Policy(policy) => Some(policy),
            Self::None | Self::Unknown(_) => None,
        }
    }

    /// In the words of a report.
    pub(super) fn policy_reported(&self) -> tls_report::Policy {
        match self.policy() {
            Some(policy) if policy.mode != Mode::None => tls_report::Policy::sts(policy),
            _ => tls_report::Policy::none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * 3_600_000;

    fn kept(id: &str, max_age_s: u64) -> Kept {
        let policy = Policy { mode: Mode::Enforce, hosts: vec!["mx.globex.test".into()], max_age_s };
        Kept { id: id.into(), policy, fetched_at_ms: 1_000 }
    }

    fn txt(id: &str) -> Result<Option<Record>, NoAnswer> {
        Ok(Some(Record { id: id.into() }))
    }

    fn silent() -> Result<Option<Record>, NoAnswer> {
        Err(NoAnswer::Silent("timeout".into()))
    }

    #[test]
    fn a_policy_is_fetched_once_and_again_when_its_id_changes() {
        assert_eq!(next_step(None, &txt("1"), 5_000), Step::Fetch { id: "1".into() });
        assert_eq!(next_step(Some(&kept("1", 86_400)), &txt("1"), 5_000), Step::Use);
        assert_eq!(next_step(Some(&kept("1", 86_400)), &txt("2"), 5_000), Step::Fetch { id: "2".into() });
        assert_eq!(next_step(None, &Ok::<_, NoAnswer>(None), 5_000), Step::Nothing);
    }

    #[test]
    fn nobody_can_switch_a_policy_off_by_keeping_us_from_asking() {
        let kept = kept("1", 86_400);
        for answer in [silent(), Ok(None)] {
            assert_eq!(next_step(Some(&kept), &answer, 5_000), Step::Use);
            assert_eq!(next_step(Some(&kept), &answer, 1_000 + 86_400_000), Step::Nothing, "max_age is over");
            assert_eq!(next_step(None, &answer, 5_000), Step::Nothing);
        }
    }

    #[test]
    fn an_unchanged_policy_is_renewed_every_day_and_so_never_runs_out() {
        let kept = kept("1", 604_800);
        assert_eq!(next_step(Some(&kept), &txt("1"), DAY_MS), Step::Use);
        assert_eq!(next_step(Some(&kept), &txt("1"), 1_000 + DAY_MS), Step::Fetch { id: "1".into() });
    }

    #[test]
    fn no_clock_and_no_max_age_overflows() {
        let kept = Kept { fetched_at_ms: u64::MAX - 5, ..kept("1", u64::MAX) };
        assert!(kept.holds(u64::MAX - 1));
    }
}
