//! The mail edge: sessions, replies, addresses, messages and reports.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use smtp::address::Address;
use smtp::client::replies_in;
use smtp::dsn::{Action, Diagnostic, OriginalRecipient, RecipientReport, Report, compose};
use smtp::message::{Limits, crlf_strict, read};
use smtp::reply::{Enhanced, Reply};
use smtp::server::session::{Session, Step};
use smtp::server::{
    AuthRefusal, Budget, Config, Credentials, Mechanism, Mechanisms, Network, Role, ScramKeys, TlsFacts,
};

/// A message size that a fuzzer can exceed.
const SIZE_MAX: u64 = 4096;

/// A session says the same whether its octets come at once or one by one, and answers in whole lines.
pub(crate) fn session(octets: &[u8]) -> bool {
    cut_makes_no_difference(relay, octets)
}

/// So does one of a person, under TLS, that may authenticate in every way, and whose bare line ends are mended.
pub(crate) fn submission(octets: &[u8]) -> bool {
    cut_makes_no_difference(submitting, octets)
}

fn cut_makes_no_difference(session: fn() -> Session, octets: &[u8]) -> bool {
    let at_once = talk(session(), [octets]);
    // The session speaks first, so it is asked before the first octet comes.
    let in_drops = talk(session(), [[].as_slice()].into_iter().chain(octets.chunks(1)));
    assert_eq!(at_once, in_drops, "what is said depends on how the octets were cut");
    assert!(at_once.is_empty() || at_once.ends_with(b"\r\n"), "half a line was said");
    assert_eq!(crlf_strict(&at_once), Ok(()), "a bare line end was said");
    true
}

fn relay() -> Session {
    begun(Role::Relay, Vec::new(), Mechanisms::new())
}

fn submitting() -> Session {
    let lenient = vec!["192.0.2.1".parse().expect("a network")];
    let mut session = begun(Role::Submission, lenient, Mechanism::ALL.into());
    session.secured(TlsFacts { version: "TLSv1.3".into(), cipher: "X".into(), group: None }, None);
    session
}

fn begun(role: Role, bare_line_ends_from: Vec<Network>, auth: Mechanisms) -> Session {
    let config = Config {
        role,
        hostname: "gw.acme.example".into(),
        size_max: SIZE_MAX,
        trusted_networks: Vec::new(),
        proxy_networks: Vec::new(),
        bare_line_ends_from,
        tls: None,
        implicit_tls: false,
        auth,
        limits: smtp::server::Limits {
            errors_max: 5,
            commands_max: 30,
            recipients_max: 3,
            ..Default::default()
        },
    };
    let budget = Budget::new(smtp::server::Limits::MEMORY_BYTES_MAX);
    let from = std::net::SocketAddr::from(([192, 0, 2, 1], 4711));
    Session::new(Arc::new(config), budget, from, None)
}

/// What a session says whose house takes everything it is asked for, and believes whoever says `pencil`.
fn talk<'a>(mut session: Session, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut input = Vec::new();
    let mut said = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let progress = session.step(&input);
            assert!(progress.consumed <= input.len(), "more was consumed than was there");
            input.drain(..progress.consumed);
            said.extend(session.take_output());
            match progress.step {
                Step::Read => break,
                Step::Mail(_) | Step::Recipient(_) => session.answer(Ok(())),
                Step::Message(body) => {
                    assert!(body.octets.len() as u64 <= SIZE_MAX, "a message above the limit came through");
                    assert_eq!(crlf_strict(&body.octets), Ok(()), "a bare line end came through");
                    session.settle(Reply::new(250, Enhanced(2, 0, 0), "kept"));
                }
                Step::Authenticate(credentials) => session.authenticated(believed(&credentials)),
                Step::Scram(user) => session.scram(Ok(keys(user)), &[7; 18]),
                Step::StartTls => unreachable!("TLS was not offered"),
                Step::Close => return said,
            }
        }
    }
    said
}

