//! Standing rules: "hold everything to or from X until I say so", asked once for every accepted mail.

use serde::{Deserialize, Serialize};

use super::filter::is_from;
use crate::custody::Vault;
use crate::flows::records::{RecordError, purpose};
use crate::spool::{NewRow, Note, Spool, SpoolError, Stage, State, UnixMillis};

/// The rules of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub(super) rules: Vec<Rule>,
}

/// One rule. What it names must all fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name: what a held row says it is held by.
    pub name: String,
    /// The sender: an address or a domain.
    pub(super) sender: Option<String>,
    /// One of the recipients: an address or a domain.
    pub(super) recipient: Option<String>,
    /// At least so many bytes.
    pub(super) larger_than_bytes: Option<u64>,
    /// Who added it.
    pub(super) by: String,
    /// Why.
    pub(super) why: String,
}

impl Standing {
    /// The first rule that holds a mail from `sender` (empty: the null sender) to `recipients`, of `size` bytes.
    pub fn holds(&self, sender: &str, recipients: &[impl AsRef<str>], size: u64) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(sender, recipients, size))
    }

    /// Reads the rules. One that does not open is left out and complained about: its name is all that is known of it.
    ///
    /// # Errors
    /// The spool's.
    pub async fn load(spool: &Spool, vault: &Vault) -> Result<Self, SpoolError> {
        let sealed: Vec<(String, Vec<u8>)> = spool
            .read(|conn| {
                conn.prepare("SELECT name, sealed FROM hold_rules ORDER BY name")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .await?;
        let opened = sealed.into_iter().filter_map(|(name, sealed)| {
            Rule::open(vault, &sealed)
                .inspect_err(|error| tracing::error!(%error, rule = name, "a standing rule does not open; it holds nothing"))
                .ok()
        });
        Ok(Self { rules: opened.collect() })
    }
}

impl Rule {
    /// The row waits for a person from the beginning.
    #[must_use]
    pub fn hold(&self, row: NewRow) -> NewRow {
        NewRow { state: State::Held, held_by: Some(self.name.clone()), leased: false, ..row }
    }

    /// What the journal says of it.
    pub fn note(&self, now: UnixMillis) -> Note {
        Note::new(now, Stage::Held, format!("by the standing rule {}", self.name))
    }

    fn fits(&self, sender: &str, recipients: &[impl AsRef<str>], size: u64) -> bool {
        self.sender.as_deref().is_none_or(|wanted| is_from(wanted, sender))
            && self
                .recipient
                .as_deref()
                .is_none_or(|wanted| recipients.iter().any(|recipient| is_from(wanted, recipient.as_ref())))
            && self.larger_than_bytes.is_none_or(|bytes| size >= bytes)
    }

    pub(super) fn seal(&self, vault: &Vault) -> Vec<u8> {
        // Serialising this plain struct to memory has no failing case; an empty record would show as unreadable.
        vault.seal(purpose::HOLD_RULE, &serde_json::to_vec(self).unwrap_or_default())
    }

    fn open(vault: &Vault, sealed: &[u8]) -> Result<Self, RecordError> {
        Ok(serde_json::from_slice(&vault.open(purpose::HOLD_RULE, sealed)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str) -> Rule {
        Rule {
            name: name.to_owned(),
            sender: None,
            recipient: None,
            larger_than_bytes: None,
            by: "test".to_owned(),
            why: String::new(),
        }
    }

    #[test]
    fn a_mail_is_held_by_the_first_rule_that_fits_in_everything_it_names() {
        let from = Rule { sender: Some("acme.example".into()), ..rule("from") };
        let both =
            Rule { recipient: Some("bob@globex.example".into()), larger_than_bytes: Some(10), ..rule("to") };
        let standing = Standing { rules: vec![from, both] };
        let held =
            |sender, to: &[&str], size| standing.holds(sender, to, size).map(|rule| rule.name.as_str());
        assert_eq!(held("alice@acme.example", &["bob@globex.example"], 99), Some("from"));
        assert_eq!(held("eve@evil.example", &["x@y.example", "bob@globex.example"], 10), Some("to"));
        assert_eq!(held("eve@evil.example", &["bob@globex.example"], 9), None);
        assert_eq!(held("", &["x@y.example"], 99), None);
    }

    #[test]
    fn a_rule_rests_sealed() {
        let vault = Vault::new(zeroize::Zeroizing::new([7; 32]));
        let rule = Rule { sender: Some("alice@acme.example".into()), ..rule("quiet") };
        let sealed = rule.seal(&vault);
        assert!(!String::from_utf8_lossy(&sealed).contains("alice"));
        assert_eq!(Rule::open(&vault, &sealed).unwrap(), rule);
    }
}
