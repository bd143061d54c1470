//! The TXT record `_dccp.<domain>`: `v=DCCP1; did=did:dccp:1…`.

use dccp::Did;

/// The version tag, which must come first: other TXT records under the name are none of ours.
const VERSION: &str = "DCCP1";
/// One record in octets: a DID has 62, the rest is for tags of later versions.
const TXT_BYTES_MAX: usize = 1024;

/// Reads one TXT record, its character-strings joined without anything between them (as RFC 7208 §3.3 does for SPF).
/// The grammar is the tag list of RFC 6376 §3.2. Gives none for a record that is not of DCCP; unknown tags are ignored.
///
/// # Errors
/// [`BadTxt`] when the record says `v=DCCP1` and is not what that promises.
pub fn claim(record: &[u8]) -> Result<Option<Did>, BadTxt> {
    let Some(tags) = tags_of_dccp(record) else { return Ok(None) };
    if record.len() > TXT_BYTES_MAX {
        return Err(BadTxt::TooLong);
    }
    let mut did = None;
    for tag in tags.split(';').map(str::trim).filter(|tag| !tag.is_empty()) {
        let (name, value) = tag.split_once('=').ok_or(BadTxt::Grammar)?;
        if name.trim_end() == "did" && did.replace(value.trim_start()).is_some() {
            return Err(BadTxt::Grammar);
        }
    }
    did.ok_or(BadTxt::NoDid)?.parse().map(Some).map_err(|_| BadTxt::NoDid)
}

/// What follows `v=DCCP1`, if the record begins with that.
fn tags_of_dccp(record: &[u8]) -> Option<&str> {
    let text = str::from_utf8(record).ok()?;
    let value = text.trim_start().strip_prefix('v')?.trim_start().strip_prefix('=')?;
    let (version, rest) = value.split_once(';').unwrap_or((value, ""));
    (version.trim() == VERSION).then_some(rest)
}

/// Why a TXT record that calls itself DCCP's is not accepted. All of it is the fault of the domain's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTxt {
    /// More octets than such a record may have.
    #[error("TXT record is longer than {TXT_BYTES_MAX} octets")]
    TooLong,
    /// Not a list of tags, or one twice.
    #[error("TXT record is not a list of tags `name=value`")]
    Grammar,
    /// No tag `did`, or what it holds is no DID.
    #[error("TXT record names no did:dccp")]
    NoDid,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:dccp:1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn the_record_of_the_specification_names_its_did() {
        for record in [
            format!("v=DCCP1; did={DID}"),
            format!("v=DCCP1;did={DID};"),
            format!(" v = DCCP1 ; did = {DID} ; later=thing"),
        ] {
            assert_eq!(claim(record.as_bytes()), Ok(Some(DID.parse().expect("a DID"))), "{record}");
        }
    }

    #[test]
    fn records_of_others_are_not_ours_to_judge() {
        for record in ["v=spf1 -all", "", "DCCP1", "v=DCCP10; did=x", "v=DCCP2; did=x", "did=x; v=DCCP1"] {
            assert_eq!(claim(record.as_bytes()), Ok(None), "{record}");
        }
        assert_eq!(claim(&[0xff, 0xfe]), Ok(None));
    }

    #[test]
    fn a_record_of_ours_that_names_no_did_is_refused() {
        let upper = DID.to_ascii_uppercase();
        let long = format!("v=DCCP1; did={DID}; x={}", "y".repeat(1024));
        for (record, why) in [
            ("v=DCCP1", BadTxt::NoDid),
            ("v=DCCP1; did=did:web:globex.test", BadTxt::NoDid),
            (&format!("v=DCCP1; did={upper}"), BadTxt::NoDid),
            (&format!("v=DCCP1; did={DID}; did={DID}"), BadTxt::Grammar),
            ("v=DCCP1; did", BadTxt::Grammar),
            (&long, BadTxt::TooLong),
        ] {
            assert_eq!(claim(record.as_bytes()), Err(why), "{record}");
        }
    }
}
