//! The report as JSON (RFC 8460 §4.4).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Failure, Policy, Tally};
use crate::trace::rfc3339;

/// One domain's day.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who reports: our organisation's domain.
    pub organisation: &'a str,
    /// Whom to ask about it: a mail address.
    pub contact: &'a str,
    /// Unique among our reports.
    pub id: &'a str,
    /// Whose servers it is about.
    pub domain: &'a str,
    /// The first moment of the day.
    pub start: SystemTime,
    /// The last second of it.
    pub end: SystemTime,
    /// What was counted.
    pub tallies: &'a [(Tally, u64)],
}

impl Report<'_> {
    /// The report, indented, with LF line ends.
    pub fn json(&self) -> String {
        let mut policies: BTreeMap<&Policy, Counted<'_>> = BTreeMap::new();
        for (tally, count) in self.tallies {
            let counted = policies.entry(&tally.policy).or_default();
            match &tally.failure {
                None => counted.successes += count,
                Some(failure) => counted.failures.push((failure, *count)),
            }
        }
        let policies: Vec<Value> =
            policies.iter().map(|(policy, counted)| self.policy(policy, counted)).collect();
        let report = json!({
            "organization-name": self.organisation,
            "date-range": { "start-datetime": rfc3339(self.start), "end-datetime": rfc3339(self.end) },
            "contact-info": self.contact,
            "report-id": self.id,
            "policies": policies,
        });
        format!("{report:#}\n")
    }

    /// Its name when it travels as a file (RFC 8460 §5.1).
    pub fn file_name(&self) -> String {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
        };
        let (start, end) = (seconds(self.start), seconds(self.end));
        format!("{}!{}!{start}!{end}!{}.json", self.organisation, self.domain, self.id)
    }

    fn policy(&self, policy: &Policy, counted: &Counted<'_>) -> Value {
        let failed: u64 = counted.failures.iter().map(|(_, count)| count).sum();
        let mut stated = json!({ "policy-type": policy.kind.word(), "policy-domain": self.domain });
        if !policy.strings.is_empty() {
            set(&mut stated, "policy-string", json!(policy.strings));
        }
        if !policy.hosts.is_empty() {
            set(&mut stated, "mx-host", json!(policy.hosts));
        }
        let mut value = json!({
            "policy": stated,
            "summary": {
                "total-successful-session-count": counted.successes,
                "total-failure-session-count": failed,
            },
        });
        if failed > 0 {
            let details: Vec<Value> =
                counted.failures.iter().map(|(failure, count)| detail(failure, *count)).collect();
            set(&mut value, "failure-details", details.into());
        }
        value
    }
}

/// What was counted under one policy.
#[derive(Default)]
struct Counted<'a> {
    successes: u64,
    failures: Vec<(&'a Failure, u64)>,
}

fn detail(failure: &Failure, count: u64) -> Value {
    let mut value = json!({ "result-type": failure.result, "failed-session-count": count });
    if !failure.host.is_empty() {
        set(&mut value, "receiving-mx-hostname", json!(failure.host));
    }
    if let Some(address) = failure.address {
        set(&mut value, "receiving-ip", json!(address.to_string()));
    }
    if !failure.reason.is_empty() {
        set(&mut value, "failure-reason-code", json!(failure.reason));
    }
    value
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}
