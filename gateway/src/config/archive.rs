//! Which mail is archived, for how long, and for whose eyes.

use std::path::PathBuf;

use policies::{ArchiveRules, BadPattern, Pattern, Way};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::text;

/// Copies of mail that must be kept, sealed so that only the holders of the archive key can read them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// The public half of the archive key, as `dccp-gateway archive key create` wrote it on another machine. Copies are sealed
    /// to it; older copies stay under the keys before it.
    #[schemars(with = "text::File")]
    pub key: PathBuf,
    /// Which mail is archived. What a rule names must all fit, for one and the same recipient; what is empty does not narrow.
    /// Where several rules fit, the one with the most days counts. Without any, only what legal holds name is archived.
    #[serde(default)]
    pub rules: Vec<ArchiveRule>,
    /// What all copies together may take on the disk of `data_dir`. When it is reached, mail that must be archived is put off
    /// (452) and the console says so; from 80 % on it warns.
    #[serde(default = "Archive::bytes_max_default")]
    #[schemars(range(min = 65_536))]
    pub bytes_max: u64,
}

/// One rule: what it names must all fit, for one and the same recipient; what is empty does not narrow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRule {
    /// Its name, which each of its copies bears.
    pub name: String,
    /// Which way the mail goes.
    #[serde(default)]
    pub directions: Vec<ArchiveDirection>,
    /// Senders: addresses or domains; `*` stands for any letters.
    #[serde(default)]
    #[schemars(with = "Vec<text::Pattern>")]
    pub senders: Vec<String>,
    /// Recipients, in the same way.
    #[serde(default)]
    #[schemars(with = "Vec<text::Pattern>")]
    pub recipients: Vec<String>,
    /// Days that a copy is kept.
    #[schemars(range(min = 1, max = 36_500))]
    pub days: u32,
}

/// Which way an archived mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveDirection {
    /// From our people to somebody else.
    Out,
    /// From somebody else to our people.
    In,
    /// From our people to our people.
    Inside,
}

impl Archive {
    /// The rules as the judge takes them.
    ///
    /// # Errors
    /// [`BadPattern`] for a text that the checks of the file would have refused.
    pub fn rules(&self) -> Result<ArchiveRules, BadPattern> {
        let patterns =
            |texts: &[String]| texts.iter().map(|text| text.parse()).collect::<Result<Vec<Pattern>, _>>();
        let rule = |rule: &ArchiveRule| {
            Ok(policies::ArchiveRule {
                name: rule.name.clone(),
                ways: rule.directions.iter().copied().map(Way::from).collect(),
                senders: patterns(&rule.senders)?,
                recipients: patterns(&rule.recipients)?,
                days: rule.days,
            })
        };
        Ok(ArchiveRules::new(self.rules.iter().map(rule).collect::<Result<_, _>>()?))
    }

    pub(super) fn example() -> Archive {
        let rule = ArchiveRule {
            name: "board".into(),
            directions: vec![ArchiveDirection::Out, ArchiveDirection::Inside],
            senders: vec!["board-*@acme.test".into()],
            recipients: vec![],
            days: 3_650,
        };
        Archive { key: "archive.pub".into(), rules: vec![rule], bytes_max: Archive::bytes_max_default() }
    }

    pub(super) fn bytes_max_default() -> u64 {
        20 * 1024 * 1024 * 1024
    }
}

impl From<ArchiveDirection> for Way {
    fn from(direction: ArchiveDirection) -> Way {
        match direction {
            ArchiveDirection::Out => Way::Out,
            ArchiveDirection::In => Way::In,
            ArchiveDirection::Inside => Way::Inside,
        }
    }
}
