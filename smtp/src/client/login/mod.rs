//! Logging in at a server that wants to know its clients: a smarthost (RFC 4954).
//!
//! Of the mechanisms that the server offers and the credentials allow, the best one is used: SCRAM before those that
//! show the password. Names, passwords and tokens are written nowhere but into the connection, and never into one that
//! others can read.

mod scram;

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use zeroize::Zeroizing;

use self::scram::First;
use super::connection::Connection;
use super::replies::{ReplyError, ServerReply};
use super::{HandOverError, Stage};
use crate::reply::Reply;
use crate::sasl::{Credentials, Mechanism, Mechanisms, Secret};

/// Octets of randomness in our nonce (RFC 5802 §5.1 leaves the number open).
const NONCE_OCTETS: usize = 18;

/// Why we are not let in. All of them are ours or the server's to mend, so the mail waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Ours: the login would be readable on the way.
    #[error("the connection is in clear and leaves this machine")]
    InClear,
    /// Theirs, or our credentials are of the wrong kind.
    #[error("the server offers no mechanism for these credentials")]
    NoMechanism,
    /// In the words of the server.
    #[error("{0}")]
    Refused(Reply),
    /// Theirs or an attacker's: what the server said is not the mechanism's.
    #[error("the server does not keep to {0}")]
    OffScript(Mechanism),
    /// An attacker's: the server let us in without knowing the password.
    #[error("the server could not prove that it knows us")]
    Unproven,
}

/// Logs in, or says why not.
pub(super) async fn log_in(
    connection: &mut Connection,
    credentials: &Credentials,
    stays_here: bool,
) -> Result<(), HandOverError> {
    if connection.tls.is_none() && !stays_here {
        return Err(LoginError::InClear.into());
    }
    let mechanism = best(credentials, &connection.capabilities.auth).ok_or(LoginError::NoMechanism)?;
    let reply = match (mechanism, credentials) {
        (Mechanism::ScramSha256, Credentials::Password { user, password }) => {
            scram(connection, user, password).await?
        }
        (Mechanism::Login, Credentials::Password { user, password }) => {
            login(connection, user, password).await?
        }
        (_, Credentials::Password { user, password }) => {
            // RFC 4616 §2: nobody to act for, who, and the password.
            let message = Zeroizing::new(format!("\0{user}\0{}", password.reveal()));
            begin(connection, mechanism, Some(message.as_bytes())).await?
        }
        (_, Credentials::Token { user, token }) => {
            bearer(connection, mechanism, user.as_deref().unwrap_or_default(), token).await?
        }
    };
    match reply.code {
        235 => Ok(()),
        400..=599 => Err(LoginError::Refused(reply.into()).into()),
        code => Err(HandOverError::Reply { stage: Stage::Auth, source: ReplyError::OutOfPlace(code) }),
    }
}

/// In the order of [`Mechanism`], which is the order of preference.
fn best(credentials: &Credentials, offered: &Mechanisms) -> Option<Mechanism> {
    let fits = |mechanism: &&Mechanism| match credentials {
        Credentials::Password { .. } => {
            matches!(mechanism, Mechanism::ScramSha256 | Mechanism::Plain | Mechanism::Login)
        }
        Credentials::Token { .. } => matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2),
    };
    offered.iter().find(fits).copied()
}

/// `AUTH`, with the first message where the mechanism begins with one of ours (RFC 4954 §4).
async fn begin(
    connection: &mut Connection,
    mechanism: Mechanism,
    first: Option<&[u8]>,
) -> Result<ServerReply, HandOverError> {
    let mut line = Zeroizing::new(format!("AUTH {mechanism}"));
    if let Some(first) = first {
        line.push(' ');
        line.push_str(&Zeroizing::new(BASE64.encode(first)));
    }
    line.push_str("\r\n");
    connection.ask(&line, Stage::Auth).await
}

async fn answer(connection: &mut Connection, message: &[u8]) -> Result<ServerReply, HandOverError> {
    let mut line = Zeroizing::new(BASE64.encode(message));
    line.push_str("\r\n");
    connection.ask(&line, Stage::Auth).await
}

/// What the server wants to hear about: the text of a 334, decoded.
fn challenge(reply: &ServerReply) -> Option<Vec<u8>> {
    let [line] = reply.lines.as_slice() else { return None };
    BASE64.decode(line).ok().filter(|_| reply.code == 334)
}

/// Name, then password, whatever the server calls its questions.
async fn login(
    connection: &mut Connection,
    user: &str,
    password: &Secret,
) -> Result<ServerReply, HandOverError> {
    let mut reply = begin(connection, Mechanism::Login, None).await?;
    for message in [user, password.reveal()] {
        if reply.code != 334 {
            return Ok(reply);
        }
        reply = answer(connection, message.as_bytes()).await?;
    }
    Ok(reply)
}

/// RFC 7628 §3.1, and the form from before it.
async fn bearer(
    connection: &mut Connection,
    mechanism: Mechanism,
    user: &str,
    token: &Secret,
) -> Result<ServerReply, HandOverError> {
    let who = match (mechanism, user) {
        (Mechanism::OAuthBearer, "") => "n,,".to_owned(),
        (Mechanism::OAuthBearer, user) => format!("n,a={},", scram::saslname(user)),
        _ => format!("user={user}"),
    };
    let message = Zeroizing::new(format!("{who}\x01auth=Bearer {}\x01\x01", token.reveal()));
    let reply = begin(connection, mechanism, Some(message.as_bytes())).await?;
    match reply.code {
        // The reason in JSON; the refusal itself comes after one more word of ours (RFC 7628 §3.2.3).
        334 => answer(connection, b"\x01").await,
        _ => Ok(reply),
    }
}

/// RFC 7677; the server proves itself as well.
async fn scram(
    connection: &mut Connection,
    user: &str,
    password: &Secret,
) -> Result<ServerReply, HandOverError> {
    let mechanism = Mechanism::ScramSha256;
    let mut nonce = [0; NONCE_OCTETS];
    rand::fill(&mut nonce).map_err(|_| LoginError::OffScript(mechanism))?;
    let first = First::new(user, &BASE64.encode(nonce));
    let reply = begin(connection, mechanism, Some(first.message().as_bytes())).await?;
    let Some(question) = challenge(&reply) else { return off_script(reply) };
    let last = first.answer(password, &question).ok_or(LoginError::OffScript(mechanism))?;
    let reply = answer(connection, last.message().as_bytes()).await?;
    let Some(proof) = challenge(&reply) else { return off_script(reply) };
    if !last.proves_the_server(&proof) {
        return Err(LoginError::Unproven.into());
    }
    answer(connection, b"").await
}

/// A refusal is a regular end; that we are let in before the server has proven itself is not.
fn off_script(reply: ServerReply) -> Result<ServerReply, HandOverError> {
    match reply.code {
        400..=599 => Ok(reply),
        _ => Err(LoginError::OffScript(Mechanism::ScramSha256).into()),
    }
}
