//! The TXT record `_smtp._tls.<domain>`: where reports go (RFC 8460 §3).

use crate::address::Address;

/// Addresses of one record that get a report. Honest ones have one or two; every one costs us a mail.
const RUA_MAX: usize = 4;

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rua {
    /// A mail to this address.
    Mail(Address),
    /// A POST to this URL.
    Https(String),
}

/// Why the record does not count, so that the domain gets no reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// More than one record of TLS reporting.
    #[error("{0} TLSRPT records where exactly one may be")]
    Several(usize),
    /// Not a list of fields `name=value`.
    #[error("the TLSRPT record is not a list of fields")]
    Grammar,
    /// No `rua`, or none that we can serve.
    #[error("the TLSRPT record names no address of a kind that we know")]
    NoRua,
}

/// Reads the TXT records under the name, each with its character-strings joined; the addresses in the order given, at
/// most four. Empty: no record of TLS reporting among them.
///
/// # Errors
/// [`BadRecord`].
pub fn record(texts: &[Vec<u8>]) -> Result<Vec<Rua>, BadRecord> {
    let ours = texts.iter().filter_map(|text| {
        let rest = str::from_utf8(text).ok()?.strip_prefix("v=TLSRPTv1")?;
        rest.trim_start_matches([' ', '\t']).strip_prefix(';')
    });
    match ours.collect::<Vec<_>>().as_slice() {
        [] => Ok(Vec::new()),
        [fields] => read(fields),
        several => Err(BadRecord::Several(several.len())),
    }
}

fn read(fields: &str) -> Result<Vec<Rua>, BadRecord> {
    let mut all = Vec::new();
    for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').ok_or(BadRecord::Grammar)?;
        if name.trim_end() == "rua" && all.is_empty() {
            all = value.split(',').filter_map(|uri| rua(uri.trim())).take(RUA_MAX).collect();
        }
    }
    if all.is_empty() { Err(BadRecord::NoRua) } else { Ok(all) }
}

/// `mailto:` (RFC 6068, without the header fields that it may carry) or `https:`; anything else is for later.
fn rua(uri: &str) -> Option<Rua> {
    let (scheme, rest) = uri.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "mailto" => {
            let address = rest.split_once('?').map_or(rest, |(address, _)| address);
            percent_decoded(address)?.parse().ok().map(Rua::Mail)
        }
        "https" => rest.starts_with("//").then(|| Rua::Https(uri.to_owned())),
        _ => None,
    }
}

/// RFC 3986 §2.1. `,`, `!` and `;` come so (RFC 8460 §3).
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        octets.push(match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).ok().filter(|text| !text.starts_with('+'))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            (b'%', _) => return None,
            (plain, _) => *plain,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Vec<Rua>, BadRecord> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        record(&texts)
    }

    fn mail(address: &str) -> Rua {
        Rua::Mail(address.parse().unwrap())
    }

    #[test]
    fn the_records_of_the_standard_name_where_reports_go() {
        let https = || Rua::Https("https://reporting.example.com/v1/tlsrpt".into());
        for (text, expected) in [
            ("v=TLSRPTv1;rua=mailto:reports@example.com", vec![mail("reports@example.com")]),
            ("v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt;", vec![https()]),
            (
                "v=TLSRPTv1; x=y; rua=MAILTO:a@b.test?subject=x, ftp://b.test, https://reporting.example.com/v1/tlsrpt",
                vec![mail("a@b.test"), https()],
            ),
        ] {
            assert_eq!(read(&[text]), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_stands_for_an_octet() {
        assert_eq!(read(&["v=TLSRPTv1;rua=mailto:a%21b@example.com"]), Ok(vec![mail("a!b@example.com")]));
        for bad in ["a%2@example.com", "a%zz@example.com", "a%+1@example.com", "a%ff@example.com"] {
            assert_eq!(read(&[&format!("v=TLSRPTv1;rua=mailto:{bad}")]), Err(BadRecord::NoRua), "{bad}");
        }
    }

    #[test]
    fn what_is_no_single_proper_record_gets_no_reports() {
        assert_eq!(read(&["v=spf1 -all", "v=TLSRPTv10;rua=mailto:a@b.test"]), Ok(Vec::new()));
        let one = "v=TLSRPTv1;rua=mailto:a@b.test";
        assert_eq!(read(&[one, one]), Err(BadRecord::Several(2)));
        assert_eq!(read(&["v=TLSRPTv1;rua"]), Err(BadRecord::Grammar));
        for text in
            ["v=TLSRPTv1;", "v=TLSRPTv1;rua=", "v=TLSRPTv1;rua=http://b.test/", "v=TLSRPTv1;rua=mailto:a"]
        {
            assert_eq!(read(&[text]), Err(BadRecord::NoRua), "{text}");
        }
    }

    #[test]
    fn a_record_of_a_hundred_addresses_costs_us_four_mails() {
        let many = vec!["mailto:a@b.test"; 100].join(",");
        assert_eq!(read(&[&format!("v=TLSRPTv1;rua={many}")]).unwrap().len(), RUA_MAX);
    }
}
