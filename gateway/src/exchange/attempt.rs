//! One attempt: the hosts of a way in order, their addresses in order, until one of them answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use finding::in_a_labels;
use smtp::client::{
    HandOverError, HandedOver, Login, Outcome, Pool, Protocol, SaidBy, Target, TlsFailure, TlsFailureKind,
    TlsPolicy, Verification,
};
use smtp::reply::{Enhanced, Reply};
use smtp::route::tls_report::{Failure, Policy, Tally};
use smtp::route::{Demand, Needs, Plan, RouteError, Security, Skipped};

use tokio::time::Instant;

use super::{Exchange, Letter, Relayed, Smarthost, Via};

/// Addresses that one attempt tries. Each may cost the wait for a connection; the next attempt begins anew.
const ADDRESSES_TRIED_MAX: usize = 12;

/// How long an attempt goes on to further addresses. A server that takes its time may have the 30 minutes of a transaction and
/// the wait behind its dot after that: together less than the hour for which the spool lends a row.
const NEXT_ADDRESS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The hosts to try.
pub(super) struct Way {
    hops: Vec<Hop>,
    skipped: Vec<Skipped>,
}

/// One host with all that a session with it needs.
struct Hop {
    host: String,
    /// `address:port`, or `host:port` where the name is ours to resolve.
    addresses: Vec<String>,
    security: Security,
    or_else: Option<Security>,
    implicit_tls: bool,
    login: Option<Login>,
    /// What the domain's reports call it; none for servers that are not the domain's.
    policy: Option<Policy>,
    fault: Option<Failure>,
}

impl Way {
    /// What the domain publishes.
    pub(super) fn planned(plan: Plan, port: u16) -> Self {
        let hop = |hop: smtp::route::Hop| Hop {
            addresses: hop
                .addresses
                .iter()
                .map(|ip| std::net::SocketAddr::new(*ip, port).to_string())
                .collect(),
            security: hop.security,
            or_else: hop.or_else,
            implicit_tls: false,
            login: None,
            policy: Some(hop.policy),
            fault: hop.fault.and_then(|why| Failure::unusable(&hop.host, &why)),
            host: hop.host,
        };
        Self { hops: plan.hops.into_iter().map(hop).collect(), skipped: plan.skipped }
    }

    /// The server that takes everything: it is ours to choose, so its certificate must be right.
    pub(super) fn smarthost(smarthost: &Smarthost) -> Self {
        let Smarthost { host, port, implicit_tls, login } = smarthost;
        let security = Security::Pkix { names: vec![host.clone()] };
        let mut way = Self::one(host.clone(), format!("{host}:{port}"), security);
        for hop in &mut way.hops {
            hop.implicit_tls = *implicit_tls;
            hop.login.clone_from(login);
        }
        way
    }

    /// The server that an administrator chose for this mail: what the judge demands, with the name that was given.
    pub(super) fn chosen(next_hop: &str, needs: Needs) -> Self {
        let host = next_hop.rsplit_once(':').map_or(next_hop, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let security = match needs {
            Needs { require_tls: true, .. } | Needs { demand: Demand::Verified, .. } => {
                Security::Pkix { names: vec![host.clone()] }
            }
            Needs { demand: Demand::Encrypted, .. } => Security::Encrypted,
            Needs { demand: Demand::Opportunistic, .. } => Security::Opportunistic,
        };
        Self::one(host, next_hop.to_owned(), security)
    }

    fn one(host: String, address: String, security: Security) -> Self {
        let addresses = vec![address];
        let hop = Hop {
            host,
            addresses,
            security,
            or_else: None,
            implicit_tls: false,
            login: None,
            policy: None,
            fault: None,
        };
        Self { hops: vec![hop], skipped: Vec::new() }
    }
}

/// What one attempt has come to.
pub(super) struct Attempt<'a> {
    exchange: &'a Exchange,
    domain: String,
    needs: Needs,
    letter: &'a Letter<'a>,
    trail: Vec<String>,
    /// The last failure of a host, which speaks for the attempt if none answers. One that may pass speaks before one of TLS
    /// where the sender asks for REQUIRETLS: whoever was not reached may be able to do what is asked.
    last: Option<HandOverError>,
    /// What became of the letter at a host that does not offer the REQUIRETLS that it needs.
    unable: Option<HandedOver>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(exchange: &'a Exchange, domain: &str, needs: Needs, letter: &'a Letter<'a>) -> Self {
        let domain = in_a_labels(domain).unwrap_or_else(|| domain.to_owned());
        Self { exchange, domain, needs, letter, trail: Vec::new(), last: None, unable: None }
    }

    /// No host to try.
    pub(super) fn no_way(self, error: &RouteError) -> Relayed {
        Relayed { trail: self.trail, ..Relayed::of_all(self.letter, &error.reply()) }
    }

