//! What honest domains earn.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ::finding::{DnsFinding, Dnssec, HttpsFinding, Mirror, SourceError, Trust, WellKnown};
use async_trait::async_trait;
use dccp::Did;
use gateway::publication::{self, Entry, Published, Unavailable};
use tests::peers::{Zone, await_within};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::organisation::Organisation;
use crate::{Lab, SOON, at_home, now, overlay};

#[tokio::test]
async fn a_signed_record_a_page_and_a_back_link_earn_trust_2() {
    let globex = Organisation::globex();
    let lab = Lab::new()
        .names(&[at_home(Zone::signed("globex.test").names(globex.did().as_str()))])
        .publishes(1, &["globex.test"], &globex)
        .await;
    let found = lab.discover("Globex.Test").await.expect("found");
    assert_eq!(found.trust, Trust::Secured);
    assert_eq!(found.dns, DnsFinding::One { did: globex.did(), dnssec: Dnssec::Secure });
    assert_eq!((found.did, found.domain.as_str()), (globex.did(), "globex.test"));
    assert_eq!(found.partner.devices.epoch(), 5);
    assert!(found.notes.is_empty(), "{:?}", found.notes);
}

#[tokio::test]
async fn a_record_in_an_unsigned_zone_or_none_at_all_earns_trust_1() {
    let globex = Organisation::globex();
    let unsigned = Zone::unsigned("globex.test").names(globex.did().as_str());
    let insecure = DnsFinding::One { did: globex.did(), dnssec: Dnssec::Insecure };
    for (zone, dns) in [
        (unsigned, insecure),
        (Zone::unsigned("globex.test"), DnsFinding::Missing),
        (Zone::signed("globex.test"), DnsFinding::Missing),
        (Zone::signed("globex.test").record("_dccp", "TXT", "\"v=spf1 -all\""), DnsFinding::Missing),
    ] {
        let lab = Lab::new().names(&[at_home(zone)]).publishes(1, &["globex.test"], &globex).await;
        let found = lab.discover("globex.test").await.expect("found");
        assert_eq!((found.trust, found.dns), (Trust::FirstUse, dns));
    }
}

#[tokio::test]
async fn an_unsigned_alias_does_not_borrow_the_signature_of_its_target() {
    let globex = Organisation::globex();
    let lab = Lab::new()
        .names(&[
            at_home(Zone::unsigned("globex.test")).record("_dccp", "CNAME", "_dccp.hosting.test."),
            Zone::signed("hosting.test").names(globex.did().as_str()),
        ])
        .publishes(1, &["globex.test"], &globex)
        .await;
    let found = lab.discover("globex.test").await.expect("found");
    assert_eq!(found.dns, DnsFinding::One { did: globex.did(), dnssec: Dnssec::Insecure });
    assert_eq!(found.trust, Trust::FirstUse);
}

#[tokio::test]
async fn the_host_dccp_speaks_for_a_domain_whose_own_server_says_nothing_useful() {
    let globex = Organisation::globex();
    let zone = || Zone::signed("globex.test").names(globex.did().as_str()).record("dccp", "A", "127.0.0.2");
    for own_server in ["no server", "404 Not Found", "301 Moved", "200 but HTML", "other certificate"] {
        let zone = if own_server == "no server" { zone() } else { zone().record("@", "A", "127.0.0.1") };
        let lab = Lab::new().names(&[zone]).publishes(2, &["dccp.globex.test"], &globex).await;
        let name = if own_server == "other certificate" { "other.test" } else { "globex.test" };
        let lab = match own_server {
            "no server" => lab,
            "200 but HTML" => lab.serves(1, &[name], |_| super::web::ok(b"<!doctype html>")).await,
            line => lab.serves(1, &[name], move |_| super::web::status(line)).await,
        };
        let found = lab.discover("globex.test").await.expect(own_server);
        assert_eq!(found.trust, Trust::Secured);
        assert!(matches!(found.https, HttpsFinding::Page { host, .. } if host == "dccp.globex.test"));
    }
}

#[tokio::test]
async fn a_mirror_elsewhere_keeps_the_records() {
    let globex = Organisation::globex();
    let lab = Lab::new();
    let mirror = Mirror::parse(&format!("https://mirror.hosting.test:{}", lab.port.0)).expect("a mirror");
    let site = globex.site();
    let page = globex.page();
    let page = WellKnown { mirror: Some(mirror), ..page }.to_json();
    let lab = lab
        .names(&[
            at_home(Zone::signed("globex.test").names(globex.did().as_str())),
            Zone::unsigned("hosting.test").record("mirror", "A", "127.0.0.2"),
        ])
        .serves(1, &["globex.test"], move |_| super::web::ok(&page))
        .await
        .serves(2, &["mirror.hosting.test"], site)
        .await;
    assert_eq!(lab.discover("globex.test").await.expect("found").trust, Trust::Secured);
}

