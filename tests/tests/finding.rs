//! Finding organisations, with a real DNS server that signs its zones and real HTTPS servers: what is found is verified,
//! what is not found is said with its reason, and silence is never taken for absence.

mod finding {
    mod discovery;
    mod forgeries;
    mod later;
    mod mail;
    pub(crate) mod organisation;
    mod outages;

    pub(crate) use tests::web;
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::finding::{DiscoverError, Discovered, Finder, Settings, Source, SourceError};
use async_trait::async_trait;
use dccp::{Did, UnixMillis};
use finding::organisation::Organisation;
use finding::web::{Authority, Web};
use tests::peers::{Dns, Zone, free_port};

/// The port of every HTTPS server of a test, on several loopback addresses.
struct Port(u16);

/// A network of one test: its names, its authority, its clock.
struct Lab {
    authority: Authority,
    port: Port,
    dns: Option<Dns>,
    servers: Vec<Web>,
}

impl Lab {
    fn new() -> Self {
        Self { authority: Authority::new(), port: Port(free_port()), dns: None, servers: Vec::new() }
    }

    /// The names of this network.
    fn names(mut self, zones: &[Zone]) -> Self {
        self.dns = Some(Dns::start(zones));
        self
    }

    /// An HTTPS server at 127.0.0.`host` with a certificate for these names, which answers what `answer` says.
    async fn serves(
        mut self,
        host: u8,
        names: &[&str],
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        self.servers.push(Web::start(&self.authority, (host, self.port.0), names, answer).await);
        self
    }

    /// The same with the pages of an organisation, under its first domain.
    async fn publishes(self, host: u8, names: &[&str], organisation: &Organisation) -> Self {
        self.serves(host, names, organisation.site()).await
    }

    fn settings(&self) -> Settings {
        let dns = self.dns.as_ref().expect("names");
        Settings {
            dns_servers: vec![dns.address()],
            trust_anchor: Some(dns.trust_anchor().to_owned()),
            extra_roots: Some(self.roots()),
            allow_private_addresses: true,
            https_port: self.port.0,
            ..Settings::default()
        }
    }

    fn roots(&self) -> PathBuf {
        self.authority.roots()
    }

    async fn discover(&self, domain: &str) -> Result<Discovered, DiscoverError> {
        self.discover_with(domain, None).await
    }

    async fn discover_with(
        &self,
        domain: &str,
        overlay: Option<Arc<dyn Source>>,
    ) -> Result<Discovered, DiscoverError> {
        Finder::new(self.settings()).expect("a finder").discover(domain, overlay, now()).await
    }
}

/// A source that answers what the test says, as the overlay might.
struct Told(Result<Vec<u8>, SourceError>);

#[async_trait]
impl Source for Told {
    fn name(&self) -> &'static str {
        "overlay"
    }

    async fn fetch(&self, _did: &Did, _nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        self.0.clone()
    }
}

fn overlay(answer: Result<Vec<u8>, SourceError>) -> Option<Arc<dyn Source>> {
    Some(Arc::new(Told(answer)))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    UnixMillis(since.as_millis() as u64)
}

/// A zone whose domain and host `dccp.` both lead to 127.0.0.1.
fn at_home(zone: Zone) -> Zone {
    zone.record("@", "A", "127.0.0.1").record("dccp", "A", "127.0.0.1")
}

/// Longer than any refusal takes on a busy machine, shorter than the deadlines it must beat.
const SOON: Duration = Duration::from_secs(25);
