//! How much may be under way on one stream: a count, a sum of bytes, and a share of the node's total.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The window of one stream. Both sides keep one: the sender waits for room before it sends, the
/// receiver before it reads, so a peer that ignores its own window only fills its own socket.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    messages: Arc<Semaphore>,
    bytes: Budget,
    total: Option<Budget>,
}

/// A sum of bytes shared by everybody who holds a clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
    max: u32,
}

/// Room for one message; dropping it gives the room back.
#[derive(Debug)]
pub(crate) struct Room {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    _total: Option<OwnedSemaphorePermit>,
}

/// The stream has ended: there will be no room any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Window {
    pub(crate) fn new(messages_max: usize, bytes_max: u32, total: Option<Budget>) -> Self {
        Window {
            messages: Arc::new(Semaphore::new(messages_max.clamp(1, Semaphore::MAX_PERMITS))),
            bytes: Budget::new(bytes_max),
            total,
        }
    }

    /// Waits, first come first served, until a message of `len` bytes has room. A message larger
    /// than the whole window gets it alone.
    pub(crate) async fn reserve(&self, len: usize) -> Result<Room, Closed> {
        let message = Arc::clone(&self.messages).acquire_owned().await.map_err(|_| Closed)?;
        let bytes = self.bytes.take(len).await?;
        let total = match &self.total {
            Some(budget) => Some(budget.take(len).await?),
            None => None,
        };
        Ok(Room { _message: message, _bytes: bytes, _total: total })
    }

    /// Ends all waiting in [`Window::reserve`], now and later.
    pub(crate) fn close(&self) {
        self.messages.close();
        self.bytes.bytes.close();
    }
}

impl Budget {
    pub(crate) fn new(max: u32) -> Self {
        let max = max.max(1);
        Budget { bytes: Arc::new(Semaphore::new(max as usize)), max }
    }

    /// Waits until `len` bytes are free; more than the whole budget gets it alone.
    pub(crate) async fn take(&self, len: usize) -> Result<OwnedSemaphorePermit, Closed> {
        let share = u32::try_from(len).unwrap_or(u32::MAX).min(self.max);
        Arc::clone(&self.bytes).acquire_many_owned(share).await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_count_is_a_limit() {
        let window = Window::new(2, 1000, None);
        let first = window.reserve(1).now_or_never().unwrap().unwrap();
        let _second = window.reserve(1).now_or_never().unwrap().unwrap();
        assert!(window.reserve(1).now_or_never().is_none());
        drop(first);
        assert!(window.reserve(1).now_or_never().is_some());
    }

    #[test]
    fn the_sum_of_bytes_is_a_limit() {
        let window = Window::new(100, 1000, None);
        let first = window.reserve(600).now_or_never().unwrap().unwrap();
        assert!(window.reserve(600).now_or_never().is_none());
        drop(first);
        assert!(window.reserve(600).now_or_never().is_some());
    }

    #[test]
    fn a_message_larger_than_the_window_travels_alone() {
        let window = Window::new(100, 1000, None);
        let small = window.reserve(1).now_or_never().unwrap().unwrap();
        assert!(window.reserve(5000).now_or_never().is_none());
        drop(small);
        let _large = window.reserve(5000).now_or_never().unwrap().unwrap();
        assert!(window.reserve(1).now_or_never().is_none());
    }

    #[test]
    fn streams_share_the_total() {
        let total = Budget::new(1000);
        let (a, b) = (Window::new(9, 900, Some(total.clone())), Window::new(9, 900, Some(total)));
        let first = a.reserve(900).now_or_never().unwrap().unwrap();
        assert!(b.reserve(900).now_or_never().is_none());
        drop(first);
        assert!(b.reserve(900).now_or_never().is_some());
    }

    #[test]
    fn a_closed_window_ends_the_waiting() {
        let window = Window::new(1, 10, None);
        window.close();
        assert!(window.reserve(1).now_or_never().unwrap().is_err());
    }
}
