//! `AUTH` (RFC 4954).

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::sasl::{AuthRefusal, Credentials, Mechanism, ScramKeys, Secret, keys_of};
use crate::server::Event;
use crate::server::session::line::AUTH_LINE_OCTETS_MAX;

/// The house knows Alice by her password and her token; its directory is down for who begins with `down`.
pub(super) fn verdict(credentials: Credentials) -> Result<String, AuthRefusal> {
    let (user, secret) = match &credentials {
        Credentials::Password { user, password } => (user.as_str(), password.reveal()),
        Credentials::Token { user, token } => (user.as_deref().unwrap_or("alice"), token.reveal()),
    };
    match (user, secret) {
        ("alice", "pencil") => Ok("Alice".into()),
        (user, _) if user.starts_with("down") => Err(AuthRefusal::Unavailable),
        ("away", _) => Err(AuthRefusal::NotHere),
        _ => Err(AuthRefusal::Wrong),
    }
}

pub(super) fn keys(user: &str) -> Result<ScramKeys, AuthRefusal> {
    verdict(Credentials::Password { user: user.into(), password: Secret::new("pencil".into()) })
        .map(|user| keys_of(&user, "pencil", b"salt of sixteen!", 1))
}

fn config_for(role: Role) -> Config {
    Config { role, tls: Some(tls()), auth: Mechanism::ALL.into(), ..config() }
}

/// A session for people, under TLS, that has said EHLO.
fn secured() -> Session {
    let mut session = session_with(config_for(Role::Submission));
    session.secured(facts(), None);
    talk_in_pieces(&mut session, [&b"EHLO x\r\n"[..]]);
    let _ = session.take_events().count();
    session
}

fn encoded(response: &str) -> String {
    BASE64.encode(response)
}

fn talk_secured(lines: &str) -> Talk {
    talk_in_pieces(&mut secured(), [lines.as_bytes()])
}

const ALICE: &str = "\0alice\0pencil";

#[test]
fn the_mechanisms_are_offered_under_tls_until_one_has_worked() {
    let offer = "250 AUTH SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN\r\n";
    let clear = talk_in_pieces(&mut session_with(config_for(Role::Submission)), [&b"EHLO x\r\n"[..]]);
    assert!(!clear.output.contains("AUTH"));
    assert!(talk_secured("EHLO x\r\n").output.ends_with(offer));
    let after = talk_secured(&format!("AUTH PLAIN {}\r\nEHLO x\r\n", encoded(ALICE)));
    assert!(!after.output.contains("AUTH"), "{}", after.output);
}

#[test]
fn who_has_authenticated_may_send_and_the_house_knows_the_name() {
    let mut session = secured();
    let lines = format!("MAIL FROM:<>\r\nAUTH PLAIN {}\r\nMAIL FROM:<>\r\n", encoded(ALICE));
    let talk = talk_in_pieces(&mut session, [lines.as_bytes()]);
    assert_eq!(talk.codes(), ["530", "235", "250"]);
    assert!(talk.output.starts_with("530 5.7.0 ") && talk.output.contains("235 2.7.0 authenticated\r\n"));
    assert_eq!(session.client().user.as_deref(), Some("Alice"));
    let mechanism = Mechanism::Plain;
    assert!(session.take_events().any(|event| event == Event::Authenticated { mechanism }));
}

#[test]
fn servers_need_not_authenticate_but_may() {
    let mut session = session_with(config_for(Role::Relay));
    session.secured(facts(), None);
    let lines = format!("EHLO x\r\nMAIL FROM:<>\r\nRSET\r\nAUTH PLAIN {}\r\n", encoded(ALICE));
    assert_eq!(talk_in_pieces(&mut session, [lines.as_bytes()]).codes(), ["220", "250", "250", "250", "235"]);
}

