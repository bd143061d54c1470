//! The parameters of `MAIL FROM` and `RCPT TO` that our extensions define; any other is refused with 555
//! (RFC 5321 §4.1.1.11).

use super::{Forward, Mail, Recipient, replies};
use crate::address::{Address, ReversePath};
use crate::dsn;
use crate::reply::Reply;
use crate::server::{MailFrom, Notify};

pub(super) fn of_mail(reverse_path: ReversePath, parameters: &str) -> Result<Mail, Reply> {
    let mut from = MailFrom {
        reverse_path,
        size: None,
        body_8bit: false,
        smtputf8: false,
        ret: None,
        envid: None,
        require_tls: false,
    };
    let seen = each(parameters, |keyword, value| {
        match (keyword, value) {
            ("SIZE", Some(digits)) => from.size = Some(size(digits)?),
            ("BODY", Some(body)) => from.body_8bit = eight_bit(body)?,
            ("SMTPUTF8", None) => from.smtputf8 = true,
            ("REQUIRETLS", None) => from.require_tls = true,
            ("RET", Some(ret)) => from.ret = Some(ret.parse().map_err(|_| bad("RET"))?),
            ("ENVID", Some(id)) => from.envid = Some(dsn::envid(id).map_err(|_| bad("ENVID"))?),
            ("AUTH", Some(identity)) => submitter(identity)?,
            ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(bad(keyword));
            }
            _ => return Err(replies::unknown_parameter(keyword)),
        }
        Ok(())
    })?;
    let auth = seen.iter().any(|keyword| keyword == "AUTH");
    Ok(Mail { from, parameters: !seen.is_empty(), auth })
}

pub(super) fn of_recipient(to: Forward, ascii: bool, parameters: &str) -> Result<Recipient, Reply> {
    let (mut notify, mut orcpt) = (Notify::Unspecified, None);
    let seen = each(parameters, |keyword, value| {
        match (keyword, value) {
            ("NOTIFY", Some(when)) => notify = when.parse().map_err(|_| bad("NOTIFY"))?,
            ("ORCPT", Some(original)) => orcpt = Some(original.parse().map_err(|_| bad("ORCPT"))?),
            ("NOTIFY" | "ORCPT", None) => return Err(bad(keyword)),
            _ => return Err(replies::unknown_parameter(keyword)),
        }
        Ok(())
    })?;
    Ok(Recipient { to, notify, orcpt, parameters: !seen.is_empty(), ascii })
}

/// Lets `read` look at each parameter, its keyword in upper case; answers the keywords. None may come twice.
fn each<'a>(
    parameters: &'a str,
    mut read: impl FnMut(&str, Option<&'a str>) -> Result<(), Reply>,
) -> Result<Vec<String>, Reply> {
    let mut seen: Vec<String> = Vec::new(); // never longer than there are keywords
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
            None => (parameter.to_ascii_uppercase(), None),
        };
        read(&keyword, value)?;
        if seen.contains(&keyword) {
            return Err(replies::repeated_parameter(&keyword));
        }
        seen.push(keyword);
    }
    Ok(seen)
}

fn bad(keyword: &str) -> Reply {
    replies::bad_parameter(keyword)
}

/// `1*20DIGIT` (RFC 1870 §3); more than fits in 64 bits is as good as infinite.
fn size(digits: &str) -> Result<u64, Reply> {
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad("SIZE"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// `7BIT` or `8BITMIME` (RFC 6152 §2); `BINARYMIME` (RFC 3030 §3) is not offered.
fn eight_bit(body: &str) -> Result<bool, Reply> {
    match body.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(false),
        "8BITMIME" => Ok(true),
        _ => Err(bad("BODY")),
    }
}

/// Who another server says submitted the message. It must be well-formed, and then it is forgotten: we trust no such
/// statement, and for a server that does not, the value is `<>` (RFC 4954 §5).
fn submitter(identity: &str) -> Result<(), Reply> {
    let decoded = dsn::decode_xtext(identity).ok_or_else(|| bad("AUTH"))?;
    let known = decoded == "<>" || decoded.parse::<Address>().is_ok();
    if known { Ok(()) } else { Err(bad("AUTH")) }
}