    /// Tries the hosts until one answers for all recipients.
    pub(super) async fn follow(mut self, way: Way) -> Relayed {
        for Skipped { host, why, policy } in way.skipped {
            self.trail.push(format!("{host}: {why}"));
            if let Some(failure) = Failure::unusable(&host, &why) {
                self.count(&policy, Some(failure)).await;
            }
        }
        let (begun, mut tries) = (Instant::now(), 0);
        for hop in &way.hops {
            if let Some(fault) = &hop.fault {
                self.trail.push(format!("{}: {} (its policy is in testing)", hop.host, fault.reason));
            }
            for address in &hop.addresses {
                tries += 1;
                if tries > ADDRESSES_TRIED_MAX || begun.elapsed() > NEXT_ADDRESS_WITHIN {
                    return self.nobody();
                }
                if let Some(relayed) = self.try_address(hop, address).await {
                    return relayed;
                }
            }
        }
        self.nobody()
    }

    /// One address, first under the protection of the plan, then under what will do instead. None: try the next.
    async fn try_address(&mut self, hop: &Hop, address: &str) -> Option<Relayed> {
        for security in std::iter::once(&hop.security).chain(&hop.or_else) {
            let pool = self.pool(hop, address, security);
            let done = self.hand_over(&pool).await;
            self.count_session(hop, address, security, &done).await;
            let error = match done {
                // RFC 8689 §4.2.1: the next host may.
                Ok(handed_over) if lacks_require_tls(&handed_over) => {
                    self.trail.push(format!("{} [{address}]: it does not offer REQUIRETLS", hop.host));
                    self.unable = Some(handed_over);
                    return None;
                }
                Ok(handed_over) => return Some(self.answered(hop, address, security, handed_over)),
                Err(error) => error,
            };
            self.trail.push(format!("{} [{address}]: {error}", hop.host));
            if error.is_permanent() {
                return Some(
                    self.given_up(&Reply::new(554, Enhanced(5, 6, 0), error.to_string()), SaidBy::Client),
                );
            }
            if error.may_be_delivered() {
                let reply = Reply::new(451, Enhanced(4, 4, 2), error.to_string());
                return Some(self.given_up(&reply, SaidBy::Silence));
            }
            let is_tls = matches!(error, HandOverError::Tls(_));
            let unreached = self.last.as_ref().is_some_and(|last| !matches!(last, HandOverError::Tls(_)));
            if !(self.needs.require_tls && is_tls && unreached) {
                self.last = Some(error);
            }
            if !is_tls {
                break;
            }
        }
        None
    }

    async fn hand_over(&self, pool: &Pool) -> Result<HandedOver, HandOverError> {
        let octets: &[Bytes] = self.letter.octets;
        pool.hand_over(self.letter.envelope, octets).await
    }

    fn pool(&self, hop: &Hop, address: &str, security: &Security) -> Arc<Pool> {
        // What is in the key is all that makes two targets differ; the rest is the same for the whole exchange.
        let key = format!("{address} {} {security:?} {}", hop.host, hop.login.is_some());
        self.exchange.pools.pool(key, Instant::now(), || {
            let settings = &self.exchange.settings;
            let mut target = Target::new(Protocol::Smtp, address, &settings.hello);
            target.name = Some(hop.host.clone());
            target.tls = self.tls(security);
            target.implicit_tls = hop.implicit_tls;
            target.login.clone_from(&hop.login);
            target.timeouts = settings.timeouts;
            target.connections_max = settings.connections_max.max(1);
            target
        })
    }

    fn tls(&self, security: &Security) -> TlsPolicy {
        TlsPolicy::Required(match security {
            Security::Opportunistic => return TlsPolicy::Opportunistic,
            Security::Encrypted => Verification::AnyCertificate,
            Security::Pkix { names } => {
                Verification::Pkix { names: names.clone(), roots: self.exchange.roots.clone() }
            }
            Security::Dane { records, names } => {
                Verification::Dane { tlsa: records.clone(), names: names.clone() }
            }
        })
    }

    fn answered(
        &mut self,
        hop: &Hop,
        address: &str,
        security: &Security,
        handed_over: HandedOver,
    ) -> Relayed {
        let HandedOver { outcomes, tls, tls_failure } = handed_over;
        if let Some(failure) = tls_failure {
            self.trail.push(format!("{} [{address}]: in the clear: {failure}", hop.host));
        }
        let verified = verified(security, tls.is_some(), hop.policy.as_ref());
        let via = Via { host: hop.host.clone(), address: address.to_owned(), tls, verified };
        Relayed { outcomes, via: Some(via), trail: std::mem::take(&mut self.trail) }
    }

    /// The same for everybody, after a server was spoken to.
    fn given_up(&mut self, reply: &Reply, said_by: SaidBy) -> Relayed {
        let mut relayed = Relayed::of_all(self.letter, reply);
        relayed.outcomes.iter_mut().for_each(|outcome| outcome.said_by = said_by);
        Relayed { trail: std::mem::take(&mut self.trail), ..relayed }
    }

