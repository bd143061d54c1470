//! When answers leave.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Answers leave a whole number of these after their question came. Twenty times what an answer costs, so that all leave
/// on the first one unless the machine is overloaded; little beside a round trip between organisations.
pub(super) const GRID: Duration = Duration::from_millis(20);

/// Does `work` and gives its result on the next point of the grid.
///
/// The grid begins with the question: on one that stands still, a stranger would time a question just before a point
/// and learn whether the work took longer than what was left.
pub(super) async fn on_the_grid<T>(work: impl Future<Output = T>) -> T {
    let came = Instant::now();
    let done = work.await;
    let points = came.elapsed().as_millis() / GRID.as_millis() + 1;
    sleep_until(came + GRID * u32::try_from(points).unwrap_or(u32::MAX)).await;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_of_any_length_ends_on_the_grid() {
        for (cost_ms, leaves_ms) in [(0, 20), (1, 20), (19, 20), (20, 40), (21, 40), (59, 60)] {
            let came = Instant::now();
            on_the_grid(tokio::time::sleep(Duration::from_millis(cost_ms))).await;
            assert_eq!(came.elapsed(), Duration::from_millis(leaves_ms), "work of {cost_ms} ms");
        }
    }
}
