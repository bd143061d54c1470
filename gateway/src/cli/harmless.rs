//! Text for terminals and logs: what strangers wrote in it (names of messages, replies of servers, reasons of partners) can neither
//! command the terminal, nor begin what looks like a line of ours, nor turn what stands beside it around.

use std::borrow::Cow;

/// What a text of several lines consists of.
pub(super) const LINES: [char; 2] = ['\n', '\t'];

/// The text with its control characters, all but those to be `kept`, and those that reorder their neighbours (Unicode TR 36 §2.5)
/// shown as code points.
pub(super) fn harmless<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let reorders = |c: char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let harms = |c: char| (c.is_control() && !kept.contains(&c)) || reorders(c);
    if !text.contains(harms) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if harms(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_does_not_command_the_terminal() {
        let shown = harmless("id  \x1b]0;owned\x07\u{9b}2J\u{202E}x\r@y\n\tGrüße\n", &LINES);
        assert_eq!(shown, "id  \\u{1b}]0;owned\\u{7}\\u{9b}2J\\u{202e}x\\u{d}@y\n\tGrüße\n");
        assert_eq!(harmless("a\nb", &[]), "a\\u{a}b");
    }
}
