//! What is kept of one group of recipients once the judge has spoken: sealed to the partner, or to ourselves while it
//! waits for the outside, for our own mail server or for an administrator.

use bytes::Bytes;
use dccp::mail::Mail;
use policies::{Decision, Permit, Purpose, Verdict};
use smtp::reply::Reply;

use super::MailOut;
use super::letter::Letter;
use super::place::{Group, Place};
use super::transaction::Transaction;
use crate::courier;
use crate::flows::mail_home::keep::{self, Foreign};
use crate::flows::records::{Slip, Summary, purpose, sha256};
use crate::flows::{replies, words};
use crate::partners::Partner;
use crate::queue::lane;
use crate::spool::{Direction, Kind, Lane, Large, NewRow, Note, RowId, Stage, State};

/// One group, decided and ready for the durable commit.
pub(super) struct Kept {
    pub(super) row: NewRow,
    /// What the courier may take at once; `None` for what waits.
    pub(super) item: Option<courier::Item>,
    pub(super) notes: Vec<Note>,
}

/// Who takes a row further.
struct Next {
    kind: Kind,
    /// The DID of the partner it goes to.
    partner: Option<String>,
    domain: String,
    state: State,
}

impl Kept {
    /// Nobody takes it at once, and there is nothing to say.
    fn waiting(row: NewRow) -> Self {
        Self { row, item: None, notes: Vec::new() }
    }
}

impl MailOut {
    /// Does what the judge decided about one group. A refusal was answered before.
    pub(super) async fn prepare(
        &self,
        tx: &Transaction,
        letter: &Letter,
        group: Group,
        decision: Decision<Permit>,
    ) -> Result<Kept, Reply> {
        let decided = Note::new((self.clock)(), Stage::Decided, words(&decision));
        let mail = letter.mail(&tx.from, &group.recipients);
        let mut kept = match (decision.verdict, &group.place) {
            (Verdict::Refuse(refusal), _) => return Err(self.refuse(&refusal, &decision.reasons)),
            (Verdict::Allow(permit), Place::Partner(did)) => {
                let partner = tx.snapshot.partners.by_did(did).ok_or_else(replies::not_ready)?;
                self.sealed(permit, letter, &mail, partner).await?
            }
            (Verdict::Allow(permit), Place::Outside(domain)) => {
                self.to_relay(&permit, letter, &mail, domain)?
            }
            (Verdict::Hold, Place::Partner(did)) => {
                let partner = tx.snapshot.partners.by_did(did).ok_or_else(replies::not_ready)?;
                let (did, domain) = (Some(did.to_string()), partner.domain().to_owned());
                let next = Next { kind: Kind::Draft, partner: did, domain, state: State::Held };
                self.held(self.to_ourselves(letter, &mail, next))
            }
            (Verdict::Hold, Place::Outside(domain)) => {
                let domain = domain.clone();
                let next = Next { kind: Kind::Relay, partner: None, domain, state: State::Held };
                self.held(self.to_ourselves(letter, &mail, next))
            }
            (Verdict::Allow(permit), Place::Ours) if *permit.purpose() == Purpose::HandOver => {
                Kept::waiting(self.to_our_people(letter, &mail, State::Queued))
            }
            (Verdict::Hold, Place::Ours) => self.held(self.to_our_people(letter, &mail, State::Held)),
            // The judge allows no other way.
            (Verdict::Allow(_) | Verdict::Hold, _) => return Err(replies::not_ready()),
        };
        kept.notes.insert(0, decided);
        let envelope = &mail.envelope;
        if let Some(rule) =
            tx.snapshot.standing.holds(&envelope.reverse_path, &envelope.forward_paths, letter.size)
        {
            kept.notes.push(rule.note((self.clock)()));
            kept.row = rule.hold(kept.row);
        }
        if !kept.row.leased {
            kept.item = None;
        }
        Ok(kept)
    }

