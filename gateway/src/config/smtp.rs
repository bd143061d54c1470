//! The doors for mail: the relay's, the submission's and the exchanger's, and what may come through them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smtp::server::Role;

use super::model::Tls;
use super::value::{Network, text};

/// The doors for mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The name this gateway greets with, in its SMTP banner and in Received headers.
    #[schemars(with = "text::Domain")]
    pub hostname: String,
    /// Addresses to listen on for our own mail servers.
    #[serde(default = "Smtp::listen_default")]
    #[schemars(with = "Vec<text::Listen>", length(min = 1))]
    pub listen: Vec<SocketAddr>,
    /// Further addresses for them, where TLS begins with the first octet instead of with STARTTLS.
    #[serde(default)]
    #[schemars(with = "Vec<text::Listen>")]
    pub listen_tls: Vec<SocketAddr>,
    /// Networks whose clients may send without authentication, for senders of our own domains only.
    #[serde(default = "Smtp::trusted_networks_default")]
    #[schemars(with = "Vec<text::Network>")]
    pub trusted_networks: Vec<Network>,
    /// Certificates in PEM of the authority whose clients are trusted like those networks: whoever shows a certificate
    /// that it signed. Another authority counts after a restart.
    #[serde(default)]
    #[schemars(with = "Option<text::File>")]
    pub client_ca: Option<PathBuf>,
    /// Networks of load balancers in front of these addresses. A connection from there must begin with a PROXY header
    /// (version 1 or 2), and the client counts as coming from where the header says.
    #[serde(default)]
    #[schemars(with = "Vec<text::Network>")]
    pub proxy_networks: Vec<Network>,
    /// Networks of clients, such as printers, that may end the lines of a message with a bare LF or CR. From anywhere
    /// else such a message is refused, because it may smuggle another one.
    #[serde(default)]
    #[schemars(with = "Vec<text::Network>")]
    pub bare_line_ends_from: Vec<Network>,
    /// The largest message taken, in bytes (the SIZE of the EHLO reply, RFC 1870).
    #[serde(default = "Smtp::size_bytes_max_default")]
    #[schemars(range(min = 65_536, max = 94_371_840))]
    pub size_bytes_max: u64,
    /// Certificate for TLS at all doors for mail. Without it they have the one of `acme`; without that, too, mail crosses
    /// the internal network in the clear.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The door for people's mail programs, who log in with a name of `users.file`. Needs a certificate.
    #[serde(default)]
    pub submission: Option<Submission>,
    /// The door for mail servers of the outside world, where the MX record of our domains leads. Needs a certificate.
    #[serde(default)]
    pub mx: Option<Mx>,
    /// What one client, and all together, may take of this machine.
    #[serde(default)]
    pub limits: SmtpLimits,
}

/// The door for people's mail programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// Addresses to listen on, with STARTTLS (RFC 6409).
    #[schemars(with = "Vec<text::Listen>")]
    pub listen: Vec<SocketAddr>,
    /// Addresses to listen on where TLS begins with the first octet (RFC 8314).
    #[schemars(with = "Vec<text::Listen>")]
    pub listen_tls: Vec<SocketAddr>,
    /// Another certificate than `smtp.tls`.
    pub tls: Option<Tls>,
    /// Networks of load balancers in front of this door, as `smtp.proxy_networks`.
    #[schemars(with = "Vec<text::Network>")]
    pub proxy_networks: Vec<Network>,
    /// Networks of clients that may end lines with a bare LF or CR, as `smtp.bare_line_ends_from`.
    #[schemars(with = "Vec<text::Network>")]
    pub bare_line_ends_from: Vec<Network>,
    /// Whom the From field of a mail may name.
    pub from: SubmissionFrom,
    /// Limits that differ from `smtp.limits` at this door.
    pub limits: DoorLimits,
}

/// Whom people may name as the author of what they send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubmissionFrom {
    /// Themselves: addresses of the user who logged in, as in `MAIL FROM`.
    #[default]
    Own,
    /// Anybody.
    Any,
}

/// The door for the outside world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mx {
    /// Addresses to listen on, with STARTTLS.
    #[schemars(with = "Vec<text::Listen>", length(min = 1))]
    pub listen: Vec<SocketAddr>,
    /// Another certificate than `smtp.tls`.
    pub tls: Option<Tls>,
    /// Networks of load balancers in front of this door, as `smtp.proxy_networks`.
    #[schemars(with = "Vec<text::Network>")]
    pub proxy_networks: Vec<Network>,
    /// Networks of clients that may end lines with a bare LF or CR, as `smtp.bare_line_ends_from`.
    #[schemars(with = "Vec<text::Network>")]
    pub bare_line_ends_from: Vec<Network>,
    /// Limits that differ from `smtp.limits` at this door.
    pub limits: DoorLimits,
}

