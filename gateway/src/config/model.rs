//! The typed configuration. The doc comment of a field is its documentation: `docs/CONFIG.md`, the comments that
//! `init` writes, and the JSON schema are printed from here.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acme::Acme;
use super::agents::Agents;
use super::archive::Archive;
use super::master::Master;
use super::outside::{MustEncrypt, Outside};
use super::smtp::Smtp;
use super::value::{HostPort, text};

/// One gateway's whole configuration. Paths are absolute once loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose gateway this is.
    pub organisation: Organisation,
    /// Where the gateway keeps its database and its DID log. Back it up together with the keys.
    #[serde(default = "Config::data_dir_default")]
    #[schemars(with = "text::Folder")]
    pub data_dir: PathBuf,
    /// The private keys, each in a file of its own that only the gateway's user may read (mode 0600).
    #[serde(default)]
    pub keys: Keys,
    /// The doors for mail: our own mail servers hand it over here; people and the outside world have doors of their own.
    pub smtp: Smtp,
    /// An authority that gives us the certificate for all doors that have none of their own, and renews it in time. The
    /// files of other doors are left alone.
    #[serde(default)]
    pub acme: Option<Acme>,
    /// People who may submit mail with a password.
    #[serde(default)]
    pub users: Users,
    /// Where mail that arrived from partners is handed over.
    pub delivery: Delivery,
    /// The road between gateways (libp2p).
    #[serde(default)]
    pub overlay: Overlay,
    /// How organisations, and the records behind their identities, are looked up.
    #[serde(default)]
    pub finding: Finding,
    /// How we find out who really sent mail that comes from outside (SPF, DKIM, DMARC, ARC).
    #[serde(default)]
    pub authenticity: Authenticity,
    /// The keys that sign our mail for the open Internet. `dccp-gateway dkim` makes them, in a folder beside `keys.storage`.
    #[serde(default)]
    pub dkim: Dkim,
    /// The HTTPS door where strangers find our identity. Without it only partners' gateways can ask us for it.
    #[serde(default)]
    pub publication: Option<Publication>,
    /// Which cipher suites we take part in.
    #[serde(default)]
    pub suites: Suites,
    /// How long and how often delivery is tried, and what is kept.
    #[serde(default)]
    pub queue: Queue,
    /// Rules of your own, on top of the standard ones, and which mail must be encrypted.
    #[serde(default)]
    pub policies: Policies,
    /// Mail to domains that have no gateway.
    #[serde(default)]
    pub outside: Outside,
    /// Copies of mail that must be kept, sealed to a key that this gateway does not have.
    #[serde(default)]
    pub archive: Option<Archive>,
    /// A file of addresses of ours that stand for others: `team@acme.test: [alice@acme.test, bob@globex.test]`, one per
    /// line. An alias may name aliases. The file is read again when it changes.
    #[serde(default)]
    #[schemars(with = "Option<text::File>")]
    pub aliases: Option<PathBuf>,
    /// Software of ours that has an address, and takes and sends mail over HTTP.
    #[serde(default)]
    pub agents: Agents,
    /// The console, the control API, health and metrics.
    #[serde(default)]
    pub control: Control,
    /// What the gateway writes about its work.
    #[serde(default)]
    pub log: Log,
    /// How long a stopping gateway lets running sessions finish, in seconds.
    #[serde(default = "Config::shutdown_grace_s_default")]
    #[schemars(range(min = 0, max = 600))]
    pub shutdown_grace_s: u64,
}

/// Whose gateway this is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// The organisation's main mail domain. It is written into the organisation's DID when `init` founds it.
    #[schemars(with = "text::Domain")]
    pub domain: String,
    /// Further mail domains of the organisation.
    #[serde(default)]
    #[schemars(with = "Vec<text::Domain>")]
    pub also: Vec<String>,
}

/// The private keys, each in a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Signs the organisation's manifest, node records and prekeys (L1 of the DID).
    #[schemars(with = "text::SecretFile")]
    pub operator: PathBuf,
    /// Signs outgoing messages and opens incoming ones.
    #[schemars(with = "text::SecretFile")]
    pub device: PathBuf,
    /// The overlay identity of this node (its PeerId).
    #[schemars(with = "text::SecretFile")]
    pub node: PathBuf,
    /// Seals what rests in the database. Without it the queue cannot be read.
    #[schemars(with = "text::SecretFile")]
    pub storage: PathBuf,
    /// The master key under which these four files are sealed. Without it they lie in the clear, for laboratories.
    pub master: Option<Master>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain in PEM, our own certificate first.
    #[schemars(with = "text::File")]
    pub certificate: PathBuf,
    /// Its private key in PEM.
    #[schemars(with = "text::SecretFile")]
    pub key: PathBuf,
}

