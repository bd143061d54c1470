//! The door where agents take and send mail over HTTP.
//!
//! ```text
//! http::server ─► Host check, security headers ─► Bearer token (RFC 6750) ─► the agent
//!    GET    /agent/v1/messages[?wait=30&max=10]   what waits, oldest first            take.rs
//!    GET    /agent/v1/messages/{id}               one mail, octet for octet
//!    DELETE /agent/v1/messages/{id}               it is in the agent's hands: gone
//!    POST   /agent/v1/messages                    a message becomes a mail            send.rs
//! ```
//!
//! Invariants: nobody sees an inbox but its own agent; `202` comes after the durable commit; every refusal is a problem
//! document (RFC 9457), and one of the judge or of the mail system carries the SMTP reply that a mail program would get.
//!
//! Deliberately absent: TLS (the port is bound to loopback).

mod rates;
mod refusal;
mod send;
mod take;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Agents, Token};
use crate::clock::Clock;
use crate::flows::agent_out::AgentOut;
use rates::Rates;
use refusal::Refusal;

pub use rates::SendRates;

/// What a message may be larger in JSON than as a mail: Base64, escapes, and the other fields.
const JSON_FACTOR: usize = 2;
const JSON_MORE_BYTES: usize = 64 * 1024;

/// Octets of messages in JSON that are read and composed at a time: as many as the largest has, and each is in memory up to four
/// times its size meanwhile. Others wait.
const SENDING_BYTES_MAX: usize = 192 * 1024 * 1024;

/// The media type of a mail.
const RFC822: &str = "message/rfc822";

/// What the door needs from the house.
pub struct Door {
    /// Who the agents are, and their inboxes.
    pub agents: Agents,
    /// Takes what they send.
    pub out: AgentOut,
    /// How often they may.
    pub rates: SendRates,
    /// The largest mail in octets.
    pub message_bytes_max: u64,
    /// Ends waiting.
    pub stop: CancellationToken,
    /// Time.
    pub clock: Clock,
}

struct Desk {
    door: Door,
    rates: Mutex<Rates>,
    /// Octets that may still be read and composed.
    sending: Semaphore,
    /// Octets of the largest message in JSON.
    body_max: usize,
}

/// Serves agents until the door's `stop`.
pub async fn serve(listener: TcpListener, door: Door) {
    let stop = door.stop.clone();
    crate::http::serve_room(listener, router(door), Duration::from_secs(take::WAIT_S_MAX), stop).await;
}

/// All routes, with the token asked for at each of them.
fn router(door: Door) -> Router {
    let bytes_max = usize::try_from(door.message_bytes_max).unwrap_or(usize::MAX);
    let body_max = bytes_max.saturating_mul(JSON_FACTOR).saturating_add(JSON_MORE_BYTES);
    let (rates, sending) = (Mutex::new(Rates::new(door.rates)), Semaphore::new(SENDING_BYTES_MAX));
    let desk = Arc::new(Desk { door, rates, sending, body_max });
    Router::new()
        .route("/agent/v1/messages", get(take::list).post(send::send).fallback(refusal::other_method))
        .route(
            "/agent/v1/messages/{id}",
            get(take::octets).delete(take::acknowledge).fallback(refusal::other_method),
        )
        .fallback(refusal::not_found)
        .layer(DefaultBodyLimit::max(body_max))
        .layer(from_fn_with_state(desk.clone(), token))
        .with_state(desk)
}

/// Lets a request through that presents an agent's token, and says whose it is (RFC 6750 §2.1).
async fn token(State(desk): State<Arc<Desk>>, mut request: Request, next: Next) -> Response {
    let presented = presented(&request);
    let agent = match &presented {
        Some(token) => match desk.door.agents.of_token(token).await {
            Ok(agent) => agent,
            Err(error) => return Refusal::from(error).into_response(),
        },
        None => None,
    };
    match agent {
        Some(agent) => {
            request.extensions_mut().insert(agent);
            next.run(request).await
        }
        None => unauthorised(presented.is_some()),
    }
}

fn presented(request: &Request) -> Option<Token> {
    let mut given = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::read(token.trim())).flatten()
}

/// RFC 6750 §3.1: the error is named only where a token was presented.
fn unauthorised(had_token: bool) -> Response {
    let challenge = match had_token {
        true => r#"Bearer realm="DCCP agents", error="invalid_token""#,
        false => r#"Bearer realm="DCCP agents""#,
    };
    let detail = "Present the agent's token as a Bearer token; `dccp-gateway agent token` makes one.";
    let mut response = Refusal::new(StatusCode::UNAUTHORIZED, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
