//! Promises about what has no gateway: mail that goes outside, and mail that comes from there.

use super::*;

fn outside(policy: Option<Demand>) -> RecipientFacts<'static> {
    RecipientFacts { outside: policy, ..alice_to(Destination::Outside { domain: "Globex.EXAMPLE" }) }
}

const ANY_DEMAND: [Demand; 3] = [Demand::Opportunistic, Demand::Encrypted, Demand::Verified];

fn stranger_to(destination: Destination<'_>) -> RecipientFacts<'_> {
    RecipientFacts {
        direction: Direction::FromOutside,
        sender: "mallory@elsewhere.example",
        sender_standing: SenderStanding::Foreign,
        recipient: "alice@acme.example",
        recipient_domain: "acme.example",
        client: Client { role: Role::Mx, ..Client::NOBODY },
        ..alice_to(destination)
    }
}

fn person(user: Option<&str>, owns_sender: bool) -> Client<'_> {
    Client { role: Role::Submission, trusted: false, user, owns_sender, tls: true }
}

fn with_dmarc(dmarc: Finding, dmarc_policy: DmarcPolicy) -> MailFacts<'static> {
    let authenticity = Authenticity {
        spf: Finding::None,
        dkim: Finding::None,
        dmarc,
        dmarc_policy,
        from_domain: "elsewhere.example",
    };
    MailFacts { authenticity: Some(authenticity), ..mail_of(&stranger_to(Destination::Ours)) }
}

#[test]
fn nothing_goes_outside_unless_the_configuration_says_so() {
    let refusal = refused_by(&Rules::standard(), "no-gateway-known", &outside(None));
    assert_eq!((refusal.code, refusal.enhanced.as_str()), (550, "5.7.1"));
}

#[test]
fn the_permit_to_relay_names_the_domain_and_what_the_configuration_demands_of_it() {
    let rules = Rules::standard();
    for demand in ANY_DEMAND {
        assert!(decide_recipient(&rules, &outside(Some(demand))).verdict.is_allow());
        let decision = decide_mail(&rules, &mail_of(&outside(Some(demand))));
        let Verdict::Allow(permit) = decision.verdict else { panic!("{decision:?}") };
        assert_eq!(permit.purpose(), &Purpose::Relay { domain: "globex.example".to_owned(), demand });
        assert_eq!(permit.rules(), ["relay-outside"]);
    }
}

#[test]
fn a_sender_who_insists_on_tls_raises_the_demand_and_opens_nothing() {
    let rules = Rules::standard();
    let insisting = MailFacts { require_tls: true, ..mail_of(&outside(Some(Demand::Opportunistic))) };
    let Verdict::Allow(permit) = decide_mail(&rules, &insisting).verdict else { panic!() };
    assert!(matches!(permit.purpose(), Purpose::Relay { demand: Demand::Verified, .. }), "{permit:?}");
    assert!(!decide_mail(&rules, &MailFacts { outside: None, ..insisting }).verdict.is_allow());
}

#[test]
fn what_must_be_encrypted_never_goes_outside_however_good_the_tls() {
    for demand in ANY_DEMAND {
        let facts = RecipientFacts { marks: Marks { must_encrypt: true }, ..outside(Some(demand)) };
        refused_by(&Rules::standard(), "must-encrypt", &facts);
    }
    let did = globex();
    let sealed = RecipientFacts { marks: Marks { must_encrypt: true }, ..alice_to(pinned(&did)) };
    assert!(decide_mail(&Rules::standard(), &mail_of(&sealed)).verdict.is_allow());
}

#[test]
fn a_gateway_that_nobody_made_a_partner_is_waited_for_and_not_bypassed() {
    let facts = RecipientFacts { outside: Some(Demand::Opportunistic), ..alice_to(Destination::Stranger) };
    let refusal = refused_by(&Rules::standard(), "gateway-not-a-partner", &facts);
    assert!(refusal.is_temporary() && refusal.text.contains("partner add"), "{refusal:?}");
}

