//! Which page a request gets.

use std::convert::Infallible;

use bytes::Bytes;
use dccp::Did;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::entry::Page;
use super::{Published, Unavailable};

/// How long others may keep a page: less than the hour for which resolvers do not ask again, so that a rotation is
/// seen soon.
const MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=60");
/// When a stranger may ask again after a failure of ours.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("30");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const CBOR: HeaderValue = HeaderValue::from_static("application/cbor");
const DID_JSON: HeaderValue = HeaderValue::from_static("application/did+json");

/// On every page: it is what it says it is, and anybody's script may read it.
const ALWAYS: [(HeaderName, HeaderValue); 2] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
];

type Answer = Response<Full<Bytes>>;

/// Answers one request; its body, if it has one, is not read.
pub(super) async fn answer<B>(published: &dyn Published, request: Request<B>) -> Result<Answer, Infallible> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = empty(StatusCode::METHOD_NOT_ALLOWED);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    Ok(match page(published, &request).await {
        Ok(Some((page, kind))) => serve(page, kind, &request),
        Ok(None) => empty(StatusCode::NOT_FOUND),
        Err(Unavailable) => {
            let mut later = empty(StatusCode::SERVICE_UNAVAILABLE);
            later.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
            later
        }
    })
}

async fn page<B>(
    published: &dyn Published,
    request: &Request<B>,
) -> Result<Option<(Page, HeaderValue)>, Unavailable> {
    let Some(path) = request.uri().path().strip_prefix("/.well-known/") else { return Ok(None) };
    match path {
        "dccp.json" => {
            let Some(host) = host(request) else { return Ok(None) };
            let under_domain = published.page(&host).await?;
            // `dccp.<domain>` speaks for the domain, unless it is a domain of its own.
            let page = match (under_domain, host.strip_prefix("dccp.")) {
                (None, Some(domain)) => published.page(domain).await?,
                (page, _) => page,
            };
            Ok(page.map(|page| (Page::new(page.to_json()), JSON)))
        }
        "did.json" => {
            let Some(host) = host(request) else { return Ok(None) };
            let Some(page) = published.page(&host).await? else { return Ok(None) };
            let entry = published.entry(&page.did).await?;
            Ok(entry.and_then(|entry| entry.as_did_web(&host)).map(|page| (page, DID_JSON)))
        }
        _ => records(published, path).await,
    }
}

/// `dccp/did/<id>.cbor` and `dccp/did/<id>.json`.
async fn records(published: &dyn Published, path: &str) -> Result<Option<(Page, HeaderValue)>, Unavailable> {
    let Some((id, ending)) = path.strip_prefix("dccp/did/").and_then(|name| name.rsplit_once('.')) else {
        return Ok(None);
    };
    let Ok(did) = format!("did:dccp:{id}").parse::<Did>() else { return Ok(None) };
    let Some(entry) = published.entry(&did).await? else { return Ok(None) };
    Ok(match ending {
        "cbor" => Some((entry.cbor.clone(), CBOR)),
        "json" => Some((entry.json.clone(), DID_JSON)),
        _ => None,
    })
}

/// The host that was asked, in lower case and without the port; none unless there is exactly one Host field.
fn host<B>(request: &Request<B>) -> Option<String> {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else { return None };
    let host = host.to_str().ok()?.to_ascii_lowercase();
    Some(host.split_once(':').map_or(host.as_str(), |(name, _)| name).to_owned())
}

fn serve<B>(page: Page, kind: HeaderValue, request: &Request<B>) -> Answer {
    let is_known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| *known == page.tag);
    let mut answer = match is_known {
        true => empty(StatusCode::NOT_MODIFIED),
        // hyper leaves the octets out when the method is HEAD.
        false => Response::new(Full::new(page.octets)),
    };
    let headers = answer.headers_mut();
    headers.insert(ETAG, page.tag);
    headers.insert(CACHE_CONTROL, MAX_AGE);
    headers.insert(CONTENT_TYPE, kind);
    headers.extend(ALWAYS);
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
