//! The grammar of command lines (RFC 5321 §4.1.1 and the extensions' parameters).

use super::replies;
use crate::address::{self, Address, AddressError, ReversePath};
use crate::reply::Reply;
use crate::server::MailFrom;

/// A greeting name longer than a domain can be (RFC 5321 §4.5.3.1.2) is none.
const HELLO_OCTETS_MAX: usize = 255;

/// One well-formed command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail {
        mail: MailFrom,
        parameters: bool,
    },
    Recipient(Forward),
    Data,
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
    StartTls,
    /// A browser that was tricked into posting to us: its headers must not be forgiven one by one until
    /// the SMTP commands in its body come.
    Http,
}

/// The argument of `RCPT TO`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Forward {
    Address(Address),
    /// `<Postmaster>` without a domain: ours (RFC 5321 §4.5.1).
    Postmaster,
}

/// Reads a line without its CRLF; the error is the reply to it.
pub(super) fn parse(line: &[u8]) -> Result<Command, Reply> {
    if line.iter().any(|&b| matches!(b, b'\r' | b'\n')) {
        return Err(replies::bare_line_end_in_command());
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(replies::control_in_command());
    }
    let line = str::from_utf8(line).map_err(|_| replies::not_utf8())?.trim_end_matches(' ');
    let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => hello(argument).map(Command::Ehlo),
        "HELO" => hello(argument).map(Command::Helo),
        "MAIL" => mail(argument),
        "RCPT" => recipient(argument),
        "DATA" => bare(argument, Command::Data),
        "RSET" => bare(argument, Command::Reset),
        "QUIT" => bare(argument, Command::Quit),
        "STARTTLS" => bare(argument, Command::StartTls),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if argument.is_empty() => Err(replies::argument_missing()),
        "VRFY" => Ok(Command::Verify),
        "EXPN" | "AUTH" | "BDAT" | "ETRN" | "TURN" | "SEND" | "SOML" | "SAML" => {
            Err(replies::not_implemented())
        }
        "GET" | "HEAD" | "POST" | "PUT" | "OPTIONS" | "CONNECT" => Ok(Command::Http),
        _ => Err(replies::unknown_command()),
    }
}

fn bare(argument: &str, command: Command) -> Result<Command, Reply> {
    if argument.is_empty() { Ok(command) } else { Err(replies::argument_unexpected()) }
}

/// `Domain / address-literal`, read generously: names are no proof, and many hosts have odd ones
/// (RFC 5321 §4.1.4). But it goes into headers and logs, so only letters, digits and `.-_:[]`.
fn hello(argument: &str) -> Result<String, Reply> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    let good = (1..=HELLO_OCTETS_MAX).contains(&argument.len()) && argument.bytes().all(plain);
    if good { Ok(argument.to_owned()) } else { Err(replies::bad_hello()) }
}

fn mail(argument: &str) -> Result<Command, Reply> {
    let (path, parameters) = path("FROM:", argument)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(mailbox(path).map_err(replies::bad_sender)?),
    };
    let mut mail = MailFrom {
        reverse_path,
        size: None,
        body_8bit: false,
        smtputf8: false,
        ret: None,
        envid: None,
        require_tls: false,
    };
    let mut seen = Seen::default();
    for parameter in parameters.split(' ').filter(|p| !p.is_empty()) {
        seen.read(parameter, &mut mail)?;
    }
    let ascii = mail.reverse_path.address().is_none_or(Address::is_ascii);
    if !ascii && !mail.smtputf8 {
        return Err(replies::needs_smtputf8());
    }
    Ok(Command::Mail { mail, parameters: seen != Seen::default() })
}

/// Each parameter at most once (RFC 5321 §4.1.1.11).
#[derive(Default, PartialEq, Eq)]
struct Seen {
    size: bool,
    body: bool,
    smtputf8: bool,
}

impl Seen {
    fn read(&mut self, parameter: &str, mail: &mut MailFrom) -> Result<(), Reply> {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let again = match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(digits)) => {
                mail.size = Some(size(digits)?);
                std::mem::replace(&mut self.size, true)
            }
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") => {
                std::mem::replace(&mut self.body, true)
            }
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("8BITMIME") => {
                mail.body_8bit = true;
                std::mem::replace(&mut self.body, true)
            }
            ("SMTPUTF8", None) => {
                mail.smtputf8 = true;
                std::mem::replace(&mut self.smtputf8, true)
            }
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(replies::bad_parameter(keyword)),
            _ => return Err(replies::unknown_parameter(keyword)),
        };
        if again { Err(replies::repeated_parameter(keyword)) } else { Ok(()) }
    }
}

/// `1*20DIGIT` (RFC 1870 §3); more than fits in 64 bits is as good as infinite.
fn size(digits: &str) -> Result<u64, Reply> {
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(replies::bad_parameter("SIZE"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn recipient(argument: &str) -> Result<Command, Reply> {
    let (path, parameters) = path("TO:", argument)?;
    if path.eq_ignore_ascii_case("postmaster") {
        return no_parameters(parameters, Command::Recipient(Forward::Postmaster));
    }
    let address = mailbox(path).map_err(replies::bad_recipient)?;
    no_parameters(parameters, Command::Recipient(Forward::Address(address)))
}

/// No extension we offer has parameters for `RCPT TO`.
fn no_parameters(parameters: &str, command: Command) -> Result<Command, Reply> {
    match parameters.split(' ').find(|p| !p.is_empty()) {
        None => Ok(command),
        Some(parameter) => Err(replies::unknown_parameter(
            parameter.split_once('=').map_or(parameter, |(keyword, _)| keyword),
        )),
    }
}

/// Splits `FROM:<path> parameters`. The angle brackets are required; one thing is forgiven, blanks after
/// the colon, which printers and scripts send (RFC 5321 §3.3 knows the error).
fn path<'a>(keyword: &str, argument: &'a str) -> Result<(&'a str, &'a str), Reply> {
    let rest = match argument.split_at_checked(keyword.len()) {
        Some((word, rest)) if word.eq_ignore_ascii_case(keyword) => rest.trim_start_matches(' '),
        _ => return Err(replies::bad_path(keyword)),
    };
    let inner = rest.strip_prefix('<').ok_or_else(|| replies::bad_path(keyword))?;
    let end = unquoted(inner, '>').ok_or_else(|| replies::bad_path(keyword))?;
    let (path, rest) = inner.split_at(end);
    let parameters = rest.strip_prefix('>').unwrap_or_default();
    if parameters.is_empty() || parameters.starts_with(' ') {
        Ok((path, parameters))
    } else {
        Err(replies::bad_path(keyword))
    }
}

/// `[ A-d-l ":" ] Mailbox`: a source route is checked and ignored (RFC 5321 §4.1.1.3, appendix C).
fn mailbox(path: &str) -> Result<Address, AddressError> {
    let Some(route) = path.strip_prefix('@') else {
        return path.parse();
    };
    let (route, mailbox) = route.split_once(':').ok_or(AddressError::Domain)?;
    let mut hops = route.split(',').enumerate();
    let hop_ok = |(at, hop): (usize, &str)| {
        let domain = if at == 0 { Some(hop) } else { hop.strip_prefix('@') };
        domain.is_some_and(address::is_domain)
    };
    if hops.all(hop_ok) { mailbox.parse() } else { Err(AddressError::Domain) }
}

/// Where `wanted` first stands outside a quoted string.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
