//! `did deactivate`: end the organisation's identity for ever, by its recovery key.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use dccp::UnixMillis;
use dccp::partner::PartnerFile;
use keystore::durable;

use super::Failure;
use super::recovery::{combined, undivided};
use crate::config::Config;
use crate::custody::{Identity, identity_paths};
use crate::spool::Spool;

#[derive(Args)]
#[command(group(ArgGroup::new("recovery key").required(true)))]
pub(super) struct DeactivateArgs {
    /// A share file; as many as are needed.
    #[arg(long, value_name = "FILE", group = "recovery key")]
    share: Vec<PathBuf>,
    /// An undivided recovery key (recovery.key), instead of shares.
    #[arg(long, value_name = "FILE", group = "recovery key")]
    key: Option<PathBuf>,
    /// The whole DID, to be sure: nothing brings it back.
    #[arg(long, value_name = "DID")]
    for_ever: String,
}

/// Signs the last operation and puts the ended log in place. From then on the gateway only tells of its end; partners
/// learn of it there, or from the files that are written.
pub(super) fn deactivate(args: &DeactivateArgs, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let _closed = Spool::keep_closed(config.database_path()).map_err(|error| {
        Failure::Said(format!("the gateway must not run when its identity ends: {error}"))
    })?;
    let identity = Identity::load(&identity_paths(&config), now).map_err(Failure::said)?;
    let did = identity.document.did().clone();
    if args.for_ever != did.as_str() {
        return Err(Failure::Said(format!("--for-ever names another DID than ours, which is {did}")));
    }
    let recovery = match &args.key {
        Some(path) => undivided(path)?,
        None => combined(&args.share)?.1,
    };
    let log = identity.log.deactivate(&[&recovery]).map_err(Failure::said)?;
    let last = PartnerFile {
        log: log.clone(),
        manifest: identity.manifest.clone(),
        nodes: Vec::new(),
        prekeys: Vec::new(),
    };
    let [bundle, letter] = [config.ended_path("cbor"), config.ended_path("partner")];
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| Failure::Said(format!("{}: {error}", path.display()))
    };
    durable::replace(&bundle, &last.to_bytes(), 0o644).map_err(io(&bundle))?;
    durable::replace(&letter, last.to_text().as_bytes(), 0o644).map_err(io(&letter))?;
    // The log last: before it nothing has ended, after it everything is there.
    Identity::replace(&identity_paths(&config), &log, &identity.manifest).map_err(Failure::said)?;
    let id = did.as_str().trim_start_matches("did:dccp:");
    Ok(format!(
        "{did} has ended. Nothing that its keys sign counts any more, and this gateway takes no mail with it.

Partners hold mail for you as soon as they know:
  1. Let them read it at https://<your domain>/.well-known/dccp/did/{id}.cbor:
     start the gateway, which with `publication` in its configuration now serves only that,
     or let a web server answer with {}
  2. Send {}
     to whoever does not look there: `dccp-gateway partner import`.
  3. Take the TXT record and dccp.json away.
",
        bundle.display(),
        letter.display(),
    ))
}
