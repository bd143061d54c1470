//! `BDAT` (RFC 3030).

use super::*;
use crate::server::Event;

const READY: &str = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n";

/// The codes after those of the greeting and of [`READY`].
fn talk_after_ready(lines: &str) -> Talk {
    talk(&format!("{READY}{lines}"))
}

#[test]
fn a_mail_in_chunks_arrives_as_one() {
    let talk = talk_after_ready("BDAT 14\r\nSubject: x\r\n\r\nBDAT 0\r\nBDAT 7 last\r\n.\r\n..\r\nQUIT\r\n");
    assert_eq!(talk.codes(), ["220", "250", "250", "250", "250", "250", "250", "221"]);
    assert!(
        talk.output.contains("250 2.0.0 14 octets received\r\n250 2.0.0 0 octets received\r\n250 2.0.0 kept")
    );
    assert_eq!(talk.messages, [b"Subject: x\r\n\r\n.\r\n..\r\n"]);
}

#[test]
fn a_mail_may_end_with_an_empty_chunk_or_be_one() {
    let ended = talk_after_ready("BDAT 4\r\na\r\nbBDAT 0 LAST\r\nNOOP\r\n");
    assert_eq!(
        (ended.messages, ended.output.ends_with("250 2.0.0 ok\r\n")),
        (vec![b"a\r\nb\r\n".to_vec()], true)
    );
    assert_eq!(talk_after_ready("BDAT 0 LAST\r\n").messages, [b""]);
}

#[test]
fn commands_in_a_chunk_are_octets_even_when_the_chunk_is_refused() {
    let evil = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n.\r\n";
    let bdat = format!("BDAT {} LAST\r\n{evil}", evil.len());
    for (before, code) in [
        ("EHLO x\r\n", "503"),
        ("EHLO x\r\nMAIL FROM:<>\r\n", "503"),
        ("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<no@b.example>\r\n", "554"),
        ("EHLO x\r\nMAIL FROM:<no@b.example>\r\n", "503"),
        ("", "503"),
    ] {
        let talk = talk(&format!("{before}{bdat}NOOP\r\n"));
        assert_eq!(talk.codes()[talk.codes().len() - 2..], [code, "250"], "{before}");
        assert!(!talk.questions.iter().any(|question| question.contains("evil")), "{before}");
    }
}

