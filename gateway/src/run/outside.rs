//! What carries mail to servers outside of the overlay.

use std::sync::Arc;

use smtp::authenticity::Signer;
use smtp::client::{Login, Timeouts};
use smtp::sasl::Secret;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Error;
use super::ground::{Ground, TRACE_BYTES_MAX};
use crate::config;
use crate::exchange::{Exchange, Settings, Smarthost};
use crate::flows::marks::Marking;
use crate::relay::Relay;
use crate::relay::tls_report::TlsReporting;
use crate::schedule::Schedule;

impl Ground {
    /// The relay courier. It works even if nothing may leave: what was accepted before that is returned to its senders.
    ///
    /// # Errors
    /// When DNS cannot be asked, no authority is trusted, or the password of the smarthost cannot be read.
    pub(super) fn relay(&self, signer: watch::Receiver<Arc<Signer>>) -> Result<Relay, Error> {
        let exchange = Exchange::new(
            self.exchange_settings()?,
            &self.config.finding.settings(),
            &self.spool,
            self.clock,
        )?;
        Ok(Relay {
            spool: self.spool.clone(),
            custody: self.custody.clone(),
            bodies: self.bodies.apart(),
            knowledge: self.knowledge.clone(),
            exchange: Arc::new(exchange),
            marking: Marking::new(&self.config.policies.must_encrypt),
            signer,
            authserv_id: self.config.authserv_id().to_owned(),
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
            directory: self.knowledge.snapshot().directory,
            organisation,
            contact,
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        })
    }

    fn exchange_settings(&self) -> Result<Settings, Error> {
        let outside = &self.config.outside;
        let hostname = self.config.smtp.hostname.to_ascii_lowercase();
        let hello =
            outside.hostname.as_ref().map_or_else(|| hostname.clone(), |name| name.to_ascii_lowercase());
        Ok(Settings {
            own_names: vec![hostname, hello.clone()],
            hello,
            port: outside.port,
            smarthost: outside.smarthost.as_ref().map(smarthost).transpose()?,
            connections_max: outside.connections_max as usize,
            mails_per_minute_max: outside.mails_per_minute_max,
            rest: self.outside_schedule(),
            timeouts: Timeouts::default(),
        })
    }

    fn outside_schedule(&self) -> Schedule {
        let outside = &self.config.outside;
        Schedule { delay_ms_min: outside.retry_delay_ms_min, delay_ms_max: outside.retry_delay_ms_max }
    }
}

/// The smarthost, with its password from the file.
fn smarthost(configured: &config::Smarthost) -> Result<Smarthost, Error> {
    let login = match (&configured.user, &configured.password) {
        (Some(user), Some(file)) => {
            let what = || format!("cannot read {} (outside.smarthost.password)", file.display());
            let text = std::fs::read_to_string(file).map(Zeroizing::new);
            let text = text.map_err(|source| Error::Io { what: what(), source })?;
            let password = Secret::new(text.lines().next().unwrap_or_default().to_owned());
            Some(Login::Password { user: user.clone(), password })
        }
        _ => None,
    };
    Ok(Smarthost {
        host: configured.address.host().to_owned(),
        port: configured.address.port(),
        implicit_tls: configured.implicit_tls,
        login,
    })
}
