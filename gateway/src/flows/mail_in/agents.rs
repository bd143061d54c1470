//! The recipients of a mail that are agents: their copy goes into their inboxes instead of to our mail server.

use dccp::message::Message;
use smtp::message::values;
use uuid::Uuid;

use super::MailIn;
use super::attempt::Attempt;
use crate::agents::{Facts, Incoming, Protection, Put};
use crate::flows::agent_out::ANSWERS_FIELD;
use crate::flows::bodies::Edit;
use crate::flows::records::{Done, purpose};
use crate::partners::Partner;
use crate::spool::{DueRow, Note, SpoolError, Stage, State};

/// Where a mail is from, as far as it is certain.
pub(super) struct Origin {
    message_id: Uuid,
    sender_did: Option<String>,
    sealed: Option<Protection>,
}

impl Origin {
    /// A message that was opened, and whose signature counted for `partner`.
    pub(super) fn sealed(message: &Message, partner: &Partner) -> Self {
        let sealed = Protection {
            suite: message.suite.to_string(),
            key: message.fs_class.to_string(),
            partner: partner.domain().to_owned(),
        };
        Self {
            message_id: message.message_id,
            sender_did: Some(message.sender.to_string()),
            sealed: Some(sealed),
        }
    }

    /// A mail that came in the clear, or from ourselves, in this row.
    pub(super) fn clear(row: Uuid) -> Self {
        Self { message_id: row, sender_did: None, sealed: None }
    }

    /// What an agent is told of a mail with this reverse-path.
    fn facts(self, octets: &[u8], reverse_path: &str) -> Facts {
        let read = smtp::message::read(octets, &smtp::message::Limits::default()).ok();
        let (author, subject, name) =
            read.map_or((None, None, None), |read| (read.from, read.subject, read.message_id));
        let in_reply_to = names(octets, "In-Reply-To").next();
        let first = names(octets, "References").next().or_else(|| in_reply_to.clone());
        let says_no = |value: &String| value.trim().eq_ignore_ascii_case("no");
        let answers = values(octets, ANSWERS_FIELD).filter_map(|value| value.trim().parse().ok()).max();
        Facts {
            message_id: self.message_id,
            sender_did: self.sender_did,
            sealed: self.sealed,
            from: reverse_path.to_owned(),
            author,
            to: String::new(),
            subject,
            thread_id: first.or_else(|| name.clone()),
            internet_message_id: name,
            in_reply_to,
            automatic: reverse_path.is_empty() || values(octets, "Auto-Submitted").any(|it| !says_no(&it)),
            answers: answers.unwrap_or(0),
        }
    }
}

/// The message names in a field that lists some (RFC 5322 §3.6.4).
fn names<'a>(octets: &'a [u8], field: &'a str) -> impl Iterator<Item = String> + 'a {
    let named = |value: String| {
        let words = value.split_ascii_whitespace().filter_map(|word| word.parse().ok());
        words.map(|id: smtp::compose::MessageId| id.as_str().to_owned()).collect::<Vec<_>>()
    };
    values(octets, field).flat_map(named)
}

impl MailIn {
    /// Gives the agents among those who are still to be served their copy, the mail after the `edit`, and takes them out of the
    /// attempt. Those whose inbox cannot take it now are given back.
    pub(super) async fn hand_to_agents(
        &self,
        origin: Origin,
        edit: &Edit,
        work: &mut Attempt,
    ) -> Vec<String> {
        let pending = std::mem::take(&mut work.progress.pending);
        let (agents, people) = pending.into_iter().partition(|recipient| self.agents.own(recipient));
        work.progress.pending = people;
        let agents: Vec<String> = agents;
        if agents.is_empty() {
            return agents;
        }
        let now = (self.clock)();
        let facts = origin.facts(&work.octets, &work.mail.envelope.reverse_path);
        let octets = edit.done(&work.octets, &work.mail.content, work.octets.large());
        let incoming = Incoming { id: work.leg.id, facts, octets, now };
        match self.agents.put(incoming, agents.clone()).await {
            Ok(put) => put.into_iter().filter_map(|(agent, put)| self.note_put(agent, put, work)).collect(),
            Err(error) => {
                tracing::warn!(%error, row = %work.leg.id, "an agent's inbox cannot be written to; the mail waits");
                work.note(now, Stage::Deferred, "the agents' inboxes cannot be written to".to_owned());
                agents
            }
        }
    }

