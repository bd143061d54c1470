//! Lanes: which mail is a person's, decided once, at acceptance.
//!
//! A wrong guess costs a little time and never more: every lane moves.

use crate::custody::Vault;
use crate::flows::records::purpose;
use crate::spool::{Lane, Source, Turn};

/// Recipients of one mail from which on it is a circular.
const RECIPIENTS_BULK: usize = 20;

/// The turn of a mail from `sender` (empty: the null sender) to so many `recipients`, by its header section.
pub fn turn(vault: &Vault, sender: &str, recipients: usize, header: &[u8]) -> Turn {
    let domain = sender.rsplit_once('@').map_or("", |(_, domain)| domain);
    Turn { lane: lane(sender, recipients, header), source: source(vault, domain) }
}

/// The heap of all that comes from `domain`.
pub fn source(vault: &Vault, domain: &str) -> Source {
    Source::of_tag(vault.tag(purpose::SENDER_DOMAIN, domain.to_ascii_lowercase().as_bytes()))
}

fn lane(sender: &str, recipients: usize, header: &[u8]) -> Lane {
    if sender.is_empty() {
        Lane::Reports // RFC 5321 §4.5.5
    } else if recipients >= RECIPIENTS_BULK || header_lines(header).any(is_of_bulk) {
        Lane::Bulk
    } else {
        Lane::People
    }
}

/// RFC 2919 §2 (List-Id), RFC 2369 §3.2 (List-Unsubscribe), RFC 2076 §3.9 (Precedence).
fn is_of_bulk(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&octet| octet == b':') else { return false };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    match name.trim_ascii_end().to_ascii_lowercase().as_slice() {
        b"list-id" | b"list-unsubscribe" => true,
        b"precedence" => [&b"bulk"[..], b"list", b"junk"].iter().any(|word| value.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// The lines up to the empty one.
fn header_lines(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = header.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circular_is_known_by_its_header_or_by_its_many_recipients() {
        let from = "alice@acme.example";
        for (sender, recipients, header, expected) in [
            (from, 1, "Subject: Lunch?\r\n", Lane::People),
            (from, 20, "Subject: Lunch?\r\n", Lane::Bulk),
            (from, 1, "list-ID: <all.acme.example>\r\n", Lane::Bulk),
            (from, 1, "Subject: x\r\nPrecedence:  BULK \r\n", Lane::Bulk),
            (from, 1, "Precedence: first-class\r\n", Lane::People),
            (from, 1, "Subject: x\r\n\r\nList-Id: <of the body>\r\n", Lane::People),
            ("", 50, "List-Id: <x>\r\n", Lane::Reports),
        ] {
            assert_eq!(lane(sender, recipients, header.as_bytes()), expected, "{header}");
        }
    }

    #[test]
    fn the_source_is_the_domain_in_any_case_and_not_the_person() {
        let vault = Vault::new(zeroize::Zeroizing::new([7; 32]));
        let source = |sender: &str| turn(&vault, sender, 1, b"").source;
        assert_eq!(source("alice@acme.example"), source("Bob@ACME.example"));
        let all: std::collections::BTreeSet<_> =
            (0..1_000).map(|n| source(&format!("a@{n}.example"))).collect();
        assert_eq!(all.len(), usize::from(Source::HEAPS));
    }
}
