//! The W3C view of a DID: a projection of the log for software that does not speak DCCP. Nothing in DCCP reads it.
//!
//! Keys are [Multikey](https://www.w3.org/TR/cid-1.0/#Multikey) methods. A hybrid key is two methods that must both
//! be satisfied: W3C has no word for that, so the pair shares the first part of its fragment, the key id.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use super::{Device, Devices, DidDocument, EndpointId, Service};
use crate::keys::{KeyId, VerifyingKey};

const DID_CONTEXT: &str = "https://www.w3.org/ns/did/v1";
const MULTIKEY_CONTEXT: &str = "https://w3id.org/security/multikey/v1";
const RESOLUTION_CONTEXT: &str = "https://w3id.org/did-resolution/v1";

/// Ed25519 and X25519 public keys have 32 octets; the post-quantum half follows or precedes them.
const CLASSICAL_BYTES: usize = 32;
const ML_KEM_768_BYTES: usize = 1184;

/// Codes of the multicodec table (<https://github.com/multiformats/multicodec>), as unsigned varints.
#[derive(Clone, Copy)]
struct Codec {
    name: &'static str,
    varint: [u8; 2],
}

/// `ed25519-pub`, 0xed.
const ED25519: Codec = Codec { name: "ed25519", varint: [0xed, 0x01] };
/// `x25519-pub`, 0xec.
const X25519: Codec = Codec { name: "x25519", varint: [0xec, 0x01] };
/// `mldsa-65-pub`, 0x1211.
const ML_DSA_65: Codec = Codec { name: "mldsa65", varint: [0x91, 0x24] };
/// `mlkem-768-pub`, 0x120c.
const ML_KEM_768: Codec = Codec { name: "mlkem768", varint: [0x8c, 0x24] };

/// The DID document (DID 1.0 §5, JSON). Operators may act for the DID (`capabilityInvocation`), devices sign
/// (`authentication`, `assertionMethod`) and open (`keyAgreement`); revoked devices are left out, and FN-DSA keys, for
/// which no codec is registered. Of a deactivated DID only the id is left.
pub fn document(document: &DidDocument, devices: Option<&Devices>) -> Value {
    let did = document.did().as_str();
    let mut view = Map::new();
    view.insert("@context".into(), json!([DID_CONTEXT, MULTIKEY_CONTEXT]));
    view.insert("id".into(), json!(did));
    if document.is_deactivated() {
        return Value::Object(view);
    }
    if let Some(org) = document.org() {
        view.insert("controller".into(), json!([did, org.as_str()]));
    }
    let also: Vec<_> = document.domains().iter().map(|domain| format!("did:web:{domain}")).collect();
    if !also.is_empty() {
        view.insert("alsoKnownAs".into(), json!(also));
    }

    let mut methods = Methods { did, all: Vec::new() };
    let operators = document.operators().members.iter().flat_map(|key| methods.signing(key));
    let operators: Vec<_> = operators.collect();
    let devices = devices.into_iter().flat_map(Devices::iter).filter(|device| device.revoked.is_none());
    let devices: Vec<_> = devices.collect();
    let signing: Vec<_> = devices.iter().flat_map(|device| methods.device_signing(device)).collect();
    let opening: Vec<_> = devices.iter().flat_map(|device| methods.device_opening(device)).collect();
    view.insert("verificationMethod".into(), Value::Array(methods.all));
    view.insert("capabilityInvocation".into(), json!(operators));
    view.insert("authentication".into(), json!(signing));
    view.insert("assertionMethod".into(), json!(signing));
    view.insert("keyAgreement".into(), json!(opening));
    view.insert("service".into(), services(document));
    Value::Object(view)
}

/// The result of a resolution (DID Resolution 0.3 §4): the document and what is known about it.
pub fn resolution(did_document: &DidDocument, devices: Option<&Devices>) -> Value {
    json!({
        "@context": RESOLUTION_CONTEXT,
        "didDocument": document(did_document, devices),
        "didResolutionMetadata": { "contentType": "application/did+json" },
        "didDocumentMetadata": {
            "deactivated": did_document.is_deactivated(),
            "versionId": did_document.seq().to_string(),
        },
    })
}

/// `#inbox`, `#priority`, `#agent-service`: at the endpoint that the log names, else at the DID itself, that is, over
/// the overlay; a person's at the organisation's.
fn services(document: &DidDocument) -> Value {
    let home = document.org().unwrap_or(document.did()).as_str();
    let service = |id: EndpointId| {
        let named = document.services().iter().find_map(|service| match service {
            Service::Endpoint { id: named, uri } if *named == id => Some(uri.as_str()),
            _ => None,
        });
        json!({
            "id": format!("{}#{}", document.did(), id.as_str()),
            "type": "DCCPMessaging",
            "serviceEndpoint": named.unwrap_or(home),
        })
    };
    Value::Array(EndpointId::ALL.into_iter().map(service).collect())
}

struct Methods<'a> {
    did: &'a str,
    all: Vec<Value>,
}

impl Methods<'_> {
    /// Adds both halves of a hybrid signing key and gives their ids.
    fn signing(&mut self, key: &VerifyingKey) -> Vec<String> {
        let (classical, lattice) = key.as_bytes().split_at_checked(CLASSICAL_BYTES).unwrap_or_default();
        vec![self.add(key.key_id(), ED25519, classical), self.add(key.key_id(), ML_DSA_65, lattice)]
    }

    fn device_signing(&mut self, device: &Device) -> Vec<String> {
        self.signing(device.signing.hybrid())
    }

    /// Adds both halves of an X-Wing key.
    fn device_opening(&mut self, device: &Device) -> Vec<String> {
        let (key_id, key) = (device.kem.key_id(), device.kem.to_bytes());
        let (lattice, classical) = key.split_at_checked(ML_KEM_768_BYTES).unwrap_or_default();
        vec![self.add(key_id, X25519, classical), self.add(key_id, ML_KEM_768, lattice)]
    }

    fn add(&mut self, key_id: KeyId, codec: Codec, key: &[u8]) -> String {
        let id = format!("{}#{key_id}-{}", self.did, codec.name);
        self.all.push(json!({
            "id": id,
            "type": "Multikey",
            "controller": self.did,
            "publicKeyMultibase": multibase(&[&codec.varint, key].concat()),
        }));
        id
    }
}

/// Multibase: `z` and base58btc, which every reader of Ed25519 and X25519 expects, for short keys; `u` and base64url
/// for long ones, because base58 takes the square of the length.
fn multibase(bytes: &[u8]) -> String {
    if bytes.len() <= 2 + CLASSICAL_BYTES {
        format!("z{}", base58(bytes))
    } else {
        format!("u{}", BASE64URL_NOPAD.encode(bytes))
    }
}

/// Base58btc (draft-msporny-base58) of bytes that do not begin with zero, as no multicodec does.
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let letter = |digit: &u8| ALPHABET.get(usize::from(*digit)).copied().map(char::from);
    digits.iter().rev().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multibase_is_that_of_the_did_key_test_vectors() {
        // did:key, test vectors for Ed25519: z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp.
        let key = data_encoding::HEXLOWER
            .decode(b"ed013b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
            .unwrap();
        assert_eq!(multibase(&key), "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
    }
}
