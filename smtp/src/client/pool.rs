//! Connections that are used again, for the same server, under the same protection and login.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Envelope, HandOverError, HandedOver, Target, connection::Connection, content::Content, inquiry, opening,
    transaction,
};
use crate::address::{Address, ReversePath};
use crate::reply::Reply;

/// Up to `connections_max` connections to one server. Dropping the pool says QUIT on the idle ones.
#[derive(Debug)]
pub struct Pool {
    target: Target,
    /// One permit for each transaction in progress.
    turns: Semaphore,
    /// Most recently used last, and taken from there, so that surplus connections grow old and leave.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// Connects to nothing yet.
    pub fn new(target: Target) -> Self {
        let turns = Semaphore::new(target.connections_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { target, turns, idle: Mutex::default() }
    }

    /// Where this pool delivers to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Hands one message over; waits for a free connection first, without limit.
    ///
    /// `octets` are the segments of the message (trace header, then the message as it came); the wire sees
    /// them as one.
    ///
    /// Dropping the future is safe at any point: the connection is closed, and a server that has not seen the
    /// final dot does not deliver (RFC 5321 §4.1.1.4).
    ///
    /// # Errors
    /// [`HandOverError`] when nothing can be said about single recipients.
    pub async fn hand_over(
        &self,
        envelope: &Envelope,
        octets: &[Bytes],
    ) -> Result<HandedOver, HandOverError> {
        let content = Content::check(octets)?;
        if envelope.reverse_path.parse::<ReversePath>().is_err() {
            return Err(HandOverError::ReversePath);
        }
        if envelope.forward_paths.is_empty() {
            return Ok(HandedOver::default());
        }
        // The semaphore is never closed, so this cannot fail; and without a turn no harm would come of it.
        let _turn = self.turns.acquire().await.ok();
        if let Some(mut connection) = self.reuse().await {
            match self.attempt(&mut connection, envelope, &content).await {
                // The server had hung up in the meantime, and that was all there was to it.
                Err(_) if !connection.answered => {}
                result => {
                    self.keep(connection);
                    return result;
                }
            }
        }
        let mut connection = opening::open(&self.target).await?;
        let result = self.attempt(&mut connection, envelope, &content).await;
        self.keep(connection);
        result
    }

    /// The server's reply to `RCPT TO` for this recipient, from the null sender and without a message: whether it would take
    /// mail for it. Waits for a free connection first, without limit.
    ///
    /// # Errors
    /// [`HandOverError`] when the server did not come to the recipient, which says nothing about it.
    pub async fn would_take(&self, recipient: &Address) -> Result<Reply, HandOverError> {
        let _turn = self.turns.acquire().await.ok();
        loop {
            let (mut connection, is_fresh) = match self.reuse().await {
                Some(connection) => (connection, false),
                None => (opening::open(&self.target).await?, true),
            };
            connection.answered = false;
            let result = inquiry::run(&mut connection, recipient).await;
            connection.spent |= result.is_err();
            // As above: the server had hung up in the meantime. There are only so many idle connections.
            let is_over = is_fresh || result.is_ok() || connection.answered;
            self.keep(connection);
            if is_over {
                return result;
            }
        }
    }

    async fn attempt(
        &self,
        connection: &mut Connection,
        envelope: &Envelope,
        content: &Content<'_>,
    ) -> Result<HandedOver, HandOverError> {
        connection.answered = false;
        connection.served += 1;
        let result = transaction::run(connection, envelope, content).await;
        connection.spent |= result.is_err();
        let (tls, tls_failure) = (connection.tls.clone(), connection.tls_failure.clone());
        result.map(|outcomes| HandedOver { outcomes, tls, tls_failure })
    }

    /// The youngest idle connection that still looks alive; those too old or dead are let go.
    async fn reuse(&self) -> Option<Connection> {
        // Gives the runtime a chance to look at its sockets, or a hang-up of just now would go unnoticed.
        tokio::task::yield_now().await;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { mut connection, since }) = idle.pop() {
            if connection.is_reusable() && since.elapsed() < self.target.timeouts.idle {
                return Some(connection);
            }
            connection.part();
        }
        None
    }

    fn keep(&self, mut connection: Connection) {
        if !connection.is_reusable() {
            return;
        }
        if connection.served >= self.target.messages_max {
            return connection.part();
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle { connection, since: Instant::now() });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(self.idle.get_mut().unwrap_or_else(PoisonError::into_inner));
        idle.into_iter().for_each(|Idle { connection, .. }| connection.part());
    }
}
