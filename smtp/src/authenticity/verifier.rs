//! The hands of the room: asks DNS through `mail-auth`, within limits of time and number.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mail_auth::common::crypto::{Algorithm, HashAlgorithm};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::to_a_label;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::Canonicalization;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use mail_auth::hickory_resolver::proto::rr::RData;
use mail_auth::hickory_resolver::system_conf::read_system_conf;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, DnsError, Error,
    MessageAuthenticator, Parameters, SpfOutput, SpfResult,
};
use tokio::time::{Instant, timeout_at};

use super::authors;
use super::body::relaxed_hash;
use super::keys::Published;
use super::spf_record;
use super::translate;
use super::verdicts::{Arc, Dkim, Dmarc, Outcome, Policy, Spf, SpfIdentity, Verdicts};
use crate::address::{self, ReversePath};

/// Signatures that are looked at, the last one added first. Honest mail has one or two, mailing lists add one each.
const SIGNATURES_MAX: usize = 8;

/// Octets of one signature field. An RSA-4096 signature with a long list of fields has 3 KiB.
const SIGNATURE_OCTETS_MAX: usize = 16 * 1024;

/// Names in the list of signed fields (`h=`): every one of them is searched for in the header section.
const SIGNED_FIELDS_MAX: usize = 256;

/// Instances of an ARC chain. RFC 8617 §4.2.1 allows 50; every one costs a look-up and a signature.
const INSTANCES_MAX: usize = 20;

/// How long one datagram may be on its way before it is sent again.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How often it is sent again.
const RETRIES: usize = 1;

/// Answers kept in memory until their time is over: many messages come from few domains.
const CACHED_ANSWERS_MAX: u64 = 4_096;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Settings {
    /// DNS servers, asked over UDP and TCP; none: those of the system (`/etc/resolv.conf`).
    pub dns_servers: Vec<SocketAddr>,
    /// Our own name, which a domain may want to see in what it publishes (macro `r`, RFC 7208 §7.2).
    pub hostname: String,
    /// The end of all look-ups of SPF, DKIM and ARC together; those of DMARC, which follow, have as much again.
    pub deadline: Duration,
}

/// DNS cannot be asked at all: our own misconfiguration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DNS: {0}")]
pub struct DnsUnusable(String);

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where the connection came from; behind a proxy, what the proxy said.
    pub ip: IpAddr,
    /// The argument of `EHLO`.
    pub hello: &'a str,
    /// The argument of `MAIL FROM`.
    pub reverse_path: &'a ReversePath,
    /// The message as it arrived, before anything was prepended.
    pub octets: &'a [u8],
}

/// Whether a public key can be found by those who receive our mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// It stands in DNS.
    Visible,
    /// DNS says that there is no such record, or another key.
    Missing,
    /// DNS gave no answer.
    Unknown,
}

/// Checks arrived mail. Cheap to share, keeps answers of DNS.
///
/// Whether a signature has expired (`x=`) is judged by the clock of the system: `mail-auth` asks it itself.
pub struct Verifier {
    dns: MessageAuthenticator,
    hostname: String,
    deadline: Duration,
}

impl Verifier {
    /// # Errors
    /// [`DnsUnusable`] when no server is given and the system names none.
    pub fn new(settings: Settings) -> Result<Self, DnsUnusable> {
        let unusable = |error: &dyn std::fmt::Display| DnsUnusable(error.to_string());
        let (config, mut options) = match settings.dns_servers.as_slice() {
            [] => read_system_conf().map_err(|error| unusable(&error))?,
            servers => (of_servers(servers), ResolverOpts::default()),
        };
        set_options(&mut options);
        let dns = MessageAuthenticator::new(config, options).map_err(|error| unusable(&error))?;
        Ok(Self { dns, hostname: settings.hostname, deadline: settings.deadline })
    }

    /// Everything that can be found out about who sent this.
    pub async fn verify(&self, asked: Asked<'_>) -> Verdicts {
        let ip = asked.ip.to_canonical();
        let end = Instant::now() + self.deadline;
        let Some(mut message) = AuthenticatedMessage::parse(asked.octets) else {
            let (helo, mail_from) = self.spf(&asked, ip, end).await;
            return unreadable(ip, helo, mail_from);
        };
        let refused = refuse_excess(&mut message);
        mend_hashes(&mut message);
        let message = &message;
        let ((helo, mail_from), dkim, arc) =
            tokio::join!(self.spf(&asked, ip, end), self.dkim(message, end), self.arc(message, end));
        let (dmarc, temporary) = self.dmarc(message, &dkim, &mail_from).await;
        Verdicts {
            ip,
            helo,
            mail_from,
            dkim: dkim.iter().map(translate::dkim).chain(refused).collect(),
            dmarc,
            arc: translate::arc(&arc),
            temporary,
        }
    }

