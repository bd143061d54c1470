//! The records of one DID in the forms in which they are served, made once.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use dccp::did::{DidDocument, w3c};
use dccp::partner::{PartnerError, PartnerFile};
use dccp::{Did, UnixMillis};
use http::HeaderValue;
use serde_json::{Value, json};

/// The octets of an entity tag: enough that two versions never share one.
const TAG_BYTES: usize = 16;

/// The published records of one DID.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) cbor: Page,
    pub(super) json: Page,
    document: DidDocument,
    view: Value,
}

/// One page and its entity tag.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) octets: Bytes,
    pub(super) tag: HeaderValue,
}

impl Page {
    pub(super) fn new(octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        let hash = HEXLOWER.encode(digest(&SHA256, &octets).as_ref().get(..TAG_BYTES).unwrap_or_default());
        // Quoted hexadecimal digits are always a header value.
        let tag = HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { octets, tag }
    }
}

impl Entry {
    /// Prepares a bundle. Only what verifies is published: whoever fetches it would refuse it anyway.
    ///
    /// # Errors
    /// Any [`PartnerError`] of [`PartnerFile::verify`].
    pub fn new(bundle: &PartnerFile, now: UnixMillis) -> Result<Self, PartnerError> {
        let partner = bundle.verify(now)?;
        let view = w3c::document(&partner.document, Some(&partner.devices));
        Ok(Self {
            cbor: Page::new(bundle.to_bytes()),
            json: Page::new(view.to_string()),
            document: partner.document,
            view,
        })
    }

    /// The DID whose records these are.
    pub fn did(&self) -> &Did {
        self.document.did()
    }

    /// The document under the name `did:web:<domain>` (did:web §2.5.2): the same keys, and the DID it mirrors. None for
    /// a domain that the log does not name.
    pub(super) fn as_did_web(&self, domain: &str) -> Option<Page> {
        if !self.document.domains().iter().any(|named| named == domain) {
            return None;
        }
        let (did, web) = (self.did().as_str(), format!("did:web:{domain}"));
        let mut view = renamed(&self.view, did, &web);
        view.as_object_mut()?.insert("alsoKnownAs".into(), json!([did]));
        Some(Page::new(view.to_string()))
    }
}

/// The same value with another DID in every place where one begins a text: ids, controllers, endpoints.
fn renamed(value: &Value, from: &str, to: &str) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix(from) {
            Some(rest) => Value::String(format!("{to}{rest}")),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(|item| renamed(item, from, to)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), renamed(value, from, to)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}
