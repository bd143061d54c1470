//! What the listeners of one process share.

use std::sync::Arc;

use super::sources::Sources;
use super::{Budget, Limits};

/// The memory for messages, and what is remembered of sources: a guesser of passwords that is banned at one door is
/// banned at all of them. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Premises {
    pub(super) budget: Budget,
    pub(super) sources: Arc<Sources>,
}

impl Premises {
    /// Room for `memory_bytes_max` octets of messages on their way in, which should be more than the largest message,
    /// and for the deeds of `sources_max` sources.
    #[must_use]
    pub fn new(memory_bytes_max: usize, sources_max: usize) -> Self {
        Self { budget: Budget::new(memory_bytes_max), sources: Arc::new(Sources::new(sources_max)) }
    }
}

impl Default for Premises {
    /// What suits a gateway of a few thousand people.
    fn default() -> Self {
        Self::new(Limits::MEMORY_BYTES_MAX, Limits::SOURCES_MAX)
    }
}
