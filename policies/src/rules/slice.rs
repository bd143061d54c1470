//! The rules that one question needs. Cedar's cost is linear in the number of policies, so each question sees few.

use cedar_policy::{Policy, PolicySet};

use super::{Effect, Rule};

/// Rules of one question, holds apart: a hold postpones what would otherwise be allowed, it never rescues what would be
/// refused. So the holds are asked only after the others said yes.
#[derive(Default)]
pub(crate) struct Slice {
    /// What permits and what refuses.
    pub(crate) law: PolicySet,
    /// What holds back a mail that the law allows.
    pub(crate) holds: PolicySet,
}

impl Slice {
    pub(super) fn add(&mut self, rule: &Rule, policy: &Policy) -> Result<(), String> {
        let set = match rule.effect {
            Effect::Hold => &mut self.holds,
            Effect::Permit | Effect::Refuse(_) => &mut self.law,
        };
        set.add(policy.clone()).map_err(|error| error.to_string())
    }
}
