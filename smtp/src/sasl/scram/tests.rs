use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use proptest::prelude::*;

use super::*;

/// What a house keeps of a password (RFC 5802 §3).
pub(crate) fn keys_of(user: &str, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(iterations).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    ScramKeys {
        user: user.into(),
        salt: salt.to_vec(),
        iterations,
        stored_key: Zeroizing::new(hash(&mac(&salted, b"Client Key"))),
        server_key: Zeroizing::new(mac(&salted, b"Server Key")),
    }
}

// RFC 7677 §3.
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn keys(password: &str) -> ScramKeys {
    keys_of("User", password, &BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4_096)
}

fn challenged(client_first: &str, password: &str) -> Challenged {
    ClientFirst::read(client_first.as_bytes()).unwrap().challenge_with(keys(password), SERVER_NONCE).0
}

#[test]
fn the_example_of_rfc_7677_is_reproduced() {
    let first = ClientFirst::read(CLIENT_FIRST.as_bytes()).unwrap();
    assert_eq!(first.user, "user");
    let (challenged, message) = first.challenge_with(keys("pencil"), SERVER_NONCE);
    assert_eq!(message, SERVER_FIRST);
    assert_eq!(challenged.verify(CLIENT_FINAL.as_bytes()), Ok(("User".into(), SERVER_FINAL.into())));
}

#[test]
fn another_password_or_another_exchange_is_refused() {
    let wrong = Err(Fault::Refused(AuthRefusal::Wrong));
    assert_eq!(challenged(CLIENT_FIRST, "pencils").verify(CLIENT_FINAL.as_bytes()), wrong);
    let (other, _) = ClientFirst::read(CLIENT_FIRST.as_bytes()).unwrap().challenge(keys("pencil"), &[7; 18]);
    assert_eq!(other.verify(CLIENT_FINAL.as_bytes()), wrong);
    let (named, _) = CLIENT_FINAL.rsplit_once(",p=").unwrap();
    let zero = format!("{named},p={}", BASE64.encode([0; 32]));
    assert_eq!(challenged(CLIENT_FIRST, "pencil").verify(zero.as_bytes()), wrong);
}

/// What a client that knows the password ends with, when it believes to have said what `named` says.
fn final_of(challenged: &Challenged, password: &str, named: &str) -> String {
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(challenged.keys.iterations).unwrap();
    let salt = &challenged.keys.salt;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password.as_bytes(), &mut salted);
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&hash(&client_key), format!("{}{named}", challenged.said).as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
    format!("{named},p={}", BASE64.encode(proof))
}

#[test]
fn a_client_that_heard_or_said_something_else_is_refused_though_it_knows_the_password() {
    let verify = |binding: &str, nonce: &str| {
        let challenged = challenged(CLIENT_FIRST, "pencil");
        let last = final_of(&challenged, "pencil", &format!("c={binding},r={nonce}"));
        challenged.verify(last.as_bytes()).map(|(user, _)| user)
    };
    let nonce = format!("rOprNGfwEbeRWgbNEkqO{SERVER_NONCE}");
    assert_eq!(verify("biws", &nonce), Ok("User".into()));
    let wrong = Err(Fault::Refused(AuthRefusal::Wrong));
    assert_eq!(verify("eSws", &nonce), wrong, "it said `y`: someone hid a mechanism from it, or from us");
    assert_eq!(
        verify("biws", "rOprNGfwEbeRWgbNEkqO"),
        wrong,
        "without our nonce an old proof could come again"
    );
}

#[test]
fn nobody_acts_for_another() {
    let wrong = Err(Fault::Refused(AuthRefusal::Wrong));
    assert_eq!(ClientFirst::read(b"n,a=admin,n=user,r=abc"), wrong);
    assert!(ClientFirst::read(b"y,a=user,n=user,r=abc").is_ok());
}

#[test]
fn first_messages_are_read_strictly() {
    assert!(ClientFirst::read(b"n,,n=user,r=abc,x=known to others").is_ok());
    let long = format!("n,,n=user,r={}", "a".repeat(NONCE_OCTETS_MAX + 1));
    for bad in [
        "",
        "n,,",
        "n,,n=user",
        "n,,r=abc,n=user",
        "n,,m=ext,n=user,r=abc",
        "p=tls-unique,,n=user,r=abc",
        "n,,n=,r=abc",
        "n,,n=us=er,r=abc",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=abc,",
        "n,,n=user,r=abc,xx=1",
        &long,
    ] {
        assert_eq!(ClientFirst::read(bad.as_bytes()), Err(Fault::Malformed), "{bad}");
    }
}

#[test]
fn final_messages_are_read_strictly() {
    for bad in [
        "",
        "c=biws,r=abc",
        "r=abc,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "c=biws,r=abc,p=dHzb",
        "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",
        "c=biws,r=abc,,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    ] {
        assert_eq!(challenged(CLIENT_FIRST, "pencil").verify(bad.as_bytes()), Err(Fault::Malformed), "{bad}");
    }
}

#[test]
fn the_longest_challenge_fits_a_reply_line() {
    let first = format!("n,,n=user,r={}", "a".repeat(NONCE_OCTETS_MAX));
    let keys = ScramKeys { salt: vec![0; 64], iterations: u32::MAX, ..keys("pencil") };
    let (_, message) = ClientFirst::read(first.as_bytes()).unwrap().challenge(keys, &[7; 18]);
    assert!(BASE64.encode(message).len() <= 512 - "334 \r\n".len());
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(first in "[npy,a=r2C3D\\PC]{0,40}", last in "[cbiws,r=p\\PC]{0,40}") {
        let _ = ClientFirst::read(first.as_bytes());
        let _ = challenged(CLIENT_FIRST, "pencil").verify(last.as_bytes());
    }
}
