//! Large bodies: the octets of a mail that travel beside its message.

use bytes::Bytes;
use dccp::body::{BodyOpener, BodySealer};
use dccp::mail::{Content, Mail, MailEnvelope};
use serde_json::{Value, json};

use super::fields::Fields;
use super::primitives::hex;
use super::{Operation, Outcome};

/// Every operation of this module.
pub(super) const OPERATIONS: [Operation; 2] = [("body.seal", seal), ("body.open", open)];

/// The payload carries its octets itself.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the mail refers to no body")]
struct NoBody;

/// The mail is the payload of a message, as `seal` takes it; its one recipient is `forward_path`.
fn seal(fields: &Fields) -> Outcome {
    let octets = fields.octets("octets")?;
    let mut sealer = BodySealer::new(octets.len() as u64, &mut rand::rng())?;
    let (mut left, mut chunks) = (octets.as_slice(), Vec::new());
    while let Some(chunk) = sealer.chunk(&mut left)? {
        chunks.push(Value::from(hex(chunk)));
    }
    let body = sealer.finish()?;
    let outline = body.outline();
    let forward_paths = vec![fields.text("forward_path")?.to_owned()];
    let envelope = MailEnvelope { forward_paths, ..MailEnvelope::default() };
    let mail = Mail { envelope, content: Content::Body(body) }.encode();
    Ok(json!({
        "mail": hex(mail),
        "chunks": chunks,
        "digest": outline.digest.to_string(),
        "sealed_bytes": outline.sealed_bytes,
    }))
}

/// Gives the octets only when all of them are what the mail refers to.
fn open(fields: &Fields) -> Outcome {
    let mail = Mail::decode(Bytes::copy_from_slice(&fields.octets("mail")?))?;
    let Content::Body(body) = mail.content else { return Err(NoBody.into()) };
    let (mut opener, mut octets) = (BodyOpener::new(&body)?, Vec::new());
    for chunk in fields.octets_of_each("chunks")? {
        opener.chunk(&chunk, &mut octets)?;
    }
    opener.finish()?;
    Ok(json!({"octets": hex(octets)}))
}
