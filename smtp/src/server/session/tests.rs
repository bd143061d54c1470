mod auth;
mod chunking;
mod extensions;

use proptest::prelude::*;

use super::input::SKIPPED_OCTETS_MAX;
use super::*;
use crate::reply::Enhanced;
use crate::server::{Limits, Mechanisms, Role};

fn config() -> Config {
    let limits = Limits { errors_max: 5, commands_max: 30, recipients_max: 3, ..Limits::default() };
    Config {
        role: Role::Relay,
        hostname: "gw.acme.example".into(),
        size_max: 1_000,
        trusted_networks: vec!["192.0.2.0/24".parse().unwrap()],
        proxy_networks: Vec::new(),
        bare_line_ends_from: Vec::new(),
        tls: None,
        implicit_tls: false,
        auth: Mechanisms::new(),
        limits,
    }
}

fn session_with(config: Config) -> Session {
    session_in(Budget::new(Limits::MEMORY_BYTES_MAX), config)
}

fn session_in(budget: Budget, config: Config) -> Session {
    Session::new(Arc::new(config), budget, "[::ffff:192.0.2.1]:4711".parse().unwrap(), None)
}

/// What came out of a session whose house refuses senders and recipients that begin with `no`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Talk {
    output: String,
    questions: Vec<String>,
    messages: Vec<Vec<u8>>,
    closed: Option<Closed>,
}

impl Talk {
    fn codes(&self) -> Vec<&str> {
        let last_lines = self.output.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
        last_lines.map(|line| &line[..3]).collect()
    }
}

fn refusal(address: &str) -> Result<(), Reply> {
    if address.starts_with("no") { Err(Reply::new(550, Enhanced(5, 7, 1), "no")) } else { Ok(()) }
}

/// Feeds the pieces one after the other, as a driver does.
fn talk_in_pieces<'a>(session: &mut Session, pieces: impl IntoIterator<Item = &'a [u8]>) -> Talk {
    let mut talk = Talk::default();
    let mut input: Vec<u8> = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let progress = session.step(&input);
            input.drain(..progress.consumed);
            match progress.step {
                Step::Read | Step::StartTls => break,
                Step::Close => {
                    talk.closed = session.closed();
                    break;
                }
                Step::Mail(mail) => {
                    session.answer(refusal(mail.reverse_path.as_str()));
                    talk.questions.push(format!("mail {mail:?}"));
                }
                Step::Recipient(to) => {
                    session.answer(refusal(to.address.as_str()));
                    talk.questions.push(format!("recipient {}", to.address));
                }
                Step::Authenticate(credentials) => {
                    talk.questions.push(format!("{credentials:?}"));
                    session.authenticated(auth::verdict(credentials));
                }
                Step::Scram(user) => {
                    session.scram(auth::keys(&user), &[7; 18]);
                    talk.questions.push(format!("keys of {user:?}"));
                }
                Step::Message(body) => {
                    talk.messages.push(body.octets.to_vec());
                    session.settle(Reply::new(250, Enhanced(2, 0, 0), "kept"));
                }
            }
        }
    }
    talk.output = String::from_utf8(session.take_output()).unwrap();
    talk
}

fn talk(lines: &str) -> Talk {
    talk_in_pieces(&mut session_with(config()), [lines.as_bytes()])
}

#[test]
fn a_mail_goes_through() {
    let talk = talk(
        "EHLO mx.acme.example\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<b@globex.example>\r\nDATA\r\n\
         Subject: x\r\n\r\n..hi\r\n.\r\nQUIT\r\n",
    );
    assert_eq!(talk.codes(), ["220", "250", "250", "250", "354", "250", "221"]);
    assert_eq!(talk.messages, [b"Subject: x\r\n\r\n.hi\r\n"]);
    assert_eq!(talk.closed, Some(Closed::Quit));
}

#[test]
fn ehlo_offers_what_is_there() {
    let ehlo = talk("EHLO x\r\n").output;
    assert_eq!(
        ehlo,
        "220 gw.acme.example ESMTP ready\r\n250-gw.acme.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n\
         250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 CHUNKING\r\n"
    );
    assert_eq!(talk("HELO x\r\n").output, "220 gw.acme.example ESMTP ready\r\n250 gw.acme.example\r\n");
}

