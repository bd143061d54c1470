//! Octets of mail between memory and the spool. A mail of at most [`INLINE_BYTES_MAX`] octets stands in its row; of a larger one
//! only the reference does, and its octets rest beside as a large body.
//!
//! ```text
//! put_away  octets as they came ─ 256 KiB ─► sealed ─► spool, chunk by chunk ─► a reference for every row of the mail
//! fetch     spool, chunk by chunk ─► opened ─► one buffer of exactly the size, within a budget for all
//! Stored    the reference and what the gateway changed ─► the archive, agents' inboxes; read again chunk by chunk
//! ```
//!
//! Whoever has octets here has them once: nothing else copies them.

mod budget;
mod edit;
mod rendition;

use std::collections::VecDeque;
use std::ops::Deref;

use bytes::{Buf, Bytes};
use dccp::body::{BodyError, BodyOpener, BodyRef, BodySealer};
use dccp::limits::INLINE_BYTES_MAX;
use dccp::mail::{Content, Mail};
use futures::Stream;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;

use crate::custody::Vault;
use crate::flows::records::purpose;
use crate::spool::{Draft, DueRow, LargeBody, Spool, SpoolError};

use budget::{Budget, OPEN_BYTES_MAX};

pub use budget::Aside;
pub use edit::{Edit, Stored};
pub use rendition::{Rendering, Rendition};

/// The way of octets into the spool and out of it. Clones share one budget.
#[derive(Clone)]
pub struct Bodies {
    spool: Spool,
    budget: Budget,
}

/// A mail's octets, put away.
pub struct PutAway {
    /// What each row of the mail seals.
    pub content: Content,
    /// What each row of the mail refers to.
    pub large: Option<LargeBody>,
    /// Has to live until the rows are kept.
    _draft: Option<Draft>,
}

/// The octets of a mail in memory, with their share of the budget.
pub struct Octets {
    octets: Bytes,
    large: Option<LargeBody>,
    _open: Option<OwnedSemaphorePermit>,
}

/// Why octets could not be put away.
#[derive(Debug, thiserror::Error)]
pub enum PutAwayError {
    /// The spool could not keep them.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// There are more of them than a body has.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl Bodies {
    /// Large bodies rest in `spool`.
    pub fn new(spool: Spool) -> Self {
        Self { spool, budget: Budget::new() }
    }

    /// The same budget for another worker, whose tasks stand aside by themselves.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { spool: self.spool.clone(), budget: self.budget.apart() }
    }

    /// Who of this worker's tasks stands aside.
    pub fn aside(&self) -> Aside {
        self.budget.aside()
    }

    /// Puts the octets of a mail away, once for all its rows; `segments` are read as one.
    ///
    /// # Errors
    /// [`PutAwayError`]; what was written until then is swept.
    pub async fn put_away(&self, segments: Vec<Bytes>) -> Result<PutAway, PutAwayError> {
        let mut octets = Segments(segments.into());
        let size = octets.remaining();
        if size <= INLINE_BYTES_MAX {
            let content = Content::Inline(octets.copy_to_bytes(size));
            return Ok(PutAway { content, large: None, _draft: None });
        }
        let mut sealer = BodySealer::new(size as u64, &mut rand::rng())?;
        let mut draft = self.spool.draft();
        while let Some(sealed) = sealer.chunk(&mut octets)? {
            draft.put(sealed).await?;
        }
        let large = Some(draft.whole().await?);
        Ok(PutAway { content: Content::Body(sealer.finish()?), large, _draft: Some(draft) })
    }

    /// The octets of a mail; `large` is what its row refers to. The inner error: they are not what the reference says.
    ///
    /// # Errors
    /// The spool's only.
    pub async fn fetch(
        &self,
        content: &Content,
        large: Option<LargeBody>,
    ) -> Result<Result<Octets, BodyError>, SpoolError> {
        match (content, large) {
            (Content::Inline(octets), _) => {
                Ok(Ok(Octets { octets: octets.clone(), large: None, _open: None }))
            }
            (Content::Body(body), Some(large)) => self.open(body, large).await,
            (Content::Body(_), None) => Ok(Err(BodyError::Missing(0))),
        }
    }

    /// The mail that waits in a row of ours, sealed to ourselves, with its octets; `None` when it is not readable any more.
    ///
    /// # Errors
    /// The spool's only.
    pub async fn fetch_own(&self, vault: &Vault, due: &DueRow) -> Result<Option<(Mail, Octets)>, SpoolError> {
        let Some(mail) = own(vault, due) else { return Ok(None) };
        let octets = self.fetch(&mail.content, due.row.large).await?;
        Ok(octets.ok().map(|octets| (mail, octets)))
    }

    async fn open(&self, body: &BodyRef, large: LargeBody) -> Result<Result<Octets, BodyError>, SpoolError> {
        // With the padding: the buffer must not grow, for then it would be two.
        let room = usize::try_from(body.outline().sealed_bytes).unwrap_or(OPEN_BYTES_MAX);
        let open = self.budget.share(room).await;
        let mut opener = match BodyOpener::new(body) {
            Ok(opener) => opener,
            Err(error) => return Ok(Err(error)),
        };
        let mut clear = Vec::with_capacity(room);
        for n in 0..body.outline().chunks() {
            let Some(sealed) = self.spool.chunk(large, n).await? else {
                return Ok(Err(BodyError::Missing(n)));
            };
            if let Err(error) = opener.chunk(&sealed, &mut clear) {
                return Ok(Err(error));
            }
        }
        Ok(opener.finish().map(|()| Octets { octets: clear.into(), large: Some(large), _open: open }))
    }
}

