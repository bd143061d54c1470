//! Frames: what travels on one message stream `/dccp/msg/1` between two nodes.
//!
//! ```text
//! u32 length, big-endian │ one of: Hello │ Chunk │ Message │ Ack │ Goodbye
//! ```
//!
//! The chunks of a body travel in order before the message that names it; messages without one may pass between them.
//! `Ack.upto` is cumulative: everything up to and including that sequence number is durable at the receiver, except
//! what `refused` names.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{
    WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len,
};

use crate::body::{BodyDigest, CHUNK_SEALED_BYTES, is_chunk_len};
use crate::limits::{
    CHUNKS_MAX, CONTROL_FRAME_BYTES_MAX, FRAME_BYTES_MAX, PREKEYS_MAX, REASON_BYTES_MAX, RECORD_BYTES_MAX,
    REFUSALS_MAX,
};
use crate::receipt::one_line;
use crate::wire::{self, Malformed};

/// The version a [`Frame::Hello`] announces.
pub const VERSION: u32 = 1;
/// Octets of the length in front of a frame.
pub const LENGTH_BYTES: usize = 4;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of each side.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// The signed node record of the speaker.
        node_record: Bytes,
        /// Signed prekeys of the speaker's organisation, unverified.
        prekeys: Vec<Bytes>,
        /// The signed head record of the speaker's organisation, unverified; empty when it presents none.
        head: Bytes,
    },
    /// A sealed chunk of a body that a later message names.
    Chunk {
        /// Which body.
        body: BodyDigest,
        /// Its place in the body, from 0.
        index: u32,
        /// Ciphertext ‖ tag: 17 to [`CHUNK_SEALED_BYTES`] octets.
        octets: Bytes,
    },
    /// A sealed message.
    Message {
        /// Counts up by one from 1 on each stream.
        seq: u64,
        /// The bytes of a [`SealedMessage`](crate::seal::SealedMessage).
        sealed: Bytes,
    },
    /// A cumulative acknowledgement.
    Ack {
        /// The last sequence number that is dealt with.
        upto: u64,
        /// Which of them were refused for good.
        refused: Vec<Refusal>,
    },
    /// The last frame of a side, and why.
    Goodbye {
        /// For machines.
        code: GoodbyeCode,
        /// For an administrator.
        reason: String,
    },
}

/// A message that its receiver does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which message.
    pub seq: u64,
    /// For machines.
    pub code: RefusalCode,
    /// For an administrator.
    pub reason: String,
}

/// The numbers of codes on the wire. One that a later version made is carried as it is.
macro_rules! numbered {
    ($code:ident { $($number:literal = $name:ident),+ }) => {
        impl $code {
            /// The number on the wire.
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$name => $number,)+
                    Self::Other(number) => number,
                }
            }

            /// The code of a number on the wire.
            pub fn from_number(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)+
                    other => Self::Other(other),
                }
            }
        }
    };
}

/// Why a message is refused: for good, but for two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// Not a sealed message.
    Malformed,
    /// A version or suite the receiver does not speak.
    Unsupported,
    /// Larger than the receiver takes.
    TooLarge,
    /// Its time to live has passed.
    Expired,
    /// Sealed to a key the receiver does not have (any more).
    UnknownKey,
    /// The receiver's rules say no.
    Policy,
    /// Durable at the receiver since an earlier delivery: as good as acknowledged.
    Duplicate,
    /// The receiver has not all of its body: for once not for good, the chunks and the message are to be sent again.
    BodyMissing,
    /// A later version's code.
    Other(u32),
}

numbered!(RefusalCode { 1 = Malformed, 2 = Unsupported, 3 = TooLarge, 4 = Expired, 5 = UnknownKey, 6 = Policy, 7 = Duplicate, 8 = BodyMissing });

/// Why a side ends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GoodbyeCode {
    /// The node is going down.
    ShuttingDown,
    /// The node cannot keep messages now.
    NotNow,
    /// The other side's version is not spoken here.
    Version,
    /// The other side's organisation is not a partner.
    UnknownPeer,
    /// The other side's node record does not hold.
    Unverified,
    /// The other side broke the protocol.
    Protocol,
    /// A later version's code.
    Other(u32),
}

numbered!(GoodbyeCode { 1 = ShuttingDown, 2 = NotNow, 3 = Version, 4 = UnknownPeer, 5 = Unverified, 6 = Protocol });

/// Why a frame is not one: the other node's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Larger than a frame of its kind may be.
    #[error("frame of {0} octets is too large")]
    TooLarge(usize),
    /// Not protobuf, too many elements or unknown fields.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A kind of frame that this version does not know.
    #[error("unknown kind of frame ({0})")]
    UnknownKind(u32),
    /// A field exceeds its limit.
    #[error("frame field `{0}` is out of bounds")]
    OutOfBounds(&'static str),
}

const HELLO: u32 = 1;
const DELIVERY: u32 = 2;
const ACK: u32 = 3;
const GOODBYE: u32 = 4;
const CHUNK: u32 = 5;
/// A chunk and the few octets around it.
const CHUNK_FRAME_BYTES_MAX: usize = CHUNK_SEALED_BYTES + 64;

