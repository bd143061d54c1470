//! The material of `vectors/`: every log and record is made by hand, with what is expected of it.

pub(crate) mod identifiers;
pub(crate) mod invalid;
pub(crate) mod logs;
pub(crate) mod records;