    /// Whether the world sees a public key of ours.
    pub async fn visibility(&self, published: &Published) -> Visibility {
        let end = Instant::now() + self.deadline;
        self.dns.0.clear_cache();
        match timeout_at(end, self.dns.txt_raw_lookup(published.name.as_str())).await {
            Ok(Ok(text)) if same_key(&text, published.value.as_bytes()) => Visibility::Visible,
            Ok(Ok(_) | Err(Error::Dns(DnsError::RecordNotFound(_)))) => Visibility::Missing,
            Ok(Err(_)) | Err(_) => Visibility::Unknown,
        }
    }

    /// SPF of both identities. The null path is judged by the name in `EHLO` (RFC 7208 §2.4).
    async fn spf(&self, asked: &Asked<'_>, ip: IpAddr, end: Instant) -> (Spf, Spf) {
        let hello = to_a_label(asked.hello);
        let helo = async {
            let outcome = self.check_host(ip, &hello, &hello, "", end).await;
            Spf { outcome, identity: SpfIdentity::Helo(hello.to_string()) }
        };
        let Some(sender) = asked.reverse_path.address() else {
            let helo = helo.await;
            return (helo.clone(), helo);
        };
        let domain = to_a_label(sender.domain());
        let sender = format!("{}@{domain}", sender.local());
        let mail_from = async {
            let outcome = self.check_host(ip, &domain, &hello, &sender, end).await;
            Spf { outcome, identity: SpfIdentity::MailFrom(sender.clone()) }
        };
        tokio::join!(helo, mail_from)
    }

    /// `check_host()` of RFC 7208 §4, with what `mail-auth` leaves out: several records (§4.5) and one with an unknown term
    /// (§4.6) are permerrors.
    async fn check_host(&self, ip: IpAddr, domain: &str, hello: &str, sender: &str, end: Instant) -> Outcome {
        if !address::is_domain(domain) || domain.starts_with('[') || !domain.contains('.') {
            return Outcome::None; // §4.3: an address literal or a single label
        }
        let question = SpfParameters::new(ip, domain, hello, &self.hostname, sender);
        let answer = async {
            match self.spf_records(domain).await.as_slice() {
                [_, _, ..] => Outcome::PermError,
                [record] if !spf_record::is_well_formed(record) => Outcome::PermError,
                _ => translate::spf(self.dns.check_host(Parameters::new(question)).await.result()),
            }
        };
        timeout_at(end, answer).await.unwrap_or(Outcome::TempError)
    }

    /// The SPF records of a domain. Without an answer none: who asks next gets none either.
    async fn spf_records(&self, domain: &str) -> Vec<Vec<u8>> {
        let Ok(answer) = self.dns.0.txt_lookup(format!("{domain}.")).await else { return Vec::new() };
        let texts = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        texts.filter(|text| spf_record::is_spf(text)).collect()
    }

    async fn dkim<'m>(&self, message: &'m AuthenticatedMessage<'m>, end: Instant) -> Vec<DkimOutput<'m>> {
        let checked = timeout_at(end, self.dns.verify_dkim(message)).await;
        checked.unwrap_or_else(|_| {
            let late = |header| DkimOutput::temp_err(too_slow()).with_signature(header);
            message.dkim_headers.iter().map(|signature| late(&signature.header)).collect()
        })
    }

    async fn arc<'m>(&self, message: &'m AuthenticatedMessage<'m>, end: Instant) -> ArcOutput<'m> {
        let checked = timeout_at(end, self.dns.verify_arc(message)).await;
        checked.unwrap_or_else(|_| ArcOutput::default().with_result(DkimResult::TempError(too_slow())))
    }

    /// DMARC for each domain in `From`: the strictest answer, and whether DNS left it open.
    async fn dmarc(
        &self,
        message: &AuthenticatedMessage<'_>,
        dkim: &[DkimOutput<'_>],
        spf: &Spf,
    ) -> (Dmarc, bool) {
        let authors = authors::of_each_domain(message);
        if authors.len() > authors::DOMAINS_MAX {
            return (translate::too_many_authors(), false);
        }
        let domain = spf.identity.domain();
        let spf = SpfOutput::new(domain.to_owned()).with_result(spf_result(spf.outcome));
        let end = Instant::now() + self.deadline;
        let mut outputs = Vec::new();
        for author in authors.into_iter().filter_map(authors::alone) {
            let question = DmarcParameters::new(&author, dkim, domain, &spf);
            let asked = timeout_at(end, self.dns.verify_dmarc(question)).await;
            outputs.push(asked.unwrap_or_else(|_| {
                DmarcOutput::default().with_dkim_result(DmarcResult::TempError(too_slow()))
            }));
        }
        let strictest = outputs.into_iter().max_by_key(authors::strictness).unwrap_or_default();
        (translate::dmarc(&strictest), translate::is_undecided(&strictest))
    }
}

fn of_servers(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        connections.iter_mut().for_each(|connection| connection.port = server.port());
        NameServerConfig::new(server.ip(), true, connections)
    });
    ResolverConfig::from_parts(None, Vec::new(), servers.collect())
}

