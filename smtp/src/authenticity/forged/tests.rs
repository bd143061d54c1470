use proptest::prelude::*;

use super::*;

const OURS: &str = "gw.acme.example";

/// What is left of a header section.
fn left(fields: &str) -> String {
    let octets = format!("{fields}Subject: x\r\n\r\nAuthentication-Results: gw.acme.example; body\r\n");
    let mut left = String::new();
    let mut at = 0;
    for range in forged_results(octets.as_bytes(), OURS) {
        left += &octets[at..range.start];
        at = range.end;
    }
    left += &octets[at..];
    left.replace("Subject: x\r\n\r\nAuthentication-Results: gw.acme.example; body\r\n", "")
}

#[test]
fn a_claim_in_our_name_goes_however_it_is_written() {
    for claim in [
        "Authentication-Results: gw.acme.example; spf=pass\r\n",
        "authentication-results:GW.ACME.EXAMPLE 1; spf=pass\r\n",
        "Authentication-Results : gw.acme.example;\r\n\tdkim=pass\r\n",
        "Authentication-Results:\r\n gw.acme.example; spf=pass\r\n",
        "Authentication-Results: (hi (there) \\) ) gw.acme.example; spf=pass\r\n",
        "Authentication-Results: \"gw.acme.example\"; spf=pass\r\n",
        "Authentication-Results: \"gw.\\acme.example\"; spf=pass\r\n",
        "Authentication-Results: gw.acme.example.; spf=pass\r\n",
        "Authentication-Results: gw.acme.example(x); spf=pass\r\n",
        "Authentication-Results: gw.acme.example\r\n",
    ] {
        assert_eq!(left(claim), "", "{claim}");
    }
}

#[test]
fn a_header_of_nothing_but_claims_is_not_told_claim_by_claim() {
    let many = "X-DCCP-A: x\r\nB: y\r\n".repeat(10 * FORGED_MAX);
    assert_eq!(forged_results(many.as_bytes(), OURS).len(), FORGED_MAX);
    assert!(!left(&many).contains("X-DCCP-") && left(&many).starts_with("B: y\r\nB: y\r\n"));
}

#[test]
fn a_line_that_is_no_field_hides_no_claim() {
    let claim = "X-DCCP-Status: sealed\r\nAuthentication-Results: gw.acme.example; dmarc=pass\r\n";
    for garbage in
        ["no field\r\n", " folded behind nothing\r\n", ": no name\r\n", "na me: x\r\n", "\u{fc}: x\r\n"]
    {
        assert_eq!(left(&format!("{garbage}{claim}")), garbage, "{garbage:?}");
    }
}

#[test]
fn what_cannot_be_read_as_anybodys_claim_goes_too() {
    for unclear in ["", " ; spf=pass", " (open", " \"open", " gw.\"acme\".example; spf=pass", " é; spf=pass"]
    {
        assert_eq!(left(&format!("Authentication-Results:{unclear}\r\n")), "", "{unclear}");
    }
    let deep = "(".repeat(100) + &")".repeat(100);
    assert_eq!(left(&format!("Authentication-Results: {deep} mx.globex.example; spf=pass\r\n")), "");
}

#[test]
fn claims_of_others_and_all_other_fields_stay() {
    let honest = "Received: by gw.acme.example\r\n\
        Authentication-Results: mx.globex.example; spf=pass smtp.mailfrom=gw.acme.example\r\n\
        Authentication-Results: sub.gw.acme.example; spf=pass\r\n\
        ARC-Authentication-Results: i=1; gw.acme.example; spf=pass\r\n\
        X-Authentication-Results: gw.acme.example; spf=pass\r\n";
    assert_eq!(left(honest), honest);
}

#[test]
fn our_own_marks_never_come_from_outside() {
    assert_eq!(left("X-DCCP-Trust: 3\r\nX-Dccp-: \r\n folded\r\nX-DCCPX: stays\r\n"), "X-DCCPX: stays\r\n");
}

proptest! {
    #[test]
    fn ranges_are_whole_fields_in_order(
        header in "((Authentication-Results|X-DCCP-A|To)( )?:[ -~é]{0,30}(\r\n [ -~]{0,9})?\r\n){0,6}",
    ) {
        let ranges = forged_results(header.as_bytes(), OURS);
        let mut end = 0;
        for range in ranges {
            prop_assert!(end <= range.start && range.start < range.end && range.end <= header.len());
            prop_assert!(header.get(..range.start).is_some_and(|before| before.is_empty() || before.ends_with("\r\n")));
            prop_assert!(header.get(..range.end).is_some_and(|through| through.ends_with("\r\n")));
            end = range.end;
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = [b"Authentication-Results:".as_slice(), &octets].concat();
        let _ = forged_results(&header, OURS);
        let _ = forged_results(&octets, OURS);
    }
}
