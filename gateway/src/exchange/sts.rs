//! MTA-STS policies: asked for, kept in the database until they run out, bounded (RFC 8461).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use dccp::UnixMillis;
use finding::{FetchError, MailFinder};
use rusqlite::{OptionalExtension, params};
use smtp::route::NoAnswer;
use smtp::route::mta_sts::{self, Finding, Kept, POLICY_BYTES_MAX, POLICY_PATH, Policy, Step};
use smtp::route::tls_report::{Failure, StsFailure};

use super::lookups::no_answer;
use crate::spool::{Spool, SpoolError};

/// A policy that could not be fetched is not asked for again before that (RFC 8461 §3.3: at least five minutes).
const REFETCH_AFTER_MS: u64 = 5 * 60 * 1_000;

/// Domains whose last fetch failed that are remembered; beyond that the failures are forgotten and tried again.
const FAILURES_MAX: usize = 4_096;

/// Policies kept. More domains than that with a policy each are beyond what one gateway writes to.
const POLICIES_MAX: u64 = 20_000;

/// The policies of other domains.
pub(super) struct Policies {
    spool: Spool,
    /// When the last fetch failed, and why.
    failures: Mutex<HashMap<String, (UnixMillis, Failure)>>,
}

/// What is known of one domain's policy.
pub(super) struct Found {
    pub(super) finding: Finding,
    /// For the report about TLS.
    pub(super) failure: Option<Failure>,
}

impl Policies {
    pub(super) fn new(spool: Spool) -> Self {
        Self { spool, failures: Mutex::default() }
    }

    /// The policy that holds for `domain` now.
    pub(super) async fn of(&self, domain: &str, finder: &MailFinder, now: UnixMillis) -> Found {
        if smtp::route::literal(domain).is_some() {
            return Found { finding: Finding::None, failure: None };
        }
        let kept = self.kept(domain).await.unwrap_or_else(|error| {
            tracing::warn!(%error, domain, "the kept MTA-STS policy cannot be read; it is asked for");
            None
        });
        let kept = kept.filter(|kept| kept.holds(now.0));
        let texts = finder.txt(&format!("_mta-sts.{domain}")).await.map_err(no_answer);
        let unanswered = texts.as_ref().err().cloned();
        let record = texts.map(|looked| mta_sts::record(&looked.records).unwrap_or_default());
        match mta_sts::next_step(kept.as_ref(), &record, now.0) {
            Step::Use => Found { finding: finding(kept, None), failure: None },
            Step::Nothing => Found { finding: finding(None, unanswered), failure: None },
            Step::Fetch { id } => self.fetch(domain, id, kept, finder, now).await,
        }
    }

    async fn fetch(
        &self,
        domain: &str,
        id: String,
        kept: Option<Kept>,
        finder: &MailFinder,
        now: UnixMillis,
    ) -> Found {
        let failure = match self.recent_failure(domain, now) {
            Some(failure) => failure,
            None => match fetched(domain, finder).await {
                Ok(policy) => {
                    let kept = Kept { id, policy, fetched_at_ms: now.0 };
                    if let Err(error) = self.keep(domain, &kept).await {
                        tracing::warn!(%error, domain, "an MTA-STS policy cannot be kept; it holds for this mail only");
                    }
                    return Found { finding: finding(Some(kept), None), failure: None };
                }
                Err(failure) => {
                    self.note_failure(domain, failure.clone(), now);
                    failure
                }
            },
        };
        let unknown = NoAnswer::Silent(format!("the MTA-STS policy cannot be had: {}", failure.reason));
        Found { finding: finding(kept, Some(unknown)), failure: Some(failure) }
    }

    fn recent_failure(&self, domain: &str, now: UnixMillis) -> Option<Failure> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, failure) = failures.get(domain)?;
        (now < at.saturating_add_ms(REFETCH_AFTER_MS)).then(|| failure.clone())
    }

    fn note_failure(&self, domain: &str, failure: Failure, now: UnixMillis) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= FAILURES_MAX {
            failures.clear();
        }
        failures.insert(domain.to_owned(), (now, failure));
    }

    async fn kept(&self, domain: &str) -> Result<Option<Kept>, SpoolError> {
        let domain = domain.to_owned();
        self.spool
            .read(move |database| {
                let row = database
                    .prepare_cached("SELECT id, policy, fetched_at FROM sts_policies WHERE domain = ?1")?
                    .query_row([domain], |row| {
                        Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
                    })
                    .optional()?;
                // A policy that this version cannot read any more is fetched again.
                Ok(row.and_then(|(id, policy, fetched_at)| {
                    let policy = Policy::parse(policy.as_bytes()).ok()?;
                    Some(Kept { id, policy, fetched_at_ms: fetched_at.unsigned_abs() })
                }))
            })
            .await
    }

    async fn keep(&self, domain: &str, kept: &Kept) -> Result<(), SpoolError> {
        let (domain, kept) = (domain.to_owned(), kept.clone());
        let ends_at = kept.fetched_at_ms.saturating_add(kept.policy.max_age_s.saturating_mul(1_000));
        self.spool
            .write(move |database| {
                database
                    .prepare_cached(
                        "INSERT INTO sts_policies (domain, id, policy, fetched_at, ends_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (domain) DO UPDATE SET id = excluded.id, policy = excluded.policy,
                             fetched_at = excluded.fetched_at, ends_at = excluded.ends_at",
                    )?
                    .execute(params![
                        domain,
                        kept.id,
                        kept.policy.lines().join("\n"),
                        i64::try_from(kept.fetched_at_ms).unwrap_or(i64::MAX),
                        i64::try_from(ends_at).unwrap_or(i64::MAX),
                    ])?;
                // Those that end first go first.
                database
                    .prepare_cached(
                        "DELETE FROM sts_policies WHERE domain IN
                             (SELECT domain FROM sts_policies ORDER BY ends_at DESC LIMIT -1 OFFSET ?1)",
                    )?
                    .execute([POLICIES_MAX as i64])?;
                Ok(())
            })
            .await
    }
}

fn finding(kept: Option<Kept>, otherwise: Option<NoAnswer>) -> Finding {
    match (kept, otherwise) {
        (Some(kept), _) => Finding::Policy(kept.policy),
        (None, Some(no_answer)) => Finding::Unknown(no_answer),
        (None, None) => Finding::None,
    }
}

async fn fetched(domain: &str, finder: &MailFinder) -> Result<Policy, Failure> {
    let octets = finder.sts_policy(domain, POLICY_PATH, POLICY_BYTES_MAX).await.map_err(|error| {
        let kind = match error {
            FetchError::Certificate(_) | FetchError::Tls(_) => StsFailure::WebPki,
            _ => StsFailure::Fetch,
        };
        Failure::policy(kind, error.to_string())
    })?;
    Policy::parse(&octets).map_err(|error| Failure::policy(StsFailure::Invalid, error.to_string()))
}
