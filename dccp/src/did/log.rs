//! The log of operations behind a DID, and the document it resolves to.

use aws_lc_rs::digest::{Context, SHA256};

use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::{ALGORITHM_HYBRID_SIGNATURE, BadKey, BadSignature, Domain, SigningKey, VerifyingKey};
use crate::limits::{
    DID_LOG_BYTES_MAX, DID_OPERATION_BYTES_MAX, DID_OPERATIONS_MAX, DOMAIN_BYTES_MAX, DOMAINS_MAX,
};
use crate::record::SignedBody;
use crate::{Did, UnixMillis};

const OPERATION_VERSION: u64 = 1;
const COMMITMENT_LABEL: &[u8] = b"DCCP-KEY-COMMIT-v1\0";
/// The first device manifest of an organisation has epoch 1.
const FIRST_MANIFEST_EPOCH: u64 = 1;

/// What an organisation decides when it founds its DID.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The domains it speaks for, lower-case ASCII (A-labels).
    pub domains: Vec<String>,
    /// L1, the operator key: signs the genesis, manifests and records.
    pub operator: VerifyingKey,
    /// L0, the recovery key: only its hash enters the log.
    pub recovery: VerifyingKey,
    /// From when the DID counts.
    pub not_before: UnixMillis,
}

/// Founds an organisation: a log with its genesis, signed by the operator key. Custody is `org`.
///
/// # Errors
/// [`LogError::Domains`] when a domain is not a lower-case DNS name, named twice, or there are none or too many;
/// [`LogError::Operator`] when `operator` is not the key that `founding` names.
pub fn found(founding: &Founding, operator: &SigningKey) -> Result<Log, LogError> {
    if operator.verifying_key() != &founding.operator {
        return Err(LogError::Operator);
    }
    check_domains(&founding.domains)?;
    let genesis = Genesis {
        domains: founding.domains.clone(),
        operator: founding.operator.clone(),
        recovery_commitment: commitment(&founding.recovery),
        not_before: founding.not_before,
        manifest_epoch_min: FIRST_MANIFEST_EPOCH,
    };
    let signed = SignedBody::sign(Domain::DidOperation, &genesis.to_value(), operator);
    Ok(Log { signed, genesis })
}

/// A DID log that is well formed but not yet verified.
#[derive(Clone, Debug)]
pub struct Log {
    signed: SignedBody,
    genesis: Genesis,
}

impl Log {
    /// The canonical bytes: a dCBOR array of operations.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&Value::Array(vec![self.signed.to_value()]))
    }

    /// Reads a log: limits, strict dCBOR, operation kinds.
    ///
    /// # Errors
    /// Any [`LogError`] except [`LogError::BadSignature`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LogError> {
        let Value::Array(operations) = cbor::decode(bytes, DID_LOG_BYTES_MAX)? else {
            return Err(CborError::Wrong("log").into());
        };
        if operations.len() > DID_OPERATIONS_MAX {
            return Err(LogError::TooManyOperations);
        }
        let mut operations = operations.into_iter();
        let first = operations.next().ok_or(LogError::Empty)?;
        let (signed, genesis) = Genesis::read(first)?;
        if let Some(next) = operations.next() {
            return Err(refuse_operation(next));
        }
        Ok(Self { signed, genesis })
    }

    /// The DID that this log certifies: the hash of its unsigned genesis body.
    pub fn did(&self) -> Did {
        Did::of_genesis(&self.signed.body)
    }

    /// The domains that the unverified log names, for display.
    pub fn claimed_domains(&self) -> &[String] {
        &self.genesis.domains
    }

    /// Verifies the signatures and resolves the log. The caller compares the DID with the one it expects.
    ///
    /// # Errors
    /// [`LogError::BadSignature`] when the genesis is not signed by the operator key that it names.
    pub fn verify(&self) -> Result<DidDocument, LogError> {
        self.signed.verify(Domain::DidOperation, &self.genesis.operator)?;
        Ok(DidDocument { did: self.did(), genesis: self.genesis.clone() })
    }
}

/// What a verified log says about an organisation.
#[derive(Clone, Debug)]
pub struct DidDocument {
    did: Did,
    genesis: Genesis,
}

impl DidDocument {
    /// The identifier.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// The domains the organisation speaks for. Believe one only if the domain names the DID too.
    pub fn domains(&self) -> &[String] {
        &self.genesis.domains
    }

    /// L1: signs manifests, node records and prekeys.
    pub fn operator(&self) -> &VerifyingKey {
        &self.genesis.operator
    }

