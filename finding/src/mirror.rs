//! HTTPS servers that keep the records of DIDs.

use std::fmt;
use std::net::IpAddr;

use dccp::Did;

use crate::DomainName;
use crate::names::Host;

/// The longest host name, brackets and port.
const MIRROR_BYTES_MAX: usize = 300;

/// An HTTPS server: `https://host` or `https://host:port`, nothing after it. Which addresses the host has is checked
/// when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

impl Mirror {
    /// The server of a domain itself.
    pub fn of(domain: &DomainName) -> Self {
        Self { host: Host::Name(domain.clone()), port: None }
    }

    /// Reads `https://host[:port][/]`.
    ///
    /// # Errors
    /// Any [`BadMirror`].
    pub fn parse(text: &str) -> Result<Self, BadMirror> {
        if text.len() > MIRROR_BYTES_MAX {
            return Err(BadMirror::Host);
        }
        let rest = text.strip_prefix("https://").ok_or(BadMirror::NotHttps)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(BadMirror::MoreThanAHost);
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => literal.split_once(']').ok_or(BadMirror::Host)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        Ok(Self { host: read_host(host, authority.starts_with('['))?, port: read_port(port)? })
    }

    /// Where a DID's bundle is on any mirror: under what follows `did:dccp:`.
    pub fn bundle_path(did: &Did) -> String {
        let id = did.as_str().strip_prefix("did:dccp:").unwrap_or_default();
        format!("/.well-known/dccp/did/{id}.cbor")
    }
}

fn read_host(host: &str, bracketed: bool) -> Result<Host, BadMirror> {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == bracketed => Ok(Host::Address(address)),
        Err(_) if !bracketed => host.parse().map(Host::Name).map_err(|_| BadMirror::Host),
        _ => Err(BadMirror::Host),
    }
}

fn read_port(port: &str) -> Result<Option<u16>, BadMirror> {
    let Some(digits) = port.strip_prefix(':') else {
        return if port.is_empty() { Ok(None) } else { Err(BadMirror::Host) };
    };
    let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port != 0);
    port.map(Some).ok_or(BadMirror::Port)
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "https://{name}")?,
            Host::Address(IpAddr::V4(address)) => write!(f, "https://{address}")?,
            Host::Address(IpAddr::V6(address)) => write!(f, "https://[{address}]")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Why a text is not the place of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMirror {
    /// Another scheme, or none.
    #[error("not an https:// URL")]
    NotHttps,
    /// A path, a query, a user: our paths are fixed, and credentials in URLs confuse readers.
    #[error("only a host and a port may be named")]
    MoreThanAHost,
    /// Neither a host name nor an address.
    #[error("no host")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("no port")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_host_and_perhaps_a_port() {
        for (text, printed) in [
            ("https://globex.test", "https://globex.test"),
            ("https://Globex.Test/", "https://globex.test"),
            ("https://globex.test:8443", "https://globex.test:8443"),
            ("https://9.9.9.9:443", "https://9.9.9.9:443"),
            ("https://[2606:4700::1111]:1", "https://[2606:4700::1111]:1"),
        ] {
            assert_eq!(Mirror::parse(text).expect(text).to_string(), printed);
        }
    }

    #[test]
    fn anything_else_is_no_mirror() {
        for (text, why) in [
            ("http://globex.test", BadMirror::NotHttps),
            ("file:///etc/passwd", BadMirror::NotHttps),
            ("globex.test", BadMirror::NotHttps),
            ("HTTPS://globex.test", BadMirror::NotHttps),
            ("https://globex.test/mirror", BadMirror::MoreThanAHost),
            ("https://globex.test?x", BadMirror::MoreThanAHost),
            ("https://globex.test#x", BadMirror::MoreThanAHost),
            ("https://user@globex.test", BadMirror::MoreThanAHost),
            ("https://globex.test\\@evil.test", BadMirror::MoreThanAHost),
            ("https://", BadMirror::Host),
            ("https://localhost", BadMirror::Host),
            ("https://2606:4700::1111", BadMirror::Host),
            ("https://[9.9.9.9]", BadMirror::Host),
            ("https://[::1", BadMirror::Host),
            ("https://[::1]x", BadMirror::Host),
            ("https://globex.test:", BadMirror::Port),
            ("https://globex.test:0", BadMirror::Port),
            ("https://globex.test:+1", BadMirror::Port),
            ("https://globex.test:65536", BadMirror::Port),
        ] {
            assert_eq!(Mirror::parse(text), Err(why), "{text}");
        }
        assert_eq!(Mirror::parse(&format!("https://{}.test", "a.".repeat(200))), Err(BadMirror::Host));
    }
}
