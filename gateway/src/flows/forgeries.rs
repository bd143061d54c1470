//! Header fields that speak in our name and came from elsewhere: results and a status that only we may state.

use smtp::authenticity::forged_results;

use super::bodies::Edit;

/// The octets without header fields that speak in our `name`.
pub(super) fn left_out(octets: &[u8], name: &str) -> Edit {
    Edit::without(octets, forged_results(octets, name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_forged_status_is_left_out_and_every_other_octet_stays() {
        let octets = Bytes::from_static(
            b"From: a@b\r\nX-DCCP-Status: sealed;\r\n verified\r\nSubject: x\r\n\r\nX-DCCP-Status: text\r\n",
        );
        let kept = left_out(&octets, "gw.acme.test").pieces(&octets).concat();
        assert_eq!(kept, b"From: a@b\r\nSubject: x\r\n\r\nX-DCCP-Status: text\r\n");
        let honest = Bytes::from_static(b"From: a@b\r\n\r\ntext\r\n");
        assert_eq!(left_out(&honest, "gw.acme.test").pieces(&honest), [honest]);
    }
}
