//! DNS that does not answer: never a pass, never a fail.

use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use smtp::authenticity::{Outcome, Policy, Signer, Visibility};
use tests::peers::Zone;

use crate::{LETTER, ask_letter, names, own_pair, publish, verifier, verifier_within};

/// What 300 ms may become on a busy machine; without a deadline it would be half a minute.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn where_nobody_answers_nothing_is_decided_and_soon() {
    // A server that takes questions and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let verifier = verifier_within(silent.local_addr().unwrap(), Duration::from_millis(300));
    let pair = own_pair("acme.test", "s1");
    let records = pair.published().unwrap();
    let signature = Signer::new(vec![pair]).sign("acme.test", LETTER.as_bytes(), SystemTime::now());
    let signed = signature.unwrap().unwrap() + LETTER;
    let begun = Instant::now();
    let verdicts = ask_letter(&verifier, signed.as_bytes()).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert!(verdicts.temporary);
    let outcomes = [verdicts.helo.outcome, verdicts.mail_from.outcome, verdicts.dmarc.outcome];
    assert_eq!(outcomes, [Outcome::TempError; 3]);
    assert_eq!(verdicts.dkim.iter().map(|it| it.outcome).collect::<Vec<_>>(), [Outcome::TempError; 2]);
    let text = verdicts.authentication_results("gw.globex.test");
    assert!(!text.contains("=pass") && !text.contains("=fail"), "{text}");
    assert_eq!(verifier.visibility(&records[0]).await, Visibility::Unknown);
}

#[tokio::test]
async fn a_key_that_cannot_be_fetched_matters_only_where_dmarc_would_decide() {
    // The key stands behind a delegation to nowhere: the root answers, the domain itself does not.
    let pair = own_pair("keys.test", "s1");
    let signer = Signer::new(vec![pair]);
    for (policy, expected) in [("p=reject", true), ("p=none", false)] {
        let acme = Zone::unsigned("acme.test").record("_dmarc", "TXT", &format!("\"v=DMARC1; {policy}\""));
        let dns = names([acme.record("@", "TXT", "\"v=spf1 include:unreachable.test -all\"")]);
        let relay = Refusing::start(dns.address(), "unreachable");
        let verifier = verifier(relay.address());
        let signature = signer.sign("keys.test", LETTER.as_bytes(), SystemTime::now()).unwrap().unwrap();
        let verdicts = ask_letter(&verifier, format!("{signature}{LETTER}").as_bytes()).await;
        assert_eq!(verdicts.mail_from.outcome, Outcome::TempError, "{policy}");
        assert_eq!(verdicts.dmarc.outcome, Outcome::TempError, "{policy}");
        assert_eq!(verdicts.temporary, expected, "{policy}");
    }
}

#[tokio::test]
async fn a_failing_look_up_cannot_undo_a_proof() {
    let pair = own_pair("acme.test", "s1");
    let zone = Zone::unsigned("acme.test").record("_dmarc", "TXT", "\"v=DMARC1; p=reject\"");
    let zone = zone.record("@", "TXT", "\"v=spf1 include:unreachable.test -all\"");
    let dns = names([publish(zone, &pair)]);
    let relay = Refusing::start(dns.address(), "unreachable");
    let verifier = verifier(relay.address());
    let signature = Signer::new(vec![pair]).sign("acme.test", LETTER.as_bytes(), SystemTime::now());
    let verdicts = ask_letter(&verifier, (signature.unwrap().unwrap() + LETTER).as_bytes()).await;
    assert_eq!(verdicts.mail_from.outcome, Outcome::TempError);
    assert_eq!((verdicts.dmarc.outcome, verdicts.dmarc.policy), (Outcome::Pass, Policy::Reject));
    assert!(!verdicts.temporary);
}

/// Passes questions on to a server, and answers SERVFAIL itself where a name has a certain label.
struct Refusing {
    address: std::net::SocketAddr,
}

impl Refusing {
    fn start(server: std::net::SocketAddr, label: &'static str) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = front.local_addr().unwrap();
        // Ends with the process of the test.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = front.recv_from(&mut buffer) {
                let question = &mut buffer[..length];
                if question.windows(label.len()).any(|window| window == label.as_bytes()) {
                    question[2] |= 0x80; // a response
                    question[3] = 0x82; // RA, SERVFAIL
                    let _ = front.send_to(question, from);
                    continue;
                }
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                back.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                back.send_to(question, server).unwrap();
                if let Ok(length) = back.recv(&mut buffer) {
                    let _ = front.send_to(&buffer[..length], from);
                }
            }
        });
        Self { address }
    }

    fn address(&self) -> std::net::SocketAddr {
        self.address
    }
}
