//! Agent out: a message that an agent hands in over HTTP, as the mail that it becomes; the same way and the same judge as
//! for a person who submits one (`mail_out`), with the agent as the user.
//!
//! ```text
//! door ─► whole message ─► marks of a machine (RFC 3834) ─► mail_out: recipients, judge, seal, spool ─► queue id
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smtp::address::{Address, ReversePath};
use smtp::dsn::Notify;
use smtp::message::values;
use smtp::reply::Reply;
use smtp::server::{Client, MailFrom, RcptTo, Role};

use super::reception::Reception;

/// The field that counts machines that answered each other before a mail. It is a claim, as all of a header is, so its name is
/// not one of those that only we may use.
pub const ANSWERS_FIELD: &str = "Agent-Answers";

/// Sends for agents.
#[derive(Clone)]
pub struct AgentOut(Arc<Reception>);

/// Why a message of an agent was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declined {
    /// The recipient it is about; none: the whole message.
    pub recipient: Option<Address>,
    /// What a mail program would have been told.
    pub reply: Reply,
}

/// What a machine says of a message that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineMade {
    /// It answers another message.
    pub replies: bool,
    /// How many machines answered each other before it.
    pub answers: u32,
}

impl AgentOut {
    /// Sends through this reception.
    pub fn new(reception: Arc<Reception>) -> Self {
        Self(reception)
    }

    /// Takes a whole message of `agent` to all of `to`, or to nobody. The queue id is the promise that it is kept.
    ///
    /// # Errors
    /// [`Declined`].
    pub async fn send(
        &self,
        agent: &Address,
        to: &[Address],
        octets: Bytes,
        made: MachineMade,
    ) -> Result<String, Declined> {
        let octets = made.mark(octets);
        let from = MailFrom {
            reverse_path: ReversePath::Address(agent.clone()),
            size: Some(octets.len() as u64),
            body_8bit: !octets.is_ascii(),
            smtputf8: !std::iter::once(agent).chain(to).all(Address::is_ascii),
            ret: None,
            envid: None,
            require_tls: false,
        };
        let mut tx = self.0.out.mail(&client(agent), from, true).carried_by("HTTP");
        for address in to {
            let to = RcptTo { address: address.clone(), notify: Notify::default(), orcpt: None };
            let taken = self.0.out.recipient(&mut tx, to).await;
            taken.map_err(|reply| Declined { recipient: Some(address.clone()), reply })?;
        }
        self.0.out.accept(tx, octets).await.map_err(|reply| Declined { recipient: None, reply })
    }
}

impl MachineMade {
    /// The message with what it must say of itself in front (RFC 3834 §5), unless it says so.
    fn mark(self, octets: Bytes) -> Bytes {
        let mut front = String::new();
        if values(&octets, "Auto-Submitted").next().is_none() {
            let kind = if self.replies { "auto-replied" } else { "auto-generated" };
            front += &format!("Auto-Submitted: {kind}\r\n");
        }
        if self.answers > 0 {
            front += &format!("{ANSWERS_FIELD}: {}\r\n", self.answers);
        }
        if front.is_empty() {
            return octets;
        }
        let mut whole = BytesMut::with_capacity(front.len() + octets.len());
        whole.extend_from_slice(front.as_bytes());
        whole.extend_from_slice(&octets);
        whole.freeze()
    }
}

/// An agent as the judge sees it: somebody of ours who has proved who it is, at the door for such.
fn client(agent: &Address) -> Client {
    Client {
        role: Role::Submission,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        proxy: None,
        hello: "agent".to_owned(),
        tls: None,
        certificate: None,
        user: Some(agent.to_string()),
        trusted: false,
        esmtp: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(message: &str, replies: bool, answers: u32) -> String {
        let octets = MachineMade { replies, answers }.mark(Bytes::copy_from_slice(message.as_bytes()));
        String::from_utf8(octets.to_vec()).unwrap()
    }

    #[test]
    fn a_machine_says_that_it_is_one() {
        assert_eq!(
            marked("Subject: x\r\n\r\n", false, 0),
            "Auto-Submitted: auto-generated\r\nSubject: x\r\n\r\n"
        );
        assert_eq!(
            marked("Subject: x\r\n\r\n", true, 2),
            "Auto-Submitted: auto-replied\r\nAgent-Answers: 2\r\nSubject: x\r\n\r\n"
        );
    }

    #[test]
    fn a_message_that_says_so_itself_is_left_alone() {
        let said = "Auto-Submitted: auto-notified\r\n\r\n";
        assert_eq!(marked(said, false, 0), said);
    }
}
