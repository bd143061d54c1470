//! From a domain to its organisation.
//!
//! ```text
//! TXT ∥ page ─► agree? ─► bundle (mirror ∥ overlay) ─► verified, best ─► names the domain back? ─► Discovered
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use dccp::did::DidDocument;
use dccp::partner::{PartnerFile, VerifiedPartner};
use dccp::succession::{Notice, Succession};
use dccp::{Did, UnixMillis};

use crate::error::{DiscoverError, PageError};
use crate::https::Pages;
use crate::names::Names;
use crate::resolver::{Candidate, HttpsMirror, Refusal, Source, gather, reconcile};
use crate::settings::{Settings, SetupError};
use crate::{
    DnsFinding, Dnssec, DomainName, Evidence, Https, Mirror, Trust, WELL_KNOWN_BYTES_MAX, WELL_KNOWN_PATH,
    WellKnown, is_public, trust,
};

/// Finds organisations.
pub struct Finder {
    https: Arc<Https>,
    settings: Settings,
}

/// What a domain says of itself, and what of it is proven.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// The domain that was asked.
    pub domain: DomainName,
    /// The organisation it names; the organisation's log names the domain back.
    pub did: Did,
    /// What DNS says.
    pub dns: DnsFinding,
    /// What HTTPS says.
    pub https: HttpsFinding,
    /// What it is worth. [`Trust::None`] when only DNS names the DID.
    pub trust: Trust,
    /// The organisation's records, as they were served.
    pub bundle: PartnerFile,
    /// The organisation's records, verified.
    pub partner: VerifiedPartner,
    /// The change from another DID to this one, if the domain announces one.
    pub succession: Option<FoundSuccession>,
    /// What an administrator should read before deciding.
    pub notes: Vec<String>,
}

/// What the domain's HTTPS page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpsFinding {
    /// A host of the domain serves an acceptable page.
    Page {
        /// The host that serves it.
        host: String,
        /// What it says.
        page: WellKnown,
    },
    /// None does.
    Nothing {
        /// Each host that was asked, and what it answered.
        tried: Vec<(String, PageError)>,
    },
}

/// A succession notice that verifies against both logs as they are served.
#[derive(Clone, Debug)]
pub struct FoundSuccession {
    /// What it says.
    pub says: Succession,
    /// The notice itself, to be verified against the log that was pinned.
    pub notice: Notice,
}

impl Finder {
    /// A finder for one network.
    ///
    /// # Errors
    /// Any [`SetupError`].
    pub fn new(settings: Settings) -> Result<Self, SetupError> {
        let names = Names::new(&settings)?;
        Ok(Self { https: Arc::new(Https::new(&settings, names, Pages::Dccp)?), settings })
    }

    /// The client, for mirrors that the gateway asks.
    pub fn https(&self) -> Arc<Https> {
        Arc::clone(&self.https)
    }

    /// What `domain` says of itself. `overlay` is asked for the records beside the domain's mirror.
    ///
    /// # Errors
    /// Any [`DiscoverError`]; nothing is returned that is not verified.
    pub async fn discover(
        &self,
        domain: &str,
        overlay: Option<Arc<dyn Source>>,
        now: UnixMillis,
    ) -> Result<Discovered, DiscoverError> {
        let domain = domain.parse()?;
        let looked = tokio::time::timeout(self.settings.deadline, self.look(domain, overlay, now)).await;
        looked.unwrap_or(Err(DiscoverError::TooSlow))
    }

    async fn look(
        &self,
        domain: DomainName,
        overlay: Option<Arc<dyn Source>>,
        now: UnixMillis,
    ) -> Result<Discovered, DiscoverError> {
        let (dns, https) = tokio::join!(self.names().claim(&domain), self.page(&domain));
        let dns = dns?;
        let did = named(&dns, &https)?;
        let mut notes = Vec::new();
        let place = Place::new(&https, &domain, self.settings.allow_private_addresses, &mut notes);
        let sources = self.sources(&place, overlay);

        let (bundle, partner) = self.records(&did, &sources, &place, &mut notes, now).await?;
        if partner.document.is_deactivated() {
            return Err(DiscoverError::Deactivated { did });
        }
        let succession = self.succession(&domain, &https, &partner.document, &sources, &mut notes, now).await;
        let dnssec = agree(&dns, &did, succession.as_ref(), &mut notes)?;
        if !partner.document.domains().iter().any(|named| named == domain.as_str()) {
            return Err(DiscoverError::NoBackLink { did });
        }
        let has_page = matches!(https, HttpsFinding::Page { .. });
        let trust = trust(Evidence { dns: dnssec, https: has_page, back_link: true });
        Ok(Discovered { domain, did, dns, https, trust, bundle, partner, succession, notes })
    }

