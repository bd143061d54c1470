//! The four operations of a log as bytes.
//!
//! | `t` | carries, besides `v` and `t` | signed by |
//! |---|---|---|
//! | `genesis` | `seq prev auth custody org? aka svc dm wit nb` | L1 |
//! | `update` | `did seq prev aka svc dm wit` | L1 |
//! | `rotate` | `did seq prev auth org? aka svc dm wit` | the old L0, revealed in `auth.L0.k`, and the new L1 |
//! | `deactivate` | `did seq prev auth` with `L0.k` only | the old L0, revealed |
//!
//! This module reads each operation by itself; whether it may follow the one before is [`super::document`]'s.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};

use super::authority::{Commitment, Quorum, Rank, keys_to_value, read_keys};
use super::log::LogError;
use super::service::{Service, check_services, domains, read_services};
use super::{Aka, Custody};
use crate::cbor::{self, CborError, Fields, Value};
use crate::keys::VerifyingKey;
use crate::limits::{AKA_MAX, DID_OPERATION_BYTES_MAX, WITNESSES_MAX};
use crate::record::SignedBody;
use crate::{Did, UnixMillis};

const OPERATION_VERSION: u64 = 1;

/// What kind of operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// The founding: fixes the name and the custody.
    Genesis,
    /// The operators change what the DID offers.
    Update,
    /// The recovery keys change all keys.
    Rotate,
    /// The recovery keys end the DID.
    Deactivate,
}

impl OperationKind {
    const ALL: [Self; 4] = [Self::Genesis, Self::Update, Self::Rotate, Self::Deactivate];

    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Update => "update",
            Self::Rotate => "rotate",
            Self::Deactivate => "deactivate",
        }
    }

    /// Is it signed by L0?
    pub(super) const fn is_of_recovery(self) -> bool {
        matches!(self, Self::Rotate | Self::Deactivate)
    }
}

/// What the operators may change: always given as a whole, never as a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Domains and endpoints; an organisation has at least one domain, a person none.
    pub services: Vec<Service>,
    /// Salted commitments to addresses, at most 16, all different.
    pub aka: Vec<Aka>,
    /// The least manifest epoch that is still accepted; it never goes back.
    pub manifest_epoch_min: u64,
    /// DIDs of organisations that keep copies of this log, at most 8, all different: where else to ask, nothing more.
    pub witnesses: Vec<Did>,
}

impl Change {
    pub(super) fn domains(&self) -> impl Iterator<Item = &String> {
        domains(&self.services)
    }

    fn to_fields(&self) -> [(&'static str, Value); 4] {
        [
            ("aka", cbor::byte_strings(self.aka.iter().map(|aka| aka.as_bytes().as_slice()))),
            ("svc", Value::Array(self.services.iter().map(Service::to_value).collect())),
            ("dm", Value::Unsigned(self.manifest_epoch_min)),
            ("wit", cbor::texts(self.witnesses.iter().map(Did::as_str))),
        ]
    }

    fn read(fields: &mut Fields) -> Result<Self, LogError> {
        let aka = fields.bytes_array("aka", AKA_MAX)?.into_iter();
        let aka = aka.map(|aka| aka.try_into().map(Aka::from_bytes).map_err(|_| CborError::Wrong("aka")));
        let witnesses = fields.text_array("wit", WITNESSES_MAX)?.into_iter();
        let witnesses = witnesses.map(|did| did.parse().map_err(|_| CborError::Wrong("wit")));
        let change = Self {
            services: read_services(fields)?,
            aka: aka.collect::<Result<_, _>>()?,
            manifest_epoch_min: fields.unsigned("dm")?,
            witnesses: witnesses.collect::<Result<_, _>>()?,
        };
        change.check()?;
        Ok(change)
    }

    /// What can be said of it alone, without knowing whose it is.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if !are_distinct(&self.aka) || !are_distinct(&self.witnesses) {
            return Err(LogError::Repeated);
        }
        check_services(&self.services)
    }
}

