//! Values against each other. Asks nothing of the machine.

use std::net::{IpAddr, SocketAddr};

use super::super::certificates;
use super::super::fit::Leaf;
use super::super::problem::Problem;
use super::super::value::{Format, HostPort};
use super::{MASTER_FROM, domains, first_below, leaf, text};

/// Values against each other. Asks nothing of the machine.
pub(in crate::config) fn agree(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    ports_are_given_once(leaves, problems);
    domains_are_given_once(leaves, problems);
    mail_is_not_handed_to_ourselves(leaves, problems);
    certificates::agree(leaves, problems);
    people_who_submit_can_log_in(leaves, problems);
    retry_delays_are_in_order(leaves, problems);
    a_token_is_named_if_it_is_asked(leaves, problems);
    ours_and_others_are_told_apart(leaves, problems);
    agents_live_in_domains_of_their_own(leaves, problems);
    an_inbox_holds_the_largest_mail(leaves, problems);
    archive_rules_have_names_of_their_own(leaves, problems);
}

fn ports_are_given_once(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let doors: Vec<(&Leaf, Door)> = leaves.iter().filter_map(|leaf| Some((leaf, door(leaf)?))).collect();
    for (i, (leaf, door)) in doors.iter().enumerate() {
        let Some((first, _)) = doors.iter().take(i).find(|(_, other)| other.collides(door)) else { continue };
        let what = format!("the {} port {} is already taken by `{}`.", door.protocol, door.port, first.path);
        problems.push(Problem::at(leaf.at, &leaf.path, what, "Choose another port for one of the two."));
    }
}

/// One socket that will be opened.
struct Door {
    protocol: &'static str,
    ip: IpAddr,
    port: u16,
}

impl Door {
    fn collides(&self, other: &Door) -> bool {
        let overlap = self.ip == other.ip || self.ip.is_unspecified() || other.ip.is_unspecified();
        self.protocol == other.protocol && self.port == other.port && self.port != 0 && overlap
    }
}

/// The socket a leaf opens: SMTP, control and overlay addresses do, `overlay.announce` does not.
fn door(leaf: &Leaf) -> Option<Door> {
    let text = leaf.value.as_str()?;
    match leaf.format? {
        Format::Listen | Format::LoopbackListen => {
            let address: SocketAddr = text.parse().ok()?;
            Some(Door { protocol: "TCP", ip: address.ip(), port: address.port() })
        }
        Format::Multiaddr if leaf.path.starts_with("overlay.listen") => {
            let mut parts = text.split('/').skip(2);
            let ip = parts.next()?.parse().ok()?;
            let protocol = if parts.next()? == "udp" { "UDP" } else { "TCP" };
            Some(Door { protocol, ip, port: parts.next()?.parse().ok()? })
        }
        _ => None,
    }
}

fn domains_are_given_once(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let domains: Vec<_> = leaves.iter().filter(|leaf| leaf.path.starts_with("organisation.")).collect();
    for (i, leaf) in domains.iter().enumerate() {
        let same = |other: &&&Leaf| text(other).eq_ignore_ascii_case(text(leaf));
        if let Some(first) = domains.iter().take(i).find(same) {
            let what = format!("{} is already given as `{}`.", text(leaf), first.path);
            problems.push(Problem::at(leaf.at, &leaf.path, what, "Remove one of the two."));
        }
    }
}

/// Otherwise every arrived mail would set out again.
fn mail_is_not_handed_to_ourselves(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(target) = leaf(leaves, "delivery.address") else { return };
    let Ok(address) = text(target).parse::<HostPort>() else { return };
    let Ok(ip) = address.host().parse::<IpAddr>() else { return };
    let to = Door { protocol: "TCP", ip, port: address.port() };
    let ours = |leaf: &&Leaf| leaf.path.starts_with("smtp.") && door(leaf).is_some_and(|d| d.collides(&to));
    if let Some(own) = leaves.iter().find(ours) {
        let what = format!("is our own SMTP door (`{}`), so arrived mail would be sent out again.", own.path);
        let advice = "Give the address of the internal mail server.";
        problems.push(Problem::at(target.at, &target.path, what, advice));
    }
}

fn people_who_submit_can_log_in(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(door) = first_below(leaves, "smtp.submission") else { return };
    if leaf(leaves, "users.file").is_none() {
        let what = "people log in here, but there is nobody who could.";
        let advice = "Add `users: { file: users.yaml }` and names with `dccp-gateway user add`.";
        problems.push(Problem::at(door.at, "smtp.submission", what, advice));
    }
}

fn retry_delays_are_in_order(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let number = |path: &str| leaf(leaves, path).and_then(|leaf| Some((leaf, leaf.value.as_u64()?)));
    for section in ["queue", "outside"] {
        let [min, max] = ["min", "max"].map(|end| format!("{section}.retry_delay_ms_{end}"));
        let (Some((leaf, least)), Some((_, most))) = (number(&min), number(&max)) else { continue };
        if least > most {
            let what = format!("{least} is more than `{max}` ({most}).");
            problems.push(Problem::at(leaf.at, &leaf.path, what, "Make it the smaller of the two."));
        }
    }
}

/// A mark for senders that are not ours would never be seen, and ours certainly have a gateway.
fn ours_and_others_are_told_apart(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let ours = domains(leaves);
    for leaf in leaves {
        let is_ours = ours.contains(&text(leaf).to_ascii_lowercase());
        let (what, advice) = if leaf.path.starts_with("policies.must_encrypt.sender_domains") && !is_ours {
            (
                "is no domain of ours.",
                "Name domains of `organisation`; for others there is `recipient_domains`.",
            )
        } else if leaf.path.starts_with("outside.without_gateway") && is_ours {
            ("is our own domain.", "Remove the line.")
        } else {
            continue;
        };
        problems.push(Problem::at(leaf.at, &leaf.path, format!("{} {what}", text(leaf)), advice));
    }
}

