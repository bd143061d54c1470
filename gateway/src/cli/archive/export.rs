//! `archive export` and `archive open`: copies on their way out.
//!
//! The export reads the database of the gateway, running or not, restored from a backup or not; the key opens what it
//! finds. Without a key everything stays sealed, and is opened where the key is: so the key never has to come to the
//! machine of the gateway.

use std::path::{Path, PathBuf};

use clap::Args;
use dccp::UnixMillis;

use super::folder::{Beside, Folder};
use super::key::KeyArgs;
use super::manifest::{self, Export, Line, said};
use super::{Days, Order};
use crate::archive::key::PrivateKey;
use crate::archive::tag_of;
use crate::cli::queue::login;
use crate::cli::trace::utc;
use crate::cli::{Failure, block_on};
use crate::config::Config;
use crate::custody::{Custody, Vault};
use crate::flows::records::purpose;
use crate::spool::{self, CopyQuery, Spool, SpoolConfig};

/// Copies that are looked up at once; they are read and opened one by one.
const COPIES_AT_ONCE: usize = 200;

#[derive(Args)]
pub(in crate::cli) struct ExportArgs {
    /// Somebody in the envelope: an address or a domain. May be repeated: any one of them.
    #[arg(long, value_name = "WHO")]
    address: Vec<String>,
    #[command(flatten)]
    time: Days,
    #[command(flatten)]
    keys: KeyArgs,
    /// Folder for the copies, made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    order: Order,
}

#[derive(Args)]
pub(in crate::cli) struct OpenArgs {
    /// The folder of a sealed export.
    #[arg(long, value_name = "DIR")]
    sealed: PathBuf,
    #[command(flatten)]
    keys: KeyArgs,
    /// Folder for the opened mails, made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn export(args: ExportArgs, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    if args.order.reason.trim().is_empty() {
        return Err(Failure::Said("please say why (--reason): the audit keeps it".into()));
    }
    let config = Config::read(path)?;
    let custody = Custody::open(&config, now).map_err(Failure::said)?;
    let keys = args.keys.read()?;
    let folder = Folder::new(&args.out)?;
    block_on(async {
        let (spool, guard) =
            Spool::open_offline(config.database_path(), SpoolConfig::default()).map_err(Failure::said)?;
        let done = taken_out(&args, &spool, custody.vault(), &keys, folder, now).await;
        guard.close().await;
        done
    })
}

/// The entry in the audit is durable before the first copy is read.
async fn taken_out(
    args: &ExportArgs,
    spool: &Spool,
    vault: &Vault,
    keys: &[PrivateKey],
    mut folder: Folder,
    now: UnixMillis,
) -> Result<String, Failure> {
    let query = CopyQuery {
        people: args.address.iter().map(|address| tag_of(vault, address)).collect(),
        from: args.time.from.map(UnixMillis),
        until: args.time.to.map(UnixMillis),
        ..CopyQuery::default()
    };
    let (copies, _bytes) = spool.count_copies(query.clone()).await.map_err(Failure::said)?;
    let (by, selection) = (login(args.order.by.as_deref()), args.selection());
    let why = vault.seal(purpose::NOTE, format!("{} ({selection})", args.order.reason).as_bytes());
    let order = spool::Order { act: "archive-export", by: by.clone(), at: now, why };
    spool.write_audited(order, format!("{copies} copies"), |_conn| Ok(())).await.map_err(Failure::said)?;
    let audited = spool.verify_audit().await.map_err(Failure::said)?;
    folder.head(&Export {
        by,
        reason: args.order.reason.clone(),
        selection,
        at_ms: now.0,
        copies,
        audit_entries: audited.entries,
        audit_head: data_encoding::HEXLOWER.encode(&audited.head),
        audit_fault: audited.fault.map(|fault| fault.to_string()),
    })?;
    let mut after = 0;
    loop {
        let found = spool.copies(query.clone(), after, COPIES_AT_ONCE).await.map_err(Failure::said)?;
        let Some(last) = found.last() else { return folder.finish() };
        after = last.seq;
        for copy in found {
            // Its time may have been over in between.
            if let Some(sealed) = spool.sealed_copy(copy.seq).await.map_err(Failure::said)? {
                let beside = Beside::of(spool, copy.large);
                folder.add(Line::of(copy), &sealed, beside, keys).await?;
            }
        }
    }
}

/// Opens a sealed export.
pub(super) fn open(args: &OpenArgs) -> Result<String, Failure> {
    let keys = args.keys.read()?;
    if keys.is_empty() {
        return Err(Failure::Said("give --key or --share".into()));
    }
    let (export, lines) = manifest::read(&args.sealed)?;
    let mut folder = Folder::new(&args.out)?;
    folder.head(&export)?;
    block_on(async {
        for line in lines {
            // The manifest travelled: of what it calls a file only the name counts.
            let name = Path::new(&line.file).file_name().unwrap_or_default();
            let path = args.sealed.join(name);
            let sealed = std::fs::read(&path).map_err(|error| said(&path, &error))?;
            folder.add(line, &sealed, Beside::next_to(&path), &keys).await?;
        }
        folder.finish()
    })
}

impl ExportArgs {
    /// What is asked for, in words.
    fn selection(&self) -> String {
        let whom = if self.address.is_empty() { "everybody".to_owned() } else { self.address.join(", ") };
        let from = self.time.from.map(|at| format!(" from {}", utc(at))).unwrap_or_default();
        let until = self.time.to.map(|at| format!(" before {}", utc(at))).unwrap_or_default();
        format!("{whom}{from}{until}")
    }
}
