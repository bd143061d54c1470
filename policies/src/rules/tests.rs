//! Promises of the law's readers.

use cedar_policy::{Entities, Request, Schema, ValidationMode};
use dccp::Did;

use super::*;
use crate::{
    Client, Demand, Destination, Direction, MailFacts, Marks, PartnerStanding, RecipientFacts, Role,
    SenderStanding, Verdict, decide_mail, decide_recipient,
};

/// A whole local rule around one piece that a test spoils.
fn local(annotations: &str, rest: &str) -> Result<Rules, RulesError> {
    Rules::with_local(&format!("// a comment\n\n{annotations}\n{rest}\n"))
}

fn complaint(annotations: &str, rest: &str) -> (usize, String) {
    let error = local(annotations, rest).expect_err("this rule is wrong");
    (error.line, error.message)
}

const SOUND: &str = r#"@id("sound") @reply("550 5.7.1") @why("Because.")"#;
const ALL: &str = "forbid (principal, action, resource);";

#[test]
fn a_sound_local_rule_is_accepted() {
    local(SOUND, ALL).unwrap();
    local(r#"@id("waits") @effect("hold") @why("Look first.")"#, ALL).unwrap();
    Rules::with_local("").unwrap();
    Rules::with_local("// nothing yet\n").unwrap();
}

#[test]
fn a_syntax_error_names_its_line() {
    let (line, message) = complaint(SOUND, "forbid (principal, action, resource)\nwhen { resource. };");
    assert_eq!(line, 5, "{message}");
    assert!(message.contains("unexpected"), "{message}");
}

#[test]
fn a_word_that_the_schema_does_not_know_names_its_line() {
    let (line, message) = complaint(
        SOUND,
        "forbid (principal, action in Action::\"out\", resource)\nwhen {\n  resource.siize > 5 };",
    );
    assert_eq!(line, 6, "{message}");
    assert!(message.contains("siize"), "{message}");
}

#[test]
fn a_standing_that_does_not_exist_is_a_mistake() {
    let (line, message) = complaint(
        SOUND,
        "forbid (principal, action, resource)\nwhen { principal.standing == Standing::\"our\" };",
    );
    assert_eq!(line, 5, "{message}");
    assert!(message.contains("our"), "{message}");
}

#[test]
fn an_action_that_does_not_exist_is_a_mistake() {
    let (line, message) = complaint(SOUND, "forbid (principal, action == Action::\"rcpt-outt\", resource);");
    assert_eq!(line, 3, "{message}");
    assert!(message.contains("`sound`"), "{message}");
}

#[test]
fn a_rule_that_can_never_apply_is_a_mistake() {
    let (line, message) = complaint(SOUND, "forbid (principal, action == Action::\"out\", resource);");
    assert_eq!(line, 3, "{message}");
    let (line, message) = complaint(SOUND, "forbid (principal, action, resource)\nwhen { false };");
    assert!(line >= 3, "{message}");
}

#[test]
fn of_two_mistakes_the_first_line_is_named() {
    let text = format!(
        "{SOUND} {ALL}\n@id(\"two\") @reply(\"550 5.7.1\") @why(\"Two.\")\nforbid (principal, action, resource) when {{ 1 }};\n\
         @id(\"three\") @reply(\"550 5.7.1\") @why(\"Three.\")\nforbid (principal, action, resource) when {{ 2 }};"
    );
    assert_eq!(Rules::with_local(&text).unwrap_err().line, 3);
}

#[test]
fn a_local_rule_cannot_permit() {
    let (line, message) = complaint(r#"@id("open") @why("Open.")"#, "permit (principal, action, resource);");
    assert_eq!(line, 3);
    assert!(message.contains("may only forbid"), "{message}");
}

#[test]
fn a_local_rule_cannot_take_the_id_of_a_standard_rule() {
    let (line, message) = complaint(r#"@id("size-limit") @reply("550 5.7.1") @why("Mine.")"#, ALL);
    assert_eq!(line, 3);
    assert!(message.contains("already taken"), "{message}");
    let (_, message) = complaint(r#"@id("no-safe-way") @reply("550 5.7.1") @why("The judge's own.")"#, ALL);
    assert!(message.contains("already taken"), "{message}");
    let twice = format!("{SOUND} {ALL}\n{SOUND} {ALL}");
    assert_eq!(Rules::with_local(&twice).unwrap_err().line, 2);
}

#[test]
fn templates_are_not_rules() {
    let (_, message) = complaint(SOUND, "forbid (principal == ?principal, action, resource);");
    assert!(message.contains("templates"), "{message}");
}

#[test]
fn every_annotation_is_read_strictly() {
    for (annotations, word) in [
        (r#"@reply("550 5.7.1") @why("No id.")"#, "@id"),
        (r#"@id("No Spaces") @reply("550 5.7.1") @why("Id.")"#, "@id"),
        (r#"@id("a") @why("No reply.")"#, "@reply"),
        (r#"@id("a") @replay("550 5.7.1") @why("Misspelt.")"#, "@replay"),
        (r#"@id("a") @reply("550 5.7.1")"#, "@why"),
        (r#"@id("a") @effect("quarantine") @why("Effect.")"#, "@effect"),
        (r#"@id("a") @effect("hold") @reply("550 5.7.1") @why("Both.")"#, "holds"),
        (r#"@id("a") @reply("250 2.0.0") @why("A yes.")"#, "@reply"),
        (r#"@id("a") @reply("550 4.7.1") @why("Two classes.")"#, "@reply"),
        (r#"@id("a") @reply("560 5.7.1") @why("No such code.")"#, "@reply"),
        (r#"@id("a") @reply("550 5.7.1.2") @why("Too long.")"#, "@reply"),
        (r#"@id("a") @reply("550") @why("Too short.")"#, "@reply"),
        (r#"@id("a") @reply("550 5.7.1") @why("Two\r\nlines.")"#, "ASCII"),
        (r#"@id("a") @reply("550 5.7.1") @why("Für uns.")"#, "ASCII"),
        (r#"@id("a") @reply("550 5.7.1") @why("Ask root@acme.example.")"#, "address"),
        (r#"@id("a") @reply("550 5.7.1") @why("{sender} is bad.")"#, "{size_max}"),
        (r#"@id("a") @reply("550 5.7.1") @why("{size} octets at RCPT.")"#, "mail-out"),
    ] {
        let (line, message) = complaint(annotations, ALL);
        assert_eq!(line, 3, "{annotations}: {message}");
        assert!(message.contains(word), "{annotations}: {message}");
    }
}

#[test]
fn a_reason_too_long_for_a_reply_line_is_a_mistake() {
    let why = "x".repeat(500);
    let (_, message) = complaint(&format!(r#"@id("a") @reply("550 5.7.1") @why("{why}")"#), ALL);
    assert!(message.contains("octets of the reply line"), "{message}");
}

#[test]
fn a_file_of_absurd_size_is_not_parsed() {
    let error = Rules::with_local(&"/".repeat(LOCAL_BYTES_MAX + 1)).unwrap_err();
    assert!(error.message.contains("limit"), "{error}");
}

#[test]
fn the_generation_changes_with_every_word_of_the_law() {
    let standard = Rules::standard().generation();
    assert_eq!(standard, Rules::standard().generation());
    assert_eq!(standard.len(), 16);
    assert_ne!(standard, Rules::with_local("").unwrap().generation());
    let (one, two) =
        (local(SOUND, ALL).unwrap(), local(SOUND, "forbid (principal, action, resource) ;").unwrap());
    assert_ne!(one.generation(), two.generation());
}

#[test]
fn the_standard_rules_are_strictly_valid_and_without_warnings() {
    let (schema, warnings) = Schema::from_cedarschema_str(WORDS).unwrap();
    assert_eq!(warnings.count(), 0);
    for text in STANDARD {
        let set = text.parse().unwrap();
        let result = cedar_policy::Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        assert!(result.validation_passed_without_warnings(), "{result:?}");
    }
}

#[test]
fn a_question_sees_its_own_rules_only() {
    let rules = Rules::standard();
    let named = |question| {
        let slice = rules.slice(question);
        let mut ids: Vec<String> =
            slice.law.policies().chain(slice.holds.policies()).map(|p| p.id().to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        named(Question::RcptIn),
        ["never-in-the-clear", "receive-for-us", "recipient-not-ours", "sender-not-of-partner"]
    );
    assert_eq!(
        named(Question::RcptHome),
        [
            "client-not-trusted",
            "never-a-relay",
            "never-in-the-clear",
            "receive-for-us",
            "sender-not-ours",
            "sender-not-the-user"
        ]
    );
    assert!(named(Question::MailIn).contains(&"size-limit".to_owned()));
    assert!(!named(Question::RcptOut).contains(&"size-limit".to_owned()));
    assert_eq!(rules.slice(Question::MailOut).holds.num_of_policies(), 1);
}

#[test]
fn what_no_rule_allows_is_refused() {
    let nothing = Rules::build(&[], None).unwrap();
    let decision = decide_recipient(&nothing, &outbound_recipient(Destination::Unknown));
    let Verdict::Refuse(refusal) = decision.verdict else { panic!() };
    assert_eq!((refusal.code, refusal.text.contains("no-rule-allows")), (550, true));
    assert_eq!(decision.reasons[0].rule, "no-rule-allows");
}

#[test]
fn rules_that_allow_everything_still_open_no_unsafe_way() {
    let rules = Rules::everything_goes();
    let did: Did = DID.parse().unwrap();
    let conflict = Destination::Partner { did: &did, standing: PartnerStanding::Conflict };
    let outside = Destination::Outside { domain: "globex.example" };
    for destination in [Destination::Unknown, Destination::Stranger, Destination::Ours, outside, conflict] {
        let Verdict::Refuse(refusal) = decide_mail(&rules, &outbound_mail(destination)).verdict else {
            panic!()
        };
        assert_eq!((refusal.code, refusal.text.contains("no-safe-way")), (451, true));
        assert!(!decide_recipient(&rules, &outbound_recipient(destination)).verdict.is_allow());
    }
    let pinned = Destination::Partner { did: &did, standing: PartnerStanding::Pinned };
    let opened = MailFacts { outside: Some(Demand::Opportunistic), ..outbound_mail(outside) };
    for facts in [
        MailFacts { direction: Direction::Inbound, ..outbound_mail(pinned) },
        MailFacts { direction: Direction::FromOutside, ..outbound_mail(pinned) },
        MailFacts { direction: Direction::FromOutside, ..opened },
        MailFacts { client: Client { role: Role::Mx, ..Client::BELIEVED }, ..opened },
        MailFacts { client: Client { role: Role::Mx, ..Client::BELIEVED }, ..outbound_mail(pinned) },
        MailFacts { marks: Marks { must_encrypt: true }, ..opened },
    ] {
        assert!(!decide_mail(&rules, &facts).verdict.is_allow(), "{facts:?}");
    }
}

#[test]
fn what_is_asked_follows_the_schema() {
    let (schema, _) = Schema::from_cedarschema_str(WORDS).unwrap();
    let words = Words::new().unwrap();
    let did: Did = DID.parse().unwrap();
    let pinned = Destination::Partner { did: &did, standing: PartnerStanding::Pinned };
    for direction in [Direction::Outbound, Direction::Inbound, Direction::FromOutside] {
        let recipient = RecipientFacts { direction, ..outbound_recipient(pinned) };
        let mail = MailFacts { direction, ..outbound_mail(pinned) };
        for asked in [words.ask_recipient(&recipient).unwrap(), words.ask_mail(&mail).unwrap()] {
            let (principal, action) = (asked.request.principal().unwrap(), asked.request.action().unwrap());
            let (resource, context) = (asked.request.resource().unwrap(), asked.request.context().unwrap());
            Request::new(principal.clone(), action.clone(), resource.clone(), context.clone(), Some(&schema))
                .unwrap();
            Entities::from_entities(asked.entities, Some(&schema)).unwrap();
        }
    }
}

const DID: &str = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn outbound_recipient(destination: Destination<'_>) -> RecipientFacts<'_> {
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

fn outbound_mail(destination: Destination<'_>) -> MailFacts<'_> {
    MailFacts {
        direction: Direction::Outbound,
        sender: "alice@acme.example",
        sender_standing: SenderStanding::Ours,
        destination,
        client: Client::BELIEVED,
        marks: Marks::default(),
        require_tls: false,
        outside: None,
        authenticity: None,
        recipients: 1,
        size: 1,
        size_max: 2,
        content_type: "text/plain",
        owns_from: true,
        approved: false,
    }
}

/// The worked example of the README is a promise too.
#[test]
fn the_example_of_the_readme_works_and_its_mistake_reads_as_printed() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("```cedar\n").unwrap();
    let (example, rest) = rest.split_once("```").unwrap();
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (complaint, _) = rest.split_once("\n```").unwrap();

    let rules = Rules::with_local(example).unwrap();
    let did: Did = DID.parse().unwrap();
    let pinned = Destination::Partner { did: &did, standing: PartnerStanding::Pinned };
    let mail = MailFacts {
        size: 6_000_000,
        size_max: 9_000_000,
        content_type: "application/zip",
        ..outbound_mail(pinned)
    };
    let decision = decide_mail(&rules, &mail);
    assert_eq!(decision.verdict, Verdict::Hold);
    assert!(decision.reasons[0].text.ends_with("this one has 6000000 octets."), "{decision:?}");
    assert!(decide_mail(&rules, &MailFacts { size: 5_000_000, ..mail }).verdict.is_allow());

    let refusing = example.replace("@effect(\"hold\")", "@reply(\"550 5.7.1\")");
    assert!(matches!(decide_mail(&Rules::with_local(&refusing).unwrap(), &mail).verdict, Verdict::Refuse(_)));

    let mistake = Rules::with_local(&example.replace("resource.size", "resource.siize")).unwrap_err();
    assert_eq!(mistake.to_string(), complaint);
}
