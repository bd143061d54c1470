//! The judgement: refusals first, then holds, then yes. Whatever is in doubt is refused.

use cedar_policy::{Authorizer, Decision as CedarDecision, PolicySet, Response};

use crate::decision::{Decision, Reason, Refusal, Verdict};
use crate::question::{Asked, Unaskable};
use crate::rules::{Effect, Numbers, Reply, Rule, Rules};

/// No rule of ours permits: the default is no.
const NO_RULE: &str = "no-rule-allows";
/// Cedar could not evaluate a rule. Our fault, so the client may come back.
const RULE_FAILED: &str = "rule-not-evaluated";
/// The rules permit what cannot be carried safely. Our fault too.
const NO_WAY: &str = "no-safe-way";

/// A person released what the rules hold.
const APPROVED: &str = "approved";

/// Ids that the judge speaks under itself; no rule may borrow them.
pub(crate) const RESERVED_IDS: [&str; 4] = [NO_RULE, RULE_FAILED, NO_WAY, APPROVED];

/// Judges a question. `allow` turns the names of the permitting rules into the value of a yes; `None` means that no safe
/// way exists, whatever the rules say. Where a person has `approved` of the mail, a hold is a yes, if there is a safe way.
pub(crate) fn judge<A>(
    rules: &Rules,
    asked: Result<Asked, Unaskable>,
    numbers: &Numbers,
    approved: bool,
    allow: impl FnOnce(&[Reason]) -> Option<A>,
) -> Decision<A> {
    let (verdict, reasons) = match find(rules, asked) {
        Finding::Allowed(found) => {
            let reasons = reasons(&found, numbers);
            match allow(&reasons) {
                Some(value) => (Verdict::Allow(value), reasons),
                None => our_fault(NO_WAY, "The rules allow this mail, but there is no safe way to carry it."),
            }
        }
        Finding::Held { law, holds } => {
            let held = reasons(&holds, numbers);
            let value = if approved { allow(&reasons(&law, numbers)) } else { None };
            match value {
                Some(value) => (Verdict::Allow(value), approval(held)),
                None => (Verdict::Hold, held),
            }
        }
        Finding::Refused { decisive, reply, others } => {
            let mut found = vec![decisive];
            found.extend(others);
            let reasons = reasons(&found, numbers);
            (Verdict::Refuse(refusal(reply, &decisive.id, &decisive.why.with(numbers))), reasons)
        }
        Finding::NoRule => {
            let reply = Reply { code: 550, enhanced: "5.7.1".to_owned() };
            fixed(&reply, NO_RULE, "No rule allows this mail.")
        }
        Finding::Failed => our_fault(RULE_FAILED, "A rule could not be evaluated; try again later."),
    };
    Decision { verdict, reasons, generation: rules.generation() }
}

enum Finding<'r> {
    Allowed(Vec<&'r Rule>),
    Held { law: Vec<&'r Rule>, holds: Vec<&'r Rule> },
    Refused { decisive: &'r Rule, reply: &'r Reply, others: Vec<&'r Rule> },
    NoRule,
    Failed,
}

fn find<'r>(rules: &'r Rules, asked: Result<Asked, Unaskable>) -> Finding<'r> {
    let Ok(asked) = asked else { return Finding::Failed };
    let slice = rules.slice(asked.question);
    let Some((decision, found)) = evaluate(rules, &slice.law, &asked) else { return Finding::Failed };
    if decision == CedarDecision::Deny {
        return refused(found);
    }
    if slice.holds.is_empty() {
        return Finding::Allowed(found);
    }
    match evaluate(rules, &slice.holds, &asked) {
        None => Finding::Failed,
        Some((_, holds)) if holds.is_empty() => Finding::Allowed(found),
        Some((_, holds)) => Finding::Held { law: found, holds },
    }
}

/// The rules that decided, in the order of the law. `None` if any rule could not be evaluated: Cedar skips such a rule,
/// and a skipped `forbid` would be an open door.
fn evaluate<'r>(rules: &'r Rules, set: &PolicySet, asked: &Asked) -> Option<(CedarDecision, Vec<&'r Rule>)> {
    let response: Response = Authorizer::new().is_authorized(&asked.request, set, &asked.entities);
    let diagnostics = response.diagnostics();
    if diagnostics.errors().next().is_some() {
        return None;
    }
    let mut found = diagnostics.reason().map(|id| rules.rule(id.as_ref())).collect::<Option<Vec<_>>>()?;
    found.sort_by_key(|rule| rule.rank);
    Some((response.decision(), found))
}

/// Of several refusals a permanent one speaks: coming back would not help the client. Among equals, the first in the law.
fn refused(found: Vec<&Rule>) -> Finding<'_> {
    let decisive = found.iter().filter_map(|rule| match &rule.effect {
        Effect::Refuse(reply) => Some((*rule, reply)),
        Effect::Permit | Effect::Hold => None,
    });
    match decisive.min_by_key(|(rule, reply)| (reply.code < 500, rule.rank)) {
        None => Finding::NoRule,
        Some((decisive, reply)) => {
            let others = found.iter().copied().filter(|rule| rule.rank != decisive.rank).collect();
            Finding::Refused { decisive, reply, others }
        }
    }
}

fn reasons(found: &[&Rule], numbers: &Numbers) -> Vec<Reason> {
    found.iter().map(|rule| Reason { rule: rule.id.clone(), text: rule.why.with(numbers) }).collect()
}

fn refusal(reply: &Reply, rule: &str, why: &str) -> Refusal {
    Refusal { code: reply.code, enhanced: reply.enhanced.clone(), text: format!("{why} (rule {rule})") }
}

/// The journal says what would have held the mail, and that it did not.
fn approval(held: Vec<Reason>) -> Vec<Reason> {
    let text = "A person released it from what follows.".to_owned();
    std::iter::once(Reason { rule: APPROVED.to_owned(), text }).chain(held).collect()
}

/// A refusal that no rule text words.
fn fixed<A>(reply: &Reply, rule: &str, why: &str) -> (Verdict<A>, Vec<Reason>) {
    let reason = Reason { rule: rule.to_owned(), text: why.to_owned() };
    (Verdict::Refuse(refusal(reply, rule, why)), vec![reason])
}

/// `4.3.5`: system incorrectly configured (RFC 3463 §3.4).
fn our_fault<A>(rule: &str, why: &str) -> (Verdict<A>, Vec<Reason>) {
    fixed(&Reply { code: 451, enhanced: "4.3.5".to_owned() }, rule, why)
}
