//! Whose message it is where `From` names several domains: it must be everybody's, or it is a forgery of one of them.
//!
//! DMARC is made for one domain. RFC 9989 leaves the others to us, and warns that a forged author can hide beside an honest
//! one; it recommends to ask about each and to follow the strictest answer.

use mail_auth::{AuthenticatedMessage, DmarcOutput, DmarcResult, dmarc};

/// Domains in `From` that are asked about. Two organisations may write a letter together; more than this is nobody's honest
/// work, and every one costs look-ups.
pub(super) const DOMAINS_MAX: usize = 4;

/// An author of each domain in `From`, in their order.
pub(super) fn of_each_domain<'m>(message: &'m AuthenticatedMessage<'_>) -> Vec<&'m str> {
    let mut authors: Vec<&str> = Vec::new();
    let domain = |author: &str| author.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    for author in message.froms() {
        let author = author.as_ref();
        if authors.len() <= DOMAINS_MAX && !authors.iter().any(|known| domain(known) == domain(author)) {
            authors.push(author);
        }
    }
    authors
}

/// A message that has nothing but this author.
pub(super) fn alone(author: &str) -> Option<AuthenticatedMessage<'static>> {
    let mut message = AuthenticatedMessage::parse(b"From: x@y\r\n\r\n")?;
    message.from = vec![author.to_owned()];
    Some(message)
}

/// How much an answer demands; of several the greatest counts, so that a pass is a pass for all.
pub(super) fn strictness(output: &DmarcOutput) -> u8 {
    match (output.result(), output.policy()) {
        (DmarcResult::Fail(_), dmarc::Policy::Reject) => 6,
        (DmarcResult::Fail(_), dmarc::Policy::Quarantine) => 5,
        (DmarcResult::TempError(_), _) => 4,
        (DmarcResult::Fail(_), _) => 3,
        (DmarcResult::PermError(_), _) => 2,
        (DmarcResult::None, _) => 1,
        (DmarcResult::Pass, _) => 0,
    }
}
