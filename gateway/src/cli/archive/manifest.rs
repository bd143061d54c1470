//! The manifest of an export: JSON lines, the first about the export, then one for each copy.

use std::fs::{DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use keystore::durable;
use serde::{Deserialize, Serialize};

use crate::archive::Facts;
use crate::archive::key::PrivateKey;
use crate::archive::seal;
use crate::cli::Failure;
use crate::flows::records::sha256;

const FILE: &str = "manifest.jsonl";

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
    pub(super) id: String,
    pub(super) queue_id: String,
    pub(super) direction: String,
    pub(super) at_ms: u64,
    pub(super) rule: String,
    pub(super) keep_until_ms: u64,
    pub(super) holds: Vec<String>,
    /// The archive key that opens it.
    pub(super) key: String,
    /// In the folder of the manifest: `.eml` opened, `.sealed` not.
    pub(super) file: String,
    pub(super) bytes: u64,
    /// Of the file, in hex.
    pub(super) sha256: String,
    /// Envelope and trace, once it is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mail: Option<Facts>,
    /// Why it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<String>,
}

/// What an export writes into.
pub(super) struct Folder {
    path: PathBuf,
    lines: Vec<String>,
    opened: u64,
    sealed: u64,
}

impl Folder {
    /// A folder, made if it is missing, in which no manifest stands yet.
    pub(super) fn new(path: &Path) -> Result<Folder, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| said(path, &error))?;
        match path.join(FILE).exists() {
            true => Err(Failure::Said(format!(
                "{} has a manifest already; choose another folder",
                path.display()
            ))),
            false => Ok(Folder { path: path.to_owned(), lines: Vec::new(), opened: 0, sealed: 0 }),
        }
    }

    pub(super) fn head(&mut self, export: &Export) -> Result<(), Failure> {
        self.lines.push(serde_json::to_string(export).map_err(Failure::said)?);
        Ok(())
    }

    /// One copy: opened with one of the keys, or as it is.
    pub(super) fn add(&mut self, mut line: Line, sealed: &[u8], keys: &[PrivateKey]) -> Result<(), Failure> {
        let opened = if keys.is_empty() { None } else { Some(seal::open(keys, sealed)) };
        let stem = format!("{}-{}", line.queue_id, &line.id);
        match opened {
            Some(Ok(opened)) => {
                self.write(&mut line, format!("{stem}.eml"), &opened.octets)?;
                line.mail = Some(opened.facts);
                self.opened += 1;
            }
            refused => {
                self.write(&mut line, format!("{stem}.sealed"), sealed)?;
                line.fault = refused.and_then(Result::err).map(|error| error.to_string());
                self.sealed += 1;
            }
        }
        self.lines.push(serde_json::to_string(&line).map_err(Failure::said)?);
        Ok(())
    }

    /// The manifest comes last: a folder without one is not a whole export.
    pub(super) fn finish(self) -> Result<String, Failure> {
        let path = self.path.join(FILE);
        let text = self.lines.join("\n") + "\n";
        durable::write_new(&path, text.as_bytes(), 0o600).map_err(|error| said(&path, &error))?;
        Ok(format!(
            "{} copies opened, {} sealed, in {}; {FILE} has their envelopes, times and SHA-256.\n",
            self.opened,
            self.sealed,
            self.path.display()
        ))
    }

    fn write(&self, line: &mut Line, name: String, octets: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(&name);
        durable::write_new(&path, octets, 0o600).map_err(|error| said(&path, &error))?;
        line.sha256 = data_encoding::HEXLOWER.encode(&sha256(&[octets]));
        (line.file, line.bytes) = (name, octets.len() as u64);
        Ok(())
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
