//! What a submission server adds to a message whose program forgot it (RFC 6409 §8).

use std::time::SystemTime;

use super::Fields;
use crate::trace;

/// The fields to prepend so that the message has a `Date` (RFC 6409 §8.2) and a `Message-ID` (§8.3): whole lines, or nothing
/// where both are there.
///
/// A signed message is left alone, however little it says: its signature may cover that a field is *not* there (RFC 6376
/// §5.4). `unique` and `host` make up the identifier.
#[must_use]
pub fn completion(octets: &[u8], unique: &str, host: &str, now: SystemTime) -> String {
    let (mut dated, mut named, mut signed) = (false, false, false);
    for field in Fields::new(octets) {
        dated |= field.is("Date");
        named |= field.is("Message-ID");
        signed |= field.is("DKIM-Signature");
    }
    let mut missing = String::new();
    if !dated && !signed {
        missing += &format!("Date: {}\r\n", trace::date(now));
    }
    if !named && !signed {
        missing += &format!("Message-ID: <{unique}@{host}>\r\n");
    }
    missing
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn completed(octets: &str) -> String {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        completion(octets.as_bytes(), "abc", "gw.acme.example", now)
    }

    #[test]
    fn a_message_gets_the_date_and_the_name_that_it_lacks() {
        assert_eq!(
            completed("From: a@acme.example\r\n\r\nDate: in the body\r\n"),
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <abc@gw.acme.example>\r\n"
        );
        assert_eq!(completed("DATE: x\r\n\r\n"), "Message-ID: <abc@gw.acme.example>\r\n");
        assert_eq!(completed("Date: x\r\nmessage-id : <y@z>\r\n\r\n"), "");
    }

    #[test]
    fn a_signed_message_is_left_alone() {
        assert_eq!(completed("DKIM-Signature: v=1; h=from:date\r\nFrom: a@acme.example\r\n\r\n"), "");
    }

    #[test]
    fn a_message_without_a_header_section_gets_one() {
        assert!(completed("").starts_with("Date: "));
        assert!(completed("\r\nbody\r\n").starts_with("Date: "));
    }
}
