//! Frames: the first bytes that a stranger's node can make us read.

use bytes::Bytes;
use dccp::body::CHUNK_SEALED_BYTES;
use dccp::frame::{Frame, LENGTH_BYTES, decode, encode};
use dccp::limits::{CHUNKS_MAX, PREKEYS_MAX, REASON_BYTES_MAX, RECORD_BYTES_MAX, REFUSALS_MAX};

/// A frame that was accepted is within its limits, and reads back as the same frame from as many octets.
pub(crate) fn frame(octets: &[u8]) -> bool {
    let Ok(frame) = decode(Bytes::copy_from_slice(octets)) else { return false };
    check(&frame);
    let written = encode(&frame);
    assert_eq!(written.len(), LENGTH_BYTES + octets.len(), "the frame had two encodings");
    assert_eq!(written[..LENGTH_BYTES], (octets.len() as u32).to_be_bytes());
    assert_eq!(decode(written.slice(LENGTH_BYTES..)).as_ref(), Ok(&frame), "another frame when read again");
    true
}

fn check(frame: &Frame) {
    match frame {
        Frame::Hello { node_record, prekeys, head, .. } => {
            assert!(node_record.len() <= RECORD_BYTES_MAX && head.len() <= RECORD_BYTES_MAX);
            assert!(prekeys.len() <= PREKEYS_MAX && prekeys.iter().all(|key| key.len() <= RECORD_BYTES_MAX));
        }
        Frame::Ack { refused, .. } => {
            assert!(refused.len() <= REFUSALS_MAX);
            assert!(refused.iter().all(|refusal| refusal.reason.len() <= REASON_BYTES_MAX));
        }
        Frame::Goodbye { reason, .. } => assert!(reason.len() <= REASON_BYTES_MAX),
        Frame::Chunk { index, octets, .. } => {
            assert!(*index < CHUNKS_MAX && octets.len() <= CHUNK_SEALED_BYTES);
        }
        Frame::Message { .. } => {}
    }
}
