//! A question without a message: would the server take mail for this recipient?

use super::{HandOverError, Stage, connection::Connection, replies::ServerReply};
use crate::{
    address::Address,
    reply::{Enhanced, Reply},
};

/// Names the null sender (RFC 5321 §4.5.5: whoever takes mail takes reports) and the recipient, and goes no further. The reply
/// is the one to RCPT; a server that would not begin says nothing about the recipient, which is an error.
pub(super) async fn run(connection: &mut Connection, recipient: &Address) -> Result<Reply, HandOverError> {
    let recipient = recipient.to_string();
    let utf8 = if recipient.is_ascii() { "" } else { " SMTPUTF8" };
    if !utf8.is_empty() && !connection.capabilities.smtputf8 {
        return Ok(Reply::new(553, Enhanced(5, 6, 7), "the mail server does not offer SMTPUTF8"));
    }
    if connection.needs_reset {
        let reply = ask(connection, "RSET\r\n", Stage::Reset).await?;
        if reply.code / 100 != 2 {
            return Err(HandOverError::Refused { stage: Stage::Reset, reply: reply.into() });
        }
    }
    let reply = ask(connection, &format!("MAIL FROM:<>{utf8}\r\n"), Stage::Mail).await?;
    if reply.code / 100 != 2 {
        return Err(HandOverError::Refused { stage: Stage::Mail, reply: reply.into() });
    }
    connection.needs_reset = true;
    Ok(ask(connection, &format!("RCPT TO:<{recipient}>\r\n"), Stage::Recipient).await?.into())
}

async fn ask(connection: &mut Connection, line: &str, stage: Stage) -> Result<ServerReply, HandOverError> {
    connection.send(line, stage).await?;
    let reply = connection.reply(stage).await?;
    match reply.is_closing() {
        true => Err(HandOverError::Refused { stage, reply: reply.into() }),
        false => Ok(reply),
    }
}
