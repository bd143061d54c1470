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
    fn whatever_is_experimental_says_so() {
        for suite in Suite::ALL {
            assert_eq!(words(suite).contains("EXPERIMENTAL"), suite.is_experimental(), "{suite}");
        }
    }
}
