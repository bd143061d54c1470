//! `recovery …`: the key above all keys, in the hands of officers. docs/RECOVERY.md is the ceremony.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, Subcommand};
use dccp::UnixMillis;
use dccp::did::{Commitment, Log};
use dccp::keys::SigningKey;
use dccp::limits::DID_LOG_BYTES_MAX;
use keystore::keyfile::{self, Kind};
use keystore::shares::{Divided, Scheme, Share, split};

use super::Failure;
use super::init::CommitmentText;
use super::shares::{self, Division, Written};
use crate::config::Config;
use crate::custody::takeover::{self, Decision, Takeover};
use crate::custody::{Identity, identity_paths, master_key};
use crate::spool::Spool;

#[derive(Subcommand)]
pub(super) enum RecoveryCommand {
    /// Make a recovery key on an offline machine and divide it into shares for officers.
    Create(CreateArgs),
    /// Prove that shares belong together and which key they bring back, without showing it.
    Check(CheckArgs),
    /// Take the organisation's identity back: new operator key, next recovery key. The gateway must not run.
    Use(UseArgs),
}

#[derive(Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    division: Division,
    /// Folder for the share files, made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Call it the next recovery key on the shares: for `recovery use --next-commitment`.
    #[arg(long)]
    next: bool,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// A share file. May be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    share: Vec<PathBuf>,
    /// The organisation's DID log (`data/identity/organisation.did`): tells whether the key counts there now.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

#[derive(Args)]
#[command(group(ArgGroup::new("recovery key").required(true)), group(ArgGroup::new("next key").required(true)))]
pub(super) struct UseArgs {
    /// A share file; as many as are needed.
    #[arg(long, value_name = "FILE", group = "recovery key")]
    share: Vec<PathBuf>,
    /// An undivided recovery key (recovery.key), instead of shares.
    #[arg(long, value_name = "FILE", group = "recovery key")]
    key: Option<PathBuf>,
    /// The commitment to the next recovery key, made on an offline machine by `recovery create --next`.
    #[arg(long, value_name = "HEX", group = "next key")]
    next_commitment: Option<CommitmentText>,
    /// Or: make the next recovery key here, and write its shares into this folder.
    #[arg(long, value_name = "DIR", group = "next key")]
    out: Option<PathBuf>,
    #[command(flatten)]
    division: Division,
    /// Give the gateway's device new keys too: whoever could copy the operator key could copy the others.
    #[arg(long)]
    new_device: bool,
    /// Keep only so many operations of our log: those before the thief's.
    #[arg(long, value_name = "COUNT")]
    keep: Option<usize>,
}

pub(super) fn recovery(command: &RecoveryCommand, config: &Path, now: UnixMillis) -> Result<String, Failure> {
    match command {
        RecoveryCommand::Create(args) => create(args),
        RecoveryCommand::Check(args) => check(args),
        RecoveryCommand::Use(args) => take_over(args, config, now),
    }
}

fn create(args: &CreateArgs) -> Result<String, Failure> {
    let made = Made::make(&args.division, &args.out, args.next)?;
    let commitment = made.commitment;
    let last = match args.next {
        true => format!("dccp-gateway recovery use … --next-commitment {commitment}"),
        false => format!("dccp-gateway init --domain YOUR.DOMAIN --recovery-commitment {commitment}"),
    };
    Ok(format!(
        "{}
Next:
  1. Try the shares: dccp-gateway recovery check --share FILE --share FILE
  2. Give each officer one share, on paper or on a medium of its own, and let nobody see two of them.
  3. Wipe {}, and this machine's memory by switching it off.
  4. Carry this line to the gateway; it is no secret:
     {last}
",
        made.page(),
        args.out.display(),
    ))
}

fn check(args: &CheckArgs) -> Result<String, Failure> {
    let (set, key) = combined(&args.share)?;
    let commitment = Commitment::of(key.verifying_key());
    let mut page = format!(
        "These {} shares of the set {set} belong together and bring the key back.\n\n  Commitment   {commitment}\n",
        args.share.len()
    );
    if let Some(path) = &args.log {
        let bytes = shares::read(path, DID_LOG_BYTES_MAX as u64)?;
        let wrong = |error: dccp::did::LogError| Failure::Said(format!("{}: {error}", path.display()));
        let document = Log::from_bytes(&bytes).and_then(|log| log.verify()).map_err(wrong)?;
        if !document.is_committed_recovery(key.verifying_key()) {
            return Err(Failure::Said(format!(
                "{page}  It does NOT count for {}: that log commits to another key, so a later set of shares is in force.",
                document.did()
            )));
        }
        let _ = writeln!(page, "  It counts for {}.", document.did());
    }
    Ok(page)
}

