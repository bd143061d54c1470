//! Where bundles come from: anything that can be asked for the records of a DID.

use std::sync::Arc;

use async_trait::async_trait;
use dccp::Did;

use crate::{FetchError, Https, Mirror};

/// A bundle in octets: the largest log, manifest, nodes and prekeys that `dccp::limits` allow fit with room to spare.
pub const BUNDLE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A place that may know the bundle of a DID: the overlay, an HTTPS mirror. What it answers is verified, whoever it is.
#[async_trait]
pub trait Source: Send + Sync {
    /// A word for logs and for administrators.
    fn name(&self) -> &'static str;

    /// The octets of the bundle, at most [`BUNDLE_BYTES_MAX`]. `nodes` are multiaddrs where nodes of a stranger may be
    /// found, as its domain says; empty when the DID alone is known. The caller bounds the time.
    async fn fetch(&self, did: &Did, nodes: &[String]) -> Result<Vec<u8>, SourceError>;
}

/// Why a source gives no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Theirs: it answers with what no source may answer.
    #[error("misbehaves: {0}")]
    Misbehaved(String),
    /// Nobody's: it says that it does not know the DID.
    #[error("does not know the DID")]
    NotFound,
    /// The network's, or its own for now.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

impl From<FetchError> for SourceError {
    fn from(error: FetchError) -> Self {
        match error {
            _ if error.is_temporary() => Self::Unreachable(error.to_string()),
            _ if error.is_absence() => Self::NotFound,
            other => Self::Misbehaved(other.to_string()),
        }
    }
}

/// Which mirror keeps the bundle of a DID, as far as it is known.
pub type MirrorOf = dyn Fn(&Did) -> Option<Mirror> + Send + Sync;

/// The HTTPS mirrors of the organisations: `/.well-known/dccp/did/<id>.cbor`.
pub struct HttpsMirror {
    https: Arc<Https>,
    mirror_of: Box<MirrorOf>,
}

impl HttpsMirror {
    /// A source that asks for each DID the mirror that `mirror_of` names.
    pub fn new(
        https: Arc<Https>,
        mirror_of: impl Fn(&Did) -> Option<Mirror> + Send + Sync + 'static,
    ) -> Self {
        Self { https, mirror_of: Box::new(mirror_of) }
    }
}

#[async_trait]
impl Source for HttpsMirror {
    fn name(&self) -> &'static str {
        "https"
    }

    async fn fetch(&self, did: &Did, _nodes: &[String]) -> Result<Vec<u8>, SourceError> {
        let mirror = (self.mirror_of)(did).ok_or(SourceError::NotFound)?;
        Ok(self.https.fetch(&mirror, &Mirror::bundle_path(did), BUNDLE_BYTES_MAX).await?)
    }
}