fn are_distinct<T: Ord>(items: &[T]) -> bool {
    items.iter().collect::<BTreeSet<_>>().len() == items.len()
}

/// Who may act from now on.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// L0: known only by commitment until it acts.
    pub(super) recovery: Quorum<Commitment>,
    /// L1.
    pub(super) operators: Quorum<VerifyingKey>,
}

impl Authority {
    fn to_value(&self, revealed: &[VerifyingKey]) -> Value {
        let recovery = Rank {
            shown: revealed.to_vec(),
            next: self.recovery.members.clone(),
            threshold: self.recovery.threshold,
        };
        let operators = Rank {
            shown: self.operators.members.clone(),
            next: Vec::new(),
            threshold: self.operators.threshold,
        };
        cbor::map([("L0", recovery.to_value()), ("L1", operators.to_value())])
    }

    /// The authority and the recovery keys that are revealed.
    fn read(mut auth: Fields) -> Result<(Self, Vec<VerifyingKey>), LogError> {
        let (recovery, operators) = (Rank::read(auth.map("L0")?)?, Rank::read(auth.map("L1")?)?);
        auth.finish()?;
        if !operators.next.is_empty() {
            return Err(LogError::Unsupported("auth"));
        }
        let authority = Self {
            recovery: Quorum { members: recovery.next, threshold: recovery.threshold },
            operators: Quorum { members: operators.shown, threshold: operators.threshold },
        };
        authority.recovery.check(|commitment| *commitment)?;
        authority.operators.check(VerifyingKey::key_id)?;
        Ok((authority, recovery.shown))
    }
}

/// Where an operation stands: which log, after what.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) did: Did,
    pub(super) seq: u64,
    pub(super) prev: [u8; 32],
}

impl Link {
    fn to_fields(&self) -> [(&'static str, Value); 3] {
        [
            ("did", Value::Text(self.did.to_string())),
            ("seq", Value::Unsigned(self.seq)),
            ("prev", Value::Bytes(self.prev.to_vec())),
        ]
    }

    fn read(fields: &mut Fields) -> Result<Self, LogError> {
        Ok(Self {
            did: fields.text("did")?.parse().map_err(|_| CborError::Wrong("did"))?,
            seq: fields.unsigned("seq")?,
            prev: fields.bytes("prev")?.try_into().map_err(|_| CborError::Wrong("prev"))?,
        })
    }
}

#[derive(Clone, Debug)]
pub(super) struct Genesis {
    pub(super) custody: Custody,
    pub(super) org: Option<Did>,
    pub(super) authority: Authority,
    pub(super) change: Change,
    pub(super) not_before: UnixMillis,
}

/// The content of an operation.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Genesis(Box<Genesis>),
    Update { link: Link, change: Change },
    Rotate { link: Link, revealed: Vec<VerifyingKey>, authority: Authority, org: Option<Did>, change: Change },
    Deactivate { link: Link, revealed: Vec<VerifyingKey> },
}

impl Content {
    pub(super) fn kind(&self) -> OperationKind {
        match self {
            Self::Genesis(_) => OperationKind::Genesis,
            Self::Update { .. } => OperationKind::Update,
            Self::Rotate { .. } => OperationKind::Rotate,
            Self::Deactivate { .. } => OperationKind::Deactivate,
        }
    }

    /// What it sets, if it sets anything.
    pub(super) fn change(&self) -> Option<&Change> {
        match self {
            Self::Genesis(genesis) => Some(&genesis.change),
            Self::Update { change, .. } | Self::Rotate { change, .. } => Some(change),
            Self::Deactivate { .. } => None,
        }
    }

