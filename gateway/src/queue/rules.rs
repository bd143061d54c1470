//! Adding standing rules and taking them back.

use std::sync::Arc;

use control::{ControlError, HoldRule, HoldRules, RuleRemoval};

use super::standing::{Rule, Standing};
use super::{Administration, name_of, reason_of, silent};
use crate::flows::records::purpose;
use crate::spool::{Order, SpoolError};

/// Rules at most: each is asked for every mail.
const RULES_MAX: usize = 1_000;

/// Octets of what a rule looks for: an address (RFC 5321 §4.5.3.1.3).
const WANTED_BYTES_MAX: usize = 256;

/// Characters of a rule's name.
const RULE_NAME_CHARS_MAX: usize = 64;

impl Administration {
    pub(super) fn rules_now(&self) -> HoldRules {
        let standing = self.standing.borrow().clone();
        HoldRules { rules: standing.rules.iter().map(view).collect() }
    }

    pub(super) async fn add(&self, asked: HoldRule) -> Result<HoldRules, ControlError> {
        let rule = parse(asked)?;
        let now = self.standing.borrow().clone();
        if now.rules.iter().any(|known| known.name == rule.name) {
            return Err(ControlError::Bad(format!("There is a rule “{}” already.", rule.name)));
        }
        if now.rules.len() >= RULES_MAX {
            return Err(ControlError::Bad(format!("There are {RULES_MAX} rules already.")));
        }
        let order = self.order_of("add-rule", &rule.by, &rule.why);
        let (name, sealed) = (rule.name.clone(), rule.seal(&self.vault));
        let kept = self.spool.write_audited(order, rule.name.clone(), move |conn| {
            conn.execute("INSERT INTO hold_rules (name, sealed) VALUES (?1, ?2)", (name, sealed))
        });
        match kept.await {
            Ok(_) => self.reload().await,
            Err(SpoolError::Refused(_)) => {
                Err(ControlError::Bad(format!("There is a rule “{}” already.", rule.name)))
            }
            Err(error) => Err(silent(error)),
        }
    }

    pub(super) async fn remove(&self, name: &str, removal: RuleRemoval) -> Result<HoldRules, ControlError> {
        let known = self.standing.borrow().rules.iter().any(|rule| rule.name == name);
        if !known {
            return Err(ControlError::NotFound(format!("There is no rule “{name}”.")));
        }
        let order = self.order_of("remove-rule", &name_of(&removal.by)?, reason_of(&removal.why)?);
        let wanted = name.to_owned();
        self.spool
            .write_audited(order, name.to_owned(), move |conn| {
                conn.execute("DELETE FROM hold_rules WHERE name = ?1", [wanted])
            })
            .await
            .map_err(silent)?;
        self.reload().await
    }

    fn order_of(&self, act: &'static str, by: &str, why: &str) -> Order {
        let why = self.vault.seal(purpose::NOTE, why.as_bytes());
        Order { act, by: by.to_owned(), at: (self.clock)(), why }
    }

    /// The flows see it with their next mail.
    async fn reload(&self) -> Result<HoldRules, ControlError> {
        let fresh = Standing::load(&self.spool, &self.vault).await.map_err(silent)?;
        self.standing.send_replace(Arc::new(fresh));
        Ok(self.rules_now())
    }
}

fn parse(asked: HoldRule) -> Result<Rule, ControlError> {
    let bad = |why: String| Err(ControlError::Bad(why));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if asked.name.is_empty() || asked.name.len() > RULE_NAME_CHARS_MAX || !asked.name.chars().all(plain) {
        return bad(format!("“name” is 1 to {RULE_NAME_CHARS_MAX} letters, digits, - and _."));
    }
    let given =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (sender, recipient) = (given(asked.sender), given(asked.recipient));
    if [&sender, &recipient].into_iter().flatten().any(|wanted| wanted.len() > WANTED_BYTES_MAX) {
        return bad(format!("An address has at most {WANTED_BYTES_MAX} octets."));
    }
    if sender.is_none() && recipient.is_none() && asked.larger_than_bytes.is_none() {
        return bad("A rule names a sender, a recipient or a size.".to_owned());
    }
    Ok(Rule {
        name: asked.name,
        sender,
        recipient,
        larger_than_bytes: asked.larger_than_bytes,
        by: name_of(&asked.by)?,
        why: reason_of(&asked.why)?.to_owned(),
    })
}

fn view(rule: &Rule) -> HoldRule {
    HoldRule {
        name: rule.name.clone(),
        sender: rule.sender.clone(),
        recipient: rule.recipient.clone(),
        larger_than_bytes: rule.larger_than_bytes,
        by: rule.by.clone(),
        why: rule.why.clone(),
    }
}
