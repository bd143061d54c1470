//! Bad input gets one precise reply, nothing of it is kept, and the same session takes the honest mail that follows.

use smtp::server::{Closed, Event, Limits};
use tokio::io::AsyncWriteExt as _;

use crate::client::Client;
use crate::house::{Server, config, config_with};

/// Says each of these after a greeting and the `before`, hears the reply to it, and then hands an honest mail in.
async fn each_is_answered(before: &str, cases: &[(String, &str)]) {
    let server = Server::start(config_with(Limits { errors_max: 1_000, ..Limits::default() })).await;
    let mut client = Client::introduced(server.address).await;
    for (said, expected) in cases {
        for line in before.split_inclusive("\r\n") {
            client.ask(line, 250).await;
        }
        client.say(said).await;
        let reply = client.reply().await;
        assert_eq!(reply.trim_end(), *expected, "{:.80}", said.escape_debug().to_string());
        client.ask("RSET\r\n", 250).await;
    }
    client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\nDATA\r\nSubject: honest\r\n.\r\n").await;
    for code in [250, 250, 354, 250] {
        client.expect(code).await;
    }
    let kept = server.house.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].to.len(), kept[0].octets.as_ref()), (1, &b"Subject: honest\r\n"[..]));
}

fn lines<'a>(cases: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    cases.iter().map(|(said, expected)| (format!("{said}\r\n"), *expected)).collect()
}

const CONTROL: &str = "500 5.5.2 control character in a command";
const BARE: &str = "500 5.5.2 bare CR or LF in a command, lines end with CRLF";

#[tokio::test]
async fn no_address_and_no_parameter_brings_a_line_of_its_own() {
    let host = "501 5.5.4 give your host name or address literal: EHLO host.example";
    let cases = [
        ("MAIL FROM:<\"a\nBcc: eve\"@acme.example>", BARE),
        ("MAIL FROM:<\"a\rBcc: eve\"@acme.example>", BARE),
        ("MAIL FROM:<\"a\\\nBcc: eve\"@acme.example>", BARE),
        ("MAIL FROM:<\"a\0Bcc: eve\"@acme.example>", CONTROL),
        ("MAIL FROM:<\"a\tb\"@acme.example>", CONTROL),
        ("MAIL FROM:<\"a\u{b}Bcc: eve\"@acme.example>", CONTROL),
        (
            "MAIL FROM:<\"a\u{85}b\"@acme.example> SMTPUTF8",
            "501 5.1.7 the local part of the address is malformed",
        ),
        (
            "MAIL FROM:<a@acme.example\u{2028}Bcc> SMTPUTF8",
            "501 5.1.7 the domain of the address is malformed",
        ),
        ("MAIL FROM:<> ENVID=a+0D+0ABcc:+20eve", "501 5.5.4 bad value of parameter ENVID"),
        ("MAIL FROM:<> AUTH=a+0D+0Ab@acme.example", "501 5.5.4 bad value of parameter AUTH"),
        ("EHLO mx.example (by\teve)", CONTROL),
        ("EHLO mx.example;Bcc:eve", host),
        ("EHLO mx.example by eve", host),
    ];
    each_is_answered("", &lines(&cases)).await;
    let orcpt = "501 5.5.4 bad value of parameter ORCPT";
    let cases = [
        ("RCPT TO:<\"b\nBcc: eve\"@globex.example>", BARE),
        ("RCPT TO:<\"b\0\"@globex.example>", CONTROL),
        ("RCPT TO:<b@globex.example> ORCPT=rfc822;b+0D+0ABcc:+20eve", orcpt),
        ("RCPT TO:<b@globex.example> ORCPT=utf-8;b\\x{0A}Bcc", orcpt),
        ("RCPT TO:<b@globex.example> ORCPT=rfc822\u{a0};b", orcpt),
    ];
    each_is_answered("MAIL FROM:<>\r\n", &lines(&cases)).await;
}

