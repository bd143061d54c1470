//! Padding level 1: what a relay sees of a length is its class.

/// Lengths below 64 KiB are rounded up to one of these (in KiB): an ordinary mail is one of eleven sizes.
const CLASSES_KIB: [usize; 11] = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const KIB: usize = 1024;

/// The length that `length` octets are padded to: a fixed class up to 64 KiB, Padmé above.
pub(crate) fn padded_len(length: usize) -> usize {
    let class = CLASSES_KIB.iter().map(|class| class * KIB).find(|class| length <= *class);
    class.unwrap_or_else(|| padme(length))
}

/// Is this a length that padding makes?
pub(crate) fn is_padded_len(length: usize) -> bool {
    length > 0 && padded_len(length) == length
}

/// Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PoPETs 2019,
/// algorithm 1): rounds up so that only the top ⌊log₂ log₂ L⌋ + 1 bits of the mantissa remain; at most 12 % overhead.
fn padme(length: usize) -> usize {
    let exponent = length.max(2).ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let mask = (1_usize << exponent.saturating_sub(mantissa_bits)) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_below_64_kib_become_one_of_eleven_classes() {
        assert_eq!(padded_len(1), 1024);
        assert_eq!(padded_len(1024), 1024);
        assert_eq!(padded_len(1025), 2048);
        assert_eq!(padded_len(8193), 12 * 1024);
        assert_eq!(padded_len(65536), 65536);
        let classes: std::collections::BTreeSet<_> = (1..=65536).map(padded_len).collect();
        assert_eq!(classes.len(), 11);
    }

    #[test]
    fn lengths_above_64_kib_follow_padme() {
        // 2^16 < L: exponent 16, five mantissa bits, steps of 2^11.
        assert_eq!(padded_len(65537), 65536 + 2048);
        // 2^20: exponent 20, five mantissa bits, steps of 2^15.
        assert_eq!(padded_len((1 << 20) + 1), (1 << 20) + (1 << 15));
        assert_eq!(padded_len(1 << 20), 1 << 20);
    }

    #[test]
    fn padding_is_idempotent_and_costs_at_most_an_eighth_above_64_kib() {
        for length in (65537..80_000_000).step_by(7919) {
            let padded = padded_len(length);
            assert!(padded >= length && padded - length <= length / 8, "{length} -> {padded}");
            assert!(is_padded_len(padded));
        }
    }
}