#[test]
fn the_chunks_behind_a_failed_one_are_read_away() {
    let talk = talk_after_ready("BDAT 5\r\na\nb\r\nBDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(talk.codes()[4..], ["554", "503", "503", "250"]);
    assert!(talk.messages.is_empty() && talk.closed.is_none());
}

#[test]
fn chunks_beyond_the_limit_are_refused_when_their_octets_are_gone() {
    let talk = talk_after_ready(&format!("BDAT 1001\r\n{}BDAT 2 LAST\r\n\r\nNOOP\r\n", "x".repeat(1_001)));
    assert_eq!(talk.codes()[4..], ["552", "503", "250"]);
    assert!(
        talk.output.contains("552 5.3.4 the message has 1001 octets and exceeds the limit of 1000 octets")
    );
    let over_in_sum = talk_after_ready(&format!("BDAT 999\r\n{}BDAT 3 LAST\r\n\r\n\n", "x".repeat(999)));
    assert_eq!(over_in_sum.codes()[4..], ["250", "554"], "the gravest reason is said");
}

#[test]
fn chunks_beyond_free_memory_are_put_off() {
    let mut session = session_in(Budget::new(10), config());
    let lines = format!("{READY}BDAT 11\r\n0123456789aNOOP\r\n");
    let talk = talk_in_pieces(&mut session, [lines.as_bytes()]);
    assert_eq!(talk.codes()[4..], ["452", "250"]);
}

#[test]
fn a_message_that_began_in_chunks_goes_on_in_chunks() {
    let talk = talk_after_ready(
        "BDAT 2\r\na\nDATA\r\nRCPT TO:<c@d.example>\r\nMAIL FROM:<>\r\nNOOP\r\nBDAT 1 LAST\r\n\n",
    );
    assert_eq!(talk.codes()[4..8], ["554", "503", "503", "250"], "{}", talk.output);
    let talk = talk_after_ready(
        "BDAT 2\r\na\rDATA\r\nRCPT TO:<c@d.example>\r\nMAIL FROM:<>\r\nNOOP\r\nBDAT 1 LAST\r\n\n",
    );
    assert_eq!(talk.codes()[4..], ["250", "503", "503", "503", "250", "250"]);
    assert_eq!(talk.messages, [b"a\r\n"]);
}

#[test]
fn rset_forgets_the_chunks() {
    let talk = talk_after_ready(
        "BDAT 3\r\noldRSET\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 5 LAST\r\nnew\r\n",
    );
    assert_eq!(talk.messages, [b"new\r\n"]);
}

#[test]
fn without_a_size_nothing_behind_it_is_believed() {
    for unclear in
        ["BDAT", "BDAT x", "BDAT 5 FIRST", "bdat\0 5", "BDAT 5\nLAST", &format!("BDAT {}", "0".repeat(2_000))]
    {
        let talk = talk_after_ready(&format!("{unclear}\r\nMAIL FROM:<evil@x.example>\r\n"));
        assert_eq!(talk.closed, Some(Closed::Unwelcome), "{unclear:?}");
        assert_eq!(talk.codes().last(), Some(&"421"), "{unclear:?}");
        assert!(!talk.questions.iter().any(|question| question.contains("evil")));
    }
}

#[test]
fn a_large_mail_in_many_chunks_is_not_too_many_commands() {
    let talk = talk_after_ready(&format!("{}BDAT 0 LAST\r\n", "BDAT 4\r\nab\r\n".repeat(200)));
    assert_eq!((talk.messages.len(), talk.closed), (1, None));
    let empty = talk_after_ready(&"BDAT 0\r\n".repeat(200));
    assert_eq!(empty.closed, Some(Closed::Unwelcome), "chunks without octets are commands like others");
}

#[test]
fn between_two_chunks_the_message_is_still_on_its_way() {
    let mut session = session_with(config());
    talk_in_pieces(&mut session, [format!("{READY}BDAT 4\r\nab\r\n").as_bytes()]);
    assert_eq!(session.awaits(), Awaits::Content { octets: 4 });
    session.stop();
    let rest = talk_in_pieces(&mut session, [&b"BDAT 0 LAST\r\nNOOP\r\n"[..]]);
    assert_eq!((rest.codes(), rest.messages.len()), (vec!["250", "421"], 1));
}

#[test]
fn octets_that_are_read_away_count_as_progress() {
    let mut session = session_with(config());
    talk_in_pieces(&mut session, [&b"BDAT 18446744073709551615\r\nabcd"[..]]);
    assert_eq!(session.awaits(), Awaits::Content { octets: 4 });
}

#[test]
fn from_an_old_network_bare_line_ends_are_mended_and_counted() {
    let config = Config { bare_line_ends_from: vec!["192.0.2.1".parse().unwrap()], ..config() };
    for wire in ["BDAT 4 LAST\r\na\nb\r", "DATA\r\na\nb\r\r\n.\r\n"] {
        let mut session = session_with(config.clone());
        let talk = talk_in_pieces(&mut session, [format!("{READY}{wire}").as_bytes()]);
        assert!(talk.messages[0].starts_with(b"a\r\nb\r\n"), "{wire:?}");
        assert_eq!(session.take_events().collect::<Vec<_>>(), [Event::LineEndsMended { count: 2 }]);
    }
    let elsewhere = Config { bare_line_ends_from: vec!["192.0.2.2".parse().unwrap()], ..config };
    let talk =
        talk_in_pieces(&mut session_with(elsewhere), [format!("{READY}BDAT 2 LAST\r\na\n").as_bytes()]);
    assert_eq!(talk.codes()[4..], ["554"]);
}
