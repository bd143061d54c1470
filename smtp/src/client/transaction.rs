//! One mail transaction: MAIL, RCPT, DATA, and what each reply means for whom.

use super::{
    Envelope, HandOverError, Outcome, Protocol, SaidBy, Stage,
    capabilities::Capabilities,
    connection::Connection,
    content::Content,
    parameters,
    replies::{ReplyError, ServerReply},
};
use crate::{
    address::Address,
    reply::{Enhanced, Reply},
};

/// Commands written before their replies are read. A few dozen fit the socket buffers in both directions, so
/// that neither side can block the other (RFC 2920 §3.1).
const COMMANDS_PER_GROUP_MAX: usize = 64;

/// Sends the message on `connection` to all recipients it can be sent to.
pub(super) async fn run(
    connection: &mut Connection,
    envelope: &Envelope,
    content: &Content<'_>,
) -> Result<Vec<Outcome>, HandOverError> {
    connection.begin();
    let done = transact(connection, envelope, content).await;
    connection.until = None;
    done
}

async fn transact(
    connection: &mut Connection,
    envelope: &Envelope,
    content: &Content<'_>,
) -> Result<Vec<Outcome>, HandOverError> {
    let mut ledger = Ledger::new(&envelope.forward_paths);
    let capabilities = connection.capabilities.clone();
    // What is wrong with one address is said before what is wrong with the whole message: it is the nearer cause.
    ledger.refuse_unsendable(&capabilities);
    if let Err(reply) = require(envelope, content, connection) {
        ledger.settle_open(&reply, SaidBy::Client);
    }
    if ledger.open().next().is_none() {
        return Ok(ledger.outcomes(&capabilities));
    }

    let data_awaited = exchange_envelope(connection, &mut ledger, envelope, content).await?;
    let accepted: Vec<usize> = ledger.open().collect();
    match (data_awaited, accepted.is_empty()) {
        (true, false) => {
            connection.send_content(content.pieces()).await?;
            read_final_replies(connection, &mut ledger, &accepted).await?;
        }
        // RFC 2920 §3.1: DATA went out together with the RCPTs that all failed, and the server wants mail
        // data nevertheless. It gets none, and no further transaction: who knows how it counts replies.
        (true, true) => connection.spent = true,
        (false, _) => {}
    }
    Ok(ledger.outcomes(&capabilities))
}

/// What the server must be able to do for this message, whoever the recipients are; else the reply to give
/// in its place. See the table in the module's documentation.
fn require(envelope: &Envelope, content: &Content<'_>, connection: &Connection) -> Result<(), Reply> {
    let offered = &connection.capabilities;
    let refuse = |code, enhanced, text: &str| Err(Reply::new(code, enhanced, text));
    // RFC 8689 §4.2.1: neither without a proof of who the server is, nor to one that might not keep the promise.
    if envelope.insists_on_tls() && !connection.verified {
        let text =
            "REQUIRETLS was asked for and the connection is not one with TLS to a verified mail server";
        return refuse(550, Enhanced(5, 7, 10), text);
    }
    if envelope.insists_on_tls() && !offered.require_tls {
        let text = "REQUIRETLS was asked for and the mail server does not offer it";
        return refuse(550, Enhanced(5, 7, 30), text);
    }
    if !offered.smtputf8 && !envelope.reverse_path.is_ascii() {
        let text = "the sender's address is not ASCII and the mail server does not offer SMTPUTF8";
        return refuse(553, Enhanced(5, 6, 7), text);
    }
    if !offered.smtputf8 && envelope.smtputf8 && content.eight_bit_header {
        let text = "the message has UTF-8 headers and the mail server does not offer SMTPUTF8";
        return refuse(554, Enhanced(5, 6, 9), text);
    }
    if content.eight_bit && !offered.eight_bit_mime && connection.protocol == Protocol::Smtp {
        let text = "the message has 8-bit content and the mail server does not offer 8BITMIME";
        return refuse(554, Enhanced(5, 6, 3), text);
    }
    if let Some(Some(limit)) = offered.size.filter(|limit| limit.is_some_and(|limit| content.size > limit)) {
        let text = format!("the message has {} octets and the mail server takes {limit}", content.size);
        return refuse(552, Enhanced(5, 3, 4), &text);
    }
    Ok(())
}

