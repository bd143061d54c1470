//! From text to rules: parse, validate against the words, read the annotations. Strict, because a rule that silently
//! does nothing is worse than a gateway that does not start.

use std::str::FromStr;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect as CedarEffect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::error::line_at;
use super::reply::{Reply, Wording};
use super::{Effect, Rule, RulesError};

/// The annotations a rule may carry. Any other is a misspelling.
const ANNOTATIONS: [&str; 4] = ["id", "effect", "reply", "why"];

/// An id stands in replies, journals and metrics.
const ID_BYTES_MAX: usize = 64;

/// Who wrote a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Standard,
    Local,
}

/// One rule file.
pub(super) struct RuleText<'a> {
    pub(super) text: &'a str,
    pub(super) origin: Origin,
}

/// Reads all rules of a text in their order, each with its line. Ranks count on from `rank_first`.
pub(super) fn read(
    source: &RuleText<'_>,
    schema: &Schema,
    rank_first: usize,
) -> Result<Vec<(usize, Rule, Policy)>, RulesError> {
    let text = source.text;
    let set = PolicySet::from_str(text).map_err(|error| RulesError::of_cedar(text, &error))?;
    let policies = in_order(text, &set)?;
    let rules = policies
        .iter()
        .enumerate()
        .map(|(position, (line, policy))| {
            let rule = read_rule(policy, source.origin, rank_first + position)
                .map_err(|message| RulesError::new(*line, message))?;
            let policy = policy.new_id(PolicyId::new(&rule.id));
            Ok((*line, rule, policy))
        })
        .collect::<Result<Vec<_>, RulesError>>()?;
    validate(text, &rules, schema)?;
    Ok(rules)
}

/// Cedar keeps a set; people wrote a list. Policies are numbered `policy0`, `policy1`, … in the order of the text.
fn in_order<'s>(text: &str, set: &'s PolicySet) -> Result<Vec<(usize, &'s Policy)>, RulesError> {
    if set.templates().next().is_some() {
        return Err(RulesError::new(1, "templates (?principal, ?resource) are not supported"));
    }
    let mut from = 0;
    (0..set.num_of_policies())
        .map(|number| {
            let policy = set
                .policy(&PolicyId::new(format!("policy{number}")))
                .ok_or_else(|| RulesError::new(1, "the order of the rules cannot be told"))?;
            let written = policy.to_cedar().unwrap_or_default();
            let start = text.get(from..).and_then(|rest| rest.find(&written)).map_or(from, |at| from + at);
            from = start + written.len();
            Ok((line_at(text, start), policy))
        })
        .collect()
}

fn read_rule(policy: &Policy, origin: Origin, rank: usize) -> Result<Rule, String> {
    if let Some((name, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
        return Err(format!(
            "@{name} is not known here; use {}",
            ANNOTATIONS.map(|a| format!("@{a}")).join(", ")
        ));
    }
    let id = policy.annotation("id").ok_or("a rule needs an @id")?;
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(is_id_byte) {
        return Err(format!("@id must be 1 to {ID_BYTES_MAX} of a-z, 0-9 and \"-\", not \"{id}\""));
    }
    let why = Wording::read(policy.annotation("why").ok_or_else(|| format!("rule `{id}` needs a @why"))?)?;
    let effect = match (policy.effect(), policy.annotation("effect"), policy.annotation("reply")) {
        (CedarEffect::Permit, ..) if origin == Origin::Local => {
            return Err(
                "a local rule may only forbid: no local rule opens what the standard rules close".to_owned()
            );
        }
        (CedarEffect::Permit, None, None) => Effect::Permit,
        (CedarEffect::Permit, ..) => {
            return Err(format!("rule `{id}` permits: it has no @effect and no @reply"));
        }
        (CedarEffect::Forbid, None, Some(reply)) => Effect::Refuse(Reply::read(reply)?),
        (CedarEffect::Forbid, None, None) => {
            return Err(format!("rule `{id}` needs an @reply, or @effect(\"hold\")"));
        }
        (CedarEffect::Forbid, Some("hold"), None) => Effect::Hold,
        (CedarEffect::Forbid, Some("hold"), Some(_)) => {
            return Err(format!("rule `{id}` holds: the client hears 250, so it has no @reply"));
        }
        (CedarEffect::Forbid, Some(_), _) => {
            return Err("the only @effect is \"hold\"; without it a forbid refuses".to_owned());
        }
    };
    Ok(Rule { id: id.to_owned(), rank, effect, why })
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Types, names and reach. A warning ("this can never apply") is a mistake too. Of several, the first line is reported.
fn validate(text: &str, rules: &[(usize, Rule, Policy)], schema: &Schema) -> Result<(), RulesError> {
    let mut set = PolicySet::new();
    for (line, rule, policy) in rules {
        // The only way to fail: ids are the keys of a set.
        set.add(policy.clone()).map_err(|_error| RulesError::taken(*line, &rule.id))?;
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors().map(DetailedError::from);
    let warnings = result.validation_warnings().map(DetailedError::from);
    let first = errors.chain(warnings).map(|error| RulesError::of_cedar(text, error)).min_by_key(|e| e.line);
    first.map_or(Ok(()), Err)
}
