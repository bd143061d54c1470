//! When answers leave.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Answers leave a whole number of these after their question came. Twenty times what an answer costs, so that all leave
/// on the first one unless the machine is overloaded; little beside a round trip between organisations.
pub(super) const GRID: Duration = Duration::from_millis(20);

/// What measures the grid.
pub(super) trait Timer {
    /// Time since some moment; never goes back.
    fn now(&self) -> Duration;

    /// Returns at that time.
    fn until(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// The time of this machine, from its own making on.
pub(super) struct Monotonic(Instant);

impl Monotonic {
    pub(super) fn from_now() -> Monotonic {
        Monotonic(Instant::now())
    }
}

impl Timer for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn until(&self, time: Duration) -> impl Future<Output = ()> + Send {
        sleep_until(self.0 + time)
    }
}

/// Does `work` and gives its result on the next point of the grid.
///
/// The grid begins with the question: on one that stands still, a stranger would time a question just before a point
/// and learn whether the work took longer than what was left.
pub(super) async fn on_the_grid<T>(timer: &impl Timer, work: impl Future<Output = T>) -> T {
    let came = timer.now();
    let done = work.await;
    let took = timer.now().saturating_sub(came);
    let points = took.as_nanos() / GRID.as_nanos() + 1;
    timer.until(came + GRID * u32::try_from(points).unwrap_or(u32::MAX)).await;
    done
}

/// A clock that stands still unless it is moved.
#[cfg(test)]
#[derive(Default)]
pub(super) struct Still(std::sync::Mutex<Duration>);

#[cfg(test)]
impl Still {
    /// Work that takes this long.
    pub(super) fn spend(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

#[cfg(test)]
impl Timer for Still {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn until(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = time.max(*now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_of_any_length_ends_on_the_grid() {
        let timer = Still::default();
        for (cost_us, leaves_ms) in [(0, 20), (1, 20), (19_999, 20), (20_000, 40), (20_001, 40), (59_000, 60)]
        {
            timer.spend(Duration::from_micros(123));
            let came = timer.now();
            on_the_grid(&timer, async { timer.spend(Duration::from_micros(cost_us)) }).await;
            assert_eq!(timer.now() - came, Duration::from_millis(leaves_ms), "work of {cost_us} us");
        }
    }

    #[tokio::test]
    async fn the_grid_of_this_machine_is_waited_for() {
        let timer = Monotonic::from_now();
        on_the_grid(&timer, async {}).await;
        assert!(timer.now() >= GRID);
    }
}
