//! DNS: the TXT record of a domain and the addresses of a host, validated by ourselves.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dccp::Did;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::settings::{Settings, SetupError};
use crate::txt::{self, BadTxt};
use crate::{Dnssec, DomainName, is_public};

/// How long one datagram may be on its way before it is sent again.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How often it is sent again.
const RETRIES: usize = 1;

/// How long an answer is remembered at most: every mail to a domain asks the same, and what was repaired is seen soon.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// The same for "there is none", which is what gets repaired.
const ABSENCE_REMEMBERED: Duration = Duration::from_secs(60);

/// What DNS says of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsFinding {
    /// There is no record of ours under `_dccp.<domain>`.
    Missing,
    /// Exactly one.
    One {
        /// The DID it names.
        did: Did,
        /// Whether DNSSEC secures it.
        dnssec: Dnssec,
    },
}

/// Why DNS gives no answer that may be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Theirs: more than one record of ours, so none counts.
    #[error("{0} TXT records where exactly one may be")]
    Several(usize),
    /// Theirs: a record of ours that names no DID.
    #[error(transparent)]
    BadTxt(#[from] BadTxt),
    /// Theirs or an attacker's: only addresses inside private networks.
    #[error("{0} is not an address of the public Internet")]
    PrivateAddress(IpAddr),
    /// An attacker's, or a zone in disorder, or a server of ours that strips signatures: DNSSEC says forged.
    #[error("the answer fails DNSSEC validation")]
    Bogus,
    /// Nobody's: there is no such name, or it has no address.
    #[error("no such name, or no address for it")]
    NoAddress,
    /// The network's or the servers': no answer, which never means "there is nothing".
    #[error("DNS gives no answer: {0}")]
    Unanswered(String),
}

impl NameError {
    /// Whether asking again later may help without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        // The library calls an answer forged also when the keys to check it with could not be fetched.
        matches!(self, Self::Bogus | Self::Unanswered(_))
    }
}

/// A host as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(DomainName),
    Address(IpAddr),
}

/// Our resolver.
pub(crate) struct Names {
    resolver: TokioResolver,
    validates: bool,
    allow_private_addresses: bool,
    deadline: Duration,
}