#[test]
fn the_client_is_known_by_address_trust_and_greeting() {
    let mut session = session_with(config());
    talk_in_pieces(&mut session, [&b"EHLO mx.acme.example\r\n"[..]]);
    let client = session.client();
    assert_eq!(client.address.ip().to_string(), "192.0.2.1");
    assert!(client.trusted && client.esmtp && client.tls.is_none());
    assert_eq!(client.hello, "mx.acme.example");
}

#[test]
fn commands_out_of_order_are_refused() {
    assert_eq!(
        talk("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n").codes(),
        ["220", "503", "503", "503"]
    );
    let nested = talk("EHLO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n");
    assert_eq!(nested.codes(), ["220", "250", "250", "503", "503"]);
    assert_eq!(nested.questions.len(), 1);
}

#[test]
fn data_after_only_refused_recipients_is_refused() {
    let talk =
        talk("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<no1@b.example>\r\nRCPT TO:<no2@b.example>\r\nDATA\r\n");
    assert_eq!(talk.codes(), ["220", "250", "250", "550", "550", "554"]);
}

#[test]
fn rset_and_ehlo_end_the_transaction() {
    for reset in ["RSET", "EHLO y", "HELO y"] {
        let input = format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n{reset}\r\nDATA\r\n");
        assert_eq!(talk(&input).codes(), ["220", "250", "250", "250", "250", "503"], "{reset}");
    }
}

#[test]
fn a_refused_sender_begins_no_transaction() {
    let talk =
        talk("EHLO x\r\nMAIL FROM:<no@b.example>\r\nRCPT TO:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\n");
    assert_eq!(talk.codes(), ["220", "250", "550", "503", "250"]);
}

#[test]
fn a_declared_size_beyond_the_limit_is_refused_with_both_numbers() {
    let talk = talk("EHLO x\r\nMAIL FROM:<> SIZE=1001\r\nMAIL FROM:<> SIZE=1000\r\n");
    assert_eq!(talk.codes(), ["220", "250", "552", "250"]);
    assert!(talk.output.contains("552 5.3.4 a message of 1001 octets exceeds the limit of 1000 octets"));
}

#[test]
fn a_declared_size_beyond_free_memory_is_put_off() {
    let mut session = session_in(Budget::new(500), config());
    let talk = talk_in_pieces(&mut session, [&b"EHLO x\r\nMAIL FROM:<> SIZE=501\r\n"[..]]);
    assert_eq!(talk.codes(), ["220", "250", "452"]);
}

#[test]
fn a_message_beyond_the_limit_is_refused_at_its_end_with_both_numbers() {
    let body = "x".repeat(998) + "\r\n" + "y\r\n";
    let talk = talk(&format!(
        "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n{body}.\r\nMAIL FROM:<>\r\n"
    ));
    assert_eq!(talk.codes(), ["220", "250", "250", "250", "354", "552", "250"]);
    assert!(
        talk.output.contains("552 5.3.4 the message has 1003 octets and exceeds the limit of 1000 octets")
    );
    assert!(talk.messages.is_empty());
}

#[test]
fn a_message_with_a_bare_line_end_is_refused_as_a_whole() {
    let talk = talk(
        "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nfine\r\nbare\n.\n\
         MAIL FROM:<evil@x.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nsmuggled\r\n.\r\nNOOP\r\n",
    );
    assert_eq!(talk.codes(), ["220", "250", "250", "250", "354", "554", "250"]);
    assert!(
        talk.output
            .contains("554 5.6.0 message refused: bare LF or bare CR in line 2, send every line with CRLF")
    );
    assert!(talk.messages.is_empty());
    assert_eq!(talk.questions.len(), 2);
}

#[test]
fn a_bare_line_end_never_splits_a_command() {
    let talk = talk("NOOP\nNOOP\r\nNOOP\rNOOP\r\nNOOP\r\n");
    assert_eq!(talk.codes(), ["220", "500", "500", "250"]);
    assert!(talk.output.contains("500 5.5.2 bare CR or LF"));
}

#[test]
fn an_overlong_line_gets_one_error_however_long_it_is() {
    let talk = talk(&format!("NOOP {}\r\nNOOP\r\n", "x".repeat(10_000)));
    assert_eq!(talk.codes(), ["220", "500", "250"]);
}

