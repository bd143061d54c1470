//! The durable line of mail from outside: one row for as many recipients as one mail may name, the copy for the archive and
//! what its sender is told now, in one commit.

use bytes::Bytes;
use dccp::UnixMillis;
use dccp::limits::FORWARD_PATHS_MAX;
use dccp::mail::Mail;
use smtp::authenticity::Verdicts;
use smtp::message::MessageFacts;
use smtp::reply::Reply;
use smtp::server::RcptTo;

use super::{MailHome, Transaction, authentic, keep};
use crate::archive::Leg;
use crate::flows::bodies::{Edit, PutAway};
use crate::flows::records::{Slip, queue_id_of};
use crate::flows::{envelope, forgeries, replies};
use crate::spool::{NewRow, Note, RowId, Stage, State};

/// One mail from outside that was decided.
pub(super) struct Letter<'a> {
    /// As it came.
    pub(super) octets: Bytes,
    pub(super) facts: &'a MessageFacts,
    /// Who sent it, as far as that can be found out.
    pub(super) verdicts: &'a Verdicts,
    /// [`State::Queued`] or [`State::Held`].
    pub(super) state: State,
    /// What the judge said.
    pub(super) decided: Note,
    pub(super) arrived: UnixMillis,
}

impl MailHome {
    /// Keeps the mail, and says under which name: after this it is ours.
    pub(super) async fn commit(&self, tx: &Transaction, letter: &Letter<'_>) -> Result<String, Reply> {
        let queue_id = queue_id_of(RowId::fresh());
        let edit = self.opening(tx, letter, &queue_id);
        let put_away = self.bodies.put_away(edit.pieces(&letter.octets)).await.map_err(|error| {
            tracing::warn!(%error, queue_id, "the octets of a mail could not be kept; the client was told to try again");
            self.turn_away("spool", replies::not_put_away(&error))
        })?;
        if letter.state == State::Held {
            self.metrics.held.inc();
        }
        let kept = tx.recipients.chunks(FORWARD_PATHS_MAX);
        let kept: Vec<_> = kept.map(|to| self.row(tx, letter, (&queue_id, &put_away), to)).collect();
        let stored = edit.undone(&letter.octets, &put_away.content, put_away.large);
        let archived = self.copy(tx, letter, stored, &queue_id, self.leg(tx, letter))?;
        let (copy, copied) = archived.map(|archived| (archived.copy, archived.note)).unzip();
        let (mut rows, mut notes) = (Vec::new(), Vec::new());
        for (row, said) in kept {
            let size = letter.octets.len();
            let received = Note::new(letter.arrived, Stage::Received, format!("{size} octets"));
            let all = std::iter::once(received).chain(copied.clone()).chain(said);
            notes.extend(all.map(|note| (row.id, note)));
            rows.push(row);
        }
        rows.extend(self.expanded(tx, letter));
        self.spool.accept_archived(rows, notes, copy).await.map_err(|error| {
            tracing::warn!(%error, queue_id, "a mail could not be kept; the client was told to try again");
            self.turn_away("spool", replies::not_kept(&error))
        })?;
        self.metrics.accepted(letter.octets.len() as u64);
        Ok(queue_id)
    }

    /// The row of these recipients, and what the journal says of it.
    fn row(
        &self,
        tx: &Transaction,
        letter: &Letter<'_>,
        (queue_id, put_away): (&str, &PutAway),
        to: &[RcptTo],
    ) -> (NewRow, Vec<Note>) {
        let mail = Mail { envelope: envelope::taken(&tx.from, to), content: put_away.content.clone() };
        let header = Slip::headers_of(&letter.octets, letter.facts.header_len);
        let slip = authentic::is_certain(&mail.envelope.reverse_path, letter.verdicts)
            .then(|| Slip::of(&mail.envelope, letter.arrived, header.clone()));
        let foreign = keep::Foreign {
            id: RowId::fresh(),
            queue_id,
            mail: &mail,
            large: put_away.large,
            header: header.as_bytes(),
            message_id: letter.facts.message_id.as_deref(),
            slip,
            size: letter.octets.len() as u64,
            state: letter.state,
            arrived: letter.arrived,
            expires: letter.arrived.saturating_add_ms(self.lifetime_ms),
        };
        let row = keep::row(self.custody.vault(), foreign);
        let mut notes = vec![letter.decided.clone()];
        if letter.state == State::Held {
            notes.push(Note::new((self.clock)(), Stage::Held, "waits for an administrator"));
        }
        let (from, to) = (&mail.envelope.reverse_path, &mail.envelope.forward_paths);
        let Some(rule) = tx.snapshot.standing.holds(from, to, row.size) else { return (row, notes) };
        notes.push(rule.note((self.clock)()));
        (rule.hold(row), notes)
    }

    fn leg(&self, tx: &Transaction, letter: &Letter<'_>) -> Leg {
        let from = tx.from.reverse_path.as_str();
        let domain = from.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
        let found = letter.verdicts.authentication_results(&self.authserv_id);
        Leg { domain, partner: None, steps: vec![letter.decided.reason.clone(), found] }
    }

    /// What the sender is told of aliases, if it is certain enough who that is.
    fn expanded(&self, tx: &Transaction, letter: &Letter<'_>) -> Option<NewRow> {
        if tx.expanded.is_empty() || !authentic::is_certain(tx.from.reverse_path.as_str(), letter.verdicts) {
            return None;
        }
        let header = Slip::headers_of(&letter.octets, letter.facts.header_len);
        let slip = Slip::of(&envelope::taken(&tx.from, &tx.expanded), letter.arrived, header);
        self.reporter.expanded(&slip, &tx.expanded, letter.arrived)
    }

    /// What our mail server will get: what we found out, our seal of it, and where the mail came from in front (RFC 8601 §4, RFC
    /// 8617, RFC 5321 §4.4), without what only we may say; the rest as it came.
    fn opening(&self, tx: &Transaction, letter: &Letter<'_>, queue_id: &str) -> Edit {
        let Letter { octets, verdicts, arrived, .. } = letter;
        let results = verdicts.authentication_results(&self.authserv_id);
        let link = self.chain.as_ref().map(|chain| chain.link(octets, verdicts, &self.authserv_id, *arrived));
        let received = tx.received(&self.hostname, queue_id, *arrived);
        forgeries::left_out(octets, &self.authserv_id).behind(results + &link.unwrap_or_default() + &received)
    }
}
