//! The trace header a relay puts in front of a message: `Received:` (RFC 5321 §4.4), and dates (RFC 5322 §3.3).

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::address::Address;
use crate::server::Client;
use crate::tls::TlsFacts;

/// A value longer than this is cut; no field may push a line past 998 octets (RFC 5322 §2.1.1).
const TOKEN_CHARACTERS_MAX: usize = 255;

/// What one `Received:` field says.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the sender called itself: the `EHLO` argument, or a name we know it by.
    pub from: &'a str,
    /// Where the connection came from.
    pub address: Option<IpAddr>,
    /// What TLS negotiated.
    pub tls: Option<&'a TlsFacts>,
    /// Our own host name.
    pub by: &'a str,
    /// The protocol; [`protocol`] knows the registered keywords for mail that came over SMTP.
    pub with: &'a str,
    /// What we call this message in our logs.
    pub id: &'a str,
    /// Named only when there is exactly one: a list would betray blind copies (RFC 5321 §7.2).
    pub recipients: &'a [Address],
}

/// The field, folded, ending in CRLF, ready to stand in front of the octets of a message.
///
/// Every value is reduced to the characters its place in the grammar allows, so no client can break out of
/// the field, of a comment or of a line.
#[must_use]
pub fn received(facts: &Received<'_>, now: SystemTime) -> String {
    let mut field = format!("Received: from {}", token(facts.from));
    match facts.address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => _ = write!(field, " ([{v4}])"),
        Some(IpAddr::V6(v6)) => _ = write!(field, " ([IPv6:{v6}])"),
        None => {}
    }
    if let Some(tls) = facts.tls {
        _ = write!(field, "\r\n (using {} with cipher {}", token(&tls.version), token(&tls.cipher));
        if let Some(group) = &tls.group {
            _ = write!(field, " group {}", token(group));
        }
        field.push(')');
    }
    _ = write!(field, "\r\n by {} with {} id {}", token(facts.by), token(facts.with), token(facts.id));
    if let [only] = facts.recipients {
        _ = write!(field, "\r\n for <{only}>");
    }
    _ = write!(field, ";\r\n {}\r\n", date(now));
    field
}

/// How often a message has been through the server that calls itself `by` before, by the trace that [`received`] leaves:
/// its name and an id that is one of its own (RFC 5321 §6.3).
#[must_use]
pub fn passages(octets: &[u8], by: &str, is_id: impl Fn(&str) -> bool) -> usize {
    let is_own = |value: &String| {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        let says = |key: &str, is_it: &dyn Fn(&str) -> bool| {
            words.windows(2).any(|pair| matches!(pair, [word, value] if *word == key && is_it(value)))
        };
        says("by", &|host| host.eq_ignore_ascii_case(by)) && says("id", &|id| is_id(id.trim_end_matches(';')))
    };
    crate::message::values(octets, "Received").filter(is_own).count()
}

/// The keyword for `with` (RFC 3848; RFC 6531 §4.3 for the UTF8 ones).
#[must_use]
pub fn protocol(client: &Client, smtputf8: bool) -> &'static str {
    match (client.esmtp, smtputf8, client.tls.is_some(), client.user.is_some()) {
        (false, ..) => "SMTP",
        (true, false, false, false) => "ESMTP",
        (true, false, true, false) => "ESMTPS",
        (true, false, false, true) => "ESMTPA",
        (true, false, true, true) => "ESMTPSA",
        (true, true, false, false) => "UTF8SMTP",
        (true, true, true, false) => "UTF8SMTPS",
        (true, true, false, true) => "UTF8SMTPA",
        (true, true, true, true) => "UTF8SMTPSA",
    }
}

/// `value` as it may stand between spaces: printable ASCII without the characters that begin or end
/// something in a structured field.
fn token(value: &str) -> String {
    let safe = |c: char| if c.is_ascii_graphic() && !"()<>;,\\\"".contains(c) { c } else { '?' };
    let token: String = value.chars().take(TOKEN_CHARACTERS_MAX).map(safe).collect();
    if token.is_empty() { "unknown".to_owned() } else { token }
}

/// Date and time as in RFC 5322 §3.3, in UTC: `Tue, 1 Jul 2025 10:52:37 +0000`.
#[must_use]
pub fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], at: u64| names.iter().copied().nth(at as usize).unwrap_or("");
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        name(&DAYS, days % 7), // 1 January 1970 was a Thursday
        name(&MONTHS, month - 1),
        second_of_day / 3_600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    )
}

