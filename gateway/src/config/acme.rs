//! `acme`: the authority that gives us our certificate by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::text;

/// An authority that issues certificates by ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The address of the authority's directory; of Let's Encrypt it is `https://acme-v02.api.letsencrypt.org/directory`.
    #[schemars(with = "text::HttpsUrl")]
    pub directory: String,
    /// That you agree to the authority's terms of service, which its directory names. Nothing is asked of it before.
    pub terms_agreed: bool,
    /// Where the authority writes when something is wrong with the certificates.
    #[serde(default)]
    #[schemars(with = "Option<text::Mailbox>")]
    pub contact: Option<String>,
    /// The names that the certificate is for; `smtp.hostname` when there are none.
    #[serde(default)]
    #[schemars(with = "Vec<text::Domain>")]
    pub names: Vec<String>,
    /// Addresses where the authority's question is answered by HTTP (http-01): port 80 of every name must lead here, and
    /// nothing else is answered. Without them it is answered at the HTTPS door (tls-alpn-01, RFC 8737): port 443 of
    /// every name must then lead to `publication.listen`.
    #[serde(default)]
    #[schemars(with = "Vec<text::Listen>")]
    pub listen: Vec<SocketAddr>,
    /// The authority, in PEM, that the certificate of the directory's own server must lead to: for an internal one.
    /// Without it those that the system trusts, and `finding.extra_roots`.
    #[serde(default)]
    #[schemars(with = "Option<text::File>")]
    pub ca: Option<PathBuf>,
    /// Whose customer we are, where the authority wants to know (external account binding).
    #[serde(default)]
    pub external_account: Option<ExternalAccount>,
}

/// An account that the authority gave us beforehand (RFC 8555 §7.3.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// The key identifier that the authority gave.
    pub id: String,
    /// The file with the MAC key that it gave, in base64url, in its first line.
    #[schemars(with = "text::SecretFile")]
    pub key: PathBuf,
}

impl Acme {
    /// Every key has a value here.
    pub(super) fn example() -> Acme {
        Acme {
            directory: "https://acme-v02.api.letsencrypt.org/directory".into(),
            terms_agreed: true,
            contact: Some("postmaster@acme.test".into()),
            names: vec!["gateway.acme.test".into(), "dccp.acme.test".into()],
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 80))],
            ca: Some("tls/internal-ca.crt".into()),
            external_account: Some(ExternalAccount {
                id: "customer-4711".into(),
                key: "keys/acme.external".into(),
            }),
        }
    }
}