    fn names(&self) -> &Names {
        self.https.names()
    }

    /// The page of the domain itself, else that of the host that a domain without a web server of its own can give us.
    async fn page(&self, domain: &DomainName) -> HttpsFinding {
        let mut tried = Vec::new();
        for host in [domain.to_string(), format!("dccp.{domain}")] {
            match self.page_of(&host).await {
                Ok(page) => return HttpsFinding::Page { host, page },
                Err(error) => tried.push((host, error)),
            }
        }
        HttpsFinding::Nothing { tried }
    }

    async fn page_of(&self, host: &str) -> Result<WellKnown, PageError> {
        let server = Mirror::of(&host.parse().map_err(|_| crate::FetchError::NotFound)?);
        let octets = self.https.fetch(&server, WELL_KNOWN_PATH, WELL_KNOWN_BYTES_MAX).await?;
        Ok(WellKnown::from_json(&octets)?)
    }

    fn sources(&self, place: &Place, overlay: Option<Arc<dyn Source>>) -> Vec<Arc<dyn Source>> {
        let mirror = place.mirror.clone();
        let https: Arc<dyn Source> = Arc::new(HttpsMirror::new(self.https(), move |_| mirror.clone()));
        std::iter::once(https).chain(overlay).collect()
    }

    /// The best records that any source has.
    async fn records(
        &self,
        did: &Did,
        sources: &[Arc<dyn Source>],
        place: &Place,
        notes: &mut Vec<String>,
        now: UnixMillis,
    ) -> Result<(PartnerFile, VerifiedPartner), DiscoverError> {
        let best = self.best(did, sources, &place.nodes, notes, now).await?;
        match best.partner {
            Some(partner) => Ok((best.bundle, partner)),
            None => Err(DiscoverError::Records { did: did.clone(), refusals: Vec::new() }),
        }
    }

    async fn best(
        &self,
        did: &Did,
        sources: &[Arc<dyn Source>],
        nodes: &[String],
        notes: &mut Vec<String>,
        now: UnixMillis,
    ) -> Result<Candidate, DiscoverError> {
        let offers = gather(sources, did, nodes, self.settings.fetch_deadline, now).await;
        let outcome = reconcile(None, offers);
        if let Some(rival) = outcome.rival {
            return Err(DiscoverError::Duplicity { did: did.clone(), at_seq: rival.at_seq });
        }
        let Some(best) = outcome.best else {
            return Err(DiscoverError::Records { did: did.clone(), refusals: outcome.refusals });
        };
        let refused = outcome.refusals.iter().filter(|(_, refusal)| !is_silence(refusal));
        notes.extend(refused.map(|(name, refusal)| format!("records from {name} were refused: {refusal}")));
        Ok(best)
    }

    /// The succession that the page announces, if it verifies against the log of the predecessor as it is served.
    async fn succession(
        &self,
        domain: &DomainName,
        https: &HttpsFinding,
        successor: &DidDocument,
        sources: &[Arc<dyn Source>],
        notes: &mut Vec<String>,
        now: UnixMillis,
    ) -> Option<FoundSuccession> {
        let HttpsFinding::Page { page: WellKnown { succession: Some(notice), .. }, .. } = https else {
            return None;
        };
        let verified = async {
            let notice = Notice::from_bytes(notice).map_err(|error| error.to_string())?;
            let old = self.best(&notice.claimed().old, sources, &[], notes, now).await;
            let old = old.map_err(|error| error.to_string())?.document;
            let says = notice.verify(&old, successor, now).map_err(|error| error.to_string())?.clone();
            if says.domain != domain.as_str() {
                return Err("it speaks of another domain".to_owned());
            }
            Ok(FoundSuccession { says, notice })
        };
        match verified.await {
            Ok(found) => Some(found),
            Err(why) => {
                notes.push(format!("the succession notice on the page does not count: {why}"));
                None
            }
        }
    }
}

