//! What a server offered in its answer to EHLO or LHLO.

use super::replies::ServerReply;
use crate::sasl::{Mechanism, Mechanisms};

/// The extensions this client makes use of; all others are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// RFC 3207.
    pub(super) start_tls: bool,
    /// RFC 4954: those that we know.
    pub(super) auth: Mechanisms,
    /// RFC 2920.
    pub(super) pipelining: bool,
    /// RFC 6152.
    pub(super) eight_bit_mime: bool,
    /// RFC 6531.
    pub(super) smtputf8: bool,
    /// RFC 3461.
    pub(super) dsn: bool,
    /// RFC 8689.
    pub(super) require_tls: bool,
    /// RFC 1870: offered, and the limit in octets unless the server left it open.
    pub(super) size: Option<Option<u64>>,
}

impl Capabilities {
    /// The first line is the server's name; each other one is a keyword with parameters (RFC 5321 §4.1.1.1).
    pub(super) fn of(reply: &ServerReply) -> Self {
        let mut offered = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            match words.next().map(str::to_ascii_uppercase).as_deref() {
                Some("STARTTLS") => offered.start_tls = true,
                Some("AUTH") => offered.auth = words.filter_map(Mechanism::by_name).collect(),
                Some("PIPELINING") => offered.pipelining = true,
                Some("8BITMIME") => offered.eight_bit_mime = true,
                Some("SMTPUTF8") => offered.smtputf8 = true,
                Some("DSN") => offered.dsn = true,
                Some("REQUIRETLS") => offered.require_tls = true,
                // "SIZE 0" and a lone "SIZE" mean: no fixed limit (RFC 1870 §3).
                Some("SIZE") => {
                    let limit = words.next().and_then(|limit| limit.parse().ok());
                    offered.size = Some(limit.filter(|limit| *limit > 0));
                }
                _ => {}
            }
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Capabilities {
        Capabilities::of(&ServerReply {
            code: 250,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    #[test]
    fn keywords_are_read_in_any_case_and_the_name_of_the_server_is_not_one() {
        let all = of(&[
            "mx",
            "pipelining",
            "8BitMime",
            "SMTPUTF8",
            "SIZE 1000",
            "StartTLS",
            "dsn",
            "RequireTLS",
            "auth GSSAPI scram-sha-256 PLAIN",
            "XYZ a=b",
        ]);
        let expected = Capabilities {
            start_tls: true,
            auth: [Mechanism::Plain, Mechanism::ScramSha256].into(),
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            require_tls: true,
            size: Some(Some(1000)),
        };
        assert_eq!(all, expected);
        assert_eq!(of(&["PIPELINING", "HELP"]), Capabilities::default());
    }

    #[test]
    fn a_size_without_a_number_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE many", "SIZE 99999999999999999999999"] {
            assert_eq!(of(&["mx", line]).size, Some(None), "{line}");
        }
    }
}