/// What SMTP clients may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpLimits {
    /// Sessions at a time and door; more are greeted with 421.
    #[schemars(range(min = 1, max = 20_000))]
    pub sessions_max: u32,
    /// Sessions at a time from one address (or IPv6 /64) at one door.
    #[schemars(range(min = 1, max = 20_000))]
    pub sessions_per_source_max: u32,
    /// New connections a minute from one address that is not trusted; more are greeted with 421.
    #[schemars(range(min = 1))]
    pub connections_per_minute_max: u32,
    /// Protocol errors and failed TLS handshakes a minute from one address that is not trusted; more ban it.
    #[schemars(range(min = 1))]
    pub errors_per_minute_max: u32,
    /// Senders, recipients and messages refused in a minute to one address that is not trusted; more ban it: it collects
    /// addresses.
    #[schemars(range(min = 1))]
    pub refusals_per_minute_max: u32,
    /// Wrong passwords within a quarter of an hour from one address; more ban it. Each one is answered later than the one
    /// before.
    #[schemars(range(min = 1))]
    pub auth_failures_max: u32,
    /// Seconds a ban lasts, at all doors for mail.
    #[schemars(range(min = 1, max = 86_400))]
    pub ban_s: u64,
    /// Addresses remembered for all of this, about 200 bytes each; who was not seen for longest is forgotten first.
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub sources_max: u32,
    /// Message bytes held in memory by all sessions of all doors together. Newcomers are greeted with 421 when it is nearly
    /// used up.
    #[schemars(range(min = 1_048_576))]
    pub memory_bytes_max: u64,
    /// Recipients of one message (RFC 5321 §4.5.3.1.8 asks for at least 100).
    #[schemars(range(min = 100, max = 10_000))]
    pub recipients_max: u32,
    /// Commands in one session.
    #[schemars(range(min = 10))]
    pub commands_max: u32,
    /// Refused commands in one session before it is ended.
    #[schemars(range(min = 1))]
    pub errors_max: u32,
    /// Seconds a client may stay silent (RFC 5321 §4.5.3.2.7 asks for 300).
    #[schemars(range(min = 1, max = 3_600))]
    pub idle_s_max: u64,
    /// The slowest a message may trickle in, in bytes per second.
    #[schemars(range(min = 1))]
    pub data_bytes_per_s_min: u64,
}

/// Limits of one door, where they are not those of `smtp.limits`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DoorLimits {
    /// Sessions at a time.
    #[schemars(range(min = 1, max = 20_000))]
    pub sessions_max: Option<u32>,
    /// Sessions at a time from one address.
    #[schemars(range(min = 1, max = 20_000))]
    pub sessions_per_source_max: Option<u32>,
    /// New connections a minute from one address.
    #[schemars(range(min = 1))]
    pub connections_per_minute_max: Option<u32>,
    /// Recipients of one message.
    #[schemars(range(min = 100, max = 10_000))]
    pub recipients_max: Option<u32>,
}

/// One door with everything that applies to it.
#[derive(Debug)]
pub struct MailDoor<'a> {
    /// Its section in the file.
    pub key: &'static str,
    /// What it is for.
    pub role: Role,
    /// Addresses with STARTTLS, if there is a certificate.
    pub listen: &'a [SocketAddr],
    /// Addresses where TLS comes first.
    pub listen_tls: &'a [SocketAddr],
    /// The certificate.
    pub tls: Option<&'a Tls>,
    /// Who vouches for clients.
    pub client_ca: Option<&'a PathBuf>,
    /// Whose clients are ours.
    pub trusted_networks: &'a [Network],
    /// Where balancers are.
    pub proxy_networks: &'a [Network],
    /// Who may end lines badly.
    pub bare_line_ends_from: &'a [Network],
    /// What clients may take.
    pub limits: SmtpLimits,
}

