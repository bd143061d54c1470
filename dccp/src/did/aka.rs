//! Addresses in a log: salted commitments, because a log that is copied everywhere cannot be erased.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

const AKA_LABEL: &[u8] = b"DCCP-AKA-v1\0";
/// 128 bits: nobody finds the salt by trying, so nobody finds the address by trying addresses.
pub const AKA_SALT_BYTES: usize = 16;

/// A mail address that its subject can prove and nobody can guess:
/// `SHA-256("DCCP-AKA-v1\0" ‖ salt (16) ‖ address, A-Z as a-z)`.
///
/// The salt is kept by the subject and shown with the address to whom it wants to prove it. Destroying the salt
/// erases the address from every copy of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aka([u8; 32]);

impl Aka {
    /// The commitment to an address.
    pub fn of(salt: &[u8; AKA_SALT_BYTES], address: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(AKA_LABEL);
        hash.update(salt);
        // Only ASCII: two implementations never disagree about it, and local parts beyond ASCII have one spelling.
        hash.update(address.to_ascii_lowercase().as_bytes());
        let mut commitment = [0; 32];
        commitment.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(commitment)
    }

    /// Is this the commitment to that address with that salt?
    pub fn matches(&self, salt: &[u8; AKA_SALT_BYTES], address: &str) -> bool {
        Self::of(salt, address) == *self
    }

    /// Takes the 32 octets.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Aka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aka(")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}
