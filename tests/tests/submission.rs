//! People hand mail in with the programs they have: name and password, under TLS, and in their own name only.
//!
//! ```text
//! swaks | s-nail | neomutt | msmtp ─AUTH─► submission ═ overlay ═ globex ─► Dovecot
//! ```

use std::process::Command;

use tests::door::Door;
use tests::peers::clients::{self, Letter, Login, Sent};
use tests::site::PATIENCE;
use tests::submit::Talk;

type Client = fn(&Login<'_>, &Letter<'_>) -> Sent;

/// Each client with each mechanism it knows; in both kinds of TLS over all.
const CLIENTS: [(&str, Client, &str, bool); 9] = [
    ("swaks", clients::swaks_as, "PLAIN", false),
    ("swaks", clients::swaks_as, "LOGIN", true),
    ("s-nail", clients::s_nail_as, "PLAIN", true),
    ("s-nail", clients::s_nail_as, "LOGIN", false),
    ("neomutt", clients::neomutt_as, "SCRAM-SHA-256", false),
    ("neomutt", clients::neomutt_as, "PLAIN", true),
    ("msmtp", clients::msmtp_as, "SCRAM-SHA-256", true),
    ("msmtp", clients::msmtp_as, "LOGIN", false),
    ("msmtp", clients::msmtp_as, "PLAIN", true),
];

const LETTER: Letter<'_> = Letter {
    from: "alice@acme.test",
    to: "bob@globex.test",
    subject: "Plan für Montag",
    body: "Lieber Bob,\nschöne Grüße\n",
    attachment: None,
};

/// Who may come through the door.
const PEOPLE: [&str; 2] = ["alice", "carol"];

/// Sends a letter as a user of this name with this password.
fn send(
    door: &Door,
    (_, client, mechanism, implicit_tls): (&str, Client, &str, bool),
    user: (&str, &str),
    letter: &Letter<'_>,
) -> Sent {
    client(&door.login(mechanism, implicit_tls, user), letter)
}

const ALICE: (&str, &str) = ("alice", "pw-of-alice");

#[test]
fn every_client_logs_in_and_reaches_a_mailbox_at_a_partner() {
    let door = Door::open(&PEOPLE);
    for (count, client) in CLIENTS.into_iter().enumerate() {
        let sent = send(&door, client, ALICE, &LETTER);
        assert!(sent.accepted, "{} with {}:\n{}", client.0, client.2, sent.transcript);
        let mails = door.mailboxes.await_mail("bob", count + 1, PATIENCE);
        let newest = String::from_utf8_lossy(&mails[count]).into_owned();
        assert!(newest.contains("with ESMTPSA"), "{} with {}:\n{newest}", client.0, client.2);
    }
    door.sites.settled();
}

/// msmtp shows what it is given as password in the form that the mechanism asks for.
#[test]
fn a_program_with_a_token_needs_no_password_until_the_token_is_revoked() {
    let door = Door::open(&PEOPLE);
    let issued = door.sites.acme.command(&["user", "token", "add", "alice", "laptop", "--days", "1"]);
    let token = String::from_utf8_lossy(&issued.stdout).trim().to_owned();
    assert!(issued.status.success() && token.starts_with("dccp-user-"), "{issued:?}");
    let shows = |mechanism, implicit, token: &str| {
        send(&door, ("msmtp", clients::msmtp_as, mechanism, implicit), ("alice", token), &LETTER)
    };
    shows("OAUTHBEARER", false, &token).expect_accepted();
    shows("XOAUTH2", true, &token).expect_accepted();
    door.mailboxes.await_mail("bob", 2, PATIENCE);
    assert!(!shows("PLAIN", true, &token).accepted, "a token is no password");
    assert!(!shows("XOAUTH2", true, "dccp-user-made-up").accepted);
    let listed = door.sites.acme.command(&["user", "token", "list", "alice"]);
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with("laptop  until 20"), "{listed:?}");
    assert!(door.sites.acme.command(&["user", "token", "revoke", "alice", "laptop"]).status.success());
    assert!(!shows("OAUTHBEARER", false, &token).accepted);
    door.sites.settled();
}

#[test]
fn people_show_themselves_as_the_author_unless_the_house_allows_more() {
    let mut door = Door::open(&PEOPLE);
    let show = |door: &Door, author: &str| {
        let login = door.login("PLAIN", false, ALICE);
        clients::swaks_showing(&login, &LETTER, author)
    };
    show(&door, "The Boss <Alice@ACME.test>").expect_accepted();
    for author in
        ["Carol <carol@acme.test>", "alice@acme.test, carol@acme.test", "alice@globex.test", "Carol"]
    {
        let sent = show(&door, author);
        assert!(sent.transcript.contains("550 5.7.1") && !sent.accepted, "{author}:\n{}", sent.transcript);
        assert!(sent.transcript.contains("somebody else than the user"), "{}", sent.transcript);
    }
    door.sites.settled();
    assert!(door.sites.acme.terminate().success());
    door.sites.acme.write_below("  submission:", "    from: any");
    door.sites.acme.start();
    show(&door, "Carol <carol@acme.test>").expect_accepted();
    door.mailboxes.await_mail("bob", 2, PATIENCE);
    door.sites.settled();
}

