//! Mail out: from our mail server or client to partners, sealed.
//!
//! ```text
//! read       octets with strict CRLF, headers, MIME                     (smtp::message)
//! recognise  sender → Person (Directory), recipient domain → Partner    (at RCPT)
//! decide     per recipient at RCPT, per destination after the last dot  (policies)
//! act        seal once per destination                                  (flows::sealing)
//! note       rows + journal in one durable commit, then 250             (spool)
//! ```

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use dccp::limits::FORWARD_PATHS_MAX;
use dccp::mail::{Mail, MailEnvelope};
use dccp::seal::SealedMessage;
use dccp::{Did, UnixMillis};
use federation::Recognition;
use policies::{
    Decision, Destination, Direction as Way, MailFacts, Marks, Permit, Reason, RecipientFacts, Refusal,
    SenderStanding, Verdict,
};
use smtp::address::Address;
use smtp::message::MessageFacts;
use smtp::reply::Reply;
use smtp::server::{Client, MailFrom, RcptTo, Role};

use crate::clock::{Clock, system_time};
use crate::courier;
use crate::custody::Vault;
use crate::flows::records::{Slip, Summary, purpose, queue_id_of};
use crate::flows::sealing::Sealer;
use crate::flows::{Knowledge, Snapshot, replies, words};
use crate::metrics::{self, Metrics};
use crate::partners::Partner;
use crate::spool::{Direction, Kind, NewRow, Note, RowId, Spool, Stage, State, Turn};

/// The house as an SMTP session sees it.
pub struct MailOut {
    /// People, partners, rules.
    pub knowledge: Knowledge,
    /// Seals.
    pub sealer: Sealer,
    /// Keeps.
    pub spool: Spool,
    /// Takes what was kept and is sealed.
    pub courier: courier::Handle,
    /// Counters.
    pub metrics: Metrics,
    /// Our name in trace headers.
    pub hostname: String,
    /// Largest mail in octets.
    pub size_max: u64,
    /// Milliseconds until a mail is given up and reported.
    pub lifetime_ms: u64,
    /// Time.
    pub clock: Clock,
}

/// One mail between `MAIL FROM` and the final `250`.
pub struct Transaction {
    snapshot: Snapshot,
    client: Client,
    /// The reverse-path is one of the addresses of the user who logged in.
    owns_sender: bool,
    from: MailFrom,
    recipients: Vec<Address>,
}

impl MailOut {
    /// Begins with one mail of a server of ours, or of a person of ours who `owns_sender` or not.
    pub fn mail(&self, client: &Client, from: MailFrom, owns_sender: bool) -> Transaction {
        let snapshot = self.knowledge.snapshot();
        Transaction { snapshot, client: client.clone(), owns_sender, from, recipients: Vec::new() }
    }

