//! What a verified log says: the state that its operations leave behind, one after the other.

use std::collections::BTreeSet;

use super::Aka;
use super::authority::{Commitment, Quorum};
use super::log::LogError;
use super::operation::{Authority, Change, Content, Genesis, Link, Operation};
use super::service::Service;
use crate::keys::{Domain, VerifyingKey};
use crate::{Did, UnixMillis};

/// Who holds the recovery keys of a DID: fixed at genesis and shown to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Custody {
    /// The organisation.
    Org,
    /// The organisation and the person together.
    Joint,
    /// The person alone; the gateway is a replaceable operator.
    Own,
}

impl Custody {
    /// The word in the log: `org`, `joint`, `self`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Joint => "joint",
            Self::Own => "self",
        }
    }

    /// Reads the word.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Org, Self::Joint, Self::Own].into_iter().find(|custody| custody.as_str() == text)
    }
}

/// What a verified log says about an organisation or a person.
#[derive(Clone, Debug)]
pub struct DidDocument {
    did: Did,
    custody: Custody,
    org: Option<Did>,
    not_before: UnixMillis,
    /// Empty once the DID is deactivated, so that nothing verifies any more.
    operators: Quorum<VerifyingKey>,
    operator: VerifyingKey,
    recovery: Quorum<Commitment>,
    /// Recovery keys that were revealed: they never count again.
    spent: BTreeSet<Commitment>,
    change: Change,
    domains: Vec<String>,
    seq: u64,
    head_hash: [u8; 32],
    era: [u8; 32],
    rotations: u64,
    deactivated: bool,
}

impl DidDocument {
    /// The identifier.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// The domains the organisation speaks for; none for a person. Believe one only if the domain names the DID too.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// L1 with its threshold: as many sign manifests, any one signs node records, prekeys and heads. Without members
    /// once the DID is deactivated.
    pub fn operators(&self) -> &Quorum<VerifyingKey> {
        &self.operators
    }

    /// The first operator key; of a deactivated DID the last there was, which counts no more.
    pub fn operator(&self) -> &VerifyingKey {
        &self.operator
    }

    /// L0 with its threshold: the keys that may rotate or deactivate next.
    pub fn recovery_commitments(&self) -> &Quorum<Commitment> {
        &self.recovery
    }

    /// Does this key fulfil a pre-rotation commitment to a next L0 key?
    pub fn is_committed_recovery(&self, key: &VerifyingKey) -> bool {
        self.recovery.members.contains(&Commitment::of(key))
    }

    /// Who holds L0.
    pub fn custody(&self) -> Custody {
        self.custody
    }

    /// Of a person: the organisation that operates the DID. None for organisations and for people on their own.
    pub fn org(&self) -> Option<&Did> {
        self.org.as_ref()
    }

    /// Is this the DID of an organisation, not of a person?
    pub fn is_organisation(&self) -> bool {
        self.custody == Custody::Org && self.org.is_none()
    }

    /// From when the DID counts (informative).
    pub fn not_before(&self) -> UnixMillis {
        self.not_before
    }

    /// The least manifest epoch that is still accepted.
    pub fn manifest_epoch_min(&self) -> u64 {
        self.change.manifest_epoch_min
    }

    /// Domains and endpoints.
    pub fn services(&self) -> &[Service] {
        &self.change.services
    }

    /// Salted commitments to addresses.
    pub fn aka(&self) -> &[Aka] {
        &self.change.aka
    }

    /// Organisations that keep copies of the log: where else to ask for it.
    pub fn witnesses(&self) -> &[Did] {
        &self.change.witnesses
    }

    /// All that an update replaces, to be changed and given to [`Log::update`](super::Log::update).
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The sequence number of the last operation.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the body of the last operation.
    pub fn head_hash(&self) -> &[u8; 32] {
        &self.head_hash
    }

    /// How often the keys were rotated.
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// The hash of the body of the genesis or the last rotation. What a receiver remembers of this DID (the highest
    /// manifest epoch) counts within one era: whoever stole an operator key may have used up all epochs of his.
    pub fn era(&self) -> &[u8; 32] {
        &self.era
    }

    /// Has the DID ended? Nothing that is signed for it counts any more, and nothing can follow.
    pub fn is_deactivated(&self) -> bool {
        self.deactivated
    }

    /// The state after the genesis.
    pub(super) fn begin(operation: &Operation) -> Result<Self, LogError> {
        let Content::Genesis(genesis) = &operation.content else {
            return Err(LogError::MisplacedGenesis);
        };
        let Genesis { custody, org, authority, change, not_before } = genesis.as_ref();
        if *custody == Custody::Joint && org.is_none() {
            return Err(LogError::Org);
        }
        let operators = authority.operators.clone();
        let document = Self {
            did: Did::of_genesis(&operation.signed.body),
            custody: *custody,
            org: org.clone(),
            not_before: *not_before,
            operator: operators.members.first().ok_or(LogError::Quorum)?.clone(),
            operators,
            recovery: authority.recovery.clone(),
            spent: BTreeSet::new(),
            change: change.clone(),
            domains: change.domains().cloned().collect(),
            seq: 0,
            head_hash: operation.hash,
            era: operation.hash,
            rotations: 0,
            deactivated: false,
        };
        document.check_ranks(authority)?;
        document.check_subject(change)?;
        expect_signers(operation, &[], &authority.operators)?;
        Ok(document)
    }