/// People who may submit mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Users {
    /// The file of names and password hashes that `dccp-gateway user` writes. Without it nobody can log in.
    #[schemars(with = "Option<text::SecretFile>")]
    pub file: Option<PathBuf>,
}

/// Where arrived mail is handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The protocol of the internal mail server.
    #[serde(default)]
    pub protocol: DeliveryProtocol,
    /// Where it listens.
    #[schemars(with = "text::HostPort")]
    pub address: HostPort,
    /// Connections at a time.
    #[serde(default = "Delivery::connections_max_default")]
    #[schemars(range(min = 1, max = 256))]
    pub connections_max: u32,
    /// Ask it about each recipient of mail from the outside before the mail is accepted. Answers are remembered.
    #[serde(default = "Delivery::verify_recipients_default")]
    pub verify_recipients: bool,
    /// How much TLS there must be on the way to it, by STARTTLS.
    #[serde(default)]
    pub tls: DeliveryTls,
    /// The authority, in PEM, that its certificate must lead to where TLS is `required`; a self-signed certificate is its
    /// own. Without it those that the system trusts, and `finding.extra_roots`.
    #[serde(default)]
    #[schemars(with = "Option<text::File>")]
    pub ca: Option<PathBuf>,
    /// The name its certificate must be for, where that is not the host of `address`.
    #[serde(default)]
    #[schemars(with = "Option<text::Domain>")]
    pub name: Option<String>,
}

/// How much TLS there must be on the way to our own mail server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryTls {
    /// None: for this machine, or a network whose every host may read the mail.
    #[default]
    Never,
    /// With any certificate, and in the clear where the server offers none.
    Opportunistic,
    /// Only under TLS and to a server that proves its name; otherwise the mail waits.
    Required,
}

/// How mail is handed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryProtocol {
    /// RFC 2033: one reply per recipient, so each recipient's fate is known.
    #[default]
    Lmtp,
    /// RFC 5321.
    Smtp,
}

/// The road between gateways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Overlay {
    /// Multiaddrs to listen on; QUIC first, TCP for networks that drop UDP.
    #[schemars(with = "Vec<text::Multiaddr>", length(min = 1))]
    pub listen: Vec<String>,
    /// Multiaddrs under which partners reach this node, when they differ from `listen` (NAT, 0.0.0.0).
    #[schemars(with = "Vec<text::Multiaddr>")]
    pub announce: Vec<String>,
    /// Find partners' nodes on the local network by multicast DNS. For networks whose every host is trusted not
    /// to flood it.
    pub mdns: bool,
    /// Take part in the distributed hash table in which organisations publish where their newest records are.
    pub kad: bool,
    /// Nodes through which the hash table is entered, besides our partners': multiaddrs that end in `/p2p/…`.
    #[schemars(with = "Vec<text::Multiaddr>")]
    pub bootstrap: Vec<String>,
}

/// How organisations are looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    /// DNS servers to ask, instead of those of the system. They should validate DNSSEC; we do it again.
    #[schemars(with = "Vec<text::Server>")]
    pub dns_servers: Vec<SocketAddr>,
    /// Validate DNSSEC ourselves. Off only behind forwarders that strip signatures, where every signed zone would seem
    /// forged; no partner is then found at trust level 2.
    pub dnssec: bool,
    /// DNSSEC trust anchors (DNSKEY or DS records in zone file form), instead of the root's.
    #[schemars(with = "Option<text::File>")]
    pub dns_trust_anchor: Option<PathBuf>,
    /// Certificates in PEM that are trusted for HTTPS besides those of the system: an internal CA.
    #[schemars(with = "Option<text::File>")]
    pub extra_roots: Option<PathBuf>,
    /// Let names of partners, and records in the hash table, lead to private and loopback addresses. For laboratories: on
    /// the open network it lets strangers make us connect to machines inside.
    pub allow_private_addresses: bool,
    /// The HTTPS port that is asked at other organisations. Anything but 443 is for laboratories.
    #[schemars(range(min = 1, max = 65_535))]
    pub https_port: u16,
    /// Hours between two looks at whether a partner's domain still names the identity that we pinned.
    #[schemars(range(min = 1, max = 168))]
    pub recheck_h: u64,
}

