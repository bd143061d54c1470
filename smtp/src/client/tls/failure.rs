//! Why there is no TLS, in the words that reports about it use.

use std::{fmt, io};

use rustls::CertificateError;

/// Why TLS could not be had, or not with the proof that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {reason}")]
pub struct TlsFailure {
    /// The result type of a TLS report.
    pub kind: TlsFailureKind,
    /// What happened, for people and for the `failure-reason-code` of a report.
    pub reason: String,
}

/// The result types of RFC 8460 §4.3 that a connection can have; those of policies and of DNSSEC are not found out here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsFailureKind {
    /// STARTTLS is not in the answer to EHLO, or was refused.
    StartTlsNotSupported,
    /// The certificate is for none of the names.
    CertificateHostMismatch,
    /// It is not valid any more, or not yet.
    CertificateExpired,
    /// It does not lead to anybody who is trusted, or not for this purpose.
    CertificateNotTrusted,
    /// No TLSA record fits what the server shows.
    TlsaInvalid,
    /// There are TLSA records, but none that RFC 7672 §3.1 lets mail use.
    TlsaUnusable,
    /// Anything else that ends a handshake.
    ValidationFailure,
}

impl TlsFailureKind {
    /// The `result-type` of a report.
    #[must_use]
    pub fn result_type(self) -> &'static str {
        match self {
            Self::StartTlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::TlsaInvalid | Self::TlsaUnusable => "tlsa-invalid",
            Self::ValidationFailure => "validation-failure",
        }
    }
}

impl fmt::Display for TlsFailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.result_type())
    }
}

impl TlsFailure {
    pub(in crate::client) fn new(kind: TlsFailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    /// What was to be in the certificate is not even a name.
    pub(super) fn misnamed(reason: String) -> Self {
        Self::new(TlsFailureKind::CertificateHostMismatch, reason)
    }

    /// What ended a handshake; the network is a possible reason.
    pub(super) fn of_io(error: &io::Error) -> Self {
        Self::within(error).unwrap_or_else(|| Self::new(TlsFailureKind::ValidationFailure, error.to_string()))
    }

    /// What TLS has against this connection, if that is what the error is about.
    pub(in crate::client) fn within(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<rustls::Error>().map(Self::of)
    }

    pub(super) fn of(error: &rustls::Error) -> Self {
        let kind = match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(ours)) => {
                if let Some(ours) = ours.0.downcast_ref::<Self>() {
                    return ours.clone();
                }
                TlsFailureKind::CertificateNotTrusted
            }
            rustls::Error::InvalidCertificate(why) => kind_of(why),
            _ => TlsFailureKind::ValidationFailure,
        };
        Self::new(kind, error.to_string())
    }
}

fn kind_of(error: &CertificateError) -> TlsFailureKind {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    match error {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            TlsFailureKind::CertificateExpired
        }
        NotValidForName | NotValidForNameContext { .. } => TlsFailureKind::CertificateHostMismatch,
        _ => TlsFailureKind::CertificateNotTrusted,
    }
}
