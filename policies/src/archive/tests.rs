use super::*;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn rule(name: &str, days: u32) -> ArchiveRule {
    ArchiveRule { name: name.to_owned(), ways: vec![], senders: vec![], recipients: vec![], days }
}

fn facts<'a>(sender: &'a str, recipients: &'a [(Way, &'a str)]) -> ArchiveFacts<'a> {
    ArchiveFacts { sender, recipients, held_by: None }
}

fn kept(rules: &ArchiveRules, facts: &ArchiveFacts<'_>) -> Option<(String, u32)> {
    decide_archive(rules, facts).keep.map(|keep| (keep.rule, keep.days))
}

#[test]
fn a_pattern_is_about_an_address_a_domain_or_what_its_stars_stand_for() {
    for (pattern, address, fits) in [
        ("alice@acme.test", "Alice@ACME.test", true),
        ("alice@acme.test", "malice@acme.test", false),
        ("acme.test", "alice@acme.test", true),
        ("acme.test", "alice@mail.acme.test", false),
        ("*.acme.test", "alice@mail.acme.test", true),
        ("*.acme.test", "alice@acme.test", false),
        ("*", "alice@acme.test", true),
        ("*", "", false),
        ("board-*@acme.test", "board-x@acme.test", true),
        ("board-*@acme.test", "board-@acme.test", true),
        ("b*d*@*.test", "board@acme.test", true),
        ("a*a@acme.test", "a@acme.test", false),
        ("*ab*b@a.test", "ab@a.test", false),
    ] {
        assert_eq!(pattern.parse::<Pattern>().unwrap().fits(address), fits, "{pattern} {address}");
    }
    for wrong in ["", "two words", "a\tb", &"x".repeat(257)] {
        assert_eq!(wrong.parse::<Pattern>(), Err(BadPattern), "{wrong}");
    }
}

#[test]
fn no_rule_keeps_nothing_and_a_rule_that_names_nobody_keeps_everything() {
    let mail = facts("alice@acme.test", &[(Way::Out, "bob@globex.test")]);
    assert_eq!(kept(&ArchiveRules::default(), &mail), None);
    assert_eq!(kept(&ArchiveRules::new(vec![rule("all", 30)]), &mail), Some(("all".to_owned(), 30)));
}

#[test]
fn what_a_rule_names_must_fit_one_and_the_same_recipient() {
    let out_to_globex =
        ArchiveRule { ways: vec![Way::Out], recipients: patterns(&["globex.test"]), ..rule("g", 30) };
    let rules = ArchiveRules::new(vec![out_to_globex]);
    let both = [(Way::Inside, "carol@acme.test"), (Way::Out, "bob@globex.test")];
    assert!(kept(&rules, &facts("alice@acme.test", &both)).is_some());
    let crossed = [(Way::Inside, "x@globex.test"), (Way::Out, "y@initech.test")];
    assert!(kept(&rules, &facts("alice@acme.test", &crossed)).is_none());
}

#[test]
fn the_longest_retention_counts_and_every_rule_that_fits_is_a_reason() {
    let of_alice = ArchiveRule { senders: patterns(&["alice@acme.test"]), ..rule("alice", 3_650) };
    let rules = ArchiveRules::new(vec![rule("all", 30), of_alice]);
    let decision = decide_archive(&rules, &facts("alice@acme.test", &[(Way::Out, "bob@globex.test")]));
    assert_eq!(decision.keep, Some(Keep { rule: "alice".to_owned(), days: 3_650 }));
    let reasons: Vec<&str> = decision.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(reasons, ["archived under rule alice for 3650 days", "archived under rule all for 30 days"]);
    assert_eq!(decision.generation, rules.generation());
}

#[test]
fn a_legal_hold_keeps_what_no_rule_asks_for_and_shortens_no_rule() {
    let to = [(Way::In, "alice@acme.test")];
    let held = ArchiveFacts { held_by: Some("case-7"), ..facts("x@initech.test", &to) };
    assert_eq!(kept(&ArchiveRules::default(), &held), Some(("case-7".to_owned(), 0)));
    assert_eq!(kept(&ArchiveRules::new(vec![rule("all", 30)]), &held), Some(("all".to_owned(), 30)));
}

#[test]
fn another_rule_is_another_generation() {
    let generation = |rules| ArchiveRules::new(rules).generation().to_owned();
    let of = |senders: &[&str], recipients: &[&str]| {
        generation(vec![ArchiveRule {
            senders: patterns(senders),
            recipients: patterns(recipients),
            ..rule("r", 1)
        }])
    };
    assert_ne!(generation(vec![rule("r", 1)]), generation(vec![rule("r", 2)]));
    assert_ne!(of(&["a.test"], &[]), of(&[], &["a.test"]));
}
