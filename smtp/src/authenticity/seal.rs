//! ARC: what we found when a message arrived, sealed for those we forward it to (RFC 8617 §5.1).
//!
//! ```text
//! ARC-Seal                    over all sets so far; says whether the chain held when it came to us (cv=)
//! ARC-Message-Signature       over the message, as DKIM does
//! ARC-Authentication-Results  our verdicts
//! ```

use std::time::SystemTime;

use mail_auth::AuthenticatedMessage;

use super::keys::{Algorithm, KeyPair};
use super::results;
use super::sign::{Message, SignError, Signer, seconds, signature_field};
use super::verdicts::{Outcome, Verdicts};

/// RFC 8617 §4.2.1.
const INSTANCES_MAX: usize = 50;

/// The algorithm of our seals: those who evaluate chains know RSA.
const ALGORITHM: Algorithm = Algorithm::Rsa;

/// Why a message is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// DNS did not answer when the chain was checked, so that nothing true can be said about it; later it may.
    #[error("the ARC chain could not be checked yet")]
    Undecided,
    /// See [`SignError`].
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Signer {
    /// Three fields with their CRLF, to be prepended; `None`: no key for this domain, or a chain that nobody may continue
    /// (it failed before, is full, or its sets do not belong together).
    ///
    /// `octets` is the message as it goes on, without new `Received` and other trace fields, which may stand in front.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(
        &self,
        domain: &str,
        octets: &[u8],
        verdicts: &Verdicts,
        authserv_id: &str,
        now: SystemTime,
    ) -> Result<Option<String>, SealError> {
        let Some(pair) = self.key(domain) else { return Ok(None) };
        let chain_validation = match verdicts.arc.outcome {
            Outcome::TempError => return Err(SealError::Undecided),
            Outcome::None => "none",
            Outcome::Pass => "pass",
            _ => "fail",
        };
        let message = Message::read(octets)?;
        let Some(parsed) = AuthenticatedMessage::parse(octets) else { return Err(SignError::NoFrom.into()) };
        let Some(earlier) = Chain::of(&parsed).filter(|chain| chain.may_go_on()) else { return Ok(None) };
        let set = Set { pair, instance: earlier.sets.len() + 1, chain_validation, now };
        let results = results::field(
            &format!("ARC-Authentication-Results: i={}; ", set.instance),
            authserv_id,
            verdicts,
        );
        set.write(&message, &earlier, &results).ok_or(SealError::Sign(SignError::Refused)).map(Some)
    }
}

/// A field: name and value.
type Raw<'a> = (&'a [u8], &'a [u8]);

/// The sets that are there, the oldest first; of each the results, the signature and the seal.
struct Chain<'a> {
    sets: Vec<[Raw<'a>; 3]>,
    has_failed: bool,
}

impl<'a> Chain<'a> {
    /// `None` when the sets do not belong together.
    fn of(message: &AuthenticatedMessage<'a>) -> Option<Self> {
        let (results, signatures, seals) = (&message.aar_headers, &message.ams_headers, &message.as_headers);
        let is_whole =
            !message.has_arc_errors && results.len() == seals.len() && signatures.len() == seals.len();
        let mut chain = Self { sets: Vec::new(), has_failed: false };
        for (at, ((results, signature), seal)) in results.iter().zip(signatures).zip(seals).enumerate() {
            let instances = [results.header.i, signature.header.i, seal.header.i];
            if instances.iter().any(|instance| usize::try_from(*instance) != Ok(at + 1)) {
                return None;
            }
            chain.has_failed |= seal.header.cv == mail_auth::arc::ChainValidation::Fail;
            let set =
                [(results.name, results.value), (signature.name, signature.value), (seal.name, seal.value)];
            chain.sets.push(set);
        }
        is_whole.then_some(chain)
    }

    /// RFC 8617 §5.1.2: after a failed seal nobody adds another.
    fn may_go_on(&self) -> bool {
        !self.has_failed && self.sets.len() < INSTANCES_MAX
    }
}

/// The set that is being made.
struct Set<'a> {
    pair: &'a KeyPair,
    instance: usize,
    chain_validation: &'static str,
    now: SystemTime,
}

impl Set<'_> {
    fn write(&self, message: &Message<'_>, earlier: &Chain<'_>, results: &str) -> Option<String> {
        let (instance, algorithm) = (self.instance, ALGORITHM.as_str());
        let tags = format!("i={instance}; a={algorithm}; {}", message.tags(self.pair, ALGORITHM, self.now));
        let signed = message.signed();
        let signature = signature_field("ARC-Message-Signature", &tags, signed, self.pair, ALGORITHM)?;
        let tags = format!(
            "i={instance}; a={algorithm}; t={}; cv={};\r\n\td={};\r\n\ts={};\r\n\tb=",
            seconds(self.now),
            self.chain_validation,
            self.pair.domain(),
            self.pair.selector_of(ALGORITHM),
        );
        let own = [results, &signature].map(|field| field.split_once(':').unwrap_or_default());
        let own = own.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        // RFC 8617 §5.1.2: the seal of a failed chain covers its own set alone.
        let covered = if self.chain_validation == "fail" { &[] } else { earlier.sets.as_slice() };
        let covered = covered.iter().flatten().copied().chain(own);
        let seal = signature_field("ARC-Seal", &tags, covered, self.pair, ALGORITHM)?;
        Some(seal + &signature + results)
    }
}
