//! SHA-256 into an array: the library gives slices, and a hash that names something is compared and copied as a value.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    finished(context)
}

/// The hash of what was put into a context of SHA-256.
pub(crate) fn finished(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
