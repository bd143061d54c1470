//! How message streams end, sorted by whose fault it is.

use std::io;

use dccp::Did;
use dccp::frame::{Frame, GoodbyeCode};
use thiserror::Error;

/// Why a message stream ended.
#[derive(Debug, Error)]
pub(crate) enum End {
    /// The peer broke the protocol or is not who it must be.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The peer ended the stream and said why.
    #[error("the partner's node ended the stream: {reason} ({code:?})")]
    Goodbye { code: GoodbyeCode, reason: String },
    /// The connection or the stream broke.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// The peer closed its side without a word.
    #[error("the partner's node closed the stream")]
    Closed,
    /// Our house cannot keep messages now.
    #[error("not now: {0}")]
    NotNow(String),
    /// We are going down.
    #[error("this node is shutting down")]
    ShuttingDown,
    /// The partner's operator keys were replaced: whoever proved itself by the old ones has to prove itself anew.
    #[error("the keys by which this node proved itself count no more")]
    Superseded,
    /// The partner was taken off our list.
    #[error("this organisation is no longer a partner")]
    Removed,
}

/// What a peer did wrong.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("it speaks version {0} of the message stream, we speak {ours}", ours = crate::greeting::VERSION)]
    Version(u32),
    #[error("its first frame was no Hello")]
    NoHello,
    #[error("it sent no Hello in time")]
    HelloTimeout,
    #[error("it said Hello too often")]
    HelloFlood,
    #[error("its node record cannot be read: {0}")]
    RecordUnreadable(String),
    #[error("its node record names {0}, who is not a partner")]
    Unknown(Did),
    #[error("its node record names {found}, but {expected} was expected")]
    WrongPartner { expected: Did, found: Did },
    #[error("its node record does not verify: {why}")]
    RecordForged { claimed: Did, why: String },
    #[error("its node record belongs to another node")]
    NotItsRecord,
    #[error("a frame of {length} bytes is larger than the {max} allowed here")]
    FrameTooLarge { length: usize, max: usize },
    #[error("a frame cannot be read: {0}")]
    Malformed(dccp::frame::FrameError),
    #[error("a {0} frame has no place here")]
    Misplaced(&'static str),
    #[error("message {found} came when {expected} was due")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("chunk {0} of a body came when it was not due")]
    ChunkOutOfOrder(u32),
    #[error("it acknowledged up to {upto} when {acked} was acknowledged and {sent} was sent")]
    AckOutOfRange { upto: u64, acked: u64, sent: u64 },
    #[error("it stalled in the middle of a frame")]
    Stalled,
    #[error("it did not acknowledge in time")]
    AckTimeout,
}

impl End {
    /// One word of a fixed vocabulary, for counters.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            End::Fault(fault) => fault.label(),
            End::Goodbye { .. } => "goodbye",
            End::Lost(_) => "lost",
            End::Closed => "closed",
            End::NotNow(_) => "not_now",
            End::ShuttingDown => "shutting_down",
            End::Superseded => "superseded",
            End::Removed => "removed",
        }
    }

    /// The last frame we send, if the peer can still hear us.
    pub(crate) fn goodbye(&self) -> Option<Frame> {
        let code = match self {
            End::Fault(fault) => fault.goodbye_code(),
            End::NotNow(_) => GoodbyeCode::NotNow,
            End::ShuttingDown => GoodbyeCode::ShuttingDown,
            End::Superseded => GoodbyeCode::Unverified,
            End::Removed => GoodbyeCode::UnknownPeer,
            End::Goodbye { .. } | End::Lost(_) | End::Closed => return None,
        };
        Some(Frame::Goodbye { code, reason: self.to_string() })
    }

    /// Whether the whole connection should go: nothing good will come from it. Not when the node is
    /// another partner's: a record that lies about a PeerId must not cost its true owner the link.
    pub(crate) fn disconnects(&self) -> bool {
        match self {
            End::Fault(fault) => !matches!(fault, Fault::WrongPartner { .. }),
            End::Superseded | End::Removed => true,
            _ => false,
        }
    }
}

impl Fault {
    fn label(&self) -> &'static str {
        match self {
            Fault::Version(_) => "version",
            Fault::NoHello => "no_hello",
            Fault::HelloTimeout => "hello_timeout",
            Fault::HelloFlood => "hello_flood",
            Fault::RecordUnreadable(_) => "record_unreadable",
            Fault::Unknown(_) => "unknown_partner",
            Fault::WrongPartner { .. } => "wrong_partner",
            Fault::RecordForged { .. } => "record_forged",
            Fault::NotItsRecord => "record_of_another_node",
            Fault::FrameTooLarge { .. } => "frame_too_large",
            Fault::Malformed(_) => "malformed_frame",
            Fault::Misplaced(_) => "misplaced_frame",
            Fault::OutOfOrder { .. } => "out_of_order",
            Fault::ChunkOutOfOrder(_) => "chunk_out_of_order",
            Fault::AckOutOfRange { .. } => "ack_out_of_range",
            Fault::Stalled => "stalled",
            Fault::AckTimeout => "ack_timeout",
        }
    }

    fn goodbye_code(&self) -> GoodbyeCode {
        match self {
            Fault::Version(_) => GoodbyeCode::Version,
            Fault::Unknown(_) | Fault::WrongPartner { .. } => GoodbyeCode::UnknownPeer,
            Fault::RecordUnreadable(_) | Fault::RecordForged { .. } | Fault::NotItsRecord => {
                GoodbyeCode::Unverified
            }
            _ => GoodbyeCode::Protocol,
        }
    }

    /// Whether the peer was never let in, as opposed to a partner that went wrong later.
    pub(crate) fn is_of_a_stranger(&self) -> bool {
        matches!(
            self,
            Fault::Version(_)
                | Fault::NoHello
                | Fault::HelloTimeout
                | Fault::RecordUnreadable(_)
                | Fault::Unknown(_)
                | Fault::WrongPartner { .. }
                | Fault::RecordForged { .. }
                | Fault::NotItsRecord
        )
    }
}