fn believed(credentials: &Credentials) -> Result<String, AuthRefusal> {
    let (Credentials::Password { password: secret, .. } | Credentials::Token { token: secret, .. }) =
        credentials;
    if secret.reveal() == "pencil" { Ok("alice".to_owned()) } else { Err(AuthRefusal::Wrong) }
}

/// No password's keys: a proof never fits them.
fn keys(user: String) -> ScramKeys {
    let key = [7; 32];
    ScramKeys { user, salt: vec![7; 16], iterations: 4096, stored_key: key.into(), server_key: key.into() }
}

/// Replies are read alike when more follows, and can be passed on without a second reply inside.
pub(crate) fn replies(octets: &[u8]) -> bool {
    let Ok(replies) = replies_in(octets) else { return false };
    for reply in &replies {
        assert!((200..560).contains(&reply.code), "code {}", reply.code);
        let mut line = Vec::new();
        reply.write_to(&mut line);
        let again = replies_in(&line).expect("our own reply is a reply");
        assert_eq!(again.len(), 1, "one reply became several");
        assert_eq!(again[0].code, reply.code);
    }
    true
}

/// An address that was accepted is its own spelling.
pub(crate) fn address(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(address) = text.parse::<Address>() else { return false };
    assert_eq!(address.as_str().parse().as_ref(), Ok(&address), "another address when read again");
    assert!(address.as_str().len() <= 254 && address.local().len() <= 64);
    assert!(!address.as_str().chars().any(char::is_control), "a control character in an address");
    assert_eq!(address.as_str(), format!("{}@{}", address.local(), address.domain()));
    true
}

/// The facts of a message are bounded texts of one line.
pub(crate) fn message(octets: &[u8]) -> bool {
    let limits = Limits {
        header_octets_max: 4096,
        content_type_octets_max: 512,
        depth_max: 8,
        parts_max: 32,
        received_max: 8,
    };
    let Ok(facts) = read(octets, &limits) else { return false };
    assert!(facts.header_len <= octets.len().min(limits.header_octets_max));
    assert!((1..=limits.parts_max).contains(&facts.parts) && facts.depth <= limits.depth_max);
    assert!(facts.received_count <= limits.received_max);
    let texts = [facts.message_id, facts.from, facts.subject, Some(facts.content_type)];
    assert!(texts.into_iter().flatten().all(|text| text.len() <= 998), "a fact without an end");
    true
}

/// A report about any message, with any foreign words in it, is a message that SMTP can carry.
pub(crate) fn report(octets: &[u8]) -> bool {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds);
    let sender: Address = "alice@acme.example".parse().expect("an address");
    let foreign = String::from_utf8_lossy(octets).into_owned();
    let said_by_a_server = format!("550 5.1.1 {foreign}");
    let recipient = |diagnostic, action| RecipientReport {
        recipient: foreign.clone(),
        action,
        status: Enhanced(5, 1, 1),
        remote_mta: Some(foreign.clone()),
        diagnostic: Some(diagnostic),
        last_attempt: Some(at(60)),
        original: Some(OriginalRecipient { kind: foreign.clone(), address: foreign.clone() }),
    };
    let written = compose(&Report {
        reporting_mta: "gw.acme.example",
        report_id: "q1",
        arrival: at(0),
        now: at(120),
        original_sender: &sender,
        original_envelope_id: Some(&foreign),
        recipients: &[
            recipient(Diagnostic::Smtp(said_by_a_server), Action::Failed),
            recipient(Diagnostic::Local(foreign.clone()), Action::Delayed { will_retry_until: at(999) }),
        ],
        original_headers: octets,
    });
    assert_eq!(crlf_strict(&written), Ok(()), "a bare line end in a report");
    let facts = read(&written, &Limits::default()).expect("a report is a message");
    assert!(facts.content_type == "multipart/report" && facts.parts == 4, "{facts:?}");
    true
}
