//! The PROXY protocol, versions 1 and 2: a load balancer says in front of the first octet of its client where
//! that client comes from (HAProxy, "The PROXY protocol", 2020/03/05; clauses below are of that text).
//!
//! [`read`] looks at the octets so far and asks for as many more as certainly belong to the header. A caller that
//! never reads more than it is told to leaves what follows, a TLS handshake for example, untouched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The longest line of version 1, its CRLF included (§2.1).
const LINE_OCTETS_MAX: usize = 107;
/// The shortest, `PROXY UNKNOWN` with its CRLF; so many octets also hold the signature of version 2.
const LINE_OCTETS_MIN: usize = 15;
/// What every line of version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// What every header of version 2 begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets of version 2 before the addresses: the signature, version and command, family, length (§2.2).
const FIXED_OCTETS: usize = 16;
/// Octets of addresses and extensions in version 2. A balancer sends a header in one segment, and 536 octets are
/// the segment that every network carries (§2).
const REST_OCTETS_MAX: usize = 536;

/// How far the header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// At least so many more octets belong to it; never zero.
    Needs(usize),
    /// It ends with the last octet.
    Complete(Origin),
}

/// Where the connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// From the balancer itself, which looks whether we are well; or from somewhere it has no words for.
    Proxy,
    /// From here.
    Client(SocketAddr),
}

/// Why there is no header. Each is the balancer's fault, or it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    /// The octets are something else.
    #[error("no PROXY header")]
    Missing,
    /// Longer than its version allows, or than one segment.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It begins like one.
    #[error("the PROXY header is malformed")]
    Malformed,
}

/// Reads a header that begins at the first octet and of which no octet behind its end has been read.
pub(super) fn read(input: &[u8]) -> Result<Progress, ProxyError> {
    if input.len() < LINE_OCTETS_MIN {
        let may_become = [WORD, SIGNATURE].iter().any(|start| start.iter().zip(input).all(|(a, b)| a == b));
        return if may_become {
            Ok(Progress::Needs(LINE_OCTETS_MIN - input.len()))
        } else {
            Err(ProxyError::Missing)
        };
    }
    if input.starts_with(SIGNATURE) {
        return read_binary(input);
    }
    read_line(input.strip_prefix(WORD).ok_or(ProxyError::Missing)?)
}

/// Version 1 behind its first word (§2.1).
fn read_line(input: &[u8]) -> Result<Progress, ProxyError> {
    let Some(line) = input.strip_suffix(b"\r\n") else {
        // A CR is only good before an LF, so the line goes on for one octet after it and for two otherwise.
        let needs = if input.ends_with(b"\r") { 1 } else { 2 };
        return match WORD.len() + input.len() + needs {
            ..=LINE_OCTETS_MAX => Ok(Progress::Needs(needs)),
            _ => Err(ProxyError::TooLong),
        };
    };
    let line = str::from_utf8(line).map_err(|_| ProxyError::Malformed)?;
    if line.bytes().any(|b| b.is_ascii_control()) {
        return Err(ProxyError::Malformed);
    }
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(Progress::Complete(Origin::Proxy)); // whatever else the line says must be ignored
    }
    let origin = origin_of_line(line).ok_or(ProxyError::Malformed)?;
    Ok(Progress::Complete(Origin::Client(origin)))
}

/// `TCP4 source destination port port`, with single blanks.
fn origin_of_line(line: &str) -> Option<SocketAddr> {
    let mut words = line.split(' ');
    let (family, source, destination) = (words.next()?, words.next()?, words.next()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let is_last = words.next().is_none();
    let source = match family {
        "TCP4" => pair::<Ipv4Addr>(source, destination)?,
        "TCP6" => pair::<Ipv6Addr>(source, destination)?,
        _ => return None,
    };
    let _ = destination_port; // checked, and of no interest: it is where the client meant to come to
    is_last.then(|| SocketAddr::new(source, source_port))
}

/// The first of two addresses that must be of one family.
fn pair<A: FromStr + Into<IpAddr>>(source: &str, destination: &str) -> Option<IpAddr> {
    let source = source.parse::<A>().ok()?;
    destination.parse::<A>().ok()?;
    Some(source.into())
}

/// Decimal without leading zeros (§2.1).
fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// Version 2, from the signature on (§2.2). Extensions behind the addresses are passed over.
fn read_binary(input: &[u8]) -> Result<Progress, ProxyError> {
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED_OCTETS>() else {
        return Ok(Progress::Needs(FIXED_OCTETS - input.len()));
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_OCTETS_MAX {
        return Err(ProxyError::TooLong);
    }
    if let Some(missing) = length.checked_sub(rest.len()).filter(|missing| *missing > 0) {
        return Ok(Progress::Needs(missing));
    }
    let origin = match (version_and_command, family) {
        (0x20, _) => Origin::Proxy, // LOCAL: the addresses must be ignored, whatever they are
        (0x21, 0x11) => Origin::Client(ipv4(rest).ok_or(ProxyError::Malformed)?),
        (0x21, 0x21) => Origin::Client(ipv6(rest).ok_or(ProxyError::Malformed)?),
        // Unspecified, datagrams, Unix sockets: valid, of no use to us, and so like unspecified (§2.2).
        (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Origin::Proxy,
        _ => return Err(ProxyError::Malformed),
    };
    Ok(Progress::Complete(origin))
}

/// Source and destination address, source and destination port.
fn ipv4(rest: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    source_port(rest).map(|port| SocketAddr::new(IpAddr::from(*source), port))
}

fn ipv6(rest: &[u8]) -> Option<SocketAddr> {
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (_, rest) = rest.split_first_chunk::<16>()?;
    source_port(rest).map(|port| SocketAddr::new(IpAddr::from(*source), port))
}

fn source_port(rest: &[u8]) -> Option<u16> {
    let (ports, _) = rest.split_first_chunk::<4>()?;
    let [high, low, ..] = *ports;
    Some(u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests;
