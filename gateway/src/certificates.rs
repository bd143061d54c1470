//! The certificates of our doors: each in use as it last was good, and exchanged while the doors stand open.
//!
//! ```text
//! files ──a look each minute, or SIGHUP──► Shown ──► every handshake from then on
//!                 └ not good: the one before stays, the log says why once, a gauge says so until it is mended
//! an authority (acme) ─────────────────► Shown ──► the same, for all doors without files
//! ```
//!
//! Whoever renews certificates in files has nothing to tell the gateway. Deliberately absent: client authorities, which
//! change seldom enough for a restart.

pub mod acme;
mod facts;
mod files;
mod shown;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use control::{CertificateList, CertificateView, RenewalBegun, RenewalOrder, RenewalView};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Tls;
use crate::config::tls::TlsError;
use acme::{Acme, Wish};
use facts::Facts;
use files::{Files, Look};
pub use shown::Shown;

/// How often the files are looked at. They are small, and a certificate is renewed weeks before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How the certificate that an authority gives us is called, where others have their file.
const ACME: &str = "acme";

/// All certificates that are in use.
pub struct Certificates {
    files: RwLock<Vec<Files>>,
    acme: Option<Acme>,
    stale: Gauge,
    days_left: Family<CertificateLabel, Gauge>,
    clock: Clock,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabel {
    certificate: String,
}

impl Certificates {
    /// None yet but the one of `acme`, for doors without files.
    pub fn new(acme: Option<Acme>, clock: Clock) -> Self {
        Self { files: RwLock::default(), acme, stale: Gauge::default(), days_left: Family::default(), clock }
    }

    /// The same, and registers how long they last and how many in use are not what they should be.
    pub fn watched(acme: Option<Acme>, clock: Clock, registry: &mut Registry) -> Self {
        let certificates = Self::new(acme, clock);
        let root = registry.sub_registry_with_prefix("dccp");
        let help = "Certificates in use although they should have been replaced: new files that are not good, or an \
                    authority that gave no new one";
        root.register("certificates_stale", help, certificates.stale.clone());
        let help = "Whole days until a certificate ends, by its file or `acme`; negative afterwards";
        root.register("certificate_days_left", help, certificates.days_left.clone());
        certificates
    }

    /// The certificate of a door: of its files, which will be followed; without files of `acme`; otherwise none.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn of_door(&self, files: Option<&Tls>) -> Result<Option<Arc<Shown>>, TlsError> {
        let Some(files) = files else { return Ok(self.acme.as_ref().map(|acme| acme.shown().clone())) };
        let mut all = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.is_of(files)) {
            return Ok(Some(known.shown().clone()));
        }
        let loaded = Files::load(files)?;
        let shown = loaded.shown().clone();
        all.push(loaded);
        Ok(Some(shown))
    }

    /// The authority's part, if there is one.
    pub fn acme(&self) -> Option<&Acme> {
        self.acme.as_ref()
    }

    /// Looks at the files from time to time, and at once when the process gets SIGHUP, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                return tracing::error!(%error, "certificates are not followed: no signal can be heard");
            }
        };
        let mut clock = tokio::time::interval(LOOK_EVERY);
        let mut authority = self.acme.as_ref().map(|acme| acme.standing().clone());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => tracing::info!("SIGHUP: looking at the certificates"),
                () = news(&mut authority) => {}
                _ = clock.tick() => {}
            }
            self.look();
        }
    }

    fn look(&self) {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        for certificate in files.iter() {
            let file = certificate.path().display();
            match certificate.look() {
                Look::Same => {}
                Look::Renewed => tracing::info!(%file, "a new certificate is in use"),
                Look::Refused(error) => {
                    tracing::warn!(%file, %error, "the new certificate is not good; the old one stays in use");
                }
            }
        }
        drop(files);
        let now = (self.clock)();
        let mut stale = 0;
        for (name, facts, fault) in self.all() {
            stale += i64::from(fault.is_some());
            let label = CertificateLabel { certificate: name };
            self.days_left.get_or_create(&label).set(facts.map_or(0, |facts| facts.days_left(now)));
        }
        self.stale.set(stale);
    }

    /// Name, facts and fault of each; no facts of one that was made here or is not to be read.
    fn all(&self) -> Vec<(String, Option<Facts>, Option<String>)> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        let of_file = |certificate: &Files| {
            let facts = certificate.shown().now().end_entity_cert().ok().and_then(Facts::of);
            (certificate.path().display().to_string(), facts, certificate.fault())
        };
        let of_authority = |acme: &Acme| {
            let standing = acme.standing().borrow();
            (ACME.to_owned(), standing.facts.clone(), standing.failure.clone())
        };
        files.iter().map(of_file).chain(self.acme.iter().map(of_authority)).collect()
    }

    /// All certificates, for people.
    pub fn list(&self) -> CertificateList {
        let now = (self.clock)();
        let view = |(name, facts, fault): (String, Option<Facts>, Option<String>)| {
            let acme = self.acme.as_ref().filter(|_| name == ACME);
            let facts = facts.as_ref();
            CertificateView {
                names: facts.map(|facts| facts.names.clone()).unwrap_or_default(),
                issuer: facts.map(|facts| facts.issuer.clone()),
                not_after_ms: facts.map(|facts| facts.not_after.0),
                days_left: facts.map(|facts| facts.days_left(now)),
                key_sha256: facts.map(|facts| facts.key_sha256.clone()),
                renewal: acme.map(renewal),
                certificate: name,
                fault,
            }
        };
        CertificateList { certificates: self.all().into_iter().map(view).collect() }
    }

    /// Asks the authority for a new certificate now. `None` when there is none to ask.
    pub fn renew(&self, order: RenewalOrder) -> Option<RenewalBegun> {
        let attempt = self.acme.as_ref()?.wish(Wish { new_key: order.new_key });
        Some(RenewalBegun { attempt })
    }
}

fn renewal(acme: &Acme) -> RenewalView {
    let standing = acme.standing().borrow();
    RenewalView { attempts: standing.attempts, next_attempt_at_ms: standing.next.map(|at| at.0) }
}

/// Waits until the authority's part has something to tell; for ever where there is none, or no more.
async fn news(authority: &mut Option<watch::Receiver<acme::Standing>>) {
    let told = match authority {
        Some(standing) => standing.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
