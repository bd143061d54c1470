//! Taking mail: what waits, one mail, and that it is taken.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use uuid::Uuid;

use super::refusal::Refusal;
use super::{Desk, RFC822};
use crate::agents::inbox::{Content, Waiting};
use crate::agents::{Agent, Facts};

/// How long a question may wait for mail. Longer than many a proxy lets a connection be silent makes no sense.
pub(super) const WAIT_S_MAX: u64 = 60;

/// Mails told of at once.
const MESSAGES_MAX: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Seconds to wait while nothing is there.
    #[serde(default)]
    wait: u64,
    /// Mails at most.
    #[serde(default = "Asked::max_default")]
    max: u32,
}

impl Asked {
    fn max_default() -> u32 {
        10
    }
}

#[derive(Serialize)]
pub(super) struct Page {
    messages: Vec<Told>,
}

/// A mail as the agent is told of it.
#[derive(Serialize)]
struct Told {
    id: Uuid,
    /// Unix milliseconds at which it came into the inbox.
    timestamp: u64,
    content_type: &'static str,
    /// Octets.
    size: u64,
    /// Where the octets are.
    payload: String,
    #[serde(flatten)]
    facts: Facts,
}

impl From<Waiting> for Told {
    fn from(mail: Waiting) -> Self {
        let Waiting { id, arrived_at, bytes, facts } = mail;
        let payload = format!("/agent/v1/messages/{id}");
        Self { id, timestamp: arrived_at, content_type: RFC822, size: bytes, payload, facts }
    }
}

/// What waits, the oldest first; while nothing does, for as long as the agent wants to wait.
pub(super) async fn list(
    State(desk): State<Arc<Desk>>,
    Extension(agent): Extension<Agent>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(Asked { wait, max }) = asked?;
    if wait > WAIT_S_MAX || !(1..=MESSAGES_MAX).contains(&max) {
        let detail = format!("`wait` is at most {WAIT_S_MAX} (seconds), `max` from 1 to {MESSAGES_MAX}.");
        return Err(Refusal::bad(detail));
    }
    let waited = timeout(Duration::from_secs(wait), desk.waited(&agent, max));
    let found = match desk.door.stop.run_until_cancelled(waited).await {
        Some(Ok(found)) => found?,
        // Time is up, or the gateway stops.
        Some(Err(_)) | None => desk.door.agents.waiting(agent.id, max).await?,
    };
    Ok(Json(Page { messages: found.into_iter().map(Told::from).collect() }))
}

/// One mail, octet for octet; a large one chunk by chunk, as the agent reads it.
pub(super) async fn octets(
    State(desk): State<Arc<Desk>>,
    Extension(agent): Extension<Agent>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Path(id) = id?;
    let agents = &desk.door.agents;
    let (size, body) = match agents.content(agent.id, id).await?.ok_or_else(no_such_mail)? {
        Content::Octets(octets) => (octets.len() as u64, Body::from(octets.to_vec())),
        Content::Body(large, rendition) => {
            let size = rendition.size();
            (size, Body::from_stream(agents.rendered(large, rendition)?))
        }
    };
    // With the length said, an answer that breaks off is no mail.
    Ok(([(header::CONTENT_TYPE, RFC822.to_owned()), (header::CONTENT_LENGTH, size.to_string())], body))
}

/// The mail is in the agent's hands.
pub(super) async fn acknowledge(
    State(desk): State<Arc<Desk>>,
    Extension(agent): Extension<Agent>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    let Path(id) = id?;
    match desk.door.agents.acknowledge(agent.id, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_such_mail()),
    }
}

fn no_such_mail() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "No mail of this id waits for you.")
}

impl Desk {
    /// Something that waits, as soon as something does.
    async fn waited(&self, agent: &Agent, max: u32) -> Result<Vec<Waiting>, Refusal> {
        let mut bell = self.door.agents.listen();
        loop {
            bell.mark_unchanged();
            let found = self.door.agents.waiting(agent.id, max).await?;
            if !found.is_empty() || bell.changed().await.is_err() {
                return Ok(found);
            }
        }
    }
}
