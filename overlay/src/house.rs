//! The port towards the house: what the road asks of whoever lives at its end.

use std::future::Future;

use bytes::Bytes;
use dccp::Did;
use dccp::body::BodyDigest;
use dccp::frame::RefusalCode;
use dccp::seal::SealedMessage;

use crate::topic::{Asker, HeadVerdict, Topic};

/// The overlay asks the house. The first implementation is the gateway's spool.
pub trait House: Send + Sync + 'static {
    /// Takes a message that a verified partner sent. Must resolve only after the durable write:
    /// the acknowledgement goes out next. Called once per message, in order of arrival, many at a
    /// time; the future may be dropped when the stream is lost, and the message will come again.
    /// A message that names a body comes after the last chunk of it, if they came on this stream.
    fn keep(&self, from: &Did, sealed: SealedMessage) -> impl Future<Output = Kept> + Send;

    /// Takes a sealed chunk of a body that a later message of a verified partner will name, or never will: how much
    /// of that is held, and for how long, is for the house to bound. Of one stream nothing more is read until this
    /// resolves; the chunks of a body come in order, and index 0 begins it anew. The future may be dropped when the
    /// stream is lost.
    fn chunk(
        &self,
        from: &Did,
        body: BodyDigest,
        index: u32,
        octets: Bytes,
    ) -> impl Future<Output = ChunkKept> + Send;

    /// Takes prekey records that a verified partner presented. The records themselves are
    /// unverified: the house verifies them.
    fn prekeys(&self, from: &Did, records: Vec<Vec<u8>>);

    /// Takes the head record that a verified partner presented. The record itself is unverified.
    fn presented_head(&self, from: &Did, head: Vec<u8>);

    /// Answers a question; at most [`Topic::answer_bytes_max`] octets. `None` refuses: the asker
    /// sees its stream close and learns no reason. Called many at a time, within the limits for
    /// questions; the future is dropped when the time for an answer is over.
    fn answer(
        &self,
        from: Asker,
        topic: Topic,
        question: Bytes,
    ) -> impl Future<Output = Option<Bytes>> + Send;

    /// Somebody called who says that he is this partner, and cannot prove it by the keys that we know: they may have been
    /// replaced. While this future lives the connection stays, and `node` can be asked on it for what proves the claim
    /// ([`Whom::Node`](crate::Whom::Node)), and nobody else on the caller's word. Called within limits for each network; the future is
    /// dropped after the time for a Hello.
    fn unproven(&self, claimed: &Did, node: Vec<u8>) -> impl Future<Output = ()> + Send;

    /// Judges a head record that a node wants us to keep for others to find. Must verify it, and
    /// that it is newer than `stored`, the record that it would replace, and does not contradict it. Called once at a time for
    /// one name.
    fn accept_head(&self, record: &[u8], stored: Option<&[u8]>) -> impl Future<Output = HeadVerdict> + Send;
}

/// What became of a message that was given to the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on durable storage.
    Durable,
    /// It was there already.
    Duplicate,
    /// Its body is not whole here: the sender sends the chunks and the message again.
    BodyMissing,
    /// Not now, for this reason: the stream ends and the sender tries again later.
    NotNow(String),
    /// Never: the sender must not send this message again.
    Refused {
        /// Why, for machines.
        code: RefusalCode,
        /// Why, for people. Travels to the partner: no addresses, no content.
        reason: String,
    },
}

/// What became of a chunk that was given to the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChunkKept {
    /// It is on durable storage, or was already.
    Durable,
    /// Not now, for this reason: the rest of the body is not given to the house, and the reason travels to the
    /// partner when the message that names the body is [`Kept::BodyMissing`].
    Declined(String),
}

/// One word for counters.
pub(crate) fn refusal_label(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Malformed => "malformed",
        RefusalCode::Unsupported => "unsupported",
        RefusalCode::TooLarge => "too_large",
        RefusalCode::Expired => "expired",
        RefusalCode::UnknownKey => "unknown_key",
        RefusalCode::Policy => "policy",
        RefusalCode::Duplicate => "duplicate",
        RefusalCode::BodyMissing => "body_missing",
        _ => "other",
    }
}
