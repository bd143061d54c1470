//! What a mail domain says of its servers, for mail that leaves the overlay: MX, addresses, TLSA and TXT records with
//! their DNSSEC status, and the MTA-STS policy. What follows from it is decided elsewhere (`smtp::route`).

use std::net::IpAddr;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use rustls::RootCertStore;

use crate::https::{Given, Pages, roots};
use crate::names::{NameError, Names, addresses_in};
use crate::{Dnssec, FetchError, Https, Mirror, Settings, SetupError};

/// Answers that are remembered, so that the tenth mail to a domain asks nobody. A domain takes about ten of them.
const ANSWERS_REMEMBERED: u64 = 16_384;

/// Asks DNS and HTTPS about mail domains.
pub struct MailFinder {
    https: Https,
}

/// What DNS said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked<T> {
    /// None: DNS says that there is no such record.
    pub records: Vec<T>,
    /// The security of every link of the answer. That there is no record is never more than [`Dnssec::Insecure`]; in a
    /// signed zone it was proven all the same, or there would be no answer.
    pub dnssec: Dnssec,
    /// The name at the end of the aliases, if the question had another.
    pub alias: Option<String>,
}

/// An MX record (RFC 1035 §3.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMx {
    /// Lower ones first.
    pub preference: u16,
    /// Lower case, without the final dot; empty for the root.
    pub host: String,
}

/// A TLSA record (RFC 6698 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsTlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

impl MailFinder {
    /// A finder for one network.
    ///
    /// # Errors
    /// Any [`SetupError`].
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let names = Names::with_memory(settings, ANSWERS_REMEMBERED)?;
        Ok(Self { https: Https::new(settings, names, Pages::Policies)? })
    }

    /// The MX records of a domain, in no order.
    ///
    /// # Errors
    /// [`NameError`] when there is no answer that may be used, as with all questions here.
    pub async fn mx(&self, domain: &str) -> Result<Looked<DnsMx>, NameError> {
        self.look_up(domain, RecordType::MX, |data| match data {
            RData::MX(mx) => {
                Some(DnsMx { preference: mx.preference, host: text_of(&mx.exchange).unwrap_or_default() })
            }
            _ => None,
        })
        .await
    }

    /// The TLSA records under a name.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn tlsa(&self, name: &str) -> Result<Looked<DnsTlsa>, NameError> {
        self.look_up(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(DnsTlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        })
        .await
    }

    /// The TXT records under a name, each with its character-strings joined.
    ///
    /// # Errors
    /// [`NameError`].
    pub async fn txt(&self, name: &str) -> Result<Looked<Vec<u8>>, NameError> {
        self.look_up(name, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// The addresses of a host that we may connect to, IPv4 first; those inside private networks are left out.
    ///
    /// # Errors
    /// [`NameError`]; one family's silence does not matter once the other has addresses.
    pub async fn addresses(&self, host: &str) -> Result<Looked<IpAddr>, NameError> {
        let name = question(host);
        let names = self.https.names();
        let (v4, v6) = tokio::join!(names.ask(&name, RecordType::A), names.ask(&name, RecordType::AAAA));
        let mut all = Looked { records: Vec::new(), dnssec: Dnssec::Secure, alias: None };
        for answer in [&v4, &v6].into_iter().filter_map(|answer| answer.as_ref().ok()?.as_ref()) {
            let addresses: Vec<IpAddr> = addresses_in(answer).collect();
            if addresses.is_empty() {
                continue; // an alias that leads to none of this family
            }
            if names.dnssec(answer)? != Dnssec::Secure {
                all.dnssec = Dnssec::Insecure;
            }
            all.alias = all.alias.or_else(|| alias(answer, &name));
            all.records.extend(addresses);
        }
        if all.records.is_empty() {
            v4?;
            v6?;
        }
        all.records.retain(|address| self.may_connect(*address));
        Ok(all)
    }

    /// Posts to `https://host[:port]/path`.
    ///
    /// # Errors
    /// Any [`FetchError`].
    pub async fn post(&self, url: &str, given: Given) -> Result<(), FetchError> {
        let url: http::Uri = url.parse().map_err(|_| FetchError::Url)?;
        let (Some("https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(FetchError::Url);
        };
        let server = Mirror::parse(&format!("https://{authority}")).map_err(|_| FetchError::Url)?;
        self.https.post(&server, url.path_and_query().map_or("/", |path| path.as_str()), given).await
    }

    /// Whether we may connect to an address that no name led to.
    pub fn may_connect(&self, address: IpAddr) -> bool {
        self.https.names().may_connect(address)
    }

    /// The octets of the MTA-STS policy of a domain (RFC 8461 §3.3): no redirects, a certificate for the policy host,
    /// `text/plain`, at most `bytes_max`.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn sts_policy(
        &self,
        domain: &str,
        path: &str,
        bytes_max: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let host = format!("mta-sts.{domain}").parse().map_err(|_| FetchError::NotFound)?;
        self.https.fetch(&Mirror::of(&host), path, bytes_max).await
    }

    async fn look_up<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Looked<T>, NameError> {
        let name = question(name);
        let names = self.https.names();
        let Some(answer) = names.ask(&name, kind).await? else {
            return Ok(Looked { records: Vec::new(), dnssec: Dnssec::Insecure, alias: None });
        };
        let records: Vec<T> = answer.answers().iter().filter_map(|record| read(&record.data)).collect();
        let dnssec = names.dnssec(&answer)?;
        let alias = alias(&answer, &name);
        Ok(Looked { records, dnssec, alias })
    }
}

/// The authorities whose certificates are trusted: those of the system and the `extra_roots`.
///
/// # Errors
/// [`SetupError::Roots`].
pub fn trusted_roots(settings: &Settings) -> Result<RootCertStore, SetupError> {
    roots(settings.extra_roots.as_deref())
}

/// A mail domain in A-labels and lower case, as DNS and certificates have it; none if it is no domain name.
pub fn in_a_labels(domain: &str) -> Option<String> {
    text_of(&Name::from_utf8(domain).ok()?)
}

/// The name as a question has it.
fn question(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

/// Lower case, without the final dot; none for the root.
fn text_of(name: &Name) -> Option<String> {
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Where the records are, if that is not where they were asked for: the owner of what is no alias.
fn alias(answer: &Lookup, asked: &str) -> Option<String> {
    let mut records = answer.answers().iter();
    let found =
        records.find(|record| !matches!(record.record_type(), RecordType::CNAME | RecordType::RRSIG))?;
    text_of(&found.name).filter(|owner| *owner != asked.trim_end_matches('.').to_ascii_lowercase())
}
