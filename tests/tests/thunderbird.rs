//! Thunderbird, as people have it in front of them: a letter from its compose window reaches a mailbox at a partner as it was
//! written.
//!
//! ```text
//! Thunderbird ─STARTTLS or TLS, AUTH─► submission of acme ═ overlay ═ globex ─► Dovecot
//!      └─► its folder of sent mail ············ the same octets ···················┘
//! ```

use tests::peers::clients::{Letter, Login};
use tests::peers::{Dovecot, Thunderbird};
use tests::site::{PATIENCE, TwoSites};
use tests::submit::without_trace;

const LETTER: Letter<'_> = Letter {
    from: "alice@acme.test",
    to: "bob@globex.test",
    subject: "Plan für Montag — 你好",
    body: "Lieber Bob,\nschöne Grüße\n. und ein Punkt\n",
    attachment: None,
};

/// Acme with a door for alice, globex with bob's mailbox.
struct House {
    sites: TwoSites,
    ports: [u16; 2],
    mailboxes: Dovecot,
}

impl House {
    fn open() -> Self {
        let mailboxes = Dovecot::start();
        let lmtp = format!("lmtp:127.0.0.1:{}", mailboxes.lmtp_port());
        let mut sites = TwoSites::found(&lmtp, &lmtp);
        let ports = sites.acme.open_submission(&["alice"]);
        sites.start();
        Self { sites, ports, mailboxes }
    }

    /// Alice's Thunderbird, with this password.
    fn thunderbird(&self, implicit_tls: bool, password: &str) -> Thunderbird {
        let certificate = self.sites.acme.certificate();
        let login = Login {
            port: self.ports[usize::from(implicit_tls)],
            implicit_tls,
            certificate: &certificate,
            mechanism: "PLAIN",
            user: "alice",
            password,
        };
        Thunderbird::start(&login, LETTER.from)
    }
}

#[test]
fn a_letter_from_the_compose_window_arrives_as_thunderbird_wrote_it() {
    let house = House::open();
    let octets: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut count = 0;
    for implicit_tls in [false, true] {
        let mut thunderbird = house.thunderbird(implicit_tls, "pw-of-alice");
        for attachment in [None, Some(("plan.bin", octets.as_slice()))] {
            thunderbird.send(&Letter { attachment, ..LETTER }).expect_accepted();
            count += 1;
            let arrived = house.mailboxes.await_mail("bob", count, PATIENCE).remove(count - 1);
            assert!(String::from_utf8_lossy(&arrived).contains("with ESMTPSA"), "under TLS and logged in");
            let arrived = String::from_utf8(without_trace(&arrived).to_vec()).expect("ASCII");
            let own_copy = thunderbird.sent().pop().expect("a copy");
            assert_eq!(arrived.replace("\r\n", "\n").trim_end(), own_copy.trim_end());
            assert!(arrived.contains("User-Agent: Mozilla Thunderbird"), "{arrived}");
        }
    }
    house.sites.settled();
}

#[test]
fn a_wrong_password_is_told_to_the_person_and_nothing_is_sent() {
    let house = House::open();
    let sent = house.thunderbird(false, "pw-of-carol").send(&LETTER);
    assert!(!sent.accepted && sent.transcript.contains("asks:"), "{}", sent.transcript);
    assert!(house.sites.acme.log().contains("AUTH failed"), "{}", house.sites.acme.log());
    assert!(house.mailboxes.mailbox("bob").is_empty());
}