pub(super) fn take_over(args: &UseArgs, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    let _closed = Spool::keep_closed(config.database_path())
        .map_err(|error| Failure::Said(format!("the gateway must not run during a recovery: {error}")))?;
    if takeover::finish(&config).map_err(Failure::said)? {
        return finished(
            &config,
            now,
            "Finished the recovery that was interrupted; the shares were not used.\n",
        );
    }
    let recovery = match &args.key {
        Some(path) => undivided(path)?,
        None => combined(&args.share)?.1,
    };
    let identity = Identity::load(&identity_paths(&config), now).map_err(Failure::said)?;
    let master = master_key(&config).map_err(Failure::said)?;
    let prepare = |recovery_next| {
        let decision = Decision { recovery_next, renew_device: args.new_device, operations_kept: args.keep };
        Takeover::prepare(&identity, &recovery, &decision, now, &mut rand::rng()).map_err(Failure::said)
    };
    // A key that does not fit is refused before officers are handed new shares.
    let (takeover, shares) = match (&args.next_commitment, &args.out) {
        (Some(CommitmentText(next)), _) => (prepare(*next)?, String::new()),
        (None, Some(out)) => {
            prepare(Commitment::of(SigningKey::generate(&mut rand::rng()).verifying_key()))?;
            let made = Made::make(&args.division, out, false)?;
            (prepare(made.commitment)?, format!("\n{}", made.page()))
        }
        (None, None) => return Err(Failure::Said("give --next-commitment or --out".into())),
    };
    takeover.stage(&config, master.as_ref()).map_err(Failure::said)?;
    takeover::finish(&config).map_err(Failure::said)?;
    finished(&config, now, &format!("Took the identity back: the operator key is new.\n{shares}"))
}

/// What is in force, read back from disk.
fn finished(config: &Config, now: UnixMillis, what: &str) -> Result<String, Failure> {
    let identity = Identity::load(&identity_paths(config), now).map_err(Failure::said)?;
    let document = &identity.document;
    let next: Vec<String> = document.recovery_commitments().members.iter().map(ToString::to_string).collect();
    Ok(format!(
        "{what}
  DID              {}
  Operation        {} (the log has {} now)
  Next commitment  {}

Next:
  1. Start the gateway: what a thief signed with the old operator key is void wherever the new log arrives.
  2. The shares that were used are spent: destroy them. The next recovery takes the shares of the next commitment.
  3. Back up the data folder and the keys.
",
        document.did(),
        document.seq(),
        document.seq().saturating_add(1),
        next.join(", "),
    ))
}

/// A recovery key that was made and divided; only its commitment stays.
struct Made {
    commitment: Commitment,
    scheme: Scheme,
    written: Written,
}

impl Made {
    fn make(division: &Division, out: &Path, next: bool) -> Result<Made, Failure> {
        let scheme = division.scheme()?;
        let mut rng = rand::rng();
        let key = SigningKey::generate(&mut rng);
        let commitment = Commitment::of(key.verifying_key());
        let shares =
            split(Divided::RecoveryKey, key.seed().as_slice(), scheme, *commitment.as_bytes(), &mut rng);
        let written = Written::write(&shares, out, "recovery", |share| heading(share, next))?;
        Ok(Made { commitment, scheme, written })
    }

    fn page(&self) -> String {
        format!(
            "Made a recovery key and divided it: {} shares, any {} of them bring it back.\n\n  Set          {}\n  Commitment   {}\n{}",
            self.scheme.count(),
            self.scheme.threshold(),
            self.written.set,
            self.commitment,
            self.written.list(),
        )
    }
}

/// What an officer reads on a share.
fn heading(share: &Share, next: bool) -> String {
    let scheme = share.scheme();
    let (count, threshold) = (scheme.count(), scheme.threshold());
    let which = if next { "NEXT RECOVERY KEY" } else { "RECOVERY KEY" };
    format!(
        "{which} OF AN ORGANISATION, SHARE {} OF {count}

Organisation ______________________  Officer ______________________  Date ____________

Any {threshold} of the {count} shares together can take the organisation's identity over. This one alone
tells nothing about the key; lost or burnt, it can be done without as long as {threshold} others exist.

  - Keep it offline, locked away, apart from the other shares. Print it; the block below can be typed in again.
  - Do not photograph, mail or scan it, and do not copy it to a machine with a network.
  - Give it to nobody but the other officers, at a recovery (docs/RECOVERY.md).
  - When a recovery has used this set, destroy it: the set below is then spent.

",
        share.number()
    )
}

/// The key that share files bring back, and the name of their set.
pub(super) fn combined(paths: &[PathBuf]) -> Result<(String, SigningKey), Failure> {
    let (first, secret) = shares::gathered(paths, Divided::RecoveryKey)?;
    let seed = <&[u8; 64]>::try_from(secret.as_slice());
    let key = seed
        .map(SigningKey::from_seed)
        .map_err(|_| Failure::Said("the shares hold no recovery key".into()))?;
    match Commitment::of(key.verifying_key()).as_bytes() == first.commitment() {
        true => Ok((first.set_id(), key)),
        false => Err(shares::altered()),
    }
}

pub(super) fn undivided(path: &Path) -> Result<SigningKey, Failure> {
    let secret = keyfile::read(path, Kind::Recovery, None).map_err(Failure::said)?;
    let seed = <&[u8; 64]>::try_from(secret.as_slice());
    seed.map(SigningKey::from_seed).map_err(|_| Failure::Said("the file holds no recovery key".into()))
}
