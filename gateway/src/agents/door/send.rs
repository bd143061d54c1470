//! Sending: a message of an agent becomes a mail and is kept, or the agent is told why not.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dccp::address::canonical;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use smtp::address::Address;
use smtp::compose::{Draft, Media, MessageId, compose};
use smtp::message::{self, Limits, completion, crlf_strict, values};
use smtp::reply::{Enhanced, Reply};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::refusal::Refusal;
use super::{Desk, JSON_MORE_BYTES, RFC822, SENDING_BYTES_MAX};
use crate::agents::Agent;
use crate::clock::system_time;
use crate::flows::agent_out::MachineMade;
use crate::flows::records::queue_id_of;
use crate::spool::RowId;

/// How long a message may take to come, waiting for its turn included.
const READ_TIME_MAX: Duration = Duration::from_secs(60);

/// Recipients of one message: more is a mailing, which an agent sends in portions.
const RECIPIENTS_MAX: usize = 100;

/// How often machines may answer each other in a row. A person's mail in between counts anew.
const ANSWERS_MAX: u32 = 100;

/// What an agent wants to be sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Addresses or aliases.
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    content_type: String,
    /// Text, as it is.
    #[serde(default)]
    payload: Option<String>,
    /// Anything, in Base64.
    #[serde(default)]
    payload_base64: Option<String>,
    /// The beginning of the conversation, as it was told.
    #[serde(default)]
    thread_id: Option<String>,
    /// The `internet_message_id` of the mail that this one answers.
    #[serde(default)]
    in_reply_to: Option<String>,
}

/// The promise that it is kept.
#[derive(Serialize)]
pub(super) struct Accepted {
    /// Its name in the trace and in the queue.
    queue_id: String,
    /// Its `Message-ID`, which answers will name.
    internet_message_id: String,
}

/// A whole mail.
struct Mail {
    octets: Bytes,
    /// Its `Message-ID`.
    name: String,
    /// The message that it answers.
    answered: Option<MessageId>,
}

/// Takes a message.
pub(super) async fn send(
    State(desk): State<Arc<Desk>>,
    Extension(agent): Extension<Agent>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let (wanted, _turn) = desk.read(request).await?;
    let to = recipients(&wanted.to)?;
    let mail = desk.mail(&agent, &wanted, &to)?;
    if mail.octets.len() as u64 > desk.door.message_bytes_max {
        let detail = format!("A mail of an agent has at most {} octets.", desk.door.message_bytes_max);
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    let answers = desk.answers(&agent, mail.answered.as_ref()).await?;
    desk.within_rates(&agent, &to)?;
    let made = MachineMade { replies: mail.answered.is_some(), answers };
    let queue_id = desk.door.out.send(&agent.address, &to, mail.octets, made).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { queue_id, internet_message_id: mail.name })))
}

/// After so many answers of machines in a row, one more.
fn one_more(before: u32) -> Result<u32, Refusal> {
    if before < ANSWERS_MAX {
        return Ok(before + 1);
    }
    // RFC 3463 §3.5: X.4.6, routing loop detected.
    let text = format!(
        "Machines answered each other {ANSWERS_MAX} times in a row; a person has to write in between"
    );
    Err(Reply::new(554, Enhanced(5, 4, 6), text).into())
}

fn recipients(named: &[String]) -> Result<Vec<Address>, Refusal> {
    if !(1..=RECIPIENTS_MAX).contains(&named.len()) {
        return Err(Refusal::bad(format!("`to` names from 1 to {RECIPIENTS_MAX} recipients.")));
    }
    let wrong = |text: &String| Refusal::bad(format!("{text:?} in `to` is not a mail address."));
    named.iter().map(|text| text.parse().map_err(|_| wrong(text))).collect()
}

impl Desk {
    /// Reads a message when its turn comes, and holds the turn as long as the message is in memory.
    async fn read(&self, request: Request) -> Result<(Wanted, SemaphorePermit<'_>), Refusal> {
        let read = async {
            let turn = self.sending.acquire_many(self.weight(&request)).await;
            let busy = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The gateway cannot take this now.");
            Ok((Json::from_request(request, &()).await?.0, turn.map_err(busy)?))
        };
        let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "The message did not come in time.");
        timeout(READ_TIME_MAX, read).await.map_err(late)?
    }

    /// What the message takes of all that may be read at a time: what it says it has, or as much as any.
    fn weight(&self, request: &Request) -> u32 {
        let said = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let octets = said.unwrap_or(self.body_max).clamp(JSON_MORE_BYTES, SENDING_BYTES_MAX);
        u32::try_from(octets).unwrap_or(u32::MAX)
    }

    /// How many machines have answered each other with this message, which answers `answered`.
    async fn answers(&self, agent: &Agent, answered: Option<&MessageId>) -> Result<u32, Refusal> {
        let Some(answered) = answered else { return Ok(0) };
        let before = self.door.agents.answers_before(agent.id, answered.as_str()).await?;
        one_more(before.unwrap_or(0))
    }

    /// The mail that the message becomes.
    fn mail(&self, agent: &Agent, wanted: &Wanted, to: &[Address]) -> Result<Mail, Refusal> {
        let content = wanted.content()?;
        let (unique, now) = (queue_id_of(RowId::fresh()), system_time((self.door.clock)()));
        if wanted.content_type == RFC822 {
            let missing = completion(&content, &unique, agent.address.domain(), now);
            return whole(agent, wanted, [missing.as_bytes(), &content].concat().into());
        }
        let media = Media::of_type(&wanted.content_type).ok_or_else(|| {
            let known = "`content_type` is text/plain, text/markdown, application/json or message/rfc822.";
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, known)
        })?;
        let content =
            String::from_utf8(content).map_err(|_| Refusal::bad("The payload is not UTF-8 text."))?;
        if media == Media::Json && serde_json::from_str::<IgnoredAny>(&content).is_err() {
            return Err(Refusal::bad("The payload is not JSON."));
        }
        let named = |id: &Option<String>| id.as_deref().map(str::parse::<MessageId>).transpose();
        let (thread, answered) = (named(&wanted.thread_id)?, named(&wanted.in_reply_to)?);
        let begun = thread.filter(|thread| Some(thread) != answered.as_ref());
        let references: Vec<MessageId> = begun.into_iter().chain(answered.clone()).collect();
        let name: MessageId = format!("{unique}@{}", agent.address.domain()).parse()?;
        let draft = Draft {
            from: &agent.address,
            name: &agent.name,
            to,
            subject: &wanted.subject,
            date: now,
            message_id: &name,
            in_reply_to: answered.as_ref(),
            references: &references,
            media,
            content: &content,
        };
        Ok(Mail { octets: compose(&draft)?, name: name.as_str().to_owned(), answered })
    }

    fn within_rates(&self, agent: &Agent, to: &[Address]) -> Result<(), Refusal> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        match rates.take(agent.id, to, (self.door.clock)()) {
            true => Ok(()),
            false => {
                let detail = "That is more in a minute than an agent may send, in all or to one recipient.";
                Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, detail))
            }
        }
    }
}

