//! Who may change something: a script with the token in its hand, or a person on one of our own pages.
//!
//! A browser sends the password it was told along with every request to us, also when another web page made it do so. So a
//! request that could change something has to show where it comes from (Sec-Fetch-Site, Origin), unless its token is one
//! that no browser adds by itself (Bearer).

use axum::extract::Request;
use axum::http::header::{self, HeaderMap};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Lets reading pass, and of what changes something only what nobody else's page can have sent.
pub(super) async fn own_pages_only(request: Request, next: Next) -> Response {
    if is_safe(request.method()) || is_our_own(request.headers()) {
        return next.run(request).await;
    }
    let detail = "This would change something, and it does not come from a page of this gateway.";
    Problem::new(StatusCode::FORBIDDEN, detail).into_response()
}

/// RFC 9110 §9.2.1.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn is_our_own(headers: &HeaderMap) -> bool {
    // The browser's own word, which no page can forge (Fetch Metadata). Every current browser says it on loopback and HTTPS.
    match word(headers, "sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => match word(headers, header::ORIGIN.as_str()) {
            Some(origin) => is_host(origin, headers),
            None => word(headers, header::AUTHORIZATION.as_str()).is_some_and(is_bearer),
        },
    }
}

/// Whether the origin is the very host and port that was asked, in plain or behind somebody's TLS.
fn is_host(origin: &str, headers: &HeaderMap) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some() && authority == word(headers, header::HOST.as_str())
}

fn is_bearer(authorization: &str) -> bool {
    authorization.split_once(' ').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
}

/// A header that stands there exactly once.
fn word<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        // Twice is not a word of a browser; it must not pass for "not there".
        (Some(_), Some(_)) => Some(""),
        (one, _) => one.map(|value| value.to_str().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::HeaderName;

    use super::*;

    fn ours(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| _ = map.append(name, value));
        is_our_own(&map)
    }

    #[test]
    fn another_page_cannot_use_the_password_that_the_browser_remembers() {
        let (host, basic) = (("host", "localhost:8080"), ("authorization", "Basic eDp5"));
        assert!(!ours(&[host, basic]), "a form of an old browser says nothing");
        assert!(!ours(&[host, basic, ("sec-fetch-site", "cross-site")]));
        assert!(!ours(&[host, basic, ("sec-fetch-site", "same-site")]));
        assert!(!ours(&[host, basic, ("sec-fetch-site", "none")]));
        assert!(!ours(&[host, basic, ("origin", "https://evil.example")]));
        assert!(!ours(&[host, basic, ("origin", "null")]));
        assert!(!ours(&[host, basic, ("origin", "http://localhost:8081")]), "another server of this machine");
        assert!(!ours(&[host, basic, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn our_pages_and_scripts_may() {
        let (host, basic) = (("host", "localhost:8080"), ("authorization", "Basic eDp5"));
        assert!(ours(&[host, basic, ("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")]));
        assert!(ours(&[host, basic, ("origin", "http://localhost:8080")]));
        assert!(ours(&[host, ("authorization", "Bearer t")]));
        assert!(!ours(&[host, ("authorization", "Bearer t"), ("sec-fetch-site", "cross-site")]));
    }
}