#[test]
fn the_internet_may_write_to_our_people_and_to_nobody_else() {
    let (rules, did) = (Rules::standard(), globex());
    assert!(decide_recipient(&rules, &stranger_to(Destination::Ours)).verdict.is_allow());
    let Verdict::Allow(permit) = decide_mail(&rules, &mail_of(&stranger_to(Destination::Ours))).verdict
    else {
        panic!()
    };
    assert_eq!(permit.purpose(), &Purpose::HandOver);
    for destination in
        [Destination::Unknown, Destination::Stranger, Destination::Outside { domain: "globex.example" }]
    {
        refused_by(&rules, "never-a-relay", &stranger_to(destination));
        let as_if_out = RecipientFacts {
            direction: Direction::Outbound,
            outside: Some(Demand::Opportunistic),
            client: Client { trusted: true, ..stranger_to(destination).client },
            ..stranger_to(destination)
        };
        refused_by(&rules, "client-not-trusted", &as_if_out);
    }
    refused_by(&rules, "never-in-the-clear", &stranger_to(pinned(&did)));
}

#[test]
fn people_send_once_they_are_known_and_in_their_own_name_only() {
    let (rules, did) = (Rules::standard(), globex());
    for facts in [
        alice_to(pinned(&did)),
        outside(Some(Demand::Verified)),
        RecipientFacts { direction: Direction::FromOutside, ..alice_to(Destination::Ours) },
    ] {
        let by = |client| RecipientFacts { client, ..facts };
        assert!(decide_recipient(&rules, &by(person(Some("alice"), true))).verdict.is_allow(), "{facts:?}");
        refused_by(&rules, "sender-not-the-user", &by(person(Some("mallory"), false)));
        refused_by(&rules, "client-not-trusted", &by(person(None, true)));
        let network_alone = Client { trusted: true, ..person(None, true) };
        refused_by(&rules, "client-not-trusted", &by(network_alone));
        let receipt = RecipientFacts { sender: "", sender_standing: SenderStanding::Null, ..facts };
        let receipt = RecipientFacts { client: person(Some("alice"), false), ..receipt };
        assert!(decide_recipient(&rules, &receipt).verdict.is_allow(), "a receipt has the null sender");
    }
}

#[test]
fn our_own_servers_bring_home_what_our_own_people_write() {
    let facts = RecipientFacts { direction: Direction::FromOutside, ..alice_to(Destination::Ours) };
    assert!(decide_mail(&Rules::standard(), &mail_of(&facts)).verdict.is_allow());
    let spoofed = RecipientFacts { sender_standing: SenderStanding::Foreign, ..facts };
    refused_by(&Rules::standard(), "sender-not-ours", &spoofed);
    refused_by(&Rules::standard(), "client-not-trusted", &RecipientFacts { client: Client::NOBODY, ..facts });
}

#[test]
fn the_owner_of_a_domain_says_what_becomes_of_mail_that_is_not_from_there() {
    let rules = Rules::standard();
    let verdict = |dmarc, policy| decide_mail(&rules, &with_dmarc(dmarc, policy)).verdict;
    let Verdict::Refuse(refusal) = verdict(Finding::Fail, DmarcPolicy::Reject) else { panic!() };
    assert_eq!((refusal.code, refusal.enhanced.as_str()), (550, "5.7.26"));
    assert_eq!(verdict(Finding::Fail, DmarcPolicy::Quarantine), Verdict::Hold);
    assert!(verdict(Finding::Fail, DmarcPolicy::None).is_allow());
    for dmarc in [Finding::Pass, Finding::None, Finding::PermError] {
        assert!(verdict(dmarc, DmarcPolicy::Reject).is_allow());
    }
}

#[test]
fn a_local_rule_may_ask_more_of_mail_from_the_internet() {
    let rules = Rules::with_local(
        r#"@id("partners-seal") @reply("550 5.7.1") @why("Mail from this domain comes sealed.")
           forbid (principal, action in Action::"home", resource)
           when { context.role == Role::"mx" && principal.standing == Standing::"partner" };
           @id("authentic-only") @effect("hold") @why("Nothing shows that this mail is authentic.")
           forbid (principal, action == Action::"mail-home", resource)
           unless { resource.dmarc == Finding::"pass" || resource.from_domain == "printer.example" };"#,
    )
    .unwrap();
    let from_a_partner =
        RecipientFacts { sender_standing: SenderStanding::ThePartner, ..stranger_to(Destination::Ours) };
    refused_by(&rules, "partners-seal", &from_a_partner);
    assert_eq!(decide_mail(&rules, &with_dmarc(Finding::None, DmarcPolicy::None)).verdict, Verdict::Hold);
    assert!(decide_mail(&rules, &with_dmarc(Finding::Pass, DmarcPolicy::None)).verdict.is_allow());
}
