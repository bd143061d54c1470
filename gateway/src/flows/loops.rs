//! Mail that goes in circles: read before a mail is taken, whoever brings it.

use smtp::message::{Limits, MessageError, MessageFacts, values};
use smtp::reply::{Enhanced, Reply};
use smtp::trace;

/// How often one mail may pass through this house. Out to a list and back in again are two; a list of lists three.
pub const PASSAGES_MAX: usize = 5;

/// Why a message is not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The name that counters and journals know it by.
    pub rule: &'static str,
    /// What its sender hears.
    pub reply: Reply,
}

/// What a message says about itself, if it can be read and does not go in circles (RFC 5321 §6.3).
///
/// # Errors
/// [`Malformed`].
pub fn read(octets: &[u8], hostname: &str) -> Result<MessageFacts, Malformed> {
    let facts = smtp::message::read(octets, &Limits::default()).map_err(|malformed| {
        let rule = if malformed.is_loop() { "loop" } else { "malformed" };
        Malformed { rule, reply: malformed.reply() }
    })?;
    match is_back_too_often(octets, hostname) {
        true => Err(Malformed { rule: "loop", reply: in_circles() }),
        false => Ok(facts),
    }
}

/// Whether a message that arrived sealed goes in circles: only its trace is looked at; what else is wrong with it is the
/// business of our mail server.
///
/// # Errors
/// [`Malformed`].
pub fn check(octets: &[u8], hostname: &str) -> Result<(), Malformed> {
    let max = Limits::default().received_max;
    let reply = match values(octets, "Received").count() > max {
        true => MessageError::Loop { max }.reply(),
        false if is_back_too_often(octets, hostname) => in_circles(),
        false => return Ok(()),
    };
    Err(Malformed { rule: "loop", reply })
}

fn is_back_too_often(octets: &[u8], hostname: &str) -> bool {
    trace::passages(octets, hostname, is_queue_id) > PASSAGES_MAX
}

/// As [`queue_id_of`](super::records::queue_id_of) writes them: ours, not a name-sake's.
fn is_queue_id(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'V').contains(&b))
}

fn in_circles() -> Reply {
    let text = format!("mail loop: this message was here more than {PASSAGES_MAX} times before");
    Reply::new(554, Enhanced(5, 4, 6), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::records::queue_id_of;
    use crate::spool::RowId;

    fn with(fields: usize, by: &str) -> Vec<u8> {
        let field =
            || format!("Received: from x by {by} with ESMTP id {};\r\n now\r\n", queue_id_of(RowId::fresh()));
        let header: String = std::iter::repeat_with(field).take(fields).collect();
        format!("{header}Subject: hi\r\n\r\nbody\r\n").into_bytes()
    }

    #[test]
    fn a_message_that_keeps_coming_back_to_us_is_a_loop() {
        let ours = "gateway.acme.test";
        assert!(read(&with(PASSAGES_MAX, ours), ours).is_ok());
        let malformed = read(&with(PASSAGES_MAX + 1, ours), ours).unwrap_err();
        assert_eq!((malformed.rule, malformed.reply.code), ("loop", 554));
        assert!(malformed.reply.to_string().contains("5.4.6"), "{}", malformed.reply);
        assert!(check(&with(PASSAGES_MAX + 1, ours), ours).is_err());
    }

    #[test]
    fn a_message_that_has_been_everywhere_is_a_loop() {
        assert!(read(&with(100, "mx.globex.test"), "gateway.acme.test").is_ok());
        let everywhere = with(101, "mx.globex.test");
        let malformed = read(&everywhere, "gateway.acme.test").unwrap_err();
        assert!(malformed.rule == "loop" && malformed.reply.to_string().contains("5.4.6"), "{malformed:?}");
        assert_eq!(check(&everywhere, "gateway.acme.test"), Err(malformed));
    }

    #[test]
    fn what_arrived_sealed_may_be_odd_but_not_go_in_circles() {
        assert!(check(b"no header at all", "gateway.acme.test").is_ok());
        assert_eq!(read(b"no header at all", "gateway.acme.test").unwrap_err().rule, "malformed");
    }
}
