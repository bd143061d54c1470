//! What one node may ask another, and of whom.

use dccp::Did;
use libp2p::StreamProtocol;

/// A question of any topic: a DID or an address and a nonce; what is longer is no question.
pub const QUESTION_BYTES_MAX: usize = 16 * 1024;

/// What a question is about. Each topic is a stream protocol of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `/dccp/did/1`: the log, manifest and records of a DID.
    Did,
    /// `/dccp/prekey/1`: one-time prekeys of the asked organisation. For partners only.
    Prekey,
    /// `/dccp/find/1`: the DID behind an address, and what keeps the answerer honest.
    Find,
}

impl Topic {
    /// All topics.
    pub const ALL: [Topic; 3] = [Topic::Did, Topic::Prekey, Topic::Find];

    /// The longest answer in octets.
    pub fn answer_bytes_max(self) -> usize {
        match self {
            // A log of 2 MiB, its manifest and its records.
            Topic::Did => 3 << 20,
            // A dozen keys under one signature, with their proofs.
            Topic::Prekey => 64 << 10,
            // A signed answer with two proofs.
            Topic::Find => 16 << 10,
        }
    }

    /// Whether a node that is no partner's may ask it. One-time prekeys are consumed by asking: a
    /// stranger could empty the stock.
    pub fn is_open_to_strangers(self) -> bool {
        self != Topic::Prekey
    }

    pub(crate) fn protocol(self) -> StreamProtocol {
        StreamProtocol::new(match self {
            Topic::Did => "/dccp/did/1",
            Topic::Prekey => "/dccp/prekey/1",
            Topic::Find => "/dccp/find/1",
        })
    }

    /// One word for counters.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Topic::Did => "did",
            Topic::Prekey => "prekey",
            Topic::Find => "find",
        }
    }
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Any node of this partner; one that we are connected with first.
    Partner(Did),
    /// The node with this PeerId, as the bytes of its multihash, if we are connected with it now: it is not dialled.
    Node(Vec<u8>),
    /// A stranger's nodes: multiaddrs with `/p2p/<peer id>`, tried in this order.
    Addresses(Vec<String>),
}

/// Who asks us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The PeerId of the asking node, as the bytes of its multihash; proved by the connection.
    pub peer_id: Vec<u8>,
    /// The partner whose node it is. `None`: a stranger, or a partner's node that has not
    /// presented its node record on this connection.
    pub did: Option<Did>,
}

/// What the house thinks of a head record that a node wants us to keep for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadVerdict {
    /// It is valid, newer than what it would replace, and names this DID.
    Store(Did),
    /// It is valid, but contradicts the record that it would replace: somebody signed two stories, and the first stays.
    Contradicts,
    /// Anything else.
    Drop,
}
