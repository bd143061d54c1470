//! Asking the running gateway through its control API, for the commands that need what only it has.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use control::IdentityView;
use dccp::Did;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use keystore::keyfile;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::{Failure, block_on};
use crate::config::Config;

/// The gateway answers from its own database, or gives up asking others before; longer means that it hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A trace has a few dozen stages, a DID document a few dozen keys.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// `GET /api/v1/{collection}/{id}`.
pub(super) fn get<T: DeserializeOwned>(config: &Config, collection: &str, id: &str) -> Result<T, Failure> {
    call(config, Method::GET, &format!("{collection}/{}", encoded(id)), Bytes::new())
}

/// A request to `/api/v1/{path}` with a JSON body, or an empty one. A gateway that runs knows what is in whose hands, so
/// nothing of this has a way around it.
pub(super) fn call<T: DeserializeOwned>(
    config: &Config,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<T, Failure> {
    let token = keyfile::read_token(&config.control.token).map_err(Failure::said)?;
    let listen = config.control.listen;
    let question = Question { method, path: format!("/api/v1/{path}"), body };
    let (status, body) = block_on(async {
        ask_patiently(listen, &token, question).await.map_err(|error| {
            Failure::Said(format!(
                "the gateway at {listen} cannot be asked: {error}. Is it running? (`control.listen`)"
            ))
        })
    })?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map_err(|error| {
            Failure::Said(format!(
                "the answer of {listen} is not what was asked for ({error}); is it this version's gateway?"
            ))
        }),
        StatusCode::UNAUTHORIZED => Err(Failure::Said(format!(
            "the gateway at {listen} does not know the token in {}; was it replaced after the gateway started?",
            config.control.token.display()
        ))),
        other => Err(Failure::Said(detail(&body).unwrap_or_else(|| format!("{listen} answered {other}")))),
    }
}

/// The records of a DID as the running gateway finds them on the overlay; `nodes` are addresses of a stranger.
pub(super) async fn bundle(config: &Config, did: &Did, nodes: &[String]) -> Result<Vec<u8>, String> {
    let token = keyfile::read_token(&config.control.token).map_err(|error| error.to_string())?;
    let path = format!("/api/v1/identities/{did}?nodes={}", encoded(&nodes.join(",")));
    let question = Question { method: Method::GET, path, body: Bytes::new() };
    let (status, body) = ask_patiently(config.control.listen, &token, question).await?;
    if status != StatusCode::OK {
        return Err(detail(&body).unwrap_or_else(|| status.to_string()));
    }
    let view: IdentityView = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    BASE64.decode(view.bundle).map_err(|error| error.to_string())
}

/// What is asked.
struct Question {
    method: Method,
    path: String,
    /// JSON, or nothing.
    body: Bytes,
}

async fn ask_patiently(
    listen: SocketAddr,
    token: &str,
    question: Question,
) -> Result<(StatusCode, Bytes), String> {
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, ask(listen, token, question)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))
}

async fn ask(listen: SocketAddr, token: &str, question: Question) -> Result<(StatusCode, Bytes), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(listen).await.map_err(|error| said(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| said(&error))?;
    let request = Request::builder()
        .method(question.method)
        .uri(question.path)
        .header(header::HOST, listen.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(question.body))
        .map_err(|error| said(&error))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| said(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|error| said(&error))?.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            // The gateway closes after its answer; the answer may still be on its way to us.
            Ok(()) => answer.await,
            Err(error) => Err(said(&error)),
        },
    }
}

/// RFC 3986 §2.1: everything but unreserved characters, so that a Message-ID is one path segment.
pub(super) fn encoded(id: &str) -> String {
    id.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte))
            }
            _ => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

/// The sentence of a problem document (RFC 9457).
fn detail(body: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(problem["detail"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_becomes_one_path_segment() {
        assert_eq!(encoded("<a/b@acme.test>"), "%3Ca%2Fb%40acme.test%3E");
        assert_eq!(encoded("01J-x_y.z~"), "01J-x_y.z~");
    }
}
