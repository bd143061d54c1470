//! Which hosts take mail for a domain (RFC 5321 §5.1, RFC 7505).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Answer, Exchange, RouteError};

/// Hosts of one domain that are looked at. Large providers name five or six; every one costs look-ups and waits.
const HOSTS_MAX: usize = 10;

/// The hosts that may take mail for a domain, in the order in which to try them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// The domain of the recipients.
    pub domain: String,
    /// At least one: lower-case names, or one address literal.
    pub hosts: Vec<String>,
    /// DNSSEC secures that these are the hosts.
    pub secure: bool,
    /// The domain at the end of the aliases of `domain`.
    alias: Option<String>,
    /// No MX record: the domain itself is the host.
    implicit: bool,
}

/// Sorts the answer to the MX question for `domain`.
///
/// `own` are our own host names in lower case; `below(n)` gives a random number below `n`, which spreads the load over
/// hosts of equal preference.
///
/// # Errors
/// [`RouteError::NullMx`] and [`RouteError::Loop`].
pub fn candidates(
    domain: &str,
    mx: &Answer<Exchange>,
    own: &[String],
    mut below: impl FnMut(usize) -> usize,
) -> Result<Candidates, RouteError> {
    let found = |hosts, implicit| Candidates {
        domain: domain.to_owned(),
        hosts,
        secure: mx.secure,
        alias: mx.alias.clone(),
        implicit,
    };
    if mx.records.is_empty() {
        // RFC 5321 §5.1: "the address is treated as if it was associated with an implicit MX RR".
        let loops = own.iter().any(|name| name == domain);
        return if loops { Err(RouteError::Loop) } else { Ok(found(vec![domain.to_owned()], true)) };
    }
    // RFC 7505 §3: a null MX beside others is a mistake of the zone; the others count.
    let mut exchanges: Vec<&Exchange> = mx.records.iter().filter(|record| !record.host.is_empty()).collect();
    if exchanges.is_empty() {
        return Err(RouteError::NullMx);
    }
    // RFC 5321 §5.1: a relay that finds itself drops itself and all hosts that are no better.
    let ourselves = exchanges.iter().filter(|record| own.contains(&record.host));
    if let Some(limit) = ourselves.map(|record| record.preference).min() {
        exchanges.retain(|record| record.preference < limit);
    }
    if exchanges.is_empty() {
        return Err(RouteError::Loop);
    }
    shuffle(&mut exchanges, &mut below);
    exchanges.sort_by_key(|record| record.preference);
    let mut hosts: Vec<String> = Vec::new();
    for Exchange { host, .. } in exchanges {
        if hosts.len() < HOSTS_MAX && !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    Ok(found(hosts, false))
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], below: &mut impl FnMut(usize) -> usize) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1).min(last));
    }
}

/// The address in a domain that is an address literal (RFC 5321 §4.1.3), as [`Address`](crate::address::Address) spells
/// it. Such a domain has no MX.
pub fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.strip_prefix("IPv6:") {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

impl Candidates {
    /// The one host of an address literal.
    pub fn of_literal(domain: &str) -> Self {
        let domain = domain.to_owned();
        Self { hosts: vec![domain.clone()], domain, secure: false, alias: None, implicit: true }
    }

    /// Under which names the TLSA records of a host may be, the better first; none if DANE cannot apply because the
    /// MX records or the addresses are not secure (RFC 7672 §2.1.3 and §2.2.1).
    pub fn tlsa_bases(&self, host: &str, addresses: &Answer<IpAddr>) -> Vec<String> {
        if !self.secure || !addresses.secure || addresses.records.is_empty() {
            return Vec::new();
        }
        addresses.alias.iter().cloned().chain([host.to_owned()]).collect()
    }

    /// Which names a certificate under DANE-TA(2) may have (RFC 7672 §3.2.2).
    pub(super) fn names(&self, base: &str, host: &str) -> Vec<String> {
        let mut names = vec![base.to_owned()];
        let others = [Some(host), Some(self.domain.as_str()), self.alias.as_deref()];
        for name in others.into_iter().flatten() {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    pub(super) fn is_implicit(&self) -> bool {
        self.implicit
    }
}
