//! `Authentication-Results` (RFC 8601 §2.2), written so that no stranger's word leaves its place.
//!
//! ```text
//! authres-header-field = "Authentication-Results:" authserv-id *( ";" method "=" result [ reason ] *propspec )
//! propspec             = ptype "." property "=" pvalue
//! pvalue               = value / [ local-part ] "@" domain-name       value = token / quoted-string (RFC 2045)
//! ```

use std::fmt::Write;

use super::verdicts::{Arc, Dkim, Dmarc, Outcome, Spf, SpfIdentity, Verdicts};

/// Characters of one value: the longest domain; more is cut, it is for people and filters.
const VALUE_CHARACTERS_MAX: usize = 255;

/// RFC 5322 §2.1.1: lines should not be longer.
const LINE_CHARACTERS: usize = 78;

/// The field with its CRLF; `start` is its name with colon and space, and whatever stands before the authserv-id.
pub(super) fn field(start: &str, authserv_id: &str, verdicts: &Verdicts) -> String {
    let mut field = Field { text: start.to_owned(), column: start.len() };
    field.text.push_str(&value(authserv_id));
    field.spf(&verdicts.helo);
    if verdicts.mail_from != verdicts.helo {
        field.spf(&verdicts.mail_from);
    }
    if verdicts.dkim.is_empty() {
        field.method("dkim", Outcome::None, "");
    }
    verdicts.dkim.iter().for_each(|signature| field.dkim(signature));
    field.dmarc(&verdicts.dmarc);
    field.arc(&verdicts.arc, verdicts);
    field.text.push_str("\r\n");
    field.text
}

/// A field under way.
struct Field {
    text: String,
    /// Characters in the last line.
    column: usize,
}

impl Field {
    fn spf(&mut self, spf: &Spf) {
        self.method("spf", spf.outcome, "");
        match &spf.identity {
            SpfIdentity::Helo(hello) => self.property("smtp.helo", hello),
            SpfIdentity::MailFrom(address) => self.property("smtp.mailfrom", address),
        }
    }

    fn dkim(&mut self, signature: &Dkim) {
        self.method("dkim", signature.outcome, &signature.why);
        let properties = [
            ("header.d", signature.domain.as_str()),
            ("header.s", &signature.selector),
            ("header.a", signature.algorithm),
            ("header.b", &signature.signature),
        ];
        properties.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| {
            self.property(name, value);
        });
    }

    /// The policy stands in a comment: there is no registered property for it.
    fn dmarc(&mut self, dmarc: &Dmarc) {
        self.method("dmarc", dmarc.outcome, &dmarc.why);
        if !matches!(dmarc.outcome, Outcome::None) && !dmarc.domain.is_empty() {
            self.word(&format!("(p={})", dmarc.policy.as_str()));
        }
        if !dmarc.domain.is_empty() {
            self.property("header.from", &dmarc.domain);
        }
    }

    /// The registry knows none, pass and fail; a chain that could not be judged is not mentioned.
    fn arc(&mut self, arc: &Arc, verdicts: &Verdicts) {
        if !matches!(arc.outcome, Outcome::Pass | Outcome::Fail) {
            return;
        }
        self.method("arc", arc.outcome, &arc.why);
        self.property("smtp.remote-ip", &verdicts.ip.to_string());
    }

    /// Begins a result on a line of its own.
    fn method(&mut self, name: &str, outcome: Outcome, why: &str) {
        self.text.push_str(";\r\n\t");
        self.column = 8;
        self.put(&format!("{name}={}", outcome.as_str()));
        if !why.is_empty() {
            self.word(&format!("reason={}", quoted(why)));
        }
    }

    fn property(&mut self, name: &str, text: &str) {
        self.word(&format!("{name}={}", value(text)));
    }

    /// A word after a space, or on the next line where it does not fit.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > LINE_CHARACTERS {
            self.text.push_str("\r\n\t ");
            self.column = 9;
        } else {
            self.put(" ");
        }
        self.put(word);
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }
}

/// A `pvalue`: as it is where it is a token, or a local part and a domain, otherwise quoted.
pub(super) fn value(text: &str) -> String {
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(is_token);
    let fits = text.len() <= VALUE_CHARACTERS_MAX
        && match text.split_once('@') {
            Some((local, domain)) => (local.is_empty() || is_dot_atom(local)) && is_plain(domain),
            None => is_plain(text),
        };
    if fits { text.to_owned() } else { quoted(text) }
}

/// `token` of RFC 2045 §5.1: printable ASCII without the special characters.
fn is_token(octet: u8) -> bool {
    octet.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&octet)
}

/// `atext` and dots (RFC 5322 §3.2.3), without a dot at an end or two in a row.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// A `quoted-string` of printable ASCII; anything else in it becomes a question mark.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().take(VALUE_CHARACTERS_MAX) {
        _ = match character {
            '"' | '\\' => write!(quoted, "\\{character}"),
            ' '..='~' => write!(quoted, "{character}"),
            _ => write!(quoted, "?"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
