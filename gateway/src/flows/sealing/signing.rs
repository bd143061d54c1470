//! One thread signs for the house: alone when there is one message, otherwise all that wait under one signature.
//!
//! ```text
//! drafts ──► channel ──► take what waits (≤ 64) ─► one signature ─► each draft back with its evidence
//! ```
//!
//! There is no timer: while one signature is being made the next messages gather by themselves. So nobody waits longer
//! than two signatures take (well below the 5 ms of protocol §5), and a message by itself waits for nothing.

use std::sync::Arc;

use dccp::Suite;
use dccp::batch::{self, Evidence};
use dccp::limits::BATCH_MESSAGES_MAX;
use dccp::seal::Draft;
use tokio::sync::{mpsc, oneshot};

use super::SealingError;
use crate::custody::Custody;

/// Drafts that may wait for the thread; callers beyond wait in their own tasks. Four full batches never leave it idle.
const DRAFTS_WAITING_MAX: usize = 4 * BATCH_MESSAGES_MAX;

/// The way to the thread. It ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Signing(mpsc::Sender<Job>);

struct Job {
    draft: Draft,
    reply: oneshot::Sender<(Draft, Result<Evidence, SealingError>)>,
}

impl Signing {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn start(custody: Arc<Custody>) -> std::io::Result<Signing> {
        let (jobs, inbox) = mpsc::channel(DRAFTS_WAITING_MAX);
        let run = move || sign_until_closed(inbox, &custody);
        std::thread::Builder::new().name("signing".to_owned()).spawn(run)?;
        Ok(Signing(jobs))
    }

    /// The draft with the evidence that our device signed it.
    ///
    /// # Errors
    /// [`SealingError`].
    pub(super) async fn sign(&self, draft: Draft) -> Result<(Draft, Evidence), SealingError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Job { draft, reply }).await.map_err(|_| SealingError::Stopped)?;
        let (draft, signed) = answer.await.map_err(|_| SealingError::Stopped)?;
        Ok((draft, signed?))
    }
}

fn sign_until_closed(mut inbox: mpsc::Receiver<Job>, custody: &Custody) {
    let mut jobs = Vec::with_capacity(BATCH_MESSAGES_MAX);
    while inbox.blocking_recv_many(&mut jobs, BATCH_MESSAGES_MAX) > 0 {
        for suite in Suite::ALL {
            let (of_suite, others) = jobs.into_iter().partition(|job| job.draft.to().suite == suite);
            jobs = others;
            sign(of_suite, suite, custody);
        }
        jobs.clear();
    }
}

/// Signs messages of one suite. A caller that has gone away wants no signature.
fn sign(mut jobs: Vec<Job>, suite: Suite, custody: &Custody) {
    if let [_alone] = jobs.as_slice() {
        for Job { draft, reply } in jobs {
            let signed = draft.sign(custody.device()).map_err(SealingError::Seal);
            _ = reply.send((draft, signed));
        }
        return;
    }
    if jobs.is_empty() {
        return;
    }
    let leaves: Vec<_> = jobs.iter().map(|job| job.draft.leaf()).collect();
    let signed: Vec<Result<Evidence, SealingError>> = match batch::sign(&leaves, suite, custody.device()) {
        Ok(evidence) => evidence.into_iter().map(Ok).collect(),
        Err(error) => jobs.iter().map(|_| Err(error.into())).collect(),
    };
    for (Job { draft, reply }, signed) in jobs.drain(..).zip(signed) {
        _ = reply.send((draft, signed));
    }
}
