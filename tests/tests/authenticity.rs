//! Who really sent a message, with a real DNS server and with judges and signers that nobody here wrote: dkimpy for DKIM
//! and ARC, pyspf for SPF. What we sign they accept, what they sign we accept, and silence of DNS is no verdict.

mod authenticity {
    mod dkim;
    mod dmarc;
    mod forwarding;
    mod rotation;
    mod silence;
    mod spf;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use smtp::address::ReversePath;
use smtp::authenticity::{Asked, KeyPair, Settings, Verdicts, Verifier};
use tests::peers::{Dns, Zone};

/// Where strangers connect from.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

const LETTER: &str = "From: Alice <alice@acme.test>\r\nTo: Bob <bob@globex.test>\r\nSubject: A letter,\r\n  folded\r\n\
    Date: Tue, 1 Jul 2025 10:52:37 +0000\r\nMessage-ID: <1@acme.test>\r\nMIME-Version: 1.0\r\n\r\n\
    Dear  Bob, \r\n\r\nHow are you?\r\n\r\n\r\n";

/// A verifier that asks this server.
fn verifier(dns: SocketAddr) -> Verifier {
    verifier_within(dns, Duration::from_secs(20))
}

fn verifier_within(dns: SocketAddr, deadline: Duration) -> Verifier {
    let settings = Settings { dns_servers: vec![dns], hostname: "gw.globex.test".into(), deadline };
    Verifier::new(settings).expect("a server is named")
}

/// What is found out about octets that came from `ip` with these names.
async fn ask(verifier: &Verifier, ip: IpAddr, hello: &str, sender: &str, octets: &[u8]) -> Verdicts {
    let reverse_path: ReversePath = sender.parse().expect("an address or nothing");
    verifier.verify(Asked { ip, hello, reverse_path: &reverse_path, octets }).await
}

/// The same for a letter of alice from a stranger's address.
async fn ask_letter(verifier: &Verifier, octets: &[u8]) -> Verdicts {
    ask(verifier, STRANGER, "mx.acme.test", "alice@acme.test", octets).await
}

/// Our own key pair for a domain.
fn own_pair(domain: &str, selector: &str) -> KeyPair {
    KeyPair::of_secret(domain, selector, &KeyPair::generate().expect("keys")).expect("a pair")
}

/// The zone of a pair's domain with its records, as `dccp-gateway dkim dns` prints them.
fn publish(zone: Zone, pair: &KeyPair) -> Zone {
    publish_in(zone, pair.domain(), pair)
}

/// The zone of `domain`, at or above that of the pair, with the pair's records.
fn publish_in(zone: Zone, domain: &str, pair: &KeyPair) -> Zone {
    let below = format!(".{domain}.");
    pair.published().expect("public keys").iter().fold(zone, |zone, record| {
        let strings: Vec<String> = record.strings().map(|string| format!("\"{string}\"")).collect();
        zone.record(record.name.strip_suffix(&below).expect("below the domain"), "TXT", &strings.join(" "))
    })
}

/// A server for these zones, which need no signatures.
fn names(zones: impl IntoIterator<Item = Zone>) -> Dns {
    Dns::start(&zones.into_iter().collect::<Vec<_>>())
}
