//! What every request passes before anybody answers it: Host check, token, limits, security headers.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use control::Caller;
use http_body_util::Limited;
use zeroize::Zeroizing;

use super::problem::Problem;

/// Octets of a request body: no request needs one, so only what a careless client sends along.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long an answer may take before the asker is told to come back; the longest is a page of the journal.
const ANSWER_MS_MAX: u64 = 10_000;

/// Scripts, styles and images from this server only, nothing inline, nobody may frame a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers on every answer, with the reason for each.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")), // browsers without frame-ancestors
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")), // paths contain Message-IDs
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")), // answers name people
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// Puts the security headers on every answer, refusals included.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

/// The names under which this server may be asked.
#[derive(Clone)]
pub(super) struct Hosts(Arc<[String]>);

impl Hosts {
    pub(super) fn new(configured: Vec<String>) -> Self {
        let lower = configured.into_iter().map(|name| name.to_ascii_lowercase());
        Self(lower.collect())
    }

    fn allow(&self, authority: &str) -> bool {
        // `user@host` is no Host header (RFC 9110 §7.2); a parser that skips the user would be fooled by it.
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host().to_ascii_lowercase();
        is_loopback(&host) || self.0.contains(&host)
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses requests for foreign host names: a web page whose name an attacker re-points to 127.0.0.1
/// (DNS rebinding) still sends its own name.
pub(super) async fn host(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match asked_authority(request.uri(), request.headers()) {
        None => Problem::new(StatusCode::BAD_REQUEST, "The request needs exactly one Host header.")
            .into_response(),
        Some(authority) if hosts.allow(authority) => next.run(request).await,
        Some(_) => {
            let detail =
                "This server does not answer under that host name; use localhost or a configured name.";
            Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response()
        }
    }
}

/// An absolute request target overrides the Host header, which must be there once all the same (RFC 9112 §3.2).
fn asked_authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return None };
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host.to_str().ok(),
    }
}

/// Bounds the request body, by its announcement and while it is read.
pub(super) async fn body_limit(request: Request, next: Next) -> Response {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0);
    if announced > BODY_BYTES_MAX {
        let detail = "No request here needs a body of that size.";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response();
    }
    next.run(request.map(|body| Body::new(Limited::new(body, BODY_BYTES_MAX)))).await
}

/// Ends an answer that takes too long with a 503.
pub(super) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_millis(ANSWER_MS_MAX), next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = "The gateway is too busy to answer this now.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}

/// The token, as its digest: comparing digests takes the same time for every wrong token of every length.
#[derive(Clone)]
pub(super) struct Token(Option<[u8; 32]>);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self((!token.is_empty()).then(|| sha256(token.as_bytes())))
    }

    fn matches(&self, presented: &[u8]) -> bool {
        self.0.is_some_and(|expected| verify_slices_are_equal(&expected, &sha256(presented)).is_ok())
    }
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, octets).as_ref());
    out
}

/// Lets a request through that presents the token, as Bearer (RFC 6750 §2.1) or as the password of Basic
/// (RFC 7617), which every browser can ask a person for. The user name opens nothing; it is what the person is called in
/// the journal.
pub(super) async fn token(State(token): State<Token>, mut request: Request, next: Next) -> Response {
    if let Some((caller, secret)) = presented(request.headers())
        && token.matches(&secret)
    {
        if let Some(name) = caller {
            request.extensions_mut().insert(Caller(name));
        }
        return next.run(request).await;
    }
    let detail = "Present the gateway's token: as Bearer token, or as the password when a browser asks.";
    let challenges = [
        (header::WWW_AUTHENTICATE, r#"Basic realm="DCCP Gateway", charset="UTF-8""#),
        (header::WWW_AUTHENTICATE, r#"Bearer realm="DCCP Gateway""#),
    ];
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    for (name, challenge) in challenges {
        response.headers_mut().append(name, HeaderValue::from_static(challenge));
    }
    response
}

/// The name, if one was given, and the secret.
fn presented(headers: &HeaderMap) -> Option<(Option<String>, Zeroizing<Vec<u8>>)> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (given.next(), given.next()) else { return None };
    let (scheme, credentials) = one.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((None, Zeroizing::new(credentials.as_bytes().to_vec())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = Zeroizing::new(STANDARD.decode(credentials).ok()?);
        let colon = pair.iter().position(|&octet| octet == b':')?;
        let name = String::from_utf8_lossy(pair.get(..colon)?).trim().to_owned();
        let name = Some(name).filter(|name| !name.is_empty());
        return pair.get(colon + 1..).map(|password| (name, Zeroizing::new(password.to_vec())));
    }
    None
}
