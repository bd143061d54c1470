//! The fields of a request.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Why a request cannot even be tried. No variant holds a value: it may be a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    /// More octets than a line may have.
    #[error("the line is too long")]
    TooLong,
    /// Not JSON, or not an object.
    #[error("the line is not a JSON object")]
    NotAnObject,
    /// No operation has this name.
    #[error("there is no such operation")]
    UnknownOperation,
    /// A field that the operation needs.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// Not hexadecimal where it should be, a number where text should be, another length than the operation takes.
    #[error("the field `{0}` is not what the operation takes")]
    Wrong(&'static str),
}

/// A request's fields by name. Those that an operation does not ask for are not looked at.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(request: &'a Map<String, Value>) -> Self {
        Self(request)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, BadRequest> {
        self.value(name)?.as_str().ok_or(BadRequest::Wrong(name))
    }

    pub(super) fn number(&self, name: &'static str) -> Result<u64, BadRequest> {
        self.value(name)?.as_u64().ok_or(BadRequest::Wrong(name))
    }

    /// A number that has a meaning.
    pub(super) fn choice<T>(
        &self,
        name: &'static str,
        meaning: impl FnOnce(u32) -> Option<T>,
    ) -> Result<T, BadRequest> {
        let number = u32::try_from(self.number(name)?).map_err(|_| BadRequest::Wrong(name))?;
        meaning(number).ok_or(BadRequest::Wrong(name))
    }

    /// Text that is something.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, BadRequest> {
        self.text(name)?.parse().map_err(|_| BadRequest::Wrong(name))
    }

    pub(super) fn octets(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, BadRequest> {
        unhex(self.value(name)?, name)
    }

    /// Octets of each element of a list.
    pub(super) fn octets_of_each(&self, name: &'static str) -> Result<Vec<Zeroizing<Vec<u8>>>, BadRequest> {
        let list = self.value(name)?.as_array().ok_or(BadRequest::Wrong(name))?;
        list.iter().map(|element| unhex(element, name)).collect()
    }

    /// Exactly so many octets.
    pub(super) fn array<const N: usize>(&self, name: &'static str) -> Result<Zeroizing<[u8; N]>, BadRequest> {
        let octets = self.octets(name)?;
        octets.as_slice().try_into().map(Zeroizing::new).map_err(|_| BadRequest::Wrong(name))
    }

    /// Octets of a field that may be missing.
    pub(super) fn octets_if_any(&self, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, BadRequest> {
        self.0.contains_key(name).then(|| self.octets(name)).transpose()
    }

    fn value(&self, name: &'static str) -> Result<&'a Value, BadRequest> {
        self.0.get(name).ok_or(BadRequest::Missing(name))
    }
}

fn unhex(value: &Value, name: &'static str) -> Result<Zeroizing<Vec<u8>>, BadRequest> {
    let octets = value.as_str().and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok());
    octets.map(Zeroizing::new).ok_or(BadRequest::Wrong(name))
}
