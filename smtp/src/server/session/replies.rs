//! Every reply the session gives on its own, in one place, so that they can be read against the RFCs.

use super::line::AUTH_LINE_OCTETS_MAX;
use crate::address::AddressError;
use crate::reply::{Enhanced, Reply};

// The conversation goes on.

pub(super) fn greeting(hostname: &str) -> Reply {
    Reply::plain(220, format!("{hostname} ESMTP ready"))
}

pub(super) fn ehlo(hostname: &str, extensions: &[String]) -> Reply {
    Reply::plain(250, format!("{hostname}\n{}", extensions.join("\n")))
}

pub(super) fn helo(hostname: &str) -> Reply {
    Reply::plain(250, hostname)
}

pub(super) fn sender_ok() -> Reply {
    Reply::new(250, Enhanced(2, 1, 0), "sender ok")
}

pub(super) fn recipient_ok() -> Reply {
    Reply::new(250, Enhanced(2, 1, 5), "recipient ok")
}

pub(super) fn go_ahead() -> Reply {
    Reply::plain(354, "send the message, end with a line that holds a single dot")
}

pub(super) fn chunk_ok(octets: u64) -> Reply {
    Reply::new(250, Enhanced(2, 0, 0), format!("{octets} octets received"))
}

pub(super) fn ok() -> Reply {
    Reply::new(250, Enhanced(2, 0, 0), "ok")
}

pub(super) fn cannot_verify() -> Reply {
    Reply::new(252, Enhanced(2, 5, 0), "cannot verify, send the mail and see")
}

pub(super) fn help() -> Reply {
    let text = "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS AUTH\nsee RFC 5321";
    Reply::new(214, Enhanced(2, 0, 0), text)
}

pub(super) fn bye(hostname: &str) -> Reply {
    Reply::new(221, Enhanced(2, 0, 0), format!("{hostname} closing the connection"))
}

pub(super) fn ready_for_tls() -> Reply {
    Reply::new(220, Enhanced(2, 0, 0), "ready to start TLS")
}

// The conversation ends (RFC 5321 §3.8: 421 may answer any command).

pub(in crate::server) fn shutting_down(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 3, 2), format!("{hostname} is shutting down, try again later"))
}

pub(super) fn timed_out(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 4, 2), format!("{hostname} waited too long, closing the connection"))
}

pub(super) fn too_slow(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 4, 2), format!("{hostname}: the message arrives too slowly, try again later"))
}

pub(super) fn too_many_errors(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 7, 0), format!("{hostname}: too many errors, closing the connection"))
}

pub(super) fn too_many_commands(hostname: &str) -> Reply {
    let text = format!("{hostname}: too many commands without a message, closing the connection");
    Reply::new(421, Enhanced(4, 7, 0), text)
}

pub(super) fn count_lost(hostname: &str) -> Reply {
    let text = format!("{hostname}: what follows cannot be told from commands, closing the connection");
    Reply::new(421, Enhanced(4, 5, 0), text)
}

pub(in crate::server) fn too_many_sessions(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 3, 2), format!("{hostname} has too many connections, try again later"))
}

pub(in crate::server) fn too_many_sessions_from_you(hostname: &str) -> Reply {
    let text = format!("{hostname}: too many connections from your address, try again later");
    Reply::new(421, Enhanced(4, 7, 0), text)
}

pub(in crate::server) fn too_often(hostname: &str) -> Reply {
    let text = format!("{hostname}: too many new connections from your address, try again in a minute");
    Reply::new(421, Enhanced(4, 7, 0), text)
}

pub(in crate::server) fn banned(hostname: &str) -> Reply {
    let text = format!("{hostname}: too many errors or refusals for your address, try again later");
    Reply::new(421, Enhanced(4, 7, 0), text)
}

pub(in crate::server) fn memory_short(hostname: &str) -> Reply {
    Reply::new(421, Enhanced(4, 3, 1), format!("{hostname} is short of memory, try again later"))
}

// The line is wrong.

pub(super) fn bare_line_end_in_command() -> Reply {
    Reply::new(500, Enhanced(5, 5, 2), "bare CR or LF in a command, lines end with CRLF")
}

pub(super) fn control_in_command() -> Reply {
    Reply::new(500, Enhanced(5, 5, 2), "control character in a command")
}

pub(super) fn not_utf8() -> Reply {
    Reply::new(500, Enhanced(5, 5, 2), "the command is neither ASCII nor UTF-8")
}

pub(super) fn line_too_long(octets_max: usize) -> Reply {
    Reply::new(500, Enhanced(5, 5, 2), format!("line too long, at most {octets_max} octets"))
}

pub(super) fn unknown_command() -> Reply {
    Reply::new(500, Enhanced(5, 5, 1), "command not recognised")
}

pub(super) fn not_implemented() -> Reply {
    Reply::new(502, Enhanced(5, 5, 1), "command not implemented")
}

pub(super) fn argument_missing() -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), "the command needs an argument")
}

pub(super) fn argument_unexpected() -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), "the command takes no argument")
}

pub(super) fn bad_hello() -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), "give your host name or address literal: EHLO host.example")
}

pub(super) fn bad_path(keyword: &str) -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), format!("syntax: {keyword}<local@domain>"))
}

pub(super) fn bad_sender(error: AddressError) -> Reply {
    Reply::new(501, Enhanced(5, 1, 7), error.to_string()) // RFC 3463 X.1.7
}

pub(super) fn bad_recipient(error: AddressError) -> Reply {
    Reply::new(501, Enhanced(5, 1, 3), error.to_string()) // RFC 3463 X.1.3
}

