//! `HOST:PORT`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Wrong, as_text, check_domain};

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
    pub(in crate::config) fn example() -> HostPort {
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

as_text!(HostPort);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_port_keeps_ipv6_in_brackets() {
        let v6: HostPort = "[::1]:24".parse().unwrap();
        assert_eq!((v6.host(), v6.port(), v6.to_string().as_str()), ("::1", 24, "[::1]:24"));
        for bad in ["::1:24", "mail", "mail:0", "mail:70000", "[mail]:25", ":25", "ma il:25"] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
