//! A share as text: written for people, read strictly.

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

use super::{COMMITMENT_BYTES, Divided, SET_BYTES, Scheme, Share, ShareError};

impl Divided {
    const ALL: [Self; 2] = [Self::RecoveryKey, Self::ArchiveKey];

    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::RecoveryKey => "-----BEGIN DCCP RECOVERY SHARE-----",
            Self::ArchiveKey => "-----BEGIN DCCP ARCHIVE SHARE-----",
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::RecoveryKey => "-----END DCCP RECOVERY SHARE-----",
            Self::ArchiveKey => "-----END DCCP ARCHIVE SHARE-----",
        }
    }

    fn check_label(self) -> &'static [u8] {
        match self {
            Self::RecoveryKey => b"DCCP-SHARE-v1\0",
            Self::ArchiveKey => b"DCCP-ARCHIVE-SHARE-v1\0",
        }
    }
}

/// The largest text that is looked at; ours has some 2,000 bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Bytes of one line: 24 characters in six groups of four, what an eye can hold.
const LINE_BYTES: usize = 15;

/// Characters of a hash behind a line: one slip in a million stays unseen there, and the whole is checked again.
const LINE_CHECK_CHARACTERS: usize = 4;
const CHECK_CHARACTERS: usize = 8;

const LINE_LABEL: &[u8] = b"DCCP-SHARE-LINE-v1\0";

pub(super) fn set_id(set: &[u8; SET_BYTES]) -> String {
    groups(&HEXLOWER.encode(set), '-')
}

impl Share {
    /// The share as text, below `heading`, which is for people and never read back.
    pub fn to_text(&self, heading: &str) -> Zeroizing<String> {
        // Room for all of it: a growing string would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(heading.len() + TEXT_BYTES_MAX));
        let Scheme { count, threshold } = self.scheme;
        text.push_str(heading);
        text.push_str(self.of.begin());
        text.push_str(&format!("\nSet: {}\n", self.set_id()));
        text.push_str(&format!("Share: {} of {count}, {threshold} needed\n", self.number));
        text.push_str(&format!("Key: {}\n", HEXLOWER.encode(&self.commitment)));
        for (bytes, number) in self.points.chunks(LINE_BYTES).zip(1..) {
            let letters = Zeroizing::new(BASE32_NOPAD.encode(bytes).to_ascii_lowercase());
            let grouped = Zeroizing::new(groups(&letters, ' '));
            text.push_str(&format!("{number}: "));
            text.push_str(&grouped);
            text.push_str(&format!(" = {}\n", self.line_check(number, bytes)));
        }
        text.push_str(&format!("Check: {}\n{}\n", groups(&self.check(), ' '), self.of.end()));
        text
    }

    /// Reads the one share in a text; everything outside its block is ignored.
    ///
    /// # Errors
    /// [`ShareError::NotAShare`], [`ShareError::Mistyped`] with the line, [`ShareError::Altered`] or
    /// [`ShareError::Scheme`].
    pub fn from_text(text: &str) -> Result<Share, ShareError> {
        let (of, block) = block(text).ok_or(ShareError::NotAShare)?;
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut field = |name: &str| {
            let (found, value) = lines.next()?.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        };
        let set = field("Set").and_then(hexadecimal).ok_or(ShareError::NotAShare)?;
        let (number, count, threshold) = field("Share").and_then(numbers).ok_or(ShareError::NotAShare)?;
        let commitment =
            field("Key").and_then(hexadecimal::<COMMITMENT_BYTES>).ok_or(ShareError::NotAShare)?;
        let scheme = Scheme::new(count, threshold)?;
        let mut share = Share { of, set, number, scheme, commitment, points: Zeroizing::default() };
        let check = share.read_lines(&mut lines)?;
        let whole = number >= 1 && number <= count && lines.next().is_none() && !share.points.is_empty();
        if whole && check == share.check() { Ok(share) } else { Err(ShareError::Altered) }
    }

    /// Takes the numbered lines; gives what stands behind `Check:`.
    fn read_lines<'a>(&mut self, lines: &mut impl Iterator<Item = &'a str>) -> Result<String, ShareError> {
        let mut points = Zeroizing::new(Vec::with_capacity(TEXT_BYTES_MAX));
        for number in 1.. {
            let (name, rest) =
                lines.next().and_then(|line| line.split_once(':')).ok_or(ShareError::NotAShare)?;
            if name.trim().eq_ignore_ascii_case("check") {
                self.points = points;
                return Ok(letters(rest).to_ascii_lowercase());
            }
            let mistyped = ShareError::Mistyped { line: number };
            let (data, check) = rest.split_once('=').ok_or(mistyped.clone())?;
            let bytes = BASE32_NOPAD.decode(letters(data).as_bytes()).map(Zeroizing::new);
            let bytes = bytes.map_err(|_| mistyped.clone())?;
            let right = name.trim() == number.to_string()
                && letters(check).eq_ignore_ascii_case(&self.line_check(number, &bytes));
            if !right {
                return Err(mistyped);
            }
            points.extend_from_slice(&bytes);
        }
        Err(ShareError::NotAShare)
    }

    fn line_check(&self, number: usize, bytes: &[u8]) -> String {
        let number = number.to_be_bytes();
        hash_letters(&[LINE_LABEL, &self.set, &[self.number], &number, bytes], LINE_CHECK_CHARACTERS)
    }

    fn check(&self) -> String {
        let Scheme { count, threshold } = self.scheme;
        let head = [self.number, count, threshold];
        hash_letters(
            &[self.of.check_label(), &self.set, &head, &self.commitment, &self.points],
            CHECK_CHARACTERS,
        )
    }
}

/// The only block in a text, and what it is a share of.
fn block(text: &str) -> Option<(Divided, &str)> {
    let text = text.get(..).filter(|text| text.len() <= TEXT_BYTES_MAX)?;
    let begins = |part: &str| Divided::ALL.iter().any(|of| part.contains(of.begin()));
    let of = Divided::ALL.into_iter().find(|of| text.contains(of.begin()))?;
    let (before, after) = text.split_once(of.begin())?;
    let (block, rest) = after.split_once(of.end())?;
    (!begins(before) && !begins(rest) && !begins(block)).then_some((of, block))
}

/// `1 of 3, 2 needed`.
fn numbers(text: &str) -> Option<(u8, u8, u8)> {
    let (number, rest) = text.split_once(" of ")?;
    let (count, rest) = rest.split_once(',')?;
    let threshold = rest.trim().strip_suffix("needed")?;
    Some((number.trim().parse().ok()?, count.trim().parse().ok()?, threshold.trim().parse().ok()?))
}

fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    HEXLOWER.decode(digits.to_ascii_lowercase().as_bytes()).ok()?.try_into().ok()
}

/// The letters that were meant: no blanks and hyphens, and no digits that base32 has not.
fn letters(text: &str) -> Zeroizing<String> {
    let meant = |c: char| match c {
        '0' => 'O',
        '1' => 'L',
        '8' => 'B',
        other => other.to_ascii_uppercase(),
    };
    Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(meant).collect())
}

/// Groups of four characters.
fn groups(text: &str, between: char) -> String {
    let mut grouped = String::with_capacity(text.len() * 2);
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push(between);
        }
        grouped.push(character);
    }
    grouped
}

fn hash_letters(parts: &[&[u8]], characters: usize) -> String {
    let mut hash = Context::new(&SHA256);
    parts.iter().for_each(|part| hash.update(part));
    let letters = BASE32_NOPAD.encode(hash.finish().as_ref()).to_ascii_lowercase();
    letters.chars().take(characters).collect()
}