#[test]
fn the_responses_may_come_in_steps() {
    let plain = talk_secured(&format!("AUTH PLAIN\r\n{}\r\n", encoded(ALICE)));
    assert!(plain.output.starts_with("334 \r\n235 "), "{}", plain.output);
    let login = talk_secured(&format!("AUTH login\r\n{}\r\n{}\r\n", encoded("alice"), encoded("pencil")));
    assert!(login.output.starts_with("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 "), "{}", login.output);
    let named = talk_secured(&format!("AUTH LOGIN {}\r\n{}\r\n", encoded("alice"), encoded("pencil")));
    assert_eq!(named.codes(), ["334", "235"]);
}

#[test]
fn a_refused_token_is_explained_before_it_is_refused() {
    for (mechanism, good) in [
        ("XOAUTH2", "user=alice\x01auth=Bearer pencil\x01\x01"),
        ("OAUTHBEARER", "n,a=alice,\x01auth=Bearer pencil\x01\x01"),
    ] {
        let talk = talk_secured(&format!("AUTH {mechanism} {}\r\n", encoded(good)));
        assert_eq!(talk.codes(), ["235"], "{mechanism}");
        let bad = encoded(&good.replace("pencil", "crayon"));
        let talk = talk_secured(&format!("AUTH {mechanism} {bad}\r\n{}\r\nNOOP\r\n", encoded("\x01")));
        assert_eq!(talk.codes(), ["334", "535", "250"], "{mechanism}");
        let explanation = BASE64.decode(talk.output[4..].lines().next().unwrap()).unwrap();
        assert!(explanation.starts_with(b"{\"status\":"), "{}", explanation.escape_ascii());
        let cancelled = talk_secured(&format!("AUTH {mechanism} {bad}\r\n*\r\n"));
        assert_eq!(cancelled.codes(), ["334", "501"], "{mechanism}");
    }
}

#[test]
fn scram_ends_with_the_proof_of_the_server() {
    let mut session = secured();
    let first = format!("AUTH SCRAM-SHA-256 {}\r\n", encoded("n,,n=alice,r=abc"));
    let talk = talk_in_pieces(&mut session, [first.as_bytes()]);
    assert_eq!(talk.questions, ["keys of \"alice\""]);
    let challenge = String::from_utf8(BASE64.decode(talk.output[4..].trim_end()).unwrap()).unwrap();
    let nonce = challenge.strip_prefix("r=").unwrap().split(',').next().unwrap();
    let named = format!("c=biws,r={nonce}");
    let proof = proof_of("pencil", &format!("n=alice,r=abc,{challenge},{named}"));
    let last = format!("{}\r\n\r\n", encoded(&format!("{named},p={proof}")));
    let talk = talk_in_pieces(&mut session, [last.as_bytes()]);
    assert_eq!(talk.codes(), ["334", "235"]);
    assert!(BASE64.decode(talk.output[4..].lines().next().unwrap()).unwrap().starts_with(b"v="));
    assert_eq!(session.client().user.as_deref(), Some("Alice"));
}

/// What a client of SCRAM computes (RFC 5802 §3), written anew from the RFC.
fn proof_of(password: &str, said: &str) -> String {
    use aws_lc_rs::{digest, hmac, pbkdf2};
    let mut salted = [0; 32];
    let salt = b"salt of sixteen!";
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, salt, password.as_bytes(), &mut salted);
    let mac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = mac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = mac(stored_key.as_ref(), said.as_bytes());
    let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    BASE64.encode(proof)
}

