//! What carries mail to servers outside of the overlay.

use std::sync::Arc;

use finding::SetupError;
use smtp::authenticity::Signer;
use smtp::client::Timeouts;
use tokio::sync::watch;

use super::ground::{Ground, TRACE_BYTES_MAX};
use crate::exchange::{Exchange, Settings, Smarthost};
use crate::flows::marks::Marking;
use crate::relay::Relay;
use crate::relay::tls_report::TlsReporting;
use crate::schedule::Schedule;

impl Ground {
    /// The relay courier. It works even if nothing may leave: what was accepted before that is returned to its senders.
    ///
    /// # Errors
    /// When DNS cannot be asked or no authority is trusted.
    pub(super) fn relay(&self, signer: watch::Receiver<Arc<Signer>>) -> Result<Relay, SetupError> {
        let exchange = Exchange::new(
            self.exchange_settings(),
            &self.config.finding.settings(),
            &self.spool,
            self.clock,
        )?;
        Ok(Relay {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            knowledge: self.knowledge.clone(),
            exchange: Arc::new(exchange),
            marking: Marking::new(&self.config.policies.must_encrypt),
            signer,
            outside: self.config.outside.demand(),
            reporter: self.reporter(),
            metrics: self.metrics.clone(),
            schedule: self.outside_schedule(),
            size_max: self.config.smtp.size_bytes_max + TRACE_BYTES_MAX,
            clock: self.clock,
        })
    }

    /// Tells domains how TLS with them went. None while nothing may leave, or while our domain makes no mail address.
    pub(super) fn tls_reporting(&self, relay: &Relay) -> Option<TlsReporting> {
        relay.outside?;
        let organisation = self.config.organisation.domain.clone();
        let contact = format!("postmaster@{organisation}").parse().ok()?;
        Some(TlsReporting {
            spool: self.spool.clone(),
            vault: self.custody.vault().clone(),
            exchange: relay.exchange.clone(),
            organisation,
            contact,
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        })
    }

    fn exchange_settings(&self) -> Settings {
        let outside = &self.config.outside;
        let hostname = self.config.smtp.hostname.to_ascii_lowercase();
        let hello =
            outside.hostname.as_ref().map_or_else(|| hostname.clone(), |name| name.to_ascii_lowercase());
        Settings {
            own_names: vec![hostname, hello.clone()],
            hello,
            port: outside.port,
            smarthost: outside.smarthost.as_ref().map(|smarthost| Smarthost {
                host: smarthost.address.host().to_owned(),
                port: smarthost.address.port(),
                implicit_tls: smarthost.implicit_tls,
            }),
            connections_max: outside.connections_max as usize,
            mails_per_minute_max: outside.mails_per_minute_max,
            rest: self.outside_schedule(),
            timeouts: Timeouts::default(),
        }
    }

    fn outside_schedule(&self) -> Schedule {
        let outside = &self.config.outside;
        Schedule { delay_ms_min: outside.retry_delay_ms_min, delay_ms_max: outside.retry_delay_ms_max }
    }
}
