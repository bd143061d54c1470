//! Mail home: from the outside world to our own people.
//!
//! ```text
//! recognise  recipient → one of ours, and known to our mail server           (at RCPT; anything else is relaying)
//! read       octets, headers, MIME; what claims to be ours is cut out        (smtp::message, smtp::authenticity)
//!            who sent it: SPF, DKIM, DMARC, ARC                              (smtp::authenticity)
//! decide     per recipient at RCPT, once for the mail                        (policies)
//! note       sealed to ourselves + the copy for the archive, 250             (spool, archive)
//! act        later, by delivery: hand over to our mail server                (flows::mail_in)
//! ```
//!
//! What our own people write to each other takes the same row ([`keep::row`]) from `mail_out`.
//!
//! Invariants: nobody at this door is trusted, whatever address it comes from; only our own domains are served; DNS that does
//! not answer is a reason to wait, never to refuse.

mod authentic;
mod chain;
mod commit;
mod copy;
pub mod keep;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use dccp::UnixMillis;
use federation::Recognition;
use policies::{
    Authenticity, Client, Decision, Destination, Direction as Way, MailFacts, Marks, Permit, RecipientFacts,
    Role, SenderStanding, Verdict,
};
use smtp::address::Address;
use smtp::authenticity::{Asked, Verifier};
use smtp::message::MessageFacts;
use smtp::reply::Reply;
use smtp::server::{MailFrom, RcptTo};

use crate::agents::Agents;
use crate::aliases::MEMBERS_MAX;
use crate::archive::Archivist;
use crate::clock::{Clock, system_time};
use crate::custody::Custody;
use crate::flows::bodies::Bodies;
use crate::flows::report::Reporter;
use crate::flows::{Knowledge, Snapshot, envelope, expect_agent, loops, replies, words};
use crate::metrics::{self, Metrics};
use crate::recipients::CallAhead;
use crate::spool::{Note, Spool, Stage, State};

pub use chain::Chain;

use commit::Letter;

/// The house as the outside world sees it.
pub struct MailHome {
    /// People, partners, rules.
    pub knowledge: Knowledge,
    /// Finds out who sent a mail.
    pub verifier: Verifier,
    /// Asks our mail server about recipients, if the configuration says so.
    pub recipients: Option<CallAhead>,
    /// Which of our addresses are agents'.
    pub agents: Agents,
    /// Seals to ourselves.
    pub custody: Arc<Custody>,
    /// Keeps.
    pub spool: Spool,
    /// Makes the copies that must be kept.
    pub archivist: Archivist,
    /// Tells senders that an alias was expanded.
    pub reporter: Reporter,
    /// Puts octets away.
    pub bodies: Bodies,
    /// Counters.
    pub metrics: Metrics,
    /// Our name in trace headers.
    pub hostname: String,
    /// The name under which we write down what we found out.
    pub authserv_id: String,
    /// Seals it for those behind us, if the configuration says so.
    pub chain: Option<Chain>,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Milliseconds that a mail may wait for our mail server.
    pub lifetime_ms: u64,
    /// Time.
    pub clock: Clock,
}

/// One mail between `MAIL FROM` and the final `250`.
pub struct Transaction {
    snapshot: Snapshot,
    client: smtp::server::Client,
    from: MailFrom,
    recipients: Vec<RcptTo>,
    /// Aliases for several, whose sender wants to hear of success.
    expanded: Vec<RcptTo>,
}

impl MailHome {
    /// Begins with one mail from outside.
    pub fn mail(&self, client: &smtp::server::Client, from: MailFrom) -> Transaction {
        let snapshot = self.knowledge.snapshot();
        let (recipients, expanded) = (Vec::new(), Vec::new());
        Transaction { snapshot, client: client.clone(), from, recipients, expanded }
    }

    /// One more recipient, if it is one of ours; or an alias, if all that it comes to is: nobody outside makes us a relay.
    ///
    /// # Errors
    /// The reply for the client.
    pub async fn recipient(&self, tx: &mut Transaction, to: RcptTo) -> Result<(), Reply> {
        let Some(members) = tx.snapshot.aliases.expand(&to.address) else {
            self.decide_recipient(tx, &to.address)?;
            let expected = expect_agent(&self.agents, &to.address).await;
            expected.map_err(|reply| self.turn_away("agent-unknown", reply))?;
            // After the judge: our mail server hears of our own domains only, and nothing of agents.
            if let Some(call_ahead) =
                self.recipients.as_ref().filter(|_| !self.agents.own(to.address.as_str()))
            {
                let asked = call_ahead.ask(&to.address, (self.clock)()).await;
                asked.map_err(|reply| self.turn_away("recipient-unknown", reply))?;
            }
            tx.recipients.push(to);
            return Ok(());
        };
        if tx.recipients.len() + members.len() > MEMBERS_MAX {
            return Err(self.turn_away("recipients", replies::too_many_recipients()));
        }
        members.iter().try_for_each(|member| self.decide_recipient(tx, member))?;
        let known: HashSet<Address> = tx.recipients.iter().map(|known| known.address.clone()).collect();
        let is_list = members.len() > 1;
        let fresh = members.into_iter().filter(|member| !known.contains(member));
        tx.recipients.extend(fresh.map(|address| envelope::member_of(&to, address, is_list)));
        tx.expanded.extend((is_list && to.notify.asks_for_success()).then_some(to));
        Ok(())
    }

