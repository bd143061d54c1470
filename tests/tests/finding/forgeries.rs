//! What somebody else might put in the way: each a refusal with its name, and nothing found.

use ::finding::{
    BadWellKnown, DiscoverError, FetchError, Finder, HttpsFinding, NameError, PageError, Refusal, Settings,
};
use tests::peers::Zone;

use super::organisation::Organisation;
use super::web;
use crate::{Lab, at_home, now, overlay};

fn signed(globex: &Organisation) -> Zone {
    at_home(Zone::signed("globex.test").names(globex.did().as_str()))
}

#[tokio::test]
async fn two_records_are_refused_even_when_one_is_right() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let lab = Lab::new()
        .names(&[signed(&globex).names(mallory.did().as_str())])
        .publishes(1, &["globex.test"], &globex)
        .await;
    assert_eq!(lab.discover("globex.test").await.unwrap_err(), DiscoverError::Dns(NameError::Several(2)));
}

#[tokio::test]
async fn a_record_that_names_another_did_than_the_page_is_refused() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let lab = Lab::new()
        .names(&[at_home(Zone::unsigned("globex.test").names(mallory.did().as_str()))])
        .publishes(1, &["globex.test"], &globex)
        .await;
    let forged = DiscoverError::Forged { dns: mallory.did(), https: globex.did() };
    assert_eq!(lab.discover("globex.test").await.unwrap_err(), forged);
}

#[tokio::test]
async fn a_record_that_was_changed_after_it_was_signed_is_refused() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let zone = signed(&globex).forged(globex.did().as_str(), mallory.did().as_str());
    let lab = Lab::new().names(&[zone]).publishes(1, &["globex.test"], &mallory).await;
    let error = lab.discover("globex.test").await.unwrap_err();
    assert_eq!(error, DiscoverError::Dns(NameError::Bogus));
}

#[tokio::test]
async fn a_signed_zone_without_its_signatures_is_refused() {
    let globex = Organisation::globex();
    // The root says that the zone is signed; this server has another root and so another key for it.
    let honest = Lab::new().names(&[signed(&globex)]);
    let stripped = Lab::new()
        .names(&[at_home(Zone::unsigned("globex.test").names(globex.did().as_str()))])
        .publishes(1, &["globex.test"], &globex)
        .await;
    let settings = Settings { trust_anchor: honest.settings().trust_anchor, ..stripped.settings() };
    let finder = Finder::new(settings).expect("a finder");
    let error = finder.discover("globex.test", None, now()).await.unwrap_err();
    assert_eq!(error, DiscoverError::Dns(NameError::Bogus));
}

#[tokio::test]
async fn a_did_whose_log_does_not_name_the_domain_is_refused() {
    let acme = Organisation::found("acme.test", 50);
    let lab = Lab::new().names(&[signed(&acme)]).publishes(1, &["globex.test"], &acme).await;
    let error = lab.discover("globex.test").await.unwrap_err();
    assert_eq!(error, DiscoverError::NoBackLink { did: acme.did() });
}

#[tokio::test]
async fn pages_that_are_none_are_refused_by_name() {
    let globex = Organisation::globex();
    let page = globex.page().to_json();
    let padded = [page.clone(), vec![b' '; 64 * 1024 + 1 - page.len()]].concat();
    let too_large = PageError::Fetch(FetchError::TooLarge { max: 64 * 1024 });
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: https://globex.test/\r\nContent-Length: 0\r\n\r\n".to_vec();
    for (answer, why) in [
        (web::ok(&padded), too_large),
        (redirect, PageError::Fetch(FetchError::Redirect)),
        (web::ok(br#"{"v":"DCCP9","did":"x"}"#), PageError::Bad(BadWellKnown::Version)),
    ] {
        let lab = Lab::new()
            .names(&[signed(&globex)])
            .serves(1, &["globex.test", "dccp.globex.test"], move |_| answer.clone())
            .await;
        let with_records = overlay(Ok(globex.bundle().to_bytes()));
        let found = lab.discover_with("globex.test", with_records).await.expect("by DNS alone");
        let HttpsFinding::Nothing { tried } = found.https else { panic!("a page was accepted") };
        assert_eq!(tried.iter().map(|(_, error)| error).collect::<Vec<_>>(), [&why, &why]);
        assert_eq!(found.trust.level(), 0);
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let globex = Organisation::globex();
    let zone = at_home(Zone::unsigned("globex.test"));
    let lab = Lab::new().names(&[zone]).publishes(1, &["other.test"], &globex).await;
    let error = lab.discover("globex.test").await.unwrap_err();
    let DiscoverError::Https { tried } = &error else { panic!("{error}") };
    assert!(tried.iter().all(|(_, error)| matches!(error, PageError::Fetch(FetchError::Certificate(_)))));
    assert!(!error.is_temporary());
}

#[tokio::test]
async fn names_that_lead_inside_are_refused() {
    let globex = Organisation::globex();
    let lab = Lab::new().names(&[signed(&globex)]).publishes(1, &["globex.test"], &globex).await;
    let finder =
        Finder::new(Settings { allow_private_addresses: false, ..lab.settings() }).expect("a finder");
    let with_records = overlay(Ok(globex.bundle().to_bytes()));
    let found = finder.discover("globex.test", with_records, now()).await.expect("by DNS alone");
    let HttpsFinding::Nothing { tried } = found.https else { panic!("somebody connected") };
    let is_private =
        |error: &PageError| matches!(error, PageError::Fetch(FetchError::Name(NameError::PrivateAddress(_))));
    assert!(tried.iter().all(|(_, error)| is_private(error)), "{tried:?}");
}

#[tokio::test]
async fn records_of_another_did_are_refused() {
    let (globex, mallory) = (Organisation::globex(), Organisation::found("globex.test", 50));
    let (page, bundle) = (globex.page().to_json(), mallory.bundle().to_bytes());
    let lab = Lab::new()
        .names(&[signed(&globex)])
        .serves(1, &["globex.test"], move |path| {
            web::ok(if path.ends_with(".cbor") { &bundle } else { &page })
        })
        .await;
    let error = lab.discover("globex.test").await.unwrap_err();
    let refusals = vec![("https", Refusal::OtherDid)];
    assert_eq!(error, DiscoverError::Records { did: globex.did(), refusals });
}

#[tokio::test]
async fn two_logs_that_contradict_each_other_are_refused() {
    let (mut one, mut other) = (Organisation::globex(), Organisation::globex());
    one.update(2);
    other.update(3);
    let lab = Lab::new().names(&[signed(&one)]).publishes(1, &["globex.test"], &one).await;
    let error = lab.discover_with("globex.test", overlay(Ok(other.bundle().to_bytes()))).await.unwrap_err();
    assert_eq!(error, DiscoverError::Duplicity { did: one.did(), at_seq: 1 });
}

#[tokio::test]
async fn an_organisation_that_gave_its_identity_up_is_refused() {
    let mut globex = Organisation::globex();
    globex.deactivate();
    let lab = Lab::new().names(&[signed(&globex)]).publishes(1, &["globex.test"], &globex).await;
    let error = lab.discover("globex.test").await.unwrap_err();
    assert_eq!(error, DiscoverError::Deactivated { did: globex.did() });
    assert!(!error.is_temporary());
}