impl Smtp {
    /// Every door that is open.
    pub fn doors(&self) -> Vec<MailDoor<'_>> {
        let relay = MailDoor {
            key: "smtp",
            role: Role::Relay,
            listen: &self.listen,
            listen_tls: &self.listen_tls,
            tls: self.tls.as_ref(),
            client_ca: self.client_ca.as_ref(),
            trusted_networks: &self.trusted_networks,
            proxy_networks: &self.proxy_networks,
            bare_line_ends_from: &self.bare_line_ends_from,
            limits: self.limits.clone(),
        };
        let submission = self.submission.as_ref().map(|door| MailDoor {
            key: "smtp.submission",
            role: Role::Submission,
            listen: &door.listen,
            listen_tls: &door.listen_tls,
            tls: door.tls.as_ref().or(self.tls.as_ref()),
            client_ca: None,
            trusted_networks: &[], // whoever comes here logs in
            proxy_networks: &door.proxy_networks,
            bare_line_ends_from: &door.bare_line_ends_from,
            limits: self.limits.with(&door.limits),
        });
        let mx = self.mx.as_ref().map(|door| MailDoor {
            key: "smtp.mx",
            role: Role::Mx,
            listen: &door.listen,
            listen_tls: &[], // no standard has it between strangers
            tls: door.tls.as_ref().or(self.tls.as_ref()),
            client_ca: None,
            trusted_networks: &[], // nobody is ours here
            proxy_networks: &door.proxy_networks,
            bare_line_ends_from: &door.bare_line_ends_from,
            limits: self.limits.with(&door.limits),
        });
        std::iter::once(relay).chain(submission).chain(mx).collect()
    }

    /// Every key has a value here.
    pub(super) fn example() -> Smtp {
        let tls = |name: &str| {
            Some(Tls { certificate: format!("tls/{name}.crt").into(), key: format!("tls/{name}.key").into() })
        };
        let limits = DoorLimits {
            sessions_max: Some(500),
            sessions_per_source_max: Some(20),
            connections_per_minute_max: Some(60),
            recipients_max: Some(100),
        };
        Smtp {
            hostname: "gateway.acme.test".into(),
            listen: Smtp::listen_default(),
            listen_tls: vec![],
            trusted_networks: Smtp::trusted_networks_default(),
            client_ca: Some("tls/client-ca.crt".into()),
            proxy_networks: vec![],
            bare_line_ends_from: vec![],
            size_bytes_max: Smtp::size_bytes_max_default(),
            tls: tls("smtp"),
            submission: Some(Submission {
                tls: tls("submission"),
                limits: limits.clone(),
                ..Submission::default()
            }),
            mx: Some(Mx { tls: tls("mx"), limits, ..Mx::default() }),
            limits: SmtpLimits::default(),
        }
    }

    /// Of a new gateway: only our own mail servers hand mail over.
    pub(super) fn fresh() -> Smtp {
        Smtp { client_ca: None, submission: None, mx: None, ..Smtp::example() }
    }

    pub(super) fn listen_default() -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], 2525))]
    }

    pub(super) fn trusted_networks_default() -> Vec<Network> {
        Network::loopback().to_vec()
    }

    pub(super) fn size_bytes_max_default() -> u64 {
        25 * 1024 * 1024
    }
}

/// On every IPv4 address of this machine.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))]
}

impl Default for Submission {
    fn default() -> Submission {
        Submission {
            listen: everywhere(587),
            listen_tls: everywhere(465),
            tls: None,
            proxy_networks: vec![],
            bare_line_ends_from: vec![],
            from: SubmissionFrom::default(),
            limits: DoorLimits::default(),
        }
    }
}

impl Default for Mx {
    fn default() -> Mx {
        Mx {
            listen: everywhere(25),
            tls: None,
            proxy_networks: vec![],
            bare_line_ends_from: vec![],
            limits: DoorLimits::default(),
        }
    }
}

impl Default for SmtpLimits {
    fn default() -> SmtpLimits {
        SmtpLimits {
            sessions_max: 1_000,
            sessions_per_source_max: 250,
            connections_per_minute_max: 300,
            errors_per_minute_max: 100,
            refusals_per_minute_max: 100,
            auth_failures_max: 10,
            ban_s: 600,
            sources_max: 50_000,
            memory_bytes_max: 512 * 1024 * 1024,
            recipients_max: 1_000,
            commands_max: 10_000,
            errors_max: 20,
            idle_s_max: 300,
            data_bytes_per_s_min: 256,
        }
    }
}

impl SmtpLimits {
    /// These, where `door` has none of its own.
    fn with(&self, door: &DoorLimits) -> SmtpLimits {
        SmtpLimits {
            sessions_max: door.sessions_max.unwrap_or(self.sessions_max),
            sessions_per_source_max: door.sessions_per_source_max.unwrap_or(self.sessions_per_source_max),
            connections_per_minute_max: door
                .connections_per_minute_max
                .unwrap_or(self.connections_per_minute_max),
            recipients_max: door.recipients_max.unwrap_or(self.recipients_max),
            ..self.clone()
        }
    }
}
