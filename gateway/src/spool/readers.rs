//! Look-ups: a few read-only connections on blocking threads. In WAL mode they never wait for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::config::READERS_MAX;
use super::{SpoolError, database};

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), permits: Arc::new(Semaphore::new(READERS_MAX)) }
    }

    /// Runs a look-up on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Connection) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_closed| SpoolError::Closed)?;
        let readers = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            let conn = readers.borrow()?;
            let found = look(&conn);
            // A look-up that panicked never comes here: its connection is dropped, not used again.
            readers.lock().push(conn);
            drop(permit);
            found
        });
        match looked.await {
            Ok(found) => found,
            Err(failed) if failed.is_panic() => Err(SpoolError::Panicked),
            Err(_cancelled) => Err(SpoolError::Closed),
        }
    }

    /// No new look-ups; connections that are idle are closed.
    pub(super) fn close(&self) {
        self.permits.close();
        self.lock().clear();
    }

    fn borrow(&self) -> Result<Connection, SpoolError> {
        let idle = self.lock().pop();
        idle.map_or_else(|| database::open_reader(&self.path), Ok)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