#[test]
fn an_endless_line_ends_the_session() {
    let talk = talk(&"x".repeat(SKIPPED_OCTETS_MAX + 1));
    assert_eq!((talk.codes(), talk.closed), (vec!["220", "421"], Some(Closed::Unwelcome)));
}

#[test]
fn too_many_errors_end_the_session() {
    let talk = talk(&"BOO\r\n".repeat(100));
    assert_eq!(talk.codes(), ["220", "500", "500", "500", "500", "500", "500", "421"]);
    assert_eq!(talk.closed, Some(Closed::Unwelcome));
}

#[test]
fn too_many_idle_commands_end_the_session_but_mail_buys_more() {
    let idle = talk(&"NOOP\r\n".repeat(100));
    assert_eq!((idle.codes().len(), idle.closed), (32, Some(Closed::Unwelcome)));
    let mail = "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n.\r\n";
    let busy = talk(&format!("EHLO x\r\n{}", mail.repeat(100)));
    assert_eq!((busy.messages.len(), busy.closed), (100, None));
}

#[test]
fn senders_that_are_always_refused_do_not_last_forever() {
    let talk = talk(&format!("EHLO x\r\n{}", "MAIL FROM:<no@b.example>\r\n".repeat(100)));
    assert_eq!(talk.closed, Some(Closed::Unwelcome));
}

#[test]
fn recipients_beyond_the_limit_are_put_off() {
    let talk = talk(&format!("EHLO x\r\nMAIL FROM:<>\r\n{}DATA\r\n", "RCPT TO:<a@b.example>\r\n".repeat(5)));
    assert_eq!(talk.codes(), ["220", "250", "250", "250", "250", "250", "452", "452", "354"]);
}

#[test]
fn a_browser_is_shown_the_door_at_once() {
    let talk = talk("POST / HTTP/1.1\r\nHost: gw\r\n\r\nEHLO x\r\nMAIL FROM:<>\r\n");
    assert_eq!((talk.codes(), talk.closed), (vec!["220", "421"], Some(Closed::Unwelcome)));
}

#[test]
fn parameters_after_helo_are_refused() {
    let talk = talk("HELO x\r\nMAIL FROM:<> SIZE=1\r\nMAIL FROM:<>\r\n");
    assert_eq!(talk.codes(), ["220", "250", "555", "250"]);
}

#[test]
fn a_non_ascii_recipient_needs_smtputf8_of_the_mail() {
    let plain = talk("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ü@b.example>\r\n");
    assert_eq!(plain.codes(), ["220", "250", "250", "553"]);
    let utf8 = talk("EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\nRCPT TO:<ü@b.example>\r\n");
    assert_eq!(utf8.codes(), ["220", "250", "250", "250"]);
}

#[test]
fn postmaster_is_ours() {
    let talk = talk("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\n");
    assert_eq!(talk.questions.last().unwrap(), "recipient postmaster@gw.acme.example");
}

#[test]
fn a_house_that_contradicts_itself_is_not_believed() {
    let mut session = session_with(config());
    let wire = b"EHLO x\r\nMAIL FROM:<>\r\n";
    let used = session.step(wire).consumed;
    assert_eq!(used, wire.len());
    session.answer(Err(Reply::plain(250, "refused?")));
    assert!(!session.in_transaction());
    assert!(
        String::from_utf8(session.take_output())
            .unwrap()
            .ends_with("451 4.3.0 internal error, try again later\r\n")
    );
}

#[test]
fn a_house_that_says_421_ends_the_session() {
    let mut session = session_with(config());
    let _ = session.step(b"EHLO x\r\nMAIL FROM:<>\r\n");
    session.answer(Err(Reply::new(421, Enhanced(4, 3, 2), "closing")));
    assert!(matches!(session.step(b"NOOP\r\n").step, Step::Close));
    assert!(String::from_utf8(session.take_output()).unwrap().ends_with("421 4.3.2 closing\r\n"));
}

