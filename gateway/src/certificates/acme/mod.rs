//! The certificate that an authority gives us by itself (ACME, RFC 8555), for all doors that have none of their own.
//!
//! ```text
//! keys/acme/certificate ──► Shown ◄── a new certificate ◄── Order ◄── Renewal: two thirds of its term are over, its
//!   (sealed; a self-made        │                            │           names are others, or a person asks
//!    one while there is none)   ▼                            ▼
//!                     every door without files     the authority ─asks─► challenge: /.well-known/acme-challenge/…
//!                                                                        or acme-tls/1 at the HTTPS door
//! ```
//!
//! Invariants:
//! - Nothing waits for the authority: doors open with what is kept, or with a certificate made here, so that passwords
//!   and mail never cross in the clear; what is shown stays until there is a better one.
//! - Certificate, its key and the account's key rest sealed under the storage key, in one file each: key and certificate
//!   change together or not at all.
//! - The key stays the same from certificate to certificate until a person asks for a new one, so that a TLSA record
//!   `3 1 1` (RFC 7672 §8.1) goes on fitting.
//!
//! Deliberately absent: DNS challenges (DNS is not ours to write), renewal at the authority's hint (RFC 9773),
//! revocation, and one certificate for several gateways: each asks for its own.

mod challenge;
mod client;
mod errors;
mod folder;
mod order;
mod renewal;

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::shown::Shown;
use crate::clock::Clock;
use crate::config::tls::provider;
use crate::config::{self, Config};
use crate::custody::Vault;
use challenge::Challenges;
pub use errors::AcmeError;
use folder::{Folder, Kept};
use order::Order;
pub use renewal::Renewal;
pub(super) use renewal::Standing;

/// What the doors and the control API have of it.
pub struct Acme {
    shown: Arc<Shown>,
    challenges: Arc<Challenges>,
    standing: watch::Receiver<Standing>,
    asked: mpsc::Sender<Wish>,
    answers_at_https: bool,
}

/// A person wants a new certificate now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// With a new key, too.
    pub(super) new_key: bool,
}

/// Wishes that wait while an order is under way; whoever has more is answered with the last of them.
const WISHES_MAX: usize = 4;

impl Acme {
    /// With the certificate that is kept, or with one made here; [`Renewal::run`] then gets better ones.
    ///
    /// # Errors
    /// [`AcmeError`] when files of ours cannot be read. The authority is not asked.
    pub fn open(
        configured: &config::Acme,
        config: &Config,
        vault: Arc<Vault>,
        clock: Clock,
    ) -> Result<(Acme, Renewal), AcmeError> {
        let folder = Folder::beside(&config.keys.storage, vault);
        let names = config.certificate_names();
        let kept = folder.certificate().unwrap_or_else(|error| {
            tracing::error!(%error, "the certificate that was kept is lost; another one is asked for");
            None
        });
        let (facts, key) = kept.map(Kept::into_parts).unzip();
        let shown = Shown::new(key.map_or_else(|| self_made(&names), Ok)?);
        let (standing_in, standing) = watch::channel(Standing::new(facts));
        let (asked, wishes) = mpsc::channel(WISHES_MAX);
        let challenges = Arc::new(Challenges::default());
        let answers_at_https = configured.listen.is_empty();
        let order = Order::new(configured, config, folder, names, challenges.clone())?;
        let renewal = Renewal { order, shown: shown.clone(), standing: standing_in, wishes, clock };
        Ok((Acme { shown, challenges, standing, asked, answers_at_https }, renewal))
    }

    pub(super) fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    pub(super) fn standing(&self) -> &watch::Receiver<Standing> {
        &self.standing
    }

    /// Asks for a new certificate now; gives the number of the attempt that does it. It has ended when there were as many
    /// in [`Acme::standing`].
    pub(super) fn wish(&self, wish: Wish) -> u64 {
        let standing = self.standing.borrow();
        let waiting = (self.asked.max_capacity() - self.asked.capacity()) as u64;
        let before = standing.attempts + u64::from(standing.is_under_way) + waiting;
        // It fails when the queue is full, or when the gateway stops and nobody is answered any more.
        let is_one_more = self.asked.try_send(wish).is_ok();
        before + u64::from(is_one_more)
    }

    /// The HTTPS door, as it also answers the authority; as it is where the authority asks elsewhere.
    pub fn at_https(&self, config: Arc<ServerConfig>) -> Arc<ServerConfig> {
        if self.answers_at_https { self.challenges.at_https(config) } else { config }
    }

    /// Answers the authority by HTTP, and nobody anything else, until `stop`.
    pub fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        challenge::serve(listener, self.challenges.clone(), stop)
    }
}

/// For the time before the first certificate. Whoever verifies refuses it; nobody reads along.
fn self_made(names: &[String]) -> Result<CertifiedKey, AcmeError> {
    let made = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let key = KeyPair::generate().map_err(made)?;
    let params = CertificateParams::new(names.to_vec()).map_err(made)?;
    let certificate = params.self_signed(&key).map_err(made)?;
    with_key(vec![certificate.der().clone()], &key)
}

/// A chain and its key as rustls wants them.
fn with_key(
    chain: Vec<rustls_pki_types::CertificateDer<'static>>,
    key: &KeyPair,
) -> Result<CertifiedKey, AcmeError> {
    let certified = CertifiedKey::from_der(chain, key_der(key), &provider());
    certified.map_err(|error| AcmeError::Key(error.to_string()))
}

fn key_der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}
