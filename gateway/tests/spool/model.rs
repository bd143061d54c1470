//! Random sequences of requests against the simplest thing that could be right: a map in memory.

use std::collections::{BTreeMap, BTreeSet};

use gateway::spool::{
    Arrival, Count, Counts, Direction, Moved, NewRow, Note, Partly, PendingReceipt, RowId, Settlement,
    SpoolError, Stage, State, UnixMillis,
};
use proptest::prelude::*;

use crate::fixture::{GLOBEX, House, NOW, arrival, mail};

/// A request. Numbers pick one of the rows that there are.
#[derive(Debug, Clone)]
enum Step {
    Accept { delay_ms: u64, held: bool, leased: bool },
    Arrive { digest: u8 },
    Due { inbound: bool, limit: usize },
    Sent(usize),
    Defer { row: usize, delay_ms: u64 },
    Progress { row: usize, delay_ms: u64 },
    Hold(usize),
    ReleaseDomain,
    GiveBack(usize),
    Settle { row: usize, state: State, receipt: bool, replay_key: u8, begets: bool },
    Wait(u64),
    Restart,
    Purge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = 0..30_usize;
    let delay = 0..5_u64;
    let end = prop_oneof![Just(State::Delivered), Just(State::Failed), Just(State::Expired)];
    let step = prop_oneof![
        6 => (delay.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(delay_ms, held, leased)| Step::Accept { delay_ms, held: held && delay_ms == 0, leased }),
        4 => (0..12_u8).prop_map(|digest| Step::Arrive { digest }),
        6 => (any::<bool>(), 0..4_usize).prop_map(|(inbound, limit)| Step::Due { inbound, limit }),
        4 => row.clone().prop_map(Step::Sent),
        3 => (row.clone(), delay.clone()).prop_map(|(row, delay_ms)| Step::Defer { row, delay_ms }),
        2 => (row.clone(), delay.clone()).prop_map(|(row, delay_ms)| Step::Progress { row, delay_ms }),
        2 => row.clone().prop_map(Step::Hold),
        1 => Just(Step::ReleaseDomain),
        3 => row.clone().prop_map(Step::GiveBack),
        6 => (row, end, any::<bool>(), 0..6_u8, any::<bool>()).prop_map(|(row, state, receipt, replay_key, begets)| {
            Step::Settle { row, state, receipt, replay_key, begets }
        }),
        3 => (1..4_u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Purge),
    ];
    proptest::collection::vec(step, 1..60)
}

#[derive(Debug, Clone)]
struct Kept {
    direction: Direction,
    state: State,
    next_at: UnixMillis,
    bytes: u64,
    notes: usize,
    leased: bool,
}

/// What the spool should know.
#[derive(Default)]
struct Model {
    rows: BTreeMap<RowId, Kept>,
    digests: BTreeSet<u8>,
    receipts: usize,
    replay_keys: BTreeSet<u8>,
}

impl Model {
    fn pick(&self, row: usize) -> Option<RowId> {
        self.rows.keys().nth(row).copied()
    }

    fn add(&mut self, new: &NewRow, notes: usize) {
        let kept = Kept {
            direction: new.direction,
            state: new.state,
            next_at: new.next_at,
            bytes: new.body.len() as u64,
            notes,
            leased: new.leased,
        };
        self.rows.insert(new.id, kept);
    }

    /// What a move answers, and the row changed accordingly.
    fn moves(&mut self, id: RowId, to: State, next_at: Option<UnixMillis>) -> Result<Moved, SpoolError> {
        let row = self.rows.get_mut(&id).unwrap();
        if row.state.is_final() {
            row.leased = false;
            return Ok(Moved::AlreadyFinal(row.state));
        }
        let may = match (row.state, to) {
            (_, end) if end.is_final() => true,
            (State::Queued | State::Sent, State::Sent) => row.direction == Direction::Out,
            (State::Queued | State::Sent, State::Queued) | (State::Queued | State::Held, State::Held) => true,
            _ => false,
        };
        if !may {
            return Err(SpoolError::ImpossibleMove { from: row.state.as_str(), to });
        }
        row.state = to;
        row.next_at = next_at.unwrap_or(row.next_at);
        row.notes += 1;
        row.leased = false;
        if to.is_final() {
            row.bytes = 0;
        }
        Ok(Moved::Done)
    }

    /// The rows that a look would hand out, in order.
    fn due(&mut self, direction: Direction, now: UnixMillis, limit: usize) -> Vec<RowId> {
        let free = |row: &Kept| {
            row.direction == direction && row.state == State::Queued && row.next_at <= now && !row.leased
        };
        let mut due: Vec<_> =
            self.rows.iter().filter(|(_, row)| free(row)).map(|(id, row)| (row.next_at, *id)).collect();
        due.sort();
        due.truncate(limit);
        let ids: Vec<RowId> = due.into_iter().map(|(_, id)| id).collect();
        for id in &ids {
            self.rows.get_mut(id).unwrap().leased = true;
        }
        ids
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for row in self.rows.values() {
            let count: &mut Count = counts.entry((row.direction, row.state)).or_default();
            count.rows += 1;
            count.bytes += row.bytes;
        }
        counts
    }
}

