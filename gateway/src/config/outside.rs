//! What may leave in the clear, and what may not.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{HostPort, Wrong, as_text, text};

/// Which mail must be encrypted: any one of these marks is enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MustEncrypt {
    /// Header fields: `NAME` for any value, or `NAME: VALUE`. Case does not matter.
    #[schemars(with = "Vec<text::HeaderMark>")]
    pub headers: Vec<HeaderMark>,
    /// Tags anywhere in the subject, such as `[secure]`. Case does not matter.
    pub subject_tags: Vec<String>,
    /// Domains to which everything must be encrypted. Domains below them count too.
    #[schemars(with = "Vec<text::Domain>")]
    pub recipient_domains: Vec<String>,
    /// Domains of ours from which everything must be encrypted.
    #[schemars(with = "Vec<text::Domain>")]
    pub sender_domains: Vec<String>,
}

/// Mail to domains that have no gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outside {
    /// Whether such mail leaves, and how well its way must be protected. Unless it is `refuse`, a domain is first asked
    /// whether it has a gateway; without a clear answer the mail waits.
    pub policy: OutsidePolicy,
    /// Domains that are known to have no gateway and are not asked: those whose web server never answers.
    #[schemars(with = "Vec<text::Domain>")]
    pub without_gateway: Vec<String>,
    /// A server that takes all such mail, instead of the servers that the recipients' domains name.
    pub smarthost: Option<Smarthost>,
    /// Our name in EHLO towards the outside; `smtp.hostname` when there is none. It should lead back to the address that
    /// our connections come from.
    #[schemars(with = "Option<text::Domain>")]
    pub hostname: Option<String>,
    /// Connections to one domain's servers at a time.
    #[schemars(range(min = 1, max = 256))]
    pub connections_max: u32,
    /// Mails to one domain in a minute.
    #[schemars(range(min = 1, max = 100_000))]
    pub mails_per_minute_max: u32,
    /// The first pause after a failed attempt, in milliseconds; it doubles from there. A domain none of whose servers can
    /// be reached is left alone as long.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub retry_delay_ms_min: u64,
    /// The longest pause between attempts, in milliseconds.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub retry_delay_ms_max: u64,
    /// The port of the recipients' servers. Anything but 25 is for laboratories.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
}

/// A server that takes all mail for the outside. It must show a certificate for its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smarthost {
    /// Where it listens.
    #[schemars(with = "text::HostPort")]
    pub address: HostPort,
    /// TLS begins with the connection (port 465), instead of by STARTTLS.
    #[serde(default)]
    pub implicit_tls: bool,
    /// The name to log in with, if the server asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The file with the password of `user`, in its first line.
    #[serde(default)]
    #[schemars(with = "Option<text::SecretFile>")]
    pub password: Option<PathBuf>,
}

impl Default for Outside {
    fn default() -> Outside {
        Outside {
            policy: OutsidePolicy::Refuse,
            without_gateway: vec![],
            smarthost: None,
            hostname: None,
            connections_max: 8,
            mails_per_minute_max: 600,
            retry_delay_ms_min: 300_000,
            retry_delay_ms_max: 4_000_000,
            port: 25,
        }
    }
}

/// Whether mail leaves to domains that have no gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutsidePolicy {
    /// It does not.
    #[default]
    Refuse,
    /// Under TLS where the other server offers it, otherwise in the clear.
    Opportunistic,
    /// Under TLS only, whatever certificate the other server shows.
    Encrypted,
    /// Under TLS only, with a server that proves its name (DANE, MTA-STS or a public certificate).
    Verified,
}

impl Outside {
    /// An example of every key.
    pub(super) fn example() -> Outside {
        Outside {
            smarthost: Some(Smarthost {
                address: HostPort::example(),
                implicit_tls: false,
                user: Some("acme".into()),
                password: Some("keys/smarthost.password".into()),
            }),
            hostname: Some("mail.acme.test".into()),
            ..Outside::default()
        }
    }

    /// What is demanded of the way outside; `None`: nothing goes there.
    pub fn demand(&self) -> Option<policies::Demand> {
        match self.policy {
            OutsidePolicy::Refuse => None,
            OutsidePolicy::Opportunistic => Some(policies::Demand::Opportunistic),
            OutsidePolicy::Encrypted => Some(policies::Demand::Encrypted),
            OutsidePolicy::Verified => Some(policies::Demand::Verified),
        }
    }
}

/// A header field that marks a mail: its name, and its value if only one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderMark {
    name: String,
    value: Option<String>,
}

impl HeaderMark {
    /// A mark that programs agree on is rare; this one is read by several gateways.
    pub(super) fn example() -> HeaderMark {
        HeaderMark { name: "X-Encrypt".into(), value: Some("yes".into()) }
    }

    /// The name of the field.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value that counts; `None`: any.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl FromStr for HeaderMark {
    type Err = Wrong;

    /// RFC 5322 §2.2: a name is printable ASCII without colon.
    fn from_str(text: &str) -> Result<HeaderMark, Wrong> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let value = value.map(str::trim);
        let sound = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        match sound && value != Some("") {
            true => Ok(HeaderMark { name: name.to_owned(), value: value.map(str::to_owned) }),
            false => Err(Wrong::new(
                format!("\"{text}\" is not a header field."),
                "Write its name, such as X-Encrypt, or name and value, such as \"X-Encrypt: yes\".",
            )),
        }
    }
}

impl fmt::Display for HeaderMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

as_text!(HeaderMark);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_name_or_a_name_with_the_value_that_counts() {
        let mark: HeaderMark = "X-Encrypt:  yes ".parse().unwrap();
        assert_eq!(
            (mark.name(), mark.value(), mark.to_string().as_str()),
            ("X-Encrypt", Some("yes"), "X-Encrypt: yes")
        );
        let any: HeaderMark = "X-Encrypt".parse().unwrap();
        assert_eq!((any.name(), any.value()), ("X-Encrypt", None));
        for bad in ["", ":", ": yes", "X-Encrypt:", "X Encrypt: yes", "Gehei\u{e4}m"] {
            assert!(bad.parse::<HeaderMark>().is_err(), "{bad}");
        }
    }
}
