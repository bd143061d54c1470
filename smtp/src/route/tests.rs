//! Each clause of the standards that decide about a way, and each line of the room's table.

use std::net::IpAddr;

use super::mta_sts::{Finding, Mode};
use super::tls_report::PolicyKind;
use super::*;

const OWN: &str = "gw.acme.test";

fn mx(records: &[(u16, &str)], secure: bool) -> Answer<Exchange> {
    let exchange = |&(preference, host): &(u16, &str)| Exchange { preference, host: host.into() };
    Answer { records: records.iter().map(exchange).collect(), secure, alias: None }
}

/// The hosts in order, when chance always draws the lowest number.
fn hosts(records: &[(u16, &str)]) -> Result<Vec<String>, RouteError> {
    sorted(records, |_| 0)
}

fn sorted(records: &[(u16, &str)], below: impl FnMut(usize) -> usize) -> Result<Vec<String>, RouteError> {
    candidates("globex.test", &mx(records, false), &[OWN.into()], below).map(|found| found.hosts)
}

#[test]
fn lower_preferences_come_first_whatever_chance_says() {
    // RFC 5321 §5.1: "the lower numbers are more preferred".
    let records = [(20, "b.test"), (10, "a.test"), (30, "c.test")];
    for draw in 0..3 {
        assert_eq!(sorted(&records, |_| draw).unwrap(), ["a.test", "b.test", "c.test"]);
    }
}

#[test]
fn hosts_of_equal_preference_take_turns() {
    // RFC 5321 §5.1: "the sender-SMTP MUST randomize them".
    let records = [(10, "a.test"), (10, "b.test"), (20, "c.test")];
    let mut firsts: Vec<String> = (0..3).map(|draw| sorted(&records, |_| draw).unwrap()[0].clone()).collect();
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts, ["a.test", "b.test"]);
    assert_eq!(sorted(&records, |below| below - 1).unwrap()[2], "c.test");
}

#[test]
fn a_domain_without_mx_is_its_own_host() {
    assert_eq!(hosts(&[]).unwrap(), ["globex.test"]);
}

#[test]
fn a_null_mx_ends_the_matter_and_counts_for_nothing_beside_others() {
    assert_eq!(hosts(&[(0, "")]), Err(RouteError::NullMx));
    assert_eq!(hosts(&[(0, ""), (10, "a.test")]).unwrap(), ["a.test"]);
    let reply = RouteError::NullMx.reply();
    assert_eq!((reply.code, reply.enhanced), (556, Some(Enhanced(5, 1, 10))));
}

#[test]
fn mail_is_never_sent_to_ourselves_or_to_a_host_that_is_no_better() {
    // RFC 5321 §5.1: as a backup we serve only those before us.
    let records = [(10, "a.test"), (20, OWN), (20, "equal.test"), (30, "worse.test")];
    assert_eq!(hosts(&records).unwrap(), ["a.test"]);
    assert_eq!(hosts(&[(10, OWN), (20, "b.test")]), Err(RouteError::Loop));
    let implicit = candidates(OWN, &mx(&[], false), &[OWN.into()], |_| 0);
    assert_eq!(implicit, Err(RouteError::Loop));
    assert_eq!(RouteError::Loop.reply().enhanced, Some(Enhanced(5, 4, 6)));
}

#[test]
fn a_domain_of_a_hundred_hosts_costs_ten_and_no_host_comes_twice() {
    let names: Vec<String> = (0..100).map(|number| format!("mx{number}.test")).collect();
    let records: Vec<(u16, &str)> = names.iter().map(|name| (10, name.as_str())).collect();
    assert_eq!(hosts(&records).unwrap().len(), 10);
    assert_eq!(hosts(&[(10, "a.test"), (20, "a.test")]).unwrap(), ["a.test"]);
}

