//! What the messages of the newer mechanisms begin with (RFC 5801 §4): the flag of channel binding, and whom to act
//! for.

use super::exchange::Fault;
use super::password;

/// `gs2-cb-flag "," [authzid] ","` and what follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// `authzid`.
    pub(super) act_as: Option<String>,
    /// The header itself, with its last comma.
    pub(super) text: &'a str,
    pub(super) rest: &'a str,
}

/// Reads the header. The flag is `n` (the client cannot bind) or `y` (it could, and saw that we do not offer it: no
/// `-PLUS` mechanism is); a binding (`p=`) to something that was not offered is malformed.
pub(super) fn header(message: &str) -> Result<Header<'_>, Fault> {
    let (flag, after_flag) = message.split_once(',').ok_or(Fault::Malformed)?;
    let (act_as, rest) = after_flag.split_once(',').ok_or(Fault::Malformed)?;
    if !matches!(flag, "n" | "y") {
        return Err(Fault::Malformed);
    }
    let act_as = match act_as {
        "" => None,
        act_as => Some(saslname(act_as.strip_prefix("a=").ok_or(Fault::Malformed)?)?),
    };
    let text = message.get(..message.len() - rest.len()).unwrap_or_default();
    Ok(Header { act_as, text, rest })
}

/// `saslname` (RFC 5801 §4): a name with `=2C` for a comma and `=3D` for an equals sign.
pub(super) fn saslname(text: &str) -> Result<String, Fault> {
    let mut pieces = text.split('=');
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (sign, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(Fault::Malformed),
        };
        decoded.push(sign);
        decoded.push_str(rest);
    }
    password::name(&decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_flag_and_a_name() {
        let header = header("y,a=al=2Cice,rest,of=it").unwrap();
        assert_eq!(
            (header.act_as.as_deref(), header.text, header.rest),
            (Some("al,ice"), "y,a=al=2Cice,", "rest,of=it")
        );
        for bad in ["", "n", "n,", "p=tls-exporter,,x", "x,,y", "n,alice,x", "n,a=,x", "F,n,,x"] {
            assert_eq!(super::header(bad), Err(Fault::Malformed), "{bad}");
        }
    }

    #[test]
    fn names_have_two_escapes_and_no_others() {
        assert_eq!(saslname("a=3D=2Cb=3D2C"), Ok("a=,b=2C".into()));
        for bad in ["", "a=", "a=2c", "a=3d", "a=41", "=", "a\nb"] {
            assert_eq!(saslname(bad), Err(Fault::Malformed), "{bad}");
        }
    }
}
