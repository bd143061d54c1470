//! The TXT record `_mta-sts.<domain>`: that there is a policy, and which edition (RFC 8461 §3.1).

/// Characters of an id (RFC 8461 §3.1).
const ID_CHARACTERS_MAX: usize = 32;

/// The text that makes a TXT record one of MTA-STS.
const VERSION: &str = "v=STSv1";

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The edition of the policy: when it differs, the policy is fetched again.
    pub id: String,
}

/// Why the record does not count, so that the domain is taken to have no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// More than one record of MTA-STS.
    #[error("{0} MTA-STS records where exactly one may be")]
    Several(usize),
    /// Not a list of fields `name=value`.
    #[error("the MTA-STS record is not a list of fields")]
    Grammar,
    /// No id of 1 to 32 letters and digits.
    #[error("the MTA-STS record has no proper id")]
    Id,
}

/// Reads the TXT records under the name, each with its character-strings joined. None: no record of MTA-STS among them.
///
/// # Errors
/// [`BadRecord`].
pub fn record(texts: &[Vec<u8>]) -> Result<Option<Record>, BadRecord> {
    // RFC 8461 §3.1: records that do not begin so are none of ours; of ours there is exactly one.
    let ours = texts.iter().filter_map(|text| fields_of(text)).collect::<Vec<_>>();
    match ours.as_slice() {
        [] => Ok(None),
        [fields] => read(fields).map(Some),
        several => Err(BadRecord::Several(several.len())),
    }
}

/// What stands behind `v=STSv1;`. The version is compared as it is: "case-sensitive" (RFC 8461 §3.1).
fn fields_of(text: &[u8]) -> Option<&str> {
    let rest = str::from_utf8(text).ok()?.strip_prefix(VERSION)?;
    rest.trim_start_matches(is_blank).strip_prefix(';')
}

/// `*WSP`, as the grammar allows around `;`.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

fn read(fields: &str) -> Result<Record, BadRecord> {
    let mut id = None;
    for field in fields.split(';').map(|field| field.trim_matches(is_blank)).filter(|field| !field.is_empty())
    {
        let (name, value) = field.split_once('=').ok_or(BadRecord::Grammar)?;
        // Of a field that comes twice the first counts; unknown ones are for later versions.
        if name == "id" && id.is_none() {
            id = Some(value);
        }
    }
    let proper = |id: &&str| {
        (1..=ID_CHARACTERS_MAX).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric())
    };
    let id = id.filter(proper).ok_or(BadRecord::Id)?;
    Ok(Record { id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Option<String>, BadRecord> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        record(&texts).map(|found| found.map(|record| record.id))
    }

    #[test]
    fn the_record_of_the_standard_names_its_edition() {
        for text in [
            "v=STSv1; id=20160831085700Z;",
            "v=STSv1;id=20160831085700Z",
            "v=STSv1 ;\tid=20160831085700Z ; later=thing;",
            "v=STSv1; later=thing; id=20160831085700Z; id=2",
        ] {
            assert_eq!(read(&[text]), Ok(Some("20160831085700Z".into())), "{text}");
        }
    }

    #[test]
    fn other_records_under_the_name_are_passed_over() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(
            read(&["v=spf1 -all", "v=STSv10; id=1;", "v=stsv1; id=1", " v=STSv1; id=1", "v=STSv1"]),
            Ok(None)
        );
        assert_eq!(read(&["v=spf1 -all", "v=STSv1; id=1;"]), Ok(Some("1".into())));
        assert_eq!(record(&[vec![0xff]]), Ok(None));
    }

    #[test]
    fn two_records_or_a_broken_one_are_as_good_as_none() {
        assert_eq!(read(&["v=STSv1; id=1;", "v=STSv1; id=1;"]), Err(BadRecord::Several(2)));
        let long = format!("v=STSv1; id={};", "1".repeat(ID_CHARACTERS_MAX + 1));
        for text in
            ["v=STSv1;", "v=STSv1; id=;", "v=STSv1; id=a-b;", "v=STSv1; id=ä;", "v=STSv1; ID=1;", &long]
        {
            assert_eq!(read(&[text]), Err(BadRecord::Id), "{text}");
        }
        assert_eq!(read(&["v=STSv1; id"]), Err(BadRecord::Grammar));
    }
}
