//! What a DID offers: the domains that an organisation speaks for, and where else it can be reached.

use std::collections::BTreeSet;

use super::log::LogError;
use crate::cbor::{self, Fields, Value};
use crate::limits::{DOMAIN_BYTES_MAX, DOMAINS_MAX, ENDPOINT_BYTES_MAX};

const DOMAIN: &str = "domain";

/// One entry of `svc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// A domain the organisation speaks for: lower-case ASCII (A-labels). Believe it only if the domain names the
    /// DID too.
    Domain(String),
    /// Where one of the services of the W3C document is found, when it is not simply this DID over the overlay.
    Endpoint {
        /// Which service.
        id: EndpointId,
        /// A URI: a scheme, a colon and visible ASCII, at most 256 octets.
        uri: String,
    },
}

/// The services of the W3C document that a log may place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointId {
    /// `#inbox`: messages of class normal and bulk.
    Inbox,
    /// `#priority`: messages of class priority and above.
    Priority,
    /// `#agent-service`: messages for software agents.
    AgentService,
}

impl EndpointId {
    /// All of them, in the order of the W3C document.
    pub const ALL: [Self; 3] = [Self::Inbox, Self::Priority, Self::AgentService];

    /// The word in the log and the fragment in the W3C document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Priority => "priority",
            Self::AgentService => "agent-service",
        }
    }
}

impl Service {
    /// `{t: kind, u: domain or URI}`.
    pub(super) fn to_value(&self) -> Value {
        let (kind, target) = match self {
            Self::Domain(name) => (DOMAIN, name),
            Self::Endpoint { id, uri } => (id.as_str(), uri),
        };
        cbor::map([("t", Value::Text(kind.into())), ("u", Value::Text(target.clone()))])
    }

    fn read(value: Value) -> Result<Self, LogError> {
        let mut fields = Fields::of(value, "svc")?;
        let (kind, target) = (fields.text("t")?, fields.text("u")?);
        fields.finish()?;
        if kind == DOMAIN {
            return Ok(Self::Domain(target));
        }
        let id = EndpointId::ALL.into_iter().find(|id| id.as_str() == kind);
        Ok(Self::Endpoint { id: id.ok_or(LogError::Unsupported("svc"))?, uri: target })
    }
}

/// Reads `svc`.
pub(super) fn read_services(fields: &mut Fields) -> Result<Vec<Service>, LogError> {
    let services = fields.array("svc", DOMAINS_MAX + EndpointId::ALL.len())?;
    services.into_iter().map(Service::read).collect()
}

/// The domains among some services.
pub(super) fn domains(services: &[Service]) -> impl Iterator<Item = &String> {
    services.iter().filter_map(|service| match service {
        Service::Domain(name) => Some(name),
        Service::Endpoint { .. } => None,
    })
}

/// Every domain and every endpoint once, and well formed.
pub(super) fn check_services(services: &[Service]) -> Result<(), LogError> {
    let distinct: BTreeSet<_> = domains(services).collect();
    if distinct.len() != domains(services).count() || distinct.len() > DOMAINS_MAX {
        return Err(LogError::Domains);
    }
    if !distinct.into_iter().all(|name| is_domain(name)) {
        return Err(LogError::Domains);
    }
    let mut seen = BTreeSet::new();
    let each_once = |service: &Service| match service {
        Service::Domain(_) => true,
        Service::Endpoint { id, uri } => seen.insert(*id) && is_uri(uri),
    };
    if services.iter().all(each_once) { Ok(()) } else { Err(LogError::Endpoints) }
}

/// RFC 1123 §2.1 host name syntax, lower case only: one spelling per domain.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= DOMAIN_BYTES_MAX && name.split('.').all(is_label)
}

/// RFC 3986 §3: a scheme, here in lower case, then anything visible. What it means is for its user to check.
fn is_uri(uri: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
    };
    let parts = uri.split_once(':');
    let well_formed = parts.is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    well_formed && uri.len() <= ENDPOINT_BYTES_MAX && uri.bytes().all(|octet| octet.is_ascii_graphic())
}
