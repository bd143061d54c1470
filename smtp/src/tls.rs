//! What TLS negotiated, on either side of the mail edge.

/// What TLS negotiated, in the names of the IANA registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// For example `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// For example `X25519MLKEM768`; `None` where the handshake exchanged no key (resumption).
    pub group: Option<String>,
}

impl TlsFacts {
    /// Of a connection whose handshake is over.
    #[must_use]
    pub fn of(connection: &rustls::CommonState) -> Self {
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = connection.negotiated_cipher_suite().map_or_else(
            || "unknown".to_owned(),
            |suite| format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1), // rustls' name for RFC 8446's
        );
        let group = connection.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
        Self { version, cipher, group }
    }
}

/// Whom a certificate names: its first DNS name, mail address or URI (RFC 5280 §4.2.1.6), or else its subject
/// (RFC 4514); `None` where it cannot be read. Printable ASCII.
pub(crate) fn name_of(certificate: &[u8]) -> Option<String> {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let alternative = names.iter().flat_map(|names| &names.value.general_names).find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    });
    let name = alternative.map_or_else(|| certificate.subject().to_string(), str::to_owned);
    let printable = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    printable.then_some(name)
}