/// In the main domain people live, and mail for others is not ours to take.
fn agents_live_in_domains_of_their_own(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let also: Vec<_> =
        leaves.iter().filter(|leaf| leaf.path.starts_with("organisation.also")).map(text).collect();
    let named: Vec<_> = leaves.iter().filter(|leaf| leaf.path.starts_with("agents.domains")).collect();
    for leaf in &named {
        if !also.iter().any(|domain| domain.eq_ignore_ascii_case(text(leaf))) {
            let what = format!("{} is no domain of `organisation.also`.", text(leaf));
            let advice = "Add it there, and run `dccp-gateway did update` so that partners know it.";
            problems.push(Problem::at(leaf.at, &leaf.path, what, advice));
        }
    }
    if let Some(door) = leaf(leaves, "agents.listen").filter(|_| named.is_empty()) {
        let what = "is a door for agents, but there is no domain that they could be in.";
        problems.push(Problem::at(
            door.at,
            &door.path,
            what,
            "Add `domains: [agents.your.domain]` below `agents:`.",
        ));
    }
}

/// A mail that never fits would be tried again until it expires.
fn an_inbox_holds_the_largest_mail(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let number = |path| leaf(leaves, path).and_then(|leaf| leaf.value.as_u64());
    let Some(largest) = number("agents.message_bytes_max") else { return };
    if let Some(inbox) =
        leaf(leaves, "agents.inbox_bytes_max").filter(|leaf| leaf.value.as_u64() < Some(largest))
    {
        let what = "is less than the largest mail that an agent takes (`agents.message_bytes_max`).";
        problems.push(Problem::at(inbox.at, &inbox.path, what, format!("Make it at least {largest}.")));
    }
}

fn a_token_is_named_if_it_is_asked(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(from) = leaf(leaves, MASTER_FROM).filter(|from| text(from) == "pkcs11") else { return };
    if leaf(leaves, "keys.master.pkcs11.token").is_none() {
        let what = "is pkcs11, but no token is named.";
        let advice = "Add the section `pkcs11:` with `module` and `token` below `master:`.";
        problems.push(Problem::at(from.at, &from.path, what, advice));
    }
}

/// A copy bears the name of its rule.
fn archive_rules_have_names_of_their_own(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let is_name = |leaf: &&Leaf| leaf.path.starts_with("archive.rules[") && leaf.path.ends_with("].name");
    let names: Vec<&Leaf> = leaves.iter().filter(is_name).collect();
    for (i, leaf) in names.iter().enumerate() {
        if names.iter().take(i).any(|other| other.value == leaf.value) {
            let what = format!("there is a rule {} already.", text(leaf));
            problems.push(Problem::at(leaf.at, &leaf.path, what, "Give it another name."));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::super::problem::Mark;
    use super::*;

    fn leaf_of(path: &str, format: Format, value: &str) -> Leaf {
        Leaf {
            at: Mark { line: 1, column: 1 },
            path: path.into(),
            format: Some(format),
            value: Value::from(value),
        }
    }

    #[test]
    fn tcp_and_udp_may_share_a_port_number_but_two_tcp_doors_may_not() {
        let mut problems = Vec::new();
        let udp = leaf_of("overlay.listen[0]", Format::Multiaddr, "/ip4/127.0.0.1/udp/4001/quic-v1");
        let tcp = leaf_of("overlay.listen[1]", Format::Multiaddr, "/ip4/127.0.0.1/tcp/4001");
        let smtp = leaf_of("smtp.listen[0]", Format::Listen, "0.0.0.0:4001");
        ports_are_given_once(&[udp.clone(), tcp.clone()], &mut problems);
        assert_eq!(problems, []);
        ports_are_given_once(&[udp, tcp, smtp], &mut problems);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].what, "the TCP port 4001 is already taken by `overlay.listen[1]`.");
    }

    #[test]
    fn port_zero_is_never_taken_twice() {
        let mut problems = Vec::new();
        let any = |path: &str| leaf_of(path, Format::Listen, "127.0.0.1:0");
        ports_are_given_once(&[any("smtp.listen[0]"), any("smtp.listen[1]")], &mut problems);
        assert_eq!(problems, []);
    }

    #[test]
    fn agents_need_a_domain_of_ours_where_nobody_else_lives() {
        let ours = leaf_of("organisation.domain", Format::Domain, "acme.test");
        let also = leaf_of("organisation.also[0]", Format::Domain, "Agents.acme.test");
        let domain = |name: &str| leaf_of("agents.domains[0]", Format::Domain, name);
        let door = leaf_of("agents.listen", Format::LoopbackListen, "127.0.0.1:8490");
        for (leaves, wrong) in [
            (vec![ours.clone(), also.clone(), domain("agents.acme.test"), door.clone()], None),
            (vec![ours.clone(), also.clone(), domain("acme.test")], Some("agents.domains[0]")),
            (vec![ours.clone(), domain("agents.acme.test")], Some("agents.domains[0]")),
            (vec![ours, also, door], Some("agents.listen")),
        ] {
            let mut problems = Vec::new();
            agents_live_in_domains_of_their_own(&leaves, &mut problems);
            assert_eq!(problems.first().map(|problem| problem.path.as_str()), wrong, "{problems:?}");
        }
    }
}
