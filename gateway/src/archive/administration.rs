//! The archive as its administrator sees it: tally, rules, copies by tags, and legal holds.

use std::sync::Arc;

use async_trait::async_trait;
use control::{
    ARCHIVE_LIMIT_MAX, Archive, ArchiveCopyView, ArchivePage, ArchiveQuery, ArchiveRuleView, ArchiveView,
    ControlError, HoldLift, LegalHold, LegalHoldView, normal_id,
};
use dccp::UnixMillis;
use dccp::keys::KeyId;
use policies::ArchiveRule;
use tokio::sync::watch;
use uuid::Uuid;

use super::holds::{HoldWords, Holds};
use super::{Law, tag_of};
use crate::clock::Clock;
use crate::custody::Vault;
use crate::flows::records::purpose;
use crate::queue::{name_of, reason_of, silent};
use crate::spool::{Copy, CopyQuery, KeptHold, Order, RowId, Spool, SpoolError};

/// Copies of a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 100;

/// Holds at most: each is asked for every mail.
const HOLDS_MAX: usize = 1_000;

/// Addresses that one hold names at most.
const ADDRESSES_MAX: usize = 1_000;

/// Octets of an address (RFC 5321 §4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 256;

/// Characters of a hold's name.
const NAME_CHARS_MAX: usize = 64;

/// [`control::Archive`] over the living parts.
pub struct Administration {
    /// Where copies and holds rest.
    pub spool: Spool,
    /// Makes tags, opens and seals what holds say.
    pub vault: Arc<Vault>,
    /// What new copies are made by; none: nothing is archived.
    pub law: Option<Arc<Law>>,
    /// The holds, as flows see them.
    pub holds: watch::Sender<Arc<Holds>>,
    /// Time.
    pub clock: Clock,
}

#[async_trait]
impl Archive for Administration {
    async fn view(&self) -> Result<ArchiveView, ControlError> {
        let tally = self.spool.archive_tally().await.map_err(silent)?;
        let standing = self.holds.borrow().clone();
        let mut holds = Vec::with_capacity(standing.kept.len());
        for hold in &standing.kept {
            holds.push(self.hold_view(hold).await?);
        }
        let law = self.law.as_deref();
        Ok(ArchiveView {
            key: law.map(|law| law.key.key_id().to_string()),
            rules: law.map(|law| law.rules.iter().map(rule_view).collect()).unwrap_or_default(),
            copies: tally.copies,
            bytes: tally.bytes,
            bytes_max: law.map(|_| tally.bytes_max),
            holds,
        })
    }

    async fn list(&self, query: ArchiveQuery) -> Result<ArchivePage, ControlError> {
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=ARCHIVE_LIMIT_MAX).contains(&limit) {
            return Err(ControlError::Bad(format!("“limit” is a number from 1 to {ARCHIVE_LIMIT_MAX}.")));
        }
        let after = query.after.as_deref().map(str::parse).transpose();
        let after =
            after.map_err(|_| ControlError::Bad("“after” is not a cursor of the archive.".to_owned()))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = self.spool.copies(self.meant(&query), after.unwrap_or(0), limit).await;
        let found = found.map_err(silent)?;
        let next = found.last().filter(|_| found.len() == limit).map(|copy| copy.seq.to_string());
        Ok(ArchivePage { copies: found.into_iter().map(ArchiveCopyView::from).collect(), next })
    }

    async fn add_hold(&self, hold: LegalHold) -> Result<ArchiveView, ControlError> {
        let hold = checked(hold)?;
        let standing = self.holds.borrow().clone();
        let taken = || ControlError::Bad(format!("There is a hold “{}” already.", hold.name));
        if self.law.is_none() {
            let why = "Nothing is archived here: a hold needs `archive.key` in the configuration, or mail of these people \
                       would have to be refused.";
            return Err(ControlError::Bad(why.to_owned()));
        }
        if standing.kept.iter().any(|known| known.name == hold.name) {
            return Err(taken());
        }
        if standing.kept.len() >= HOLDS_MAX {
            return Err(ControlError::Bad(format!("There are {HOLDS_MAX} holds already.")));
        }
        let order = self.order("archive-hold", &hold.by, &hold.why);
        let words = HoldWords {
            addresses: hold.addresses.clone(),
            by: hold.by.clone(),
            why: hold.why.clone(),
            at_ms: order.at.0,
        };
        let kept = KeptHold {
            name: hold.name.clone(),
            from: UnixMillis(hold.from_ms.unwrap_or(0)),
            until: UnixMillis(hold.until_ms.unwrap_or(u64::MAX)),
            people: hold.addresses.iter().map(|address| tag_of(&self.vault, address)).collect(),
            sealed: words.seal(&self.vault),
        };
        match self.spool.add_archive_hold(kept, order).await {
            Ok(()) => self.reload().await,
            Err(SpoolError::Refused(_)) => Err(taken()),
            Err(error) => Err(silent(error)),
        }
    }

    async fn lift_hold(&self, name: &str, lift: HoldLift) -> Result<ArchiveView, ControlError> {
        let known = self.holds.borrow().kept.iter().any(|hold| hold.name == name);
        if !known {
            return Err(ControlError::NotFound(format!("There is no hold “{name}”.")));
        }
        let order = self.order("archive-lift", &name_of(&lift.by)?, required(&lift.why)?);
        self.spool.lift_archive_hold(name.to_owned(), order).await.map_err(silent)?;
        self.reload().await
    }
}

