//! Why a rule text was not accepted. Always the fault of whoever wrote the text.

use cedar_policy::ffi::DetailedError;

/// The first mistake in a rule text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RulesError {
    /// Line of the text, counted from 1.
    pub line: usize,
    /// What is wrong, in a sentence for the administrator.
    pub message: String,
}

impl RulesError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    pub(crate) fn taken(line: usize, id: &str) -> Self {
        Self::new(line, format!("the id `{id}` is already taken"))
    }

    /// A complaint of Cedar's parser or validator about `text`.
    pub(crate) fn of_cedar(text: &str, error: impl Into<DetailedError>) -> Self {
        let error = error.into();
        // A parse error may come as a bundle whose parts know their places.
        let (message, place) = std::iter::once(&error)
            .chain(&error.related)
            .find_map(|part| part.source_locations.first().map(|label| (part, label)))
            .map_or((error.message.clone(), None), |(part, label)| {
                let detail = label.label.as_ref().map(|label| format!(" ({label})")).unwrap_or_default();
                (format!("{}{detail}", part.message), Some(label.loc.start))
            });
        let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        Self::new(line_at(text, place.unwrap_or(0)), format!("{message}{help}"))
    }
}

/// The line, counted from 1, that holds the byte at `offset`.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
