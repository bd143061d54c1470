//! `did succession …`: a domain goes over from one DID to another, and both owners sign the same notice.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, Subcommand};
use dccp::limits::SUCCESSION_BYTES_MAX;
use dccp::prekey::EPOCH_MS;
use dccp::succession::{Notice, Succession};
use dccp::{Did, UnixMillis};
use keystore::durable;

use super::trace::utc;
use super::{Failure, read_bounded};
use crate::config::Config;
use crate::custody::Custody;

#[derive(Subcommand)]
pub(super) enum SuccessionCommand {
    /// Print our half of the notice. Both sides say the same DIDs and the same domain, on the same day.
    Sign(SignArgs),
    /// Put both halves together and publish the notice with our pages.
    Join {
        /// The file with the half of the old DID.
        old: PathBuf,
        /// The file with the half of the new DID.
        new: PathBuf,
    },
}

#[derive(Args)]
pub(super) struct SignArgs {
    /// The DID that speaks for the domain until now.
    #[arg(long)]
    old: String,
    /// The DID that speaks for it from now on.
    #[arg(long)]
    new: String,
    /// The domain.
    #[arg(long)]
    domain: String,
}

pub(super) fn succession(
    command: &SuccessionCommand,
    config: &Config,
    now: UnixMillis,
) -> Result<String, Failure> {
    match command {
        SuccessionCommand::Sign(args) => sign(args, config, now),
        SuccessionCommand::Join { old, new } => join(&half(old)?, &half(new)?, config),
    }
}

fn sign(args: &SignArgs, config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let did =
        |text: &str| text.parse::<Did>().map_err(|_| Failure::Said(format!("{text} is not a did:dccp")));
    let custody = Custody::open(config, now).map_err(Failure::said)?;
    // Both sides must sign the same octets: the day they do it on is the moment from which the notice counts.
    let not_before = UnixMillis(now.as_u64() - now.as_u64() % EPOCH_MS);
    let domain = args.domain.to_ascii_lowercase();
    let notice = Succession { old: did(&args.old)?, new: did(&args.new)?, domain, not_before };
    if ![&notice.old, &notice.new].contains(&custody.did()) {
        return Err(Failure::Said(format!("neither DID is ours ({})", custody.did())));
    }
    Ok(BASE64.encode(notice.sign(&[custody.operator()])) + "\n")
}

fn join(old: &[u8], new: &[u8], config: &Config) -> Result<String, Failure> {
    let notice = Notice::join(old, new)
        .map_err(|why| Failure::Said(format!("the halves do not fit together: {why}")))?;
    let path = config.succession_path();
    durable::replace(&path, &notice.to_bytes(), 0o644)
        .map_err(|error| Failure::Said(format!("{}: {error}", path.display())))?;
    let says = notice.claimed();
    Ok(format!(
        "{} goes over from\n  {}\nto\n  {}\nfrom {} on, for seven days. Restart the gateway to publish it, and change the TXT record within that time.\n",
        says.domain,
        says.old,
        says.new,
        utc(says.not_before.as_u64())
    ))
}

/// A half as `sign` printed it.
fn half(path: &Path) -> Result<Vec<u8>, Failure> {
    // Base64 is a third longer.
    let text = read_bounded(path, SUCCESSION_BYTES_MAX as u64 * 2)?;
    let text: Vec<u8> = text.into_iter().filter(|octet| !octet.is_ascii_whitespace()).collect();
    BASE64.decode(text).map_err(|_| Failure::Said(format!("{} is not half a notice", path.display())))
}
