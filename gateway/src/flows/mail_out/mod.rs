//! Mail out: from our mail servers and our people to partners, sealed, and to the outside where that is allowed.
//!
//! ```text
//! recognise  aliases → final recipients → ours | partner | outside           (at RCPT)
//! read       octets with strict CRLF, headers, MIME, marks, loops            (smtp::message)
//! decide     per final recipient at RCPT, per destination at the last dot    (policies)
//! act        partner: seal once; outside, ours: keep sealed to ourselves     (flows::sealing, custody)
//! note       rows + journal + the copy for the archive in one commit, 250    (spool, archive)
//! ```
//!
//! Every destination is decided before anything is sealed: one refusal refuses the whole mail, so nobody gets a copy of
//! what somebody else must not get. What goes outside leaves later, by the relay courier, which asks the judge again.

mod copy;
mod letter;
mod place;
mod rows;
mod transaction;

use bytes::Bytes;
use dccp::mail::Mail;
use federation::Recognition;
use policies::{
    Decision, Demand, Direction as Way, MailFacts, Marks, Permit, Reason, Refusal, SenderStanding, Verdict,
};
use smtp::address::Address;
use smtp::reply::Reply;
use smtp::server::{Client, MailFrom, RcptTo};

use crate::agents::Agents;
use crate::aliases::MEMBERS_MAX;
use crate::archive::{Archived, Archivist};
use crate::clock::Clock;
use crate::courier;
use crate::custody::Vault;
use crate::flows::bodies::Bodies;
use crate::flows::marks::Marking;
use crate::flows::records::Slip;
use crate::flows::report::Reporter;
use crate::flows::sealing::Sealer;
use crate::flows::{Knowledge, Snapshot, envelope, expect_agent, loops, replies};
use crate::introductions::Whereabouts;
use crate::metrics::{self, Metrics};
use crate::partners::Partner;
use crate::spool::{NewRow, Note, Spool, Stage};

use letter::Letter;
use place::{Place, Recipient, groups};
use rows::Kept;
use transaction::Law;
pub use transaction::Transaction;

/// The house as those see it who send.
pub struct MailOut {
    /// People, partners, aliases, rules.
    pub knowledge: Knowledge,
    /// Which of our addresses are agents'.
    pub agents: Agents,
    /// Seals.
    pub sealer: Sealer,
    /// Keeps.
    pub spool: Spool,
    /// Makes the copies that must be kept.
    pub archivist: Archivist,
    /// Tells senders that an alias was expanded.
    pub reporter: Reporter,
    /// Puts octets away.
    pub bodies: Bodies,
    /// Takes what was kept and is sealed.
    pub courier: courier::Handle,
    /// Which mail must be encrypted.
    pub marking: Marking,
    /// Where else mail may go.
    pub outside: Outside,
    /// Counters.
    pub metrics: Metrics,
    /// Our name in trace headers.
    pub hostname: String,
    /// The name under which nobody but us writes down what was found out about mail.
    pub authserv_id: String,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Milliseconds until a mail is given up and reported.
    pub lifetime_ms: u64,
    /// Time.
    pub clock: Clock,
}

/// Mail to domains that are no partner's.
pub struct Outside {
    /// What is demanded of the way there; `None`: nothing goes there, so nobody is asked about domains.
    pub demand: Option<Demand>,
    /// Domains that certainly have no gateway, in lower case.
    pub without_gateway: Vec<String>,
    /// Tells which of the others have one.
    pub whereabouts: Whereabouts,
}

impl MailOut {
    /// Begins with one mail of a server of ours, or of a person of ours who `owns_sender` or not.
    pub fn mail(&self, client: &Client, from: MailFrom, owns_sender: bool) -> Transaction {
        Transaction::new(self.knowledge.snapshot(), client.clone(), from, owns_sender)
    }

    /// One more recipient, or all that an alias comes to: together or not at all.
    ///
    /// # Errors
    /// The reply.
    pub async fn recipient(&self, tx: &mut Transaction, to: RcptTo) -> Result<(), Reply> {
        let expanded = tx.snapshot.aliases.expand(&to.address);
        let is_alias = expanded.is_some();
        let is_list = expanded.as_ref().is_some_and(|members| members.len() > 1);
        let members = expanded.unwrap_or_else(|| vec![to.address.clone()]);
        if tx.recipients.len() + members.len() > MEMBERS_MAX {
            return Err(self.turn_away("recipients", replies::too_many_recipients()));
        }
        let mut found = Vec::with_capacity(members.len());
        for address in members {
            let place = self.place_of(tx, &address).await?;
            let decision = tx.decide_recipient(&address, &place, self.law());
            if let Verdict::Refuse(refusal) = decision.verdict {
                return Err(self.refuse(&refusal, &decision.reasons));
            }
            if !is_alias {
                let expected = expect_agent(&self.agents, &address).await;
                expected.map_err(|reply| self.turn_away("agent-unknown", reply))?;
            }
            found.push(Recipient { to: envelope::member_of(&to, address, is_list), place });
        }
        found.into_iter().for_each(|recipient| tx.add(recipient));
        tx.named.push(to.address.clone());
        tx.expanded.extend((is_list && to.notify.asks_for_success()).then_some(to));
        Ok(())
    }

    /// The whole mail: a positive reply is the promise that it is kept.
    pub async fn message(&self, tx: Transaction, octets: Bytes) -> Reply {
        match self.accept(tx, octets).await {
            Ok(queue_id) => replies::queued(&queue_id),
            Err(reply) => reply,
        }
    }
}

