//! What stands behind the doors for mail.

use std::sync::Arc;
use std::time::Duration;

use smtp::authenticity::{self, Signer};
use smtp::client::{Pool, Target, Timeouts};
use tokio::sync::watch;

use super::ground::Ground;
use super::{Error, mail_server};
use crate::config::{Config, SubmissionFrom};
use crate::courier;
use crate::flows::mail_home::{Chain, MailHome};
use crate::flows::mail_out::{MailOut, Outside};
use crate::flows::marks::Marking;
use crate::flows::reception::Reception;
use crate::introductions::Room;
use crate::recipients::CallAhead;
use crate::users::{LocalUsers, Verifier};

/// What our own mail server may take to say whether it knows a recipient: the client at the other end waits for it.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(10);

impl Ground {
    /// All doors for mail, and what is behind them.
    ///
    /// # Errors
    /// When there is a door for the outside world and DNS or our mail server cannot be asked, without which nobody can
    /// be let in there.
    pub(super) fn reception(
        &self,
        couriers: &courier::Handle,
        room: &Room,
        signer: watch::Receiver<Arc<Signer>>,
    ) -> Result<Reception, Error> {
        Ok(Reception {
            out: self.mail_out(couriers, room),
            home: self.config.smtp.mx.as_ref().map(|_| self.mail_home(signer)).transpose()?,
            users: self.users(),
            authors: self.config.smtp.submission.as_ref().map_or(SubmissionFrom::Own, |door| door.from),
        })
    }

    /// Whoever can tell who our people are.
    pub(super) fn users(&self) -> Option<Arc<dyn Verifier>> {
        let file = self.config.users.file.clone()?;
        Some(Arc::new(LocalUsers::new(file, self.custody.vault().clone(), self.clock)))
    }

    fn mail_out(&self, couriers: &courier::Handle, room: &Room) -> MailOut {
        let configured = &self.config.outside;
        let outside = Outside {
            demand: configured.demand(),
            without_gateway: configured.without_gateway.iter().map(|d| d.to_ascii_lowercase()).collect(),
            whereabouts: room.whereabouts(),
        };
        MailOut {
            knowledge: self.knowledge.clone(),
            agents: self.agents.clone(),
            sealer: self.sealer.clone(),
            spool: self.spool.clone(),
            archivist: self.archivist(),
            reporter: self.reporter(),
            bodies: self.bodies.clone(),
            courier: couriers.clone(),
            marking: Marking::new(&self.config.policies.must_encrypt),
            outside,
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            authserv_id: self.config.authserv_id().to_owned(),
            size_max: self.config.smtp.size_bytes_max,
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        }
    }

    fn mail_home(&self, signer: watch::Receiver<Arc<Signer>>) -> Result<MailHome, Error> {
        let verifier = authenticity::Verifier::new(self.config.verifier_settings())?;
        let is_asked = self.config.delivery.verify_recipients;
        let inquiries = is_asked.then(|| inquiries(&self.config)).transpose()?;
        Ok(MailHome {
            knowledge: self.knowledge.clone(),
            verifier,
            recipients: inquiries.map(|target| CallAhead::new(Pool::new(target))),
            agents: self.agents.clone(),
            custody: self.custody.clone(),
            spool: self.spool.clone(),
            archivist: self.archivist(),
            reporter: self.reporter(),
            bodies: self.bodies.clone(),
            metrics: self.metrics.clone(),
            hostname: self.config.smtp.hostname.clone(),
            authserv_id: self.config.authserv_id().to_owned(),
            chain: self
                .config
                .authenticity
                .seal
                .then(|| Chain { signer, domain: self.config.organisation.domain.clone() }),
            size_max: self.config.smtp.size_bytes_max,
            lifetime_ms: self.config.queue.lifetime_ms(),
            clock: self.clock,
        })
    }
}

/// Our own mail server, as it is asked about recipients.
fn inquiries(config: &Config) -> Result<Target, Error> {
    let timeouts = Timeouts {
        connect: INQUIRY_TIMEOUT,
        greeting: INQUIRY_TIMEOUT,
        command: INQUIRY_TIMEOUT,
        ..Timeouts::default()
    };
    Ok(Target { timeouts, ..mail_server::target(config)? })
}
