//! The words of a rule: `@reply("550 5.7.1")` and `@why("… {size} octets …")`.

/// Keeps a whole reply line well inside the 512 octets of RFC 5321 §4.5.3.1.5, with code and rule id.
const WHY_BYTES_MAX: usize = 350;

/// A `u64` never prints longer than this.
const NUMBER_BYTES_MAX: usize = 20;

/// The numbers that a sentence may mention.
const NUMBERS: [&str; 3] = ["{size}", "{size_max}", "{recipients}"];

/// What is known of a whole mail. Numbers only: a sentence goes to the journal and to the other side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) size: u64,
    pub(crate) size_max: u64,
    pub(crate) recipients: u64,
}

/// Reply code and enhanced status code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) enhanced: String,
}

impl Reply {
    /// Reads `550 5.7.1`: a 4xx or 5xx code (RFC 5321 §4.2) and a status of the same class (RFC 3463 §2).
    pub(super) fn read(text: &str) -> Result<Self, String> {
        Self::read_strictly(text)
            .ok_or_else(|| format!("@reply must look like \"550 5.7.1\" or \"451 4.7.1\", not \"{text}\""))
    }

    fn read_strictly(text: &str) -> Option<Self> {
        let (code, enhanced) = text.split_once(' ')?;
        let class = code.chars().next().filter(|class| matches!(class, '4' | '5'))?;
        // RFC 5321 §4.2: reply-code = %x32-35 %x30-35 %x30-39.
        let [_, second, third] = code.as_bytes() else { return None };
        if !(b'0'..=b'5').contains(second) || !third.is_ascii_digit() {
            return None;
        }
        // RFC 3463 §2: class "." subject "." detail, the latter two of one to three digits.
        let mut parts = enhanced.split('.');
        let same_class = parts.next()?.chars().eq([class]);
        let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        let (subject, detail) = (parts.next()?, parts.next()?);
        let whole = same_class && number(subject) && number(detail) && parts.next().is_none();
        whole.then_some(Self { code: code.parse().ok()?, enhanced: enhanced.to_owned() })
    }
}

/// A sentence for people, with places for numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wording(String);

impl Wording {
    /// Reads a sentence that is safe in an SMTP reply and in the journal.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("@why must be one line of printable ASCII".to_owned());
        }
        if text.contains('@') {
            return Err("@why goes to the journal, which never names an address".to_owned());
        }
        let without_numbers = NUMBERS.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
        if without_numbers.contains(['{', '}']) {
            let known = NUMBERS.join(", ");
            return Err(format!("@why knows only these numbers: {known}"));
        }
        let places: usize = NUMBERS.iter().map(|name| text.matches(name).count()).sum();
        if without_numbers.len() + places * NUMBER_BYTES_MAX > WHY_BYTES_MAX {
            return Err(format!("@why may fill {WHY_BYTES_MAX} octets of the reply line at most"));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn needs_numbers(&self) -> bool {
        self.0.contains('{')
    }

    pub(crate) fn with(&self, numbers: &Numbers) -> String {
        let Numbers { size, size_max, recipients } = numbers;
        NUMBERS.iter().zip([size, size_max, recipients]).fold(self.0.clone(), |text, (name, value)| {
            if text.contains(name) { text.replace(name, &value.to_string()) } else { text }
        })
    }
}
