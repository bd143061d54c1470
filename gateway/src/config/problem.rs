//! What is wrong with a configuration, said so that it can be mended without opening the source.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in the configuration file, both counted from 1 as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, when the problem has a place; `None` for "the file is not there".
    pub at: Option<Mark>,
    /// The key it concerns, such as `smtp.listen[0]`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, one sentence.
    pub what: String,
    /// What to do about it, one sentence.
    pub advice: String,
}

impl Problem {
    /// A problem with the value at `path`.
    pub fn at(mark: Mark, path: &str, what: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem { at: Some(mark), path: path.to_owned(), what: what.into(), advice: advice.into() }
    }

    /// A problem of the file as a whole.
    pub fn whole(what: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem { at: None, path: String::new(), what: what.into(), advice: advice.into() }
    }
}

/// Everything wrong with one file, in the order of the file. Its `Display` is the page an operator reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

impl Problems {
    /// Sorts `list` by place.
    pub fn new(file: &Path, mut list: Vec<Problem>) -> Problems {
        list.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.path.cmp(&b.path)));
        list.dedup();
        Problems { file: file.to_owned(), list }
    }

    /// The problems, in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.list.len() == 1 { "problem" } else { "problems" };
        writeln!(f, "{} {noun} in {}:", self.list.len(), self.file.display())?;
        for problem in &self.list {
            write!(f, "\n{}:", self.file.display())?;
            if let Some(mark) = problem.at {
                write!(f, "{}:{}:", mark.line, mark.column)?;
            }
            if !problem.path.is_empty() {
                write!(f, " {}:", problem.path)?;
            }
            writeln!(f, " {}", problem.what)?;
            writeln!(f, "    {}", problem.advice)?;
        }
        Ok(())
    }
}
