//! Promises of the judge as a whole, case by case. `did:dccp:` values are made up; the judge compares them and never parses.

mod outside;
mod properties;

use dccp::Did;

use crate::*;

const GLOBEX: &str = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn globex() -> Did {
    GLOBEX.parse().unwrap()
}

fn pinned(did: &Did) -> Destination<'_> {
    Destination::Partner { did, standing: PartnerStanding::Pinned }
}

fn in_conflict(did: &Did) -> Destination<'_> {
    Destination::Partner { did, standing: PartnerStanding::Conflict }
}

/// alice at acme (us) writes to bob at `destination`.
fn alice_to(destination: Destination<'_>) -> RecipientFacts<'_> {
    RecipientFacts {
        direction: Direction::Outbound,
        sender: "alice@acme.example",
        sender_standing: SenderStanding::Ours,
        recipient: "bob@globex.example",
        recipient_domain: "globex.example",
        destination,
        client: Client::BELIEVED,
        marks: Marks::default(),
        outside: None,
    }
}

/// bob at globex (the partner) writes to alice.
fn bob_to(destination: Destination<'_>) -> RecipientFacts<'_> {
    RecipientFacts {
        direction: Direction::Inbound,
        sender: "bob@globex.example",
        sender_standing: SenderStanding::ThePartner,
        recipient: "alice@acme.example",
        recipient_domain: "acme.example",
        destination,
        client: Client::NOBODY,
        marks: Marks::default(),
        outside: None,
    }
}

fn mail_of<'a>(recipient: &RecipientFacts<'a>) -> MailFacts<'a> {
    MailFacts {
        direction: recipient.direction,
        sender: recipient.sender,
        sender_standing: recipient.sender_standing,
        destination: recipient.destination,
        client: recipient.client,
        marks: recipient.marks,
        require_tls: false,
        outside: recipient.outside,
        authenticity: None,
        recipients: 1,
        size: 4_096,
        size_max: 26_214_400,
        content_type: "text/plain",
        owns_from: true,
        approved: false,
    }
}

