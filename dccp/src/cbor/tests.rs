use dcbor::CBOR;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 16;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        (0..300_u64).prop_map(Value::Unsigned),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        "[ -~]{0,40}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map("[ -~]{0,30}", inner, 0..6)
                .prop_map(|fields| Value::Map(fields.into_iter().collect())),
        ]
    })
}

/// Maps decode in canonical order; the tests compare by encoding.
fn reencoded(bytes: &[u8]) -> Option<Vec<u8>> {
    decode(bytes, MAX).ok().map(|value| encode(&value))
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same_bytes(value in values()) {
        let bytes = encode(&value);
        prop_assert_eq!(reencoded(&bytes), Some(bytes));
    }

    #[test]
    fn the_dcbor_crate_reads_what_we_write_and_writes_the_same(value in values()) {
        let bytes = encode(&value);
        let theirs = CBOR::try_from_data(&bytes).expect("canonical for the oracle");
        prop_assert_eq!(theirs.to_cbor_data(), bytes);
    }

    #[test]
    fn whatever_decodes_is_canonical_for_the_oracle_too(bytes in vec(any::<u8>(), 0..24)) {
        if let Some(again) = reencoded(&bytes) {
            prop_assert_eq!(&again, &bytes);
            prop_assert!(CBOR::try_from_data(&bytes).is_ok());
        }
    }

    #[test]
    fn an_altered_document_still_decodes_only_if_it_is_canonical(value in values(), at: usize, flip in 1..=255_u8) {
        let mut bytes = encode(&value);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Some(again) = reencoded(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }
}

fn refusal(hex_text: &str) -> CborError {
    decode(&hex::decode(hex_text).unwrap(), MAX).unwrap_err()
}

#[test]
fn numbers_and_lengths_must_be_shortest() {
    for overlong in
        ["1817", "190017", "1900ff", "1a0000ffff", "1b00000000ffffffff", "580141", "780141", "980100"]
    {
        assert_eq!(refusal(overlong), CborError::NotShortest, "{overlong}");
    }
}

#[test]
fn floats_tags_simple_values_negatives_and_indefinite_lengths_are_refused() {
    for forbidden in
        ["f93c00", "fa3f800000", "fb3ff0000000000000", "f4", "f6", "20", "c000", "9fff", "bfff", "5fff"]
    {
        assert!(matches!(refusal(forbidden), CborError::ForbiddenType(_)), "{forbidden}");
    }
}

#[test]
fn map_keys_are_ordered_unique_text() {
    assert!(reencoded(&hex::decode("a2616101616202").unwrap()).is_some());
    assert_eq!(refusal("a2616102616101"), CborError::KeyOrder, "the same key twice");
    assert_eq!(refusal("a2616201616102"), CborError::KeyOrder, "b before a");
    assert_eq!(refusal("a262616101616202"), CborError::KeyOrder, "longer before shorter");
    assert_eq!(refusal("a10102"), CborError::KeyType);
}

#[test]
fn text_is_printable_ascii() {
    assert_eq!(refusal("62c3bc"), CborError::Text);
    assert_eq!(refusal("610a"), CborError::Text);
}

#[test]
fn nothing_may_be_missing_or_left_over() {
    assert_eq!(refusal(""), CborError::Truncated);
    assert_eq!(refusal("19"), CborError::Truncated);
    assert_eq!(refusal("4241"), CborError::Truncated);
    assert_eq!(refusal("5bffffffffffffffff"), CborError::Truncated);
    assert_eq!(refusal("9bffffffffffffffff"), CborError::Truncated);
    assert_eq!(refusal("0000"), CborError::Trailing);
    assert_eq!(decode(&[0; 9], 8), Err(CborError::TooLarge { max: 8 }));
}

#[test]
fn deep_nesting_is_refused_before_the_stack_notices() {
    assert_eq!(decode(&vec![0x81; MAX], MAX), Err(CborError::TooComplex));
}

#[test]
fn many_tiny_items_are_refused_before_memory_notices() {
    let mut bytes = vec![0x99, 0xff, 0xff];
    bytes.resize(3 + 0xffff, 0);
    assert_eq!(decode(&bytes, 1 << 20), Err(CborError::TooComplex));
}

#[test]
fn unknown_missing_and_mistyped_fields_are_named() {
    let fields = |value| Fields::of(value, "record").unwrap();
    let record = map([("a", Value::Unsigned(1)), ("b", Value::Text("x".into()))]);

    assert_eq!(fields(record.clone()).unsigned("c"), Err(CborError::Missing("c")));
    assert_eq!(fields(record.clone()).unsigned("b"), Err(CborError::Wrong("b")));
    let mut some = fields(record);
    some.unsigned("a").unwrap();
    assert_eq!(some.finish(), Err(CborError::Unknown("b".into())));
}
