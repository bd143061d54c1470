//! The kinds of text a key can hold, each with its grammar, what to say when it does not fit, and its schema name.

mod host_port;
mod network;
pub(super) mod text;

use std::net::SocketAddr;
use std::str::FromStr;

use super::outside::HeaderMark;
pub use host_port::HostPort;
pub use network::Network;

/// What a text must be. The schema carries it as `format`, the checks and the printed documentation read it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// Any text.
    Text,
    /// A domain name: letters, digits, hyphens and dots.
    Domain,
    /// `IP:PORT` to listen on.
    Listen,
    /// `IP:PORT` to listen on, of this machine only.
    LoopbackListen,
    /// `IP:PORT` of a server to ask.
    Server,
    /// `HOST:PORT` to connect to.
    HostPort,
    /// `https://…` of a server to ask.
    HttpsUrl,
    /// `local@domain`.
    Mailbox,
    /// A network, `ADDRESS/PREFIX`.
    Network,
    /// A libp2p multiaddr with a transport we have.
    Multiaddr,
    /// `NAME` or `NAME: VALUE` of a header field.
    HeaderMark,
    /// An address or a domain, with `*` for any letters.
    Pattern,
    /// A file that must be readable.
    File,
    /// A file that must be readable by its owner alone.
    SecretFile,
    /// A folder that must be writable.
    Folder,
}

/// Every format with its name in the schema and its words in the documentation.
const FORMATS: [(Format, &str, &str); 15] = [
    (Format::Text, "text", "text"),
    (Format::Domain, "domain", "domain name"),
    (Format::Listen, "listen-address", "IP:PORT"),
    (Format::LoopbackListen, "loopback-listen-address", "IP:PORT, loopback only"),
    (Format::Server, "server-address", "IP:PORT"),
    (Format::HostPort, "host-port", "HOST:PORT"),
    (Format::HttpsUrl, "https-url", "https:// address"),
    (Format::Mailbox, "mailbox", "mail address"),
    (Format::Network, "network", "network (ADDRESS/PREFIX)"),
    (Format::Multiaddr, "multiaddr", "multiaddr"),
    (Format::HeaderMark, "header-mark", "NAME or NAME: VALUE"),
    (Format::Pattern, "address-pattern", "address or domain, `*` for any letters"),
    (Format::File, "file", "file"),
    (Format::SecretFile, "secret-file", "secret file (mode 0600)"),
    (Format::Folder, "folder", "folder"),
];

impl Format {
    /// From the schema's `format`; unknown names are plain text.
    pub(super) fn of_schema(name: &str) -> Format {
        FORMATS.iter().find(|(_, schema, _)| *schema == name).map_or(Format::Text, |(format, ..)| *format)
    }

    /// How the documentation names it.
    pub(super) fn words(self) -> &'static str {
        FORMATS.iter().find(|(format, ..)| *format == self).map_or("text", |(.., words)| words)
    }

    /// Whether the text names something in the file system, relative to the configuration file.
    pub(super) fn is_path(self) -> bool {
        matches!(self, Format::File | Format::SecretFile | Format::Folder)
    }

    /// Checks the text itself; the world (does the file exist?) is asked in `checks`.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(super) fn check(self, text: &str) -> Result<(), Wrong> {
        match self {
            _ if text.is_empty() => {
                Err(Wrong::new("is empty.", "Give a value, or remove the line for the default."))
            }
            Format::Text | Format::File | Format::SecretFile | Format::Folder => Ok(()),
            Format::Domain => check_domain(text),
            Format::Listen => check_listen(text).map(|_| ()),
            Format::LoopbackListen => check_loopback(text),
            Format::Server => check_server(text),
            Format::HostPort => HostPort::from_str(text).map(|_| ()),
            Format::HttpsUrl => check_https_url(text),
            Format::Mailbox => check_mailbox(text),
            Format::Network => Network::from_str(text).map(|_| ()),
            Format::HeaderMark => HeaderMark::from_str(text).map(|_| ()),
            Format::Multiaddr => check_multiaddr(text),
            Format::Pattern => check_pattern(text),
        }
    }
}

