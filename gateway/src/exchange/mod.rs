//! The exchange hands mail over to mail servers outside of the overlay: it asks DNS and HTTPS, lets `smtp::route` plan,
//! and tries the hosts of the plan in order, each under the protection that it must have.
//!
//! ```text
//! relay(permit, letter) ─► destinations: is it the domain's turn?  no ─► NotYet { until, why }
//!        │ smarthost, or a way that an administrator chose ─► one hop
//!        │ else lookups (MX, addresses, TLSA) ∥ sts (TXT, policy) ─► smtp::route::plan ─► hops
//!        ▼
//! attempt: hop by hop, address by address ─► pools (kept connections) ─► an outcome for every recipient
//!        └─ how TLS went ─► tally (RFC 8460) ─► database, one row per domain, day and result
//! ```
//!
//! Words: a *destination* is a recipients' domain, or the next hop that an administrator chose; a *letter* is one mail for one destination; *relayed* is what became
//! of it, with an [`Outcome`] for every recipient and the *trail* of what was tried.
//!
//! Invariants:
//! - Nothing leaves without the judge's [`Permit`] to relay to this very domain, and never under less than it demands.
//! - A look-up that failed is a temporary answer, never "no such domain".
//! - What could not be sent under protection is not sent without; only the plan says what will do instead.
//! - All that is kept in memory (destinations, connections, policies) is bounded.
//!
//! Deliberately absent: the queue and its schedule (the relay courier), conversion of messages.

mod attempt;
mod destinations;
mod lookups;
mod pools;
mod sts;
mod tally;

use std::sync::Arc;

use bytes::Bytes;
use dccp::UnixMillis;
use finding::{MailFinder, in_a_labels, trusted_roots};
use policies::{Permit, Purpose};
use rustls::RootCertStore;
use smtp::client::{Envelope, Login, Outcome, SaidBy, Timeouts};
use smtp::reply::{Enhanced, Reply};
use smtp::route::{Needs, Plan, RouteError, tls_report};
use smtp::tls::TlsFacts;

use crate::clock::Clock;
use crate::schedule::Schedule;
use crate::spool::Spool;

pub use destinations::DestinationState;
pub use tally::{Day, TlsReports};

use attempt::Attempt;
use destinations::Destinations;
use pools::Pools;
use sts::Policies;

/// What the exchange is set up with.
#[derive(Clone)]
pub struct Settings {
    /// Our name in EHLO.
    pub hello: String,
    /// Our own host names in lower case: mail is never relayed to them.
    pub own_names: Vec<String>,
    /// The port of mail servers; 25 but in a laboratory.
    pub port: u16,
    /// Everything goes there instead of to the recipients' servers.
    pub smarthost: Option<Smarthost>,
    /// Connections to one destination at a time.
    pub connections_max: usize,
    /// Mails to one destination in a minute.
    pub mails_per_minute_max: u32,
    /// How long a destination is left alone after nobody there could be reached.
    pub rest: Schedule,
    /// The waits of a session.
    pub timeouts: Timeouts,
}

/// A server that takes all mail for the outside (RFC 5598 §2.2.2 calls it a relay).
#[derive(Clone)]
pub struct Smarthost {
    /// Its name, for which it must have a certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS begins with the connection.
    pub implicit_tls: bool,
    /// Who we are there.
    pub login: Option<Login>,
}

/// One mail for one destination.
pub struct Letter<'a> {
    /// Who and for whom; all forward paths are in the permit's domain.
    pub envelope: &'a Envelope,
    /// The segments of the message, our trace header first.
    pub octets: &'a [Bytes],
    /// The way (`host:port`) that an administrator chose.
    pub next_hop: Option<&'a str>,
}

/// What became of a letter.
#[derive(Debug)]
pub struct Relayed {
    /// One for every forward path, in the order given.
    pub outcomes: Vec<Outcome>,
    /// The server that answered, if one did.
    pub via: Option<Via>,
    /// What was tried before or instead, in words for the journal.
    pub trail: Vec<String>,
}

/// A server that answered.
#[derive(Clone, Debug)]
pub struct Via {
    /// Its name.
    pub host: String,
    /// Its address and port.
    pub address: String,
    /// What protected the session.
    pub tls: Option<TlsFacts>,
    /// How the server was verified, in words.
    pub verified: String,
}

/// It is not the destination's turn: nothing was tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotYet {
    /// When to ask again.
    pub until: UnixMillis,
    /// In words: the last failure, or which limit.
    pub why: String,
}

/// The way to the outside.
pub struct Exchange {
    settings: Settings,
    finder: MailFinder,
    roots: Arc<RootCertStore>,
    policies: Policies,
    destinations: Destinations,
    pools: Pools,
    reports: TlsReports,
    clock: Clock,
}

impl Exchange {
    /// An exchange that keeps MTA-STS policies and tallies in the database of `spool`.
    ///
    /// # Errors
    /// [`finding::SetupError`]: our own misconfiguration.
    pub fn new(
        settings: Settings,
        network: &finding::Settings,
        spool: &Spool,
        clock: Clock,
    ) -> Result<Self, finding::SetupError> {
        Ok(Self {
            finder: MailFinder::new(network)?,
            roots: Arc::new(trusted_roots(network)?),
            policies: Policies::new(spool.clone()),
            destinations: Destinations::new(&settings),
            pools: Pools::default(),
            reports: TlsReports::new(spool.clone()),
            settings,
            clock,
        })
    }

