//! Which mail must be encrypted: what senders write and what the configuration says of domains (`policies.must_encrypt`).
//!
//! Whoever is in doubt here asks for encryption: every field of a name is looked at, not the first one only, decoded and
//! as it stands.

use policies::Marks;
use smtp::message::values;

use crate::config::{HeaderMark, MustEncrypt};

/// The marks that count.
#[derive(Debug, Default)]
pub struct Marking {
    headers: Vec<HeaderMark>,
    /// In lower case, like all that follows.
    subject_tags: Vec<String>,
    recipient_domains: Vec<String>,
    sender_domains: Vec<String>,
}

impl Marking {
    /// As configured.
    pub fn new(configured: &MustEncrypt) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_lowercase()).collect();
        Self {
            headers: configured.headers.clone(),
            subject_tags: lower(&configured.subject_tags),
            recipient_domains: lower(&configured.recipient_domains),
            sender_domains: lower(&configured.sender_domains),
        }
    }

    /// What is known before the message itself: from the domains of sender and recipient.
    pub fn of_domains(&self, sender: &str, recipient: &str) -> Marks {
        let (sender, recipient) = (sender.to_lowercase(), recipient.to_lowercase());
        let must_encrypt = self.sender_domains.contains(&sender)
            || self.recipient_domains.iter().any(|domain| is_or_is_below(&recipient, domain));
        Marks { must_encrypt }
    }

    /// What the message itself asks for.
    pub fn of_message(&self, octets: &[u8]) -> Marks {
        let has_header = self.headers.iter().any(|mark| {
            values(octets, mark.name()).any(|value| match mark.value() {
                Some(wanted) => value.trim().to_lowercase() == wanted.to_lowercase(),
                None => true,
            })
        });
        let has_tag = || {
            values(octets, "Subject").any(|subject| {
                let subject = subject.to_lowercase();
                self.subject_tags.iter().any(|tag| subject.contains(tag.as_str()))
            })
        };
        Marks { must_encrypt: has_header || (!self.subject_tags.is_empty() && has_tag()) }
    }
}

/// What either asks for.
pub fn both(one: Marks, other: Marks) -> Marks {
    Marks { must_encrypt: one.must_encrypt || other.must_encrypt }
}

fn is_or_is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marking() -> Marking {
        Marking::new(&MustEncrypt {
            headers: vec!["X-Encrypt: yes".parse().unwrap(), "X-Secret".parse().unwrap()],
            subject_tags: vec!["[Secure]".to_owned()],
            recipient_domains: vec!["lawyers.test".to_owned()],
            sender_domains: vec!["board.acme.test".to_owned()],
        })
    }

    #[test]
    fn any_one_mark_is_enough() {
        for header in [
            "Subject: Offer [SECURE]",
            "Subject: =?utf-8?B?W3NlY3VyZV0gT2ZmZXI=?=",
            "Subject: Offer\r\nSubject: [secure]",
            "Subject: a long\r\n subject [secure]",
            "X-ENCRYPT: Yes",
            "X-Encrypt: no\r\nX-Encrypt:\r\n yes",
            "X-Secret: whatever",
            "X-Secret:",
        ] {
            let octets = format!("{header}\r\n\r\nbody\r\n");
            assert!(marking().of_message(octets.as_bytes()).must_encrypt, "{header}");
        }
        for header in [
            "Subject: Offer",
            "Subject: secure",
            "X-Encrypt: no",
            "X-Encrypted: yes",
            "X: y\r\n\r\nX-Secret: 1",
        ] {
            let octets = format!("{header}\r\n\r\n[secure]\r\n");
            assert!(!marking().of_message(octets.as_bytes()).must_encrypt, "{header}");
        }
        assert!(!Marking::default().of_message(b"Subject: [secure]\r\n\r\n").must_encrypt);
    }

    #[test]
    fn domains_mark_what_comes_from_or_goes_to_them() {
        let marked = |sender, recipient| marking().of_domains(sender, recipient).must_encrypt;
        assert!(marked("acme.test", "Lawyers.test"));
        assert!(marked("acme.test", "london.lawyers.test"));
        assert!(marked("Board.acme.test", "globex.test"));
        assert!(!marked("acme.test", "moralawyers.test"));
        assert!(!marked("acme.test", "globex.test"));
    }
}
