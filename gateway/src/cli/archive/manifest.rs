//! The manifest of an export: JSON lines, the first about the export, then one for each copy.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use control::ArchiveCopyView;
use serde::{Deserialize, Serialize};

use crate::archive::Facts;
use crate::cli::Failure;
use crate::spool::Copy;

pub(super) const FILE: &str = "manifest.jsonl";

/// Who took what out, and where the audit stood then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Export {
    pub(super) by: String,
    pub(super) reason: String,
    /// What was asked for, in words.
    pub(super) selection: String,
    pub(super) at_ms: u64,
    pub(super) copies: u64,
    /// Entries of the audit, this export's among them.
    pub(super) audit_entries: u64,
    /// The hash of the newest of them, in hex.
    pub(super) audit_head: String,
    /// Where the chain of the audit is broken, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audit_fault: Option<String>,
}

/// One copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    /// What the gateway that cannot open it knows of it; `bytes` are those of the file.
    #[serde(flatten)]
    pub(super) copy: ArchiveCopyView,
    /// In the folder of the manifest: `.eml` opened, `.sealed` not.
    pub(super) file: String,
    /// The sealed large body of the mail, of which `file` has the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// Of the file, in hex.
    pub(super) sha256: String,
    /// Envelope and trace, once it is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mail: Option<Facts>,
    /// Why it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
}

impl Line {
    /// About a copy of which nothing is written yet.
    pub(super) fn of(copy: Copy) -> Self {
        let [file, sha256] = [(); 2].map(|()| String::new());
        Self { copy: copy.into(), file, body: None, sha256, mail: None, fault: None }
    }

    /// What its files are called, but for the ending. A manifest may have travelled: nothing in it leads out of a folder.
    pub(super) fn stem(&self) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        format!("{}-{}", self.copy.queue_id, self.copy.id).chars().map(plain).collect()
    }
}

/// Reads the manifest of an export, line by line.
pub(super) fn read(folder: &Path) -> Result<(Export, Vec<Line>), Failure> {
    let path = folder.join(FILE);
    let wrong = |error: &dyn std::fmt::Display| Failure::Said(format!("{}: {error}", path.display()));
    let mut lines = BufReader::new(File::open(&path).map_err(|error| wrong(&error))?).lines();
    let mut next = || lines.next().transpose().map_err(|error| wrong(&error));
    let head = next()?.ok_or_else(|| wrong(&"it is empty"))?;
    let export = serde_json::from_str(&head).map_err(|error| wrong(&error))?;
    let mut copies = Vec::new();
    while let Some(line) = next()? {
        copies.push(serde_json::from_str(&line).map_err(|error| wrong(&error))?);
    }
    Ok((export, copies))
}

pub(super) fn said(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Said(format!("{}: {error}", path.display()))
}
