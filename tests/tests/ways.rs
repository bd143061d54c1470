//! Which way a mail takes: to a partner sealed, to our own people, to the outside only where that is allowed, and to
//! nobody while it is not clear whether somebody has a gateway. With a real DNS, real mail servers and a real client.

use std::fs;
use std::time::Duration;

use tests::peers::clients::{self, Letter};
use tests::peers::{Dns, Dovecot, SmtpSink, Zone, free_port};
use tests::site::{PATIENCE, Site, TwoSites};
use tests::submit::{letter, submit, submitted, submitted_asking};

const ALICE: &str = "alice@acme.test";
const BOB: &str = "bob@globex.test";
/// At acme, like alice.
const CAROL: &str = "carol@acme.test";
/// In a domain that names nobody.
const OLIVE: &str = "olive@outside.test";

/// A DID that nobody can show records of.
const NOBODYS_DID: &str = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// How long nothing must happen before it counts as not happening.
const QUIET: Duration = Duration::from_secs(2);

/// Acme and its partner globex, each with a mail server, and the world around them.
struct Scene {
    sites: TwoSites,
    acme_mail: Dovecot,
    globex_mail: Dovecot,
    outside: SmtpSink,
    _dns: Dns,
}

impl Scene {
    /// Acme lets mail out under this policy.
    fn start(policy: &str) -> Self {
        let (acme_mail, globex_mail, outside) = (Dovecot::start(), Dovecot::start(), SmtpSink::start());
        let lmtp = |dovecot: &Dovecot| format!("lmtp:127.0.0.1:{}", dovecot.lmtp_port());
        let mut sites = TwoSites::found(&lmtp(&acme_mail), &lmtp(&globex_mail));
        let acme = &sites.acme;
        let outside_zone = Zone::signed("outside.test").record("@", "MX", "10 mx.outside.test.");
        let dns = Dns::start(&[
            outside_zone.record("mx", "A", "127.0.0.1"),
            Zone::signed("stranger.test").names(NOBODYS_DID),
            Zone::signed("sick.test").record("_dccp", "TXT", "\"hello\"").forged("hello", "hullo"),
            acme.zone_with_signing_keys(),
        ]);
        acme.set("dns_servers", &format!("[\"{}\"]", dns.address()));
        acme.set("dns_trust_anchor", dns.trust_anchor().to_str().expect("a path"));
        acme.set("allow_private_addresses", "true");
        acme.set("https_port", &free_port().to_string());
        acme.set("outside.policy", policy);
        acme.set("outside.port", &outside.port().to_string());
        acme.set("subject_tags", "[\"[secure]\"]");
        acme.set("recipient_domains", "[lawyers.test]");
        acme.set("aliases", "aliases.yaml");
        fs::write(
            acme.folder().join("aliases.yaml"),
            format!(
                "everybody@acme.test: [friends@acme.test, {CAROL}]\nfriends@acme.test: [{BOB}, {OLIVE}]\n\
                 office@acme.test: [{ALICE}, {CAROL}]\n"
            ),
        )
        .expect("a file of aliases");
        sites.start();
        Self { sites, acme_mail, globex_mail, outside, _dns: dns }
    }

    fn acme(&self) -> &Site {
        &self.sites.acme
    }

    /// Alice writes; the last word of the gateway.
    fn alice_writes(&self, to: &[&str], subject: &str) -> String {
        let octets = String::from_utf8(letter("ways@acme.test", "The secret of the merger")).expect("text");
        let octets = octets.lines().map(|line| match line.starts_with("Subject:") {
            true => format!("Subject: {subject}\r\n"),
            false => format!("{line}\r\n"),
        });
        submit(self.acme().smtp, ALICE, to, octets.collect::<String>().as_bytes())
    }

    /// Nobody got anything, and nothing waits.
    fn nobody_got_anything(&self) {
        self.sites.settled();
        std::thread::sleep(QUIET);
        assert_eq!(self.outside.messages().len(), 0, "the outside got mail");
        assert_eq!(self.globex_mail.mailbox("bob").len(), 0, "the partner got a copy");
        assert_eq!(self.acme_mail.mailbox("carol").len(), 0, "our own people got a copy");
    }
}

#[test]
fn nothing_goes_outside_unless_the_configuration_says_so() {
    let scene = Scene::start("refuse");
    let refused = scene.alice_writes(&[OLIVE], "Hello");
    assert!(refused.starts_with("550 5.7.1 ") && refused.contains("(rule no-gateway-known)"), "{refused}");
    let refused = scene.alice_writes(&["everybody@acme.test"], "Hello");
    assert!(
        refused.contains("(rule no-gateway-known)"),
        "an alias goes out together or not at all: {refused}"
    );
    scene.nobody_got_anything();
}