    /// The state after one more operation. Everything is checked before a signature is, and each signature once.
    pub(super) fn apply(&mut self, operation: &Operation) -> Result<(), LogError> {
        if self.deactivated {
            return Err(LogError::AfterDeactivation);
        }
        match &operation.content {
            Content::Genesis(_) => return Err(LogError::MisplacedGenesis),
            Content::Update { link, change } => {
                self.expect_link(link)?;
                self.set(change)?;
                expect_signers(operation, &[], &self.operators)?;
            }
            Content::Rotate { link, revealed, authority, org, change } => {
                self.expect_link(link)?;
                self.reveal(revealed)?;
                self.check_ranks(authority)?;
                if self.custody == Custody::Org && *org != self.org {
                    return Err(LogError::Org);
                }
                self.set(change)?;
                expect_signers(operation, revealed, &authority.operators)?;
                self.hand_over(authority, org.clone())?;
                self.era = operation.hash;
                self.rotations = self.rotations.saturating_add(1);
            }
            Content::Deactivate { link, revealed } => {
                self.expect_link(link)?;
                self.reveal(revealed)?;
                let nobody = Quorum { members: Vec::new(), threshold: 0 };
                expect_signers(operation, revealed, &nobody)?;
                self.operators.members.clear();
                self.deactivated = true;
            }
        }
        self.seq = self.seq.saturating_add(1);
        self.head_hash = operation.hash;
        Ok(())
    }

    fn expect_link(&self, link: &Link) -> Result<(), LogError> {
        if link.did != self.did {
            return Err(LogError::OtherDid);
        }
        if Some(link.seq) != self.seq.checked_add(1) {
            return Err(LogError::Sequence);
        }
        if link.prev != self.head_hash {
            return Err(LogError::BrokenChain);
        }
        Ok(())
    }

    /// Each revealed key must be one that the log committed to; revealed once, it is spent.
    fn reveal(&mut self, revealed: &[VerifyingKey]) -> Result<(), LogError> {
        if (revealed.len() as u64) < self.recovery.threshold {
            return Err(LogError::ThresholdNotMet);
        }
        for key in revealed {
            let commitment = Commitment::of(key);
            if !self.recovery.members.contains(&commitment) {
                return Err(LogError::NotCommitted);
            }
            if !self.spent.insert(commitment) {
                return Err(LogError::RevealedAgain);
            }
        }
        Ok(())
    }

    /// No next recovery key was ever shown, and no operator key is a recovery key: that would show it.
    fn check_ranks(&self, authority: &Authority) -> Result<(), LogError> {
        let next = &authority.recovery.members;
        if next.iter().any(|commitment| self.spent.contains(commitment)) {
            return Err(LogError::RevealedAgain);
        }
        let mut operators = authority.operators.members.iter().map(Commitment::of);
        if operators.any(|operator| next.contains(&operator) || self.spent.contains(&operator)) {
            return Err(LogError::KeyInTwoRanks);
        }
        Ok(())
    }

    fn set(&mut self, change: &Change) -> Result<(), LogError> {
        self.check_subject(change)?;
        if change.manifest_epoch_min < self.change.manifest_epoch_min {
            return Err(LogError::ManifestEpoch);
        }
        self.domains = change.domains().cloned().collect();
        self.change = change.clone();
        Ok(())
    }

    /// An organisation speaks for domains; a person does not, because an address belongs to its domain.
    fn check_subject(&self, change: &Change) -> Result<(), LogError> {
        let has_domains = change.domains().next().is_some();
        if has_domains == self.is_organisation() { Ok(()) } else { Err(LogError::Domains) }
    }

    fn hand_over(&mut self, authority: &Authority, org: Option<Did>) -> Result<(), LogError> {
        self.operators = authority.operators.clone();
        self.operator = authority.operators.members.first().ok_or(LogError::Quorum)?.clone();
        self.recovery = authority.recovery.clone();
        self.org = org;
        Ok(())
    }
}

/// Every revealed key and the threshold of the operators must have signed, and nobody else.
fn expect_signers(
    operation: &Operation,
    revealed: &[VerifyingKey],
    operators: &Quorum<VerifyingKey>,
) -> Result<(), LogError> {
    let (mut of_recovery, mut of_operators) = (0, 0);
    for key_id in operation.signed.key_ids() {
        let is_among = |keys: &[VerifyingKey]| keys.iter().any(|key| key.key_id() == key_id);
        if is_among(revealed) {
            of_recovery += 1;
        } else if is_among(&operators.members) {
            of_operators += 1;
        } else {
            return Err(LogError::UnknownSigner);
        }
    }
    if of_recovery < revealed.len() || of_operators < operators.threshold {
        return Err(LogError::ThresholdNotMet);
    }
    let keys = [revealed, operators.members.as_slice()].concat();
    Ok(operation.signed.verify_each(Domain::DidOperation, &keys)?)
}