#[tokio::test]
async fn a_malformed_address_is_refused_with_what_is_wrong() {
    let syntax = "501 5.5.4 syntax: TO:<local@domain>";
    let (local, domain) = (
        "501 5.1.3 the local part of the address is malformed",
        "501 5.1.3 the domain of the address is malformed",
    );
    let nobody = "501 5.1.3 the address has no domain";
    let cases = [
        ("RCPT TO:<>", nobody),
        ("RCPT TO:<bob>", nobody),
        ("RCPT TO:bob@globex.example", syntax),
        ("RCPT TO:<bob@globex.example", syntax),
        ("RCPT TO:<bob@globex.example>>", syntax),
        ("RCPT TO:<bob@globex.example><eve@globex.example>", syntax),
        ("RCPT TO:<bob@globex.example>,<eve@globex.example>", syntax),
        ("RCPT TO:<bob@globex.example,eve@globex.example>", domain),
        ("RCPT TO:<.bob@globex.example>", local),
        ("RCPT TO:<bob.@globex.example>", local),
        ("RCPT TO:<b..ob@globex.example>", local),
        ("RCPT TO:<b ob@globex.example>", local),
        ("RCPT TO:<bob@globex..example>", domain),
        ("RCPT TO:<bob@-globex.example>", domain),
        ("RCPT TO:<bob@glo_bex.example>", domain),
        ("RCPT TO:<bob@[300.0.0.1]>", domain),
        ("RCPT TO:<bob@[IPv6:::g]>", domain),
        ("RCPT TO:<bob@globex.example@outside.example>", domain),
        ("RCPT TO:<@hop:@hop:bob@globex.example>", local),
        ("RCPT TO:<jürgen@globex.example>", "553 5.6.7 a non-ASCII address needs the SMTPUTF8 parameter"),
    ];
    each_is_answered("MAIL FROM:<>\r\n", &lines(&cases)).await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_as_that() {
    let line = "500 5.5.2 line too long, at most 1392 octets";
    let too_long = "501 5.1.3 the local part of the address has more than 64 octets";
    let cases = [
        (format!("RCPT TO:<{}@globex.example>\r\n", "b".repeat(65)), too_long),
        (format!("RCPT TO:<{}@globex.example>\r\n", "b".repeat(1_370)), line),
        (format!("NOOP {}\r\n", "x".repeat(1_386)), line),
        (format!("RCPT TO:<bob@globex.example>{}\r\n", " NOTIFY=NEVER".repeat(200)), line),
        (
            format!("RCPT TO:<bob@globex.example> ORCPT=rfc822;{}\r\n", "x".repeat(494)),
            "501 5.5.4 bad value of parameter ORCPT",
        ),
    ];
    each_is_answered("MAIL FROM:<>\r\n", &cases).await;
    let cases =
        [(format!("MAIL FROM:<> ENVID={}\r\n", "x".repeat(101)), "501 5.5.4 bad value of parameter ENVID")];
    each_is_answered("", &cases).await;
}

#[tokio::test]
async fn a_chunk_that_is_too_large_for_the_message_is_read_to_its_end_and_refused() {
    let large = 2 * 1024 * 1024;
    let cases = [(
        format!("BDAT {large} LAST\r\n{}", "x".repeat(large)),
        "552 5.3.4 the message has 2097152 octets and exceeds the limit of 1048576 octets",
    )];
    each_is_answered("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\n", &cases).await;
}

/// Behind a count that cannot be believed nobody knows where commands begin.
#[tokio::test]
async fn a_chunk_without_a_count_ends_the_session_and_one_without_its_octets_is_no_mail() {
    let syntax = "501 5.5.4 syntax: BDAT octets [LAST]\r\n";
    for bad in ["", " LAST", " -1", " +5", " 0x10", " 1e3", " 5 FIRST", " 100000000000000000000"] {
        let server = Server::start(config()).await;
        let mut client = Client::introduced(server.address).await;
        client.say("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\n").await;
        for code in [250, 250] {
            client.expect(code).await;
        }
        client.say(format!("BDAT{bad}\r\nMAIL FROM:<eve@acme.example>\r\nBDAT 0 LAST\r\n")).await;
        assert_eq!(client.reply().await, syntax, "{bad:?}");
        assert!(client.rest().await.starts_with("421 4.5.0 "), "{bad:?}");
        assert!(server.house.kept().is_empty(), "{bad:?}");
    }
    for promised in ["BDAT 100 LAST", "BDAT 99999999999999999999 LAST"] {
        let mut server = Server::start(config()).await;
        let mut client = Client::introduced(server.address).await;
        client.say(format!("MAIL FROM:<>\r\nRCPT TO:<bob@globex.example>\r\n{promised}\r\nhalf\r\n")).await;
        for code in [250, 250] {
            client.expect(code).await;
        }
        drop(client);
        server.event(|event| matches!(event, Event::SessionClosed(Closed::Lost))).await;
        assert!(server.house.kept().is_empty(), "{promised}");
    }
}

#[tokio::test]
async fn who_does_not_read_the_replies_is_left_in_time_and_others_are_served() {
    let limits = Limits { idle_s_max: 1, commands_max: u32::MAX, ..Limits::default() };
    let mut server = Server::start(config_with(limits)).await;
    let mut deaf = Client::introduced(server.address).await;
    let flood = "HELP\r\n".repeat(10_000);
    while deaf.stream.write_all(flood.as_bytes()).await.is_ok() {}
    server.event(|event| matches!(event, Event::SessionClosed(Closed::Lost))).await;
    Client::introduced(server.address).await.ask("QUIT\r\n", 221).await;
}
