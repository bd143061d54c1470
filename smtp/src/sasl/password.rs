//! Names and passwords: `PLAIN` (RFC 4616), and the rules for names that all mechanisms share.

use super::exchange::Fault;
use super::{AuthRefusal, Credentials, Secret};

/// Octets of a name (RFC 4616 §2: implementations must take 255).
const USER_OCTETS_MAX: usize = 255;

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2), each UTF-8.
///
/// Who wants to act for another (`authzid`) is refused: nobody may.
pub(super) fn plain(message: &[u8]) -> Result<Credentials, Fault> {
    let text = str::from_utf8(message).map_err(|_| Fault::Malformed)?;
    let mut fields = text.split('\0');
    let (Some(act_as), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(Fault::Malformed);
    };
    let user = name(user)?;
    if !act_as.is_empty() && act_as != user {
        return Err(Fault::Refused(AuthRefusal::Wrong));
    }
    credentials(user, password)
}

/// A name with its password.
pub(super) fn credentials(user: String, password: &str) -> Result<Credentials, Fault> {
    if password.is_empty() || password.contains('\0') {
        return Err(Fault::Malformed); // an empty password asks some directories for an anonymous login
    }
    Ok(Credentials::Password { user, password: Secret::new(password.to_owned()) })
}

/// A name as it may stand in logs and questions: bounded, not empty, without control characters.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let good = (1..=USER_OCTETS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(Fault::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_has_two_names_and_a_password() {
        let tim =
            Credentials::Password { user: "tim".into(), password: Secret::new("tanstaaftanstaaf".into()) };
        assert!(plain(b"\0tim\0tanstaaftanstaaf") == Ok(tim.clone())); // RFC 4616 §4
        assert!(plain(b"tim\0tim\0tanstaaftanstaaf") == Ok(tim));
        assert!(plain(b"Ursel\0Kurt\0xipj3plmq") == Err(Fault::Refused(AuthRefusal::Wrong)));
    }

    #[test]
    fn anything_else_is_malformed() {
        let long = format!("\0{}\0x", "a".repeat(256));
        for bad in [
            &b""[..],
            b"tim",
            b"\0tim",
            b"\0tim\0",
            b"\0\0x",
            b"\0tim\0x\0",
            b"\0ti\nm\0x",
            b"\0tim\0\xff",
            long.as_bytes(),
        ] {
            assert!(plain(bad) == Err(Fault::Malformed), "{}", bad.escape_ascii());
        }
        assert!(plain(&long.as_bytes()[1..]).is_err());
    }
}
