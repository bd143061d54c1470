//! The outside world of a test: names, an authority for certificates, one mail server for all its domains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dccp::UnixMillis;
use finding::Settings as Network;
use gateway::exchange::{Exchange, Letter, NotYet, Relayed, Settings};
use gateway::schedule::Schedule;
use gateway::spool::{Spool, SpoolConfig, SpoolGuard};
use policies::{
    Client, Demand, Destination, Direction, MailFacts, Marks, Permit, Rules, SenderStanding, Verdict,
};
use smtp::client::{Envelope, Timeouts};
use tempfile::TempDir;
use tests::peers::{Dns, Dovecot, Postfix, PostfixConfig, Zone, free_port};
use tests::web::{Authority, Web};

pub(crate) const SENDER: &str = "alice@acme.test";
pub(crate) const BODY: &[u8] =
    b"From: alice@acme.test\r\nSubject: The merger\r\nMessage-ID: <1@acme.test>\r\n\r\nA secret.\r\n";

/// Names and certificates of a test, before its servers run.
pub(crate) struct World {
    pub(crate) authority: Authority,
    https_port: u16,
    servers: Vec<Web>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { authority: Authority::new(), https_port: free_port(), servers: Vec::new() }
    }

    /// The policy host of `domain` at 127.0.0.`host` serves an MTA-STS policy.
    pub(crate) async fn sts(mut self, host: u8, domain: &str, policy: &str) -> Self {
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{policy}",
            policy.len()
        );
        let name = format!("mta-sts.{domain}");
        let answer = move |_: &str| page.clone().into_bytes();
        self.servers.push(Web::start(&self.authority, (host, self.https_port), &[&name], answer).await);
        self
    }

    /// Main.cf lines for a server with a certificate for `names`, and the digest of that certificate.
    pub(crate) fn certificate(&self, names: &[&str]) -> (String, String) {
        use rustls_pki_types::pem::PemObject;
        let pair = self.authority.pair(names);
        let certificate =
            rustls_pki_types::CertificateDer::from_pem_file(&pair.certificate).expect("a certificate");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
        let lines = format!(
            "smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\nsmtpd_tls_security_level = may\n",
            pair.certificate.display(),
            pair.key.display()
        );
        (lines, digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// Starts the servers: NSD with `zones`, Dovecot, and a Postfix that takes mail for `domains`.
    pub(crate) fn start(self, zones: &[Zone], domains: &[&str], more: &str) -> Lab {
        let dovecot = Dovecot::start();
        let config = PostfixConfig {
            domain: "outside.test".to_owned(),
            relayhost: SocketAddr::from(([127, 0, 0, 1], 9)),
            lmtp: Some(dovecot.lmtp_port()),
        };
        let domains = domains.join(" ");
        let postfix = Postfix::start_with(config, &format!("virtual_mailbox_domains = {domains}\n{more}"));
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, guard) =
            Spool::open(folder.path().join("data/gateway.db"), SpoolConfig::default()).expect("a spool");
        Lab { dns: Dns::start(zones), world: self, postfix, dovecot, spool, _guard: guard, _folder: folder }
    }
}

/// A running world.
pub(crate) struct Lab {
    pub(crate) dns: Dns,
    pub(crate) world: World,
    pub(crate) postfix: Postfix,
    pub(crate) dovecot: Dovecot,
    pub(crate) spool: Spool,
    _guard: SpoolGuard,
    _folder: TempDir,
}

impl Lab {
    pub(crate) fn network(&self) -> Network {
        Network {
            dns_servers: vec![self.dns.address()],
            trust_anchor: Some(self.dns.trust_anchor().to_owned()),
            extra_roots: Some(self.world.authority.roots()),
            allow_private_addresses: true,
            https_port: self.world.https_port,
            ..Network::default()
        }
    }

    /// What a gateway of acme is set up with.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            hello: "gw.acme.test".to_owned(),
            own_names: vec!["gw.acme.test".to_owned()],
            port: self.postfix.port(),
            smarthost: None,
            connections_max: 4,
            mails_per_minute_max: 10_000,
            rest: Schedule { delay_ms_min: 60_000, delay_ms_max: 60_000 },
            timeouts: Timeouts { connect: Duration::from_secs(5), ..Timeouts::default() },
        }
    }

    pub(crate) fn exchange(&self) -> Arc<Exchange> {
        self.exchange_with(self.settings())
    }

    pub(crate) fn exchange_with(&self, settings: Settings) -> Arc<Exchange> {
        Arc::new(Exchange::new(settings, &self.network(), &self.spool, now).expect("an exchange"))
    }
}

/// Alice writes to these addresses, who are all in one domain.
pub(crate) async fn relay(exchange: &Exchange, to: &[&str], demand: Demand) -> Result<Relayed, NotYet> {
    relay_with(exchange, to, demand, false).await
}

pub(crate) async fn relay_with(
    exchange: &Exchange,
    to: &[&str],
    demand: Demand,
    require_tls: bool,
) -> Result<Relayed, NotYet> {
    let envelope = Envelope {
        reverse_path: SENDER.to_owned(),
        forward_paths: to.iter().map(|path| (*path).to_owned()).collect(),
        require_tls,
        ..Envelope::default()
    };
    let octets = [Bytes::from_static(BODY)];
    let letter = Letter { envelope: &envelope, octets: &octets, next_hop: None };
    let domain = to[0].rsplit_once('@').expect("an address").1;
    exchange.relay(permit(domain, demand), &letter).await
}

/// The judge's word for a mail of alice to `domain`.
pub(crate) fn permit(domain: &str, demand: Demand) -> Permit {
    let facts = MailFacts {
        direction: Direction::Outbound,
        sender: SENDER,
        sender_standing: SenderStanding::Ours,
        destination: Destination::Outside { domain },
        client: Client::BELIEVED,
        marks: Marks::default(),
        require_tls: false,
        outside: Some(demand),
        authenticity: None,
        recipients: 1,
        size: 100,
        size_max: 1_000,
        content_type: "text/plain",
        owns_from: true,
        approved: false,
    };
    match policies::decide_mail(&Rules::standard(), &facts).verdict {
        Verdict::Allow(permit) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
    UnixMillis(since.as_millis() as u64)
}

/// The only outcome, as `550 5.1.1 words`.
pub(crate) fn reply(relayed: &Relayed) -> String {
    let [outcome] = &relayed.outcomes[..] else { panic!("one outcome: {relayed:?}") };
    outcome.reply.to_string()
}

/// Whether the mail was taken, and how the server was verified.
pub(crate) fn verified(relayed: &Relayed) -> &str {
    assert!(relayed.outcomes.iter().all(|outcome| outcome.is_delivered()), "{relayed:?}");
    &relayed.via.as_ref().expect("a server").verified
}

/// A domain whose mail goes to `mx.<domain>` at this machine.
pub(crate) fn to_here(zone: Zone, domain: &str) -> Zone {
    zone.record("@", "MX", &format!("10 mx.{domain}.")).record("mx", "A", "127.0.0.1")
}