#[test]
fn what_only_the_gateway_may_say_is_nothing_that_people_can_tell_each_other() {
    let door = Door::open(&PEOPLE);
    let login = door.login("PLAIN", false, ALICE);
    let to_carol = Letter { to: "carol@acme.test", ..LETTER };
    for field in [
        "X-DCCP-Status: sealed; suite=0x0001; partner=bank.test; verified",
        "Authentication-Results: gateway.acme.test; dmarc=pass header.from=bank.test",
    ] {
        clients::swaks_saying(&login, &to_carol, field).expect_accepted();
    }
    for mail in door.mailboxes.await_mail("carol", 2, PATIENCE) {
        let mail = String::from_utf8_lossy(&mail).into_owned();
        assert!(!mail.contains("bank.test"), "{mail}");
    }
    door.sites.settled();
}

#[test]
fn a_wrong_password_lets_nobody_in_however_it_is_shown() {
    let door = Door::open(&PEOPLE);
    for client in [CLIENTS[0], CLIENTS[4], CLIENTS[7]] {
        let sent = send(&door, client, ("alice", "pw-of-carol"), &LETTER);
        assert!(!sent.accepted, "{} with {}:\n{}", client.0, client.2, sent.transcript);
    }
    let sent = send(&door, CLIENTS[0], ("nobody", "pw-of-nobody"), &LETTER);
    assert!(sent.transcript.contains("535 5.7.8"), "{}", sent.transcript);
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let failed = |line: &str| line.contains("AUTH failed address=") && line.contains(mechanism);
        assert!(door.sites.acme.log().lines().any(failed), "{mechanism}: {}", door.sites.acme.log());
    }
}

#[test]
fn nobody_writes_in_anothers_name() {
    let door = Door::open(&PEOPLE);
    for from in ["carol@acme.test", "alice@globex.test", "alice@outside.test"] {
        let sent = send(&door, CLIENTS[0], ALICE, &Letter { from, ..LETTER });
        assert!(!sent.accepted && sent.transcript.contains("550 5.7.1"), "{from}:\n{}", sent.transcript);
    }
}

#[test]
fn a_user_who_was_removed_sends_nothing_more() {
    let door = Door::open(&PEOPLE);
    send(&door, CLIENTS[0], ALICE, &LETTER).expect_accepted();
    assert!(door.sites.acme.command(&["user", "remove", "alice"]).status.success());
    assert!(!send(&door, CLIENTS[0], ALICE, &LETTER).accepted);
    door.mailboxes.await_mail("bob", 1, PATIENCE);
    door.sites.settled();
}

#[test]
fn nobody_sends_before_saying_who_it_is_nor_says_it_in_the_clear() {
    let door = Door::open(&PEOPLE);
    let mut talk = Talk::to(tests::site::loopback(door.ports[0]));
    let hello = talk.say("EHLO client.test");
    assert!(!hello.contains("AUTH") && hello.contains("STARTTLS"), "{hello}");
    let reply = talk.say("AUTH PLAIN AGFsaWNlAHB3LW9mLWFsaWNl");
    assert!(reply.starts_with('5'), "{reply}");
    let reply = talk.say("MAIL FROM:<alice@acme.test>");
    assert!(reply.starts_with("530 5.7."), "{reply}");
}

#[test]
fn a_mail_gets_the_date_and_the_name_that_its_program_forgot_and_keeps_all_else() {
    const MAILER: &str = r#"
import smtplib, ssl, sys
with smtplib.SMTP_SSL("127.0.0.1", int(sys.argv[1]), context=ssl._create_unverified_context()) as smtp:
    smtp.login("alice", "pw-of-alice")
    smtp.sendmail("alice@acme.test", ["bob@globex.test"], b"From: alice@acme.test\r\nSubject: bare\r\n\r\nHello\r\n")
"#;
    let door = Door::open(&PEOPLE);
    let done = Command::new("python3").args(["-c", MAILER, &door.ports[1].to_string()]).output();
    let done = done.expect("python3: apt-get install python3");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mails = door.mailboxes.await_mail("bob", 1, PATIENCE);
    let mail = String::from_utf8_lossy(tests::submit::without_trace(&mails[0])).into_owned();
    let (date, rest) = mail.split_once("\r\n").expect("lines");
    let (name, rest) = rest.split_once("\r\n").expect("lines");
    assert!(date.starts_with("Date: ") && name.starts_with("Message-ID: <"), "{mail}");
    assert_eq!(rest, "From: alice@acme.test\r\nSubject: bare\r\n\r\nHello\r\n");
    door.sites.settled();
}

#[test]
fn a_mail_to_a_colleague_stays_at_home() {
    let door = Door::open(&PEOPLE);
    send(&door, CLIENTS[7], ALICE, &Letter { to: "carol@acme.test", ..LETTER }).expect_accepted();
    let mails = door.mailboxes.await_mail("carol", 1, PATIENCE);
    let mail = String::from_utf8_lossy(&mails[0]).into_owned();
    assert!(mail.contains("with ESMTPSA") && !mail.contains("with DCCP"), "{mail}");
    door.sites.settled();
}
