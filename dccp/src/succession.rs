//! Succession notices: a domain goes over from one DID to another, and both owners say so.
//!
//! ```text
//! old operators ─ sign ─► half ┐
//!                              ├─ join ─► notice ─ in /.well-known/dccp.json for seven days ─► partners pin the new DID
//! new operators ─ sign ─► half ┘
//! ```
//!
//! Keys are rotated inside a DID; a notice is for what a rotation cannot do: mergers, a change of custody. Whoever was
//! away for the seven days asks an administrator.

use crate::cbor::{self, CborError, Fields, Value};
use crate::did::DidDocument;
use crate::keys::{Domain, SigningKey};
use crate::limits::{DOMAIN_BYTES_MAX, SUCCESSION_BYTES_MAX};
use crate::record::{self, RECORD_VERSION, RecordError, SignedBody};
use crate::{Did, UnixMillis};

/// How long both DIDs speak for the domain: partners look once a day, and seven looks in a row do not all fail.
pub const OVERLAP_MS: u64 = 7 * 24 * 3600 * 1000;

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The DID that spoke for the domain.
    pub old: Did,
    /// The DID that speaks for it from now on.
    pub new: Did,
    /// The domain, lower-case ASCII (A-labels).
    pub domain: String,
    /// From when the notice counts; it ends [`OVERLAP_MS`] later.
    pub not_before: UnixMillis,
}

impl Succession {
    /// One side's half of the notice, signed by its operators: a signed record.
    pub fn sign(&self, operators: &[&SigningKey]) -> Vec<u8> {
        SignedBody::sign_by(Domain::Succession, &self.to_value(), operators).to_bytes()
    }

    fn to_value(&self) -> Value {
        cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("old", Value::Text(self.old.to_string())),
            ("new", Value::Text(self.new.to_string())),
            ("dom", Value::Text(self.domain.clone())),
            ("nb", Value::Unsigned(self.not_before.as_u64())),
        ])
    }

    fn read(mut fields: Fields) -> Result<Self, RecordError> {
        record::expect_version(&mut fields)?;
        let mut did = |name| fields.text(name)?.parse().map_err(|_| CborError::Wrong(name));
        let (old, new) = (did("old")?, did("new")?);
        let succession =
            Self { old, new, domain: fields.text("dom")?, not_before: UnixMillis(fields.unsigned("nb")?) };
        fields.finish()?;
        if succession.domain.len() > DOMAIN_BYTES_MAX {
            return Err(RecordError::OutOfBounds("dom"));
        }
        if succession.old == succession.new {
            return Err(RecordError::OutOfBounds("new"));
        }
        Ok(succession)
    }
}

/// A notice that is well formed; nothing of it is believed before [`Notice::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    old: SignedBody,
    new: SignedBody,
    claimed: Succession,
}

impl Notice {
    /// Puts the halves of both sides together.
    ///
    /// # Errors
    /// [`RecordError`] when a half is none, or they say different things.
    pub fn join(old: &[u8], new: &[u8]) -> Result<Self, RecordError> {
        let [old, new] = [old, new].map(|half| SignedBody::from_bytes(half, SUCCESSION_BYTES_MAX));
        let (old, new) = (old?, new?);
        if old.body != new.body {
            return Err(RecordError::OutOfBounds("b"));
        }
        let claimed = Succession::read(old.fields()?)?;
        Ok(Self { old, new, claimed })
    }

    /// The canonical bytes: `{v, old: half, new: half}`.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("old", Value::Bytes(self.old.to_bytes())),
            ("new", Value::Bytes(self.new.to_bytes())),
        ]))
    }

    /// Reads a notice: limits, strict dCBOR, both halves saying the same.
    ///
    /// # Errors
    /// Any [`RecordError`] that does not need a signature to be checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::of(cbor::decode(bytes, SUCCESSION_BYTES_MAX)?, "notice")?;
        record::expect_version(&mut fields)?;
        let (old, new) = (fields.bytes("old")?, fields.bytes("new")?);
        fields.finish()?;
        Self::join(&old, &new)
    }

    /// What the unverified notice says.
    pub fn claimed(&self) -> &Succession {
        &self.claimed
    }

    /// Believes the notice: the operators of both DIDs signed it, to their thresholds, both logs name the domain, and it
    /// counts now.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn verify(
        &self,
        old: &DidDocument,
        new: &DidDocument,
        now: UnixMillis,
    ) -> Result<&Succession, RecordError> {
        let says = &self.claimed;
        if says.old != *old.did() || says.new != *new.did() {
            return Err(RecordError::OtherDid);
        }
        if ![old, new].iter().all(|document| document.domains().contains(&says.domain)) {
            return Err(RecordError::OutOfBounds("dom"));
        }
        record::check_time(says.not_before, says.not_before.saturating_add_ms(OVERLAP_MS), now)?;
        self.old.verify_quorum(Domain::Succession, old.operators())?;
        self.new.verify_quorum(Domain::Succession, new.operators())?;
        Ok(says)
    }
}