/// A command whose reply is awaited.
#[derive(Clone, Copy)]
enum Command {
    Reset,
    Mail,
    Recipient(usize),
    Data,
}

impl Command {
    fn stage(self) -> Stage {
        match self {
            Self::Reset => Stage::Reset,
            Self::Mail => Stage::Mail,
            Self::Recipient(_) => Stage::Recipient,
            Self::Data => Stage::Data,
        }
    }
}

/// Sends the commands up to DATA, in groups if the server takes them so. True if it now awaits mail data.
async fn exchange_envelope(
    connection: &mut Connection,
    ledger: &mut Ledger<'_>,
    envelope: &Envelope,
    content: &Content<'_>,
) -> Result<bool, HandOverError> {
    let mut commands: Vec<Command> = Vec::new();
    commands.extend(connection.needs_reset.then_some(Command::Reset));
    commands.push(Command::Mail);
    commands.extend(ledger.open().map(Command::Recipient));
    commands.push(Command::Data);

    let mut data_awaited = false;
    let group_length = if connection.capabilities.pipelining { COMMANDS_PER_GROUP_MAX } else { 1 };
    for group in commands.chunks(group_length) {
        // Before a lone DATA, and whenever MAIL was refused: nobody is left to send to.
        let Some(first) = group.first() else { break };
        if ledger.open().next().is_none() {
            break;
        }
        let lines: String =
            group.iter().map(|command| line_of(*command, connection, ledger, envelope, content)).collect();
        connection.send(&lines, first.stage()).await?;
        for command in group {
            let reply = connection.reply(command.stage()).await?;
            data_awaited |= weigh(*command, reply, connection, ledger)?;
        }
    }
    Ok(data_awaited)
}

fn line_of(
    command: Command,
    connection: &Connection,
    ledger: &Ledger<'_>,
    envelope: &Envelope,
    content: &Content<'_>,
) -> String {
    match command {
        Command::Reset => "RSET\r\n".to_owned(),
        Command::Mail => mail_line(envelope, content, connection),
        Command::Recipient(index) => {
            let wish = envelope.wishes.get(index).filter(|_| connection.capabilities.dsn);
            let parameters = wish.map(parameters::of_recipient).unwrap_or_default();
            format!("RCPT TO:<{}>{parameters}\r\n", ledger.recipient(index))
        }
        Command::Data => "DATA\r\n".to_owned(),
    }
}

/// MAIL FROM with the parameters that are offered and needed.
fn mail_line(envelope: &Envelope, content: &Content<'_>, connection: &Connection) -> String {
    let offered = &connection.capabilities;
    let addresses_ascii =
        envelope.reverse_path.is_ascii() && envelope.forward_paths.iter().all(|path| path.is_ascii());
    let mut line = format!("MAIL FROM:<{}>", envelope.reverse_path);
    if offered.size.is_some() {
        line += &format!(" SIZE={}", content.size);
    }
    if offered.eight_bit_mime && (envelope.body_8bit || content.eight_bit) {
        line += " BODY=8BITMIME";
    }
    if offered.smtputf8 && (envelope.smtputf8 || !addresses_ascii) {
        line += " SMTPUTF8";
    }
    if envelope.require_tls && connection.verified && offered.require_tls {
        line += " REQUIRETLS";
    }
    if offered.dsn {
        line += &parameters::of_mail(envelope);
    }
    line + "\r\n"
}

/// Books a reply to a command of the envelope. True if it is the go-ahead for mail data.
fn weigh(
    command: Command,
    reply: ServerReply,
    connection: &mut Connection,
    ledger: &mut Ledger<'_>,
) -> Result<bool, HandOverError> {
    let stage = command.stage();
    if reply.is_closing() {
        return Err(HandOverError::Refused { stage, reply: reply.into() });
    }
    match (command, reply.code / 100) {
        (Command::Reset, 2) => connection.needs_reset = false,
        (Command::Mail, 2) => connection.needs_reset = true,
        (Command::Recipient(_), 2) => {}
        (Command::Data, 3) if reply.code == 354 => return Ok(true),
        (Command::Reset, 4 | 5) => return Err(HandOverError::Refused { stage, reply: reply.into() }),
        (Command::Mail | Command::Data, 4 | 5) => ledger.settle_open(&reply.into(), SaidBy::Server),
        (Command::Recipient(index), 4 | 5) => ledger.settle(index, reply.into(), SaidBy::Server),
        _ => return Err(HandOverError::Reply { stage, source: ReplyError::OutOfPlace(reply.code) }),
    }
    Ok(false)
}

