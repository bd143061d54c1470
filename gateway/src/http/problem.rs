//! Refusals as problem documents (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::ControlError;
use serde::Serialize;

/// A refusal in the form of RFC 9457. The type is always `about:blank`: the status says it all (§4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    /// A problem with an HTTP status and a sentence for the person who asked.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Unknown");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, media_type)], Json(self)).into_response()
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Bad(_) => StatusCode::BAD_REQUEST,
            ControlError::NotFound(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// The answer to a path of the API that does not exist.
pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "The API has no such path; docs/API.md lists them.")
}

/// The answer to a method that a path for reading does not know.
pub(super) async fn read_only() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This is read-only: use GET.")
}

/// The answer to a method that a path of the queue does not know.
pub(super) async fn other_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path has no such method; docs/API.md lists them.")
}
