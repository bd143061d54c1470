//! What a certificate says of itself.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use dccp::UnixMillis;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

const DAY_MS: i128 = 86_400_000;

/// What is read from a certificate for people and clocks; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// The DNS names it is for.
    pub(super) names: Vec<String>,
    /// Who signed it.
    pub(super) issuer: String,
    /// It counts from then,
    pub(super) not_before: UnixMillis,
    /// until then.
    pub(super) not_after: UnixMillis,
    /// SHA-256 of its public key with algorithm (SubjectPublicKeyInfo), in hex: the data of a TLSA record `3 1 1`.
    pub(super) key_sha256: String,
}

impl Facts {
    /// `None` for what is no certificate of RFC 5280.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Facts> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok()?;
        let names = alternatives.iter().flat_map(|names| &names.value.general_names);
        let dns = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        let validity = certificate.validity();
        Some(Facts {
            names: names.filter_map(dns).collect(),
            issuer: certificate.issuer().to_string(),
            not_before: millis(validity.not_before.timestamp()),
            not_after: millis(validity.not_after.timestamp()),
            key_sha256: HEXLOWER.encode(digest(&SHA256, certificate.public_key().raw).as_ref()),
        })
    }

    /// Whole days until it ends; negative afterwards.
    pub(super) fn days_left(&self, now: UnixMillis) -> i64 {
        let left = i128::from(self.not_after.as_u64()) - i128::from(now.as_u64());
        i64::try_from(left.div_euclid(DAY_MS)).unwrap_or(i64::MAX)
    }

    /// Whether it is for exactly these names, whatever their order.
    pub(super) fn is_for(&self, names: &[String]) -> bool {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            names
        };
        sorted(&self.names) == sorted(names)
    }
}

fn millis(seconds: i64) -> UnixMillis {
    UnixMillis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_tells_its_names_its_term_and_its_key() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["MX.acme.test".to_owned(), "acme.test".into()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 1, 11);
        let facts = Facts::of(params.self_signed(&key).unwrap().der()).unwrap();
        assert!(facts.is_for(&["acme.test".into(), "mx.acme.test".into()]));
        assert!(!facts.is_for(&["acme.test".into()]));
        let day = |day: u64| UnixMillis(1_767_225_600_000 + day * 86_400_000);
        assert_eq!((facts.not_before, facts.not_after), (day(0), day(10)));
        assert_eq!(facts.days_left(day(0)), 10);
        assert_eq!(facts.days_left(UnixMillis(day(9).0 + 1)), 0);
        assert_eq!(facts.days_left(day(12)), -2);
        let spki = key.subject_public_key_info();
        assert_eq!(facts.key_sha256, HEXLOWER.encode(digest(&SHA256, &spki).as_ref()));
        assert_eq!(Facts::of(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
