//! Logs that must be refused: name, why, and the exact error.

mod encoding;
mod following;
mod founding;

use dcbor::CBOR;
use dccp::keys::Domain;

use crate::forge::{Fields, Operation, genesis_fields, log};

/// A log to refuse.
pub(crate) struct Invalid {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    pub(crate) error: &'static str,
    pub(crate) log: Vec<u8>,
}

fn invalid(name: &'static str, why: &'static str, error: &'static str, log: Vec<u8>) -> Invalid {
    Invalid { name, why, error, log }
}

/// All of them, in the order in which a reader meets the reasons.
pub(crate) fn logs() -> Vec<Invalid> {
    [
        encoding::encodings(),
        encoding::bodies(),
        encoding::signatures_beside(),
        founding::subjects(),
        founding::authorities(),
        founding::signers(),
        following::chains(),
        following::updates(),
        following::rotations(),
        following::reveals(),
        following::endings(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The genesis with some fields set, signed by its operator.
fn with(fields: impl IntoIterator<Item = (&'static str, CBOR)>) -> Vec<u8> {
    of(genesis_fields(), fields)
}

fn of(mut base: Fields, fields: impl IntoIterator<Item = (&'static str, CBOR)>) -> Vec<u8> {
    base.extend(fields);
    log(&[Operation::of(&base, &[1])])
}

/// The genesis with these octets as its body, signed by its operator.
fn with_body(body: Vec<u8>) -> Vec<u8> {
    log(&[Operation::of_bytes(body, Domain::DidOperation, &[1])])
}
