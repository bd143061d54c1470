//! The flows of the house: one file per flow, each told with the same verbs
//! *read → recognise → decide → act → note*.
//!
//! ```text
//! reception  smtp session   ─► mail_out | mail_home, by the door
//! mail_out   smtp session   ─► seal per partner        ─► spool ─► 250            (origin)
//!                           └► outside: to ourselves    ─► spool ─► 250
//! agent_out  an agent, HTTP ─► mail_out
//! mail_home  smtp session   ─► who sent it, decide     ─► spool ─► 250            (from the outside world)
//! arrival    overlay stream ─► spool                   ─► overlay acknowledgement (destination)
//! mail_in    spool          ─► open, decide, hand over ─► receipt                 (destination)
//!                                           └► agents: into their inboxes
//! receipts   spool          ─► settle the originals    ─► report on failure       (origin)
//! report     an end, a delay ─► RFC 3464 report        ─► spool, as a notice
//! notice     what we write  ─► for our own mail server, or relayed
//! ```
//!
//! A flow takes one [`Snapshot`] of what is known (people, partners, rules) per message and journals the
//! generations, so that every decision can be explained afterwards.

use std::sync::Arc;

use dccp::message::FsClass;
use dccp::seal::SealedMessage;
use federation::Directory;
use policies::{Decision, Rules};
use smtp::address::Address;
use smtp::reply::Reply;
use tokio::sync::watch;

use crate::agents::Agents;
use crate::aliases::Aliases;
use crate::partners::Partners;
use crate::queue::standing::Standing;

pub mod agent_out;
pub mod arrival;
pub mod bodies;
pub mod envelope;
mod forgeries;
pub mod loops;
pub mod mail_home;
pub mod mail_in;
pub mod mail_out;
pub mod marks;
pub mod notice;
pub mod receipts;
pub mod reception;
pub mod records;
pub mod release;
mod replies;
pub mod report;
pub mod sealing;
pub mod under_way;

/// What the house knows at one moment: immutable values, so that a message is decided by one state of the world.
#[derive(Clone)]
pub struct Snapshot {
    /// Who is ours.
    pub directory: Arc<Directory>,
    /// Which organisations we exchange sealed mail with.
    pub partners: Arc<Partners>,
    /// Which addresses of ours stand for others.
    pub aliases: Arc<Aliases>,
    /// The rules of the judge.
    pub rules: Arc<Rules>,
    /// What people want to be held, whatever the judge says.
    pub standing: Arc<Standing>,
}

/// Where flows take their [`Snapshot`] from.
#[derive(Clone)]
pub struct Knowledge {
    directory: Arc<Directory>,
    partners: watch::Receiver<Arc<Partners>>,
    aliases: watch::Receiver<Arc<Aliases>>,
    rules: Arc<Rules>,
    standing: watch::Receiver<Arc<Standing>>,
}

impl Knowledge {
    /// Knowledge whose partners follow `partners`, whose aliases `aliases`, and whose standing rules `standing`.
    pub fn new(
        directory: Arc<Directory>,
        partners: watch::Receiver<Arc<Partners>>,
        aliases: watch::Receiver<Arc<Aliases>>,
        rules: Arc<Rules>,
        standing: watch::Receiver<Arc<Standing>>,
    ) -> Self {
        Self { directory, partners, aliases, rules, standing }
    }

    /// The state of the world now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            directory: self.directory.clone(),
            partners: self.partners.borrow().clone(),
            aliases: self.aliases.borrow().clone(),
            rules: self.rules.clone(),
            standing: self.standing.borrow().clone(),
        }
    }
}

/// Whether a recipient that was named may be one: in an agents' domain only agents are. The error is the reply.
async fn expect_agent(agents: &Agents, to: &Address) -> Result<(), Reply> {
    if !agents.own(to.as_str()) {
        return Ok(());
    }
    match agents.knows(to.as_str()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(replies::no_such_agent()),
        Err(error) => {
            tracing::warn!(%error, "it cannot be found out who is an agent; the client was told to try again");
            Err(replies::not_ready())
        }
    }
}

/// How a message is protected, in words for the journal: its suite, the kind of its key, and whether it goes in a session.
fn protection(sealed: &SealedMessage, fs_class: FsClass) -> String {
    let experimental = if sealed.suite().is_experimental() { " (experimental)" } else { "" };
    let session = if sealed.seq().is_some() { " + session" } else { "" };
    format!("suite {}{experimental}, {fs_class} key{session}", sealed.suite())
}

/// A decision in words for the journal: the rules that led to it, the decisive one first, and which rules were asked.
pub(crate) fn words<A>(decision: &Decision<A>) -> String {
    let rules: Vec<&str> = decision.reasons.iter().map(|reason| reason.rule.as_str()).collect();
    format!("{} (rules {})", rules.join(", "), decision.generation)
}
