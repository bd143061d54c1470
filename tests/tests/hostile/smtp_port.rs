//! The door for mail: oversize, garbage, floods, and mail that has no business here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use tests::site::eventually;
use tests::submit::{Talk, letter, submit};

use crate::Scene;

const ALICE: &str = "alice@acme.test";
const BOB: &str = "bob@globex.test";

/// A mail with these header lines after the usual ones, and this body.
fn mail(header: &str, body: &[u8]) -> Vec<u8> {
    let mut octets = format!("From: {ALICE}\r\nMessage-ID: <bad@acme.test>\r\n{header}\r\n").into_bytes();
    octets.extend_from_slice(body);
    octets
}

#[test]
fn a_mail_that_is_too_large_is_refused_with_both_numbers() {
    let mut scene = Scene::found();
    scene.acme().set("size_bytes_max", "65536");
    scene.sites.start();
    let mut talk = Talk::to(scene.acme().smtp);
    let announced = talk.say(&format!("MAIL FROM:<{ALICE}> SIZE=65537"));
    assert!(announced.starts_with("552 5.3.4 "), "{announced}");
    assert!(announced.contains("65537") && announced.contains("65536"), "{announced}");

    let large = mail("", &[b'x'; 78].iter().chain(b"\r\n").copied().collect::<Vec<_>>().repeat(1_000));
    let sent = talk.mail(ALICE, &[BOB], &large);
    assert!(sent.starts_with("552 5.3.4 "), "{sent}");
    assert!(sent.contains(&large.len().to_string()) && sent.contains("65536"), "{sent}");
    assert!(talk.say("NOOP").starts_with("250"), "the session goes on");

    let commands = ["MAIL FROM:<alice@acme.test> SIZE=10", "RCPT TO:<bob@globex.test>", "DATA"];
    commands.iter().for_each(|command| assert!(talk.say(command).starts_with(['2', '3']), "{command}"));
    talk.send(&large);
    talk.send(b".\r\n");
    let lied = talk.reply();
    assert!(lied.starts_with("552 5.3.4 "), "{lied}");
    scene.ends_well(0);
}

#[test]
fn malformed_mime_is_refused_in_words() {
    let scene = Scene::start();
    let nested = |n| format!("--b{n}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", n + 1);
    let bomb: String = (0..200).map(nested).collect();
    let parts = "--b\r\n\r\nx\r\n".repeat(5_000);
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("no boundary", mail("Content-Type: multipart/mixed\r\n", b"--x\r\n\r\n--x--\r\n"), "no boundary"),
        (
            "a boundary that never comes",
            mail("Content-Type: multipart/mixed; boundary=b\r\n", b"text\r\n"),
            "never appears",
        ),
        ("a depth bomb", mail("Content-Type: multipart/mixed; boundary=b0\r\n", bomb.as_bytes()), "deep"),
        (
            "too many parts",
            mail("Content-Type: multipart/mixed; boundary=b\r\n", parts.as_bytes()),
            "MIME parts",
        ),
        ("a NUL", mail("", b"zero \0 zero\r\n"), "NUL"),
        ("no header", b"\r\nonly a body\r\n".to_vec(), "header"),
    ];
    let mut talk = Talk::to(scene.acme().smtp);
    for (name, octets, words) in cases {
        let reply = talk.mail(ALICE, &[BOB], &octets);
        assert!(reply.starts_with("554 5.6.0 ") && reply.contains(words), "{name}: {reply}");
    }
    assert!(scene.acme().metric("dccp_refused_total{reason=\"malformed\"}") >= 6.0);
    scene.ends_well(0);
}

#[test]
fn mail_that_has_no_business_here_is_refused_by_the_name_of_the_rule() {
    let scene = Scene::start();
    let cases = [
        (ALICE, "someone@stranger.test", "no-gateway-known"),
        ("mallory@mallory.test", BOB, "sender-not-ours"),
        (BOB, BOB, "sender-not-ours"),
    ];
    for (from, to, rule) in cases {
        let reply = submit(scene.acme().smtp, from, &[to], &letter("nobody@acme.test", "Hello"));
        assert!(reply.starts_with("550 5."), "{reply}");
        assert!(reply.contains(&format!("(rule {rule})")), "{from} to {to}: {reply}");
        assert!(
            scene.acme().metric(&format!("dccp_refused_total{{reason=\"{rule}\"}}")) >= 1.0,
            "{rule} is counted"
        );
    }
    scene.ends_well(0);
}

#[test]
fn binary_garbage_is_answered_or_hung_up_on() {
    let scene = Scene::start();
    for length in [1, 100, 10_000, 200_000] {
        let garbage: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        let mut stream = TcpStream::connect(scene.acme().smtp).expect("the SMTP port");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        // The gateway may hang up before it has read everything.
        _ = stream.write_all(&garbage).and_then(|()| stream.write_all(b"\r\nQUIT\r\n"));
        let mut answers = Vec::new();
        _ = stream.read_to_end(&mut answers);
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert!(answers.starts_with("220 "), "{answers}");
        assert!(answers.lines().all(|line| line.len() > 3 && line[..3].parse::<u16>().is_ok()), "{answers}");
        assert!(
            !answers.contains("\r\n250") && !answers.contains("\r\n354"),
            "garbage is no command: {answers}"
        );
    }
    scene.ends_well(0);
}

