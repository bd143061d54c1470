//! From what the spool keeps to what the control API says. Pure: rows, opened summaries and notes in, views out.

use control::{Kind, MessageSummary, MessageTrace, StageView};

use super::words::{direction, state};
use crate::flows::records::Summary;
use crate::spool::{self, Note, Row, Stage};

/// Characters of an opened detail that are shown: a mail server's replies for a few recipients.
const DETAIL_CHARS_MAX: usize = 4_000;

/// One line of the journal.
pub(super) fn summary_of(row: &Row, opened: Summary) -> MessageSummary {
    MessageSummary {
        queue_id: row.queue_id.clone(),
        message_id: message_id(row),
        kind: kind(row.kind),
        direction: direction(row.direction),
        state: state(row.state),
        partner_domain: row.partner_domain.clone(),
        sender: opened.from,
        recipients: opened.to,
        size: row.size,
        accepted_at_ms: row.accepted_at.0,
        total_ms: total_ms(row),
    }
}

/// One message with every stage it passed.
pub(super) fn trace_of(row: &Row, opened: Summary, stages: Vec<StageView>) -> MessageTrace {
    let under_way = !row.state.is_final();
    MessageTrace {
        queue_id: row.queue_id.clone(),
        message_id: message_id(row),
        internet_message_id: opened.message_id,
        kind: kind(row.kind),
        direction: direction(row.direction),
        state: state(row.state),
        partner_domain: row.partner_domain.clone(),
        sender: opened.from,
        recipients: opened.to,
        size: row.size,
        accepted_at_ms: row.accepted_at.0,
        total_ms: total_ms(row),
        next_attempt_at_ms: (row.state == spool::State::Queued).then_some(row.next_at.0),
        expires_at_ms: under_way.then_some(row.expires_at.0),
        stages,
    }
}

/// The journal of one row; `open` opens the sealed half of a note.
pub(super) fn stages_of(notes: &[Note], open: impl Fn(&[u8]) -> Option<String>) -> Vec<StageView> {
    let mut before = notes.first().map_or(0, |first| first.at.0);
    let mut stages = Vec::with_capacity(notes.len());
    for note in notes {
        let detail = note.sealed.as_deref().map(|sealed| match open(sealed) {
            Some(text) => text.chars().take(DETAIL_CHARS_MAX).collect(),
            None => "(sealed with another storage key)".to_owned(),
        });
        stages.push(StageView {
            at_ms: note.at.0,
            stage: word(note.stage).to_owned(),
            reason: note.reason.clone(),
            detail,
            elapsed_ms: note.at.0.saturating_sub(before), // a clock that was set back shows as no time
        });
        before = note.at.0;
    }
    stages
}

/// The stage as one word without blanks, so that scripts can compare it.
fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::HandedOver => "handed-over",
        other => other.as_str(),
    }
}

/// The DCCP message id, by which both ends know the message; an arrival has none before it was opened.
fn message_id(row: &Row) -> Option<String> {
    row.message_id.map(|id| id.to_string())
}

fn total_ms(row: &Row) -> Option<u64> {
    row.state.is_final().then(|| row.progress_at.0.saturating_sub(row.accepted_at.0))
}

const fn kind(kind: spool::Kind) -> Kind {
    match kind {
        spool::Kind::Mail | spool::Kind::Draft | spool::Kind::Relay | spool::Kind::Foreign => Kind::Mail,
        spool::Kind::Receipts => Kind::Receipts,
        spool::Kind::Report => Kind::Report,
        spool::Kind::Unopened => Kind::Unopened,
    }
}
