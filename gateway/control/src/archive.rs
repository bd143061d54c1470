//! The archive: what rests there, by which rules, under which legal holds. Never what is in it.

use serde::{Deserialize, Serialize};

/// Copies of a page of the archive at most: bounds one request.
pub const ARCHIVE_LIMIT_MAX: u32 = 500;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// The archive at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveView {
    /// The short name of the key that new copies are sealed to; absent while nothing is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which mail is archived, and for how long.
    pub rules: Vec<ArchiveRuleView>,
    /// Copies that rest.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they may take at most; absent while nothing is archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// The legal holds, in order of name.
    pub holds: Vec<LegalHoldView>,
}

/// One rule. What is empty does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRuleView {
    /// Its name.
    pub name: String,
    /// `out`, `in`, `inside`.
    pub directions: Vec<String>,
    /// Addresses, domains or patterns.
    pub senders: Vec<String>,
    /// Addresses, domains or patterns.
    pub recipients: Vec<String>,
    /// Days that a copy is kept.
    pub days: u32,
}

/// "Keep everything of these people until I say otherwise": past copies stay, future mail is archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    /// Its name: letters, digits, `-` and `_`. It rests in clear.
    pub name: String,
    /// Addresses and domains; nobody: everybody.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Mail from then on; absent: from ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Mail before then; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who orders it.
    pub by: String,
    /// Why. Never empty.
    pub why: String,
}

/// A legal hold that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHoldView {
    /// As it was ordered.
    pub hold: LegalHold,
    /// When it was ordered.
    pub at_ms: u64,
    /// Copies that it keeps.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Lifts a legal hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldLift {
    /// Who orders it.
    pub by: String,
    /// Why. Never empty.
    pub why: String,
}

/// Which copies are meant. What is absent does not narrow; what is there must all fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)] // a misspelt filter must not silently mean everything
pub struct ArchiveQuery {
    /// The id of a copy, or the queue id of a mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Somebody in the envelope: an address or a domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A Message-ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Copies behind this cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Copies wanted, 1 to [`ARCHIVE_LIMIT_MAX`]; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// One page of copies, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivePage {
    /// The copies.
    pub copies: Vec<ArchiveCopyView>,
    /// Where to read on; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a gateway that cannot open a copy knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveCopyView {
    /// Its id.
    pub id: String,
    /// The queue id of its mail.
    pub queue_id: String,
    /// `out`, `in` or `inside`.
    pub direction: String,
    /// When the mail was accepted or opened.
    pub at_ms: u64,
    /// The rule or the hold that asked for the copy.
    pub rule: String,
    /// Kept until then, and longer under a hold.
    pub keep_until_ms: u64,
    /// The key that opens it.
    pub key: String,
    /// Bytes that rest for it.
    pub bytes: u64,
    /// The legal holds that keep it.
    pub holds: Vec<String>,
}

/// The first millisecond of a day that is written `YYYY-MM-DD` (UTC), not before 1970 and not after 9999.
pub fn day_begins(text: &str) -> Option<u64> {
    let mut parts = text.trim().split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|octet| octet.is_ascii_digit()).then(|| part.parse::<u64>().ok()).flatten()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = days_in.get(..usize::try_from(month.checked_sub(1)?).ok()?)?;
    let this = *days_in.get(before.len())?;
    if parts.next().is_some() || year < 1970 || !(1..=this).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let of_years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some((of_years + before.iter().sum::<u64>() + day - 1) * DAY_MS)
}

/// The first millisecond after that day.
pub fn day_ends(text: &str) -> Option<u64> {
    day_begins(text).map(|begins| begins + DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_in_utc() {
        assert_eq!(day_begins("1970-01-01"), Some(0));
        assert_eq!(day_begins("2000-02-29"), Some(951_782_400_000));
        assert_eq!(day_begins("2026-11-23"), Some(1_795_392_000_000));
        assert_eq!(day_begins("2100-03-01"), Some(4_107_542_400_000));
        assert_eq!(day_ends("2026-12-31"), day_begins("2027-01-01"));
        for wrong in [
            "",
            "2026",
            "2026-2-3",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "2026-01-01-01",
            "+026-01-01",
        ] {
            assert_eq!(day_begins(wrong), None, "{wrong}");
        }
    }
}
