//! What the typed configuration means: defaults, the example, and what is derived from several keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::acme::Acme;
use super::agents::Agents;
use super::archive::Archive;
use super::master::{Master, MasterFrom};
use super::model::{
    Authenticity, Config, Control, Delivery, DeliveryProtocol, DeliveryTls, Dkim, Finding, Keys, Log,
    Organisation, Overlay, Policies, Publication, Queue, SuiteName, Suites, Tls, Users,
};
use super::outside::{HeaderMark, MustEncrypt, Outside};
use super::smtp::Smtp;
use super::value::HostPort;

impl Config {
    /// Every mail domain of the organisation, lower-case, the main one first.
    pub fn domains(&self) -> Vec<String> {
        let all = std::iter::once(&self.organisation.domain).chain(&self.organisation.also);
        all.map(|domain| domain.to_ascii_lowercase()).collect()
    }

    /// The database.
    pub fn database_path(&self) -> PathBuf {
        self.data_dir.join("gateway.db")
    }

    /// The organisation's DID log.
    pub fn identity_log_path(&self) -> PathBuf {
        self.data_dir.join("identity").join("organisation.did")
    }

    /// The organisation's device manifest.
    pub fn manifest_path(&self) -> PathBuf {
        self.data_dir.join("identity").join("manifest")
    }

    /// The records of an ended identity, as bytes (`cbor`) or to be sent by hand (`partner`).
    pub fn ended_path(&self, form: &str) -> PathBuf {
        self.data_dir.join("identity").join(format!("ended.{form}"))
    }

    /// The notice of a succession from one DID to another, while there is one.
    pub fn succession_path(&self) -> PathBuf {
        self.data_dir.join("identity").join("succession")
    }

    /// The names that our certificate of `acme` is for, lower-case: `smtp.hostname` when none are given.
    pub fn certificate_names(&self) -> Vec<String> {
        let given = self.acme.iter().flat_map(|acme| &acme.names);
        let mut names: Vec<String> = given.map(|name| name.to_ascii_lowercase()).collect();
        if names.is_empty() {
            names.push(self.smtp.hostname.to_ascii_lowercase());
        }
        names
    }

    /// The addresses partners are told: `announce`, or `listen` when there are none.
    pub fn announced_addresses(&self) -> &[String] {
        match self.overlay.announce.is_empty() {
            true => &self.overlay.listen,
            false => &self.overlay.announce,
        }
    }

    /// `shutdown_grace_s` as a duration.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_s)
    }

    /// The name under which results of authentication are written: `authenticity.authserv_id`, or our host name.
    pub fn authserv_id(&self) -> &str {
        self.authenticity.authserv_id.as_deref().unwrap_or(&self.smtp.hostname)
    }

    /// How mail from outside, and the visibility of our own keys, are looked up.
    pub fn verifier_settings(&self) -> smtp::authenticity::Settings {
        smtp::authenticity::Settings {
            dns_servers: self.finding.dns_servers.clone(),
            hostname: self.smtp.hostname.clone(),
            // SPF, DKIM and ARC together, then DMARC: each has half of the time.
            deadline: Duration::from_secs(self.authenticity.deadline_s) / 2,
        }
    }

    /// A complete example in which every key has a value: the source of the printed order and of the samples.
    pub fn example() -> Config {
        Config {
            organisation: Organisation { domain: "acme.test".into(), also: vec!["agents.acme.test".into()] },
            data_dir: Config::data_dir_default(),
            keys: Keys { master: Some(Master::example()), ..Keys::default() },
            smtp: Smtp::example(),
            acme: Some(Acme::example()),
            users: Users { file: Some("users.yaml".into()) },
            delivery: Delivery {
                protocol: DeliveryProtocol::Lmtp,
                address: HostPort::example(),
                connections_max: Delivery::connections_max_default(),
                verify_recipients: Delivery::verify_recipients_default(),
                tls: DeliveryTls::default(),
                ca: Some("tls/internal-ca.crt".into()),
                name: Some("imap.acme.test".into()),
            },
            overlay: Overlay::default(),
            finding: Finding {
                dns_trust_anchor: Some("trust-anchor.key".into()),
                extra_roots: Some("tls/internal-ca.crt".into()),
                ..Finding::default()
            },
            authenticity: Authenticity {
                authserv_id: Some("gateway.acme.test".into()),
                ..Authenticity::default()
            },
            dkim: Dkim::default(),
            publication: Some(Publication {
                listen: Publication::listen_default(),
                tls: Some(Tls { certificate: "tls/https.crt".into(), key: "tls/https.key".into() }),
            }),
            suites: Suites::default(),
            queue: Queue::default(),
            policies: Policies {
                rules: Some("local.cedar".into()),
                must_encrypt: MustEncrypt {
                    headers: vec![HeaderMark::example()],
                    subject_tags: vec!["[secure]".into()],
                    ..MustEncrypt::default()
                },
            },
            outside: Outside::example(),
            archive: Some(Archive::example()),
            aliases: Some("aliases.yaml".into()),
            agents: Agents::example(),
            control: Control::default(),
            log: Log::default(),
            shutdown_grace_s: Config::shutdown_grace_s_default(),
        }
    }

    /// The example without what a new gateway has none of: an authority, rules, marks, aliases, agents, doors for people and the outside, an
    /// HTTPS door, trust anchors and roots of its own, a token, users.
    pub fn fresh() -> Config {
        let keys = Keys { master: Some(Master::of(MasterFrom::File)), ..Keys::default() };
        let example = Config::example();
        Config {
            organisation: Organisation { also: vec![], ..example.organisation },
            keys,
            smtp: Smtp::fresh(),
            acme: None,
            policies: Policies::default(),
            archive: None,
            aliases: None,
            agents: Agents::default(),
            publication: None,
            finding: Finding::default(),
            users: Users::default(),
            authenticity: Authenticity::default(),
            outside: Outside::default(),
            delivery: Delivery { ca: None, name: None, ..example.delivery },
            ..example
        }
    }

    pub(super) fn data_dir_default() -> PathBuf {
        "data".into()
    }

    pub(super) fn shutdown_grace_s_default() -> u64 {
        20
    }
}

