//! TLSA records of a mail server (RFC 6698, RFC 7672): where they are, and which of them count.

/// One TLSA record, as it stands in the DNS (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector: what of the certificate is meant.
    pub selector: u8,
    /// Matching type: whole, or as a digest.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether mail can make use of it: DANE-TA(2) or DANE-EE(3) only (RFC 7672 §3.1.3), a known selector and matching
    /// type, and data of the length of its digest.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let whole = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, 2 | 3) && matches!(self.selector, 0 | 1) && whole
    }
}

/// The name of the records of a host's mail port (RFC 7672 §2.2.3), whatever port a laboratory uses instead.
pub fn name_of(base: &str) -> String {
    format!("_25._tcp.{base}")
}