/// Why a text does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {advice}")]
pub struct Wrong {
    /// What is wrong, one sentence without its subject.
    pub what: String,
    /// What to do, one sentence.
    pub advice: String,
}

impl Wrong {
    /// Both sentences.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), advice: advice.into() }
    }
}

/// RFC 1123 §2.1 and RFC 5321 §4.5.3.1.2: labels of letters, digits and inner hyphens, 63 and 255 octets at most.
fn check_domain(text: &str) -> Result<(), Wrong> {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 255 && text.split('.').all(label_fits) {
        true => Ok(()),
        false => Err(Wrong::new(
            format!("\"{text}\" is not a domain name."),
            "Write letters, digits, hyphens and dots, such as acme.test; an international name in its xn-- form.",
        )),
    }
}

fn check_listen(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        Wrong::new(
            format!("\"{text}\" is not IP:PORT."),
            "Write for example 127.0.0.1:2525, 0.0.0.0:25 or [::1]:2525.",
        )
    })
}

fn check_server(text: &str) -> Result<(), Wrong> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(()),
        _ => Err(Wrong::new(
            format!("\"{text}\" is not IP:PORT."),
            "Write for example 127.0.0.1:53 or [::1]:53.",
        )),
    }
}

fn check_https_url(text: &str) -> Result<(), Wrong> {
    let is_sound = |uri: http::Uri| uri.scheme_str() == Some("https") && uri.host().is_some();
    match text.parse().is_ok_and(is_sound) {
        true => Ok(()),
        false => Err(Wrong::new(
            format!("\"{text}\" is not an https:// address."),
            "Write for example https://ca.acme.test/acme/directory.",
        )),
    }
}

fn check_mailbox(text: &str) -> Result<(), Wrong> {
    let is_plain = |local: &str| !local.is_empty() && local.bytes().all(|b| b.is_ascii_graphic());
    match text.rsplit_once('@') {
        Some((local, domain)) if is_plain(local) && check_domain(domain).is_ok() => Ok(()),
        _ => Err(Wrong::new(
            format!("\"{text}\" is not a mail address."),
            "Write for example postmaster@acme.test.",
        )),
    }
}

/// The control API has one token and no TLS yet, so it must not be reachable from the network.
fn check_loopback(text: &str) -> Result<(), Wrong> {
    match check_listen(text)?.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(Wrong::new(
            format!(
                "\"{text}\" can be reached from other machines, and this port speaks plain HTTP with a single token."
            ),
            "Listen on 127.0.0.1 or [::1], and reach it through SSH or a TLS proxy on this machine.",
        )),
    }
}

fn check_multiaddr(text: &str) -> Result<(), Wrong> {
    overlay::check_multiaddr(text).map_err(|why| {
        Wrong::new(
            format!("\"{text}\" is not an address the overlay can use: {}.", why.trim_end_matches('.')),
            "Write for example /ip4/192.0.2.1/udp/4001/quic-v1 or /ip4/192.0.2.1/tcp/4001.",
        )
    })
}

fn check_pattern(text: &str) -> Result<(), Wrong> {
    let wrong = |bad: policies::BadPattern| {
        Wrong::new(
            format!("\"{text}\" is none: {bad}."),
            "Write for example alice@acme.test, acme.test or *.acme.test.",
        )
    };
    text.parse::<policies::Pattern>().map(drop).map_err(wrong)
}

/// `String` forms for serde: a parsed value is written as it is displayed.
macro_rules! as_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = Wrong;

            fn try_from(text: String) -> Result<$type, Wrong> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}
pub(super) use as_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_names_follow_rfc_1123() {
        for good in ["acme.test", "localhost", "xn--bcher-kva.example", "3com.com"] {
            assert!(check_domain(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "acme..test", "-acme.test", "acme-.test", "ac_me.test", "bücher.example", "acme.test."]
        {
            assert!(check_domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_control_port_stays_on_this_machine() {
        assert!(Format::LoopbackListen.check("127.0.0.1:8480").is_ok());
        assert!(Format::LoopbackListen.check("[::1]:8480").is_ok());
        assert!(Format::LoopbackListen.check("0.0.0.0:8480").unwrap_err().what.contains("other machines"));
    }
}