/// The reply (SMTP) or the replies (LMTP, RFC 2033 §4.2) to the final dot. From here on the server may have
/// delivered, so what is not understood leaves open whether it has.
async fn read_final_replies(
    connection: &mut Connection,
    ledger: &mut Ledger<'_>,
    accepted: &[usize],
) -> Result<(), HandOverError> {
    connection.needs_reset = false;
    for (answers, index) in accepted.iter().enumerate() {
        match final_reply(connection).await {
            Ok(reply) if connection.protocol == Protocol::Smtp => {
                ledger.settle_open(&reply, SaidBy::Server);
                break;
            }
            Ok(reply) => ledger.settle(*index, reply, SaidBy::Server),
            Err(cause) if answers == 0 => return Err(HandOverError::Unconfirmed { cause: cause.into() }),
            // Some recipients have their answer already and keep it, or they would get a second copy.
            Err(cause) => {
                connection.spent = true;
                let text = format!("the message may have been delivered: {cause}");
                ledger.settle_open(&Reply::new(451, Enhanced(4, 4, 2), text), SaidBy::Silence);
                break;
            }
        }
    }
    Ok(())
}

async fn final_reply(connection: &mut Connection) -> Result<Reply, HandOverError> {
    let stage = Stage::EndOfData;
    let reply = connection.reply(stage).await?;
    // 421 is an answer here as well: "not this message, and no further one".
    connection.spent |= reply.is_closing();
    match reply.code / 100 {
        2 | 4 | 5 => Ok(reply.into()),
        _ => Err(HandOverError::Reply { stage, source: ReplyError::OutOfPlace(reply.code) }),
    }
}

/// Who has an answer, and which. The open ones are still to be sent to.
struct Ledger<'a> {
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    recipient: &'a str,
    answer: Option<(Reply, SaidBy)>,
}

impl<'a> Ledger<'a> {
    fn new(recipients: &'a [String]) -> Self {
        Self { entries: recipients.iter().map(|recipient| Entry { recipient, answer: None }).collect() }
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.answer.is_none()).map(|(index, _)| index)
    }

    fn recipient(&self, index: usize) -> &'a str {
        self.entries.get(index).map_or("", |entry| entry.recipient)
    }

    /// The first answer stays: a recipient that RCPT refused is not concerned by the reply to DATA.
    fn settle(&mut self, index: usize, reply: Reply, said_by: SaidBy) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.answer.get_or_insert((reply, said_by));
        }
    }

    fn settle_open(&mut self, reply: &Reply, said_by: SaidBy) {
        for entry in &mut self.entries {
            entry.answer.get_or_insert_with(|| (reply.clone(), said_by));
        }
    }

    /// Recipients that cannot be written into a RCPT command for this server.
    fn refuse_unsendable(&mut self, offered: &Capabilities) {
        for entry in self.entries.iter_mut().filter(|entry| entry.answer.is_none()) {
            let refusal = if entry.recipient.parse::<Address>().is_err() {
                Some((Enhanced(5, 1, 3), "the recipient is not a mail address"))
            } else if !offered.smtputf8 && !entry.recipient.is_ascii() {
                Some((
                    Enhanced(5, 6, 7),
                    "the address is not ASCII and the mail server does not offer SMTPUTF8",
                ))
            } else {
                None
            };
            entry.answer = refusal.map(|(enhanced, text)| (Reply::new(553, enhanced, text), SaidBy::Client));
        }
    }

    fn outcomes(self, offered: &Capabilities) -> Vec<Outcome> {
        let outcome = |entry: Entry<'a>| {
            let (reply, said_by) = entry.answer?;
            let dsn_passed_on = offered.dsn && said_by == SaidBy::Server && reply.is_positive();
            Some(Outcome { recipient: entry.recipient.to_owned(), reply, said_by, dsn_passed_on })
        };
        self.entries.into_iter().filter_map(outcome).collect()
    }
}