#[test]
fn what_must_be_encrypted_is_refused_as_a_whole_when_one_recipient_has_no_gateway() {
    let scene = Scene::start("opportunistic");
    for to in [vec![BOB, OLIVE], vec!["everybody@acme.test"], vec![CAROL, OLIVE]] {
        let refused = scene.alice_writes(&to, "Re: =?utf-8?B?W1NFQ1VSRV0=?= the merger");
        assert!(
            refused.starts_with("550 5.7.1 ") && refused.contains("(rule must-encrypt)"),
            "{to:?}: {refused}"
        );
        assert!(!refused.contains('@'), "no address: {refused}");
    }
    let refused = scene.alice_writes(&["anybody@london.lawyers.test"], "Hello");
    assert!(refused.contains("(rule must-encrypt)"), "known at RCPT already: {refused}");
    scene.nobody_got_anything();

    let taken = scene.alice_writes(&[BOB], "[secure] the merger");
    assert!(taken.starts_with("250 "), "sealed it may go: {taken}");
    scene.sites.settled();
    assert_eq!(scene.globex_mail.mailbox("bob").len(), 1);
    assert_eq!(scene.outside.messages().len(), 0);
}

#[test]
fn an_alias_reaches_everybody_it_comes_to_each_by_the_way_that_is_theirs() {
    let scene = Scene::start("opportunistic");
    let letter = Letter {
        from: ALICE,
        to: "everybody@acme.test",
        subject: "Hello",
        body: "The secret of the merger",
        attachment: None,
    };
    tests::site::eventually("the key in DNS signs", || {
        scene.acme().log().contains("a new DKIM key signs").then_some(())
    });
    clients::swaks(scene.acme().smtp.port(), &letter).expect_accepted();
    let at_bob = scene.globex_mail.await_mail("bob", 1, PATIENCE);
    let at_carol = scene.acme_mail.await_mail("carol", 1, PATIENCE);
    let at_olive = scene.outside.await_messages(1, PATIENCE);
    scene.sites.settled();
    assert!(String::from_utf8_lossy(&at_bob[0]).contains(" with DCCP "), "bob's came sealed");
    assert!(!String::from_utf8_lossy(&at_carol[0]).contains(" with DCCP "), "carol's stayed at home");
    let at_olive = String::from_utf8_lossy(&at_olive[0]).into_owned();
    assert!(at_olive.contains("The secret of the merger") && at_olive.contains(OLIVE), "{at_olive}");
    let signed = |octets: &[u8]| String::from_utf8_lossy(octets).contains("DKIM-Signature: ");
    assert!(at_olive.contains("DKIM-Signature: ") && at_olive.contains("d=acme.test"), "{at_olive}");
    assert!(!signed(&at_bob[0]) && !signed(&at_carol[0]), "what leaves sealed or not at all needs none");
    for other in [BOB, CAROL] {
        assert!(!at_olive.contains(other), "who else got it is nobody's business: {at_olive}");
    }
}

#[test]
fn a_sender_who_asks_is_told_that_an_alias_was_expanded_and_never_to_whom() {
    let scene = Scene::start("opportunistic");
    let asked = ("everybody@acme.test", "NOTIFY=SUCCESS,FAILURE ORCPT=RFC822;everybody@acme.test");
    let octets = letter("alias@acme.test", "Hello");
    submitted_asking(scene.acme().smtp, (ALICE, "ENVID=order-7"), &[asked], &octets);
    let report = scene.acme_mail.await_mail("alice", 1, PATIENCE).remove(0);
    scene.globex_mail.await_mail("bob", 1, PATIENCE);
    scene.sites.settled();
    assert_eq!(scene.acme_mail.mailbox("alice").len(), 1, "of the members' success nobody is told");
    let report = String::from_utf8_lossy(&report).into_owned();
    for line in [
        "Action: expanded",
        "Original-Recipient: rfc822; everybody@acme.test",
        "Original-Envelope-Id: order-7",
        "Subject: Your message was handed on",
    ] {
        assert!(report.contains(line), "{line:?} is missing: {report}");
    }
    for member in [BOB, CAROL, OLIVE] {
        assert!(!report.replace("To: Bob <bob@globex.test>", "").contains(member), "{member}: {report}");
    }
}

