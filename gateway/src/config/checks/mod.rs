//! What a value cannot say of itself: does it agree with the others, and with the world it names?

mod agreement;
mod world;

use super::fit::Leaf;
use super::problem::{Mark, Problem};

pub(super) use agreement::agree;
pub(super) use world::the_world;

/// Where the master key comes from.
const MASTER_FROM: &str = "keys.master.from";

/// The first value of a section, list or single key.
pub(super) fn first_below<'a>(leaves: &'a [Leaf], key: &str) -> Option<&'a Leaf> {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
    leaves.iter().find(|leaf| leaf.path.strip_prefix(key).is_some_and(is_below))
}

/// Ours, in lower case.
fn domains(leaves: &[Leaf]) -> Vec<String> {
    let ours = leaves.iter().filter(|leaf| leaf.path.starts_with("organisation."));
    ours.map(|leaf| text(leaf).to_ascii_lowercase()).collect()
}

/// The value at a key path, given or defaulted.
pub(super) fn leaf<'a>(leaves: &'a [Leaf], path: &str) -> Option<&'a Leaf> {
    leaves.iter().find(|leaf| leaf.path == path)
}

/// Its text; empty for what is none.
pub(super) fn text(leaf: &Leaf) -> &str {
    leaf.value.as_str().unwrap_or_default()
}

/// A value that serde refuses although it fits its shape: only numbers out of a type's range could, so this is rare
/// enough for its plain words.
pub(super) fn refused_by_serde(error: &serde_json::Error, at: Mark) -> Problem {
    Problem::at(at, "", format!("{error}."), "Compare the file with docs/CONFIG.md.")
}
