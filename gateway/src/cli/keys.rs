//! `keys …`: the key files of a gateway that was founded without a master key.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use keystore::keyfile::{self, KeyFileError, Kind};
use keystore::{MasterKey, MasterSource, durable};

use super::{Failure, master};
use crate::config::{Config, Keys};
use crate::custody::master_key;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Seal key files that lie in the clear under keys.master, making the master key if there is none yet.
    Seal,
    /// Seal key files under the master key that keys.master names now, when it named another one before.
    Reseal {
        /// The configuration as it was before: its keys.master opens the files.
        #[arg(long, value_name = "FILE")]
        previous: PathBuf,
    },
}

pub(super) fn keys(command: &KeysCommand, path: &Path) -> Result<String, Failure> {
    let config = Config::read(path)?;
    match command {
        KeysCommand::Seal => seal(&config),
        KeysCommand::Reseal { previous } => reseal(&config, &Config::read(previous)?),
    }
}

fn seal(config: &Config) -> Result<String, Failure> {
    let mut page = seal_each(config, None)?;
    page.push_str("\nOld backups still hold the keys in the clear: destroy them.\n");
    Ok(page)
}

/// The former master key is asked for first: without it nothing is made.
fn reseal(config: &Config, previous: &Config) -> Result<String, Failure> {
    let former = master_key(previous).map_err(Failure::said)?.ok_or_else(|| {
        Failure::Said("the previous configuration names no master key; `keys seal` seals clear files".into())
    })?;
    let mut page = seal_each(config, Some(&former))?;
    page.push_str("\nOld backups still open with the former master key: keep it as long as they.\n");
    Ok(page)
}

/// One file after the other, each in one step: cut short, the command is run again.
fn seal_each(config: &Config, former: Option<&MasterKey>) -> Result<String, Failure> {
    let master = match there_is_a_master_key(config) {
        true => master_key(config).map_err(Failure::said)?,
        false => master::create(config)?,
    };
    let master = master.ok_or_else(|| {
        Failure::Said(
            "keys.master is not set: say in the configuration where the master key comes from".into(),
        )
    })?;
    let mut page = String::new();
    for (kind, path) in files(&config.keys) {
        let what = match seal_one(path, kind, former, &master).map_err(Failure::said)? {
            true => "sealed",
            false => "was sealed already",
        };
        let _ = writeln!(page, "  {}  {what}", path.display());
    }
    Ok(page)
}

/// A credential of systemd is there or not, but never made here when it is.
fn there_is_a_master_key(config: &Config) -> bool {
    match config.keys.master.as_ref().and_then(crate::config::Master::source) {
        Some(MasterSource::Systemd { .. }) | None => true,
        Some(
            MasterSource::File(path)
            | MasterSource::Prompt { wrapped: path }
            | MasterSource::Pkcs11 { wrapped: path, .. },
        ) => path.exists(),
    }
}

/// The four files that are sealed; the control token is not, because people hand it to their tools.
fn files(keys: &Keys) -> [(Kind, &Path); 4] {
    [
        (Kind::Operator, &keys.operator),
        (Kind::Device, &keys.device),
        (Kind::Node, &keys.node),
        (Kind::Storage, &keys.storage),
    ]
}

/// Whether there was something to do: `former` opens the file (none: it lies in the clear) and `master` does not.
fn seal_one(
    path: &Path,
    kind: Kind,
    former: Option<&MasterKey>,
    master: &MasterKey,
) -> Result<bool, KeyFileError> {
    match (keyfile::read(path, kind, Some(master)), former) {
        (Err(KeyFileError::Clear { .. }), None) | (Err(KeyFileError::OtherMaster { .. }), Some(_)) => {}
        (read, _) => return read.map(|_| false),
    }
    let secret = keyfile::read(path, kind, former)?;
    let line = keyfile::text(kind, &secret, Some(master));
    durable::replace(path, line.as_bytes(), 0o600)
        .map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
    Ok(true)
}