    async fn sealed(
        &self,
        permit: Permit,
        letter: &Letter,
        mail: &Mail,
        partner: &Partner,
    ) -> Result<Kept, Reply> {
        let id = RowId::fresh();
        let sealed = self.sealer.mail(permit, id, mail, partner, letter.expires).await;
        let (sealed, note) = sealed.map_err(|error| {
            tracing::error!(%error, partner = partner.domain(), "a mail could not be sealed; the client was told to try again");
            replies::not_ready()
        })?;
        self.metrics.sealed.inc();
        let (did, domain) = (Some(partner.did().to_string()), partner.domain().to_owned());
        let next = Next { kind: Kind::Mail, partner: did, domain, state: State::Queued };
        let row = self.row(id, letter, mail, next, sealed.bytes().clone(), sealed.digest());
        let item = courier::Item {
            id,
            to: partner.did().clone(),
            kind: Kind::Mail,
            accepted: letter.arrived,
            expires: letter.expires,
            attempts: 0,
            sealed,
            large: letter.octets.large,
        };
        Ok(Kept { row, item: Some(item), notes: vec![note] })
    }

    /// Waits for the relay courier, sealed to ourselves. Without a permit for this very domain nothing is kept; before
    /// every attempt the courier asks for another.
    fn to_relay(&self, permit: &Permit, letter: &Letter, mail: &Mail, domain: &str) -> Result<Kept, Reply> {
        match permit.purpose() {
            Purpose::Relay { domain: permitted, .. } if permitted == domain => {}
            _ => return Err(replies::not_ready()),
        }
        let next = Next { kind: Kind::Relay, partner: None, domain: domain.to_owned(), state: State::Queued };
        Ok(Kept::waiting(self.to_ourselves(letter, mail, next)))
    }

    fn held(&self, row: NewRow) -> Kept {
        self.metrics.held.inc();
        let note = Note::new((self.clock)(), Stage::Held, "waits for an administrator".to_owned());
        Kept { notes: vec![note], ..Kept::waiting(row) }
    }

    /// Waits for our own mail server like what comes from elsewhere: what our people write to each other.
    fn to_our_people(&self, letter: &Letter, mail: &Mail, state: State) -> NewRow {
        let foreign = Foreign {
            id: RowId::fresh(),
            queue_id: &letter.queue_id,
            mail,
            large: letter.octets.large,
            header: letter.slip_headers.as_bytes(),
            message_id: letter.message_id.as_deref(),
            slip: Some(slip(letter, mail)),
            size: letter.size,
            state,
            arrived: letter.arrived,
            expires: letter.expires,
        };
        keep::row(self.vault(), foreign)
    }

    fn to_ourselves(&self, letter: &Letter, mail: &Mail, next: Next) -> NewRow {
        let id = RowId::fresh();
        let digest = match next.kind {
            Kind::Relay => sha256(&[b"DCCP-relay-v1\0", id.0.as_bytes()]),
            _ => [0; 32],
        };
        let body = self.vault().seal(purpose::MAIL, &mail.encode());
        self.row(id, letter, mail, next, body.into(), digest)
    }

    fn row(
        &self,
        id: RowId,
        letter: &Letter,
        mail: &Mail,
        next: Next,
        body: Bytes,
        digest: [u8; 32],
    ) -> NewRow {
        let vault = self.vault();
        let (from, to) = (mail.envelope.reverse_path.clone(), mail.envelope.forward_paths.clone());
        let Next { kind, partner, domain, state } = next;
        let turn = lane::turn(vault, &from, to.len(), letter.slip_headers.as_bytes());
        NewRow {
            id,
            queue_id: letter.queue_id.clone(),
            direction: Direction::Out,
            kind,
            partner,
            partner_domain: domain,
            body,
            large: letter.octets.large.map(Large::Kept),
            slip: Some(slip(letter, mail).seal(vault)),
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
            expires_at: letter.expires,
            state,
            held_by: None,
            turn,
            // Bulk waits for its turn in the spool; the courier is offered what people write.
            leased: kind == Kind::Mail && turn.lane != Lane::Bulk,
        }
    }
}

/// What its sender is told if it fails.
fn slip(letter: &Letter, mail: &Mail) -> Slip {
    Slip::of(&mail.envelope, letter.arrived, letter.slip_headers.clone())
}
