//! Spellings of DIDs.

use super::logs;

/// Logs whose DIDs are valid.
pub(crate) fn valid() -> Vec<Vec<u8>> {
    logs::valid().into_iter().map(|(_, log)| log).take(3).collect()
}

/// Spellings that look like this DID and are none.
pub(crate) fn invalid(did: &str) -> Vec<(&'static str, String)> {
    let hash = did.strip_prefix("did:dccp:1").unwrap();
    let (all_but_last, last) = hash.split_at(51);
    // The last character carries one bit of the hash; the four others must be zero: `a` or `q`.
    let loose = if last == "a" { "b" } else { "r" };
    vec![
        ("empty", String::new()),
        ("no hash", "did:dccp:1".into()),
        ("no method", hash.into()),
        ("another method", format!("did:key:1{hash}")),
        ("another version", format!("did:dccp:2{hash}")),
        ("upper-case hash", format!("did:dccp:1{}", hash.to_uppercase())),
        ("upper-case scheme", format!("DID:dccp:1{hash}")),
        ("a character missing", format!("did:dccp:1{}", &hash[..51])),
        ("a character too many", format!("{did}a")),
        ("not of the base32 alphabet", format!("did:dccp:1{all_but_last}8")),
        ("non-zero trailing bits", format!("did:dccp:1{all_but_last}{loose}")),
        ("padding", format!("{did}====")),
        ("blank before", format!(" {did}")),
        ("blank after", format!("{did} ")),
        ("fragment", format!("{did}#inbox")),
        ("percent-encoded", format!("did%3Adccp%3A1{hash}")),
    ]
}