#[test]
fn an_endless_command_line_is_refused_and_a_long_one_is_a_mistake() {
    let scene = Scene::start();
    let mut mistaken = Talk::to(scene.acme().smtp);
    let reply = mistaken.say(&format!("MAIL FROM:<{}@acme.test>", "a".repeat(10_000)));
    assert!(reply.starts_with("500 5.5.2 ") && reply.contains("line too long"), "{reply}");
    assert!(mistaken.say("NOOP").starts_with("250"), "one long line is a mistake");

    let mut flooding = Talk::to(scene.acme().smtp);
    _ = flooding.try_send(&[b'a'; 100_000]);
    let reply = flooding.reply();
    assert!(reply.starts_with("500 ") || reply.starts_with("421 "), "{reply:?}");
    assert_eq!(flooding.reply(), "", "an endless line ends the session");
    scene.ends_well(0);
}

#[test]
fn a_line_of_a_hundred_thousand_octets_in_a_mail_arrives_as_it_is() {
    let scene = Scene::start();
    let long = mail("Subject: long\r\n", format!("{}\r\n", "y".repeat(100_000)).as_bytes());
    let reply = submit(scene.acme().smtp, ALICE, &[BOB], &long);
    assert!(reply.starts_with("250 "), "{reply}");
    scene.acme().await_state("bad@acme.test", "delivered");
    let delivered = scene.ends_well(1);
    assert!(delivered.iter().any(|mail| mail.contains(&"y".repeat(100_000))), "the line is whole");
}

#[test]
fn a_flood_of_commands_ends_the_session_and_no_other() {
    let mut scene = Scene::found();
    scene.acme().set("commands_max", "100");
    scene.acme().set("errors_max", "5");
    scene.sites.start();
    let mut neighbour = Talk::to(scene.acme().smtp);

    let mut flooding = Talk::to(scene.acme().smtp);
    _ = flooding.try_send(&b"NOOP\r\n".repeat(10_000));
    let replies: Vec<String> =
        std::iter::from_fn(|| Some(flooding.reply()).filter(|reply| !reply.is_empty())).collect();
    let (last, before) = replies.split_last().expect("replies");
    assert!(last.starts_with("421 "), "{last}");
    assert!(before.len() <= 100 && before.iter().all(|reply| reply.starts_with("250")), "{}", before.len());

    let mut mistaken = Talk::to(scene.acme().smtp);
    let replies: Vec<String> = (0..10).map_while(|_| mistaken.try_say("XYZZY")).collect();
    assert!(replies.len() <= 7, "{replies:?}");
    assert!(replies.last().is_some_and(|last| last.starts_with("421 ")), "{replies:?}");

    assert!(neighbour.say("NOOP").starts_with("250"));
    scene.ends_well(0);
}

#[test]
fn one_source_cannot_take_all_sessions() {
    let mut scene = Scene::found();
    scene.acme().set("sessions_per_source_max", "5");
    scene.sites.start();
    let mut crowd: Vec<Talk> = (0..5).map(|_| Talk::to(scene.acme().smtp)).collect();
    let mut stream = TcpStream::connect(scene.acme().smtp).expect("the SMTP port");
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).expect("a greeting and the end");
    assert!(greeting.starts_with("421 "), "{greeting}");
    crowd.iter_mut().for_each(|talk| assert!(talk.say("QUIT").starts_with("221")));
    crowd.clear();
    eventually("the places are free again", || {
        (scene.acme().metric("dccp_smtp_sessions") == 0.0).then_some(())
    });
    scene.ends_well(0);
}

#[test]
fn starttls_works_and_plain_text_injected_before_it_is_not_obeyed() {
    let scene = Scene::start();
    let port = scene.acme().smtp.port();
    let done = Command::new("swaks")
        .args(["--server", &format!("127.0.0.1:{port}"), "--tls", "--helo", "client.test", "--timeout", "60"])
        .args(["--from", ALICE, "--to", BOB, "--h-Subject", "over TLS", "--h-Message-Id", "<tls@acme.test>"])
        .output()
        .expect("swaks: apt-get install swaks");
    let transcript = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{transcript}");
    assert!(transcript.contains("TLS started"), "{transcript}");
    scene.acme().await_state("tls@acme.test", "delivered");

    // RFC 3207 §4.2: what came with STARTTLS in one packet is forgotten.
    let mut talk = Talk::to(scene.acme().smtp);
    talk.send(b"STARTTLS\r\nNOOP\r\n");
    assert!(talk.reply().starts_with("220 "));
    talk.send(b"this is no handshake\r\n\r\n");
    assert!(!talk.reply().starts_with("250"), "the injected NOOP is not answered");
    let delivered = scene.ends_well(1);
    let over_tls = delivered.iter().find(|mail| mail.contains("over TLS")).expect("swaks's mail");
    assert!(over_tls.contains("with ESMTPS"), "the trace header says so:\n{over_tls}");
}