impl Names {
    /// A resolver that asks anew every time: its questions are rare, and what was repaired an hour ago must be seen now.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        Self::with_memory(settings, 0)
    }

    /// A resolver that remembers up to so many answers, for a while.
    pub(crate) fn with_memory(settings: &Settings, answers: u64) -> Result<Self, SetupError> {
        let wrong = |error: NetError| SetupError::Dns(error.to_string());
        let mut builder = if settings.dns_servers.is_empty() {
            TokioResolver::builder_tokio().map_err(wrong)?
        } else {
            let servers = settings.dns_servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                connections.iter_mut().for_each(|connection| connection.port = server.port());
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        set_options(builder.options_mut(), settings.validate_dnssec, answers);
        if let Some(path) = settings.trust_anchor.as_ref().filter(|_| settings.validate_dnssec) {
            let anchors = TrustAnchors::from_file(path)
                .map_err(|error| SetupError::TrustAnchor { path: path.clone(), why: error.to_string() })?;
            builder = builder.with_trust_anchor(Arc::new(anchors));
        }
        Ok(Self {
            resolver: builder.build().map_err(wrong)?,
            validates: settings.validate_dnssec,
            allow_private_addresses: settings.allow_private_addresses,
            deadline: settings.dns_deadline,
        })
    }

    /// The DID that `_dccp.<domain>` names, if there is exactly one record of ours.
    pub(crate) async fn claim(&self, domain: &DomainName) -> Result<DnsFinding, NameError> {
        let Some(answer) = self.ask(&format!("_dccp.{domain}."), RecordType::TXT).await? else {
            return Ok(DnsFinding::Missing);
        };
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        let claims: Result<Vec<Did>, BadTxt> =
            records.filter_map(|record| txt::claim(&record).transpose()).collect();
        match <[Did; 1]>::try_from(claims?) {
            Ok([did]) => Ok(DnsFinding::One { did, dnssec: self.dnssec(&answer)? }),
            Err(none) if none.is_empty() => Ok(DnsFinding::Missing),
            Err(several) => Err(NameError::Several(several.len())),
        }
    }

    /// The addresses of a host that we may connect to, IPv4 first, at least one.
    pub(crate) async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, NameError> {
        let all = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.look_up(name).await?,
        };
        let refused = all.first().copied();
        let checked: Vec<IpAddr> = all.into_iter().filter(|address| self.may_connect(*address)).collect();
        match refused {
            None => Err(NameError::NoAddress),
            Some(address) if checked.is_empty() => Err(NameError::PrivateAddress(address)),
            Some(_) => Ok(checked),
        }
    }

    async fn look_up(&self, name: &DomainName) -> Result<Vec<IpAddr>, NameError> {
        let name = format!("{name}.");
        let (v4, v6) = tokio::join!(self.ask(&name, RecordType::A), self.ask(&name, RecordType::AAAA));
        let addresses: Vec<IpAddr> = [&v4, &v6]
            .into_iter()
            .filter_map(|answer| answer.as_ref().ok()?.as_ref())
            .flat_map(addresses_in)
            .collect();
        // One family's failure does not matter once the other has addresses; alone it must not pass for "none".
        if addresses.is_empty() {
            v4?;
            v6?;
        }
        Ok(addresses)
    }

    /// One question; none: the servers say, or prove, that there is no such record.
    pub(crate) async fn ask(&self, name: &str, kind: RecordType) -> Result<Option<Lookup>, NameError> {
        let name = Name::from_ascii(name).map_err(|error| NameError::Unanswered(error.to_string()))?;
        match tokio::time::timeout(self.deadline, self.resolver.lookup(name, kind)).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => judge(error),
            Err(_) => Err(NameError::Unanswered("too slow".into())),
        }
    }

    /// Whether we may connect there.
    pub(crate) fn may_connect(&self, address: IpAddr) -> bool {
        self.allow_private_addresses || is_public(address)
    }

    /// The weakest link of the answer: an unsigned alias may not borrow the signature of its target.
    pub(crate) fn dnssec(&self, answer: &Lookup) -> Result<Dnssec, NameError> {
        if !self.validates {
            return Ok(Dnssec::Unchecked);
        }
        let links = answer.answers().iter().filter(|record| record.record_type() != RecordType::RRSIG);
        match links.map(|record| record.proof).min().unwrap_or(Proof::Indeterminate) {
            Proof::Secure => Ok(Dnssec::Secure),
            Proof::Insecure => Ok(Dnssec::Insecure),
            Proof::Bogus => Err(NameError::Bogus),
            Proof::Indeterminate => Err(NameError::Unanswered("DNSSEC could not be checked".into())),
        }
    }
}

fn set_options(options: &mut ResolverOpts, validate: bool, answers_remembered: u64) {
    options.validate = validate;
    options.timeout = ANSWER_WAIT;
    options.attempts = RETRIES;
    options.cache_size = answers_remembered;
    options.positive_max_ttl = Some(REMEMBERED);
    options.negative_max_ttl = Some(ABSENCE_REMEMBERED);
    // What a local file says is no statement of the domain.
    options.use_hosts_file = ResolveHosts::Never;
    // Aliases stay in the answer: their security counts too.
    options.preserve_intermediates = true;
    options.try_tcp_on_error = true;
}

pub(crate) fn addresses_in(answer: &Lookup) -> impl Iterator<Item = IpAddr> {
    answer.answers().iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    })
}

/// Only NXDOMAIN and an empty NOERROR say that there is nothing, and in a signed zone only with proof.
fn judge(error: NetError) -> Result<Option<Lookup>, NameError> {
    let is_nothing = |code| matches!(code, ResponseCode::NXDomain | ResponseCode::NoError);
    match error {
        NetError::Dns(DnsError::NoRecordsFound(no)) if is_nothing(no.response_code) => Ok(None),
        NetError::Dns(DnsError::Nsec { response, proof, .. })
            if proof >= Proof::Insecure && is_nothing(response.response_code) =>
        {
            Ok(None)
        }
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { proof: Proof::Bogus, .. }) => {
            Err(NameError::Bogus)
        }
        other => Err(NameError::Unanswered(other.to_string())),
    }
}