    /// Nobody took it.
    fn nobody(mut self) -> Relayed {
        if let (Some(unable), None | Some(HandOverError::Tls(_))) = (self.unable.take(), &self.last) {
            return Relayed { outcomes: unable.outcomes, via: None, trail: self.trail };
        }
        let (reply, said_by) = match self.last.take() {
            Some(HandOverError::Tls(failure)) => (self.without_tls(&failure), SaidBy::Client),
            Some(HandOverError::Refused { reply, .. }) if reply.is_temporary() => (reply, SaidBy::Server),
            Some(error) => (Reply::new(451, unreached(&error), error.to_string()), SaidBy::Client),
            None => (Reply::new(451, Enhanced(4, 4, 1), "no host to try"), SaidBy::Client),
        };
        self.given_up(&reply, said_by)
    }

    /// TLS may come back by itself; what REQUIRETLS asks for is answered at once (RFC 8689 §4.2.1).
    fn without_tls(&self, failure: &TlsFailure) -> Reply {
        let text = format!("no TLS with the mail server: {failure}");
        match (self.needs.require_tls, failure.kind) {
            (true, _) => Reply::new(550, Enhanced(5, 7, 10), text),
            // RFC 3463 §3.8: security features not supported; cryptographic failure.
            (false, TlsFailureKind::StartTlsNotSupported) => Reply::new(451, Enhanced(4, 7, 4), text),
            (false, _) => Reply::new(451, Enhanced(4, 7, 5), text),
        }
    }

    /// For the report about TLS. What ended before TLS was tried says nothing about it.
    async fn count_session(
        &self,
        hop: &Hop,
        address: &str,
        security: &Security,
        done: &Result<HandedOver, HandOverError>,
    ) {
        let Some(policy) = &hop.policy else { return };
        let failure = match done {
            Ok(HandedOver { tls: Some(_), .. }) => hop.fault.clone(),
            Ok(HandedOver { tls_failure: Some(failure), .. }) | Err(HandOverError::Tls(failure)) => {
                Some(Failure {
                    result: failure.kind.result_type().to_owned(),
                    host: hop.host.clone(),
                    address: address.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()),
                    reason: failure.reason.clone(),
                })
            }
            _ => return,
        };
        // The failure of the first way was counted; that something else did instead is no success of the policy.
        if hop.or_else.as_ref() == Some(security) {
            return;
        }
        self.count(policy, failure).await;
    }

    async fn count(&self, policy: &Policy, failure: Option<Failure>) {
        let tally = Tally { policy: policy.clone(), failure };
        self.exchange.reports.count(&self.domain, tally, (self.exchange.clock)()).await;
    }
}

/// Whether the server could not be sent the letter for want of REQUIRETLS.
fn lacks_require_tls(handed_over: &HandedOver) -> bool {
    let said =
        |outcome: &Outcome| outcome.said_by == SaidBy::Client && outcome.reply.status() == Enhanced(5, 7, 30);
    handed_over.outcomes.iter().any(said)
}

/// RFC 3463 §3.5: no answer from host, bad connection, other protocol status.
fn unreached(error: &HandOverError) -> Enhanced {
    match error {
        HandOverError::Connect { .. } => Enhanced(4, 4, 1),
        HandOverError::Reply { .. } => Enhanced(4, 5, 0),
        _ => Enhanced(4, 4, 2),
    }
}

/// How the server was verified, for the journal.
fn verified(security: &Security, tls: bool, policy: Option<&Policy>) -> String {
    use smtp::route::tls_report::PolicyKind;
    let by_policy = match policy.map(|policy| policy.kind) {
        Some(PolicyKind::Sts) => ", as its MTA-STS policy asks",
        _ => "",
    };
    match security {
        _ if !tls => "not at all, in the clear".to_owned(),
        Security::Opportunistic | Security::Encrypted => "not at all".to_owned(),
        Security::Pkix { names } => format!("by a certificate for {}{by_policy}", names.join(" or ")),
        Security::Dane { .. } => "by DANE".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_a_person_chose_is_protected_as_the_mail_demands() {
        let chosen = |next_hop: &str, demand, require_tls| {
            let way = Way::chosen(next_hop, Needs { demand, require_tls });
            let [hop] = <[Hop; 1]>::try_from(way.hops).unwrap_or_else(|_| panic!("one hop"));
            (hop.host, hop.security)
        };
        let pkix = |name: &str| Security::Pkix { names: vec![name.to_owned()] };
        assert_eq!(
            chosen("mx.b.test:25", Demand::Opportunistic, false),
            ("mx.b.test".into(), Security::Opportunistic)
        );
        assert_eq!(
            chosen("mx.b.test:25", Demand::Encrypted, false),
            ("mx.b.test".into(), Security::Encrypted)
        );
        assert_eq!(chosen("mx.b.test:25", Demand::Verified, false), ("mx.b.test".into(), pkix("mx.b.test")));
        assert_eq!(chosen("[::1]:25", Demand::Opportunistic, true), ("::1".into(), pkix("::1")));
    }
}
