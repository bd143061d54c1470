//! Thunderbird, as people have it in front of them: a letter from its compose window reaches a mailbox at a partner as it was
//! written.
//!
//! ```text
//! Thunderbird ─STARTTLS or TLS, AUTH─► submission of acme ═ overlay ═ globex ─► Dovecot
//!      └─► its folder of sent mail ············ the same octets ···················┘
//! ```

use tests::door::Door;
use tests::peers::Thunderbird;
use tests::peers::clients::Letter;
use tests::site::PATIENCE;
use tests::submit::without_trace;

const LETTER: Letter<'_> = Letter {
    from: "alice@acme.test",
    to: "bob@globex.test",
    subject: "Plan für Montag — 你好",
    body: "Lieber Bob,\nschöne Grüße\n. und ein Punkt\n",
    attachment: None,
};

/// Alice's Thunderbird, with this password.
fn thunderbird(door: &Door, implicit_tls: bool, password: &str) -> Thunderbird {
    Thunderbird::start(&door.login("PLAIN", implicit_tls, ("alice", password)), LETTER.from)
}

#[test]
fn a_letter_from_the_compose_window_arrives_as_thunderbird_wrote_it() {
    let door = Door::open(&["alice"]);
    let octets: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut count = 0;
    for implicit_tls in [false, true] {
        let mut thunderbird = thunderbird(&door, implicit_tls, "pw-of-alice");
        for attachment in [None, Some(("plan.bin", octets.as_slice()))] {
            thunderbird.send(&Letter { attachment, ..LETTER }).expect_accepted();
            count += 1;
            let arrived = door.mailboxes.await_mail("bob", count, PATIENCE).remove(count - 1);
            assert!(String::from_utf8_lossy(&arrived).contains("with ESMTPSA"), "under TLS and logged in");
            let arrived = String::from_utf8(without_trace(&arrived).to_vec()).expect("ASCII");
            let own_copy = thunderbird.sent().pop().expect("a copy");
            assert_eq!(arrived.replace("\r\n", "\n").trim_end(), own_copy.trim_end());
            assert!(arrived.contains("User-Agent: Mozilla Thunderbird"), "{arrived}");
        }
    }
    door.sites.settled();
}

#[test]
fn a_wrong_password_is_told_to_the_person_and_nothing_is_sent() {
    let door = Door::open(&["alice"]);
    let sent = thunderbird(&door, false, "pw-of-carol").send(&LETTER);
    assert!(!sent.accepted && sent.transcript.contains("asks:"), "{}", sent.transcript);
    assert!(door.sites.acme.log().contains("AUTH failed"), "{}", door.sites.acme.log());
    assert!(door.mailboxes.mailbox("bob").is_empty());
}
