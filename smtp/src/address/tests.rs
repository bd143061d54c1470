use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Address, AddressError> {
    text.parse()
}

#[test]
fn an_address_keeps_the_case_of_its_local_part_and_lowers_its_domain() {
    let address = parse("John.O'Neil+tag@Example.ORG").unwrap();
    assert_eq!((address.local(), address.domain()), ("John.O'Neil+tag", "example.org"));
    assert_eq!(address.to_string(), "John.O'Neil+tag@example.org");
    assert!(address.is_ascii());
}

#[test]
fn quotes_are_kept_only_where_the_grammar_needs_them() {
    assert_eq!(parse("\"john\"@a.example").unwrap().as_str(), "john@a.example");
    assert_eq!(parse("\"jo\\hn\"@a.example").unwrap().as_str(), "john@a.example");
    assert_eq!(parse("\"a b\"@a.example").unwrap().as_str(), "\"a b\"@a.example");
    assert_eq!(parse("\"a@b\"@a.example").unwrap().domain(), "a.example");
    assert_eq!(parse("\"a\\\"\\\\\"@a.example").unwrap().local(), "\"a\\\"\\\\\"");
    assert_eq!(parse("\"\"@a.example").unwrap().local(), "\"\"");
}

#[test]
fn address_literals_are_real_addresses() {
    assert_eq!(parse("a@[192.0.2.1]").unwrap().domain(), "[192.0.2.1]");
    assert_eq!(parse("a@[ipv6:2001:DB8:0::1]").unwrap().domain(), "[IPv6:2001:db8::1]");
    for bad in ["a@[192.0.2.999]", "a@[2001:db8::1]", "a@[x-tag:thing]", "a@[192.0.2.1", "a@[]", "a@[é€]"]
    {
        assert_eq!(parse(bad), Err(AddressError::Domain), "{bad}");
    }
}

#[test]
fn utf8_is_an_address_but_not_ascii() {
    let address = parse("用户@例え.jp").unwrap();
    assert_eq!((address.local(), address.domain()), ("用户", "例え.jp"));
    assert!(!address.is_ascii());
    assert_eq!(parse("a@ÄRGER.example").unwrap().domain(), "ärger.example");
}

#[test]
fn characters_that_lie_to_the_reader_are_refused() {
    for c in ['\u{202E}', '\u{2028}', '\u{85}', '\u{a0}', '\u{FEFF}', '\0', '\r', '\n', '\u{7f}', ' '] {
        assert_eq!(parse(&format!("a{c}b@a.example")), Err(AddressError::Local), "{c:?}");
        assert_eq!(parse(&format!("a@a{c}b.example")), Err(AddressError::Domain), "{c:?}");
    }
    assert_eq!(parse("\"a\r\nb\"@a.example"), Err(AddressError::Local));
}

#[test]
fn malformed_addresses_say_which_part_is_wrong() {
    for bad in [".a@b.example", "a.@b.example", "a..b@b.example", "@b.example", "a<b@c.example", "\"a\"b@c"] {
        let error = parse(bad).unwrap_err();
        assert!(matches!(error, AddressError::Local | AddressError::NoDomain), "{bad}");
    }
    for bad in ["a@", "a@b..c", "a@.b", "a@b.", "a@-b", "a@b-", "a@b_c", "a@b@c", "a@b>c"] {
        assert_eq!(parse(bad), Err(AddressError::Domain), "{bad}");
    }
    assert_eq!(parse("a"), Err(AddressError::NoDomain));
    assert_eq!(parse(""), Err(AddressError::NoDomain));
    assert_eq!(parse("\"a@b"), Err(AddressError::Local));
}

#[test]
fn the_length_limits_are_those_of_the_standard() {
    let local = "l".repeat(64);
    assert!(parse(&format!("{local}@b.example")).is_ok());
    assert_eq!(parse(&format!("{local}l@b.example")), Err(AddressError::LocalTooLong));
    let label = "d".repeat(63);
    assert!(parse(&format!("a@{label}")).is_ok());
    assert_eq!(parse(&format!("a@{label}d")), Err(AddressError::Domain));
    let domain = [label.as_str(); 3].join(".");
    assert!(parse(&format!("{}@{domain}", "l".repeat(62))).is_ok());
    assert_eq!(parse(&format!("{}@{domain}", "l".repeat(63))), Err(AddressError::TooLong));
}

#[test]
fn the_null_reverse_path_is_empty() {
    assert_eq!("".parse(), Ok(ReversePath::Null));
    assert_eq!(ReversePath::Null.as_str(), "");
    assert_eq!("a@b".parse::<ReversePath>().unwrap().as_str(), "a@b");
}

proptest! {
    #[test]
    fn whatever_parses_prints_to_itself(text in "[a-z\" .\\\\@é<>\\[\\]:0-9-]{0,40}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address.clone()));
            prop_assert!(!address.as_str().chars().any(char::is_control));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = text.parse::<Address>();
    }
}