/// Date and time as in RFC 3339 §5.6, in UTC: `2025-07-01T10:52:37Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month (1 to 12) and day of a day counted from 1 January 1970, in the Gregorian calendar.
///
/// Counts years from 1 March, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 1 March of the year 0
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::Role;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn client(esmtp: bool, tls: bool) -> Client {
        let facts = TlsFacts { version: "TLSv1.3".into(), cipher: "TLS_X".into(), group: None };
        Client {
            role: Role::Relay,
            address: "192.0.2.1:25".parse().unwrap(),
            proxy: None,
            hello: "mx.acme.example".into(),
            tls: tls.then_some(facts),
            certificate: None,
            user: None,
            trusted: false,
            esmtp,
        }
    }

    #[test]
    fn a_received_field_tells_the_whole_story_in_the_grammar_of_rfc_5321() {
        let tls = TlsFacts {
            version: "TLSv1.3".into(),
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            group: Some("X25519MLKEM768".into()),
        };
        let facts = Received {
            from: "mx.acme.example",
            address: Some("2001:db8::25".parse().unwrap()),
            tls: Some(&tls),
            by: "gw.acme.example",
            with: protocol(&client(true, true), false),
            id: "3kq9",
            recipients: &["bob@globex.example".parse().unwrap()],
        };
        assert_eq!(
            received(&facts, at(1_751_367_157)),
            "Received: from mx.acme.example ([IPv6:2001:db8::25])\r\n \
             (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 group X25519MLKEM768)\r\n \
             by gw.acme.example with ESMTPS id 3kq9\r\n for <bob@globex.example>;\r\n \
             Tue, 1 Jul 2025 10:52:37 +0000\r\n"
        );
    }

    #[test]
    fn several_recipients_are_never_named() {
        let two: [Address; 2] =
            ["bob@globex.example".parse().unwrap(), "eve@globex.example".parse().unwrap()];
        let facts = Received {
            from: "a",
            address: None,
            tls: None,
            by: "b",
            with: "ESMTP",
            id: "c",
            recipients: &two,
        };
        assert!(!received(&facts, at(0)).contains("globex"));
    }

    #[test]
    fn no_value_breaks_out_of_the_field() {
        let nasty = "a\r\nBcc: x) (y; \\\"<z>,\u{85}é\0";
        let tls = TlsFacts { version: nasty.into(), cipher: nasty.into(), group: Some(nasty.into()) };
        let facts = Received {
            from: nasty,
            address: None,
            tls: Some(&tls),
            by: nasty,
            with: nasty,
            id: "",
            recipients: &[],
        };
        let field = received(&facts, at(0));
        for line in field.strip_suffix("\r\n").unwrap().split("\r\n").skip(1) {
            assert!(line.starts_with(' '), "{line}");
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line}");
        }
        assert_eq!((field.matches('(').count(), field.matches(')').count()), (1, 1));
        assert_eq!(field.matches(';').count(), 1);
        assert!(field.contains("id unknown;"));
    }

    #[test]
    fn a_long_name_never_makes_a_long_line() {
        let long = "x".repeat(100_000);
        let facts = Received {
            from: &long,
            address: None,
            tls: None,
            by: &long,
            with: &long,
            id: &long,
            recipients: &[],
        };
        assert!(received(&facts, at(0)).lines().all(|line| line.len() <= 998));
    }

    #[test]
    fn the_protocol_keyword_is_the_registered_one() {
        assert_eq!(protocol(&client(false, false), false), "SMTP");
        assert_eq!(protocol(&client(true, false), false), "ESMTP");
        assert_eq!(protocol(&client(true, true), false), "ESMTPS");
        assert_eq!(protocol(&client(true, false), true), "UTF8SMTP");
        assert_eq!(protocol(&client(true, true), true), "UTF8SMTPS");
        let authenticated = Client { user: Some("alice".into()), ..client(true, true) };
        assert_eq!(protocol(&authenticated, false), "ESMTPSA");
        assert_eq!(protocol(&authenticated, true), "UTF8SMTPSA");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (68_169_599, "Mon, 28 Feb 1972 23:59:59 +0000"),
            (951_868_800, "Wed, 1 Mar 2000 00:00:00 +0000"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 +0000"),
            (4_102_444_800, "Fri, 1 Jan 2100 00:00:00 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(date(at(seconds)), text);
        }
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "Thu, 1 Jan 1970 00:00:00 +0000");
    }

    #[test]
    fn a_message_tells_how_often_it_was_here_before() {
        let trace = |by: &str, id: &str| {
            let facts = Received {
                from: "by",
                address: None,
                tls: None,
                by,
                with: "ESMTP",
                id,
                recipients: &["alice@acme.example".parse().unwrap()],
            };
            received(&facts, at(0))
        };
        let ours = trace("gw.acme.example", "06QF2A0000ABCDEF");
        let others =
            [trace("gw.acme.example", "4bQz"), trace("mx.acme.example", "06QF2A0000ABCDEF")].concat();
        let passages = |octets: &str| passages(octets.as_bytes(), "GW.acme.example", |id| id.len() == 16);
        assert_eq!(passages(&format!("{ours}{others}{ours}Subject: by gw.acme.example\r\n\r\n{ours}")), 2);
        assert_eq!(passages(&format!("{others}\r\n")), 0);
    }
}
