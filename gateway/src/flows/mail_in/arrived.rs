//! A sealed message as it arrived: opened, or the reason why it never will be.

use std::sync::Arc;

use dccp::body::BodyError;
use dccp::kem::DecapsulationKey;
use dccp::message::{FsClass, Message};
use dccp::receipt::{self, Outcome, Receipt};
use dccp::seal::{Opened, SealedMessage};
use dccp::{Did, Suite, UnixMillis};

use super::MailIn;
use super::attempt::Leg;
use crate::flows::Snapshot;
use crate::flows::records::{queue_id_of, sha256};
use crate::metrics;
use crate::partners::Partner;
use crate::spool::{ClaimedKey, Note, RowId, Settlement, SpoolError, Stage, State};

/// One arrived row as delivery took it from the spool.
pub struct Arrived {
    /// Its row.
    pub id: RowId,
    /// Which partner's node brought it.
    pub from: Did,
    /// What it brought.
    pub sealed: SealedMessage,
    /// The one-time key that it claimed, if it is sealed to one.
    pub claimed: Option<ClaimedKey>,
    /// How far an earlier attempt came.
    pub progress: Option<Vec<u8>>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it arrived.
    pub arrived: UnixMillis,
    /// When it is given up.
    pub expires: UnixMillis,
    /// A person released it: the judge holds it no more.
    pub approved: bool,
}

impl Arrived {
    pub(super) fn leg(&self) -> Leg {
        let Self { id, attempts, arrived, expires, approved, .. } = *self;
        Leg { id, attempts, arrived, expires, approved }
    }
}

/// Why an arrived message cannot be delivered, ever: goes into the journal and, if the sender is known, the receipt.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undeliverable {
    #[error("it is sealed to key {0}, which we do not hold (any more)")]
    NoSuchKey(dccp::keys::KeyId),
    #[error("its sender {0} is not a partner")]
    UnknownSender(Did),
    #[error("its signing key {0} is not one of the sender's devices")]
    UnknownSigner(dccp::keys::KeyId),
    #[error("it claims the protection of a {0} key, but another kind of key opens it")]
    OtherKind(FsClass),
    #[error(
        "suite {suite} is weaker than {minimum}, the least that is agreed with its sender: refused as a downgrade"
    )]
    Downgrade { suite: Suite, minimum: Suite },
    #[error("it does not open: {0}")]
    Sealed(#[from] dccp::seal::OpenError),
    #[error("its content is not readable: {0}")]
    Content(#[from] dccp::mail::MailError),
    #[error("its body is not what it says: {0}")]
    Body(#[from] BodyError),
    #[error("its content type {0:?} is not one that this gateway delivers")]
    ContentType(String),
}

impl MailIn {
    /// Opens the seal and checks who signed; gives the partner whose device signed it.
    pub(super) fn open<'a>(
        &self,
        row: &Arrived,
        opening: Option<(Arc<DecapsulationKey>, FsClass)>,
        snapshot: &'a Snapshot,
    ) -> Result<(&'a Partner, Opened), Undeliverable> {
        let started = (self.clock)();
        let (key, fs_class) = opening.ok_or(Undeliverable::NoSuchKey(row.sealed.key_id()))?;
        let unverified = dccp::seal::unseal_with(&row.sealed, self.custody.sessions(), &key)?;
        let sender = unverified.sender();
        let partner =
            snapshot.partners.by_did(sender).ok_or_else(|| Undeliverable::UnknownSender(sender.clone()))?;
        let signer = partner
            .signing_key(&unverified.signer())
            .ok_or_else(|| Undeliverable::UnknownSigner(unverified.signer()))?;
        let opened = unverified.verify_with(&self.roots, signer, self.custody.did(), (self.clock)())?;
        let (suite, minimum) = (opened.message.suite, self.suites.minimum_of(partner));
        if !suite.meets(minimum) {
            self.metrics.downgrades.inc();
            tracing::warn!(%suite, %minimum, partner = partner.domain(), "a downgrade was tried: a message in a weaker suite than agreed");
            return Err(Undeliverable::Downgrade { suite, minimum });
        }
        if opened.message.fs_class != fs_class {
            return Err(Undeliverable::OtherKind(opened.message.fs_class)); // protocol §8.1, step 5
        }
        self.gossip.hear(partner.did(), opened.message.own_tree, opened.message.your_tree);
        self.metrics.stage_since(metrics::Stage::Open, started, (self.clock)());
        Ok((partner, opened))
    }

    /// The message cannot be opened or understood: never delivered, never acknowledged as delivered; the partner's
    /// gateway gets the reason, for the report to its sender.
    pub(super) async fn give_up(&self, row: &Arrived, reason: &Undeliverable) -> Result<(), SpoolError> {
        let now = (self.clock)();
        tracing::warn!(queue_id = queue_id_of(row.id), partner = %row.from, %reason, "an arrived message cannot be delivered");
        self.metrics.unopened.inc();
        let receipt = Receipt {
            message_id: uuid::Uuid::nil(),
            digest: row.sealed.digest(),
            time: now,
            outcomes: vec![Outcome {
                recipient: String::new(),
                action: receipt::Action::Failed,
                status: "5.6.5".to_owned(),
                diagnostic: format!("the receiving gateway cannot deliver it: {reason}"),
            }],
        };
        let receipt = Some(self.owed(&row.from, receipt));
        let plain =
            Settlement::plain(row.id, State::Failed, vec![Note::new(now, Stage::Failed, reason.to_string())]);
        self.spool.settle(Settlement { receipt, ..plain }).await?;
        Ok(())
    }

    /// Another seal of the same message (sender and id) is being delivered; what becomes of it decides about this copy.
    pub(super) async fn put_off_copy(&self, row: &Arrived) -> Result<(), SpoolError> {
        let now = (self.clock)();
        let next = self.schedule.next(row.attempts + 1, now, row.expires, rand::random());
        let note = Note::new(now, Stage::Deferred, "the same message is being delivered");
        self.spool.defer(row.id, next, vec![note]).await?;
        Ok(())
    }

    /// The same message (sender and id) was settled before: its receipt is on its way, the copy is dropped.
    pub(super) async fn drop_replay(&self, row: &Arrived) -> Result<(), SpoolError> {
        self.metrics.duplicates.inc();
        let note =
            Note::new((self.clock)(), Stage::Duplicate, "the same message was settled before".to_owned());
        self.spool.settle(Settlement::plain(row.id, State::Delivered, vec![note])).await?;
        Ok(())
    }
}

/// Recognises a message however often it is sealed: by who sent it and which it is (protocol §7).
pub(super) fn replay_key(message: &Message) -> [u8; 32] {
    sha256(&[b"DCCP-replay-v1\0", message.sender.as_str().as_bytes(), message.message_id.as_bytes()])
}
