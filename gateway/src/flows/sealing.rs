//! The house's only way to [`dccp::seal`]: whoever seals a mail for a recipient gives up a [`Permit`] of the judge.

use std::sync::Arc;

use bytes::Bytes;
use dccp::mail::{self, Mail};
use dccp::message::{Class, Message};
use dccp::receipt::{self, Receipt};
use dccp::seal::{RecipientKey, SealError, SealedMessage};
use dccp::{Did, UnixMillis};
use policies::{Permit, Purpose};

use crate::clock::Clock;
use crate::custody::Custody;
use crate::partners::Partner;
use crate::spool::{Note, RowId, Stage};

/// Seals in the name of our organisation.
#[derive(Clone)]
pub struct Sealer {
    /// Signs.
    pub custody: Arc<Custody>,
    /// Time.
    pub clock: Clock,
}

/// Why a message was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The permit speaks of another recipient or another purpose: a fault of ours, never sent.
    #[error("the permit at hand does not allow sealing for {0}")]
    NotPermitted(Did),
    /// The language refused (size, key).
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Sealer {
    /// Seals a mail for the organisation that `permit` names. `id` becomes the DCCP message id; the note says how.
    ///
    /// # Errors
    /// [`SealingError::NotPermitted`] when the permit is for something else; [`SealingError::Seal`] from the language.
    pub fn mail(
        &self,
        permit: Permit,
        id: RowId,
        mail: &Mail,
        partner: &Partner,
        expires: UnixMillis,
    ) -> Result<(SealedMessage, Note), SealingError> {
        match permit.purpose() {
            Purpose::Seal { to } if to == partner.did() => {}
            _ => return Err(SealingError::NotPermitted(partner.did().clone())),
        }
        self.seal(id, partner, mail::CONTENT_TYPE, Class::Normal, mail.encode(), expires)
            .map_err(SealingError::Seal)
    }

    /// Seals a batch of receipts for the gateway that sent us the mails: protocol, not mail, so no permit is asked for.
    ///
    /// # Errors
    /// [`SealError`] from the language.
    pub fn receipts(
        &self,
        id: RowId,
        receipts: &[Receipt],
        partner: &Partner,
        expires: UnixMillis,
    ) -> Result<(SealedMessage, Note), SealError> {
        self.seal(
            id,
            partner,
            receipt::CONTENT_TYPE,
            Class::Control,
            receipt::encode(receipts).into(),
            expires,
        )
    }

    fn seal(
        &self,
        id: RowId,
        partner: &Partner,
        content_type: &str,
        class: Class,
        payload: Bytes,
        expires: UnixMillis,
    ) -> Result<(SealedMessage, Note), SealError> {
        let now = (self.clock)();
        let to: RecipientKey = partner.recipient_key(now);
        let message = Message {
            sender: self.custody.did().clone(),
            message_id: id.0,
            payload,
            recipients: vec![to.did.clone()],
            content_type: content_type.to_owned(),
            timestamp: now,
            expires,
            class,
            fs_class: to.fs_class,
            suite: to.suite,
            own_tree: None,
            your_tree: None,
        };
        let sealed = dccp::seal::seal(&message, &to, self.custody.device(), now, &mut rand::rng())?;
        let how = format!("suite {}, {} key {}", to.suite, to.fs_class, to.key_id);
        Ok((sealed, Note::new((self.clock)(), Stage::Sealed, how)))
    }
}