impl Default for Keys {
    fn default() -> Keys {
        let file = |name: &str| Path::new("keys").join(name);
        Keys {
            operator: file("operator.key"),
            device: file("device.key"),
            node: file("node.key"),
            storage: file("storage.key"),
            master: None,
        }
    }
}

impl Delivery {
    pub(super) fn connections_max_default() -> u32 {
        8
    }

    /// A report to a sender from outside comes too late for most, and to the wrong one for some.
    pub(super) fn verify_recipients_default() -> bool {
        true
    }
}

impl Default for Overlay {
    fn default() -> Overlay {
        Overlay {
            listen: vec!["/ip4/127.0.0.1/udp/4001/quic-v1".into(), "/ip4/127.0.0.1/tcp/4001".into()],
            announce: vec![],
            mdns: false,
            kad: true,
            bootstrap: vec![],
        }
    }
}

impl Finding {
    /// What the finder is set up with.
    pub fn settings(&self) -> finding::Settings {
        finding::Settings {
            dns_servers: self.dns_servers.clone(),
            validate_dnssec: self.dnssec,
            trust_anchor: self.dns_trust_anchor.clone(),
            extra_roots: self.extra_roots.clone(),
            allow_private_addresses: self.allow_private_addresses,
            https_port: self.https_port,
            ..finding::Settings::default()
        }
    }

    /// `recheck_h` in milliseconds.
    pub fn recheck_ms(&self) -> u64 {
        self.recheck_h * 3_600_000
    }
}

impl Default for Authenticity {
    fn default() -> Authenticity {
        Authenticity { authserv_id: None, deadline_s: 30, seal: true }
    }
}

impl Dkim {
    /// `look_s` as a duration.
    pub fn look_every(&self) -> Duration {
        Duration::from_secs(self.look_s)
    }
}

impl Default for Dkim {
    fn default() -> Dkim {
        Dkim { look_s: 600 }
    }
}

impl Default for Finding {
    fn default() -> Finding {
        Finding {
            dns_servers: vec![],
            dnssec: true,
            dns_trust_anchor: None,
            extra_roots: None,
            allow_private_addresses: false,
            https_port: 443,
            recheck_h: 24,
        }
    }
}

impl Publication {
    pub(super) fn listen_default() -> Vec<SocketAddr> {
        vec![SocketAddr::from(([0, 0, 0, 0], 443))]
    }
}

impl Suites {
    /// `accept` as the language has them.
    pub fn accepted(&self) -> Vec<dccp::Suite> {
        self.accept.iter().map(|name| crate::suites::of_name(*name)).collect()
    }
}

impl Default for Suites {
    fn default() -> Suites {
        Suites { accept: vec![SuiteName::HybridAes, SuiteName::HybridChacha], minimum: SuiteName::HybridAes }
    }
}

impl Queue {
    /// `late_notice_h` in milliseconds; none when nobody is to be told.
    pub fn late_after_ms(&self) -> Option<u64> {
        (self.late_notice_h > 0).then_some(self.late_notice_h * 3_600_000)
    }

    /// `lifetime_h` in milliseconds.
    pub fn lifetime_ms(&self) -> u64 {
        self.lifetime_h * 3_600_000
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            lifetime_h: 72,
            late_notice_h: 4,
            retry_delay_ms_min: 1_000,
            retry_delay_ms_max: 900_000,
            journal_days: 30,
            disk_free_bytes_min: 256 * 1024 * 1024,
        }
    }
}

impl Default for Control {
    fn default() -> Control {
        Control {
            listen: SocketAddr::from(([127, 0, 0, 1], 8480)),
            token: Path::new("keys").join("control.token"),
        }
    }
}