    /// Who holds L0.
    pub fn custody(&self) -> Custody {
        Custody::Org
    }

    /// From when the DID counts.
    pub fn not_before(&self) -> UnixMillis {
        self.genesis.not_before
    }

    /// The least manifest epoch that is still accepted.
    pub fn manifest_epoch_min(&self) -> u64 {
        self.genesis.manifest_epoch_min
    }

    /// Does this key fulfil the pre-rotation commitment to the next L0 key?
    pub fn is_committed_recovery(&self, key: &VerifyingKey) -> bool {
        commitment(key) == self.genesis.recovery_commitment
    }
}

/// Who holds the recovery key of a DID: fixed at genesis and shown to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Custody {
    /// The organisation.
    Org,
}

/// Why a log is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Ours: the signing key is not the operator of the founding.
    #[error("the signing key is not the operator key of the founding")]
    Operator,
    /// Ours or theirs: domains missing, too many, repeated or malformed.
    #[error("domains must be 1 to 32 different lower-case DNS names")]
    Domains,
    /// Theirs: the bytes are not a log.
    #[error("malformed log: {0}")]
    Malformed(#[from] CborError),
    /// Theirs: a log without operations.
    #[error("empty log")]
    Empty,
    /// Theirs: more operations than a log may have.
    #[error("too many operations")]
    TooManyOperations,
    /// Theirs: an operation larger than allowed.
    #[error("operation too large")]
    OperationTooLarge,
    /// Theirs: a key inside is not a key.
    #[error(transparent)]
    BadKey(#[from] BadKey),
    /// Theirs or an attacker's.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// Nobody's: a later version of the protocol.
    #[error("operation version {0} is not supported")]
    UnsupportedVersion(u64),
    /// Nobody's: an operation kind that this version does not replay.
    #[error("operation `{0}` is not supported")]
    UnsupportedOperation(String),
    /// Nobody's: a feature of the design that this version does not speak (custody, thresholds, witnesses, aliases).
    #[error("`{0}` has a value that is not supported")]
    Unsupported(&'static str),
}

/// The hash by which a log commits to a key it does not show (pre-rotation).
fn commitment(key: &VerifyingKey) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(COMMITMENT_LABEL);
    hash.update(&ALGORITHM_HYBRID_SIGNATURE.to_be_bytes());
    hash.update(key.as_bytes());
    let mut commitment = [0; 32];
    commitment.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    commitment
}

#[derive(Clone, Debug)]
struct Genesis {
    domains: Vec<String>,
    operator: VerifyingKey,
    recovery_commitment: [u8; 32],
    not_before: UnixMillis,
    manifest_epoch_min: u64,
}

impl Genesis {
    fn to_value(&self) -> Value {
        let recovery = cbor::map([
            ("k", Value::Array(Vec::new())),
            ("n", cbor::byte_strings([self.recovery_commitment.as_slice()])),
            ("w", Value::Unsigned(1)),
        ]);
        let operator = cbor::map([
            ("k", Value::Array(vec![key_to_value(&self.operator)])),
            ("n", Value::Array(Vec::new())),
            ("w", Value::Unsigned(1)),
        ]);
        let domain = |name: &String| {
            cbor::map([("t", Value::Text("domain".into())), ("u", Value::Text(name.clone()))])
        };
        cbor::map([
            ("v", Value::Unsigned(OPERATION_VERSION)),
            ("t", Value::Text("genesis".into())),
            ("seq", Value::Unsigned(0)),
            ("prev", Value::Bytes(Vec::new())),
            ("auth", cbor::map([("L0", recovery), ("L1", operator)])),
            ("custody", Value::Text("org".into())),
            ("aka", Value::Array(Vec::new())),
            ("svc", Value::Array(self.domains.iter().map(domain).collect())),
            ("dm", Value::Unsigned(self.manifest_epoch_min)),
            ("wit", Value::Array(Vec::new())),
            ("nb", Value::Unsigned(self.not_before.as_u64())),
        ])
    }

    fn read(operation: Value) -> Result<(SignedBody, Self), LogError> {
        let (signed, mut fields) = open_operation(operation)?;
        match fields.text("t")?.as_str() {
            "genesis" => {}
            other => return Err(LogError::UnsupportedOperation(other.to_owned())),
        }
        if fields.unsigned("seq")? != 0 || !fields.bytes("prev")?.is_empty() {
            return Err(CborError::Wrong("seq").into());
        }
        if fields.text("custody")? != "org" {
            return Err(LogError::Unsupported("custody"));
        }
        for unused in ["aka", "wit"] {
            if !fields.array(unused, usize::MAX)?.is_empty() {
                return Err(LogError::Unsupported(unused));
            }
        }
        let (recovery_commitment, operator) = read_auth(fields.map("auth")?)?;
        let genesis = Self {
            domains: read_domains(fields.array("svc", DOMAINS_MAX)?)?,
            operator,
            recovery_commitment,
            not_before: UnixMillis(fields.unsigned("nb")?),
            manifest_epoch_min: fields.unsigned("dm")?,
        };
        fields.finish()?;
        Ok((signed, genesis))
    }
}

/// The signed body and its fields, the version already checked.
fn open_operation(operation: Value) -> Result<(SignedBody, Fields), LogError> {
    if cbor::encode(&operation).len() > DID_OPERATION_BYTES_MAX {
        return Err(LogError::OperationTooLarge);
    }
    let signed = SignedBody::from_value(operation)?;
    let mut fields = signed.fields()?;
    match fields.unsigned("v")? {
        OPERATION_VERSION => Ok((signed, fields)),
        other => Err(LogError::UnsupportedVersion(other)),
    }
}

/// Names the operation that this version cannot replay.
fn refuse_operation(operation: Value) -> LogError {
    let kind = open_operation(operation).and_then(|(_, mut fields)| Ok(fields.text("t")?));
    kind.map_or_else(|error| error, LogError::UnsupportedOperation)
}

/// `{L0: {k: [], n: [commitment], w: 1}, L1: {k: [key], n: [], w: 1}}`.
fn read_auth(mut auth: Fields) -> Result<([u8; 32], VerifyingKey), LogError> {
    let mut recovery = auth.map("L0")?;
    let mut operator = auth.map("L1")?;
    auth.finish()?;

    if recovery.unsigned("w")? != 1 || operator.unsigned("w")? != 1 {
        return Err(LogError::Unsupported("w"));
    }
    if !recovery.array("k", usize::MAX)?.is_empty() || !operator.array("n", usize::MAX)?.is_empty() {
        return Err(LogError::Unsupported("auth"));
    }
    let commitments = recovery.bytes_array("n", usize::MAX)?;
    let keys = operator.bytes_array("k", usize::MAX)?;
    recovery.finish()?;
    operator.finish()?;

    let (Ok([commitment]), Ok([key])) = (<[_; 1]>::try_from(commitments), <[_; 1]>::try_from(keys)) else {
        return Err(LogError::Unsupported("auth"));
    };
    let commitment = commitment.try_into().map_err(|_| CborError::Wrong("n"))?;
    Ok((commitment, key_from_bytes(&key)?))
}

/// A public key in a record: algorithm id (u16, big-endian) ‖ key.
pub(super) fn key_to_value(key: &VerifyingKey) -> Value {
    Value::Bytes([ALGORITHM_HYBRID_SIGNATURE.to_be_bytes().as_slice(), key.as_bytes()].concat())
}

/// Reads what [`key_to_value`] writes.
pub(super) fn key_from_bytes(bytes: &[u8]) -> Result<VerifyingKey, BadKey> {
    let (algorithm, key) = bytes.split_first_chunk().ok_or(BadKey)?;
    if u16::from_be_bytes(*algorithm) != ALGORITHM_HYBRID_SIGNATURE {
        return Err(BadKey);
    }
    VerifyingKey::from_bytes(key)
}

fn read_domains(services: Vec<Value>) -> Result<Vec<String>, LogError> {
    let mut domains = Vec::new();
    for service in services {
        let mut fields = Fields::of(service, "svc")?;
        if fields.text("t")? != "domain" {
            return Err(LogError::Unsupported("svc"));
        }
        domains.push(fields.text("u")?);
        fields.finish()?;
    }
    check_domains(&domains)?;
    Ok(domains)
}

fn check_domains(domains: &[String]) -> Result<(), LogError> {
    let distinct = domains.iter().collect::<std::collections::BTreeSet<_>>().len() == domains.len();
    let bounded = (1..=DOMAINS_MAX).contains(&domains.len());
    if distinct && bounded && domains.iter().all(|name| is_domain(name)) {
        Ok(())
    } else {
        Err(LogError::Domains)
    }
}

/// RFC 1123 §2.1 host name syntax, lower case only: one spelling per domain.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= DOMAIN_BYTES_MAX && name.split('.').all(is_label)
}
