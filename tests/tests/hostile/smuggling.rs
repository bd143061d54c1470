//! SMTP smuggling: line ends that one server takes for the end of a message and the next does not.

use tests::submit::Talk;

use crate::Scene;

/// A second mail, as it would be smuggled in the first.
const SECOND: &[u8] = b"MAIL FROM:<alice@acme.test>\r\nRCPT TO:<bob@globex.test>\r\nDATA\r\n\
    Message-ID: <smuggled@acme.test>\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n";

/// What some servers take for the end of a message and others do not.
const FALSE_ENDS: [&[u8]; 10] = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n\r.\r\n",
    b"\r\r\n.\r\r\n",
];

#[test]
fn a_false_end_of_data_costs_the_mail_and_splits_nothing() {
    let scene = Scene::start();
    for end in FALSE_ENDS {
        let mut talk = Talk::to(scene.acme().smtp);
        for command in ["MAIL FROM:<alice@acme.test>", "RCPT TO:<bob@globex.test>"] {
            assert!(talk.say(command).starts_with("250"));
        }
        assert!(talk.say("DATA").starts_with("354"));
        let first =
            b"From: alice@acme.test\r\nMessage-ID: <carrier@acme.test>\r\nSubject: carrier\r\n\r\nHello";
        talk.send(&[first, end, SECOND].concat());
        let reply = talk.reply();
        let name = end.escape_ascii();
        assert!(reply.starts_with("554 5.6.0 ") && reply.contains("bare"), "{name}: {reply}");
        // One answer for everything: the next one belongs to the next command.
        let next = talk.say("VRFY bob");
        assert!(next.starts_with("252"), "{name}: after the refusal came {next}");
    }
    assert!(
        scene.acme().trace("smuggled@acme.test").is_none()
            && scene.acme().trace("carrier@acme.test").is_none()
    );
    let delivered = scene.ends_well(0);
    assert!(!delivered.iter().any(|mail| mail.contains("smuggled")), "{delivered:#?}");
}

#[test]
fn bare_line_ends_in_commands_are_no_line_ends() {
    let scene = Scene::start();
    let mut talk = Talk::to(scene.acme().smtp);
    for command in [
        "NOOP\nMAIL FROM:<alice@acme.test>",
        "NOOP\rMAIL FROM:<alice@acme.test>",
        "MAIL FROM:<alice@acme.test>\nX",
    ] {
        let reply = talk.say(command);
        assert!(reply.starts_with("500 5.5.2 "), "{}: {reply}", command.escape_debug());
    }
    assert!(talk.say("RCPT TO:<bob@globex.test>").starts_with("503"), "no transaction was begun");
    scene.ends_well(0);
}

#[test]
fn a_stuffed_dot_is_text() {
    let scene = Scene::start();
    let text = "before\r\n.\r\nMAIL FROM:<alice@acme.test>\r\n.\r\nafter\r\n";
    let octets = format!("From: alice@acme.test\r\nMessage-ID: <dots@acme.test>\r\n\r\n{text}");
    let mut talk = Talk::to(scene.acme().smtp);
    let reply = talk.mail("alice@acme.test", &["bob@globex.test"], octets.as_bytes());
    assert!(reply.starts_with("250 "), "{reply}");
    scene.acme().await_state("dots@acme.test", "delivered");
    let delivered = scene.ends_well(1);
    let found = delivered.iter().find(|mail| mail.contains("dots@acme.test")).expect("the mail");
    assert!(found.contains(&text.replace("\r\n", "\n")), "whole and in one piece:\n{found}");
}
