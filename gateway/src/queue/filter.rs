//! Which rows are meant. Who writes to whom is sealed, so a filter on people opens summaries, a bounded number at a time.

use control::{ControlError, QUEUE_LIMIT_MAX, QueueQuery};
use dccp::UnixMillis;

use super::{Administration, silent};
use crate::flows::records::Summary;
use crate::http::words;
use crate::spool::{Row, State};

/// Rows of a page when the caller does not say.
const LIMIT_DEFAULT: u32 = 100;

/// Rows that one request looks at: opening a summary takes microseconds, so this stays well below a second.
const ROWS_READ_MAX: usize = 5_000;

/// Rows taken from the spool in one look: a few hundred kilobytes.
const ROWS_AT_ONCE: usize = 500;

/// A query in the spool's terms.
pub(super) struct Filter {
    query: QueueQuery,
    accepted_until: Option<UnixMillis>,
    after: i64,
    limit: usize,
}

impl Filter {
    pub(super) fn of(query: &QueueQuery, now: UnixMillis) -> Result<Self, ControlError> {
        let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=QUEUE_LIMIT_MAX).contains(&limit) {
            return Err(ControlError::Bad(format!("“limit” is a number from 1 to {QUEUE_LIMIT_MAX}.")));
        }
        if query.state.is_some_and(control::State::is_final) {
            return Err(ControlError::Bad(
                "Only queued, sent and held messages are in the queue.".to_owned(),
            ));
        }
        let after = query.after.as_deref().map(str::parse).transpose();
        let after =
            after.map_err(|_| ControlError::Bad("“after” is not a cursor of this queue.".to_owned()))?;
        let age = query.older_than_s.map(|age_s| now.saturating_sub_ms(age_s.saturating_mul(1_000)));
        Ok(Self {
            query: query.clone(),
            accepted_until: age,
            after: after.unwrap_or(0),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    /// What can be told without opening anything.
    fn admits(&self, row: &Row) -> bool {
        let query = &self.query;
        let id = row.id.to_string();
        query.id.as_ref().is_none_or(|wanted| *wanted == row.queue_id || *wanted == id)
            && query.direction.is_none_or(|way| words::direction(row.direction) == way)
            && query.kind.as_deref().is_none_or(|kind| row.kind.as_str() == kind)
            && query
                .destination
                .as_deref()
                .is_none_or(|domain| row.partner_domain.eq_ignore_ascii_case(domain))
            && query.state.is_none_or(|state| words::state(row.state) == state)
            && query
                .held_by
                .as_ref()
                .is_none_or(|by| row.state == State::Held && row.held_by.as_ref() == Some(by))
            && self.accepted_until.is_none_or(|until| row.accepted_at <= until)
            && query.larger_than_bytes.is_none_or(|bytes| row.size >= bytes)
    }

    /// What only the summary tells.
    fn admits_people(&self, summary: &Summary) -> bool {
        self.query.sender.as_deref().is_none_or(|wanted| is_from(wanted, &summary.from))
            && self
                .query
                .recipient
                .as_deref()
                .is_none_or(|wanted| summary.to.iter().any(|to| is_from(wanted, to)))
    }
}

/// Whether `address` is the one that is wanted, or of the wanted domain.
pub(super) fn is_from(wanted: &str, address: &str) -> bool {
    let wanted = wanted.trim().trim_start_matches('@');
    let domain = || address.rsplit_once('@').map_or("", |(_, domain)| domain);
    match wanted.contains('@') {
        true => wanted.eq_ignore_ascii_case(address),
        false => wanted.eq_ignore_ascii_case(domain()),
    }
}

/// What a look through the queue found: rows with their summaries, and where to read on.
pub(super) type Found = (Vec<(Row, Summary)>, Option<String>);

impl Administration {
    /// The rows that are meant, oldest first.
    pub(super) async fn scan(&self, filter: &Filter) -> Result<Found, ControlError> {
        let (mut found, mut after, mut read) = (Vec::new(), filter.after, 0);
        while read < ROWS_READ_MAX {
            let rows = self.spool.open_rows(after, ROWS_AT_ONCE).await.map_err(silent)?;
            let ended = rows.len() < ROWS_AT_ONCE;
            for row in rows {
                (after, read) = (row.seq, read + 1);
                if filter.admits(&row) {
                    let summary = self.opened(&row);
                    if filter.admits_people(&summary) {
                        found.push((row, summary));
                    }
                }
                if found.len() == filter.limit {
                    return Ok((found, Some(after.to_string())));
                }
            }
            if ended {
                return Ok((found, None));
            }
        }
        Ok((found, Some(after.to_string())))
    }

    fn opened(&self, row: &Row) -> Summary {
        Summary::open(&self.vault, &row.summary).unwrap_or_else(|error| {
            tracing::warn!(%error, queue_id = %row.queue_id, "a summary does not open");
            Summary::unread()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_meant_by_the_address_or_by_the_domain_and_by_nothing_in_between() {
        for (wanted, address, fits) in [
            ("alice@acme.example", "Alice@ACME.example", true),
            ("acme.example", "alice@acme.example", true),
            ("@acme.example", "alice@acme.example", true),
            ("me.example", "alice@acme.example", false),
            ("acme.example", "alice@mail.acme.example", false),
            ("alice@acme.example", "malice@acme.example", false),
            ("acme.example", "", false),
        ] {
            assert_eq!(is_from(wanted, address), fits, "{wanted} {address}");
        }
    }

    #[test]
    fn a_question_that_makes_no_sense_is_told_so() {
        let asked = |query| Filter::of(&query, UnixMillis(0)).err();
        assert!(asked(QueueQuery { limit: Some(0), ..QueueQuery::default() }).is_some());
        assert!(asked(QueueQuery { after: Some("x".into()), ..QueueQuery::default() }).is_some());
        assert!(asked(QueueQuery { state: Some(control::State::Failed), ..QueueQuery::default() }).is_some());
        assert!(asked(QueueQuery::default()).is_none());
    }
}
