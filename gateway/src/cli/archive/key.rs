//! `archive key …`: the pair whose public half seals copies, made on a machine that is not the gateway's.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keystore::durable;
use keystore::passphrase::{self, Wrapped};
use keystore::shares::{Divided, Share, split};

use crate::archive::key::{PrivateKey, PublicKey};
use crate::cli::Failure;
use crate::cli::shares::{self, Division, Written};

/// The public half, as the configuration names it.
const PUBLIC_FILE: &str = "archive.pub";

/// The private half under a passphrase.
const PRIVATE_FILE: &str = "archive.key";

#[derive(Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make an archive key on an offline machine: the public half for the gateway, the private half for officers.
    Create(CreateArgs),
    /// Prove that a key file or shares bring a key back, and say which.
    Check(KeyArgs),
}

#[derive(Args)]
pub(in crate::cli) struct CreateArgs {
    /// Folder for the files, made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the private half in one file under a passphrase, instead of shares.
    #[arg(long, conflicts_with_all = ["shares", "threshold"])]
    passphrase: bool,
    #[command(flatten)]
    division: Division,
}

/// The private half of an archive key.
#[derive(Args)]
pub(in crate::cli) struct KeyArgs {
    /// A key file under a passphrase. May be repeated: older copies are under older keys.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// A share file; as many of one set as are needed.
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
}

impl KeyArgs {
    /// The keys that these files bring back; none if none is named.
    pub(super) fn read(&self) -> Result<Vec<PrivateKey>, Failure> {
        let open = |path: &PathBuf| {
            let seed = passphrase::open(Wrapped::ArchiveKey, path).map_err(Failure::said)?;
            Ok(PrivateKey::from_seed(&seed))
        };
        let mut keys = self.key.iter().map(open).collect::<Result<Vec<_>, Failure>>()?;
        if !self.share.is_empty() {
            keys.push(combined(&self.share)?);
        }
        Ok(keys)
    }
}

pub(super) fn key(command: &KeyCommand) -> Result<String, Failure> {
    match command {
        KeyCommand::Create(args) => create(args),
        KeyCommand::Check(args) => match args.read()?.as_slice() {
            [] => Err(Failure::Said("give --key or --share".into())),
            keys => Ok(keys
                .iter()
                .map(|key| format!("This brings back the archive key {}.\n", key.key_id()))
                .collect()),
        },
    }
}

fn create(args: &CreateArgs) -> Result<String, Failure> {
    let said = |path: &Path, error: std::io::Error| Failure::Said(format!("{}: {error}", path.display()));
    let mut rng = rand::rng();
    let key = PrivateKey::generate(&mut rng);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.out)
        .map_err(|error| said(&args.out, error))?;
    let public = args.out.join(PUBLIC_FILE);
    if public.exists() {
        return Err(said(&public, std::io::ErrorKind::AlreadyExists.into()));
    }
    let (kept, next) = match args.passphrase {
        true => {
            let path = args.out.join(PRIVATE_FILE);
            passphrase::keep(Wrapped::ArchiveKey, &path, &key.seed(), &mut rng).map_err(Failure::said)?;
            let next =
                format!("Keep {} and its passphrase apart from the gateway, each twice.", path.display());
            (format!("  {}\n", path.display()), next)
        }
        false => {
            let scheme = args.division.scheme()?;
            let commitment = key.public().commitment();
            let shares = split(Divided::ArchiveKey, key.seed().as_slice(), scheme, commitment, &mut rng);
            let written =
                Written::write(&shares, &args.out, "archive", |share| heading(share, &key.public()))?;
            let next = "Give each officer one share, on paper or on a medium of its own; let nobody see two of them.";
            (format!("  Set          {}\n{}", written.set, written.list()), next.to_owned())
        }
    };
    durable::write_new(&public, key.public().text().as_bytes(), 0o644)
        .map_err(|error| said(&public, error))?;
    Ok(format!(
        "Made an archive key.\n\n  Key          {}\n{kept}  {}  (no secret)
\nNext:
  1. Try it: dccp-gateway archive key check --share FILE --share FILE (or --key FILE)
  2. {next}
  3. Carry {PUBLIC_FILE} to the gateway and name it in the configuration:
     archive: {{ key: {PUBLIC_FILE}, rules: [{{ name: everything, days: 3650 }}] }}
  4. Wipe {}: who has the private half reads the whole archive; without it nobody ever does.
",
        key.key_id(),
        public.display(),
        args.out.display(),
    ))
}

/// The key that share files bring back.
fn combined(paths: &[PathBuf]) -> Result<PrivateKey, Failure> {
    let (first, secret) = shares::gathered(paths, Divided::ArchiveKey)?;
    let seed = <&[u8; 32]>::try_from(secret.as_slice());
    let key = seed
        .map(PrivateKey::from_seed)
        .map_err(|_| Failure::Said("the shares hold no archive key".into()))?;
    if key.public().commitment() == *first.commitment() { Ok(key) } else { Err(shares::altered()) }
}

/// What an officer reads on a share.
fn heading(share: &Share, key: &PublicKey) -> String {
    let scheme = share.scheme();
    let (count, threshold) = (scheme.count(), scheme.threshold());
    format!(
        "KEY OF THE MAIL ARCHIVE, SHARE {} OF {count}

Organisation ______________________  Officer ______________________  Date ____________
Key {}

Any {threshold} of the {count} shares together read everything that was archived under this key. This one alone
tells nothing; lost or burnt, it can be done without as long as {threshold} others exist.

  - Keep it offline, locked away, apart from the other shares. Print it; the block below can be typed in again.
  - Do not photograph, mail or scan it, and do not copy it to a machine with a network.
  - Keep it for as long as anything is archived under this key, also after another key has taken its place.

",
        share.number(),
        key.key_id(),
    )
}