#[test]
fn an_address_literal_is_its_own_way() {
    assert_eq!(literal("[192.0.2.1]"), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(literal("[IPv6:2001:db8::1]"), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(literal("globex.test"), None);
    let candidates = Candidates::of_literal("[192.0.2.1]");
    let plan = |demand| {
        plan(&candidates, vec![host("[192.0.2.1]", false, None)], &Finding::None, needs(demand, false))
    };
    assert_eq!(plan(Demand::Encrypted).unwrap().hops[0].security, Security::Encrypted);
    assert_eq!(plan(Demand::Verified), Err(RouteError::NotVerifiable(Unusable::NoName)));
}

#[test]
fn tlsa_records_are_asked_for_only_where_mx_and_addresses_are_secure() {
    // RFC 7672 §2.2.1; §2.1.3: the end of the aliases first.
    let secure = candidates("globex.test", &mx(&[(10, "mx.globex.test")], true), &[], |_| 0).unwrap();
    let insecure = candidates("globex.test", &mx(&[(10, "mx.globex.test")], false), &[], |_| 0).unwrap();
    let address = |secure, alias: Option<&str>| Answer {
        records: vec![IpAddr::from([192, 0, 2, 1])],
        secure,
        alias: alias.map(str::to_owned),
    };
    let bases = |candidates: &Candidates, answer| candidates.tlsa_bases("mx.globex.test", &answer);
    assert_eq!(bases(&secure, address(true, None)), ["mx.globex.test"]);
    assert_eq!(bases(&secure, address(true, Some("real.test"))), ["real.test", "mx.globex.test"]);
    assert!(bases(&secure, address(false, None)).is_empty());
    assert!(bases(&insecure, address(true, None)).is_empty());
    assert!(bases(&secure, Answer { records: Vec::new(), secure: true, alias: None }).is_empty());
    assert_eq!(tlsa::name_of("mx.globex.test"), "_25._tcp.mx.globex.test");
}

// What protects a hop.

const HOST: &str = "mx.globex.test";
const ELSEWHERE: &str = "mx.provider.test";

/// What DNS says of TLSA at a host with secure addresses.
#[derive(Clone, Copy)]
enum Dane {
    Usable,
    Unusable,
    Insecure,
    Forged,
}

fn record(usage: u8) -> Tlsa {
    Tlsa { usage, selector: 1, matching: 1, data: vec![7; 32] }
}

fn host(name: &str, secure: bool, dane: Option<Dane>) -> Host {
    let records = |usage, secure| Ok(Answer { records: vec![record(usage)], secure, alias: None });
    let tlsa = dane.map(|dane| match dane {
        Dane::Usable => records(3, true),
        Dane::Unusable => records(1, true),
        Dane::Insecure => records(3, false),
        Dane::Forged => Err(NoAnswer::Bogus),
    });
    let address = IpAddr::from([192, 0, 2, 1]);
    Host {
        name: name.into(),
        addresses: Ok(Answer { records: vec![address], secure, alias: None }),
        tlsa: tlsa.into_iter().map(|answer| (name.to_owned(), answer)).collect(),
    }
}

fn needs(demand: Demand, require_tls: bool) -> Needs {
    Needs { demand, require_tls }
}

fn sts(mode: Mode, named: &str) -> Finding {
    Finding::Policy(mta_sts::Policy { mode, hosts: vec![named.into()], max_age_s: 86_400 })
}

/// The way over one host.
fn way(name: &str, secure: bool, dane: Option<Dane>, sts: &Finding, needs: Needs) -> Result<Hop, RouteError> {
    let candidates = candidates("globex.test", &mx(&[(10, name)], secure), &[], |_| 0).unwrap();
    plan(&candidates, vec![host(name, secure, dane)], sts, needs).map(|mut plan| plan.hops.remove(0))
}

fn pkix(names: &[&str]) -> Security {
    Security::Pkix { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

const ANY: [Demand; 3] = [Demand::Opportunistic, Demand::Encrypted, Demand::Verified];

#[test]
fn usable_tlsa_records_decide_alone() {
    // RFC 8461 §2: MTA-STS never overrides DANE, neither way.
    for demand in ANY {
        for require_tls in [false, true] {
            for sts in [Finding::None, sts(Mode::Enforce, HOST), sts(Mode::Enforce, "other.test")] {
                let hop = way(HOST, true, Some(Dane::Usable), &sts, needs(demand, require_tls)).unwrap();
                let names = vec![HOST.to_owned(), "globex.test".to_owned()];
                assert_eq!(hop.security, Security::Dane { records: vec![record(3)], names });
                assert_eq!((hop.or_else, hop.policy.kind), (None, PolicyKind::Tlsa));
            }
        }
    }
}

#[test]
fn unusable_tlsa_records_still_forbid_clear_text() {
    // RFC 7672 §2.2: TLS is mandatory, without authentication.
    let security = |demand, sts: &Finding| {
        way(HOST, true, Some(Dane::Unusable), sts, needs(demand, false)).unwrap().security
    };
    assert_eq!(security(Demand::Opportunistic, &Finding::None), Security::Encrypted);
    assert_eq!(security(Demand::Encrypted, &Finding::None), Security::Encrypted);
    assert_eq!(security(Demand::Verified, &Finding::None), pkix(&[HOST]));
    assert_eq!(security(Demand::Opportunistic, &sts(Mode::Enforce, HOST)), pkix(&[HOST]));
    let tested =
        way(HOST, true, Some(Dane::Unusable), &sts(Mode::Testing, HOST), needs(Demand::Opportunistic, false));
    assert_eq!(tested.unwrap().or_else, Some(Security::Encrypted));
}

#[test]
fn insecure_tlsa_records_are_as_good_as_none() {
    let hop =
        way(HOST, true, Some(Dane::Insecure), &Finding::None, needs(Demand::Opportunistic, false)).unwrap();
    assert_eq!((hop.security, hop.policy.kind), (Security::Opportunistic, PolicyKind::NoPolicyFound));
}

#[test]
fn a_host_whose_tlsa_or_addresses_cannot_be_had_is_skipped() {
    // RFC 7672 §2.1.1: falling back to less would be what an attacker wants.
    let found = candidates("globex.test", &mx(&[(10, HOST), (20, "b.test")], true), &[], |_| 0).unwrap();
    let hosts = vec![host(HOST, true, Some(Dane::Forged)), host("b.test", true, None)];
    let way = plan(&found, hosts, &Finding::None, needs(Demand::Opportunistic, false)).unwrap();
    assert_eq!(way.hops.iter().map(|hop| hop.host.as_str()).collect::<Vec<_>>(), ["b.test"]);
    assert_eq!((&*way.skipped[0].host, &way.skipped[0].why), (HOST, &Unusable::Dns(NoAnswer::Bogus)));

    let silent = Err(NoAnswer::Silent("timeout".into()));
    for hosts in [
        vec![host(HOST, true, Some(Dane::Forged))],
        vec![Host { addresses: silent, ..host(HOST, true, None) }],
    ] {
        let error = plan(&found, hosts, &Finding::None, needs(Demand::Opportunistic, false)).unwrap_err();
        let reply = error.reply();
        assert_eq!((reply.code, reply.enhanced), (451, Some(Enhanced(4, 4, 3))), "{error}");
    }
}

#[test]
fn hosts_without_addresses_are_the_end_only_if_dns_says_so_of_all() {
    let nowhere = |name: &str| Host {
        addresses: Ok(Answer { records: Vec::new(), secure: false, alias: None }),
        ..host(name, false, None)
    };
    let silent = Host { addresses: Err(NoAnswer::Silent("x".into())), ..host("b.test", false, None) };
    let explicit = candidates("globex.test", &mx(&[(10, HOST), (20, "b.test")], false), &[], |_| 0).unwrap();
    let implicit = candidates("globex.test", &mx(&[], false), &[], |_| 0).unwrap();
    let error = |candidates, hosts| {
        plan(candidates, hosts, &Finding::None, needs(Demand::Opportunistic, false)).unwrap_err()
    };
    assert_eq!(error(&implicit, vec![nowhere("globex.test")]), RouteError::NoSuchDomain);
    assert_eq!(error(&explicit, vec![nowhere(HOST), nowhere("b.test")]), RouteError::NoHost);
    assert!(error(&explicit, vec![nowhere(HOST), silent]).reply().is_temporary());
}

#[test]
fn an_enforced_policy_names_the_hosts_and_wants_their_certificates() {
    // RFC 8461 §5.
    for demand in ANY {
        let hop = way(HOST, false, None, &sts(Mode::Enforce, "*.globex.test"), needs(demand, false)).unwrap();
        assert_eq!((hop.security, hop.or_else, hop.policy.kind), (pkix(&[HOST]), None, PolicyKind::Sts));
        let error = way(ELSEWHERE, false, None, &sts(Mode::Enforce, "*.globex.test"), needs(demand, false))
            .unwrap_err();
        assert_eq!(error, RouteError::AgainstPolicy(Unusable::NotInPolicy));
        assert!(error.reply().is_temporary(), "who attacks now may be gone tomorrow");
    }
}

#[test]
fn a_policy_in_testing_is_tried_and_hinders_nothing() {
    let testing = sts(Mode::Testing, HOST);
    let hop = |name, demand| way(name, false, None, &testing, needs(demand, false)).unwrap();
    for (demand, fallback) in
        [(Demand::Opportunistic, Security::Opportunistic), (Demand::Encrypted, Security::Encrypted)]
    {
        assert_eq!(
            (hop(HOST, demand).security, hop(HOST, demand).or_else),
            (pkix(&[HOST]), Some(fallback.clone()))
        );
        let other = hop(ELSEWHERE, demand);
        assert_eq!(
            (other.security, other.or_else, other.fault),
            (fallback, None, Some(Unusable::NotInPolicy))
        );
    }
    assert_eq!(hop(HOST, Demand::Verified).or_else, None);
}

#[test]
fn without_any_policy_the_demand_decides() {
    for finding in
        [Finding::None, sts(Mode::None, "other.test"), Finding::Unknown(NoAnswer::Silent("x".into()))]
    {
        let security =
            |name, secure, demand| way(name, secure, None, &finding, needs(demand, false)).unwrap().security;
        assert_eq!(security(HOST, false, Demand::Opportunistic), Security::Opportunistic);
        assert_eq!(security(HOST, false, Demand::Encrypted), Security::Encrypted);
        // DNSSEC vouches for the name of the host; without it only the domain's own name is known to be right.
        assert_eq!(security(ELSEWHERE, true, Demand::Verified), pkix(&[ELSEWHERE]));
        assert_eq!(security(ELSEWHERE, false, Demand::Verified), pkix(&["globex.test"]));
        assert_eq!(security(HOST, false, Demand::Verified), pkix(&["globex.test", HOST]));
        assert_eq!(security("evilglobex.test", false, Demand::Verified), pkix(&["globex.test"]));
    }
}

#[test]
fn require_tls_wants_a_name_that_somebody_vouches_for_and_its_certificate() {
    // RFC 8689 §2: DNSSEC for the MX record, or an MTA-STS policy that names the host.
    let asks =
        |secure, finding: &Finding| way(HOST, secure, None, finding, needs(Demand::Opportunistic, true));
    for vouched in [
        asks(true, &Finding::None),
        asks(false, &sts(Mode::Enforce, HOST)),
        asks(false, &sts(Mode::Testing, HOST)),
    ] {
        let hop = vouched.unwrap();
        assert_eq!((hop.security, hop.or_else), (pkix(&[HOST]), None));
    }
    let refused = asks(false, &Finding::None).unwrap_err();
    assert_eq!(refused, RouteError::NotVerifiable(Unusable::NotVouchedFor));
    assert_eq!(refused.reply().enhanced, Some(Enhanced(5, 7, 10)));
    let unknown = asks(false, &Finding::Unknown(NoAnswer::Silent("timeout".into()))).unwrap_err();
    assert!(unknown.reply().is_temporary(), "a policy that could not be asked for might vouch");
}
