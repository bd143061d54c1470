//! Once a day every domain that asks for it is told how TLS with its mail servers went (RFC 8460): the counts of the
//! day before become mails of our own, which go the way of every mail to the outside, or are posted to a web server.
//!
//! A server that cannot take the report now is asked again every hour of the day (§5.5), and the mails wait with it, so that
//! nobody gets the same report twice. One that refuses it for good is told nothing more of that day.

use std::sync::Arc;
use std::time::Duration;

use federation::Directory;
use finding::Given;
use smtp::address::Address;
use smtp::route::tls_report::{self, Report, Rua, Tally};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, system_time};
use crate::custody::Vault;
use crate::exchange::{Day, Exchange};
use crate::flows::notice::Notice;
use crate::flows::records::{queue_id_of, sha256};
use crate::spool::{Note, RowId, Spool, SpoolError, Stage};

/// How often is looked whether a day is over.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// RFC 8460 §6.4. Compressed it would be a kilobyte less.
const MEDIA_TYPE: &str = "application/tlsrpt+json";

/// The task that reports.
pub struct TlsReporting {
    /// Where reports are kept until they are sent.
    pub spool: Spool,
    /// Seals them meanwhile.
    pub vault: Arc<Vault>,
    /// What was counted, and where reports go.
    pub exchange: Arc<Exchange>,
    /// Who is ours.
    pub directory: Arc<Directory>,
    /// Our main domain: who reports.
    pub organisation: String,
    /// Whom to ask about a report.
    pub contact: Address,
    /// Milliseconds a report is tried.
    pub lifetime_ms: u64,
    /// Time.
    pub clock: Clock,
}

impl TlsReporting {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let report = async {
            loop {
                ticks.tick().await;
                let yesterday = Day(Day::of((self.clock)()).0.saturating_sub(1));
                if let Err(error) = self.report(yesterday).await {
                    tracing::warn!(%error, "TLS reports cannot be made now; trying again later");
                }
            }
        };
        stop.run_until_cancelled(report).await;
    }

    /// Reports `day` to every domain that wants to know, and forgets it.
    ///
    /// # Errors
    /// The spool's; what was not reported yet is kept.
    pub async fn report(&self, day: Day) -> Result<(), SpoolError> {
        for domain in self.exchange.reports().domains(day).await? {
            let texts = self.exchange.finder().txt(&format!("_smtp._tls.{domain}")).await;
            // Without an answer now there is one in an hour; a record that is none wants no reports.
            let Ok(texts) = texts else { continue };
            let addresses = tls_report::record(&texts.records).unwrap_or_default();
            let urls = addresses.iter().filter_map(|rua| match rua {
                Rua::Https(url) => Some(url.as_str()),
                Rua::Mail(_) => None,
            });
            if !self.is_posted(&domain, day, urls).await? {
                continue;
            }
            for rua in &addresses {
                if let Rua::Mail(to) = rua {
                    self.keep(&domain, day, to).await?;
                }
            }
            self.exchange.reports().forget(&domain, day).await?;
        }
        Ok(())
    }

    /// Whether nobody among `urls` has to be asked again.
    async fn is_posted(
        &self,
        domain: &str,
        day: Day,
        urls: impl Iterator<Item = &str>,
    ) -> Result<bool, SpoolError> {
        let tallies = self.exchange.reports().of(domain, day).await?;
        // Posted again it has the same name, by which a server that has it already knows it.
        let digest = sha256(&[b"DCCP-tls-report-v1\0", &day.0.to_be_bytes(), domain.as_bytes()]);
        let id = data_encoding::HEXLOWER.encode(digest.get(..16).unwrap_or_default());
        let report = self.report_about(domain, day, &id, &tallies);
        let mut done = true;
        for url in urls {
            let given = Given { media_type: MEDIA_TYPE, octets: report.json().into() };
            if let Err(error) = self.exchange.finder().post(url, given).await {
                tracing::warn!(%error, domain, url, "a TLS report cannot be posted");
                done &= !error.is_temporary();
            }
        }
        Ok(done)
    }

    fn report_about<'a>(
        &'a self,
        domain: &'a str,
        day: Day,
        id: &'a str,
        tallies: &'a [(Tally, u64)],
    ) -> Report<'a> {
        Report {
            organisation: &self.organisation,
            contact: self.contact.as_str(),
            id,
            domain,
            start: system_time(day.start()),
            end: system_time(day.end()),
            tallies,
        }
    }

    async fn keep(&self, domain: &str, day: Day, to: &Address) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let tallies = self.exchange.reports().of(domain, day).await?;
        let id = RowId::fresh();
        let name = queue_id_of(id).to_ascii_lowercase();
        let report = self.report_about(domain, day, &name, &tallies);
        let octets = tls_report::mail(&report, &self.contact, to, system_time(now)).into();
        let note = Note::new(now, Stage::Received, format!("a TLS report about {domain}, made here"));
        let notice = Notice { id, to, octets, require_tls: false, now, lifetime_ms: self.lifetime_ms };
        let row = notice.row(&self.vault, &self.directory);
        self.spool.accept(vec![row], vec![(id, note)]).await
    }
}
