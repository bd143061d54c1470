//! Texts that people write or type: the configuration, and the shares of a recovery key.

use std::path::Path;

use gateway::config::Config;
use keystore::shares::Share;

/// Every text is a configuration or a list of problems, each with words for a person.
pub(crate) fn config(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let read = Config::of_text(text, Path::new("/etc/dccp/dccp-config.yaml"));
    if let Err(problems) = &read {
        assert!(!problems.to_string().trim().is_empty(), "refused without a word");
    }
    read.is_ok()
}

/// A share that was accepted is the same share when it is written and typed again.
pub(crate) fn recovery_share(octets: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(octets) else { return false };
    let Ok(share) = Share::from_text(text) else { return false };
    let written = share.to_text("");
    let again = Share::from_text(&written).expect("our own text");
    assert_eq!(*again.to_text(""), *written, "another share when read again");
    true
}