    /// One more recipient, if the judge lets it be.
    ///
    /// # Errors
    /// The reply for the client.
    pub async fn recipient(&self, tx: &mut Transaction, to: RcptTo) -> Result<(), Reply> {
        let decision = tx.decide_recipient(&to.address);
        match decision.verdict {
            Verdict::Allow(()) | Verdict::Hold => {
                tx.recipients.push(to.address);
                Ok(())
            }
            Verdict::Refuse(refusal) => Err(self.refuse(&refusal, &decision.reasons)),
        }
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
    /// From the last dot to the durable commit. The error is the reply.
    async fn accept(&self, tx: Transaction, octets: Bytes) -> Result<String, Reply> {
        let arrived = (self.clock)();
        let facts = smtp::message::read(&octets, &smtp::message::Limits::default())
            .map_err(|malformed| self.turn_away("malformed", malformed.reply()))?;
        let letter = self.letter(&tx, octets, &facts, arrived);
        let mut kept = Vec::new();
        for (did, recipients) in tx.destinations() {
            let partner = tx.snapshot.partners.by_did(&did).ok_or_else(replies::not_ready)?;
            kept.push(self.prepare(&tx, &letter, partner, recipients).await?);
        }
        let prepared = (self.clock)();
        self.metrics.stage_since(metrics::Stage::Seal, arrived, prepared);
        self.keep(&letter, kept).await?;
        let done = (self.clock)();
        self.metrics.stage_since(metrics::Stage::Commit, prepared, done);
        self.metrics.stage_since(metrics::Stage::Accept, arrived, done);
        Ok(letter.queue_id)
    }

    /// Reads what all destinations of this mail share, and prepends our trace header (RFC 5321 §4.4).
    fn letter(&self, tx: &Transaction, octets: Bytes, facts: &MessageFacts, arrived: UnixMillis) -> Letter {
        let queue_id = queue_id_of(RowId::fresh());
        let received = self.received(tx, &queue_id, arrived);
        let slip_headers = Slip::headers_of(&octets, facts.header_len);
        let size = octets.len() as u64;
        let mut whole = BytesMut::with_capacity(received.len() + octets.len());
        whole.extend_from_slice(received.as_bytes());
        whole.extend_from_slice(&octets);
        Letter {
            queue_id,
            arrived,
            octets: whole.freeze(),
            size,
            slip_headers,
            message_id: facts.message_id.clone(),
            content_type: facts.content_type.clone(),
        }
    }

    fn received(&self, tx: &Transaction, queue_id: &str, at: UnixMillis) -> String {
        let facts = smtp::trace::Received {
            from: &tx.client.hello,
            address: Some(tx.client.address.ip()),
            tls: tx.client.tls.as_ref(),
            by: &self.hostname,
            with: smtp::trace::protocol(&tx.client, tx.from.smtputf8),
            id: queue_id,
            recipients: &tx.recipients,
        };
        smtp::trace::received(&facts, system_time(at))
    }

    /// Decides about one destination and makes the row that will be kept for it: sealed to the partner, or sealed
    /// to ourselves while it is held.
    async fn prepare(
        &self,
        tx: &Transaction,
        letter: &Letter,
        partner: &Partner,
        to: Vec<Address>,
    ) -> Result<Kept, Reply> {
        let decision = tx.decide_mail(letter, partner, to.len(), self.size_max);
        let decided = Note::new((self.clock)(), Stage::Decided, words(&decision));
        let mail = letter.mail(&tx.from, &to);
        let id = RowId::fresh();
        let (row, sealed, note) = match decision.verdict {
            Verdict::Refuse(refusal) => return Err(self.refuse(&refusal, &decision.reasons)),
            Verdict::Hold => {
                self.metrics.held.inc();
                let body = self.vault().seal(purpose::MAIL, &mail.encode());
                let note = Note::new((self.clock)(), Stage::Held, "waits for an administrator".to_owned());
                (self.row(id, letter, partner, &mail, Kind::Draft, body.into(), [0; 32]), None, note)
            }
            Verdict::Allow(permit) => {
                let (sealed, note) = self.sealer.mail(permit, id, &mail, partner, self.expires(letter)).await.map_err(|error| {
                    tracing::error!(%error, partner = partner.domain(), "a mail could not be sealed; the client was told to try again");
                    replies::not_ready()
                })?;
                self.metrics.sealed.inc();
                let row =
                    self.row(id, letter, partner, &mail, Kind::Mail, sealed.bytes().clone(), sealed.digest());
                (row, Some(sealed), note)
            }
        };
        Ok(Kept { partner: partner.did().clone(), row, sealed, notes: vec![decided, note] })
    }

    #[allow(clippy::too_many_arguments)]
    fn row(
        &self,
        id: RowId,
        letter: &Letter,
        partner: &Partner,
        mail: &Mail,
        kind: Kind,
        body: Bytes,
        digest: [u8; 32],
    ) -> NewRow {
        let vault = self.vault();
        let (from, to) = (mail.envelope.reverse_path.clone(), mail.envelope.forward_paths.clone());
        let slip = Slip {
            reverse_path: from.clone(),
            recipients: to.clone(),
            arrived_ms: letter.arrived.0,
            headers: letter.slip_headers.clone(),
        };
        NewRow {
            id,
            queue_id: letter.queue_id.clone(),
            direction: Direction::Out,
            kind,
            partner: Some(partner.did().to_string()),
            partner_domain: partner.domain().to_owned(),
            body,
            slip: Some(slip.seal(vault)),
            summary: Summary { from, to, message_id: letter.message_id.clone() }.seal(vault),
            message_id_tag: letter
                .message_id
                .as_ref()
                .map(|id| vault.tag(purpose::MESSAGE_ID, id.as_bytes())),
            digest,
            sealed_to: None,
            size: letter.size,
            now: letter.arrived,
            next_at: letter.arrived,
            expires_at: self.expires(letter),
            state: if kind == Kind::Draft { State::Held } else { State::Queued },
            held_by: None,
            turn: Turn::default(),
            leased: kind == Kind::Mail,
        }
    }

    /// The durable line: after this the mail is ours, and only after this the courier may see it.
    async fn keep(&self, letter: &Letter, kept: Vec<Kept>) -> Result<(), Reply> {
        let (mut rows, mut notes, mut ready) = (Vec::new(), Vec::new(), Vec::new());
        for destination in kept {
            let (id, expires) = (destination.row.id, destination.row.expires_at);
            notes.push((id, Note::new(letter.arrived, Stage::Received, format!("{} octets", letter.size))));
            notes.extend(destination.notes.into_iter().map(|note| (id, note)));
            rows.push(destination.row);
            ready.extend(destination.sealed.map(|sealed| courier::Item {
                id,
                to: destination.partner,
                kind: Kind::Mail,
                accepted: letter.arrived,
                expires,
                attempts: 0,
                sealed,
            }));
        }
        self.spool.accept(rows, notes).await.map_err(|error| {
            tracing::warn!(%error, queue_id = letter.queue_id, "a mail could not be kept; the client was told to try again");
            self.turn_away("spool", replies::not_kept(&error))
        })?;
        self.metrics.accepted(letter.size);
        for item in ready {
            self.courier.offer(item);
        }
        Ok(())
    }

    fn expires(&self, letter: &Letter) -> UnixMillis {
        letter.arrived.saturating_add_ms(self.lifetime_ms)
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

impl Transaction {
    fn decide_recipient(&self, to: &Address) -> Decision<()> {
        let sender = self.from.reverse_path.to_string();
        policies::decide_recipient(
            &self.snapshot.rules,
            &RecipientFacts {
                direction: Way::Outbound,
                sender: &sender,
                sender_standing: sender_standing(&self.snapshot, &sender),
                recipient: &to.to_string(),
                recipient_domain: to.domain(),
                destination: self.destination(to),
                client: self.client(),
                marks: Marks::default(),
                outside: None,
            },
        )
    }

    fn decide_mail(
        &self,
        letter: &Letter,
        partner: &Partner,
        recipients: usize,
        size_max: u64,
    ) -> Decision<Permit> {
        let sender = self.from.reverse_path.to_string();
        policies::decide_mail(
            &self.snapshot.rules,
            &MailFacts {
                direction: Way::Outbound,
                sender: &sender,
                sender_standing: sender_standing(&self.snapshot, &sender),
                destination: partner.destination(),
                client: self.client(),
                marks: Marks::default(),
                require_tls: false,
                outside: None,
                authenticity: None,
                recipients,
                size: letter.size,
                size_max,
                content_type: &letter.content_type,
            },
        )
    }

    fn client(&self) -> policies::Client<'_> {
        policies::Client {
            role: match self.client.role {
                Role::Relay => policies::Role::Relay,
                Role::Submission => policies::Role::Submission,
                Role::Mx => policies::Role::Mx,
            },
            trusted: self.client.trusted,
            user: self.client.user.as_deref(),
            owns_sender: self.owns_sender,
            tls: self.client.tls.is_some(),
        }
    }

    fn destination(&self, to: &Address) -> Destination<'_> {
        match self.snapshot.directory.recognise(&to.to_string()) {
            Recognition::Ours(_) => Destination::Ours,
            _ => self
                .snapshot
                .partners
                .by_domain(to.domain())
                .map_or(Destination::Unknown, Partner::destination),
        }
    }

    /// The recipients by organisation: each group is sealed once. A group holds what one sealed mail may name.
    fn destinations(&self) -> Vec<(Did, Vec<Address>)> {
        let mut groups: BTreeMap<&Did, Vec<Address>> = BTreeMap::new();
        for to in &self.recipients {
            if let Some(partner) = self.snapshot.partners.by_domain(to.domain()) {
                groups.entry(partner.did()).or_default().push(to.clone());
            }
        }
        let portions = |(did, to): (&Did, Vec<Address>)| {
            to.chunks(FORWARD_PATHS_MAX).map(|some| (did.clone(), some.to_vec())).collect::<Vec<_>>()
        };
        groups.into_iter().flat_map(portions).collect()
    }
}

/// Decides anew about a mail that was held: its client was trusted when it was accepted.
pub fn decide_held(snapshot: &Snapshot, partner: &Partner, mail: &Mail, size_max: u64) -> Decision<Permit> {
    policies::decide_mail(
        &snapshot.rules,
        &MailFacts {
            direction: Way::Outbound,
            sender: &mail.envelope.reverse_path,
            sender_standing: sender_standing(snapshot, &mail.envelope.reverse_path),
            destination: partner.destination(),
            client: policies::Client::BELIEVED,
            marks: Marks::default(),
            require_tls: false,
            outside: None,
            authenticity: None,
            recipients: mail.envelope.forward_paths.len(),
            size: mail.octets.len() as u64,
            size_max,
            content_type: "",
        },
    )
}

fn sender_standing(snapshot: &Snapshot, reverse_path: &str) -> SenderStanding {
    match snapshot.directory.recognise(reverse_path) {
        Recognition::Ours(_) => SenderStanding::Ours,
        Recognition::Null => SenderStanding::Null,
        Recognition::NotOurs => SenderStanding::Foreign,
    }
}

/// What all destinations of one mail share.
struct Letter {
    queue_id: String,
    arrived: UnixMillis,
    /// Our trace header and the octets as they came.
    octets: Bytes,
    /// Octets as they came.
    size: u64,
    slip_headers: String,
    message_id: Option<String>,
    content_type: String,
}

impl Letter {
    fn mail(&self, from: &MailFrom, to: &[Address]) -> Mail {
        Mail {
            envelope: MailEnvelope {
                reverse_path: from.reverse_path.to_string(),
                forward_paths: to.iter().map(ToString::to_string).collect(),
                body_8bit: from.body_8bit,
                smtputf8: from.smtputf8,
                ..MailEnvelope::default()
            },
            octets: self.octets.clone(),
        }
    }
}

/// One destination, decided and ready for the durable commit.
struct Kept {
    partner: Did,
    row: NewRow,
    /// `None` while held.
    sealed: Option<SealedMessage>,
    notes: Vec<Note>,
}