    fn decide_recipient(&self, tx: &Transaction, to: &Address) -> Result<(), Reply> {
        let decision = tx.decide_recipient(to);
        let Verdict::Refuse(refusal) = decision.verdict else { return Ok(()) };
        let rule = decision.reasons.first().map_or("none", |reason| reason.rule.as_str());
        Err(self.turn_away(rule, replies::refused(&refusal)))
    }

    /// The whole mail: a positive reply is the promise that it is kept.
    pub async fn message(&self, tx: Transaction, octets: Bytes) -> Reply {
        match self.accept(tx, octets).await {
            Ok(queue_id) => replies::queued(&queue_id),
            Err(reply) => reply,
        }
    }

    /// From the last dot to the durable commit. The error is the reply.
    async fn accept(&self, tx: Transaction, octets: Bytes) -> Result<String, Reply> {
        let arrived = (self.clock)();
        let facts = loops::read(&octets, &self.hostname)
            .map_err(|malformed| self.turn_away(malformed.rule, malformed.reply))?;
        let verdicts = self.verifier.verify(tx.asked(&octets)).await;
        if verdicts.temporary {
            return Err(self.turn_away("undecided", authentic::undecided(&verdicts)));
        }
        let decision =
            tx.decide_mail(&facts, octets.len() as u64, self.size_max, authentic::facts(&verdicts));
        let decided = Note::new((self.clock)(), Stage::Decided, words(&decision));
        let state = match decision.verdict {
            Verdict::Refuse(refusal) => {
                let rule = decision.reasons.first().map_or("none", |reason| reason.rule.as_str());
                return Err(self.turn_away(rule, replies::refused(&refusal)));
            }
            Verdict::Hold => State::Held,
            // Nothing is handed over here: delivery asks for a permit of its own when it does.
            Verdict::Allow(_) => State::Queued,
        };
        let letter = Letter { octets, facts: &facts, verdicts: &verdicts, state, decided, arrived };
        let queue_id = self.commit(&tx, &letter).await?;
        self.metrics.stage_since(metrics::Stage::Accept, arrived, (self.clock)());
        Ok(queue_id)
    }

    fn turn_away(&self, rule: &str, reply: Reply) -> Reply {
        self.metrics.refused(rule);
        reply
    }
}

impl Transaction {
    fn decide_recipient(&self, to: &Address) -> Decision<()> {
        let (sender, recipient) = (self.from.reverse_path.to_string(), to.to_string());
        let destination = match self.snapshot.directory.recognise(&recipient) {
            Recognition::Ours(_) => Destination::Ours,
            _ => Destination::Unknown,
        };
        policies::decide_recipient(
            &self.snapshot.rules,
            &RecipientFacts {
                direction: Way::FromOutside,
                sender: &sender,
                sender_standing: foreign_standing(&self.snapshot, &sender),
                recipient: &recipient,
                recipient_domain: to.domain(),
                destination,
                client: self.nobody(),
                marks: Marks::default(),
                outside: None,
            },
        )
    }

    fn decide_mail(
        &self,
        facts: &MessageFacts,
        size: u64,
        size_max: u64,
        authenticity: Authenticity<'_>,
    ) -> Decision<Permit> {
        let sender = self.from.reverse_path.to_string();
        policies::decide_mail(
            &self.snapshot.rules,
            &MailFacts {
                direction: Way::FromOutside,
                sender: &sender,
                sender_standing: foreign_standing(&self.snapshot, &sender),
                destination: Destination::Ours,
                client: self.nobody(),
                marks: Marks::default(),
                require_tls: self.from.require_tls,
                outside: None,
                authenticity: Some(authenticity),
                recipients: self.recipients.len(),
                size,
                size_max,
                content_type: &facts.content_type,
                owns_from: true,
                approved: false,
            },
        )
    }

    /// Trusted networks are for the doors inside; here they count nothing.
    fn nobody(&self) -> Client<'static> {
        Client { role: Role::Mx, tls: self.client.tls.is_some(), ..Client::NOBODY }
    }

    fn asked<'a>(&'a self, octets: &'a [u8]) -> Asked<'a> {
        let (ip, hello) = (self.client.address.ip(), self.client.hello.as_str());
        Asked { ip, hello, reverse_path: &self.from.reverse_path, octets }
    }

    fn received(&self, by: &str, queue_id: &str, at: UnixMillis) -> String {
        let named: Vec<Address> = self.recipients.iter().map(|to| to.address.clone()).collect();
        let facts = smtp::trace::Received {
            from: &self.client.hello,
            address: Some(self.client.address.ip()),
            tls: self.client.tls.as_ref(),
            by,
            with: smtp::trace::protocol(&self.client, self.from.smtputf8),
            id: queue_id,
            recipients: &named,
        };
        smtp::trace::received(&facts, system_time(at))
    }
}

/// Whose address the reverse-path of a mail is that came in the clear.
pub(super) fn foreign_standing(snapshot: &Snapshot, reverse_path: &str) -> SenderStanding {
    match snapshot.directory.recognise(reverse_path) {
        Recognition::Null => SenderStanding::Null,
        Recognition::Ours(_) => SenderStanding::Ours,
        Recognition::NotOurs => {
            let domain = reverse_path.rsplit_once('@').map_or("", |(_, domain)| domain);
            match snapshot.partners.by_domain(domain) {
                Some(_) => SenderStanding::ThePartner,
                None => SenderStanding::Foreign,
            }
        }
    }
}
