//! The folder of an export: for each copy an opened mail, or what is sealed of it, and at last the manifest.
//!
//! ```text
//! QUEUEID-COPY.eml      the mail, octet for octet
//! QUEUEID-COPY.sealed   the copy, for want of a key that opens it; of a large mail also
//! QUEUEID-COPY.body     its large body: the sealed chunks, one behind the other
//! manifest.jsonl        everything about them
//! ```
//!
//! A large mail is in memory chunk by chunk only. A file has its name when all of it is there and proven.

use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use dccp::body::{BodyError, CHUNK_SEALED_BYTES};
use keystore::durable::{self, NewFile};

use super::manifest::{self, Export, Line, said};
use crate::archive::key::PrivateKey;
use crate::archive::seal::{self, Content, Opened};
use crate::cli::Failure;
use crate::flows::bodies::Rendition;
use crate::spool::{LargeBody, Spool};

/// What an export writes into.
pub(super) struct Folder {
    path: PathBuf,
    lines: Vec<String>,
    opened: u64,
    sealed: u64,
}

/// Where the large body of a copy is.
pub(super) enum Beside<'a> {
    /// The copy has none, or it is not here.
    Nowhere,
    /// In the database of a gateway.
    Spool(&'a Spool, LargeBody),
    /// In a file of a sealed export.
    File(File),
}

impl Folder {
    /// A folder, made if it is missing, in which no manifest stands yet.
    pub(super) fn new(path: &Path) -> Result<Folder, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| said(path, &error))?;
        match path.join(manifest::FILE).exists() {
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
    pub(super) async fn add(
        &mut self,
        mut line: Line,
        sealed: &[u8],
        mut beside: Beside<'_>,
        keys: &[PrivateKey],
    ) -> Result<(), Failure> {
        let stem = line.stem();
        line.fault = match seal::open(keys, sealed) {
            _ if keys.is_empty() => None,
            Ok(opened) => self.open(&mut line, &stem, opened, &mut beside).await?.err(),
            Err(error) => Some(error.to_string()),
        };
        if line.mail.is_some() {
            self.opened += 1;
        } else {
            self.keep_sealed(&mut line, &stem, sealed, &mut beside).await?;
            self.sealed += 1;
        }
        self.lines.push(serde_json::to_string(&line).map_err(Failure::said)?);
        Ok(())
    }

    /// The manifest comes last: a folder without one is not a whole export.
    pub(super) fn finish(self) -> Result<String, Failure> {
        let path = self.path.join(manifest::FILE);
        let text = self.lines.join("\n") + "\n";
        durable::write_new(&path, text.as_bytes(), 0o600).map_err(|error| said(&path, &error))?;
        Ok(format!(
            "{} copies opened, {} sealed, in {}; {} has their envelopes, times and SHA-256.\n",
            self.opened,
            self.sealed,
            self.path.display(),
            manifest::FILE
        ))
    }

    /// Writes the mail. The inner error says why its large body does not give it; then nothing is written.
    async fn open(
        &self,
        line: &mut Line,
        stem: &str,
        opened: Opened,
        beside: &mut Beside<'_>,
    ) -> Result<Result<(), String>, Failure> {
        let mut mail = Writing::begin(&self.path, format!("{stem}.eml"))?;
        match opened.content {
            Content::Octets(octets) => mail.put(&octets)?,
            Content::Body(rendition) => {
                if let Err(error) = mail.render(rendition, beside).await? {
                    return Ok(Err(format!("its large body does not open: {error}")));
                }
            }
        }
        mail.finish(line)?;
        (line.mail, line.body) = (Some(opened.facts), None);
        Ok(Ok(()))
    }

    async fn keep_sealed(
        &self,
        line: &mut Line,
        stem: &str,
        sealed: &[u8],
        beside: &mut Beside<'_>,
    ) -> Result<(), Failure> {
        let mut copy = Writing::begin(&self.path, format!("{stem}.sealed"))?;
        copy.put(sealed)?;
        copy.finish(line)?;
        if matches!(beside, Beside::Nowhere) {
            return Ok(());
        }
        let mut body = Writing::begin(&self.path, format!("{stem}.body"))?;
        let mut n = 0;
        while let Some(chunk) = beside.chunk(n).await? {
            body.put(&chunk)?;
            n += 1;
        }
        line.body = Some(body.name.clone());
        body.file.finish().map_err(|error| said(&body.path, &error))
    }
}

impl<'a> Beside<'a> {
    /// Of a copy in the database of a gateway.
    pub(super) fn of(spool: &'a Spool, large: Option<LargeBody>) -> Self {
        large.map_or(Self::Nowhere, |large| Self::Spool(spool, large))
    }

    /// Of a copy in this file of a sealed export.
    pub(super) fn next_to(sealed: &Path) -> Self {
        File::open(sealed.with_extension("body")).map_or(Self::Nowhere, Self::File)
    }

    async fn chunk(&mut self, n: u32) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Spool(spool, large) => spool.chunk(*large, n).await.map_err(Failure::said),
            Self::File(file) => {
                let mut chunk = Vec::with_capacity(CHUNK_SEALED_BYTES);
                file.seek(SeekFrom::Start(u64::from(n) * CHUNK_SEALED_BYTES as u64))
                    .map_err(Failure::said)?;
                file.take(CHUNK_SEALED_BYTES as u64).read_to_end(&mut chunk).map_err(Failure::said)?;
                Ok((!chunk.is_empty()).then(|| chunk.into()))
            }
        }
    }
}

/// A file on its way into the folder.
struct Writing {
    file: NewFile,
    path: PathBuf,
    name: String,
    hash: Context,
    bytes: u64,
}

impl Writing {
    fn begin(folder: &Path, name: String) -> Result<Self, Failure> {
        let path = folder.join(&name);
        let file = NewFile::begin(&path, 0o600).map_err(|error| said(&path, &error))?;
        Ok(Self { file, path, name, hash: Context::new(&SHA256), bytes: 0 })
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.hash.update(octets);
        self.bytes += octets.len() as u64;
        self.file.write_all(octets).map_err(|error| said(&self.path, &error))
    }

    /// The inner error: what is beside is not what the copy says.
    async fn render(
        &mut self,
        rendition: Rendition,
        beside: &mut Beside<'_>,
    ) -> Result<Result<(), BodyError>, Failure> {
        let mut rendering = match rendition.begin() {
            Ok(rendering) => rendering,
            Err(error) => return Ok(Err(error)),
        };
        while let Some(n) = rendering.wants() {
            let Some(chunk) = beside.chunk(n).await? else { return Ok(Err(BodyError::Missing(n))) };
            match rendering.chunk(&chunk) {
                Ok(octets) => self.put(&octets)?,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// The file is what the line is about.
    fn finish(self, line: &mut Line) -> Result<(), Failure> {
        self.file.finish().map_err(|error| said(&self.path, &error))?;
        line.sha256 = data_encoding::HEXLOWER.encode(self.hash.finish().as_ref());
        (line.file, line.copy.bytes) = (self.name, self.bytes);
        Ok(())
    }
}