    /// Every destination that something is known of, the troubled ones first.
    pub fn destinations(&self) -> Vec<DestinationState> {
        self.destinations.states((self.clock)())
    }

    /// Ends the rest of a destination that could not be reached: the next attempt may be now.
    pub fn wake(&self, destination: &str) {
        self.destinations.wake(destination);
    }

    /// What is counted for reports about TLS.
    pub fn reports(&self) -> &TlsReports {
        &self.reports
    }

    /// The finder, for the addresses that reports go to.
    pub fn finder(&self) -> &MailFinder {
        &self.finder
    }

    /// Hands `letter` over to the servers of the domain that `permit` names.
    ///
    /// # Errors
    /// [`NotYet`], when nothing was tried.
    pub async fn relay(&self, permit: Permit, letter: &Letter<'_>) -> Result<Relayed, NotYet> {
        let Purpose::Relay { domain, demand } = permit.purpose() else {
            return Ok(refused(letter, "the permit at hand does not allow relaying"));
        };
        // What the judge decided for one domain is no word about another.
        if !letter.envelope.forward_paths.iter().all(|path| domain_of(path) == Some(domain.clone())) {
            return Ok(refused(letter, "a recipient is not in the domain that the permit names"));
        }
        // Another way than that of the domain does not rest because the domain's own servers cannot be reached.
        let turn = self.destinations.enter(letter.next_hop.unwrap_or(domain), (self.clock)())?;
        let needs = Needs { demand: demand_of(*demand), require_tls: letter.envelope.insists_on_tls() };
        let relayed = self.relay_now(domain, needs, letter).await;
        let now = (self.clock)();
        match relayed.trouble() {
            Some(why) => turn.failed(why, now),
            None => turn.worked(),
        }
        Ok(relayed)
    }

    async fn relay_now(&self, domain: &str, needs: Needs, letter: &Letter<'_>) -> Relayed {
        let attempt = Attempt::new(self, domain, needs, letter);
        match self.way(domain, needs, letter).await {
            Ok(plan) => attempt.follow(plan).await,
            Err(error) => attempt.no_way(&error),
        }
    }

    /// The hops: the administrator's, the smarthost, or those that the domain publishes.
    async fn way(&self, domain: &str, needs: Needs, letter: &Letter<'_>) -> Result<attempt::Way, RouteError> {
        if let Some(next_hop) = letter.next_hop {
            return Ok(attempt::Way::chosen(next_hop, needs));
        }
        if let Some(smarthost) = &self.settings.smarthost {
            return Ok(attempt::Way::smarthost(smarthost));
        }
        let plan = self.plan(domain, needs).await?;
        Ok(attempt::Way::planned(plan, self.settings.port))
    }

    async fn plan(&self, domain: &str, needs: Needs) -> Result<Plan, RouteError> {
        let asked = in_a_labels(domain).unwrap_or_else(|| domain.to_owned());
        let (hosts, sts) = tokio::join!(
            lookups::candidates(&self.finder, &asked, &self.settings.own_names),
            self.policies.of(&asked, &self.finder, (self.clock)()),
        );
        if let Some(failure) = sts.failure {
            let policy =
                tls_report::Policy { kind: tls_report::PolicyKind::Sts, ..tls_report::Policy::none() };
            let tally = tls_report::Tally { policy, failure: Some(failure) };
            self.reports.count(&asked, tally, (self.clock)()).await;
        }
        let (candidates, hosts) = hosts?;
        smtp::route::plan(&candidates, hosts, &sts.finding, needs)
    }
}

impl Relayed {
    /// Why the destination should be left alone for a while: nobody there could be spoken to.
    fn trouble(&self) -> Option<String> {
        let unreached = self.via.is_none() && self.outcomes.iter().any(Outcome::is_temporary);
        unreached
            .then(|| self.outcomes.first().map_or_else(String::new, |outcome| outcome.reply.text.clone()))
    }

    /// The same reply for everybody, which no server gave.
    fn of_all(letter: &Letter<'_>, reply: &Reply) -> Self {
        let outcome = |recipient: &String| Outcome {
            recipient: recipient.clone(),
            reply: reply.clone(),
            said_by: SaidBy::Client,
            dsn_passed_on: false,
        };
        let outcomes = letter.envelope.forward_paths.iter().map(outcome).collect();
        Self { outcomes, via: None, trail: Vec::new() }
    }
}

fn refused(letter: &Letter<'_>, why: &str) -> Relayed {
    Relayed::of_all(letter, &Reply::new(550, Enhanced(5, 7, 1), why))
}

fn domain_of(path: &str) -> Option<String> {
    path.parse::<smtp::address::Address>().ok().map(|address| address.domain().to_owned())
}

/// The judge's word in the words of routes.
fn demand_of(demand: policies::Demand) -> smtp::route::Demand {
    match demand {
        policies::Demand::Opportunistic => smtp::route::Demand::Opportunistic,
        policies::Demand::Encrypted => smtp::route::Demand::Encrypted,
        policies::Demand::Verified => smtp::route::Demand::Verified,
    }
}
