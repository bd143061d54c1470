//! `/archive`: what rests, by which rules, under which holds.

use askama::Template;
use control::{ArchiveRuleView, ArchiveView, LegalHold, LegalHoldView};

use super::Frame;
use crate::words::{Moment, count, size, visible};

/// From here on somebody should look for room.
const CROWDED_PERCENT: u64 = 80;

/// `/archive`
#[derive(Template)]
#[template(path = "archive.html")]
pub(crate) struct ArchivePage {
    pub(crate) frame: Frame,
    /// The key that new copies are sealed to; `None`: nothing is archived.
    pub(crate) key: Option<String>,
    pub(crate) copies: String,
    pub(crate) room: String,
    pub(crate) crowded: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) holds: Vec<Hold>,
}

/// One rule.
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) words: String,
}

/// One legal hold.
pub(crate) struct Hold {
    pub(crate) name: String,
    pub(crate) whom: String,
    pub(crate) time: String,
    pub(crate) keeps: String,
    pub(crate) order: String,
}

impl ArchivePage {
    pub(crate) fn new(frame: Frame, view: &ArchiveView) -> Self {
        let percent = view.bytes_max.and_then(|max| view.bytes.saturating_mul(100).checked_div(max));
        let room = match (view.bytes_max, percent) {
            (Some(max), Some(percent)) => format!("{} of {} ({percent} %)", size(view.bytes), size(max)),
            _ => size(view.bytes),
        };
        Self {
            frame,
            key: view.key.as_deref().map(visible),
            copies: count(view.copies),
            room,
            crowded: percent.is_some_and(|percent| percent >= CROWDED_PERCENT),
            rules: view.rules.iter().map(Rule::new).collect(),
            holds: view.holds.iter().map(Hold::new).collect(),
        }
    }
}

impl Rule {
    fn new(rule: &ArchiveRuleView) -> Self {
        let named = |what: &str, texts: &[String]| {
            (!texts.is_empty()).then(|| format!("{what} {}", visible(&texts.join(", "))))
        };
        let ways =
            (!rule.directions.is_empty()).then(|| format!("mail ({})", visible(&rule.directions.join(", "))));
        let parts = [ways, named("from", &rule.senders), named("to", &rule.recipients)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let which = match parts.first() {
            None => "all mail".to_owned(),
            Some(first) if first.starts_with("mail") => parts.join(" "),
            Some(_) => format!("mail {}", parts.join(" ")),
        };
        Self { name: visible(&rule.name), words: format!("Keeps {which} for {} days", rule.days) }
    }
}

impl Hold {
    fn new(view: &LegalHoldView) -> Self {
        let LegalHold { name, addresses, from_ms, until_ms, by, why } = &view.hold;
        let whom = if addresses.is_empty() { "everybody".to_owned() } else { visible(&addresses.join(", ")) };
        let time = match (from_ms, until_ms) {
            (None, None) => "all times".to_owned(),
            (Some(from), None) => format!("from {} on", day(*from)),
            (None, Some(until)) => format!("until {}", day(until.saturating_sub(1))),
            (Some(from), Some(until)) => format!("{} to {}", day(*from), day(until.saturating_sub(1))),
        };
        Self {
            name: visible(name),
            whom,
            time,
            keeps: format!("{} copies, {}", count(view.copies), size(view.bytes)),
            order: format!("{} by {}: {}", day(view.at_ms), visible(by), visible(why)),
        }
    }
}

fn day(ms: u64) -> String {
    Moment::of(ms).iso().chars().take(10).collect()
}
