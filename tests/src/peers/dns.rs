//! NSD: an authoritative DNS server with a root of its own, signed by ldns, and the zones that a test wants.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{dovecot::open_folder, free_port, process};

const PACKAGES: &str = "nsd ldnsutils";

/// One domain's zone, as its owner would write it.
#[derive(Clone, Debug)]
pub struct Zone {
    domain: String,
    records: String,
    signed: bool,
    forgery: Option<(String, String)>,
}

impl Zone {
    /// A zone that is signed, with its DS record in the root.
    pub fn signed(domain: &str) -> Self {
        Self { domain: domain.to_owned(), records: String::new(), signed: true, forgery: None }
    }

    /// A zone that the root delegates without a DS record.
    pub fn unsigned(domain: &str) -> Self {
        Self { signed: false, ..Self::signed(domain) }
    }

    /// Adds a record in the words of RFC 1035 §5.1: the name below the domain (`@` for the domain), type and data.
    #[must_use]
    pub fn record(mut self, name: &str, kind: &str, data: &str) -> Self {
        let _ = writeln!(self.records, "{name} IN {kind} {data}");
        self
    }

    /// Adds a line as it stands.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        let _ = writeln!(self.records, "{line}");
        self
    }

    /// Adds the TXT record that names a DID.
    #[must_use]
    pub fn names(self, did: &str) -> Self {
        self.record("_dccp", "TXT", &format!("\"v=DCCP1; did={did}\""))
    }

    /// Replaces text after the zone was signed, as somebody on the way would.
    #[must_use]
    pub fn forged(mut self, from: &str, to: &str) -> Self {
        self.forgery = Some((from.to_owned(), to.to_owned()));
        self
    }
}

/// A running NSD that serves a signed root and the zones below it.
pub struct Dns {
    port: u16,
    trust_anchor: PathBuf,
    // Before the folder: processes end before their files go.
    _server: process::Server,
    _folder: TempDir,
}

impl Dns {
    /// Signs the zones, starts NSD and waits until it serves.
    pub fn start(zones: &[Zone]) -> Self {
        let mut command = process::command("nsd", PACKAGES);
        let folder = open_folder("nsd");
        let mut root = String::new();
        let mut config = String::new();
        for zone in zones {
            let ds = write_zone(folder.path(), zone);
            let _ = writeln!(root, "{domain}. IN NS ns.dns.test.\n{ds}", domain = zone.domain);
            serve(&mut config, &zone.domain);
        }
        let root = Zone { domain: String::new(), records: root, signed: true, forgery: None };
        write_zone(folder.path(), &root);
        serve(&mut config, "");

        let port = free_port();
        let file = folder.path().join("nsd.conf");
        fs::write(&file, configuration(folder.path(), port) + &config).expect("a config file");
        let log = folder.path().join("nsd.log");
        let server = process::Server::start("nsd", command.arg("-d").arg("-c").arg(&file), &log);
        server.await_log("nsd started");
        let trust_anchor = folder.path().join("trust-anchor.key");
        Self { port, trust_anchor, _server: server, _folder: folder }
    }

    /// Where it listens, for UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The key of the root, as a DNSKEY record.
    pub fn trust_anchor(&self) -> &Path {
        &self.trust_anchor
    }
}

/// Writes a zone file, signed if it should be; gives the DS record for the zone above.
fn write_zone(folder: &Path, zone: &Zone) -> String {
    let Zone { domain, records, signed, forgery } = zone;
    let file = folder.join(zone_file(domain));
    let head = "IN SOA ns.dns.test. root.dns.test. 1 3600 900 86400 60\n@ IN NS ns.dns.test.";
    fs::write(&file, format!("$ORIGIN {domain}.\n$TTL 60\n@ {head}\n{records}")).expect("a zone file");
    if !signed {
        return String::new();
    }
    let tool = |binary: &str, arguments: &[&str]| {
        process::run(process::command(binary, PACKAGES).current_dir(folder).args(arguments))
    };
    let zone_name = format!("{domain}.");
    let key = tool("ldns-keygen", &["-k", "-a", "ECDSAP256SHA256", &zone_name]);
    let key = key.trim();
    let name = file.file_name().and_then(|name| name.to_str()).expect("a file name");
    tool("ldns-signzone", &["-f", name, name, key]);
    if let Some((from, to)) = forgery {
        let text = fs::read_to_string(&file).expect("a signed zone");
        assert!(text.contains(from), "{from} is not in the zone");
        fs::write(&file, text.replace(from, to)).expect("a zone file");
    }
    if domain.is_empty() {
        fs::copy(folder.join(format!("{key}.key")), folder.join("trust-anchor.key")).expect("a key file");
        return String::new();
    }
    tool("ldns-key2ds", &["-n", "-2", &format!("{key}.key")])
}

fn zone_file(domain: &str) -> String {
    format!("zone.{}", if domain.is_empty() { "root" } else { domain })
}

fn serve(config: &mut String, domain: &str) {
    let _ = writeln!(config, "zone:\n  name: \"{domain}.\"\n  zonefile: \"{}\"", zone_file(domain));
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "server:
  ip-address: 127.0.0.1@{port}
  username: \"\"
  chroot: \"\"
  zonesdir: \"{folder}\"
  database: \"\"
  pidfile: \"{folder}/nsd.pid\"
  xfrdfile: \"{folder}/xfrd.state\"
  zonelistfile: \"{folder}/zone.list\"
  xfrdir: \"{folder}\"
  server-count: 1
  verbosity: 1
remote-control:
  control-enable: no
"
    )
}