/// The same case at both moments must end the same way.
fn refused_by(rules: &Rules, rule: &str, facts: &RecipientFacts<'_>) -> Refusal {
    let recipient = decide_recipient(rules, facts);
    let mail = decide_mail(rules, &mail_of(facts));
    assert_eq!(recipient.reasons.first().map(|r| r.rule.as_str()), Some(rule), "{recipient:?}");
    assert_eq!(mail.reasons.first().map(|r| r.rule.as_str()), Some(rule), "{mail:?}");
    match (recipient.verdict, mail.verdict) {
        (Verdict::Refuse(at_rcpt), Verdict::Refuse(at_data)) => {
            assert_eq!(at_rcpt, at_data);
            assert!(at_rcpt.text.contains(rule), "{at_rcpt:?}");
            at_rcpt
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partner_gets_its_mail_sealed() {
    let did = globex();
    let decision = decide_recipient(&Rules::standard(), &alice_to(pinned(&did)));
    assert_eq!(decision.verdict, Verdict::Allow(()));

    let decision = decide_mail(&Rules::standard(), &mail_of(&alice_to(pinned(&did))));
    let Verdict::Allow(permit) = decision.verdict else { panic!("{decision:?}") };
    assert_eq!(permit.purpose(), &Purpose::Seal { to: did });
    assert_eq!(permit.rules(), ["send-to-partner"]);
}

#[test]
fn mail_from_a_partner_for_us_is_handed_over() {
    let decision = decide_recipient(&Rules::standard(), &bob_to(Destination::Ours));
    assert_eq!(decision.verdict, Verdict::Allow(()));

    let decision = decide_mail(&Rules::standard(), &mail_of(&bob_to(Destination::Ours)));
    let Verdict::Allow(permit) = decision.verdict else { panic!("{decision:?}") };
    assert_eq!(permit.purpose(), &Purpose::HandOver);
    assert_eq!(permit.rules(), ["receive-for-us"]);
}

#[test]
fn a_partner_in_conflict_with_its_pin_is_held_for_an_administrator() {
    let (rules, did) = (Rules::standard(), globex());
    let recipient = decide_recipient(&rules, &alice_to(in_conflict(&did)));
    let mail = decide_mail(&rules, &mail_of(&alice_to(in_conflict(&did))));
    assert_eq!(recipient.verdict, Verdict::Hold);
    assert_eq!(mail.verdict, Verdict::Hold);
    assert_eq!(mail.reasons[0].rule, "partner-in-conflict");
}

#[test]
fn a_hold_never_rescues_what_is_refused() {
    let did = globex();
    let facts = RecipientFacts { client: Client::NOBODY, ..alice_to(in_conflict(&did)) };
    refused_by(&Rules::standard(), "client-not-trusted", &facts);
}

#[test]
fn a_domain_without_a_gateway_is_refused_rather_than_served_in_the_clear() {
    let refusal = refused_by(&Rules::standard(), "no-gateway-known", &alice_to(Destination::Unknown));
    assert_eq!((refusal.code, refusal.enhanced.as_str()), (550, "5.7.1"));
    assert!(refusal.text.contains("we do not send in the clear"), "{refusal:?}");
}

#[test]
fn mail_for_a_partner_is_never_handed_over_in_the_clear() {
    let did = globex();
    refused_by(&Rules::standard(), "never-in-the-clear", &bob_to(pinned(&did)));
    refused_by(&Rules::standard(), "never-in-the-clear", &bob_to(in_conflict(&did)));
}

#[test]
fn only_trusted_clients_send_out() {
    let did = globex();
    let facts = RecipientFacts { client: Client::NOBODY, ..alice_to(pinned(&did)) };
    refused_by(&Rules::standard(), "client-not-trusted", &facts);
}

#[test]
fn only_our_own_senders_send_out() {
    let did = globex();
    for sender_standing in [SenderStanding::Foreign, SenderStanding::ThePartner] {
        let facts = RecipientFacts { sender_standing, ..alice_to(pinned(&did)) };
        refused_by(&Rules::standard(), "sender-not-ours", &facts);
    }
}

#[test]
fn reports_of_our_mail_server_may_leave() {
    let did = globex();
    let facts =
        RecipientFacts { sender: "", sender_standing: SenderStanding::Null, ..alice_to(pinned(&did)) };
    assert!(decide_recipient(&Rules::standard(), &facts).verdict.is_allow());
}

#[test]
fn mail_for_our_own_people_does_not_go_out() {
    let refusal = refused_by(&Rules::standard(), "stays-at-home", &alice_to(Destination::Ours));
    assert_eq!(refusal.enhanced, "5.4.6");
}

#[test]
fn a_partner_speaks_only_for_its_own_domains() {
    for sender_standing in [SenderStanding::Foreign, SenderStanding::Ours] {
        let facts = RecipientFacts { sender_standing, ..bob_to(Destination::Ours) };
        refused_by(&Rules::standard(), "sender-not-of-partner", &facts);
    }
}

#[test]
fn reports_of_a_partner_may_enter() {
    let facts =
        RecipientFacts { sender: "", sender_standing: SenderStanding::Null, ..bob_to(Destination::Ours) };
    assert!(decide_recipient(&Rules::standard(), &facts).verdict.is_allow());
}

#[test]
fn a_partner_cannot_use_us_as_a_relay() {
    refused_by(&Rules::standard(), "recipient-not-ours", &bob_to(Destination::Unknown));
}

#[test]
fn a_mail_that_is_too_large_hears_both_numbers() {
    let did = globex();
    for facts in [alice_to(pinned(&did)), bob_to(Destination::Ours)] {
        let facts = MailFacts { size: 26_214_401, ..mail_of(&facts) };
        let Verdict::Refuse(refusal) = decide_mail(&Rules::standard(), &facts).verdict else { panic!() };
        assert_eq!((refusal.code, refusal.enhanced.as_str()), (552, "5.3.4"));
        assert_eq!(
            refusal.text,
            "The message has 26214401 octets; the limit is 26214400 octets. (rule size-limit)"
        );
    }
}

#[test]
fn a_mail_of_exactly_the_limit_is_not_too_large() {
    let did = globex();
    let facts = MailFacts { size: 26_214_400, ..mail_of(&alice_to(pinned(&did))) };
    assert!(decide_mail(&Rules::standard(), &facts).verdict.is_allow());
}

#[test]
fn a_size_beyond_the_numbers_of_cedar_is_still_too_large() {
    let did = globex();
    let facts = MailFacts { size: u64::MAX, size_max: u64::MAX - 1, ..mail_of(&alice_to(pinned(&did))) };
    assert!(matches!(decide_mail(&Rules::standard(), &facts).verdict, Verdict::Refuse(_)));
}

#[test]
fn a_local_rule_sees_addresses_in_lower_case() {
    let did = globex();
    let rules = Rules::with_local(
        r#"@id("alice-stays-inside") @reply("550 5.7.1") @why("This sender may not write to partners.")
           forbid (principal == Sender::"alice@acme.example", action in Action::"out", resource);"#,
    )
    .unwrap();
    let facts = RecipientFacts { sender: "Alice@ACME.example", ..alice_to(pinned(&did)) };
    refused_by(&rules, "alice-stays-inside", &facts);
}

#[test]
fn a_local_rule_may_hold_what_the_standard_rules_allow() {
    let did = globex();
    let rules = Rules::with_local(
        r#"@id("archives-wait") @effect("hold") @why("Archives are looked at first.")
           forbid (principal, action == Action::"mail-out", resource)
           when { resource.content_type == "application/zip" };"#,
    )
    .unwrap();
    let zip = MailFacts { content_type: "Application/ZIP", ..mail_of(&alice_to(pinned(&did))) };
    let decision = decide_mail(&rules, &zip);
    assert_eq!(decision.verdict, Verdict::Hold);
    assert_eq!(decision.reasons[0].rule, "archives-wait");
    assert!(decide_mail(&rules, &mail_of(&alice_to(pinned(&did)))).verdict.is_allow());
}

#[test]
fn people_write_under_their_own_name_in_the_header_too() {
    let did = globex();
    let person =
        Client { role: Role::Submission, user: Some("alice"), owns_sender: true, ..Client::BELIEVED };
    let recipient = RecipientFacts { client: person, ..alice_to(pinned(&did)) };
    let own = mail_of(&recipient);
    assert!(decide_mail(&Rules::standard(), &own).verdict.is_allow());
    let decision = decide_mail(&Rules::standard(), &MailFacts { owns_from: false, ..own });
    assert!(matches!(decision.verdict, Verdict::Refuse(_)));
    assert_eq!(decision.reasons[0].rule, "author-not-the-user");
    // Our servers send for everybody of ours.
    let server = MailFacts { owns_from: false, ..mail_of(&alice_to(pinned(&did))) };
    assert!(decide_mail(&Rules::standard(), &server).verdict.is_allow());
}

#[test]
fn what_a_person_approved_is_not_held_again_but_still_refused() {
    let did = globex();
    let local = r#"@id("archives-wait") @effect("hold") @why("Archives are looked at first.")
        forbid (principal, action, resource) when { resource has content_type };"#;
    let rules = Rules::with_local(local).unwrap();
    for facts in [alice_to(pinned(&did)), bob_to(Destination::Ours)] {
        let mail = mail_of(&facts);
        assert_eq!(decide_mail(&rules, &mail).verdict, Verdict::Hold);
        let decision = decide_mail(&rules, &MailFacts { approved: true, ..mail });
        assert!(decision.verdict.is_allow(), "{decision:?}");
        let named: Vec<_> = decision.reasons.iter().map(|reason| reason.rule.as_str()).collect();
        assert_eq!(named, ["approved", "archives-wait"]);
        let large = MailFacts { approved: true, size: u64::MAX, ..mail };
        assert!(matches!(decide_mail(&rules, &large).verdict, Verdict::Refuse(_)), "never a refusal");
    }
    // Nobody can approve of a way that is not safe.
    let doubtful = MailFacts { approved: true, ..mail_of(&alice_to(in_conflict(&did))) };
    assert_eq!(decide_mail(&Rules::standard(), &doubtful).verdict, Verdict::Hold);
}

#[test]
fn a_permanent_refusal_speaks_before_a_temporary_one() {
    let rules = Rules::with_local(
        r#"@id("try-later") @reply("451 4.7.1") @why("Not now.") forbid (principal, action, resource);
           @id("never") @reply("550 5.7.1") @why("Not ever.")
           forbid (principal == Sender::"bob@globex.example", action, resource);"#,
    )
    .unwrap();
    let did = globex();
    assert_eq!(refused_by(&rules, "try-later", &alice_to(pinned(&did))).code, 451);
    assert_eq!(refused_by(&rules, "never", &bob_to(Destination::Ours)).code, 550);
}

#[test]
fn all_who_object_are_named_in_the_order_of_the_law() {
    let did = globex();
    let facts = RecipientFacts { sender_standing: SenderStanding::Foreign, ..bob_to(in_conflict(&did)) };
    let facts = MailFacts { size: u64::MAX, ..mail_of(&facts) };
    for _ in 0..20 {
        let decision = decide_mail(&Rules::standard(), &facts);
        let named: Vec<_> = decision.reasons.iter().map(|reason| reason.rule.as_str()).collect();
        let law = ["sender-not-of-partner", "never-in-the-clear", "recipient-not-ours", "size-limit"];
        assert_eq!(named, law);
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_refuses_for_now_and_says_so() {
    // Validation cannot see an overflow, and Cedar skips a forbid that fails. We do not.
    let did = globex();
    for (name, kind) in [("law", r#"@reply("550 5.7.1")"#), ("holds", r#"@effect("hold")"#)] {
        let rules = Rules::with_local(&format!(
            r#"@id("broken") {kind} @why("Sum of sizes.") forbid (principal, action == Action::"mail-out", resource)
               when {{ resource.size * 9223372036854775807 > 0 }};"#,
        ))
        .unwrap();
        let Verdict::Refuse(refusal) = decide_mail(&rules, &mail_of(&alice_to(pinned(&did)))).verdict else {
            panic!("{name}")
        };
        assert_eq!((refusal.code, refusal.enhanced.as_str()), (451, "4.3.5"), "{name}");
        assert!(refusal.text.contains("rule-not-evaluated"), "{name}: {refusal:?}");
    }
}

#[test]
fn equal_facts_are_decided_equally() {
    let did = globex();
    let facts = mail_of(&bob_to(in_conflict(&did)));
    let (one, two) = (Rules::standard(), Rules::standard());
    for _ in 0..20 {
        assert_eq!(decide_mail(&one, &facts), decide_mail(&two, &facts));
    }
}
