//! Numbers, times and foreign text in the words of a page.

/// Characters of one foreign text that a page shows; the API has the rest.
const TEXT_CHARS_MAX: usize = 400;

/// Foreign text made visible and harmless in a line: control characters and characters that reorder or hide
/// their neighbours (Unicode TR 36 §2.5 "bidirectional text spoofing") are shown as their code points.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at == TEXT_CHARS_MAX {
            shown.push('…');
            break;
        }
        if c.is_control() || reorders_or_hides(c) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn reorders_or_hides(c: char) -> bool {
    matches!(c,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// A duration: `0 ms`, `182 ms`, `1.4 s`, `2 min 5 s`, `3 h 20 min`, `4 d 1 h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds}.{} s", ms % 1_000 / 100),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A size in binary units: `812 B`, `4.0 KiB`, `1.5 MiB`.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, bytes) in UNITS {
        if octets >= bytes {
            return format!("{}.{} {unit}", octets / bytes, octets % bytes * 10 / bytes);
        }
    }
    format!("{octets} B")
}

/// A count with thin spaces between thousands: `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202F}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A moment in UTC, in the pieces that pages put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// `2025-11-23`
    pub(crate) date: String,
    /// `05:10:42`
    pub(crate) time: String,
    /// `.123`
    pub(crate) millis: String,
}

impl Moment {
    /// Of Unix milliseconds. Years past 9999 show as they are; nothing panics.
    pub(crate) fn of(unix_ms: u64) -> Self {
        let (seconds, millis) = (unix_ms / 1_000, unix_ms % 1_000);
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        Self {
            date: format!("{year:04}-{month:02}-{day:02}"),
            time: format!("{hour:02}:{minute:02}:{second:02}"),
            millis: format!(".{millis:03}"),
        }
    }

    /// RFC 3339, for machines and the `datetime` attribute.
    pub(crate) fn iso(&self) -> String {
        format!("{}T{}{}Z", self.date, self.time, self.millis)
    }
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar, by eras of 400 years that
/// begin on 1 March, so that the leap day is the last day of a year.
fn civil_from_days(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 0000-03-01
    const DAYS_PER_ERA: u64 = 146_097;
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_reorders_its_neighbours_is_shown_as_code_points() {
        assert_eq!(visible("alice\u{202E}exe.fdp"), "alice⟨U+202E⟩exe.fdp");
        assert_eq!(visible("a\r\nb\0\u{200B}"), "a⟨U+000D⟩⟨U+000A⟩b⟨U+0000⟩⟨U+200B⟩");
        assert_eq!(visible("Jürgen 王@例.example"), "Jürgen 王@例.example");
    }

    #[test]
    fn an_endless_text_ends() {
        assert_eq!(visible(&"x".repeat(100_000)).chars().count(), TEXT_CHARS_MAX + 1);
    }

    #[test]
    fn durations_are_read_in_two_units() {
        let shown = [0, 182, 999, 1_449, 59_999, 125_000, 12_000_000, 349_200_000].map(duration);
        assert_eq!(
            shown,
            ["0 ms", "182 ms", "999 ms", "1.4 s", "59.9 s", "2 min 5 s", "3 h 20 min", "4 d 1 h"]
        );
        duration(u64::MAX);
    }

    #[test]
    fn sizes_are_read_in_binary_units() {
        let shown = [0, 812, 1_024, 1_572_864, 3 << 30].map(size);
        assert_eq!(shown, ["0 B", "812 B", "1.0 KiB", "1.5 MiB", "3.0 GiB"]);
        size(u64::MAX);
    }

    #[test]
    fn thousands_are_kept_apart() {
        let shown = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1\u{202F}000", "1\u{202F}234\u{202F}567"]);
    }

    #[test]
    fn moments_know_leap_days_and_centuries() {
        let iso = |seconds: u64| Moment::of(seconds * 1_000 + 7).iso();
        assert_eq!(iso(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(iso(951_868_799), "2000-02-29T23:59:59.007Z");
        assert_eq!(iso(1_709_164_800), "2024-02-29T00:00:00.007Z");
        assert_eq!(iso(1_735_689_599), "2024-12-31T23:59:59.007Z");
        assert_eq!(iso(4_107_542_400), "2100-03-01T00:00:00.007Z");
        Moment::of(u64::MAX);
    }
}