fn set_options(options: &mut ResolverOpts) {
    options.timeout = ANSWER_WAIT;
    options.attempts = RETRIES;
    options.cache_size = CACHED_ANSWERS_MAX;
    options.use_hosts_file = ResolveHosts::Never; // what a local file says is no statement of the domain
    options.try_tcp_on_error = true;
    // The methods ask for no DNSSEC, and `mail-auth` takes a proven absence for an unanswered question.
    options.validate = false;
}

/// Takes out what costs without measure or proves nothing any more, and says so.
fn refuse_excess(message: &mut AuthenticatedMessage<'_>) -> Vec<Dkim> {
    message.errors.truncate(SIGNATURES_MAX);
    message.dkim_headers.truncate(SIGNATURES_MAX);
    let mut refused = Vec::new();
    message.dkim_headers.retain(|signature| {
        let why = match &signature.header {
            _ if signature.value.len() > SIGNATURE_OCTETS_MAX => "the signature is too long",
            header if header.h.len() > SIGNED_FIELDS_MAX => "too many fields are signed",
            header if header.a == Algorithm::RsaSha1 => "rsa-sha1 proves nothing any more", // RFC 8301 §3.1
            _ => return true,
        };
        refused.push(Dkim {
            outcome: Outcome::Policy,
            why: why.to_owned(),
            ..translate::named(&signature.header)
        });
        false
    });
    let is_refused = message.ams_headers.len() > INSTANCES_MAX
        || message.ams_headers.iter().any(|signature| {
            signature.value.len() > SIGNATURE_OCTETS_MAX
                || signature.header.h.len() > SIGNED_FIELDS_MAX
                || signature.header.a == Algorithm::RsaSha1
        });
    if is_refused {
        message.has_arc_errors = true; // a chain that cannot be judged
    }
    refused
}

/// Replaces the hashes of relaxed bodies by our own: see `body.rs`.
fn mend_hashes(message: &mut AuthenticatedMessage<'_>) {
    let body = message.raw_message.get(message.body_offset()..).unwrap_or_default();
    for (form, algorithm, _, hash) in &mut message.body_hashes {
        if (*form, *algorithm) == (Canonicalization::Relaxed, HashAlgorithm::Sha256) {
            *hash = relaxed_hash(body).as_ref().to_vec();
        }
    }
}

/// Octets in which there is no header field.
fn unreadable(ip: IpAddr, helo: Spf, mail_from: Spf) -> Verdicts {
    let why = "the message has no header section".to_owned();
    let dmarc = Dmarc { outcome: Outcome::PermError, domain: String::new(), policy: Policy::None, why };
    let arc = Arc { outcome: Outcome::None, instances: 0, sealer: None, why: String::new() };
    Verdicts { ip, helo, mail_from, dkim: Vec::new(), dmarc, arc, temporary: false }
}

/// Whether a record holds the key that we would publish, whatever else its owner wrote into it.
fn same_key(found: &[u8], ours: &[u8]) -> bool {
    DomainKey::parse(found).is_ok() && key_part(found) == key_part(ours)
}

/// The value of `p=`, without white space.
fn key_part(record: &[u8]) -> Option<Vec<u8>> {
    let mut tags = record.split(|octet| *octet == b';').map(<[u8]>::trim_ascii);
    let key =
        tags.find_map(|tag| tag.strip_prefix(b"p").map(<[u8]>::trim_ascii_start)?.strip_prefix(b"="))?;
    Some(key.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect())
}

fn spf_result(outcome: Outcome) -> SpfResult {
    match outcome {
        Outcome::Pass => SpfResult::Pass,
        Outcome::Fail => SpfResult::Fail,
        Outcome::SoftFail => SpfResult::SoftFail,
        Outcome::Neutral => SpfResult::Neutral,
        Outcome::TempError => SpfResult::TempError,
        Outcome::PermError | Outcome::Policy => SpfResult::PermError,
        Outcome::None => SpfResult::None,
    }
}

fn too_slow() -> Error {
    Error::Dns(DnsError::Resolver("no answer in time".into()))
}
