//! Bearer tokens: `OAUTHBEARER` (RFC 7628) and its forerunner `XOAUTH2`.
//!
//! A refused token is not simply refused: the server first says why in JSON as a challenge, the client answers with
//! something meaningless, and then comes the refusal (RFC 7628 §3.2.3).

use super::exchange::Fault;
use super::{Credentials, Mechanism, Secret, gs2, password};

/// Separates key and value pairs (RFC 7628 §3.1).
const SEPARATOR: char = '\x01';

/// Reads the client's message.
pub(super) fn credentials(mechanism: Mechanism, message: &[u8]) -> Result<Credentials, Fault> {
    let text = str::from_utf8(message).map_err(|_| Fault::Malformed)?;
    let (user, pairs) = match mechanism {
        Mechanism::XOAuth2 => xoauth2(text)?,
        _ => oauthbearer(text)?,
    };
    let authorization = pairs.iter().find_map(|pair| pair.strip_prefix("auth=")).ok_or(Fault::Malformed)?;
    let (scheme, token) = authorization.split_once(' ').ok_or(Fault::Malformed)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") || !is_b64token(token) {
        return Err(Fault::Malformed);
    }
    Ok(Credentials::Token { user, token: Secret::new(token.to_owned()) })
}

/// What a refused client is told before its refusal.
pub(super) fn apology(mechanism: Mechanism) -> &'static [u8] {
    match mechanism {
        Mechanism::XOAuth2 => br#"{"status":"401","schemes":"bearer"}"#,
        _ => br#"{"status":"invalid_token"}"#, // RFC 6750 §3.1
    }
}

/// `user=… SOH auth=Bearer … SOH SOH`.
fn xoauth2(text: &str) -> Result<(Option<String>, Vec<&str>), Fault> {
    let pairs = pairs(text)?;
    let user = pairs.iter().find_map(|pair| pair.strip_prefix("user=")).ok_or(Fault::Malformed)?;
    Ok((Some(password::name(user)?), pairs))
}

/// `gs2-header kvsep *kvpair kvsep` (RFC 7628 §3.1); the host and port a client names are not ours to judge.
fn oauthbearer(text: &str) -> Result<(Option<String>, Vec<&str>), Fault> {
    let header = gs2::header(text)?;
    let rest = header.rest.strip_prefix(SEPARATOR).ok_or(Fault::Malformed)?;
    Ok((header.act_as, pairs(rest)?))
}

/// Each ends with a separator, and one more ends them all.
fn pairs(text: &str) -> Result<Vec<&str>, Fault> {
    let body = text.strip_suffix("\x01\x01").ok_or(Fault::Malformed)?;
    let pairs: Vec<&str> = body.split(SEPARATOR).collect();
    let good = |pair: &&str| pair.contains('=') && !pair.chars().any(char::is_control);
    if pairs.iter().all(good) { Ok(pairs) } else { Err(Fault::Malformed) }
}

/// RFC 6750 §2.1.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(user: Option<&str>, token: &str) -> Result<Credentials, Fault> {
        Ok(Credentials::Token { user: user.map(str::to_owned), token: Secret::new(token.into()) })
    }

    #[test]
    fn oauthbearer_is_read_as_in_the_rfc() {
        // RFC 7628 §4.1
        let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
            auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let expected = token(Some("user@example.com"), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        assert!(credentials(Mechanism::OAuthBearer, message) == expected);
        assert!(credentials(Mechanism::OAuthBearer, b"n,,\x01auth=bearer abc\x01\x01") == token(None, "abc"));
    }

    #[test]
    fn xoauth2_is_read_as_clients_send_it() {
        let message =
            b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01";
        let expected = token(Some("someuser@example.com"), "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
        assert!(credentials(Mechanism::XOAuth2, message) == expected);
    }

    #[test]
    fn anything_else_is_malformed() {
        for bad in [
            &b""[..],
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer abc\x01",
            b"n,,auth=Bearer abc\x01\x01",
            b"n,,\x01auth=Basic abc\x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer ===\x01\x01",
            b"n,,\x01host=a\nb\x01auth=Bearer abc\x01\x01",
            b"n,x=u,\x01auth=Bearer abc\x01\x01",
            b"n,,\x01auth=Bearer \xff\x01\x01",
        ] {
            assert!(
                credentials(Mechanism::OAuthBearer, bad) == Err(Fault::Malformed),
                "{}",
                bad.escape_ascii()
            );
        }
        for bad in [&b"auth=Bearer abc\x01\x01"[..], b"user=\x01auth=Bearer abc\x01\x01", b"user=a\x01\x01"] {
            assert!(credentials(Mechanism::XOAuth2, bad) == Err(Fault::Malformed), "{}", bad.escape_ascii());
        }
    }
}
