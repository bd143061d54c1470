//! Every bound of the protocol in one place. A decoder that meets a larger thing refuses it before it allocates.

/// Payload of one message: a batch of receipts is the largest; a mail inside with the largest envelope has a third.
pub const PAYLOAD_BYTES_MAX: usize = RECEIPTS_BYTES_MAX;
/// A sealed message: the payload plus at most 3.2 % Padmé padding, the signature and the header.
pub const SEALED_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 256 * 1024;
/// A sealed message at rest: before there were bodies, a mail of 64 MiB stood inside its message, and a spool may hold
/// one that arrived then.
pub const RESTING_BYTES_MAX: usize = 68 * 1024 * 1024;
/// One frame of a message stream: a sealed message and the few octets around it.
pub const FRAME_BYTES_MAX: usize = SEALED_BYTES_MAX + 64 * 1024;

/// Clear octets of a body: an attachment of 64 MB in base64, more than corporate relays accept, and a whole number of chunks.
pub const BODY_BYTES_MAX: u64 = 96 * 1024 * 1024;
/// Chunks of a body: those of the largest.
pub const CHUNKS_MAX: u32 = 384;
/// Octets of a mail that travel inside its message; a larger one becomes a body. One chunk would gain nothing.
pub const INLINE_BYTES_MAX: usize = 256 * 1024;

/// Recipients (DIDs) of one message: organisations, not mailboxes; a mail names its mailboxes in its envelope.
pub const RECIPIENTS_MAX: usize = 64;
/// A content type in octets.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// How long a message may live: bounds the memory that duplicate detection needs.
pub const LIFETIME_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// How far two honest clocks may disagree before we call the other side wrong.
pub const CLOCK_SKEW_MS_MAX: u64 = 5 * 60 * 1000;

/// Messages under one signature: a proof of six hashes, and at 5 ms a batch the time to make them.
pub const BATCH_MESSAGES_MAX: usize = 64;
/// Messages in one live session: bounds what a secret that leaks from memory opens.
pub const SESSION_MESSAGES_MAX: u64 = 1000;
/// How long a live session lasts: bounds it in time, for the same reason.
pub const SESSION_MS_MAX: u64 = 5 * 60 * 1000;
/// One-time prekeys under one signature: a proof of eight hashes.
pub const STOCK_KEYS_MAX: usize = 256;
/// One-time prekeys in one answer: 32 of about 1.5 kB stay below the 64 KiB of an answer.
pub const STOCK_SERVED_MAX: usize = 32;
/// An answer with one-time prekeys, encoded.
pub const STOCK_BYTES_MAX: usize = 64 * 1024;

/// The body of one operation of a DID log, encoded; its signatures stand beside it.
pub const DID_OPERATION_BYTES_MAX: usize = 16 * 1024;
/// Operations in one DID log.
pub const DID_OPERATIONS_MAX: usize = 256;
/// A whole DID log, encoded.
pub const DID_LOG_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Keys of one rank of a DID: an operation that shows them is bounded anyway.
pub const QUORUM_MEMBERS_MAX: usize = 16;
/// Signatures beside one record: two full thresholds of a rotation that fits its limit.
pub const SIGNATURES_MAX: usize = 16;
/// Address commitments in one log: a person has few addresses.
pub const AKA_MAX: usize = 16;
/// An endpoint URI of a service in octets.
pub const ENDPOINT_BYTES_MAX: usize = 256;
/// Witnesses that one log may name.
pub const WITNESSES_MAX: usize = 8;
/// A succession notice: both halves with eleven signatures together, which as base64url still fit into a page of 64 KiB.
pub const SUCCESSION_BYTES_MAX: usize = 40 * 1024;
/// Domains that one organisation's log may name: the operation that carries them is bounded anyway.
pub const DOMAINS_MAX: usize = 32;
/// A domain name in octets (RFC 1035 §2.3.4, without the final dot).
pub const DOMAIN_BYTES_MAX: usize = 253;

/// A mail address in octets: RFC 5321 §4.5.3.1.3 gives a path 256 with its brackets.
pub const ADDRESS_BYTES_MAX: usize = 254;

/// Devices in one manifest: gateways of a cluster and their successors.
pub const DEVICES_MAX: usize = 32;
/// A device id in octets: a short name for logs and consoles.
pub const DEVICE_ID_BYTES_MAX: usize = 64;
/// A device manifest, encoded: 32 devices of about 4.2 kB each and 16 signatures.
pub const MANIFEST_BYTES_MAX: usize = 192 * 1024;
/// A node record or prekey record, encoded: below the 12 KiB that a published record may have.
pub const RECORD_BYTES_MAX: usize = 12 * 1024;
/// Addresses in one node record.
pub const NODE_ADDRESSES_MAX: usize = 16;
/// One address (a multiaddr as text) in octets.
pub const NODE_ADDRESS_BYTES_MAX: usize = 256;
/// A binary PeerId in octets: an identity multihash of an Ed25519 key has 38.
pub const PEER_ID_BYTES_MAX: usize = 64;
/// Node records in a partner file: the nodes of one organisation.
pub const PARTNER_NODES_MAX: usize = 16;
/// How long a head record may count: a week and a day for clocks. Whoever publishes at all must say anew what its tree
/// is, before everybody has forgotten what it said last.
pub const HEAD_LIFETIME_MS_MAX: u64 = 8 * 24 * 3600 * 1000;
/// Prekey records in a partner file or a hello: today's and tomorrow's, and room for a second suite.
pub const PREKEYS_MAX: usize = 8;
/// A bundle of log, manifest, node records and prekeys, each at its own limit.
pub const BUNDLE_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A partner file as text: the largest bundle in base64.
pub const PARTNER_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Forward paths of one mail: RFC 5321 §4.5.3.1.8 asks for 100 at least; ten times that is a mailing list's batch.
pub const FORWARD_PATHS_MAX: usize = 1000;
/// A path in octets: RFC 5321 §4.5.3.1.3 gives 256 with brackets; RFC 6531 addresses are longer in UTF-8.
pub const PATH_BYTES_MAX: usize = 512;
/// An envelope identifier in octets (RFC 3461 §4.4).
pub const ENVELOPE_ID_BYTES_MAX: usize = 100;
/// The recipient as the sender first wrote it, in octets (RFC 3461 §4.2).
pub const ORIGINAL_RECIPIENT_BYTES_MAX: usize = 500;
/// The type of such an address in octets: the registered ones have at most six.
pub const ADDRESS_TYPE_BYTES_MAX: usize = 32;

/// Receipts in one batch: amortises one hybrid signature over a busy second.
pub const RECEIPTS_MAX: usize = 256;
/// Outcomes of one receipt: one per forward path.
pub const OUTCOMES_MAX: usize = FORWARD_PATHS_MAX;
/// A diagnostic text in octets: one SMTP reply of a few lines.
pub const DIAGNOSTIC_BYTES_MAX: usize = 1024;
/// A batch of receipts, encoded.
pub const RECEIPTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// An enhanced status code in octets (RFC 3463 §2: at most `5.999.999`).
pub const STATUS_BYTES_MAX: usize = 9;

/// Any frame that carries neither a sealed message nor a chunk: the largest hello or acknowledgement.
pub const CONTROL_FRAME_BYTES_MAX: usize = 256 * 1024;
/// Refusals in one acknowledgement frame: a sender with more to refuse sends another frame.
pub const REFUSALS_MAX: usize = 256;
/// The reason of a refusal or a goodbye in octets: one sentence for an administrator.
pub const REASON_BYTES_MAX: usize = 512;
