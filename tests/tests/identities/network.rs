//! What lies between organisations that publish: signed names, one authority for certificates, one port for HTTPS.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tests::peers::{Dns, Zone, free_port};
use tests::site::Site;

pub(crate) struct Network {
    authority: Issuer<'static, KeyPair>,
    folder: TempDir,
    https_port: u16,
    dns: Dns,
}

/// Where the web server of an organisation is: 127.0.0.`host`.
#[derive(Clone, Copy)]
pub(crate) struct Host(pub(crate) u8);

impl Network {
    pub(crate) fn of(zones: &[Zone]) -> Network {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, "The authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file");
        let authority = Issuer::new(params, key);
        Network { authority, folder, https_port: free_port(), dns: Dns::start(zones) }
    }

    /// Other names from now on; whoever is to see them joins again.
    pub(crate) fn rename(&mut self, zones: &[Zone]) {
        self.dns = Dns::start(zones);
    }

    /// From its next start on a gateway looks names up here.
    pub(crate) fn join(&self, site: &Site) {
        site.set("dns_servers", &format!("[\"{}\"]", self.dns.address()));
        site.set("dns_trust_anchor", self.dns.trust_anchor().to_str().expect("a path"));
        site.set("extra_roots", self.roots().to_str().expect("a path"));
        site.set("allow_private_addresses", "true");
        site.set("https_port", &self.https_port.to_string());
    }

    /// From its next start on a gateway publishes what it is.
    pub(crate) fn publish(&self, site: &Site, Host(host): Host) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([site.domain.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.authority).expect("a certificate");
        let [chain, secret] = ["https.crt", "https.key"].map(|name| site.folder().join(name));
        fs::write(&chain, certificate.pem()).expect("a file");
        fs::write(&secret, key.serialize_pem()).expect("a file");
        private(&secret);
        let (chain, secret, port) = (chain.display(), secret.display(), self.https_port);
        let tls = format!("{{certificate: {chain}, key: {secret}}}");
        site.set("publication", &format!("{{listen: [\"127.0.0.{host}:{port}\"], tls: {tls}}}"));
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn https_port(&self) -> u16 {
        self.https_port
    }
}

fn private(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// The signed zone of an organisation: it names the DID, and leads to the web server.
pub(crate) fn zone_of(site: &Site, Host(host): Host) -> Zone {
    Zone::signed(site.domain).names(site.did().as_str()).record("@", "A", &format!("127.0.0.{host}"))
}
