//! What the spool's writer counts, read when somebody looks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::{Registry, Unit};

use crate::spool::{Spool, StatsSnapshot};

/// Exports the counters of `spool`. Jobs ÷ commits says how well group commit works; commits ÷ accepted mails
/// is the number of syncs a mail costs.
pub fn watch_spool(registry: &mut Registry, spool: Spool) {
    registry.register_collector(Box::new(Watch(move || spool.stats())));
}

struct Watch<F>(F);

impl<F> fmt::Debug for Watch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch(spool)")
    }
}

impl<F: Fn() -> StatsSnapshot + Send + Sync + 'static> Collector for Watch<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = (self.0)();
        let mut counter = |name: &str, help: &str, unit: Option<&Unit>, value: u64| {
            let value = ConstCounter::new(value);
            value.encode(encoder.encode_descriptor(name, help, unit, value.metric_type())?)
        };
        counter("dccp_spool_commits", "Transactions made durable, one sync each.", None, now.commits)?;
        counter("dccp_spool_jobs", "Jobs carried by those transactions.", None, now.jobs)?;
        counter("dccp_spool_jobs_failed", "Jobs answered with an error.", None, now.jobs_failed)?;
        counter("dccp_spool_refused_full", "Jobs refused for want of disk space.", None, now.refused_full)?;
        counter("dccp_spool_written", "Octets made durable.", Some(&Unit::Bytes), now.bytes)?;
        let seconds = ConstCounter::new(now.commit_us as f64 / 1_000_000.0);
        let (name, help) = ("dccp_spool_commit", "Time spent in commits, nearly all of it the sync.");
        seconds.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), seconds.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn the_spools_counters_are_read_at_each_scrape() {
        let mut registry = Registry::default();
        let stats =
            || StatsSnapshot { commits: 3, jobs: 12, commit_us: 1_500_000, bytes: 7, ..Default::default() };
        registry.register_collector(Box::new(Watch(stats)));
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        for line in [
            "dccp_spool_commits_total 3\n",
            "dccp_spool_jobs_total 12\n",
            "dccp_spool_written_bytes_total 7\n",
            "dccp_spool_commit_seconds_total 1.5\n",
            "# HELP dccp_spool_commits Transactions made durable, one sync each.\n",
        ] {
            assert!(page.contains(line), "{line} is missing in {page}");
        }
    }
}
