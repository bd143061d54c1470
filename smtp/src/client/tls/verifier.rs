//! The judge over certificate chains, in the place where rustls asks for one.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::tlsa::that_count;
use super::{TlsFailure, TlsFailureKind, Verification};
use crate::route::Tlsa;

/// Asks of a certificate what its [`Verification`] says. That the server holds the certificate's key is asked of every
/// server, or else the record of another one's certificate would do.
#[derive(Debug)]
pub(super) struct Verifier {
    verification: Verification,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(verification: Verification, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { verification, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked_for: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Shown { end_entity, intermediates, now, algorithms: &self.algorithms };
        match &self.verification {
            Verification::AnyCertificate => {}
            Verification::Pkix { names, roots } => shown.is_trusted(roots, names)?,
            Verification::Dane { tlsa, names } => shown.fits(tlsa, names)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What the server shows.
struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    now: UnixTime,
    algorithms: &'a WebPkiSupportedAlgorithms,
}

impl Shown<'_> {
    /// Leads to one of the roots at this time and for a server (RFC 5280 §6), and bears one of the names.
    fn is_trusted(&self, roots: &RootCertStore, names: &[String]) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(self.end_entity)?;
        let (chain, now) = (self.intermediates, self.now);
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, chain, now, self.algorithms.all)?;
        let mut refusal = CertificateError::NotValidForName.into();
        for name in names {
            let name = ServerName::try_from(name.as_str())
                .map_err(|error| wrong(TlsFailure::misnamed(error.to_string())))?;
            match verify_server_name(&certificate, &name) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    /// Fits one of the records (RFC 7672 §3).
    fn fits(&self, records: &[Tlsa], names: &[String]) -> Result<(), Error> {
        let records = that_count(records);
        if records.is_empty() {
            let reason = "none of the TLSA records is one that mail can use";
            return Err(wrong(TlsFailure::new(TlsFailureKind::TlsaUnusable, reason)));
        }
        // DANE-EE: the record binds the key to the name and says how long; what the certificate says of that does not
        // count (RFC 7672 §3.1.1).
        if records.iter().any(|record| record.is_end_entity() && record.matches(self.end_entity)) {
            return Ok(());
        }
        let anchors = self.anchors(&records);
        if anchors.is_empty() {
            let reason = "no TLSA record fits the certificates of the server";
            return Err(wrong(TlsFailure::new(TlsFailureKind::TlsaInvalid, reason)));
        }
        self.is_trusted(&anchors, names)
    }

    /// The authorities that the records name (RFC 7672 §3.1.2), as far as they are in the chain or in the record.
    fn anchors(&self, records: &[&Tlsa]) -> RootCertStore {
        let named = |certificate: &&CertificateDer<'_>| {
            records.iter().any(|record| record.is_anchor() && record.matches(certificate))
        };
        let shown = self.intermediates.iter().filter(named).cloned();
        let mut anchors = RootCertStore::empty();
        for certificate in shown.chain(records.iter().filter_map(|record| record.whole_anchor())) {
            // One that cannot be read is not usable (RFC 7672 §3.1.2), and the others may do.
            let _ = anchors.add(certificate.into_owned());
        }
        anchors
    }
}

fn wrong(failure: TlsFailure) -> Error {
    CertificateError::Other(OtherError(Arc::new(failure))).into()
}
