//! What a finder is told about the network it lives in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How to ask. [`Settings::default`] is right for a gateway on the Internet.
#[derive(Clone, Debug)]
pub struct Settings {
    /// DNS servers, asked over UDP and TCP; none: those of the system (`/etc/resolv.conf`). They must pass DNSSEC
    /// records on, or every signed zone looks forged.
    pub dns_servers: Vec<SocketAddr>,
    /// Whether answers are validated. Off, no domain earns more than trust at first use.
    pub validate_dnssec: bool,
    /// A file of DNSKEY records to trust instead of the keys of the root zone, for labs with a root of their own.
    pub trust_anchor: Option<PathBuf>,
    /// Certificates (PEM) to trust beside those of the system, for labs with an authority of their own.
    pub extra_roots: Option<PathBuf>,
    /// Connect to addresses inside private networks as well. For labs only: otherwise any stranger's DNS record makes
    /// this gateway speak with its neighbours.
    pub allow_private_addresses: bool,
    /// The port of well-known pages, and of mirrors that name none.
    pub https_port: u16,
    /// The end of one look-up in DNS, with all the look-ups its validation needs.
    pub dns_deadline: Duration,
    /// The end of one request over HTTPS: names, connection, handshake, answer.
    pub fetch_deadline: Duration,
    /// The end of a whole discovery.
    pub deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dns_servers: Vec::new(),
            validate_dnssec: true,
            trust_anchor: None,
            extra_roots: None,
            allow_private_addresses: false,
            https_port: 443,
            dns_deadline: Duration::from_secs(8),
            fetch_deadline: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
        }
    }
}

/// Why no finder can be made. All of it is our own misconfiguration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The system names no DNS server, or one that makes no sense.
    #[error("DNS: {0}")]
    Dns(String),
    /// The trust anchor cannot be read.
    #[error("DNSSEC trust anchor {}: {why}", path.display())]
    TrustAnchor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates cannot be read, or there is none at all.
    #[error("certificates of authorities: {0}")]
    Roots(String),
}
