//! The strict subset of dCBOR that DCCP's signed records use.
//!
//! Unsigned integers, byte strings, ASCII text, arrays and maps with text keys; shortest form only, map keys in
//! canonical order (which makes a duplicate impossible), definite lengths, nothing after the end. What decodes is
//! therefore exactly what would be encoded again: `encode(decode(x)) == x`.
//!
//! Why not the `dcbor` crate: its decoder recurses without a depth limit, so 64 KiB of `0x81` from a stranger ends
//! the process with a stack overflow. It serves as the oracle of the tests instead.

/// Nesting of the deepest record is 5 (operation → auth → L1 → k → key).
const DEPTH_MAX: usize = 8;
/// Items in one document: 256 operations of a log and their signatures need about 1,500.
const ITEMS_MAX: usize = 8192;

/// A decoded item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Unsigned(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// Why some bytes are not one of our records. All of it is the fault of whoever made the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// More octets than the record may have.
    #[error("longer than {max} octets")]
    TooLarge {
        /// The limit that was exceeded, in octets.
        max: usize,
    },
    /// The end came too early.
    #[error("truncated")]
    Truncated,
    /// Octets follow the end.
    #[error("octets after the end")]
    Trailing,
    /// A number or length is not in its shortest form.
    #[error("not in the shortest form")]
    NotShortest,
    /// Floats, negative numbers, tags, simple values, indefinite lengths.
    #[error("item type {0:#04x} is not allowed")]
    ForbiddenType(u8),
    /// Map keys out of canonical order, or twice the same.
    #[error("map keys out of order or repeated")]
    KeyOrder,
    /// A map key that is not text.
    #[error("map key is not text")]
    KeyType,
    /// Text outside printable ASCII.
    #[error("text is not printable ASCII")]
    Text,
    /// Nested too deep or too many items.
    #[error("nested too deep or too many items")]
    TooComplex,
    /// A field that must be there is missing.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field this version does not know.
    #[error("unknown field `{0}`")]
    Unknown(String),
    /// A field has the wrong type, length or count.
    #[error("field `{0}` has the wrong type or size")]
    Wrong(&'static str),
}

/// Encodes a value; maps are put in canonical order here, so writers need not care.
pub(crate) fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out
}

/// Decodes exactly one item of at most `bytes_max` octets.
pub(crate) fn decode(bytes: &[u8], bytes_max: usize) -> Result<Value, CborError> {
    if bytes.len() > bytes_max {
        return Err(CborError::TooLarge { max: bytes_max });
    }
    let mut reader = Reader { rest: bytes, items_left: ITEMS_MAX };
    let value = reader.value(DEPTH_MAX)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(CborError::Trailing) }
}

/// A map with the given fields.
pub(crate) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// An array of texts.
pub(crate) fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(items.into_iter().map(|text| Value::Text(text.to_owned())).collect())
}

/// An array of byte strings.
pub(crate) fn byte_strings<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Value {
    Value::Array(items.into_iter().map(|bytes| Value::Bytes(bytes.to_vec())).collect())
}

/// The fields of a map, taken one by one; what is left at the end is unknown and refused.
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(crate) fn of(value: Value, name: &'static str) -> Result<Self, CborError> {
        match value {
            Value::Map(fields) => Ok(Self(fields)),
            _ => Err(CborError::Wrong(name)),
        }
    }

    pub(crate) fn take(&mut self, name: &'static str) -> Result<Value, CborError> {
        let at = self.0.iter().position(|(key, _)| key == name).ok_or(CborError::Missing(name))?;
        Ok(self.0.swap_remove(at).1)
    }

    pub(crate) fn unsigned(&mut self, name: &'static str) -> Result<u64, CborError> {
        match self.take(name)? {
            Value::Unsigned(number) => Ok(number),
            _ => Err(CborError::Wrong(name)),
        }
    }

    pub(crate) fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, CborError> {
        match self.take(name)? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(CborError::Wrong(name)),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, CborError> {
        match self.take(name)? {
            Value::Text(text) => Ok(text),
            _ => Err(CborError::Wrong(name)),
        }
    }

    /// A text that may be absent.
    pub(crate) fn text_if_present(&mut self, name: &'static str) -> Result<Option<String>, CborError> {
        let present = self.0.iter().any(|(key, _)| key == name);
        present.then(|| self.text(name)).transpose()
    }

    pub(crate) fn array(&mut self, name: &'static str, max: usize) -> Result<Vec<Value>, CborError> {
        match self.take(name)? {
            Value::Array(items) if items.len() <= max => Ok(items),
            _ => Err(CborError::Wrong(name)),
        }
    }

    pub(crate) fn map(&mut self, name: &'static str) -> Result<Fields, CborError> {
        Fields::of(self.take(name)?, name)
    }

    pub(crate) fn text_array(&mut self, name: &'static str, max: usize) -> Result<Vec<String>, CborError> {
        let text = |item| match item {
            Value::Text(text) => Ok(text),
            _ => Err(CborError::Wrong(name)),
        };
        self.array(name, max)?.into_iter().map(text).collect()
    }

    pub(crate) fn bytes_array(&mut self, name: &'static str, max: usize) -> Result<Vec<Vec<u8>>, CborError> {
        let bytes = |item| match item {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(CborError::Wrong(name)),
        };
        self.array(name, max)?.into_iter().map(bytes).collect()
    }

    pub(crate) fn unsigned_array(&mut self, name: &'static str, max: usize) -> Result<Vec<u64>, CborError> {
        let unsigned = |item| match item {
            Value::Unsigned(number) => Ok(number),
            _ => Err(CborError::Wrong(name)),
        };
        self.array(name, max)?.into_iter().map(unsigned).collect()
    }

    pub(crate) fn finish(self) -> Result<(), CborError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((key, _)) => Err(CborError::Unknown(key)),
        }
    }
}

