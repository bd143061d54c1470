//! What an agent is told when something is not done: a problem document (RFC 9457), with the SMTP reply where there is one.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use smtp::compose::ComposeError;
use smtp::reply::Reply;

use crate::flows::agent_out::Declined;
use crate::http::Problem;
use crate::spool::SpoolError;

/// Seconds after which it makes sense to try again what was refused for now.
const RETRY_AFTER_S: u32 = 30;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    #[serde(flatten)]
    problem: Problem,
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp: Option<Box<Smtp>>,
}

/// What a mail program would have been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Smtp {
    code: u16,
    enhanced_code: String,
    reply: String,
    /// The recipient that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { problem: Problem::new(status, detail), status, smtp: None }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// In the words of a reply: for now, forbidden by a rule (X.7), or not possible with this message.
    fn of_reply(recipient: Option<String>, reply: &Reply) -> Self {
        let enhanced = reply.status();
        let status = match () {
            () if reply.is_temporary() => StatusCode::SERVICE_UNAVAILABLE,
            () if enhanced.1 == 7 => StatusCode::FORBIDDEN,
            () => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let smtp = Smtp {
            code: reply.code,
            enhanced_code: enhanced.to_string(),
            reply: reply.to_string(),
            recipient,
        };
        Self { smtp: Some(Box::new(smtp)), ..Self::new(status, reply.text.clone()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        }
        response
    }
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self::of_reply(None, &reply)
    }
}

impl From<Declined> for Refusal {
    fn from(Declined { recipient, reply }: Declined) -> Self {
        Self::of_reply(recipient.map(|recipient| recipient.to_string()), &reply)
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        tracing::warn!(%error, "an agent was told to try again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The gateway cannot answer this now.")
    }
}

impl From<ComposeError> for Refusal {
    fn from(error: ComposeError) -> Self {
        Self::bad(format!("No mail can be made of this: {error}."))
    }
}

/// What could not be read keeps the status that says why: 400, 413, 415, 422.
macro_rules! unreadable {
    ($($rejection:ty),+) => {$(
        impl From<$rejection> for Refusal {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )+};
}
unreadable!(BytesRejection, JsonRejection, PathRejection, QueryRejection);

/// The answer to a path that does not exist.
pub(super) async fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "There is no such path; docs/AGENTS.md lists them.")
}

/// The answer to a method that a path does not know.
pub(super) async fn other_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "This path has no such method; docs/AGENTS.md lists them.")
}