#[test]
fn what_came_from_outside_and_is_passed_on_does_not_leave_under_our_signature() {
    let scene = Scene::start("opportunistic");
    tests::site::eventually("the key in DNS signs", || {
        scene.acme().log().contains("a new DKIM key signs").then_some(())
    });
    // As alice's mail server has it from us, and sends it on because she wants that: a stranger wrote it in her name.
    let found = "Authentication-Results: gateway.acme.test; dmarc=fail header.from=acme.test\r\n";
    let octets = [found.as_bytes(), &letter("spoofed@acme.test", "Pay this bill")].concat();
    submitted(scene.acme().smtp, ALICE, &[OLIVE], &octets);
    let at_olive = scene.outside.await_messages(1, Duration::from_secs(60)).remove(0);
    let at_olive = String::from_utf8_lossy(&at_olive).into_owned();
    assert!(at_olive.contains("Pay this bill") && !at_olive.contains("DKIM-Signature"), "{at_olive}");
    scene.sites.settled();
}

#[test]
fn a_partner_s_mail_to_an_alias_reaches_everybody_and_the_partner_hears_of_the_alias_only() {
    let scene = Scene::start("opportunistic");
    let asked = ("office@acme.test", "NOTIFY=SUCCESS,FAILURE");
    let octets = letter("office@globex.test", "Hello");
    let id = submitted_asking(scene.sites.globex.smtp, (BOB, ""), &[asked], &octets);
    for member in ["alice", "carol"] {
        scene.acme_mail.await_mail(member, 1, PATIENCE);
    }
    let report = scene.globex_mail.await_mail("bob", 1, PATIENCE).remove(0);
    scene.sites.settled();
    let report = String::from_utf8_lossy(&report).into_owned();
    assert!(report.contains("Final-Recipient: rfc822; office@acme.test"), "{report}");
    assert!(report.contains("Action: delivered") && !report.contains(CAROL), "{report}");
    let trace = scene.sites.globex.trace(&id).expect("a trace").to_string();
    assert!(!trace.contains(CAROL), "{trace}");
    assert!(scene.acme_mail.mailbox("office").is_empty(), "the alias has no mailbox");
}

#[test]
fn while_it_is_not_clear_that_a_domain_has_no_gateway_its_mail_waits() {
    let scene = Scene::start("opportunistic");
    let stranger = scene.alice_writes(&["somebody@stranger.test"], "Hello");
    assert!(stranger.starts_with("451 4.7.1 ") && stranger.contains("partner add"), "{stranger}");
    let sick = scene.alice_writes(&["somebody@sick.test"], "Hello");
    assert!(sick.starts_with("451 4.4.3 "), "{sick}");
    let literal = scene.alice_writes(&["somebody@[127.0.0.1]"], "Hello");
    assert!(literal.contains("(rule no-gateway-known)"), "{literal}");
    scene.nobody_got_anything();
}

#[test]
fn mail_that_keeps_coming_back_is_refused_as_a_loop() {
    let scene = Scene::start("refuse");
    let hello = String::from_utf8(letter("loop@acme.test", "Hello")).expect("text");
    let trace = "Received: from x by gateway.acme.test with ESMTP id 0123456789ABCDEF; now\r\n";
    let written = |times: usize| format!("{}{hello}", trace.repeat(times));
    let refused = submit(scene.acme().smtp, ALICE, &[BOB], written(6).as_bytes());
    assert!(refused.starts_with("554 5.4.6 "), "{refused}");
    let taken = submit(scene.acme().smtp, ALICE, &[BOB], written(3).as_bytes());
    assert!(taken.starts_with("250 "), "{taken}");
    scene.sites.settled();
    assert_eq!(scene.globex_mail.mailbox("bob").len(), 1);
}

#[test]
fn aliases_with_a_mistake_do_not_start_and_new_ones_need_no_restart() {
    let mut scene = Scene::start("refuse");
    let file = scene.acme().folder().join("aliases.yaml");
    // As an editor does it: whoever looks finds the old file or the new one, never half of it.
    let draft = file.with_extension("new");
    fs::write(&draft, format!("duo@acme.test: [{BOB}, {CAROL}]\n")).expect("a file");
    fs::rename(&draft, &file).expect("our own file");
    let known = || scene.acme().log().contains("the aliases have changed").then_some(());
    tests::site::eventually("the new alias is known", known);
    assert!(scene.alice_writes(&["duo@acme.test"], "Hello").starts_with("250 "));
    scene.globex_mail.await_mail("bob", 1, PATIENCE);
    scene.acme_mail.await_mail("carol", 1, PATIENCE);
    scene.sites.settled();

    assert!(scene.sites.acme.terminate().success());
    fs::write(&file, "one@acme.test: two@acme.test\ntwo@acme.test: one@acme.test\n").expect("a file");
    let refused = scene.sites.acme.command(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("leads back to itself"), "{said}");
}
