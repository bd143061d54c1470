//! From the words of `mail-auth` to those of RFC 8601.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Signature;
use mail_auth::{ArcOutput, DkimOutput, DkimResult, DmarcOutput, DmarcResult, SpfResult, dmarc};

use super::authors::DOMAINS_MAX;
use super::verdicts::{Arc, Dkim, Dmarc, Outcome, Policy};

/// RFC 6008 §4: at least eight characters tell signatures apart.
const SIGNATURE_START_CHARACTERS: usize = 8;

pub(super) fn spf(result: SpfResult) -> Outcome {
    match result {
        SpfResult::Pass => Outcome::Pass,
        SpfResult::Fail => Outcome::Fail,
        SpfResult::SoftFail => Outcome::SoftFail,
        SpfResult::Neutral => Outcome::Neutral,
        SpfResult::TempError => Outcome::TempError,
        SpfResult::PermError => Outcome::PermError,
        SpfResult::None => Outcome::None,
    }
}

pub(super) fn dkim(output: &DkimOutput<'_>) -> Dkim {
    let (outcome, why) = dkim_outcome(output.result());
    let named = output.signature().map_or_else(nameless, named);
    Dkim { outcome, why, ..named }
}

/// What a signature says of itself, not judged yet.
pub(super) fn named(signature: &Signature) -> Dkim {
    let mut start = BASE64.encode(&signature.b);
    start.truncate(SIGNATURE_START_CHARACTERS);
    Dkim {
        domain: signature.d.clone(),
        selector: signature.s.clone(),
        algorithm: algorithm(signature.a),
        signature: start,
        ..nameless()
    }
}

fn nameless() -> Dkim {
    Dkim {
        outcome: Outcome::None,
        domain: String::new(),
        selector: String::new(),
        algorithm: "",
        signature: String::new(),
        why: String::new(),
    }
}

fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RsaSha1 => "rsa-sha1",
        Algorithm::RsaSha256 => "rsa-sha256",
        Algorithm::Ed25519Sha256 => "ed25519-sha256",
    }
}

fn dkim_outcome(result: &DkimResult) -> (Outcome, String) {
    match result {
        DkimResult::Pass => (Outcome::Pass, String::new()),
        DkimResult::None => (Outcome::None, String::new()),
        DkimResult::Neutral(why) => (Outcome::Neutral, why.to_string()),
        DkimResult::Fail(why) => (Outcome::Fail, why.to_string()),
        DkimResult::PermError(why) => (Outcome::PermError, why.to_string()),
        DkimResult::TempError(why) => (Outcome::TempError, why.to_string()),
    }
}

/// Whether DNS left open what DMARC would have done. Where the record was read and asks for nothing, nothing is open.
pub(super) fn is_undecided(output: &DmarcOutput) -> bool {
    let asks = output.dmarc_record().is_none() || output.policy() != dmarc::Policy::None;
    matches!(output.result(), DmarcResult::TempError(_)) && asks
}

pub(super) fn dmarc(output: &DmarcOutput) -> Dmarc {
    let (outcome, why) = match output.result() {
        // RFC 9989 §5.3.1 leaves it to us; a message that hides its author cannot be anybody's.
        DmarcResult::None if output.domain().is_empty() => {
            (Outcome::PermError, "From names nobody".to_owned())
        }
        DmarcResult::None => (Outcome::None, String::new()),
        DmarcResult::Pass => (Outcome::Pass, String::new()),
        DmarcResult::Fail(why) => (Outcome::Fail, why.to_string()),
        DmarcResult::TempError(why) => (Outcome::TempError, why.to_string()),
        DmarcResult::PermError(why) => (Outcome::PermError, why.to_string()),
    };
    let policy = match output.policy() {
        dmarc::Policy::Reject => Policy::Reject,
        dmarc::Policy::Quarantine => Policy::Quarantine,
        dmarc::Policy::None | dmarc::Policy::Unspecified => Policy::None,
    };
    Dmarc { outcome, domain: output.domain().to_owned(), policy, why }
}

/// Whoever names so many wants to hide one of them; RFC 9989 lets us refuse that without asking anybody.
pub(super) fn too_many_authors() -> Dmarc {
    let why = format!("From names more than {DOMAINS_MAX} domains");
    Dmarc { outcome: Outcome::Fail, domain: String::new(), policy: Policy::Reject, why }
}

/// A chain that does not verify, for whatever reason of its own, has failed (RFC 8617 §5.2).
pub(super) fn arc(output: &ArcOutput<'_>) -> Arc {
    let (outcome, why) = match dkim_outcome(output.result()) {
        (Outcome::Neutral | Outcome::PermError, why) => (Outcome::Fail, why),
        known => known,
    };
    let sealer = output.sets().last().map(|set| set.seal.header.d.clone());
    Arc { outcome, instances: output.sets().len(), sealer, why }
}