/// A mail that the agent composed itself: passed on octet for octet, if it can be read and speaks in nobody else's name.
fn whole(agent: &Agent, wanted: &Wanted, octets: Bytes) -> Result<Mail, Refusal> {
    if !wanted.subject.is_empty() || wanted.thread_id.is_some() || wanted.in_reply_to.is_some() {
        return Err(Refusal::bad("A message/rfc822 says its subject and what it answers in its own header."));
    }
    crlf_strict(&octets).map_err(|bare| Refusal::bad(format!("Lines of a mail end in CRLF: {bare}.")))?;
    let facts = message::read(&octets, &Limits::default()).map_err(|error| Refusal::from(error.reply()))?;
    // One field, and nobody else in it: a mail program shows the second author as well as the first.
    let own = |from: &[String]| matches!(from, [one] if canonical(one) == canonical(agent.address.as_str()));
    if values(&octets, "From").count() != 1 || !message::authors(&octets).as_deref().is_some_and(own) {
        return Err(Refusal::bad(format!("The mail has to be from {}, in one From field.", agent.address)));
    }
    let answered = values(&octets, "In-Reply-To").find_map(|value| value.trim().parse().ok());
    Ok(Mail { octets, name: facts.message_id.unwrap_or_default(), answered })
}

impl Wanted {
    fn content(&self) -> Result<Vec<u8>, Refusal> {
        match (&self.payload, &self.payload_base64) {
            (Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, Some(encoded)) => {
                BASE64.decode(encoded).map_err(|_| Refusal::bad("`payload_base64` is not Base64."))
            }
            _ => Err(Refusal::bad("Give either `payload` or `payload_base64`.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use dccp::UnixMillis;

    use super::*;

    fn whole_of(mail: &str) -> Result<Mail, Refusal> {
        let wanted = serde_json::json!({"to": [], "content_type": RFC822});
        let wanted: Wanted = serde_json::from_value(wanted).unwrap();
        let address = "a1@agents.globex.test".parse().unwrap();
        let agent = Agent { id: [0; 16], address, name: String::new(), added_at: UnixMillis(0) };
        whole(&agent, &wanted, Bytes::copy_from_slice(mail.as_bytes()))
    }

    #[test]
    fn machines_answer_each_other_so_often_and_no_more() {
        assert_eq!(one_more(0), Ok(1));
        assert_eq!(one_more(ANSWERS_MAX - 1), Ok(ANSWERS_MAX));
        assert!(one_more(ANSWERS_MAX).is_err() && one_more(u32::MAX).is_err());
    }

    #[test]
    fn a_whole_mail_speaks_in_its_agents_name_only() {
        let own = "From: Order desk <A1@agents.globex.test>\r\nMessage-ID: <m@x>\r\nIn-Reply-To: <q@y>\r\n";
        let mail = whole_of(&format!("{own}\r\nhello\r\n")).ok().unwrap();
        assert_eq!((mail.name.as_str(), mail.answered.as_ref().map(MessageId::as_str)), ("m@x", Some("q@y")));
        for (why, mail) in [
            ("another's name", "From: bob@globex.test\r\n\r\nhello\r\n".to_owned()),
            ("two names", format!("{own}From: bob@globex.test\r\n\r\nhello\r\n")),
            (
                "a name beside it",
                "From: a1@agents.globex.test, Boss <boss@globex.test>\r\n\r\nhello\r\n".to_owned(),
            ),
            ("a group", "From: Desk: a1@agents.globex.test, boss@globex.test;\r\n\r\nhello\r\n".to_owned()),
            ("no name", "Subject: x\r\n\r\nhello\r\n".to_owned()),
            ("a bare LF", format!("{own}\r\nhello\n.\r\n")),
            ("no mail", "hello".to_owned()),
        ] {
            assert!(whole_of(&mail).is_err(), "{why}");
        }
    }
}
