//! `X-DCCP-Status`: what a mail client can show as a lock. Only our own word stands under this name in front of a mail
//! that we hand over; what came under it from outside is left out.

use bytes::Bytes;
use dccp::Suite;
use dccp::message::FsClass;
use smtp::authenticity::forged_results;

/// The header field of a mail that arrived sealed, was opened, and whose signature counts for `partner`.
pub(super) fn sealed(suite: Suite, key: FsClass, partner: &str) -> String {
    let experimental = if suite.is_experimental() { " (experimental)" } else { "" };
    format!(
        "X-DCCP-Status: sealed; suite={suite}{experimental}; key={key};\r\n partner={partner}; verified\r\n"
    )
}

/// The octets without header fields that speak in our name (`hostname`): slices, nothing is copied.
pub(super) fn without_forgeries(octets: &Bytes, hostname: &str) -> Vec<Bytes> {
    let (mut kept, mut from) = (Vec::new(), 0);
    for forged in forged_results(octets, hostname) {
        kept.push(octets.slice(from..forged.start));
        from = forged.end;
    }
    kept.push(octets.slice(from..));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_status_is_left_out_and_every_other_octet_stays() {
        let octets = Bytes::from_static(
            b"From: a@b\r\nX-DCCP-Status: sealed;\r\n verified\r\nSubject: x\r\n\r\nX-DCCP-Status: text\r\n",
        );
        let kept = without_forgeries(&octets, "gw.acme.test").concat();
        assert_eq!(kept, b"From: a@b\r\nSubject: x\r\n\r\nX-DCCP-Status: text\r\n");
        let honest = Bytes::from_static(b"From: a@b\r\n\r\ntext\r\n");
        assert_eq!(without_forgeries(&honest, "gw.acme.test"), [honest]);
    }

    #[test]
    fn a_status_is_a_header_field_that_names_what_protected_the_mail() {
        let field = sealed(Suite::X0102, FsClass::OneTime, "globex.test");
        assert!(field.ends_with("\r\n") && field.split("\r\n").all(|line| line.len() < 78), "{field}");
        assert!(
            field.contains("suite=0x0102 (experimental)") && field.contains("partner=globex.test; verified")
        );
    }
}
