use proptest::prelude::*;

use super::*;

const CLIENT: &str = "203.0.113.9:51234";

/// Reads as a caller must: never an octet more than asked for. The answer, and how many octets it took.
fn read_like_a_caller(octets: &[u8]) -> (Result<Progress, ProxyError>, usize) {
    let mut taken = 0;
    loop {
        match read(&octets[..taken]) {
            Ok(Progress::Needs(more)) if taken + more <= octets.len() => taken += more,
            answer => return (answer, taken),
        }
    }
}

fn origin(octets: &[u8]) -> Result<Origin, ProxyError> {
    match read_like_a_caller(octets) {
        (Ok(Progress::Complete(origin)), _) => Ok(origin),
        (Ok(Progress::Needs(more)), taken) => panic!("asks for {more} behind {taken} of {}", octets.len()),
        (Err(error), _) => Err(error),
    }
}

fn client(address: &str) -> Result<Origin, ProxyError> {
    Ok(Origin::Client(address.parse().unwrap()))
}

/// A header of version 2.
fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[version_and_command, family], &length, rest].concat()
}

fn over_ipv4() -> Vec<u8> {
    let ports = [51_234_u16.to_be_bytes(), 25_u16.to_be_bytes()].concat();
    [&[203, 0, 113, 9][..], &[192, 0, 2, 25], &ports].concat()
}

fn over_ipv6() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let ports = [51_234_u16.to_be_bytes(), 25_u16.to_be_bytes()].concat();
    [&address("2001:db8::9")[..], &address("2001:db8::25"), &ports].concat()
}

/// One of each kind that is accepted.
fn good_headers() -> Vec<(Vec<u8>, Result<Origin, ProxyError>)> {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_OCTETS_MAX - 16));
    let extended = [over_ipv4(), vec![0x04; REST_OCTETS_MAX - 12]].concat();
    vec![
        (b"PROXY TCP4 203.0.113.9 192.0.2.25 51234 25\r\n".to_vec(), client(CLIENT)),
        (b"PROXY TCP6 2001:db8::9 2001:db8::25 51234 25\r\n".to_vec(), client("[2001:db8::9]:51234")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Ok(Origin::Proxy)),
        (longest.into_bytes(), Ok(Origin::Proxy)),
        (binary(0x21, 0x11, &over_ipv4()), client(CLIENT)),
        (binary(0x21, 0x11, &extended), client(CLIENT)),
        (binary(0x21, 0x21, &over_ipv6()), client("[2001:db8::9]:51234")),
        (binary(0x20, 0x00, &[]), Ok(Origin::Proxy)),
        (binary(0x20, 0x11, &over_ipv4()), Ok(Origin::Proxy)),
        (binary(0x21, 0x00, &[7; 3]), Ok(Origin::Proxy)),
        (binary(0x21, 0x31, &[b'/'; 216]), Ok(Origin::Proxy)),
    ]
}

#[test]
fn a_header_says_where_the_client_comes_from() {
    for (header, expected) in good_headers() {
        assert_eq!(origin(&header), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn no_octet_behind_a_header_is_asked_for() {
    for (header, _) in good_headers() {
        let with_more = [&header[..], b"\x16\x03\x01EHLO mx.globex.example\r\n"].concat();
        assert_eq!(read_like_a_caller(&with_more).1, header.len(), "{}", header.escape_ascii());
    }
}

#[test]
fn a_header_cut_anywhere_asks_for_more_of_itself_and_never_for_nothing() {
    for (header, expected) in good_headers() {
        for cut in 0..header.len() {
            match read(&header[..cut]) {
                Ok(Progress::Needs(more)) => {
                    assert!((1..=header.len() - cut).contains(&more), "cut at {cut}")
                }
                other => panic!("cut at {cut} of {}: {other:?}", header.escape_ascii()),
            }
        }
        assert_eq!(read(&header), expected.map(Progress::Complete));
    }
}

#[test]
fn what_is_no_header_is_told_at_its_first_wrong_octet() {
    for input in
        ["EHLO mx.example\r\n", "E", "PROXX", "PROXYTCP4 ", "\r\n\r\n\r", "\u{16}\u{3}\u{1}", "proxy "]
    {
        assert_eq!(read(input.as_bytes()), Err(ProxyError::Missing), "{input:?}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    for line in [
        "TCP4 203.0.113.9 192.0.2.25 51234",
        "TCP4 203.0.113.9 192.0.2.25 51234 25 1",
        "TCP4  203.0.113.9 192.0.2.25 51234 25",
        "TCP4 203.0.113.9 192.0.2.25 051234 25",
        "TCP4 203.0.113.9 192.0.2.25 65536 25",
        "TCP4 203.0.113.9 192.0.2.25 51234 +25",
        "TCP4 203.0.113.09 192.0.2.25 51234 25",
        "TCP4 2001:db8::9 192.0.2.25 51234 25",
        "TCP4 203.0.113.9 2001:db8::25 51234 25",
        "TCP6 203.0.113.9 192.0.2.25 51234 25",
        "TCP5 203.0.113.9 192.0.2.25 51234 25",
        "UNKNOWNS",
        "TCP4 203.0.113.9 192.0.2.25\n51234 25",
        "TCP4\x00203.0.113.9 192.0.2.25 51234 25",
    ] {
        assert_eq!(origin(format!("PROXY {line}\r\n").as_bytes()), Err(ProxyError::Malformed), "{line:?}");
    }
    for (command, family) in
        [(0x22, 0x11), (0x11, 0x11), (0x31, 0x11), (0x21, 0x41), (0x21, 0x13), (0x21, 0x10)]
    {
        assert_eq!(origin(&binary(command, family, &over_ipv4())), Err(ProxyError::Malformed));
    }
    assert_eq!(origin(&binary(0x21, 0x11, &over_ipv4()[..11])), Err(ProxyError::Malformed));
    assert_eq!(origin(&binary(0x21, 0x21, &over_ipv6()[..35])), Err(ProxyError::Malformed));
}

#[test]
fn a_header_beyond_its_limit_is_refused_before_it_is_read() {
    let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_OCTETS_MAX - 15));
    let (answer, taken) = read_like_a_caller(line.as_bytes());
    assert_eq!(answer, Err(ProxyError::TooLong));
    assert!(taken <= LINE_OCTETS_MAX);
    let (answer, taken) = read_like_a_caller(&binary(0x20, 0, &[0; REST_OCTETS_MAX + 1]));
    assert_eq!((answer, taken), (Err(ProxyError::TooLong), FIXED_OCTETS));
}

proptest! {
    #[test]
    fn no_octets_make_the_parser_panic_or_ask_for_too_many(
        octets in prop::collection::vec(any::<u8>(), 0..700),
        start in prop::sample::select(vec![&b""[..], WORD, SIGNATURE, b"PROXY TCP4 1.2.3.4 "]),
    ) {
        let input = [start, &octets].concat();
        if let Ok(Progress::Needs(more)) = read(&input) {
            prop_assert!(more > 0 && more <= REST_OCTETS_MAX);
        }
        let (_, taken) = read_like_a_caller(&input);
        prop_assert!(taken <= FIXED_OCTETS + REST_OCTETS_MAX);
    }

    #[test]
    fn any_change_of_one_octet_is_read_or_refused_within_the_limits(
        which in 0..11_usize, at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        let (mut header, _) = good_headers().swap_remove(which);
        let at = at.index(header.len());
        header[at] = octet;
        let (_, taken) = read_like_a_caller(&header);
        prop_assert!(taken <= header.len());
    }
}
