//! Header fields that speak in our name and came from elsewhere: results and a status that only we may state.

use bytes::Bytes;
use smtp::authenticity::forged_results;

/// The octets without header fields that speak in our `name`: slices, nothing is copied.
pub(super) fn left_out(octets: &Bytes, name: &str) -> Vec<Bytes> {
    let (mut kept, mut from) = (Vec::new(), 0);
    for forged in forged_results(octets, name) {
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
        let kept = left_out(&octets, "gw.acme.test").concat();
        assert_eq!(kept, b"From: a@b\r\nSubject: x\r\n\r\nX-DCCP-Status: text\r\n");
        let honest = Bytes::from_static(b"From: a@b\r\n\r\ntext\r\n");
        assert_eq!(left_out(&honest, "gw.acme.test"), [honest]);
    }
}
