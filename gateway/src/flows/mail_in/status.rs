//! `X-DCCP-Status`: what a mail client can show as a lock. Only our own word stands under this name in front of a mail
//! that we hand over; what came under it from outside is left out (`flows::forgeries`).

use dccp::Suite;
use dccp::message::FsClass;

/// The header field of a mail that arrived sealed, was opened, and whose signature counts for `partner`.
pub(super) fn sealed(suite: Suite, key: FsClass, partner: &str) -> String {
    let experimental = if suite.is_experimental() { " (experimental)" } else { "" };
    format!(
        "X-DCCP-Status: sealed; suite={suite}{experimental}; key={key};\r\n partner={partner}; verified\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_header_field_that_names_what_protected_the_mail() {
        let field = sealed(Suite::X0102, FsClass::OneTime, "globex.test");
        assert!(field.ends_with("\r\n") && field.split("\r\n").all(|line| line.len() < 78), "{field}");
        assert!(
            field.contains("suite=0x0102 (experimental)") && field.contains("partner=globex.test; verified")
        );
    }
}
