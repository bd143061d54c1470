//! A stream that was promised to an asker, and the turn it takes on its connection.

use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use tokio::sync::{mpsc, oneshot};

use crate::error::AskError;

/// A stream for one question, and the turn that it takes.
pub(crate) type Asked = (Stream, Turn);

/// The promise of a stream. Dropped unkept (the connection ended), the asker is told so.
#[derive(Debug)]
pub(crate) struct Pledge {
    pub(crate) ready: oneshot::Sender<Result<Asked, AskError>>,
    pub(crate) turn: Turn,
}

/// One of the few questions that a connection carries at a time. When it is dropped, the node task
/// hears of it.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) connection: ConnectionId,
    /// Unbounded, and as short as there are turns: one word for each.
    pub(crate) over: mpsc::UnboundedSender<ConnectionId>,
}

impl Pledge {
    pub(super) fn keep(self, stream: Stream) {
        let _ = self.ready.send(Ok((stream, self.turn))); // The asker may have gone.
    }

    pub(super) fn fail(self, words: String) {
        let _ = self.ready.send(Err(AskError::Unreachable(words)));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.over.send(self.connection); // Fails only when the node task is gone.
    }
}