#[tokio::test]
async fn the_overlay_may_know_more_than_the_mirror() {
    let mut globex = Organisation::globex();
    let lab = Lab::new()
        .names(&[at_home(Zone::signed("globex.test").names(globex.did().as_str()))])
        .publishes(1, &["globex.test"], &globex)
        .await;
    globex.update(2);
    let overlay = overlay(Ok(globex.bundle().to_bytes()));
    let found = lab.discover_with("globex.test", overlay).await.expect("found");
    assert_eq!(found.partner.document.seq(), 1);
}

#[tokio::test]
async fn a_did_that_only_dns_names_is_found_over_the_overlay_and_earns_nothing() {
    let globex = Organisation::globex();
    let lab = Lab::new().names(&[Zone::signed("globex.test").names(globex.did().as_str())]);
    let found =
        lab.discover_with("globex.test", overlay(Ok(globex.bundle().to_bytes()))).await.expect("found");
    assert_eq!(found.trust, Trust::None);
    let error = lab.discover_with("globex.test", overlay(Err(SourceError::NotFound))).await.unwrap_err();
    assert!(matches!(error, ::finding::DiscoverError::Records { .. }), "{error}");
}

/// What our own gateway publishes, as far as this test needs it.
struct House(Organisation);

#[async_trait]
impl Published for House {
    async fn page(&self, domain: &str) -> Result<Option<WellKnown>, Unavailable> {
        Ok((domain == "globex.test").then(|| self.0.page()))
    }

    async fn entry(&self, did: &Did) -> Result<Option<Arc<Entry>>, Unavailable> {
        let entry = || Arc::new(Entry::new(&self.0.bundle(), now()).expect("our own records"));
        Ok((*did == self.0.did()).then(entry))
    }
}

#[tokio::test]
async fn what_a_gateway_publishes_is_found_under_the_domain_and_under_its_host_dccp() {
    for (name, host) in [("globex.test", 1), ("dccp.globex.test", 2)] {
        let globex = Organisation::globex();
        let zone = Zone::signed("globex.test")
            .names(globex.did().as_str())
            .record("@", "A", "127.0.0.1")
            .record("dccp", "A", "127.0.0.2");
        let lab = Lab::new().names(&[zone]);
        let listener = TcpListener::bind((format!("127.0.0.{host}"), lab.port.0)).await.expect("a port");
        let stop = CancellationToken::new();
        let tls = lab.authority.tls(&[name]);
        let served = tokio::spawn(publication::serve(listener, tls, Arc::new(House(globex)), stop.clone()));
        let found = lab.discover("globex.test").await.expect(name);
        assert_eq!(found.trust, Trust::Secured);
        stop.cancel();
        served.await.expect("it ends");
    }
}

/// A web server that nobody here wrote.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const STATIC_FILES: &str = "
import http.server, ssl, sys
root, port, certificate, key = sys.argv[1:]
class Files(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *a): super().__init__(*a, directory=root)
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), Files)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";

#[tokio::test]
async fn any_web_server_with_the_files_will_do() {
    let globex = Organisation::globex();
    let lab = Lab::new().names(&[at_home(Zone::signed("globex.test").names(globex.did().as_str()))]);
    let root = tempfile::tempdir().expect("a folder");
    for (path, octets) in [
        (::finding::WELL_KNOWN_PATH.to_owned(), globex.page().to_json()),
        (Mirror::bundle_path(&globex.did()), globex.bundle().to_bytes()),
    ] {
        let file = root.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, octets).expect("a file");
    }
    let pair = lab.authority.pair(&["globex.test"]);
    let server = Command::new("python3")
        .args(["-c", STATIC_FILES])
        .arg(root.path())
        .arg(lab.port.0.to_string())
        .args([&pair.certificate, &pair.key])
        .stderr(Stdio::null())
        .spawn();
    let _server = Python(server.expect("python3 is missing: apt-get install python3"));
    let port = lab.port.0;
    await_within(SOON, "the web server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    assert_eq!(lab.discover("globex.test").await.expect("found").trust, Trust::Secured);
}
