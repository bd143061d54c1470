//! Certificates, honest and other.

use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::{default_provider, sign::any_supported_type},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use smtp::route::Tlsa;

/// The name of the server in all of these tests.
pub(crate) const NAME: &str = "mx.corp.test";

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let public = key.subject_public_key_info();
        Self { certificate, issuer: Issuer::new(params, key), key: public }
    }

    /// A server of that name.
    pub(crate) fn server(&self, name: &str) -> Shown {
        self.issue(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// What the authority signs, it and the authority's own certificate are shown.
    pub(crate) fn issue(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown::new(vec![certificate.der().clone(), self.certificate.der().clone()], &key)
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// DANE-TA records about it.
    pub(crate) fn tlsa(&self, selector: u8, matching: u8) -> Tlsa {
        record(2, selector, matching, self.certificate.der(), &self.key)
    }
}

/// What a server shows of itself.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// What it signs the handshake with.
    key: Vec<u8>,
    public_key: Vec<u8>,
}

impl Shown {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Self {
        Self { chain, key: key.serialize_der(), public_key: key.subject_public_key_info() }
    }

    pub(crate) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(vec![params.self_signed(&key).unwrap().der().clone()], &key)
    }

    /// The certificate of somebody else: the key does not fit.
    pub(crate) fn stolen_by_one_without_its_key(mut self) -> Self {
        self.key = KeyPair::generate().unwrap().serialize_der();
        self
    }

    /// DANE-EE records about it.
    pub(crate) fn tlsa(&self, selector: u8, matching: u8) -> Tlsa {
        record(3, selector, matching, &self.chain[0], &self.public_key)
    }

    pub(crate) fn tls(&self) -> Arc<ServerConfig> {
        self.tls_of(&[&TLS12, &TLS13])
    }

    pub(crate) fn tls_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        self.tls_noting(versions, Asked::default())
    }

    /// Notes by which name it was asked for.
    pub(crate) fn tls_noting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        asked: Asked,
    ) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        // Unlike `with_single_cert` this does not ask whether the key fits.
        let shown = CertifiedKey::new(self.chain.clone(), any_supported_type(&key).unwrap());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(versions).unwrap().with_no_client_auth();
        Arc::new(config.with_cert_resolver(Arc::new(Always(Arc::new(shown), asked))))
    }
}

/// The last name that a server was asked for.
pub(crate) type Asked = Arc<Mutex<Option<String>>>;

#[derive(Debug)]
struct Always(Arc<CertifiedKey>, Asked);

impl ResolvesServerCert for Always {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        *self.1.lock().unwrap() = hello.server_name().map(str::to_owned);
        Some(self.0.clone())
    }
}

fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8], public_key: &[u8]) -> Tlsa {
    let selected = if selector == 0 { certificate } else { public_key };
    let data = match matching {
        0 => selected.to_vec(),
        1 => digest(&SHA256, selected).as_ref().to_vec(),
        _ => digest(&SHA512, selected).as_ref().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}