#[test]
fn each_outcome_has_its_own_reply() {
    for (command, reply) in [
        (format!("AUTH PLAIN {}", encoded("\0alice\0crayon")), "535 5.7.8"),
        (format!("AUTH PLAIN {}", encoded("\0downer\0pencil")), "454 4.7.0"),
        (format!("AUTH PLAIN {}", encoded("\0away\0pencil")), "504 5.5.4"),
        (format!("AUTH PLAIN {}", encoded("bob\0alice\0pencil")), "535 5.7.8"),
        (format!("AUTH SCRAM-SHA-256 {}", encoded("n,,n=downer,r=abc")), "454 4.7.0"),
        (format!("AUTH SCRAM-SHA-256 {}", encoded("p=tls-exporter,,n=alice,r=abc")), "501 5.5.2"),
        ("AUTH PLAIN =".into(), "501 5.5.2"),
        ("AUTH PLAIN AGFsaWNlAHBlbmNpbB==".into(), "501 5.5.2"), // set bits behind the last octet
        ("AUTH PLAIN AGFsaWNlAHBlbmNpbA".into(), "501 5.5.2"),   // without padding
        ("AUTH PLAIN AGFsaWNl AHBlbmNpbA==".into(), "501 5.5.2"),
        ("AUTH PLAIN *".into(), "501 5.5.2"),
        ("AUTH CRAM-MD5".into(), "504 5.5.4"),
        ("AUTH SCRAM-SHA-256-PLUS".into(), "504 5.5.4"),
        ("AUTH".into(), "501 5.5.4"),
        ("AUTH PLAIN\r\n*".into(), "334 \r\n501 5.7.0"),
        ("AUTH PLAIN\r\nAGFs\naWNl".into(), "334 \r\n501 5.5.2"),
    ] {
        let talk = talk_secured(&format!("{command}\r\nNOOP\r\n"));
        assert!(talk.output.starts_with(reply), "{command}: {}", talk.output);
        assert!(talk.output.ends_with("250 2.0.0 ok\r\n"), "{command}: the session goes on");
    }
}

#[test]
fn auth_has_its_time_and_place() {
    let alice = format!("AUTH PLAIN {}\r\n", encoded(ALICE));
    assert_eq!(talk_secured(&alice.repeat(2)).codes(), ["235", "503"]);
    assert_eq!(talk_secured(&format!("{alice}MAIL FROM:<>\r\n{alice}")).codes(), ["235", "250", "503"]);
    let hello = ["EHLO x\r\n", &alice].concat();
    assert_eq!(talk(&hello).codes(), ["220", "250", "502"], "no mechanism is configured");
    let mut clear = session_with(config_for(Role::Relay));
    let talk = talk_in_pieces(&mut clear, [hello.as_bytes()]);
    assert!(talk.output.contains("538 5.7.11 "), "{}", talk.output);
    assert!(talk.questions.is_empty(), "nobody is asked about a password that came in clear text");
    let mut old = session_with(config_for(Role::Submission));
    old.secured(facts(), None);
    assert_eq!(talk_in_pieces(&mut old, [format!("HELO x\r\n{alice}").as_bytes()]).codes()[2..], ["503"]);
}

#[test]
fn a_transaction_excludes_auth() {
    let mut session = session_with(config_for(Role::Relay));
    session.secured(facts(), None);
    let lines = format!("EHLO x\r\nMAIL FROM:<>\r\nAUTH PLAIN {}\r\n", encoded(ALICE));
    assert_eq!(talk_in_pieces(&mut session, [lines.as_bytes()]).codes()[3..], ["503"]);
}

#[test]
fn a_new_beginning_of_tls_forgets_the_user() {
    let mut session = secured();
    talk_in_pieces(&mut session, [format!("AUTH PLAIN {}\r\n", encoded(ALICE)).as_bytes()]);
    session.secured(facts(), None);
    assert_eq!(session.client().user, None);
}

#[test]
fn lines_may_be_long_but_not_without_end() {
    let long = "A".repeat(AUTH_LINE_OCTETS_MAX - "AUTH PLAIN \r\n".len());
    let fits = talk_secured(&format!("AUTH PLAIN {long}\r\n"));
    assert!(fits.output.starts_with("501 5.5.2"), "{}", fits.output);
    let longer = talk_secured(&format!("AUTH PLAIN A{long}\r\nNOOP\r\n"));
    assert!(
        longer.output.starts_with("500 5.5.2 line too long, at most 12288 octets\r\n250 "),
        "{}",
        longer.output
    );
    let response = "A".repeat(AUTH_LINE_OCTETS_MAX - 1);
    let response = talk_secured(&format!("AUTH PLAIN\r\n{response}\r\nNOOP\r\n"));
    assert_eq!(response.codes(), ["334", "500", "250"]);
    assert!(response.output.contains("500 5.5.6 "));
}

