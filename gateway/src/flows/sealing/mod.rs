//! The house's only way to [`dccp::seal`]: whoever seals a mail for a recipient gives up a [`Permit`] of the judge.
//!
//! ```text
//! message ─ choice: suite, key, session ─► draft ─ signing: alone or with others ─► evidence ─► sealed
//! ```

mod choice;
mod signing;

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use dccp::batch::BatchError;
use dccp::mail::{self, Mail};
use dccp::message::{Class, Message};
use dccp::receipt::{self, Receipt};
use dccp::seal::{Draft, SealError, SealedMessage};
use dccp::{Did, NoCommonSuite, Suite, UnixMillis};
use policies::{Permit, Purpose};

pub use choice::{BUSY_PER_S, Suites};

use choice::Choice;
use signing::Signing;

use crate::clock::Clock;
use crate::custody::Custody;
use crate::flows::protection;
use crate::forward::Shelf;
use crate::introductions::Gossip;
use crate::partners::Partner;
use crate::spool::{Note, RowId, Stage};

/// Seals in the name of our organisation.
#[derive(Clone)]
pub struct Sealer {
    /// Signs.
    pub custody: Arc<Custody>,
    /// Time.
    pub clock: Clock,
    choice: Arc<Choice>,
    signing: Signing,
    gossip: Gossip,
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
    /// The language refused to sign for several at once.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The partner and we have no suite in common that is strong enough: sealed weaker it would be a downgrade.
    #[error(transparent)]
    Suite(#[from] NoCommonSuite),
    /// The partner has no key of the mechanism that the suite chooses.
    #[error("the partner has published no key for suite {0}")]
    NoKey(Suite),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopped,
}

impl Sealer {
    /// A sealer with our `suites`, that takes partners' one-time keys from `shelf` and the DIDs of people from `gossip`.
    /// Starts the thread that signs.
    ///
    /// # Errors
    /// The operating system's, when it gives no thread.
    pub fn new(
        custody: Arc<Custody>,
        suites: Suites,
        shelf: Shelf,
        gossip: Gossip,
        clock: Clock,
    ) -> std::io::Result<Sealer> {
        let signing = Signing::start(custody.clone())?;
        Ok(Sealer { custody, clock, choice: Arc::new(Choice::new(suites, shelf)), signing, gossip })
    }

    /// Seals a mail for the organisation that `permit` names. `id` becomes the DCCP message id; the note says how.
    ///
    /// # Errors
    /// [`SealingError::NotPermitted`] when the permit is for something else; otherwise why it cannot be sealed now.
    pub async fn mail(
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
        let people = self.gossip.people(partner.did(), &mail.envelope.forward_paths);
        let (content_type, class, payload) = (mail::CONTENT_TYPE, Class::Normal, mail.encode());
        self.seal(id, partner, Content { people, content_type, class, payload }, expires).await
    }

    /// Seals a batch of receipts for the gateway that sent us the mails: protocol, not mail, so no permit is asked for.
    ///
    /// # Errors
    /// [`SealingError`].
    pub async fn receipts(
        &self,
        id: RowId,
        receipts: &[Receipt],
        partner: &Partner,
        expires: UnixMillis,
    ) -> Result<(SealedMessage, Note), SealingError> {
        let (content_type, class) = (receipt::CONTENT_TYPE, Class::Control);
        let payload = receipt::encode(receipts).into();
        self.seal(id, partner, Content { people: Vec::new(), content_type, class, payload }, expires).await
    }

    async fn seal(
        &self,
        id: RowId,
        partner: &Partner,
        content: Content,
        expires: UnixMillis,
    ) -> Result<(SealedMessage, Note), SealingError> {
        let now = (self.clock)();
        let (to, session) = self.choice.key_for(partner, now)?;
        let Content { people, content_type, class, payload } = content;
        let (own_tree, your_tree) = self.gossip.heads_for(partner.did());
        let message = Message {
            sender: self.custody.did().clone(),
            message_id: id.0,
            payload,
            recipients: std::iter::once(to.did.clone()).chain(people).collect(),
            content_type: content_type.to_owned(),
            timestamp: now,
            expires,
            class,
            fs_class: to.fs_class,
            suite: to.suite,
            own_tree,
            your_tree,
        };
        let (draft, evidence) = self.signing.sign(Draft::prepare(&message, &to)?).await?;
        let sealed = match session {
            None => draft.finish(&evidence, now, &mut rand::rng(), None)?,
            Some(session) => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                // It may have carried its last message meanwhile: then this one is sealed by itself.
                let running = session.carries(&to, now).then_some(&mut *session);
                draft.finish(&evidence, now, &mut rand::rng(), running)?
            }
        };
        let how = format!("{}, key {}", protection(&sealed, to.fs_class), to.key_id);
        Ok((sealed, Note::new((self.clock)(), Stage::Sealed, how)))
    }
}

/// What a message is about.
struct Content {
    /// The people it is for, besides their organisation.
    people: Vec<Did>,
    content_type: &'static str,
    class: Class,
    payload: Bytes,
}
