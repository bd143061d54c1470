//! `certificate`: what the doors of the running gateway show, and a new one from the authority.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Subcommand;
use control::{CertificateList, CertificateView, RenewalBegun, RenewalOrder};
use http::Method;

use super::trace::utc;
use super::{Failure, ask};
use crate::config::Config;

/// An authority that takes longer goes on without us looking.
const RENEWAL_TIME_MAX: Duration = Duration::from_secs(310);

/// How often the gateway is asked whether it has a new one.
const ASK_EVERY: Duration = Duration::from_millis(200);

#[derive(Subcommand)]
pub(super) enum CertificateCommand {
    /// Show every certificate in use, how long it lasts, and when the next one is asked for.
    Show,
    /// Ask the authority (acme) for a new certificate now, and wait for it.
    Renew {
        /// With a new key. Without this it stays, and so do TLSA records.
        #[arg(long)]
        new_key: bool,
    },
}

pub(super) fn certificate(command: &CertificateCommand, path: &Path) -> Result<String, Failure> {
    let config = Config::read(path)?;
    match command {
        CertificateCommand::Show => list(&config).map(|list| list.certificates.iter().map(page).collect()),
        CertificateCommand::Renew { new_key } => renew(&config, *new_key),
    }
}

fn list(config: &Config) -> Result<CertificateList, Failure> {
    ask::call(config, Method::GET, "certificates", Bytes::new())
}

fn renew(config: &Config, new_key: bool) -> Result<String, Failure> {
    let order = serde_json::to_vec(&RenewalOrder { new_key }).map_err(Failure::said)?;
    let begun: RenewalBegun = ask::call(config, Method::POST, "certificates/renewals", Bytes::from(order))?;
    let end = Instant::now() + RENEWAL_TIME_MAX;
    loop {
        let now = list(config)?;
        let has_ended = |view: &&CertificateView| {
            view.renewal.as_ref().is_some_and(|renewal| renewal.attempts >= begun.attempt)
        };
        match now.certificates.iter().find(has_ended) {
            Some(CertificateView { fault: Some(fault), .. }) => {
                let told =
                    format!("{fault}. What was in use stays in use; the gateway's log says what to do");
                return Err(Failure::Said(told));
            }
            Some(view) => return Ok(page(view)),
            None if Instant::now() > end => {
                let told = "the authority has not finished; `certificate show` tells when it has";
                return Err(Failure::Said(told.to_owned()));
            }
            None => std::thread::sleep(ASK_EVERY),
        }
    }
}

fn page(view: &CertificateView) -> String {
    let mut page = format!("{}\n", view.certificate);
    let mut line = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(page, "  {what:<9} {value}");
        }
    };
    let none = "one that the gateway made itself, until the authority gives one".to_owned();
    line("names", Some(if view.names.is_empty() { none } else { view.names.join(", ") }));
    line("issuer", view.issuer.clone());
    let days = view.days_left.map(|days| format!(" ({days} days left)")).unwrap_or_default();
    line("ends", view.not_after_ms.map(|at| utc(at) + &days));
    line("TLSA", view.key_sha256.as_ref().map(|digest| format!("3 1 1 {digest}")));
    line("next", view.renewal.as_ref().and_then(|renewal| renewal.next_attempt_at_ms).map(utc));
    line("fault", view.fault.clone());
    page
}