/// Where the records of the organisation are, as the domain says.
struct Place {
    mirror: Option<Mirror>,
    nodes: Vec<String>,
}

impl Place {
    fn new(https: &HttpsFinding, domain: &DomainName, allow_private: bool, notes: &mut Vec<String>) -> Self {
        let HttpsFinding::Page { host, page } = https else {
            notes.push(format!("no host of {domain} serves {WELL_KNOWN_PATH}"));
            return Self { mirror: None, nodes: Vec::new() };
        };
        let own = || host.parse().ok().map(|host| Mirror::of(&host));
        let (nodes, inside): (Vec<String>, Vec<String>) =
            page.nodes.iter().cloned().partition(|node| allow_private || !is_inside(node));
        notes.extend(inside.iter().map(|node| format!("{node} is not on the public Internet: not asked")));
        Self { mirror: page.mirror.clone().or_else(own), nodes }
    }
}

/// Whether a multiaddr begins with an address inside private networks. Names are not looked into.
pub fn is_inside(multiaddr: &str) -> bool {
    let mut parts = multiaddr.split('/').skip(1);
    let (protocol, value) = (parts.next(), parts.next().unwrap_or_default());
    matches!(protocol, Some("ip4" | "ip6")) && !value.parse::<IpAddr>().is_ok_and(is_public)
}

/// The DID that the domain names: the page decides, and without one DNS.
fn named(dns: &DnsFinding, https: &HttpsFinding) -> Result<Did, DiscoverError> {
    match (dns, https) {
        (_, HttpsFinding::Page { page, .. }) => Ok(page.did.clone()),
        (DnsFinding::One { did, .. }, HttpsFinding::Nothing { .. }) => Ok(did.clone()),
        (DnsFinding::Missing, HttpsFinding::Nothing { tried })
            if tried.iter().all(|(_, error)| error.is_absence()) =>
        {
            Err(DiscoverError::NotFound)
        }
        (DnsFinding::Missing, HttpsFinding::Nothing { tried }) => {
            Err(DiscoverError::Https { tried: tried.clone() })
        }
    }
}

/// What DNS says for the DID. While one DID succeeds another, a TXT record that still names the old one is no forgery.
fn agree(
    dns: &DnsFinding,
    did: &Did,
    succession: Option<&FoundSuccession>,
    notes: &mut Vec<String>,
) -> Result<Option<Dnssec>, DiscoverError> {
    let DnsFinding::One { did: named, dnssec } = dns else { return Ok(None) };
    if named == did {
        return Ok(Some(*dnssec));
    }
    if succession.is_some_and(|found| found.says.old == *named) {
        notes.push("the TXT record still names the predecessor".to_owned());
        return Ok(None);
    }
    Err(DiscoverError::Forged { dns: named.clone(), https: did.clone() })
}

/// A source that has nothing is nothing to report when another one has.
fn is_silence(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Source(crate::SourceError::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: [&str; 7] = [
        "/ip4/9.9.9.9/tcp/4001/p2p/x",
        "/ip6/2606:4700::1111/tcp/4001/p2p/x",
        "/dns4/gw.globex.test/tcp/4001/p2p/x",
        "/ip4/10.0.0.1/tcp/22/p2p/x",
        "/ip4/127.0.0.1/tcp/22/p2p/x",
        "/ip6/::1/tcp/22/p2p/x",
        "/ip4/what/tcp/22/p2p/x",
    ];

    #[test]
    fn node_addresses_inside_are_not_handed_on_except_in_a_laboratory() {
        let did = crate::fixture::Organisation::globex().did();
        let nodes = HINTS.map(str::to_owned).to_vec();
        let page = WellKnown { did, nodes, mirror: None, succession: None };
        let https = HttpsFinding::Page { host: "globex.test".into(), page };
        let domain = "globex.test".parse().expect("a domain");
        let mut notes = Vec::new();
        let place = Place::new(&https, &domain, false, &mut notes);
        assert_eq!((place.nodes, notes.len()), (HINTS[..3].iter().map(|hint| hint.to_string()).collect(), 4));
        assert_eq!(Place::new(&https, &domain, true, &mut notes).nodes, HINTS);
    }
}
