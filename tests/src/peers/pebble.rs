//! Pebble: an authority that issues certificates by ACME, made by Let's Encrypt for tests.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Dns, Zone, await_within, dovecot::open_folder, free_port, process};
use crate::web::{Authority, Pair};

const PACKAGES: &str = "pebble";

/// So many requests out of a hundred are refused for their nonce, as RFC 8555 §6.5 lets an authority do.
const NONCES_REFUSED: &str = "10";

/// What this authority is like.
#[derive(Clone, Debug, Default)]
pub struct PebbleConfig {
    /// Seconds that its certificates count; its own term without.
    pub term_s: Option<u64>,
    /// It serves only customers: this one, with this MAC key in base64url.
    pub customer: Option<(&'static str, &'static str)>,
    /// Names that it issues nothing for.
    pub refused: Vec<&'static str>,
    /// Names that lead to nobody.
    pub nowhere: Vec<&'static str>,
}

/// An authority that may be running. What it knows it forgets when it stops.
pub struct Pebble {
    file: PathBuf,
    port: u16,
    management: u16,
    http: u16,
    https: u16,
    authority: Authority,
    dns: Dns,
    // Before the folder: processes end before their files go.
    server: Option<process::Server>,
    folder: TempDir,
}

impl Pebble {
    /// An authority that does not run yet, for which every name below `domain` leads to this machine.
    pub fn new(domain: &str, config: &PebbleConfig) -> Self {
        let everywhere = Zone::unsigned(domain).record("*", "A", "127.0.0.1");
        let zone = config.nowhere.iter().fold(everywhere, |zone, name| zone.record(name, "A", "127.0.0.9"));
        let [port, management, http, https] = [(); 4].map(|()| free_port());
        let folder = open_folder("pebble");
        let authority = Authority::new();
        let pair = authority.pair(&["localhost"]);
        let file = folder.path().join("pebble.json");
        let pebble = Self {
            file,
            port,
            management,
            http,
            https,
            authority,
            dns: Dns::start(&[zone]),
            server: None,
            folder,
        };
        fs::write(&pebble.file, pebble.configuration(config, &pair).to_string()).expect("a config file");
        pebble
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self) {
        let mut command = process::command("pebble", PACKAGES);
        command.arg("-config").arg(&self.file).args(["-dnsserver", &self.dns.address().to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        command.env("PEBBLE_WFE_NONCEREJECT", NONCES_REFUSED);
        let log = self.folder.path().join("pebble.log");
        self.server = Some(process::Server::start("pebble", &mut command, &log));
        for port in [self.port, self.management] {
            await_within(process::START_WAIT, &format!("pebble listens on port {port}"), || {
                TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
            });
        }
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Its directory, as `acme.directory` has it.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// Who vouches for the directory's server, as `acme.ca` has it.
    pub fn roots(&self) -> PathBuf {
        self.authority.roots()
    }

    /// Where it asks by HTTP, instead of port 80.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.http))
    }

    /// Where it asks by TLS, instead of port 443.
    pub fn https(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.https))
    }

    /// Who vouches for the certificates that it issues since it was started: a file.
    pub fn issuer(&self) -> PathBuf {
        let url = format!("https://localhost:{}/roots/0", self.management);
        let root = process::run(Command::new("curl").args(["-sS", "--cacert"]).arg(self.roots()).arg(&url));
        let file = self.folder.path().join("issuer.pem");
        fs::write(&file, root).expect("a file");
        file
    }

    fn configuration(&self, config: &PebbleConfig, pair: &Pair) -> Value {
        let mut pebble = json!({
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": pair.certificate,
            "privateKey": pair.key,
            "httpPort": self.http,
            "tlsPort": self.https,
            "externalAccountBindingRequired": config.customer.is_some(),
            "domainBlocklist": config.refused,
        });
        if let Some((customer, key)) = config.customer {
            pebble["externalAccountMACKeys"] = json!({ customer: key });
        }
        if let Some(term_s) = config.term_s {
            pebble["certificateValidityPeriod"] = json!(term_s);
        }
        json!({ "pebble": pebble })
    }
}
