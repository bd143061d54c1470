//! How a mail for our own people waits for our mail server, whoever brought it.

use dccp::UnixMillis;
use dccp::mail::Mail;

use crate::custody::Vault;
use crate::flows::records::{Slip, Summary, purpose, sha256};
use crate::queue::lane;
use crate::spool::{Direction, Kind, Large, LargeBody, NewRow, RowId, State};

/// A mail that came by SMTP for our own people.
pub struct Foreign<'a> {
    /// Its row to be.
    pub id: RowId,
    /// The name that the client is told.
    pub queue_id: &'a str,
    /// Envelope and octets as our mail server will get them; or where those are.
    pub mail: &'a Mail,
    /// Where its octets rest, if they are many.
    pub large: Option<LargeBody>,
    /// Its header section, as far as it tells whether it is a circular.
    pub header: &'a [u8],
    /// Its Internet Message-ID.
    pub message_id: Option<&'a str>,
    /// Whom to tell if it fails; `None`: nobody, because it is not certain who that is.
    pub slip: Option<Slip>,
    /// Octets as they came.
    pub size: u64,
    /// [`State::Queued`] or [`State::Held`].
    pub state: State,
    /// When it came.
    pub arrived: UnixMillis,
    /// When it is given up.
    pub expires: UnixMillis,
}

/// The row in which it waits, sealed to ourselves.
pub fn row(vault: &Vault, foreign: Foreign<'_>) -> NewRow {
    let Foreign { id, queue_id, mail, large, header, message_id, slip, size, state, arrived, expires } =
        foreign;
    let (from, to) = (mail.envelope.reverse_path.clone(), mail.envelope.forward_paths.clone());
    let sender_domain = from.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
    let turn = lane::turn(vault, &from, to.len(), header);
    NewRow {
        id,
        queue_id: queue_id.to_owned(),
        direction: Direction::In,
        kind: Kind::Foreign,
        partner: None,
        partner_domain: sender_domain,
        body: vault.seal(purpose::MAIL, &mail.encode()).into(),
        large: large.map(Large::Kept),
        slip: slip.map(|slip| slip.seal(vault)),
        summary: Summary { from, to, message_id: message_id.map(str::to_owned) }.seal(vault),
        message_id_tag: message_id.map(|id| vault.tag(purpose::MESSAGE_ID, id.as_bytes())),
        digest: sha256(&[b"DCCP-foreign-v1\0", id.0.as_bytes()]),
        sealed_to: None,
        size,
        now: arrived,
        next_at: arrived,
        expires_at: expires,
        state,
        held_by: None,
        turn,
        leased: false,
    }
}
