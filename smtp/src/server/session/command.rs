//! The grammar of command lines (RFC 5321 §4.1.1, and the commands of the extensions).

mod parameters;

use std::fmt;

use super::replies;
use crate::address::{self, Address, AddressError, ReversePath};
use crate::reply::Reply;
use crate::server::{MailFrom, Notify, OriginalRecipient, Secret};

/// A greeting name longer than a domain can be (RFC 5321 §4.5.3.1.2) is none.
const HELLO_OCTETS_MAX: usize = 255;

/// One well-formed command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail(Mail),
    Recipient(Recipient),
    Data,
    /// `BDAT`: so many octets follow the line (RFC 3030 §2).
    Chunk {
        octets: u64,
        last: bool,
    },
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
    StartTls,
    Auth(Auth),
    /// A browser that was tricked into posting to us: its headers must not be forgiven one by one until
    /// the SMTP commands in its body come.
    Http,
}

/// The argument of `MAIL FROM`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) from: MailFrom,
    /// There are some; only a client that said EHLO may know them.
    pub(super) parameters: bool,
    /// One of them is `AUTH=`.
    pub(super) auth: bool,
}

/// The argument of `RCPT TO`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) to: Forward,
    pub(super) notify: Notify,
    pub(super) orcpt: Option<OriginalRecipient>,
    /// There are some; only a client that said EHLO may know them.
    pub(super) parameters: bool,
    /// Neither the path nor a parameter needs SMTPUTF8.
    pub(super) ascii: bool,
}

/// The argument of `AUTH` (RFC 4954 §4).
#[derive(PartialEq, Eq)]
pub(super) struct Auth {
    /// As the client spells it.
    pub(super) mechanism: String,
    /// The initial response, still in base64.
    pub(super) initial: Option<Secret>,
}

impl fmt::Debug for Auth {
    /// Without what may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({:?}, initial response: {})", self.mechanism, self.initial.is_some())
    }
}

/// A forward path.
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
        "BDAT" => chunk(argument),
        "AUTH" => auth(argument),
        "RSET" => bare(argument, Command::Reset),
        "QUIT" => bare(argument, Command::Quit),
        "STARTTLS" => bare(argument, Command::StartTls),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if argument.is_empty() => Err(replies::argument_missing()),
        "VRFY" => Ok(Command::Verify),
        "EXPN" | "ETRN" | "TURN" | "SEND" | "SOML" | "SAML" => Err(replies::not_implemented()),
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

/// `chunk-size [SP "LAST"]` (RFC 3030 §2). More octets than 64 bits can count are as good as without an end.
fn chunk(argument: &str) -> Result<Command, Reply> {
    let (size, last) = match argument.split_once(' ') {
        None => (argument, false),
        Some((size, word)) if word.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(replies::bad_chunk()),
    };
    if !(1..=20).contains(&size.len()) || !size.bytes().all(|b| b.is_ascii_digit()) {
        return Err(replies::bad_chunk());
    }
    Ok(Command::Chunk { octets: size.parse().unwrap_or(u64::MAX), last })
}

/// Whether the line, understood or not, says that octets follow which are no commands.
pub(super) fn announces_chunk(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

/// `mechanism [SP initial-response]` (RFC 4954 §4).
fn auth(argument: &str) -> Result<Command, Reply> {
    let (mechanism, initial) = match argument.split_once(' ') {
        None => (argument, None),
        Some((mechanism, initial)) => (mechanism, Some(Secret::new(initial.to_owned()))),
    };
    if mechanism.is_empty() {
        return Err(replies::argument_missing());
    }
    Ok(Command::Auth(Auth { mechanism: mechanism.to_owned(), initial }))
}

fn mail(argument: &str) -> Result<Command, Reply> {
    let (path, parameters) = path("FROM:", argument)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(mailbox(path).map_err(replies::bad_sender)?),
    };
    let mail = parameters::of_mail(reverse_path, parameters)?;
    let ascii = mail.from.reverse_path.address().is_none_or(Address::is_ascii);
    if !ascii && !mail.from.smtputf8 {
        return Err(replies::needs_smtputf8());
    }
    Ok(Command::Mail(mail))
}

fn recipient(argument: &str) -> Result<Command, Reply> {
    let (path, parameters) = path("TO:", argument)?;
    let to = match path {
        path if path.eq_ignore_ascii_case("postmaster") => Forward::Postmaster,
        path => Forward::Address(mailbox(path).map_err(replies::bad_recipient)?),
    };
    parameters::of_recipient(to, argument.is_ascii(), parameters).map(Command::Recipient)
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