pub(super) fn bad_chunk() -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), "syntax: BDAT octets [LAST]")
}

pub(super) fn bad_parameter(keyword: &str) -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), format!("bad value of parameter {keyword}"))
}

pub(super) fn repeated_parameter(keyword: &str) -> Reply {
    Reply::new(501, Enhanced(5, 5, 4), format!("parameter {keyword} given twice"))
}

pub(super) fn unknown_parameter(keyword: &str) -> Reply {
    Reply::new(555, Enhanced(5, 5, 4), format!("parameter {keyword} not recognised"))
}

pub(super) fn parameters_need_ehlo() -> Reply {
    Reply::new(555, Enhanced(5, 5, 4), "parameters need EHLO, not HELO")
}

pub(super) fn needs_smtputf8() -> Reply {
    Reply::new(553, Enhanced(5, 6, 7), "a non-ASCII address needs the SMTPUTF8 parameter") // RFC 6531 §3.5
}

// The order is wrong.

pub(super) fn hello_first() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "say EHLO first")
}

pub(super) fn nested_mail() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "MAIL was already given, RSET starts over")
}

pub(super) fn mail_first() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "MAIL first")
}

pub(super) fn chunks_begun() -> Reply {
    Reply::new(
        503,
        Enhanced(5, 5, 1),
        "the message has begun with BDAT and must go on with it, RSET starts over",
    )
}

pub(super) fn recipient_first() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "RCPT first")
}

pub(super) fn no_valid_recipients() -> Reply {
    Reply::new(554, Enhanced(5, 5, 1), "no valid recipients")
}

pub(super) fn tls_not_offered() -> Reply {
    Reply::new(502, Enhanced(5, 5, 1), "STARTTLS is not offered here")
}

pub(super) fn tls_already() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "TLS is already active")
}

pub(super) fn require_tls_needs_tls() -> Reply {
    Reply::new(530, Enhanced(5, 7, 10), "REQUIRETLS needs TLS here as well, say STARTTLS first")
}

pub(super) fn require_tls_impossible() -> Reply {
    Reply::new(550, Enhanced(5, 7, 30), "REQUIRETLS cannot be kept here, there is no TLS") // RFC 8689 §4.2.1
}

// Who is it? (RFC 4954 §6)

pub(super) fn challenge(base64: &str) -> Reply {
    Reply::plain(334, base64)
}

pub(super) fn authenticated() -> Reply {
    Reply::new(235, Enhanced(2, 7, 0), "authenticated")
}

pub(super) fn authentication_required() -> Reply {
    Reply::new(530, Enhanced(5, 7, 0), "authenticate first, with AUTH under TLS")
}

pub(super) fn authenticated_already() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "already authenticated")
}

pub(super) fn auth_in_transaction() -> Reply {
    Reply::new(503, Enhanced(5, 5, 1), "no AUTH within a mail transaction, RSET ends it")
}

pub(super) fn auth_needs_tls() -> Reply {
    Reply::new(538, Enhanced(5, 7, 11), "AUTH needs TLS, say STARTTLS first")
}

pub(super) fn mechanism_unknown() -> Reply {
    Reply::new(504, Enhanced(5, 5, 4), "this way to authenticate is not offered here")
}

pub(super) fn not_base64() -> Reply {
    Reply::new(501, Enhanced(5, 5, 2), "the response is not base64")
}

pub(super) fn auth_malformed() -> Reply {
    Reply::new(501, Enhanced(5, 5, 2), "the response is not what the mechanism knows")
}

pub(super) fn auth_cancelled() -> Reply {
    Reply::new(501, Enhanced(5, 7, 0), "authentication cancelled")
}

pub(super) fn auth_line_too_long() -> Reply {
    Reply::new(500, Enhanced(5, 5, 6), format!("response too long, at most {AUTH_LINE_OCTETS_MAX} octets"))
}

pub(super) fn credentials_invalid() -> Reply {
    Reply::new(535, Enhanced(5, 7, 8), "the credentials are not valid")
}

pub(super) fn auth_unavailable() -> Reply {
    Reply::new(454, Enhanced(4, 7, 0), "credentials cannot be checked now, try again later")
}

// The message cannot be taken.

pub(super) fn declared_too_large(declared: u64, size_max: u64) -> Reply {
    let text = format!("a message of {declared} octets exceeds the limit of {size_max} octets");
    Reply::new(552, Enhanced(5, 3, 4), text)
}

pub(super) fn too_large(octets: u64, size_max: u64) -> Reply {
    let text = format!("the message has {octets} octets and exceeds the limit of {size_max} octets");
    Reply::new(552, Enhanced(5, 3, 4), text)
}

pub(super) fn no_memory() -> Reply {
    Reply::new(452, Enhanced(4, 3, 1), "not enough memory for the message now, try again later")
}

pub(super) fn too_many_recipients(recipients_max: usize) -> Reply {
    let text = format!("at most {recipients_max} recipients, send another copy to the others");
    Reply::new(452, Enhanced(4, 5, 3), text) // RFC 5321 §4.5.3.1.10
}

pub(super) fn bare_line_end_in_message(line: u64) -> Reply {
    let text = format!("message refused: bare LF or bare CR in line {line}, send every line with CRLF");
    Reply::new(554, Enhanced(5, 6, 0), text)
}

pub(in crate::server) fn house_confused() -> Reply {
    Reply::new(451, Enhanced(4, 3, 0), "internal error, try again later")
}
