//! Bundles that sources offered, verified each for itself.

use std::sync::Arc;
use std::time::Duration;

use dccp::did::DidDocument;
use dccp::partner::{PartnerError, PartnerFile, VerifiedPartner};
use dccp::{Did, UnixMillis};
use futures::future::join_all;

use super::source::{BUNDLE_BYTES_MAX, Source, SourceError};

/// Why what a source offered does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Theirs or an attacker's: the records do not verify.
    #[error("not acceptable: {0}")]
    Invalid(PartnerError),
    /// Theirs or an attacker's: records of another DID.
    #[error("records of another DID")]
    OtherDid,
    /// Theirs: larger than any bundle.
    #[error("larger than {BUNDLE_BYTES_MAX} octets")]
    TooLarge,
    /// Theirs or an attacker's: a device manifest that was replaced already.
    #[error("manifest epoch {offered}, but {known} was seen")]
    Regressed {
        /// The epoch we have seen.
        known: u64,
        /// The epoch offered.
        offered: u64,
    },
    /// An attacker's, most likely: a branch of the log that the recovery keys have cut off.
    #[error("a branch that was cut off at operation {at_seq}")]
    CutOff {
        /// The first operation of the branch.
        at_seq: u64,
    },
    /// Nobody's: the beginning of a log whose continuation we know.
    #[error("stale: we know a longer log")]
    Stale,
    /// The source gave nothing.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Refusal {
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Source(SourceError::Unreachable(_)))
    }
}

/// A bundle whose log and manifest verify, at some time at least.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) bundle: PartnerFile,
    pub(crate) document: DidDocument,
    /// The epoch of its manifest.
    pub(crate) epoch: u64,
    /// None when it verified once and has expired since: good for comparing, not for use.
    pub(crate) partner: Option<VerifiedPartner>,
}

impl Candidate {
    /// Verifies everything in a bundle that somebody offers.
    pub(crate) fn offered(bytes: Vec<u8>, did: &Did, now: UnixMillis) -> Result<Self, Refusal> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let bundle = PartnerFile::from_bytes(&bytes).map_err(Refusal::Invalid)?;
        if bundle.log.did() != *did {
            return Err(Refusal::OtherDid);
        }
        let partner = bundle.verify(now).map_err(Refusal::Invalid)?;
        let epoch = partner.devices.epoch();
        Ok(Self {
            bytes: bytes.into(),
            bundle,
            document: partner.document.clone(),
            epoch,
            partner: Some(partner),
        })
    }

    /// Reads a bundle that was verified before it was kept. What has expired since still says what we have seen.
    pub(crate) fn kept(bytes: Vec<u8>, epoch: u64, did: &Did, now: UnixMillis) -> Option<Self> {
        let bundle = PartnerFile::from_bytes(&bytes).ok().filter(|bundle| bundle.log.did() == *did)?;
        let document = bundle.log.verify().ok()?;
        Some(Self { bytes: bytes.into(), epoch, partner: bundle.verify(now).ok(), bundle, document })
    }
}

/// What each source offered, by its name.
pub(crate) type Offers = Vec<(&'static str, Result<Candidate, Refusal>)>;

/// Asks every source at the same time and verifies what comes within `wait`.
pub(crate) async fn gather(
    sources: &[Arc<dyn Source>],
    did: &Did,
    nodes: &[String],
    wait: Duration,
    now: UnixMillis,
) -> Offers {
    join_all(sources.iter().map(|source| async move {
        let offer = match tokio::time::timeout(wait, source.fetch(did, nodes)).await {
            Ok(Ok(bytes)) => verify_apart(bytes, did.clone(), now).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(SourceError::Unreachable("too slow".into()).into()),
        };
        (source.name(), offer)
    }))
    .await
}

/// A log of 2 MiB takes tens of milliseconds to verify: not on the threads that serve connections.
pub(crate) async fn verify_apart(bytes: Vec<u8>, did: Did, now: UnixMillis) -> Result<Candidate, Refusal> {
    let verified = tokio::task::spawn_blocking(move || Candidate::offered(bytes, &did, now)).await;
    verified.unwrap_or_else(|error| Err(SourceError::Unreachable(error.to_string()).into()))
}