    /// Gives the agent back if it is to be tried again.
    fn note_put(&self, agent: String, put: Put, work: &mut Attempt) -> Option<String> {
        let (stage, reason, status) = match put {
            Put::Taken => (Stage::HandedOver, "put into the agent's inbox", "2.1.5"),
            Put::Unknown => (Stage::Failed, "no agent has this address", "5.1.1"),
            Put::Full => (Stage::Deferred, "too much waits for the agent already", "4.2.2"),
            Put::TooLarge => (Stage::Failed, "larger than an agent takes", "5.3.4"),
        };
        let detail = self.custody.vault().seal(purpose::NOTE, format!("{agent}: {reason}").as_bytes());
        work.notes.push(Note::new((self.clock)(), stage, reason).with_sealed(detail));
        if put == Put::Full {
            return Some(agent);
        }
        work.progress.done.push(Done {
            recipient: agent,
            delivered: put == Put::Taken,
            status: status.to_owned(),
            diagnostic: reason.to_owned(),
            server: None,
            told: false,
        });
        None
    }

    /// A report of ours to an agent: into its inbox. If that fails for good there is nobody left to tell.
    ///
    /// # Errors
    /// The spool's only.
    pub(super) async fn report_to_agent(&self, due: DueRow, work: Attempt) -> Result<(), SpoolError> {
        let mut work = work;
        let edit = Edit::none(&work.octets);
        let again = self.hand_to_agents(Origin::clear(due.row.id.0), &edit, &mut work).await;
        let (id, now) = (due.row.id, (self.clock)());
        if !again.is_empty() && now < due.row.expires_at {
            let next = self.schedule.next(due.row.attempts + 1, now, due.row.expires_at, rand::random());
            self.spool.defer(id, next, work.notes).await?;
            return Ok(());
        }
        let delivered = again.is_empty() && work.progress.done.iter().all(|done| done.delivered);
        let state = if delivered { State::Delivered } else { State::Failed };
        work.note(
            now,
            if delivered { Stage::Delivered } else { Stage::Failed },
            "report to an agent".to_owned(),
        );
        self.spool.settle(crate::spool::Settlement::plain(id, state, work.notes)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(header: &str) -> Facts {
        Origin::clear(Uuid::nil()).facts(format!("{header}\r\n\r\nbody\r\n").as_bytes(), "alice@acme.test")
    }

    #[test]
    fn a_conversation_begins_with_its_first_reference() {
        let header = "From: Alice <alice@acme.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <m3@acme.test>\r\n\
                      In-Reply-To: <m2@acme.test>\r\nReferences: <m1@acme.test>\r\n <m2@acme.test>";
        let facts = facts(header);
        assert_eq!(facts.thread_id.as_deref(), Some("m1@acme.test"));
        assert_eq!(facts.in_reply_to.as_deref(), Some("m2@acme.test"));
        assert_eq!(facts.internet_message_id.as_deref(), Some("m3@acme.test"));
        assert_eq!(
            (facts.subject.as_deref(), facts.author.as_deref()),
            (Some("Grüße"), Some("alice@acme.test"))
        );
        assert!(!facts.automatic && facts.answers == 0);
    }

    #[test]
    fn a_mail_that_answers_nothing_begins_a_conversation() {
        assert_eq!(facts("Message-ID: <m1@acme.test>").thread_id.as_deref(), Some("m1@acme.test"));
        let answer = "Message-ID: <m2@acme.test>\r\nIn-Reply-To: <m1@acme.test>";
        assert_eq!(facts(answer).thread_id.as_deref(), Some("m1@acme.test"));
    }

    #[test]
    fn what_a_machine_wrote_is_told() {
        assert!(facts("Auto-Submitted: auto-replied").automatic);
        assert!(!facts("Auto-Submitted: no").automatic);
        assert!(Origin::clear(Uuid::nil()).facts(b"Subject: report\r\n\r\n", "").automatic);
        assert_eq!(facts("Agent-Answers: 3\r\nAgent-Answers: 7\r\nAgent-Answers: many").answers, 7);
    }

    #[test]
    fn a_mail_that_cannot_be_read_has_no_facts_of_its_own() {
        let facts = Origin::clear(Uuid::nil()).facts(b"no header at all", "alice@acme.test");
        assert_eq!((facts.subject, facts.thread_id), (None, None));
    }
}