/// Takes one step in both worlds and compares the answers.
async fn take(house: &mut House, model: &mut Model, now: &mut UnixMillis, step: Step) {
    let note = |stage| vec![Note::new(*now, stage, "")];
    match step {
        Step::Accept { delay_ms, held, leased } => {
            let state = if held { State::Held } else { State::Queued };
            let row =
                NewRow { state, leased, next_at: now.saturating_add_ms(delay_ms), body: small(), ..mail() };
            house.keep(row.clone()).await;
            model.add(&row, 1);
        }
        Step::Arrive { digest } => {
            let row = NewRow { digest: [digest; 32], next_at: *now, body: small(), ..arrival() };
            let fresh = model.digests.insert(digest);
            let expected = if fresh { Arrival::Fresh { claimed: None } } else { Arrival::Duplicate };
            assert_eq!(house.spool.arrive(row.clone(), note(Stage::Arrived)).await, Ok(expected));
            if fresh {
                model.add(&row, 1);
            }
        }
        Step::Due { inbound, limit } => {
            let direction = if inbound { Direction::In } else { Direction::Out };
            let due = house.spool.due(direction, None, *now, limit, usize::MAX).await.unwrap();
            let due: Vec<RowId> = due.iter().map(|due| due.row.id).collect();
            assert_eq!(due, model.due(direction, *now, limit));
        }
        Step::Sent(row) => {
            let Some(id) = model.pick(row) else { return };
            assert_eq!(house.spool.sent(id, note(Stage::Sent)).await, model.moves(id, State::Sent, None));
        }
        Step::Defer { row, delay_ms } => {
            let Some(id) = model.pick(row) else { return };
            let next_at = now.saturating_add_ms(delay_ms);
            let expected = model.moves(id, State::Queued, Some(next_at));
            assert_eq!(house.spool.defer(id, next_at, note(Stage::Deferred)).await, expected);
        }
        Step::Progress { row, delay_ms } => {
            let Some(id) = model.pick(row) else { return };
            let next_at = now.saturating_add_ms(delay_ms);
            let expected = model.moves(id, State::Queued, Some(next_at));
            assert_eq!(
                house.spool.progress(id, next_at, Partly::of(vec![1]), note(Stage::HandedOver)).await,
                expected
            );
        }
        Step::Hold(row) => {
            let Some(id) = model.pick(row) else { return };
            assert_eq!(
                house.spool.hold(id, None, note(Stage::Held)).await,
                model.moves(id, State::Held, None)
            );
        }
        Step::ReleaseDomain => {
            let held = model.rows.values_mut().filter(|row| row.state == State::Held);
            let released = held
                .map(|row| {
                    row.state = State::Queued;
                    row.next_at = *now;
                    row.leased = false;
                    row.notes += 1;
                })
                .count();
            assert_eq!(house.spool.release_held("globex.example", *now).await, Ok(released as u64));
        }
        Step::GiveBack(row) => {
            let Some(id) = model.pick(row) else { return };
            house.spool.release(id);
            model.rows.get_mut(&id).unwrap().leased = false;
        }
        Step::Settle { row, state, receipt, replay_key, begets } => {
            let Some(id) = model.pick(row) else { return };
            let report =
                NewRow { kind: gateway::spool::Kind::Report, body: small(), next_at: *now, ..arrival() };
            let end = Settlement {
                replay_key: Some([replay_key; 32]),
                receipt: receipt
                    .then(|| PendingReceipt { partner: GLOBEX.to_owned(), sealed_receipt: vec![1] }),
                new_rows: if begets { vec![report.clone()] } else { vec![] },
                ..Settlement::plain(id, state, note(Stage::Delivered))
            };
            let expected = model.moves(id, state, None);
            if expected == Ok(Moved::Done) {
                model.receipts += usize::from(receipt);
                model.replay_keys.insert(replay_key);
                if begets {
                    model.add(&report, 1);
                }
            }
            assert_eq!(house.spool.settle(end).await, expected);
        }
        Step::Wait(ms) => *now = now.saturating_add_ms(ms),
        Step::Restart => {
            house.restart().await;
            model.rows.values_mut().for_each(|row| row.leased = false);
        }
        Step::Purge => {
            // Within the retention: nothing may go.
            assert_eq!(house.spool.purge(*now).await.unwrap().rows, 0);
        }
    }
}

async fn compare(house: &House, model: &Model) {
    assert_eq!(house.spool.counts().await.unwrap(), model.counts());
    assert_eq!(house.spool.leased(), model.rows.values().filter(|row| row.leased).count());
    assert_eq!(house.spool.receipts_pending(GLOBEX, 1_000).await.unwrap().len(), model.receipts);
    for key in 0..6 {
        assert_eq!(house.spool.seen([key; 32]).await.unwrap(), model.replay_keys.contains(&key));
    }
    for direction in [Direction::Out, Direction::In] {
        let waiting = model.rows.values().filter(|row| row.direction == direction && !row.leased);
        let next = waiting.filter(|row| row.state == State::Queued).map(|row| row.next_at).min();
        assert_eq!(house.spool.next_due_at(direction, None).await.unwrap(), next);
    }
    for (id, kept) in &model.rows {
        let row = house.spool.by_row_id(*id).await.unwrap().unwrap();
        assert_eq!((row.state, row.next_at, row.body_bytes), (kept.state, kept.next_at, kept.bytes));
        assert_eq!(house.spool.journal(*id).await.unwrap().len(), kept.notes);
    }
}

fn small() -> bytes::Bytes {
    bytes::Bytes::from_static(b"a small sealed body")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_spool_does_what_a_map_in_memory_would_do(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut house = House::new();
            let mut model = Model::default();
            let mut now = NOW;
            for step in steps {
                take(&mut house, &mut model, &mut now, step).await;
            }
            compare(&house, &model).await;
        });
    }
}
