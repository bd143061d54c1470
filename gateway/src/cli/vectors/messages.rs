//! Logs and messages, as two organisations see them.

use dccp::did::{Log, w3c};
use dccp::kem::{DecapsulationKey, EncapsulationKey};
use dccp::keys::{DeviceSigner, DeviceVerifier, SigningKey, VerifyingKey, falcon};
use dccp::message::{Class, FsClass, Message};
use dccp::seal::{RecipientKey, SealedMessage, seal, unseal};
use dccp::{Did, Suite, UnixMillis};
use serde_json::json;

use super::fields::{BadRequest, Fields};
use super::primitives::hex;
use super::{Operation, Outcome, Refusal};

/// Every operation of this module.
pub(super) const OPERATIONS: [Operation; 3] =
    [("did-log.verify", did_log_verify), ("seal", seal_one), ("open", open_one)];

/// A gateway looks the key up by the id in the header, and refuses the message when it has none of this name.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the message is sealed to another key than the one that is given")]
struct UnknownKey;

fn did_log_verify(fields: &Fields) -> Outcome {
    let log = Log::from_bytes(&fields.octets("log")?)?;
    let document = log.verify()?;
    Ok(json!({
        "did": document.did().as_str(),
        "seq": document.seq(),
        "head": hex(document.head_hash()),
        "deactivated": document.is_deactivated(),
        "document": w3c::document(&document, None),
    }))
}

/// To one recipient, with a signature of its own, outside of any session.
fn seal_one(fields: &Fields) -> Outcome {
    let suite = suite(fields)?;
    let kem = EncapsulationKey::from_bytes(suite.choices().kem, &fields.octets("recipient_key")?)?;
    let (did, fs_class) =
        (fields.parsed::<Did>("recipient")?, fields.choice("fs_class", FsClass::from_number)?);
    let message = Message {
        sender: fields.parsed("sender")?,
        message_id: fields.parsed("message_id")?,
        payload: fields.octets("payload")?.to_vec().into(),
        recipients: vec![did.clone()],
        content_type: fields.text("content_type")?.to_owned(),
        timestamp: time(fields, "timestamp")?,
        expires: time(fields, "expires")?,
        class: fields.choice("class", Class::from_number)?,
        fs_class,
        suite,
        own_tree: None,
        your_tree: None,
    };
    let to = RecipientKey { did, suite, key_id: kem.key_id(), kem, fs_class };
    let sealed = seal(&message, &to, &signer(fields)?, time(fields, "now")?, &mut rand::rng())?;
    Ok(json!({"sealed": hex(sealed.bytes()), "digest": hex(sealed.digest())}))
}

fn open_one(fields: &Fields) -> Outcome {
    let sealed = SealedMessage::parse(fields.octets("sealed")?.to_vec().into())?;
    let key = DecapsulationKey::from_seed(sealed.suite().choices().kem, &fields.octets("recipient_seed")?)?;
    if sealed.key_id() != key.encapsulation_key().key_id() {
        return Err(UnknownKey.into());
    }
    let (me, now) = (fields.parsed("recipient")?, time(fields, "now")?);
    let opened = unseal(&sealed, &key)?.verify(&verifier(fields)?, &me, now)?;
    let message = opened.message;
    Ok(json!({
        "suite": message.suite.id(),
        "sender": message.sender.as_str(),
        "recipients": message.recipients.iter().map(Did::as_str).collect::<Vec<_>>(),
        "message_id": message.message_id.to_string(),
        "content_type": message.content_type,
        "payload": hex(message.payload),
        "timestamp": message.timestamp.as_u64(),
        "expires": message.expires.as_u64(),
        "class": message.class.number(),
        "fs_class": message.fs_class.number(),
        "signed": hex(opened.evidence),
    }))
}

fn suite(fields: &Fields) -> Result<Suite, BadRequest> {
    fields.choice("suite", |number| Suite::try_from(number).ok())
}

fn time(fields: &Fields, name: &'static str) -> Result<UnixMillis, BadRequest> {
    fields.number(name).map(UnixMillis)
}

/// `signing_seed`: Ed25519 (32) ‖ ML-DSA-65 (32); `falcon_private` for suite 0x0102.
fn signer(fields: &Fields) -> Result<DeviceSigner, Refusal> {
    let falcon = fields.octets_if_any("falcon_private")?;
    let falcon = falcon.map(|key| falcon::SigningKey::from_bytes(&key)).transpose()?;
    Ok(DeviceSigner::new(SigningKey::from_seed(&*fields.array("signing_seed")?), falcon))
}

/// `sender_key`: Ed25519 (32) ‖ ML-DSA-65 (1952); `falcon_public` for suite 0x0102.
fn verifier(fields: &Fields) -> Result<DeviceVerifier, Refusal> {
    let falcon = fields.octets_if_any("falcon_public")?;
    let falcon = falcon.map(|key| falcon::VerifyingKey::from_bytes(&key)).transpose()?;
    Ok(DeviceVerifier::new(VerifyingKey::from_bytes(&fields.octets("sender_key")?)?, falcon))
}
