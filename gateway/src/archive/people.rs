//! Who is in a mail, as the archive finds it again: keyed tags of addresses and of their domains.

use std::collections::BTreeSet;

use dccp::address::canonical;

use crate::custody::Vault;
use crate::flows::records::purpose;

/// The tags of all these addresses and of their domains, each once. A null sender is nobody.
pub fn tags_of<'a>(vault: &Vault, addresses: impl Iterator<Item = &'a str>) -> Vec<[u8; 16]> {
    let mut keys = BTreeSet::new();
    for address in addresses {
        if let Some((_, domain)) = address.rsplit_once('@') {
            keys.insert(canonical(address));
            keys.insert(format!("@{}", canonical(domain)));
        }
    }
    keys.iter().map(|key| tag(vault, key)).collect()
}

/// The tag of whom a person means: an address, or a domain with or without an `@` in front.
pub fn tag_of(vault: &Vault, meant: &str) -> [u8; 16] {
    let meant = canonical(meant.trim());
    if meant.contains('@') { tag(vault, &meant) } else { tag(vault, &format!("@{meant}")) }
}

fn tag(vault: &Vault, key: &str) -> [u8; 16] {
    vault.tag(purpose::ARCHIVED_PERSON, key.as_bytes())
}
