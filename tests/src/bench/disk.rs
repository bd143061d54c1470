//! How long the disk takes to be sure.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::percentile;

/// Enough for a p99 that is not the worst of all.
const SAMPLES: usize = 300;
/// A disk that is slower than this per sample is known well enough with fewer of them.
const LONGEST: Duration = Duration::from_secs(10);

/// p50 and p99 of appending 4 KiB and `fdatasync`, in milliseconds.
pub fn sync_latency_ms(folder: &Path) -> [f64; 2] {
    let mut file = File::create(folder.join("sync-latency")).expect("a file");
    let begin = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < SAMPLES && begin.elapsed() < LONGEST {
        file.write_all(&[b'x'; 4096]).expect("room on the disk");
        let before = Instant::now();
        file.sync_data().expect("a disk that syncs");
        samples.push(before.elapsed().as_secs_f64() * 1000.0);
    }
    [percentile(&samples, 0.5), percentile(&samples, 0.99)]
}