/// The mail that waits in a row of ours, sealed to ourselves, perhaps without its octets.
pub fn own(vault: &Vault, due: &DueRow) -> Option<Mail> {
    let clear = vault.open(purpose::MAIL, &due.body).ok()?;
    Mail::decode(Bytes::copy_from_slice(&clear)).ok()
}

/// The chunks of a body as they rest, for the road: one at a time, when it is wanted.
pub fn chunks(spool: Spool, body: LargeBody) -> BoxStream<'static, Result<Bytes, String>> {
    let next = move |n: u32| {
        let spool = spool.clone();
        async move {
            let chunk = spool.chunk(body, n).await.map_err(|error| error.to_string())?;
            Ok(chunk.map(|chunk| (chunk, n + 1)))
        }
    };
    stream::try_unfold(0, next).boxed()
}

/// Why the octets of a mail that is read from a large body break off.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The spool could not give a chunk.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The chunks are gone, or are not what the mail's maker kept.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// The octets of a mail that is read from a large body, a chunk in memory at a time.
///
/// # Errors
/// [`BodyError::Encryption`].
pub fn rendered(
    spool: Spool,
    large: LargeBody,
    rendition: Rendition,
) -> Result<impl Stream<Item = Result<Bytes, RenderError>> + use<>, BodyError> {
    Ok(stream::try_unfold(rendition.begin()?, move |mut rendering| {
        let spool = spool.clone();
        async move {
            let Some(n) = rendering.wants() else { return Ok(None) };
            let sealed = spool.chunk(large, n).await?.ok_or(BodyError::Missing(n))?;
            let octets = Bytes::from(rendering.chunk(&sealed)?);
            Ok(Some((octets, rendering)))
        }
    }))
}

impl Octets {
    /// The large body that they were read from.
    pub fn large(&self) -> Option<LargeBody> {
        self.large
    }
}

impl Deref for Octets {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.octets
    }
}

/// Several pieces, read as one.
struct Segments(VecDeque<Bytes>);

impl Buf for Segments {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map(Bytes::as_ref).unwrap_or_default()
    }

    fn advance(&mut self, mut octets: usize) {
        while let Some(first) = self.0.front_mut() {
            let here = octets.min(first.len());
            first.advance(here);
            octets -= here;
            if !first.is_empty() {
                break;
            }
            self.0.pop_front();
        }
    }
}
