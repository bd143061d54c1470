//! One tree for everybody: heads of partners' trees, from wherever they come, must continue each other.
//!
//! ```text
//! answers, messages ─► observe ─► first: kept │ same: nothing │ other root: alarm │ other size: waits for its proof
//! published ─► observe_published ─► smaller than what was shown before: alarm │ else as above
//!
//! what waits ─► settle ─► asks the partner ─► proven: the larger is kept │ disproven: alarm
//!                                         └─► no answer, for days in which it speaks of other things: alarm
//! ```
//! What is kept is only ever replaced by a larger head that was proven to continue it.
//!
//! Answers and messages show what a partner tells *us*; what it publishes lies with others and is the same for all of
//! them, so this is where two partners compare without knowing of each other (docs/decisions/0015).

use dccp::did::Devices;
use dccp::limits::CLOCK_SKEW_MS_MAX;
use dccp::transparency::{Answer, Question};
use dccp::tree::TreeHead;
use dccp::{Did, UnixMillis};
use rand::Rng;
use rusqlite::{Connection, OptionalExtension, params};

use super::contacts::{Ask, AskError};
use super::table::{blob, did, number, unsigned};
use super::tree;
use crate::spool::{Spool, SpoolError};

/// Heads of one partner that may wait for their proof. A partner that shows more at once is asked about the first ones;
/// the others come again.
const WAITING_MAX: i64 = 64;
/// Alarms that are kept for one partner: the first ones say it all.
const ALARMS_MAX: i64 = 64;
/// How long a partner that speaks to us, or publishes, may leave a head without its proof: longer than a weekend.
const PROOF_OWED_MS: u64 = 3 * 24 * 3_600_000;

/// Somebody showed two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeAlarm {
    /// Whose tree it is; ourselves when a partner was shown a tree of ours that we do not have.
    pub partner: Did,
    /// What happened, in one sentence.
    pub what: String,
    /// What we hold on to.
    pub kept: TreeHead,
    /// What does not fit it.
    pub seen: TreeHead,
    /// When we noticed.
    pub at: UnixMillis,
}

/// Every alarm that nobody has cleared, oldest first.
///
/// # Errors
/// The database's.
pub async fn alarms(spool: &Spool) -> Result<Vec<TreeAlarm>, SpoolError> {
    let all = |database: &Connection| {
        let query = "SELECT partner, what, kept_size, kept_root, seen_size, seen_root, at FROM tree_alarms ORDER BY id";
        let alarm = |row: &rusqlite::Row<'_>| {
            Ok(TreeAlarm {
                partner: did(row, 0)?,
                what: row.get(1)?,
                kept: TreeHead { size: unsigned(row, 2)?, root: blob(row, 3)? },
                seen: TreeHead { size: unsigned(row, 4)?, root: blob(row, 5)? },
                at: UnixMillis(unsigned(row, 6)?),
            })
        };
        database.prepare_cached(query)?.query_map([], alarm)?.collect()
    };
    spool.read(all).await
}

/// Clears the alarms about a partner, or about ourselves: an administrator has looked into them. What is held on to
/// stays. Says how many there were.
///
/// # Errors
/// The database's.
pub async fn clear_alarms(spool: &Spool, about: &Did) -> Result<usize, SpoolError> {
    let about = about.to_string();
    spool.write(move |database| database.execute("DELETE FROM tree_alarms WHERE partner = ?1", [about])).await
}

/// Watches the trees of partners, and what partners saw of ours.
#[derive(Clone)]
pub struct Watch {
    spool: Spool,
    ourselves: Did,
}

impl Watch {
    /// Watches for `ourselves`.
    pub fn new(spool: Spool, ourselves: Did) -> Watch {
        Watch { spool, ourselves }
    }

    /// Takes note of a head that a partner showed, in an answer or a message. An empty tree says nothing.
    ///
    /// # Errors
    /// The database's.
    pub async fn observe(&self, partner: &Did, seen: TreeHead, now: UnixMillis) -> Result<(), SpoolError> {
        if seen.size == 0 {
            return Ok(());
        }
        let about = partner.clone();
        let alarm = self.spool.write(move |database| observe(database, &about, &seen, now)).await?;
        report(alarm);
        Ok(())
    }

    /// Takes note of the tree that a partner publishes: at least everything that it was at `since`, the empty one too. Who
    /// publishes a smaller tree than it showed us before that keeps two, or keeps one from the others.
    ///
    /// # Errors
    /// The database's.
    pub async fn observe_published(
        &self,
        partner: &Did,
        published: TreeHead,
        since: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let about = partner.clone();
        let alarm = self
            .spool
            .write(move |database| match withheld(database, &about, published, since, now)? {
                Some(alarm) => raise(database, alarm),
                None if published.size == 0 => Ok(None),
                None => observe(database, &about, &published, now),
            })
            .await?;
        report(alarm);
        Ok(())
    }

