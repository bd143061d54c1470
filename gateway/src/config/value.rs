//! The kinds of text a key can hold, each with its grammar, what to say when it does not fit, and its schema name.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::outside::HeaderMark;

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

/// `HOST:PORT` of a peer; the host is a name or an address and is resolved when used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The name or address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The internal mail server of the examples.
    pub(super) fn example() -> HostPort {
        HostPort { host: "127.0.0.1".into(), port: 2424 }
    }
}

impl FromStr for HostPort {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<HostPort, Wrong> {
        let wrong = || {
            Wrong::new(
                format!("\"{text}\" is not HOST:PORT."),
                "Write for example 127.0.0.1:24, [::1]:24 or mail.acme.test:25.",
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').map(|inner| inner.strip_suffix(']')) {
            Some(Some(inner)) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            None if check_domain(host).is_ok() => host,
            _ => return Err(wrong()),
        };
        Ok(HostPort { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A range of IP addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The two networks that are always this machine.
    pub fn loopback() -> [Network; 2] {
        let (v4, v6) = (Ipv4Addr::new(127, 0, 0, 0), Ipv6Addr::LOCALHOST);
        [Network { address: v4.into(), prefix: 8 }, Network { address: v6.into(), prefix: 128 }]
    }

    /// The lowest address of the range.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many leading bits are fixed.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies inside; an IPv4 address inside IPv6 (`::ffff:…`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        first_of(address.to_canonical(), self.prefix) == Some(self.address)
    }
}

impl FromStr for Network {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Network, Wrong> {
        let example =
            "Write for example 10.0.0.0/8 or fd00::/8; a single host is 192.0.2.7/32 or 2001:db8::7/128.";
        let wrong = || Wrong::new(format!("\"{text}\" is not a network."), example);
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        match first_of(address, prefix) {
            Some(first) if first == address => Ok(Network { address, prefix }),
            Some(first) => Err(Wrong::new(
                format!("\"{text}\" has bits beyond its prefix."),
                format!("If you mean the whole network, write {first}/{prefix}."),
            )),
            None => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// `address` with all bits after `prefix` cleared; `None` if it has fewer bits.
fn first_of(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) if prefix <= 32 => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Some(IpAddr::from((v4.to_bits() & mask).to_be_bytes()))
        }
        IpAddr::V6(v6) if prefix <= 128 => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Some(IpAddr::from((v6.to_bits() & mask).to_be_bytes()))
        }
        _ => None,
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

as_text!(HostPort);
as_text!(Network);

/// Schema stand-ins for fields of foreign types: `#[schemars(with = "Vec<text::Listen>")]`.
pub(super) mod text {
    use super::{Cow, JsonSchema, Schema, SchemaGenerator, json_schema};

    macro_rules! formats {
        ($($name:ident = $format:literal),* $(,)?) => {$(
            #[doc = concat!("Text of the format `", $format, "`.")]
            pub(crate) struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "format": $format })
                }
            }
        )*};
    }
    formats! {
        Domain = "domain",
        Listen = "listen-address",
        LoopbackListen = "loopback-listen-address",
        Server = "server-address",
        HostPort = "host-port",
        HttpsUrl = "https-url",
        Mailbox = "mailbox",
        Network = "network",
        Multiaddr = "multiaddr",
        HeaderMark = "header-mark",
        Pattern = "address-pattern",
        File = "file",
        SecretFile = "secret-file",
        Folder = "folder",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        let ten: Network = "10.0.0.0/8".parse().unwrap();
        assert!(ten.contains("10.255.0.1".parse().unwrap()));
        assert!(ten.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!ten.contains("11.0.0.1".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        let one: Network = "2001:db8::7/128".parse().unwrap();
        assert!(
            one.contains("2001:db8::7".parse().unwrap()) && !one.contains("2001:db8::8".parse().unwrap())
        );
    }

    #[test]
    fn a_network_with_host_bits_is_refused_and_the_network_named() {
        let wrong = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert!(wrong.advice.contains("10.0.0.0/8"), "{wrong}");
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("10.0.0.0".parse::<Network>().is_err());
    }

    #[test]
    fn a_host_and_port_keeps_ipv6_in_brackets() {
        let v6: HostPort = "[::1]:24".parse().unwrap();
        assert_eq!((v6.host(), v6.port(), v6.to_string().as_str()), ("::1", 24, "[::1]:24"));
        for bad in ["::1:24", "mail", "mail:0", "mail:70000", "[mail]:25", ":25", "ma il:25"] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }

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
