//! ARC: what we found is sealed for those we forward to, and an independent judge follows the chain.

use std::time::SystemTime;

use smtp::authenticity::{Outcome, SealError, Signer, forged_results};
use tests::peers::{Judges, PeerKey, Zone};

use crate::{LETTER, ask_letter, names, own_pair, publish, verifier};

#[tokio::test]
async fn our_seal_holds_before_an_independent_judge_and_the_next_one_builds_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, third) = (own_pair("acme.test", "s1"), own_pair("initech.test", "s1"));
    let second = PeerKey::rsa(folder.path(), "globex.test", "their", "rsa-sha256");
    let (name, record) = second.record();
    let dns = names([
        publish(Zone::unsigned("acme.test"), &first),
        Zone::unsigned("globex.test").record(&name, "TXT", &record),
        publish(Zone::unsigned("initech.test"), &third),
    ]);
    let (judges, verifier) = (Judges::new(dns.address()), verifier(dns.address()));
    let (acme, initech) = (Signer::new(vec![first]), Signer::new(vec![third]));
    let now = SystemTime::now();

    let verdicts = ask_letter(&verifier, LETTER.as_bytes()).await;
    assert_eq!((verdicts.arc.outcome, verdicts.arc.instances), (Outcome::None, 0));
    let seal = acme.seal("acme.test", LETTER.as_bytes(), &verdicts, "gw.acme.test", now).unwrap().unwrap();
    assert!(
        seal.contains("ARC-Authentication-Results: i=1; gw.acme.test;\r\n") && seal.contains("cv=none"),
        "{seal}"
    );
    let once = seal + LETTER;
    assert_eq!(
        judges.arc(once.as_bytes()).split(' ').next(),
        Some("pass"),
        "{}",
        judges.arc(once.as_bytes())
    );

    // The next hop is dkimpy's, which copies the results of its own house.
    let results = ask_letter(&verifier, once.as_bytes()).await.authentication_results("mx.globex.test");
    let judged = results + &once;
    let twice = judges.seal(judged.as_bytes(), &second, "mx.globex.test") + &judged;
    let verdicts = ask_letter(&verifier, twice.as_bytes()).await;
    let chain = (verdicts.arc.outcome, verdicts.arc.instances, verdicts.arc.sealer.as_deref());
    assert_eq!(chain, (Outcome::Pass, 2, Some("globex.test")), "{:?}\n{twice}", verdicts.arc);

    let seal =
        initech.seal("initech.test", twice.as_bytes(), &verdicts, "gw.initech.test", now).unwrap().unwrap();
    assert!(seal.contains("i=3; a=rsa-sha256") && seal.contains("cv=pass"), "{seal}");
    let thrice = format!("Received: by gw.initech.test; today\r\n{seal}{twice}");
    assert_eq!(judges.arc(thrice.as_bytes()).split(' ').next(), Some("pass"));
    assert_eq!(ask_letter(&verifier, thrice.as_bytes()).await.arc.outcome, Outcome::Pass);
}

#[tokio::test]
async fn a_broken_chain_is_sealed_as_failed_and_by_nobody_after_that() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let (judges, verifier) = (Judges::new(dns.address()), verifier(dns.address()));
    let signer = Signer::new(vec![pair]);
    let seal = async |octets: &str| {
        let verdicts = ask_letter(&verifier, octets.as_bytes()).await;
        signer.seal("acme.test", octets.as_bytes(), &verdicts, "gw.acme.test", SystemTime::now()).unwrap()
    };
    let sealed = seal(LETTER).await.unwrap() + LETTER;
    let altered = sealed.replace("How are", "Who are");
    let failed = seal(&altered).await.unwrap();
    assert!(failed.contains("i=2; a=rsa-sha256") && failed.contains("cv=fail"), "{failed}");
    let twice = failed + &altered;
    assert_eq!(judges.arc(twice.as_bytes()).split(' ').next(), Some("fail"));
    assert_eq!(ask_letter(&verifier, twice.as_bytes()).await.arc.outcome, Outcome::Fail);
    assert_eq!(seal(&twice).await, None);
    // Sets that do not belong together.
    assert_eq!(seal(&sealed.replace("ARC-Seal", "X-Seal")).await, None);
    assert_eq!(seal(&sealed.replace("i=1;", "i=3;")).await, None);
}

#[tokio::test]
async fn a_chain_that_could_not_be_checked_is_not_sealed_yet() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let signer = Signer::new(vec![pair]);
    let mut verdicts = ask_letter(&verifier(dns.address()), LETTER.as_bytes()).await;
    verdicts.arc.outcome = Outcome::TempError;
    let sealed = signer.seal("acme.test", LETTER.as_bytes(), &verdicts, "gw.acme.test", SystemTime::now());
    assert_eq!(sealed, Err(SealError::Undecided));
    assert_eq!(signer.seal("other.test", LETTER.as_bytes(), &verdicts, "gw", SystemTime::now()), Ok(None));
}

#[tokio::test]
async fn a_chain_holds_when_forged_results_are_left_out() {
    let pair = own_pair("acme.test", "s1");
    let dns = names([publish(Zone::unsigned("acme.test"), &pair)]);
    let verifier = verifier(dns.address());
    let signer = Signer::new(vec![pair]);
    let verdicts = ask_letter(&verifier, LETTER.as_bytes()).await;
    let seal = signer.seal("acme.test", LETTER.as_bytes(), &verdicts, "gw.acme.test", SystemTime::now());
    let forged =
        "Authentication-Results: gw.globex.test; dmarc=pass header.from=bank.test\r\nX-DCCP-Trust: 3\r\n";
    let arrived = format!("{forged}{}{LETTER}", seal.unwrap().unwrap());
    let mut left = arrived.clone().into_bytes();
    for range in forged_results(arrived.as_bytes(), "gw.globex.test").into_iter().rev() {
        left.drain(range);
    }
    assert_eq!(left, &arrived.as_bytes()[forged.len()..]);
    assert_eq!(ask_letter(&verifier, &left).await.arc.outcome, Outcome::Pass);
}
