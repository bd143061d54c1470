//! Who really sent a message: SPF, DKIM, DMARC and ARC of mail that arrives, DKIM and ARC of mail that leaves.
//!
//! ```text
//! arrived octets ─► Verifier::verify ──DNS──► Verdicts ─► authentication_results()   the header to prepend (RFC 8601)
//!        │                                        └──────► Signer::seal               when it is forwarded (RFC 8617)
//!        └───────► forged_results()            what to leave out: claims in our name that we did not make
//!
//! octets to send ─► Signer::sign               DKIM-Signature fields to prepend, as the very last step (RFC 6376)
//! ```
//!
//! Words: a *verdict* is what one method says ([`Outcome`], the words of RFC 8601 §2.7); *aligned* means that the domain
//! that a method proves is the one people see in `From` (DMARC); a *selector* names one public key of a domain in DNS;
//! a *key pair* here is one Ed25519 and one RSA key that are made, published and retired together.
//!
//! For the flow that calls: sign last and over exactly the octets that go out; prepend what is returned here in front of
//! everything else; ask `Verdicts::temporary` before `Verdicts::dmarc`: where it is set, DMARC would decide but DNS did
//! not answer, and the right reply is 451.
//!
//! Invariants:
//! - DNS that does not answer is [`Outcome::TempError`]: never a pass, never a fail.
//! - The octets are read, never written again: results are fields to prepend, or ranges to leave out.
//! - Nothing that a stranger chose (domain, selector, local part) leaves its place in a header field.
//! - Every look-up has an end, and so has the number of signatures that are looked at.
//! - Private keys have no `Debug` and are wiped when they go.
//!
//! Deliberately absent: what to do about a verdict (the rules of the house), sending DMARC reports, BIMI.

mod authors;
mod body;
mod forged;
mod keys;
mod results;
mod seal;
mod sign;
mod spf_record;
mod translate;
mod verdicts;
mod verifier;

pub use forged::forged_results;
pub use keys::{KeyError, KeyPair, Published, TXT_STRING_OCTETS_MAX};
pub use seal::SealError;
pub use sign::{SignError, Signer};
pub use verdicts::{Arc, Dkim, Dmarc, Outcome, Policy, Spf, SpfIdentity, Verdicts};
pub use verifier::{Asked, DnsUnusable, Settings, Verifier, Visibility};
