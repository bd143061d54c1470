//! A body of ours on its way in: a few chunks in the writer's hands, the rest with whoever seals them.

use std::collections::VecDeque;

use bytes::Bytes;
use rusqlite::params;
use tokio::sync::oneshot;

use super::LargeBody;
use crate::spool::config::{CHUNKS_UNANSWERED_MAX, MOVE_BYTES};
use crate::spool::desk::Desk;
use crate::spool::writer::Demand;
use crate::spool::{Spool, SpoolError, time};

/// A body on its way in. Has to live until a row refers to it: what is dropped before is swept.
pub struct Draft {
    spool: Spool,
    body: LargeBody,
    next: u32,
    /// Chunks that the writer has not answered for.
    unanswered: VecDeque<oneshot::Receiver<Result<(), SpoolError>>>,
}

impl Spool {
    /// Begins a body; nothing is written yet.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let body = LargeBody::fresh();
        self.drafts().lock().insert(body);
        Draft { spool: self.clone(), body, next: 0, unanswered: VecDeque::new() }
    }
}

impl Draft {
    /// Takes the next chunk. Comes back when it is in the writer's hands and at most [`CHUNKS_UNANSWERED_MAX`] are, so that
    /// the next one is sealed while these are synced.
    ///
    /// # Errors
    /// Temporary ones, of this chunk or one before: the body will never be whole.
    pub async fn put(&mut self, sealed: Bytes) -> Result<(), SpoolError> {
        if self.unanswered.len() >= CHUNKS_UNANSWERED_MAX {
            self.answered().await?;
        }
        let (body, n) = (self.body, self.next);
        self.next += 1;
        let bytes = MOVE_BYTES + sealed.len();
        let put = move |desk: &mut Desk<'_>| desk.put_own(body, n, &sealed);
        self.unanswered.push_back(self.spool.hand_in(bytes, Demand::Mail, put).await?);
        Ok(())
    }

    /// Waits until every chunk is durable, and gives the name by which a row refers to them.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn whole(&mut self) -> Result<LargeBody, SpoolError> {
        while !self.unanswered.is_empty() {
            self.answered().await?;
        }
        Ok(self.body)
    }

    async fn answered(&mut self) -> Result<(), SpoolError> {
        match self.unanswered.pop_front() {
            Some(answer) => answer.await.unwrap_or(Err(SpoolError::Closed)),
            None => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.spool.drafts().lock().remove(&self.body);
    }
}

impl Desk<'_> {
    fn put_own(&mut self, body: LargeBody, n: u32, sealed: &[u8]) -> Result<(), SpoolError> {
        self.conn
            .prepare_cached(
                "INSERT INTO large_bodies (id, standing, bytes, touched_at) VALUES (?1, 0, ?2, 0)
                 ON CONFLICT (id) DO UPDATE SET bytes = bytes + excluded.bytes",
            )?
            .execute(params![body, time::len_to_sql(sealed.len())])?;
        self.conn
            .prepare_cached("INSERT INTO chunks (body, n, sealed) VALUES (?1, ?2, ?3)")?
            .execute(params![body, n, sealed])?;
        self.effects.pass_through();
        Ok(())
    }
}