impl MailOut {
    /// Where an address is. The error is the reply: nobody can tell now.
    async fn place_of(&self, tx: &Transaction, to: &Address) -> Result<Place, Reply> {
        if let Some(place) = Place::known(&tx.snapshot, to) {
            return Ok(place);
        }
        let domain = to.domain();
        if self.outside.demand.is_none() || self.outside.without_gateway.iter().any(|known| known == domain) {
            return Ok(Place::Outside(domain.to_owned()));
        }
        let gateway = self.outside.whereabouts.of(domain).await;
        Place::found(gateway, domain).ok_or_else(|| self.turn_away("gateway-unclear", replies::unclear()))
    }

    /// From the last dot to the durable commit. The error is the reply.
    pub(in crate::flows) async fn accept(&self, tx: Transaction, octets: Bytes) -> Result<String, Reply> {
        let arrived = (self.clock)();
        let facts = loops::read(&octets, &self.hostname)
            .map_err(|malformed| self.turn_away(malformed.rule, malformed.reply))?;
        let asked = self.marking.of_message(&octets);
        let times = (arrived, arrived.saturating_add_ms(self.lifetime_ms));
        let mut decided = Vec::new();
        for group in groups(&tx.recipients) {
            let said = (octets.len() as u64, facts.content_type.as_str());
            let decision = tx.decide_mail(said, &group, asked, self.law());
            if let Verdict::Refuse(refusal) = &decision.verdict {
                return Err(self.refuse(refusal, &decision.reasons));
            }
            decided.push((group, decision));
        }
        let letter = Letter::new(&tx, octets, facts, self, times).await;
        let letter = letter.map_err(|error| {
            tracing::warn!(%error, "the octets of a mail could not be kept; the client was told to try again");
            self.turn_away("spool", replies::not_put_away(&error))
        })?;
        let mut kept = Vec::with_capacity(decided.len());
        for (group, decision) in decided {
            kept.push(self.prepare(&tx, &letter, group, decision).await?);
        }
        let prepared = (self.clock)();
        self.metrics.stage_since(metrics::Stage::Seal, arrived, prepared);
        let archived = self.copy(&tx, &letter, &kept)?;
        self.keep(&tx, &letter, kept, archived).await?;
        let done = (self.clock)();
        self.metrics.stage_since(metrics::Stage::Commit, prepared, done);
        self.metrics.stage_since(metrics::Stage::Accept, arrived, done);
        Ok(letter.queue_id)
    }

    /// The durable line: after this the mail is ours, and only after this the courier may see it.
    async fn keep(
        &self,
        tx: &Transaction,
        letter: &Letter,
        kept: Vec<Kept>,
        archived: Option<Archived>,
    ) -> Result<(), Reply> {
        let (mut rows, mut notes, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        let (copy, copied) = archived.map(|archived| (archived.copy, archived.note)).unzip();
        for Kept { row, item, notes: said } in kept {
            let received = Note::new(letter.arrived, Stage::Received, format!("{} octets", letter.size));
            let said = std::iter::once(received).chain(copied.clone()).chain(said);
            notes.extend(said.map(|note| (row.id, note)));
            rows.push(row);
            ready.extend(item);
        }
        rows.extend(self.expanded(tx, letter));
        self.spool.accept_archived(rows, notes, copy).await.map_err(|error| {
            tracing::warn!(%error, queue_id = letter.queue_id, "a mail could not be kept; the client was told to try again");
            self.turn_away("spool", replies::not_kept(&error))
        })?;
        self.metrics.accepted(letter.size);
        for item in ready {
            self.courier.offer(item);
        }
        Ok(())
    }

    /// What the sender is told of aliases.
    fn expanded(&self, tx: &Transaction, letter: &Letter) -> Option<NewRow> {
        let envelope = envelope::taken(&tx.from, &tx.expanded);
        let slip = Slip::of(&envelope, letter.arrived, letter.slip_headers.clone());
        self.reporter.expanded(&slip, &tx.expanded, letter.arrived)
    }

    fn law(&self) -> Law<'_> {
        Law { marking: &self.marking, outside: self.outside.demand, size_max: self.size_max }
    }

    fn vault(&self) -> &Vault {
        self.sealer.custody.vault()
    }

    fn refuse(&self, refusal: &Refusal, reasons: &[Reason]) -> Reply {
        self.turn_away(
            reasons.first().map_or("none", |reason| reason.rule.as_str()),
            replies::refused(refusal),
        )
    }

    fn turn_away(&self, rule: &str, reply: Reply) -> Reply {
        self.metrics.refused(rule);
        reply
    }
}

/// Decides anew about a mail that was held before it was sealed: its client was believed when it was accepted.
pub fn decide_held(
    snapshot: &Snapshot,
    partner: &Partner,
    mail: &Mail,
    size_max: u64,
    approved: bool,
) -> Decision<Permit> {
    policies::decide_mail(
        &snapshot.rules,
        &MailFacts {
            direction: Way::Outbound,
            sender: &mail.envelope.reverse_path,
            sender_standing: sender_standing(snapshot, &mail.envelope.reverse_path),
            destination: partner.destination(),
            client: policies::Client::BELIEVED,
            marks: Marks::default(), // what is sealed is encrypted
            require_tls: mail.envelope.require_tls,
            outside: None,
            authenticity: None,
            recipients: mail.envelope.forward_paths.len(),
            size: mail.content.size(),
            size_max,
            content_type: "",
            owns_from: true,
            approved,
        },
    )
}

/// Whose address the reverse-path of a mail is that our own people send.
pub fn sender_standing(snapshot: &Snapshot, reverse_path: &str) -> SenderStanding {
    match snapshot.directory.recognise(reverse_path) {
        Recognition::Ours(_) => SenderStanding::Ours,
        Recognition::Null => SenderStanding::Null,
        Recognition::NotOurs => SenderStanding::Foreign,
    }
}