    /// Raises an alarm when heads have waited for their proof for days before `spoke_at`, the time of something that the
    /// partner said or signed: it could have proved them, had it wished. To be asked when [`settle`](Self::settle) failed.
    ///
    /// # Errors
    /// The database's.
    pub async fn expect_proof(
        &self,
        partner: &Did,
        spoke_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let about = partner.clone();
        let alarm = self.spool.write(move |database| match owed(database, &about, spoke_at, now)? {
            Some(alarm) => raise(database, alarm),
            None => Ok(None),
        });
        report(alarm.await?);
        Ok(())
    }

    /// Takes note of what a partner saw of *our* tree, or of what is published as ours where `partner` is ourselves. One
    /// that we do not have means that somebody else speaks in our name, or that our database is an old copy.
    ///
    /// # Errors
    /// The database's.
    pub async fn observe_our_own(
        &self,
        partner: &Did,
        seen: TreeHead,
        now: UnixMillis,
    ) -> Result<(), SpoolError> {
        let what = match *partner == self.ourselves {
            true => "a tree is published as ours that we do not have".to_owned(),
            false => format!("{partner} was shown a tree of ours that we do not have"),
        };
        let ourselves = self.ourselves.clone();
        let is_ours = self.spool.read(move |database| Ok(tree::head_at(database, seen.size)? == Some(seen)));
        if seen.size == 0 || is_ours.await? {
            return Ok(());
        }
        let alarm = self.spool.write(move |database| {
            raise(
                database,
                TreeAlarm { partner: ourselves, what, kept: tree::head(database)?, seen, at: now },
            )
        });
        report(alarm.await?);
        Ok(())
    }

    /// The head that we hold on to, for the messages we send this partner.
    ///
    /// # Errors
    /// The database's.
    pub async fn kept(&self, partner: &Did) -> Result<Option<TreeHead>, SpoolError> {
        let partner = partner.clone();
        self.spool.read(move |database| kept(database, &partner)).await
    }

    /// Asks a partner to prove the heads that wait. What is not answered waits on.
    ///
    /// # Errors
    /// [`AskError`] of the first question that failed.
    pub async fn settle(
        &self,
        partner: &Did,
        devices: &Devices,
        ask: &dyn Ask,
        now: UnixMillis,
    ) -> Result<(), AskError> {
        let about = partner.clone();
        let (kept, waiting) = self
            .spool
            .read(move |database| Ok((kept(database, &about)?, waiting(database, &about)?)))
            .await?;
        let Some(mut kept) = kept else { return Ok(()) };
        for seen in waiting {
            let mut nonce = [0; 16];
            rand::rng().fill_bytes(&mut nonce);
            let question = Question::new(kept.size, seen.size, nonce);
            let bytes = ask.ask(partner, question.to_bytes()).await?;
            let answer = Answer::verify(&bytes, &question, partner, devices, now)?;
            let proven = answer.proves(&kept, &seen);
            let about = partner.clone();
            let settled =
                self.spool.write(move |database| settle(database, &about, &kept, &seen, proven, now));
            report(settled.await?);
            if proven && seen.size > kept.size {
                kept = seen;
            }
        }
        Ok(())
    }
}

/// Inside a transaction. Gives the alarm that was raised.
fn observe(
    database: &Connection,
    partner: &Did,
    seen: &TreeHead,
    now: UnixMillis,
) -> rusqlite::Result<Option<TreeAlarm>> {
    let Some(kept) = kept(database, partner)? else {
        insert(database, partner, seen, true, now)?;
        return Ok(None);
    };
    if kept.size == seen.size && kept.root != seen.root {
        return split_view(database, partner, &kept, seen, now);
    }
    let waiting: i64 = database.query_row(
        "SELECT count(*) FROM observed_heads WHERE partner = ?1 AND verified = 0",
        [partner.as_str()],
        |row| row.get(0),
    )?;
    if kept != *seen && waiting < WAITING_MAX {
        insert(database, partner, seen, false, now)?;
    }
    Ok(None)
}

/// The alarm that what is published leaves out what was shown before it was signed. Inside a transaction.
fn withheld(
    database: &Connection,
    partner: &Did,
    published: TreeHead,
    since: UnixMillis,
    now: UnixMillis,
) -> rusqlite::Result<Option<TreeAlarm>> {
    let query = "SELECT size, root FROM observed_heads
                 WHERE partner = ?1 AND verified = 1 AND size > ?2 AND seen_at < ?3";
    let before = since.saturating_sub_ms(CLOCK_SKEW_MS_MAX);
    let shown = database
        .prepare_cached(query)?
        .query_row(params![partner.as_str(), number(published.size), number(before.as_u64())], head)
        .optional()?;
    let what = "the tree that it publishes is smaller than the one it showed us before";
    Ok(shown.map(|kept| TreeAlarm {
        partner: partner.clone(),
        what: what.to_owned(),
        kept,
        seen: published,
        at: now,
    }))
}

