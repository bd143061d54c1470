//! Cipher suites as people name them: in the configuration, on the command line, in traces.

use dccp::Suite;

use crate::config::SuiteName;

/// The suite behind a name.
pub fn of_name(name: SuiteName) -> Suite {
    match name {
        SuiteName::HybridAes => Suite::X0001,
        SuiteName::HybridChacha => Suite::X0002,
        SuiteName::MlKemMlDsa => Suite::X0101,
        SuiteName::ExperimentalFalcon => Suite::X0102,
    }
}

/// The suite behind a word of the command line: the same words as in the configuration.
pub fn of_word(word: &str) -> Option<Suite> {
    let name = serde_json::from_value(serde_json::Value::from(word)).ok()?;
    Some(of_name(name))
}

/// `0x0001 (X-Wing, AES-256-GCM, Ed25519 and ML-DSA-65)`; what is experimental says so first.
pub fn words(suite: Suite) -> String {
    let made_of = match suite {
        Suite::X0001 => "X-Wing, AES-256-GCM, Ed25519 and ML-DSA-65",
        Suite::X0002 => "X-Wing, ChaCha20-Poly1305, Ed25519 and ML-DSA-65",
        Suite::X0101 => "ML-KEM-768, AES-256-GCM, ML-DSA-65",
        Suite::X0102 => "EXPERIMENTAL: X-Wing, ChaCha20-Poly1305, Ed25519 and FN-DSA-512",
        _ => "unknown",
    };
    format!("{suite} ({made_of})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_configuration() {
        assert_eq!(of_word("hybrid-aes"), Some(Suite::X0001));
        assert_eq!(of_word("experimental-falcon"), Some(Suite::X0102));
        assert_eq!(of_word("Hybrid-AES"), None);
    }

    #[test]
    fn whatever_is_experimental_says_so() {
        for suite in Suite::ALL {
            assert_eq!(words(suite).contains("EXPERIMENTAL"), suite.is_experimental(), "{suite}");
        }
    }
}