/// How we find out who really sent mail from outside. DNS is asked at `finding.dns_servers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authenticity {
    /// The name under which we write what we found (Authentication-Results, RFC 8601), and under which nobody else may.
    /// All gateways of the organisation should share one. Without it `smtp.hostname`.
    #[schemars(with = "Option<text::Domain>")]
    pub authserv_id: Option<String>,
    /// Seconds that DNS may take for one message; the sender is then asked to try again.
    #[schemars(range(min = 1, max = 60))]
    pub deadline_s: u64,
    /// Seal what we found (ARC, RFC 8617) with the keys of `dkim` for our main domain, for a mail service behind us that trusts
    /// our seals. Without such keys nothing is sealed.
    pub seal: bool,
}

/// The keys that sign our mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dkim {
    /// Seconds between two looks at whether DNS shows a new key, which signs from then on.
    #[schemars(range(min = 1, max = 86_400))]
    pub look_s: u64,
}

/// The HTTPS door where strangers find our identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Addresses to listen on; `https://<domain>/.well-known/` or `https://dccp.<domain>/.well-known/` must lead here.
    #[serde(default = "Publication::listen_default")]
    #[schemars(with = "Vec<text::Listen>", length(min = 1))]
    pub listen: Vec<SocketAddr>,
    /// The certificate for these names. Without it there must be `acme`.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// Which cipher suites we take part in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Suites {
    /// What partners may seal to us with, the preferred one first. It is written into our signed device manifest.
    #[schemars(length(min = 1))]
    pub accept: Vec<SuiteName>,
    /// The weakest suite for any partner, in both directions; `partner minimum` sets another one for one partner.
    pub minimum: SuiteName,
}

/// A cipher suite by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SuiteName {
    /// 0x0001: X-Wing (X25519 and ML-KEM-768), AES-256-GCM, Ed25519 and ML-DSA-65.
    HybridAes,
    /// 0x0002: the same with ChaCha20-Poly1305, for processors without AES instructions.
    HybridChacha,
    /// 0x0101: ML-KEM-768, AES-256-GCM, ML-DSA-65: post-quantum algorithms alone, without a classical second.
    MlKemMlDsa,
    /// 0x0102, experimental: X-Wing, ChaCha20-Poly1305, Ed25519 and FN-DSA-512 (Falcon), whose standard is not final.
    ExperimentalFalcon,
}

/// How long and how often delivery is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Hours after which undelivered mail is returned to its sender. Opening keys are kept as long: at most 72.
    #[schemars(range(min = 1, max = 72))]
    pub lifetime_h: u64,
    /// Hours after which a sender is told that a mail is late (and goes on being tried); 0: never.
    #[schemars(range(min = 0, max = 72))]
    pub late_notice_h: u64,
    /// The first pause after a failed attempt, in milliseconds; it doubles from there.
    #[schemars(range(min = 100, max = 600_000))]
    pub retry_delay_ms_min: u64,
    /// The longest pause between attempts, in milliseconds.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub retry_delay_ms_max: u64,
    /// Days the journal of a finished message is kept.
    #[schemars(range(min = 1, max = 3_650))]
    pub journal_days: u64,
    /// New mail is refused for the moment (452) when the disk of `data_dir` has fewer bytes free. What is
    /// accepted can then still be finished, which takes up to 64 MiB.
    #[schemars(range(min = 67_108_864))]
    pub disk_free_bytes_min: u64,
}

/// Rules of your own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// A file of Cedar policies, added to the standard rules. They can forbid more; the standard refusals stay.
    #[schemars(with = "Option<text::File>")]
    pub rules: Option<PathBuf>,
    /// Which mail leaves sealed or not at all, whatever `outside.policy` says.
    pub must_encrypt: MustEncrypt,
}

/// The console, the control API, health and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Address to listen on. Only this machine: the port speaks plain HTTP.
    #[schemars(with = "text::LoopbackListen")]
    pub listen: SocketAddr,
    /// The file with the token that the API and the console ask for.
    #[schemars(with = "text::SecretFile")]
    pub token: PathBuf,
}

/// What the gateway writes about its work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// How much is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// And what may come to need one.
    Warn,
    /// And what the gateway does.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}
