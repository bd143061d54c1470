//! Promises that hold for every fact there could be.

use dccp::Did;
use proptest::prelude::*;

use super::{globex, in_conflict, mail_of, pinned};
use crate::*;

/// Small sizes meet their limit often; large ones reach beyond Cedar's numbers.
fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, any::<u64>(), (i64::MAX as u64 - 2)..(i64::MAX as u64 + 2)]
}

prop_compose! {
    fn any_facts()(
        outbound: bool,
        standing in prop_oneof![
            Just(SenderStanding::Ours), Just(SenderStanding::Null),
            Just(SenderStanding::Foreign), Just(SenderStanding::ThePartner),
        ],
        place in 0..4_u8,
        client_trusted: bool,
        sender in any::<String>(),
        recipient in any::<String>(),
        domain in any::<String>(),
        content_type in any::<String>(),
        numbers in (any::<usize>(), any_size(), any_size()),
    ) -> AnyFacts {
        AnyFacts { outbound, standing, place, client_trusted, sender, recipient, domain, content_type, numbers }
    }
}

#[derive(Debug)]
struct AnyFacts {
    outbound: bool,
    standing: SenderStanding,
    place: u8,
    client_trusted: bool,
    sender: String,
    recipient: String,
    domain: String,
    content_type: String,
    numbers: (usize, u64, u64),
}

impl AnyFacts {
    fn recipient<'a>(&'a self, did: &'a Did) -> RecipientFacts<'a> {
        RecipientFacts {
            direction: if self.outbound { Direction::Outbound } else { Direction::Inbound },
            sender: &self.sender,
            sender_standing: self.standing,
            recipient: &self.recipient,
            recipient_domain: &self.domain,
            destination: match self.place {
                0 => Destination::Ours,
                1 => pinned(did),
                2 => in_conflict(did),
                _ => Destination::Unknown,
            },
            client_trusted: self.client_trusted,
        }
    }

    fn mail<'a>(&'a self, did: &'a Did) -> MailFacts<'a> {
        let (recipients, size, size_max) = self.numbers;
        MailFacts {
            recipients,
            size,
            size_max,
            content_type: &self.content_type,
            ..mail_of(&self.recipient(did))
        }
    }

    /// The law in Rust, written a second time and independently of Cedar.
    fn may_pass(&self) -> bool {
        match (self.outbound, self.place, self.standing) {
            (true, 1, SenderStanding::Ours | SenderStanding::Null) => self.client_trusted,
            (false, 0, SenderStanding::ThePartner | SenderStanding::Null) => true,
            _ => false,
        }
    }
}

thread_local! {
    static STANDARD: Rules = Rules::standard();
    static STRICTER: Rules = Rules::with_local(
        r#"@id("small-circles") @reply("550 5.7.1") @why("At most ten recipients.")
           forbid (principal, action == Action::"mail-out", resource) when { resource.recipients > 10 };
           @id("look-first") @effect("hold") @why("An administrator looks first.")
           forbid (principal, action, resource) when { principal.domain like "*e*" };"#,
    ).unwrap();
}

proptest! {
    #[test]
    fn only_what_the_law_names_is_allowed(facts in any_facts()) {
        let did = globex();
        STANDARD.with(|rules| {
            let recipient = decide_recipient(rules, &facts.recipient(&did));
            prop_assert_eq!(recipient.verdict.is_allow(), facts.may_pass());
            let (_, size, size_max) = facts.numbers;
            let mail = decide_mail(rules, &facts.mail(&did));
            // The very end of Cedar's numbers is refused rather than compared wrongly.
            let fits = size <= size_max && size < i64::MAX as u64;
            prop_assert_eq!(mail.verdict.is_allow(), facts.may_pass() && fits);
            Ok(())
        })?;
    }

    #[test]
    fn a_permit_seals_to_the_pinned_partner_or_hands_over_to_us(facts in any_facts()) {
        let did = globex();
        for rules in [&STANDARD, &STRICTER] {
            let mail = facts.mail(&did);
            if let Verdict::Allow(permit) = rules.with(|rules| decide_mail(rules, &mail)).verdict {
                match permit.purpose() {
                    Purpose::Seal { to } => {
                        prop_assert_eq!(mail.direction, Direction::Outbound);
                        prop_assert_eq!(mail.destination, pinned(to));
                    }
                    Purpose::HandOver => {
                        prop_assert_eq!(mail.direction, Direction::Inbound);
                        prop_assert_eq!(mail.destination, Destination::Ours);
                    }
                }
            }
        }
    }

    #[test]
    fn local_rules_only_tighten(facts in any_facts()) {
        let did = globex();
        let mail = facts.mail(&did);
        let standard = STANDARD.with(|rules| decide_mail(rules, &mail)).verdict;
        let stricter = STRICTER.with(|rules| decide_mail(rules, &mail)).verdict;
        prop_assert!(standard.is_allow() || !stricter.is_allow());
        if matches!(standard, Verdict::Refuse(_)) {
            prop_assert!(matches!(stricter, Verdict::Refuse(_)));
        }
    }

    #[test]
    fn replies_and_reasons_are_safe_to_send_and_to_keep(facts in any_facts()) {
        let did = globex();
        let decision = STRICTER.with(|rules| decide_mail(rules, &facts.mail(&did)));
        prop_assert!(!decision.reasons.is_empty());
        let mut texts: Vec<String> = decision.reasons.into_iter().map(|reason| reason.text).collect();
        if let Verdict::Refuse(refusal) = decision.verdict {
            let class = refusal.code / 100;
            prop_assert!(class == 4 || class == 5);
            let prefix = format!("{class}.");
            prop_assert!(refusal.enhanced.starts_with(&prefix));
            // RFC 5321 §4.5.3.1.5: a reply line is at most 512 octets with code and CRLF.
            prop_assert!(refusal.text.len() + refusal.enhanced.len() + 7 <= 512);
            texts.push(refusal.text);
        }
        for text in texts {
            prop_assert!(text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && !text.contains('@'));
        }
    }
}
