//! What protects each host: DANE, then MTA-STS, then our own law. The table is in the room's documentation.

use std::net::IpAddr;

use super::mta_sts::{Finding, Mode};
use super::tls_report::Policy;
use super::{
    Answer, Candidates, Demand, Hop, Host, Needs, NoAnswer, Plan, RouteError, Security, Skipped, Tlsa,
    Unusable, literal,
};

/// Addresses of one host that are tried: a host of a hundred dead addresses costs no more than this.
const ADDRESSES_MAX: usize = 6;

/// The way for a mail with these `needs`. `hosts` are the candidates with what was found of them, in their order.
///
/// # Errors
/// [`RouteError`] if no host may be used.
pub fn plan(
    candidates: &Candidates,
    hosts: Vec<Host>,
    sts: &Finding,
    needs: Needs,
) -> Result<Plan, RouteError> {
    let mut plan = Plan { hops: Vec::new(), skipped: Vec::new() };
    for host in hosts {
        let name = host.name.clone();
        let weighing = Weighing { candidates, sts, needs, host: &name };
        match weighing.weigh(host) {
            Ok(hop) => plan.hops.push(hop),
            Err(skipped) => plan.skipped.push(skipped),
        }
    }
    if plan.hops.is_empty() {
        return Err(no_way(candidates, &plan.skipped, sts, needs));
    }
    Ok(plan)
}

/// The most hopeful reason speaks: a mail is given up only when nothing could change by itself.
fn no_way(candidates: &Candidates, skipped: &[Skipped], sts: &Finding, needs: Needs) -> RouteError {
    let mut hopeless = RouteError::NoHost;
    for Skipped { why, .. } in skipped {
        match why {
            Unusable::Dns(no_answer) => return no_answer.clone().into(),
            Unusable::NotInPolicy => return RouteError::AgainstPolicy(why.clone()),
            Unusable::NotVouchedFor | Unusable::NoName => {
                hopeless = RouteError::NotVerifiable(why.clone());
            }
            Unusable::NoAddress => {}
        }
    }
    match (hopeless, sts) {
        // A policy that could not be asked for might vouch for the hosts.
        (RouteError::NotVerifiable(_), Finding::Unknown(no_answer)) if needs.require_tls => {
            no_answer.clone().into()
        }
        (RouteError::NoHost, _) if candidates.is_implicit() => RouteError::NoSuchDomain,
        (other, _) => other,
    }
}

/// One host on the scales.
struct Weighing<'a> {
    candidates: &'a Candidates,
    sts: &'a Finding,
    needs: Needs,
    host: &'a str,
}

impl Weighing<'_> {
    fn weigh(&self, found: Host) -> Result<Hop, Skipped> {
        let addresses = self.addresses(found.addresses).map_err(|why| self.skipped(why, Policy::none()))?;
        let tlsa = dane(&found.tlsa).map_err(|error| self.skipped(error.into(), Policy::tlsa(&[])))?;
        let hop = |security, policy| Hop {
            host: self.host.to_owned(),
            addresses,
            security,
            or_else: None,
            policy,
            fault: None,
        };
        match tlsa {
            Tlsas::Usable { base, records } => {
                let names = self.candidates.names(&base, self.host);
                let policy = Policy::tlsa(&records);
                Ok(hop(Security::Dane { records, names }, policy))
            }
            Tlsas::Unusable(records) => {
                let hop = hop(Security::Encrypted, Policy::tlsa(&records));
                self.without_dane(hop, Demand::Encrypted)
            }
            Tlsas::None => {
                let hop = hop(Security::Opportunistic, self.sts.policy_reported());
                self.without_dane(hop, Demand::Opportunistic)
            }
        }
    }

    fn addresses(&self, found: Result<Answer<IpAddr>, NoAnswer>) -> Result<Vec<IpAddr>, Unusable> {
        let mut addresses = found?.records;
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(Unusable::NoAddress) } else { Ok(addresses) }
    }

    /// MTA-STS and our law; `least` is what DANE asks for although none of its records can be used.
    fn without_dane(&self, hop: Hop, least: Demand) -> Result<Hop, Skipped> {
        let policy = self.sts.policy().map(|policy| (policy.mode, policy.names(self.host)));
        let (enforced, tested) = match policy {
            Some((Mode::Enforce, false)) => {
                return Err(self.skipped(Unusable::NotInPolicy, self.sts.policy_reported()));
            }
            Some((Mode::Enforce, true)) => (true, None),
            Some((Mode::Testing, named)) => (false, Some(named)),
            Some((Mode::None, _)) | None => (false, None),
        };
        let vouched_for = self.candidates.secure || enforced || tested == Some(true);
        if self.needs.require_tls && !vouched_for {
            return Err(self.skipped(Unusable::NotVouchedFor, self.sts.policy_reported()));
        }
        let host = Security::Pkix { names: vec![self.host.to_owned()] };
        if enforced || self.needs.require_tls {
            return Ok(Hop { security: host, ..hop });
        }
        let security = match self.needs.demand.max(least) {
            Demand::Opportunistic => Security::Opportunistic,
            Demand::Encrypted => Security::Encrypted,
            Demand::Verified if vouched_for => host.clone(),
            Demand::Verified => self.verified_by_domain()?,
        };
        // RFC 8461 §5: what fails under a policy in testing is reported, and the mail goes on.
        Ok(match tested {
            Some(true) if security != host => Hop { security: host, or_else: Some(security), ..hop },
            Some(false) => Hop { security, fault: Some(Unusable::NotInPolicy), ..hop },
            _ => Hop { security, ..hop },
        })
    }

    /// Nobody vouches for the name of the host, so the certificate must be for the domain of the recipient; a host
    /// below that domain may use its own name, for which nobody else gets a certificate.
    fn verified_by_domain(&self) -> Result<Security, Skipped> {
        let domain = &self.candidates.domain;
        if literal(domain).is_some() {
            return Err(self.skipped(Unusable::NoName, Policy::none()));
        }
        let below = self.host.strip_suffix(domain.as_str()).is_some_and(|front| front.ends_with('.'));
        let names = std::iter::once(domain.clone()).chain(below.then(|| self.host.to_owned())).collect();
        Ok(Security::Pkix { names })
    }

    fn skipped(&self, why: Unusable, policy: Policy) -> Skipped {
        Skipped { host: self.host.to_owned(), why, policy }
    }
}

/// What DANE says of a host.
enum Tlsas {
    /// No secure record: DANE does not apply.
    None,
    /// Secure records, and none that we could use: TLS is mandatory, authentication impossible (RFC 7672 §2.2).
    Unusable(Vec<Tlsa>),
    /// Secure records under this name, one of them usable.
    Usable { base: String, records: Vec<Tlsa> },
}

/// The first name with secure records counts (RFC 7672 §2.2.3).
fn dane(answers: &[(String, Result<Answer<Tlsa>, NoAnswer>)]) -> Result<Tlsas, NoAnswer> {
    for (base, answer) in answers {
        let answer = answer.as_ref().map_err(NoAnswer::clone)?;
        if answer.secure && !answer.records.is_empty() {
            let (base, records) = (base.clone(), answer.records.clone());
            let usable = records.iter().any(Tlsa::is_usable);
            return Ok(if usable { Tlsas::Usable { base, records } } else { Tlsas::Unusable(records) });
        }
    }
    Ok(Tlsas::None)
}
