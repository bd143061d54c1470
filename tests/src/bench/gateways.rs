//! Two organisations with a gateway each, as [`TwoSites`] founds them: what an administrator gets from `init`.

use std::net::SocketAddr;
use std::path::Path;

use super::chain::{Chain, Entrance};
use super::syncs;
use crate::site::{Site, TwoSites};

/// A mail server that nobody asks for anything.
const NOWHERE: &str = "smtp:127.0.0.1:9";

/// Gateway → overlay → gateway.
pub struct GatewayPair {
    sites: TwoSites,
}

impl GatewayPair {
    /// Founds, introduces and starts them; ready when both links are up.
    pub fn start(deliver: SocketAddr, counted: Option<&Path>) -> Self {
        let deliver = format!("smtp:{deliver}");
        let mut sites = TwoSites::found(&deliver, &deliver);
        for (site, file) in [(&mut sites.acme, syncs::FIRST), (&mut sites.globex, syncs::SECOND)] {
            // What is left is this module's question, asked by `settle` with a message that helps.
            site.may_leave_mail();
            let wrapper = counted.map(|folder| syncs::wrapper(&folder.join(file))).unwrap_or_default();
            site.start_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>());
            site.await_ready();
        }
        sites.acme.await_links();
        sites.globex.await_links();
        Self { sites }
    }
}

impl Entrance for GatewayPair {
    fn entrance(&self) -> SocketAddr {
        self.sites.acme.smtp
    }

    fn unfinished(&self) -> u64 {
        self.sites.acme.unsettled() + self.sites.globex.unsettled()
    }

    fn log_tail(&self) -> String {
        format!("--- acme\n{}\n--- globex\n{}", log_tail(&self.sites.acme), log_tail(&self.sites.globex))
    }
}

impl Chain for GatewayPair {
    fn roots(&self) -> [u32; 2] {
        [self.sites.acme.pid(), self.sites.globex.pid()]
    }

    fn stages(&self) -> Vec<String> {
        [&self.sites.acme, &self.sites.globex].into_iter().flat_map(stages_of).collect()
    }
}

/// One gateway whose partner is away: it seals and keeps what it takes.
pub struct GatewayAlone {
    sites: TwoSites,
}

impl GatewayAlone {
    /// Founds and introduces two, and starts the first.
    pub fn start() -> Self {
        let mut sites = TwoSites::found(NOWHERE, NOWHERE);
        sites.acme.may_leave_mail();
        sites.acme.start();
        Self { sites }
    }
}

impl Entrance for GatewayAlone {
    fn entrance(&self) -> SocketAddr {
        self.sites.acme.smtp
    }

    fn unfinished(&self) -> u64 {
        self.sites.acme.unsettled()
    }

    fn log_tail(&self) -> String {
        log_tail(&self.sites.acme)
    }
}

impl Drop for GatewayPair {
    fn drop(&mut self) {
        for site in [&mut self.sites.acme, &mut self.sites.globex] {
            if site.is_running() && !std::thread::panicking() {
                site.terminate();
            }
        }
    }
}

impl Drop for GatewayAlone {
    fn drop(&mut self) {
        if self.sites.acme.is_running() && !std::thread::panicking() {
            self.sites.acme.terminate();
        }
    }
}

fn log_tail(site: &Site) -> String {
    let log = site.log();
    let last: Vec<&str> = log.lines().rev().take(20).collect();
    last.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Count and mean of every histogram of `/metrics` that has seen something.
fn stages_of(site: &Site) -> Vec<String> {
    let (_, metrics) = site.get("/metrics");
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
    let mean = |line: &str| {
        let (series, sum) = (line.split(' ').next()?, value(line)?);
        let counted = series.replacen("_sum", "_count", 1);
        let count = metrics.lines().find(|line| line.split(' ').next() == Some(&counted)).and_then(value)?;
        let name = series.replacen("_sum", "", 1);
        (count > 0.0).then(|| format!("{:<12} {name:<60} {count:>9.0} × {:.6}", site.domain, sum / count))
    };
    let is_sum = |line: &&str| line.split(['{', ' ']).next().is_some_and(|name| name.ends_with("_sum"));
    metrics.lines().filter(is_sum).filter(|line| line.starts_with("dccp_")).filter_map(mean).collect()
}