    /// The body, ready to sign.
    pub(super) fn to_value(&self) -> Value {
        let mut fields =
            vec![("v", Value::Unsigned(OPERATION_VERSION)), ("t", Value::Text(self.kind().as_str().into()))];
        let org_field = |org: &Option<Did>| org.as_ref().map(|org| ("org", Value::Text(org.to_string())));
        match self {
            Self::Genesis(genesis) => {
                fields.extend([("seq", Value::Unsigned(0)), ("prev", Value::Bytes(Vec::new()))]);
                fields.push(("auth", genesis.authority.to_value(&[])));
                fields.push(("custody", Value::Text(genesis.custody.as_str().into())));
                fields.push(("nb", Value::Unsigned(genesis.not_before.as_u64())));
                fields.extend(org_field(&genesis.org));
                fields.extend(genesis.change.to_fields());
            }
            Self::Update { link, change } => {
                fields.extend(link.to_fields());
                fields.extend(change.to_fields());
            }
            Self::Rotate { link, revealed, authority, org, change } => {
                fields.extend(link.to_fields());
                fields.push(("auth", authority.to_value(revealed)));
                fields.extend(org_field(org));
                fields.extend(change.to_fields());
            }
            Self::Deactivate { link, revealed } => {
                let recovery = cbor::map([("k", keys_to_value(revealed))]);
                fields.extend(link.to_fields());
                fields.push(("auth", cbor::map([("L0", recovery)])));
            }
        }
        Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn read(mut fields: Fields) -> Result<Self, LogError> {
        match fields.unsigned("v")? {
            OPERATION_VERSION => {}
            other => return Err(LogError::UnsupportedVersion(other)),
        }
        let word = fields.text("t")?;
        let kind = OperationKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        let content = match kind.ok_or(LogError::UnsupportedOperation(word))? {
            OperationKind::Genesis => Self::Genesis(Box::new(read_genesis(&mut fields)?)),
            OperationKind::Update => {
                Self::Update { link: Link::read(&mut fields)?, change: Change::read(&mut fields)? }
            }
            OperationKind::Rotate => {
                let link = Link::read(&mut fields)?;
                let (authority, revealed) = Authority::read(fields.map("auth")?)?;
                let (org, change) = (read_org(&mut fields)?, Change::read(&mut fields)?);
                Self::Rotate { link, revealed, authority, org, change }
            }
            OperationKind::Deactivate => {
                let (link, mut auth) = (Link::read(&mut fields)?, fields.map("auth")?);
                let mut recovery = auth.map("L0")?;
                let revealed = read_keys(&mut recovery)?;
                recovery.finish()?;
                auth.finish()?;
                Self::Deactivate { link, revealed }
            }
        };
        fields.finish()?;
        Ok(content)
    }
}

fn read_genesis(fields: &mut Fields) -> Result<Genesis, LogError> {
    if fields.unsigned("seq")? != 0 {
        return Err(LogError::Sequence);
    }
    if !fields.bytes("prev")?.is_empty() {
        return Err(LogError::BrokenChain);
    }
    let custody = Custody::from_text(&fields.text("custody")?).ok_or(LogError::Unsupported("custody"))?;
    let (authority, revealed) = Authority::read(fields.map("auth")?)?;
    if !revealed.is_empty() {
        return Err(LogError::RevealedEarly);
    }
    Ok(Genesis {
        custody,
        org: read_org(fields)?,
        authority,
        change: Change::read(fields)?,
        not_before: UnixMillis(fields.unsigned("nb")?),
    })
}

fn read_org(fields: &mut Fields) -> Result<Option<Did>, LogError> {
    let org = fields.text_if_present("org")?;
    Ok(org.map(|org| org.parse()).transpose().map_err(|_| CborError::Wrong("org"))?)
}

/// One signed operation of a log.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) signed: SignedBody,
    /// SHA-256 of the body: what the next operation calls `prev`. Never of the signatures.
    pub(super) hash: [u8; 32],
    pub(super) content: Content,
}

impl Operation {
    pub(super) fn read(value: Value) -> Result<Self, LogError> {
        let signed = SignedBody::from_value(value)?;
        if signed.body.len() > DID_OPERATION_BYTES_MAX {
            return Err(LogError::OperationTooLarge);
        }
        let content = Content::read(signed.fields()?)?;
        Ok(Self { hash: hash_of(&signed.body), signed, content })
    }
}

fn hash_of(body: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, body).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