#[test]
fn starttls_voids_what_was_pipelined_and_what_was_said() {
    let mut session = session_with(Config { tls: Some(tls()), ..config() });
    let wire = b"EHLO plain\r\nMAIL FROM:<>\r\nSTARTTLS\r\nRCPT TO:<evil@x.example>\r\nRSET\r\n";
    let first = session.step(wire);
    assert!(matches!(first.step, Step::Mail(_)));
    session.answer(Ok(()));
    let second = session.step(&wire[first.consumed..]);
    assert!(matches!(second.step, Step::StartTls));
    assert_eq!(first.consumed + second.consumed, wire.len(), "the injected command is gone");
    session.secured(facts(), None);
    assert!(!session.in_transaction());
    drop(session.take_output());
    let after = talk_in_pieces(&mut session, [&b"MAIL FROM:<>\r\nEHLO tls\r\nSTARTTLS\r\n"[..]]);
    assert_eq!(after.codes(), ["503", "250", "503"]);
    assert!(!after.output.contains("STARTTLS"));
}

#[test]
fn starttls_is_refused_where_it_is_not_offered() {
    assert_eq!(talk("EHLO x\r\nSTARTTLS\r\n").codes(), ["220", "250", "502"]);
}

#[test]
fn a_stopping_session_says_421_at_the_next_command_but_finishes_its_message() {
    let mut session = session_with(config());
    let begin = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nhalf";
    talk_in_pieces(&mut session, [&begin[..]]);
    session.stop();
    let rest = talk_in_pieces(&mut session, [&b" whole\r\n.\r\nMAIL FROM:<>\r\n"[..]]);
    assert_eq!(rest.codes(), ["250", "421"]);
    assert_eq!((rest.messages.len(), rest.closed), (1, Some(Closed::Stopped)));
}

#[test]
fn giving_up_inside_a_message_keeps_nothing_of_it() {
    let config = config();
    let budget = Budget::new(1_000);
    let mut session = Session::new(Arc::new(config), budget.clone(), "192.0.2.1:25".parse().unwrap(), None);
    talk_in_pieces(
        &mut session,
        [&b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nhalf\r\n"[..]],
    );
    assert!(budget.free() < 1_000);
    session.give_up(Closed::TooSlow);
    assert_eq!((budget.free(), session.in_transaction()), (1_000, false));
    let progress = session.step(b"rest\r\n.\r\n");
    assert!(matches!(progress.step, Step::Close));
}

fn facts() -> TlsFacts {
    TlsFacts { version: "TLSv1.3".into(), cipher: "X".into(), group: None }
}

fn tls() -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["gw.acme.example".into()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![cert.der().clone()], key.into()).unwrap())
}

/// The stream in pieces of these sizes, again and again.
fn cut<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let piece = |&size: &usize| {
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    };
    sizes.iter().cycle().map_while(piece).collect()
}

fn piece_of_a_stream() -> impl Strategy<Value = Vec<u8>> {
    let known = proptest::sample::select(vec![
        &b"EHLO x\r\n"[..],
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<a@b.example>\r\n",
        b"RCPT TO:<no@b.example>\r\n",
        b"DATA\r\n",
        b"BDAT 5\r\nabc\r\n",
        b"BDAT 3\r\nab\r",
        b"BDAT 7 LAST\r\n\nNOOP\r\n",
        b"BDAT 9 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT ?\r\n",
        b"line\r\n",
        b"..dot\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r.\r",
        b"\r",
        b"\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"QUIT\r\n",
        b"\0\r\n",
    ]);
    let long = (500..1_200usize).prop_map(|n| vec![b'x'; n]);
    prop_oneof![12 => known.prop_map(<[u8]>::to_vec), 1 => long, 1 => proptest::collection::vec(any::<u8>(), 0..9)]
}

proptest! {
    #[test]
    fn the_cutting_of_the_stream_makes_no_difference(
        pieces in proptest::collection::vec(piece_of_a_stream(), 0..40),
        cuts in proptest::collection::vec(1..200usize, 1..20),
    ) {
        let begin = b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<a@b.example>\r\n".to_vec();
        let stream = [begin, pieces.concat()].concat();
        let whole = talk_in_pieces(&mut session_with(config()), [stream.as_slice()]);
        let in_pieces = talk_in_pieces(&mut session_with(config()), cut(&stream, &cuts));
        prop_assert_eq!(whole, in_pieces);
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        talk_in_pieces(&mut session_with(config()), [octets.as_slice()]);
    }
}
