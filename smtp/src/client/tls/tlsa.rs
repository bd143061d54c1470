//! TLSA records held against certificates (RFC 6698 §2.1, as RFC 7671 and RFC 7672 read it).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use crate::route::Tlsa;

/// Certificate usages (RFC 7218 §2.1).
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;
/// Selectors (RFC 7218 §2.2).
const CERT: u8 = 0;
const SPKI: u8 = 1;
/// Matching types (RFC 7218 §2.3).
const FULL: u8 = 0;
const SHA2_256: u8 = 1;
const SHA2_512: u8 = 2;

impl Tlsa {
    /// It is about the server's own certificate.
    pub(super) fn is_end_entity(&self) -> bool {
        self.usage == DANE_EE
    }

    /// It is about an authority above.
    pub(super) fn is_anchor(&self) -> bool {
        self.usage == DANE_TA
    }

    /// The authority's whole certificate, which a server need not send then (RFC 7671 §5.2.2).
    pub(super) fn whole_anchor(&self) -> Option<CertificateDer<'_>> {
        let whole = self.is_anchor() && (self.selector, self.matching) == (CERT, FULL);
        whole.then(|| CertificateDer::from(self.data.as_slice()))
    }

    /// The selected part of `certificate` is what the record says (RFC 6698 §2.1).
    pub(super) fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let public_key;
        let selected: &[u8] = match self.selector {
            CERT => certificate.as_ref(),
            SPKI => {
                let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
                public_key = parsed.subject_public_key_info();
                public_key.as_ref()
            }
            _ => return false,
        };
        match self.matching {
            FULL => self.data == selected,
            SHA2_256 => self.data == digest(&SHA256, selected).as_ref(),
            SHA2_512 => self.data == digest(&SHA512, selected).as_ref(),
            _ => false,
        }
    }
}

/// The records of a set that count: the usable ones, and of digests of the same thing only the strongest, so that a
/// broken SHA-256 could not undo a SHA-512 (RFC 7671 §9).
pub(super) fn that_count(records: &[Tlsa]) -> Vec<&Tlsa> {
    let usable = || records.iter().filter(|record| record.is_usable());
    let outdone = |record: &Tlsa| {
        let same = |other: &Tlsa| (other.usage, other.selector) == (record.usage, record.selector);
        record.matching == SHA2_256 && usable().any(|other| same(other) && other.matching == SHA2_512)
    };
    usable().filter(|record| !outdone(record)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, length: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; length] }
    }

    #[test]
    fn a_stronger_digest_of_the_same_thing_outdoes_a_weaker_one() {
        let records = [record(3, 1, 1, 32), record(3, 1, 2, 64), record(2, 1, 1, 32), record(3, 1, 0, 90)];
        let count: Vec<_> =
            that_count(&records).iter().map(|record| (record.usage, record.matching)).collect();
        assert_eq!(count, [(3, 2), (2, 1), (3, 0)]);
        let broken = [record(3, 1, 1, 32), record(3, 1, 2, 63)];
        assert_eq!(that_count(&broken), [&broken[0]], "an unusable record outdoes nothing");
    }
}