// RFC 8949 §3.1 major types.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Unsigned(number) => write_head(out, UNSIGNED, *number),
        Value::Bytes(bytes) => {
            write_head(out, BYTES, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Value::Text(text) => write_text(out, text),
        Value::Array(items) => {
            write_head(out, ARRAY, items.len() as u64);
            items.iter().for_each(|item| write_value(out, item));
        }
        Value::Map(fields) => {
            write_head(out, MAP, fields.len() as u64);
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| canonical_order(a, b));
            for (key, item) in fields {
                write_text(out, key);
                write_value(out, item);
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn write_head(out: &mut Vec<u8>, major: u8, number: u64) {
    let major = major << 5;
    match number {
        0..=23 => out.push(major | number as u8),
        24..=0xff => out.extend([major | 24, number as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// Bytewise order of the encoded keys (RFC 8949 §4.2.1): for text that is length first, then content.
fn canonical_order(a: &str, b: &str) -> std::cmp::Ordering {
    (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes()))
}

struct Reader<'a> {
    rest: &'a [u8],
    items_left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: usize) -> Result<Value, CborError> {
        self.items_left = self.items_left.checked_sub(1).ok_or(CborError::TooComplex)?;
        let depth_left = depth_left.checked_sub(1).ok_or(CborError::TooComplex)?;
        let (major, number) = self.head()?;
        match major {
            UNSIGNED => Ok(Value::Unsigned(number)),
            BYTES => Ok(Value::Bytes(self.take(number)?.to_vec())),
            TEXT => Ok(Value::Text(self.text(number)?)),
            // No allocation by a stranger's count: each item costs him at least one octet.
            ARRAY => (0..number).map(|_| self.value(depth_left)).collect::<Result<_, _>>().map(Value::Array),
            MAP => self.map(number, depth_left),
            _ => Err(CborError::ForbiddenType(major << 5)),
        }
    }

    fn map(&mut self, count: u64, depth_left: usize) -> Result<Value, CborError> {
        let mut fields: Vec<(String, Value)> = Vec::new();
        for _ in 0..count {
            let (major, length) = self.head()?;
            if major != TEXT {
                return Err(CborError::KeyType);
            }
            let key = self.text(length)?;
            if fields.last().is_some_and(|(last, _)| canonical_order(last, &key).is_ge()) {
                return Err(CborError::KeyOrder);
            }
            fields.push((key, self.value(depth_left)?));
        }
        Ok(Value::Map(fields))
    }

    fn head(&mut self) -> Result<(u8, u64), CborError> {
        let initial = *self.take(1)?.first().ok_or(CborError::Truncated)?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        let (length, least) = match info {
            0..=23 => return Ok((major, u64::from(info))),
            24 => (1, 24),
            25 => (2, 1 << 8),
            26 => (4, 1 << 16),
            27 => (8, 1 << 32),
            _ => return Err(CborError::ForbiddenType(initial)),
        };
        if !matches!(major, UNSIGNED | BYTES | TEXT | ARRAY | MAP) {
            return Err(CborError::ForbiddenType(initial));
        }
        let number = self.take(length)?.iter().fold(0, |sum: u64, octet| sum << 8 | u64::from(*octet));
        if number >= least { Ok((major, number)) } else { Err(CborError::NotShortest) }
    }

    fn text(&mut self, length: u64) -> Result<String, CborError> {
        let bytes = self.take(length)?;
        if !bytes.iter().all(|octet| matches!(octet, 0x20..=0x7e)) {
            return Err(CborError::Text);
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| CborError::Text)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let length = usize::try_from(length).map_err(|_| CborError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CborError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