#[test]
fn guessing_ends_the_session() {
    let mut session = secured();
    let guess = format!("AUTH PLAIN {}\r\n", encoded("\0alice\0crayon"));
    let talk = talk_in_pieces(&mut session, [guess.repeat(9).as_bytes()]);
    assert_eq!((talk.codes(), talk.closed), (vec!["535", "535", "535", "421"], Some(Closed::Unwelcome)));
    let mechanism = Mechanism::Plain;
    assert_eq!(
        session.take_events().filter(|event| *event == Event::AuthenticationFailed { mechanism }).count(),
        3
    );
    let down = format!("AUTH PLAIN {}\r\n", encoded("\0downer\0pencil"));
    assert_eq!(talk_secured(&down.repeat(9)).closed, None, "a directory that is down is nobody's guess");
}

#[test]
fn a_stopping_session_does_not_wait_for_a_response() {
    let mut session = secured();
    talk_in_pieces(&mut session, [&b"AUTH PLAIN\r\n"[..]]);
    session.stop();
    assert_eq!(talk_in_pieces(&mut session, [&b""[..]]).codes(), ["421"]);
}

#[test]
fn a_submitter_is_heard_of_only_where_auth_is_offered() {
    let mail = "MAIL FROM:<> AUTH=<>\r\n";
    assert_eq!(talk(&format!("EHLO x\r\n{mail}")).codes()[2..], ["555"]);
    assert_eq!(talk_secured(&format!("AUTH PLAIN {}\r\n{mail}", encoded(ALICE))).codes(), ["235", "250"]);
}

fn piece_of_an_exchange() -> impl Strategy<Value = Vec<u8>> {
    let known = proptest::sample::select(vec![
        "AUTH PLAIN\r\n".to_owned(),
        format!("AUTH PLAIN {}\r\n", encoded(ALICE)),
        format!("AUTH PLAIN {}\r\n", encoded("\0alice\0crayon")),
        "AUTH LOGIN\r\n".to_owned(),
        format!("AUTH LOGIN {}\r\n", encoded("alice")),
        format!("{}\r\n", encoded("pencil")),
        format!("AUTH XOAUTH2 {}\r\n", encoded("user=a\x01auth=Bearer crayon\x01\x01")),
        format!("AUTH SCRAM-SHA-256 {}\r\n", encoded("n,,n=alice,r=abc")),
        format!("{}\r\n", encoded("c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
        "*\r\n".to_owned(),
        "\r\n".to_owned(),
        "=\r\n".to_owned(),
        "AUTH\r\n".to_owned(),
        "NOOP\r\n".to_owned(),
        "MAIL FROM:<>\r\n".to_owned(),
        "EHLO x\r\n".to_owned(),
        "\n".to_owned(),
    ]);
    let long = (AUTH_LINE_OCTETS_MAX - 20..AUTH_LINE_OCTETS_MAX + 20).prop_map(|n| vec![b'A'; n]);
    prop_oneof![20 => known.prop_map(String::into_bytes), 1 => long]
}

proptest! {
    #[test]
    fn the_cutting_of_an_exchange_makes_no_difference(
        pieces in proptest::collection::vec(piece_of_an_exchange(), 0..12),
        cuts in proptest::collection::vec(1..60usize, 1..20),
    ) {
        let stream = pieces.concat();
        let whole = talk_in_pieces(&mut secured(), [stream.as_slice()]);
        let cut = cut(&stream, &cuts);
        prop_assert_eq!(whole, talk_in_pieces(&mut secured(), cut));
    }
}
