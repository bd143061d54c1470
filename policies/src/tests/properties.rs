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
    fn any_client()(
        role in prop_oneof![Just(Role::Relay), Just(Role::Submission), Just(Role::Mx)],
        flags: [bool; 4],
        user in any::<String>(),
    ) -> AnyClient {
        AnyClient { role, flags, user }
    }
}

#[derive(Debug)]
struct AnyClient {
    role: Role,
    flags: [bool; 4],
    user: String,
}

impl AnyClient {
    fn client(&self) -> Client<'_> {
        let [trusted, known, owns_sender, tls] = self.flags;
        Client { role: self.role, trusted, user: known.then_some(&self.user), owns_sender, tls }
    }
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::Pass),
        Just(Finding::Fail),
        Just(Finding::SoftFail),
        Just(Finding::Neutral),
        Just(Finding::None),
        Just(Finding::TempError),
        Just(Finding::PermError),
    ]
}

prop_compose! {
    fn any_facts()(
        direction in prop_oneof![
            Just(Direction::Outbound), Just(Direction::Inbound), Just(Direction::FromOutside),
        ],
        standing in prop_oneof![
            Just(SenderStanding::Ours), Just(SenderStanding::Null),
            Just(SenderStanding::Foreign), Just(SenderStanding::ThePartner),
        ],
        place in 0..6_u8,
        client in any_client(),
        outside in prop_oneof![
            Just(None), Just(Some(Demand::Opportunistic)),
            Just(Some(Demand::Encrypted)), Just(Some(Demand::Verified)),
        ],
        (must_encrypt, require_tls) in any::<(bool, bool)>(),
        words in any::<[String; 4]>(),
        numbers in (any::<usize>(), any_size(), any_size()),
        findings in (any_finding(), any_finding(), any_finding()),
        dmarc_policy in proptest::option::of(prop_oneof![
            Just(DmarcPolicy::None), Just(DmarcPolicy::Quarantine), Just(DmarcPolicy::Reject),
        ]),
    ) -> AnyFacts {
        AnyFacts {
            direction, standing, place, client, outside, must_encrypt, require_tls, words, numbers, findings,
            dmarc_policy,
        }
    }
}

#[derive(Debug)]
struct AnyFacts {
    direction: Direction,
    standing: SenderStanding,
    place: u8,
    client: AnyClient,
    outside: Option<Demand>,
    must_encrypt: bool,
    require_tls: bool,
    /// Sender, recipient, domain, content type.
    words: [String; 4],
    numbers: (usize, u64, u64),
    findings: (Finding, Finding, Finding),
    /// `None`: nobody looked whether it is authentic.
    dmarc_policy: Option<DmarcPolicy>,
}

impl AnyFacts {
    fn recipient<'a>(&'a self, did: &'a Did) -> RecipientFacts<'a> {
        let [sender, recipient, domain, _] = &self.words;
        RecipientFacts {
            direction: self.direction,
            sender,
            sender_standing: self.standing,
            recipient,
            recipient_domain: domain,
            destination: match self.place {
                0 => Destination::Ours,
                1 => pinned(did),
                2 => in_conflict(did),
                3 => Destination::Stranger,
                4 => Destination::Outside { domain },
                _ => Destination::Unknown,
            },
            client: self.client.client(),
            marks: Marks { must_encrypt: self.must_encrypt },
            outside: self.outside,
        }
    }

    fn mail<'a>(&'a self, did: &'a Did) -> MailFacts<'a> {
        let (recipients, size, size_max) = self.numbers;
        let [.., domain, content_type] = &self.words;
        let (spf, dkim, dmarc) = self.findings;
        MailFacts {
            recipients,
            size,
            size_max,
            content_type,
            require_tls: self.require_tls,
            authenticity: self.dmarc_policy.map(|dmarc_policy| Authenticity {
                spf,
                dkim,
                dmarc,
                dmarc_policy,
                from_domain: domain,
            }),
            ..mail_of(&self.recipient(did))
        }
    }

    /// The law in Rust, written a second time and independently of Cedar.
    fn may_pass(&self) -> bool {
        let [trusted, known, owns_sender, _tls] = self.client.flags;
        let own = matches!(self.standing, SenderStanding::Ours | SenderStanding::Null);
        let believed = own
            && match self.client.role {
                Role::Relay => trusted,
                Role::Submission => known && (owns_sender || self.standing == SenderStanding::Null),
                Role::Mx => false,
            };
        match (self.direction, self.place) {
            (Direction::Outbound, 1) => believed,
            (Direction::Outbound, 4) => believed && self.outside.is_some() && !self.must_encrypt,
            (Direction::Inbound, 0) => {
                matches!(self.standing, SenderStanding::ThePartner | SenderStanding::Null)
            }
            (Direction::FromOutside, 0) => self.client.role == Role::Mx || believed,
            _ => false,
        }
    }

    /// Whether DMARC lets it in at once.
    fn is_authentic(&self) -> bool {
        let asked = self.dmarc_policy.unwrap_or_default() != DmarcPolicy::None;
        self.direction != Direction::FromOutside || !asked || self.findings.2 != Finding::Fail
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
    static OPEN: Rules = Rules::everything_goes();
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
            prop_assert_eq!(mail.verdict.is_allow(), facts.may_pass() && facts.is_authentic() && fits);
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
                        prop_assert_ne!(mail.direction, Direction::Outbound);
                        prop_assert_eq!(mail.destination, Destination::Ours);
                    }
                    Purpose::Relay { domain, demand } => {
                        prop_assert_eq!(mail.direction, Direction::Outbound);
                        let is_there = matches!(mail.destination, Destination::Outside { domain: asked }
                            if asked.to_lowercase() == *domain);
                        prop_assert!(is_there);
                        prop_assert!(Some(*demand) >= mail.outside && mail.outside.is_some());
                    }
                }
            }
        }
    }

    /// Even a law that permits everything opens no way for clear text but the ones that the configuration opened.
    #[test]
    fn no_law_relays_what_must_be_sealed_or_what_comes_from_the_internet(facts in any_facts()) {
        let did = globex();
        let mail = facts.mail(&did);
        for rules in [&STANDARD, &STRICTER, &OPEN] {
            if let Verdict::Allow(permit) = rules.with(|rules| decide_mail(rules, &mail)).verdict {
                let leaves = *permit.purpose() != Purpose::HandOver;
                prop_assert!(!leaves || mail.client.role != Role::Mx);
                if matches!(permit.purpose(), Purpose::Relay { .. }) {
                    prop_assert!(!mail.marks.must_encrypt);
                    let to_partner = matches!(mail.destination, Destination::Partner { .. });
                    prop_assert!(!to_partner && mail.destination != Destination::Stranger);
                    let known = mail.client.role == Role::Submission && mail.client.user.is_some();
                    prop_assert!(known || (mail.client.role == Role::Relay && mail.client.trusted));
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
