//! Turns: due rows are handed out fairly, so that a newsletter to ten thousand delays nobody's letter.
//!
//! ```text
//! lanes     people people people people reports people people … bulk people …    by weight, see CYCLE
//! sources   in each lane, heap after heap: whoever was served waits for the others
//! ```
//!
//! An empty lane loses nothing to the others but its turn. Positions are kept between look-ups, so that a worker who takes one
//! row at a time is as fair as one who takes a hundred.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::{Lane, RowId};

/// Eight turns of people for two of reports and two of bulk: when all wait, bulk gets a sixth.
const CYCLE: [Lane; 12] = [
    Lane::People,
    Lane::People,
    Lane::Reports,
    Lane::People,
    Lane::People,
    Lane::Bulk,
    Lane::People,
    Lane::People,
    Lane::Reports,
    Lane::People,
    Lane::People,
    Lane::Bulk,
];

/// Queues whose position is remembered; beyond it the oldest name's is forgotten, which costs one turn.
const QUEUES_MAX: usize = 4096;

/// What waits in one lane from one source, in order of time.
pub(super) struct Heap {
    pub(super) lane: Lane,
    pub(super) source: i64,
    pub(super) ids: Vec<RowId>,
}

/// Where each queue's turns stand.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<String, Position>>);

/// Where the turns of one queue stand.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    /// The next place in [`CYCLE`].
    step: usize,
    /// The source that was served last, per lane.
    served: [Option<i64>; 3],
}

impl Turns {
    /// Puts `heaps` into the order in which `queue` hands them out; `take` says whether a row was free, and counts if so.
    pub(super) fn deal(
        &self,
        queue: &str,
        heaps: Vec<Heap>,
        limit: usize,
        mut take: impl FnMut(RowId) -> bool,
    ) {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut position = positions.get(queue).copied().unwrap_or_default();
        let mut table = Table::of(heaps);
        let mut taken = 0;
        while taken < limit {
            let Some(id) = table.next(&mut position) else { break };
            taken += usize::from(take(id));
        }
        if positions.len() >= QUEUES_MAX && !positions.contains_key(queue) {
            positions.pop_first();
        }
        positions.insert(queue.to_owned(), position);
    }
}

/// The heaps by lane and source, each read from its front.
struct Table(BTreeMap<(Lane, i64), std::vec::IntoIter<RowId>>);

impl Table {
    fn of(heaps: Vec<Heap>) -> Self {
        let heaps = heaps.into_iter().filter(|heap| !heap.ids.is_empty());
        Self(heaps.map(|heap| ((heap.lane, heap.source), heap.ids.into_iter())).collect())
    }

    /// The row whose turn it is.
    fn next(&mut self, position: &mut Position) -> Option<RowId> {
        for _ in CYCLE {
            let lane = CYCLE.get(position.step).copied()?;
            position.step = (position.step + 1) % CYCLE.len();
            let Some(served) = position.served.get_mut(lane as usize) else { continue };
            if let Some(source) = self.source_after(lane, *served) {
                *served = Some(source);
                return self.pop(lane, source);
            }
        }
        None
    }

    /// The first source behind the one that was served last, and around to the first.
    fn source_after(&self, lane: Lane, served: Option<i64>) -> Option<i64> {
        let in_lane =
            |from: i64| self.0.range((lane, from)..=(lane, i64::MAX)).next().map(|((_, source), _)| *source);
        served.and_then(|served| in_lane(served + 1)).or_else(|| in_lane(0))
    }

    fn pop(&mut self, lane: Lane, source: i64) -> Option<RowId> {
        let heap = self.0.get_mut(&(lane, source))?;
        let id = heap.next();
        if heap.len() == 0 {
            self.0.remove(&(lane, source));
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(lane: Lane, source: i64, rows: usize) -> Heap {
        Heap { lane, source, ids: (0..rows).map(|_| RowId::fresh()).collect() }
    }

    /// The places in the dealt order at which rows of `wanted` stand.
    fn places(turns: &Turns, heaps: Vec<Heap>, wanted: &[RowId], limit: usize) -> Vec<usize> {
        let mut dealt = Vec::new();
        turns.deal("globex", heaps, limit, |id| {
            dealt.push(id);
            true
        });
        wanted.iter().filter_map(|id| dealt.iter().position(|it| it == id)).collect()
    }

    #[test]
    fn ten_thousand_bulk_rows_delay_a_letter_by_a_row_or_two() {
        let letter = heap(Lane::People, 3, 1);
        let wanted = letter.ids.clone();
        let place = places(&Turns::default(), vec![heap(Lane::Bulk, 1, 10_000), letter], &wanted, usize::MAX);
        assert!(place[0] <= 2, "{place:?}");
    }

    #[test]
    fn letters_do_not_starve_the_newsletter_even_if_one_row_is_taken_at_a_time() {
        let (turns, mut bulk) = (Turns::default(), 0);
        for _ in 0..120 {
            let newsletter = heap(Lane::Bulk, 1, 1);
            let wanted = newsletter.ids.clone();
            let heaps = vec![heap(Lane::People, 0, 1), heap(Lane::Reports, 0, 1), newsletter];
            bulk += places(&turns, heaps, &wanted, 1).len();
        }
        assert_eq!(bulk, 20, "a sixth");
    }

    #[test]
    fn within_a_lane_a_source_with_many_rows_waits_for_one_with_few() {
        let few = heap(Lane::People, 9, 3);
        let wanted = few.ids.clone();
        let places = places(&Turns::default(), vec![heap(Lane::People, 2, 1_000), few], &wanted, usize::MAX);
        assert_eq!(places, [1, 3, 5]);
    }

    #[test]
    fn a_row_in_other_hands_costs_nobody_a_turn_of_the_limit() {
        let mut offered = 0;
        Turns::default().deal("globex", vec![heap(Lane::People, 0, 10)], 2, |_| {
            offered += 1;
            offered > 5
        });
        assert_eq!(offered, 7);
    }
}
