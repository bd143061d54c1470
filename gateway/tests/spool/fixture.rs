//! A spool in a directory of its own, and rows to put into it.

use std::path::PathBuf;
use std::sync::mpsc;

use bytes::Bytes;
use gateway::spool::{
    Direction, Kind, NewRow, Note, RowId, Settlement, Spool, SpoolConfig, SpoolError, SpoolGuard, Stage,
    State, Turn, UnixMillis,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The moment at which the tests begin.
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// The time to live of the rows here.
pub(crate) const TTL_MS: u64 = 3_600_000;

pub(crate) const GLOBEX: &str = "did:dccp:1globex";
pub(crate) const INITECH: &str = "did:dccp:1initech";

pub(crate) struct House {
    pub(crate) spool: Spool,
    guard: Option<SpoolGuard>,
    config: SpoolConfig,
    dir: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(SpoolConfig { free_bytes_min: 0, ..SpoolConfig::default() })
    }

    pub(crate) fn with(config: SpoolConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (spool, guard) = Spool::open(dir.path().join("gateway.db"), config.clone()).unwrap();
        Self { spool, guard: Some(guard), config, dir }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("gateway.db")
    }

    /// A stop, and a start with other settings.
    pub(crate) async fn restart_with(&mut self, config: SpoolConfig) {
        self.config = config;
        self.restart().await;
    }

    /// A stop and a start.
    pub(crate) async fn restart(&mut self) {
        self.guard.take().unwrap().close().await;
        let (spool, guard) = Spool::open(self.path(), self.config.clone()).unwrap();
        self.spool = spool;
        self.guard = Some(guard);
    }

    /// Keeps one row and returns its id.
    pub(crate) async fn keep(&self, row: NewRow) -> RowId {
        let id = row.id;
        let note = Note::new(row.now, Stage::Received, "by a test");
        self.spool.accept(vec![row], vec![(id, note)]).await.unwrap();
        id
    }

    /// Everything that is due at `now`, taken.
    pub(crate) async fn due_ids(&self, direction: Direction, now: UnixMillis) -> Vec<RowId> {
        let due = self.spool.due(direction, None, now, 1_000, usize::MAX).await.unwrap();
        due.iter().map(|due| due.row.id).collect()
    }

    pub(crate) async fn state(&self, id: RowId) -> State {
        self.spool.by_row_id(id).await.unwrap().unwrap().state
    }

    pub(crate) async fn stages(&self, id: RowId) -> Vec<Stage> {
        self.spool.journal(id).await.unwrap().iter().map(|note| note.stage).collect()
    }

    /// Puts the row into the state by the way it would take.
    pub(crate) async fn bring_to(&self, id: RowId, state: State) {
        match state {
            State::Queued => {}
            State::Sent => drop(self.spool.sent(id, vec![]).await.unwrap()),
            State::Held => drop(self.spool.hold(id, None, vec![]).await.unwrap()),
            end => drop(self.spool.settle(Settlement::plain(id, end, vec![])).await.unwrap()),
        }
    }

    /// Keeps the writer busy until the returned end is dropped, so that what is asked meanwhile shares a batch.
    pub(crate) async fn occupy_writer(&self) -> (mpsc::Sender<()>, JoinHandle<Result<(), SpoolError>>) {
        let (release, released) = mpsc::channel::<()>();
        let (busy, is_busy) = tokio::sync::oneshot::channel();
        let spool = self.spool.clone();
        let job = tokio::spawn(async move {
            spool
                .write(move |_conn| {
                    let _ = busy.send(());
                    let _ = released.recv();
                    Ok(())
                })
                .await
        });
        is_busy.await.unwrap();
        (release, job)
    }
}

/// A mail to globex, due now.
pub(crate) fn mail() -> NewRow {
    let id = RowId::fresh();
    NewRow {
        id,
        queue_id: format!("q{}", id.0.simple()),
        direction: Direction::Out,
        kind: Kind::Mail,
        partner: Some(GLOBEX.to_owned()),
        partner_domain: "globex.example".to_owned(),
        body: Bytes::from(vec![0xAB; 12_000]),
        large: None,
        slip: Some(b"a sealed slip".to_vec()),
        summary: b"a sealed summary".to_vec(),
        message_id_tag: None,
        digest: digest_of(id.0),
        sealed_to: None,
        size: 11_000,
        now: NOW,
        next_at: NOW,
        expires_at: NOW.saturating_add_ms(TTL_MS),
        state: State::Queued,
        held_by: None,
        turn: Turn::default(),
        leased: false,
    }
}

/// A sealed message from globex, due now.
pub(crate) fn arrival() -> NewRow {
    NewRow { direction: Direction::In, kind: Kind::Unopened, slip: None, ..mail() }
}

pub(crate) fn digest_of(id: Uuid) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(id.as_bytes());
    digest
}

pub(crate) fn later(ms: u64) -> UnixMillis {
    NOW.saturating_add_ms(ms)
}

pub(crate) fn note(stage: Stage) -> Vec<Note> {
    vec![Note::new(NOW, stage, "")]
}
