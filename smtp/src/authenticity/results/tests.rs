use proptest::prelude::*;

use super::super::verdicts::Policy;
use super::*;
use crate::authenticity::forged_results;

fn spf(outcome: Outcome, identity: SpfIdentity) -> Spf {
    Spf { outcome, identity }
}

fn verdicts() -> Verdicts {
    Verdicts {
        ip: "192.0.2.7".parse().unwrap(),
        helo: spf(Outcome::None, SpfIdentity::Helo("mx.globex.example".into())),
        mail_from: spf(Outcome::Pass, SpfIdentity::MailFrom("bob@globex.example".into())),
        dkim: vec![Dkim {
            outcome: Outcome::Pass,
            domain: "globex.example".into(),
            selector: "s1-rsa".into(),
            algorithm: "rsa-sha256",
            signature: "dzdVyOfA".into(),
            why: String::new(),
        }],
        dmarc: Dmarc {
            outcome: Outcome::Pass,
            domain: "globex.example".into(),
            policy: Policy::Reject,
            why: String::new(),
        },
        arc: Arc { outcome: Outcome::None, instances: 0, sealer: None, why: String::new() },
        temporary: false,
    }
}

#[test]
fn a_field_says_everything_that_was_found_and_folds_where_it_is_long() {
    assert_eq!(
        verdicts().authentication_results("gw.acme.example"),
        "Authentication-Results: gw.acme.example;\r\n\
         \tspf=none smtp.helo=mx.globex.example;\r\n\
         \tspf=pass smtp.mailfrom=bob@globex.example;\r\n\
         \tdkim=pass header.d=globex.example header.s=s1-rsa header.a=rsa-sha256\r\n\
         \t header.b=dzdVyOfA;\r\n\
         \tdmarc=pass (p=reject) header.from=globex.example\r\n"
    );
}

#[test]
fn an_unsigned_message_and_a_failed_chain_say_so() {
    let arc = Arc { outcome: Outcome::Fail, instances: 1, sealer: None, why: "a seal is broken".into() };
    let text = Verdicts { dkim: Vec::new(), arc, ..verdicts() }.authentication_results("gw.acme.example");
    assert!(text.contains(";\r\n\tdkim=none;\r\n"), "{text}");
    assert!(text.ends_with("arc=fail reason=\"a seal is broken\" smtp.remote-ip=192.0.2.7\r\n"), "{text}");
}

#[test]
fn an_address_of_ipv6_is_quoted_as_it_is_no_token() {
    let arc = Arc { outcome: Outcome::Pass, instances: 1, sealer: None, why: String::new() };
    let text =
        Verdicts { arc, ip: "2001:db8::1".parse().unwrap(), ..verdicts() }.authentication_results("gw");
    assert!(text.ends_with("arc=pass smtp.remote-ip=\"2001:db8::1\"\r\n"), "{text}");
}

#[test]
fn what_is_ours_is_recognised_as_ours() {
    let text = verdicts().authentication_results("gw.acme.example");
    assert_eq!(forged_results(text.as_bytes(), "gw.acme.example"), vec![0..text.len()]);
}

/// Splits a field at the semicolons that count: outside of quotes and comments.
fn results_in(field: &str) -> usize {
    let (mut quoted, mut depth, mut found) = (false, 0_usize, 0);
    let mut octets = field.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' if quoted => _ = octets.next(),
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b';' if !quoted && depth == 0 => found += 1,
            _ => {}
        }
    }
    assert!(!quoted && depth == 0, "something stays open: {field}");
    found
}

proptest! {
    #[test]
    fn no_word_of_a_stranger_leaves_its_place(
        hello in "[ -~é\r\n\t\0\u{85}]{0,40}",
        sender in "[ -~é\r\n\t\0@]{0,300}",
        domain in "[ -~é\r\n\";()\\\\]{0,40}",
        selector in "[ -~\r\n]{0,400}",
        why in "[ -~é\r\n\"\\\\]{0,40}",
    ) {
        let dkim = Dkim {
            outcome: Outcome::Fail,
            domain: domain.clone(),
            selector,
            algorithm: "rsa-sha256",
            signature: "a/b=+".into(),
            why: why.clone(),
        };
        let text = Verdicts {
            helo: spf(Outcome::Fail, SpfIdentity::Helo(hello)),
            mail_from: spf(Outcome::Fail, SpfIdentity::MailFrom(sender)),
            dkim: vec![dkim],
            dmarc: Dmarc { outcome: Outcome::Fail, domain: format!("x{domain}"), policy: Policy::None, why },
            ..verdicts()
        }.authentication_results("gw.acme.example");
        let (body, end) = text.split_at(text.len() - 2);
        prop_assert_eq!(end, "\r\n");
        for (at, line) in body.split("\r\n").enumerate() {
            prop_assert!(at == 0 || line.starts_with('\t'), "a new field: {text}");
            prop_assert!(line.trim_start_matches('\t').bytes().all(|b| (b' '..=b'~').contains(&b)), "{text}");
            prop_assert!(line.len() <= 998 && !line.trim().is_empty(), "{text}");
        }
        prop_assert_eq!(results_in(&text), 4, "{}", text);
    }
}