impl Administration {
    fn meant(&self, query: &ArchiveQuery) -> CopyQuery {
        let id = query.id.as_deref().map(|id| id.parse::<Uuid>().map(RowId).map_err(|_| id.to_owned()));
        let (id, queue_id) = match id {
            None => (None, None),
            Some(Ok(id)) => (Some(id), None),
            Some(Err(queue_id)) => (None, Some(queue_id)),
        };
        let tag = |name: &String| self.vault.tag(purpose::MESSAGE_ID, normal_id(name).as_bytes());
        CopyQuery {
            people: query.address.iter().map(|address| tag_of(&self.vault, address)).collect(),
            message_id_tag: query.message_id.as_ref().map(tag),
            id,
            queue_id,
            from: query.from_ms.map(UnixMillis),
            until: query.until_ms.map(UnixMillis),
        }
    }

    async fn hold_view(&self, hold: &KeptHold) -> Result<LegalHoldView, ControlError> {
        let meant = CopyQuery {
            people: hold.people.clone(),
            from: Some(hold.from),
            until: Some(hold.until),
            ..CopyQuery::default()
        };
        let (copies, bytes) = self.spool.count_copies(meant).await.map_err(silent)?;
        let words = HoldWords::open(&self.vault, &hold.sealed).unwrap_or_else(|error| {
            tracing::error!(%error, hold = hold.name, "what a legal hold says does not open; it holds all the same");
            let unreadable = "(sealed with another storage key)".to_owned();
            HoldWords { addresses: vec![], by: unreadable.clone(), why: unreadable, at_ms: 0 }
        });
        let hold = LegalHold {
            name: hold.name.clone(),
            addresses: words.addresses,
            from_ms: (hold.from.0 > 0).then_some(hold.from.0),
            until_ms: (hold.until.0 < FAR_FUTURE_MS).then_some(hold.until.0),
            by: words.by,
            why: words.why,
        };
        Ok(LegalHoldView { hold, at_ms: words.at_ms, copies, bytes })
    }

    fn order(&self, act: &'static str, by: &str, why: &str) -> Order {
        let why = self.vault.seal(purpose::NOTE, why.as_bytes());
        Order { act, by: by.to_owned(), at: (self.clock)(), why }
    }

    /// The flows see it with their next mail.
    async fn reload(&self) -> Result<ArchiveView, ControlError> {
        let fresh = Holds::load(&self.spool).await.map_err(silent)?;
        self.holds.send_replace(Arc::new(fresh));
        self.view().await
    }
}

/// "For ever", as the database has it: its numbers are signed.
const FAR_FUTURE_MS: u64 = i64::MAX as u64;

/// The hold without blanks, or what is wrong with it.
fn checked(asked: LegalHold) -> Result<LegalHold, ControlError> {
    let bad = |why: String| Err(ControlError::Bad(why));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if asked.name.is_empty() || asked.name.len() > NAME_CHARS_MAX || !asked.name.chars().all(plain) {
        return bad(format!("“name” is 1 to {NAME_CHARS_MAX} letters, digits, - and _."));
    }
    let addresses: Vec<String> = asked
        .addresses
        .iter()
        .map(|address| address.trim().to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    if addresses.len() > ADDRESSES_MAX || addresses.iter().any(|one| one.len() > ADDRESS_BYTES_MAX) {
        return bad(format!("A hold names at most {ADDRESSES_MAX} addresses of {ADDRESS_BYTES_MAX} octets."));
    }
    if addresses.iter().any(|one| one.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*')) {
        return bad("A hold names whole addresses and domains, without blanks and stars.".to_owned());
    }
    if addresses.is_empty() && asked.from_ms.is_none() && asked.until_ms.is_none() {
        return bad("A hold names somebody, or a time.".to_owned());
    }
    if asked.from_ms.zip(asked.until_ms).is_some_and(|(from, until)| from >= until) {
        return bad("The time of the hold ends before it begins.".to_owned());
    }
    let (by, why) = (name_of(&asked.by)?, required(&asked.why)?.to_owned());
    Ok(LegalHold { addresses, by, why, ..asked })
}

fn required(why: &str) -> Result<&str, ControlError> {
    match reason_of(why)? {
        "" => Err(ControlError::Bad("Please say why: the audit keeps it.".to_owned())),
        why => Ok(why),
    }
}

fn rule_view(rule: &ArchiveRule) -> ArchiveRuleView {
    let texts = |patterns: &[policies::Pattern]| patterns.iter().map(ToString::to_string).collect();
    ArchiveRuleView {
        name: rule.name.clone(),
        directions: rule.ways.iter().map(|way| way.as_str().to_owned()).collect(),
        senders: texts(&rule.senders),
        recipients: texts(&rule.recipients),
        days: rule.days,
    }
}

impl From<Copy> for ArchiveCopyView {
    fn from(copy: Copy) -> Self {
        Self {
            id: copy.id.to_string(),
            queue_id: copy.queue_id,
            direction: copy.way.to_string(),
            at_ms: copy.at.0,
            rule: copy.rule,
            keep_until_ms: copy.keep_until.0,
            key: KeyId(copy.key_id).to_string(),
            bytes: copy.bytes,
            holds: copy.holds,
        }
    }
}