/// The alarm that the oldest head that waits has waited for too long. Inside a transaction.
fn owed(
    database: &Connection,
    partner: &Did,
    spoke_at: UnixMillis,
    now: UnixMillis,
) -> rusqlite::Result<Option<TreeAlarm>> {
    let Some(kept) = kept(database, partner)? else { return Ok(None) };
    let query = "SELECT size, root FROM observed_heads
                 WHERE partner = ?1 AND verified = 0 AND seen_at < ?2 ORDER BY seen_at LIMIT 1";
    let before = spoke_at.saturating_sub_ms(PROOF_OWED_MS);
    let waiting = database
        .prepare_cached(query)?
        .query_row(params![partner.as_str(), number(before.as_u64())], head)
        .optional()?;
    let what = "a head that it has not proved for days, though it could";
    Ok(waiting.map(|seen| TreeAlarm { partner: partner.clone(), what: what.to_owned(), kept, seen, at: now }))
}

fn settle(
    database: &Connection,
    partner: &Did,
    kept: &TreeHead,
    seen: &TreeHead,
    proven: bool,
    now: UnixMillis,
) -> rusqlite::Result<Option<TreeAlarm>> {
    database.execute(
        "DELETE FROM observed_heads WHERE partner = ?1 AND size = ?2 AND root = ?3 AND verified = 0",
        params![partner.as_str(), number(seen.size), seen.root],
    )?;
    if !proven {
        return split_view(database, partner, kept, seen, now);
    }
    if seen.size > kept.size {
        let moved = database.execute(
            "DELETE FROM observed_heads WHERE partner = ?1 AND size = ?2 AND root = ?3 AND verified = 1",
            params![partner.as_str(), number(kept.size), kept.root],
        )?;
        // Another process may have moved on meanwhile; then this head is looked at again when it comes again.
        if moved == 1 {
            insert(database, partner, seen, true, now)?;
        }
    }
    Ok(None)
}

fn split_view(
    database: &Connection,
    partner: &Did,
    kept: &TreeHead,
    seen: &TreeHead,
    now: UnixMillis,
) -> rusqlite::Result<Option<TreeAlarm>> {
    let what = "two heads that are not of one tree".to_owned();
    raise(database, TreeAlarm { partner: partner.clone(), what, kept: *kept, seen: *seen, at: now })
}

/// Keeps an alarm once. Inside a transaction.
pub(super) fn raise(database: &Connection, alarm: TreeAlarm) -> rusqlite::Result<Option<TreeAlarm>> {
    let raised = database.execute(
        "INSERT OR IGNORE INTO tree_alarms (partner, what, kept_size, kept_root, seen_size, seen_root, at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM tree_alarms WHERE partner = ?1) < ?8",
        params![
            alarm.partner.as_str(),
            alarm.what,
            number(alarm.kept.size),
            alarm.kept.root,
            number(alarm.seen.size),
            alarm.seen.root,
            number(alarm.at.as_u64()),
            ALARMS_MAX
        ],
    )?;
    Ok((raised == 1).then_some(alarm))
}

/// Tells whoever reads the log of the process.
pub(super) fn report(alarm: Option<TreeAlarm>) {
    if let Some(TreeAlarm { partner, what, kept, seen, .. }) = alarm {
        tracing::error!(
            %partner, kept_size = kept.size, seen_size = seen.size,
            "KEY TRANSPARENCY: {what}; what was known stays; call the partner"
        );
    }
}

fn insert(
    database: &Connection,
    partner: &Did,
    head: &TreeHead,
    verified: bool,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    database.execute(
        "INSERT OR IGNORE INTO observed_heads (partner, size, root, verified, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![partner.as_str(), number(head.size), head.root, verified, number(now.as_u64())],
    )?;
    Ok(())
}

/// The head that we hold on to.
pub(super) fn kept(database: &Connection, partner: &Did) -> rusqlite::Result<Option<TreeHead>> {
    let query = "SELECT size, root FROM observed_heads WHERE partner = ?1 AND verified = 1";
    database.prepare_cached(query)?.query_row([partner.as_str()], head).optional()
}

fn waiting(database: &Connection, partner: &Did) -> rusqlite::Result<Vec<TreeHead>> {
    let query = "SELECT size, root FROM observed_heads WHERE partner = ?1 AND verified = 0 ORDER BY size";
    database.prepare_cached(query)?.query_map([partner.as_str()], head)?.collect()
}

fn head(row: &rusqlite::Row<'_>) -> rusqlite::Result<TreeHead> {
    Ok(TreeHead { size: unsigned(row, 0)?, root: blob(row, 1)? })
}
