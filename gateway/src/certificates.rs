//! The certificates of our doors: each in use as it last was good, and read anew when its files change.
//!
//! ```text
//! files ──a look each minute, or SIGHUP──► Certificate ──► every handshake from then on
//!                 └ not good: the one before stays, the log says why once, a gauge says so until it is mended
//! ```
//!
//! Whoever renews a certificate has nothing to tell the gateway. Deliberately absent: ACME (the software that renews has
//! a long life of its own), and client authorities, which change seldom enough for a restart.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Tls;
use crate::config::tls::{TlsError, certified_key, provider};

/// How often the files are looked at. They are small, and a certificate is renewed weeks before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// All certificates that are in use.
#[derive(Default)]
pub struct Certificates {
    all: Vec<Arc<Certificate>>,
    stale: Gauge,
}

/// One certificate, as rustls asks for it.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    in_use: Arc<CertifiedKey>,
    /// The fingerprint of what the files held at the last look; `None` if they could not be read.
    seen: Option<u64>,
    /// Whether that is what is in use.
    fresh: bool,
}

/// What a look at the files came to.
#[derive(Debug)]
enum Look {
    /// They are as they were.
    Same,
    /// The new certificate is in use.
    Renewed,
    /// They changed, and what they hold is not good; the old certificate stays.
    Refused(TlsError),
}

impl Certificates {
    /// Registers how many certificates in use are not what their files hold.
    pub fn watched(registry: &mut Registry) -> Self {
        let certificates = Self::default();
        let help = "Certificates whose new files are not good, so that the old ones stay in use";
        let root = registry.sub_registry_with_prefix("dccp");
        root.register("certificates_stale", help, certificates.stale.clone());
        certificates
    }

    /// Reads a certificate that will be followed; doors with the same files share one.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(&mut self, tls: &Tls) -> Result<Arc<Certificate>, TlsError> {
        if let Some(known) = self.all.iter().find(|known| known.files == *tls) {
            return Ok(known.clone());
        }
        let certificate = Arc::new(Certificate::load(tls)?);
        self.all.push(certificate.clone());
        Ok(certificate)
    }

    /// Looks at the files from time to time, and at once when the process gets SIGHUP, until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                return tracing::error!(%error, "certificates are not followed: no signal can be heard");
            }
        };
        let mut clock = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => tracing::info!("SIGHUP: looking at the certificates"),
                _ = clock.tick() => {}
            }
            self.look();
        }
    }

    fn look(&self) {
        for certificate in &self.all {
            let file = certificate.files.certificate.display();
            match certificate.look() {
                Look::Same => {}
                Look::Renewed => tracing::info!(%file, "a new certificate is in use"),
                Look::Refused(error) => {
                    tracing::warn!(%file, %error, "the new certificate is not good; the old one stays in use");
                }
            }
        }
        let stale = self.all.iter().filter(|certificate| !certificate.is_fresh()).count();
        self.stale.set(i64::try_from(stale).unwrap_or(i64::MAX));
    }
}

impl Certificate {
    fn load(tls: &Tls) -> Result<Self, TlsError> {
        let seen = fingerprint(tls); // first, so that a change meanwhile is seen at the next look
        let in_use = Arc::new(certified_key(tls)?);
        Ok(Self { files: tls.clone(), state: RwLock::new(State { in_use, seen, fresh: true }) })
    }

    /// TLS 1.2 and 1.3 with whatever certificate is in use; clients may show one that `clients` signed.
    ///
    /// # Errors
    /// [`TlsError::Pair`], when there is nobody in `clients`.
    pub fn server_config(
        self: &Arc<Self>,
        clients: Option<RootCertStore>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(authority.into(), provider());
                let verifier = verifier.allow_unauthenticated().build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| rustls::Error::General(error.to_string()))?,
                )
            }
        };
        Ok(Arc::new(builder.with_cert_resolver(self.clone())))
    }

    /// Reads the files if they changed since the last look.
    fn look(&self) -> Look {
        let found = fingerprint(&self.files);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if found == state.seen {
            return Look::Same;
        }
        state.seen = found;
        match certified_key(&self.files) {
            Ok(key) => {
                (state.in_use, state.fresh) = (Arc::new(key), true);
                Look::Renewed
            }
            Err(error) => {
                state.fresh = false;
                Look::Refused(error)
            }
        }
    }

    fn is_fresh(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).fresh
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A look is one change, so what is in use is whole even if the thread that looked died.
        Some(self.state.read().unwrap_or_else(PoisonError::into_inner).in_use.clone())
    }
}

/// Of what the files hold; not secret, not against attackers: whoever writes the files has won already.
fn fingerprint(files: &Tls) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    for file in [&files.certificate, &files.key] {
        fs::read(file).ok()?.hash(&mut hasher);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests;