/// Encodes a frame with its length in front. A chunk or a sealed message is copied once; reasons are clipped to one line of
/// [`REASON_BYTES_MAX`] octets.
pub fn encode(frame: &Frame) -> Bytes {
    match frame {
        Frame::Hello { version, node_record, prekeys, head } => {
            let (node_record, prekeys, head) = (node_record.clone(), prekeys.clone(), head.clone());
            encode_as(HELLO, &wire::Hello { version: *version, node_record, prekeys, head })
        }
        Frame::Chunk { body, index, octets } => {
            let body = Bytes::copy_from_slice(body.as_bytes());
            encode_as(CHUNK, &wire::Chunk { body, index: *index, octets: octets.clone() })
        }
        Frame::Message { seq, sealed } => {
            encode_as(DELIVERY, &wire::Delivery { seq: *seq, sealed: sealed.clone() })
        }
        Frame::Ack { upto, refused } => {
            let refusal = |refusal: &Refusal| wire::Refusal {
                seq: refusal.seq,
                code: refusal.code.number(),
                reason: one_line(&refusal.reason, REASON_BYTES_MAX),
            };
            encode_as(ACK, &wire::Ack { upto: *upto, refused: refused.iter().map(refusal).collect() })
        }
        Frame::Goodbye { code, reason } => {
            let reason = one_line(reason, REASON_BYTES_MAX);
            encode_as(GOODBYE, &wire::Goodbye { code: code.number(), reason })
        }
    }
}

fn encode_as<M: prost::Message>(kind: u32, message: &M) -> Bytes {
    let length = message.encoded_len();
    let body = key_len(kind) + encoded_len_varint(length as u64) + length;
    let mut out = BytesMut::with_capacity(LENGTH_BYTES + body);
    // A body beyond 4 GiB cannot be built from parts that passed their own limits.
    out.put_u32(u32::try_from(body).unwrap_or(u32::MAX));
    encode_key(kind, WireType::LengthDelimited, &mut out);
    encode_varint(length as u64, &mut out);
    message.encode_raw(&mut out);
    out.freeze()
}

/// Decodes the body of one frame (without the length). A chunk or a sealed message stays a slice of it.
///
/// # Errors
/// Any [`FrameError`].
pub fn decode(body: Bytes) -> Result<Frame, FrameError> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(body.len()));
    }
    let (kind, message) = split_kind(body)?;
    let bytes_max = match kind {
        DELIVERY => FRAME_BYTES_MAX,
        CHUNK => CHUNK_FRAME_BYTES_MAX,
        _ => CONTROL_FRAME_BYTES_MAX,
    };
    if message.len() > bytes_max {
        return Err(FrameError::TooLarge(message.len()));
    }
    match kind {
        HELLO => decode_hello(message),
        DELIVERY => {
            let wire::Delivery { seq, sealed } = wire::decode(message, 2)?;
            Ok(Frame::Message { seq, sealed })
        }
        CHUNK => decode_chunk(message),
        ACK => decode_ack(message),
        GOODBYE => {
            let wire::Goodbye { code, reason } = wire::decode(message, 2)?;
            check_reason(&reason)?;
            Ok(Frame::Goodbye { code: GoodbyeCode::from_number(code), reason })
        }
        other => Err(FrameError::UnknownKind(other)),
    }
}

/// The body is one length-delimited field, to its last octet.
fn split_kind(mut body: Bytes) -> Result<(u32, Bytes), FrameError> {
    let whole = body.len();
    let (kind, wire_type) = decode_key(&mut body).map_err(|_| Malformed)?;
    let length = decode_varint(&mut body).map_err(|_| Malformed)?;
    let shortest = key_len(kind) + encoded_len_varint(length) + body.len() == whole;
    if wire_type != WireType::LengthDelimited || length != body.len() as u64 || !shortest {
        return Err(Malformed.into());
    }
    Ok((kind, body))
}

fn decode_hello(message: Bytes) -> Result<Frame, FrameError> {
    let wire::Hello { version, node_record, prekeys, head } = wire::decode(message, 3 + PREKEYS_MAX)?;
    if node_record.len() > RECORD_BYTES_MAX {
        return Err(FrameError::OutOfBounds("node_record"));
    }
    if prekeys.iter().any(|prekey| prekey.len() > RECORD_BYTES_MAX) {
        return Err(FrameError::OutOfBounds("prekeys"));
    }
    if head.len() > RECORD_BYTES_MAX {
        return Err(FrameError::OutOfBounds("head"));
    }
    Ok(Frame::Hello { version, node_record, prekeys, head })
}

fn decode_chunk(message: Bytes) -> Result<Frame, FrameError> {
    let wire::Chunk { body, index, octets } = wire::decode(message, 3)?;
    let body = body.as_ref().try_into().map_err(|_| FrameError::OutOfBounds("body"))?;
    if index >= CHUNKS_MAX {
        return Err(FrameError::OutOfBounds("index"));
    }
    if !is_chunk_len(octets.len()) {
        return Err(FrameError::OutOfBounds("octets"));
    }
    Ok(Frame::Chunk { body: BodyDigest::from_bytes(body), index, octets })
}

fn decode_ack(message: Bytes) -> Result<Frame, FrameError> {
    let wire::Ack { upto, refused } = wire::decode(message, 1 + REFUSALS_MAX)?;
    let refusal = |wire::Refusal { seq, code, reason }| {
        check_reason(&reason)?;
        Ok(Refusal { seq, code: RefusalCode::from_number(code), reason })
    };
    Ok(Frame::Ack { upto, refused: refused.into_iter().map(refusal).collect::<Result<_, FrameError>>()? })
}

fn check_reason(reason: &str) -> Result<(), FrameError> {
    let holds = reason.len() <= REASON_BYTES_MAX && !reason.chars().any(char::is_control);
    if holds { Ok(()) } else { Err(FrameError::OutOfBounds("reason")) }
}
