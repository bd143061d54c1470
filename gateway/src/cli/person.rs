//! `person …`: the people of this organisation, and who may learn of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use dccp::UnixMillis;
use dccp::did::Device;

use super::init::CommitmentText;
use super::partner::with_spool;
use super::trace::utc;
use super::{Failure, read_bounded};
use crate::config::Config;
use crate::custody::Custody;
use crate::people::{Added, DeviceFile, Holding, NewPerson, Person, Registrar, Standing};

/// A file of addresses: a million of them.
const ADDRESSES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A device's public keys have some 4,500 octets in base64.
const DEVICE_FILE_BYTES_MAX: u64 = 64 * 1024;
/// People that are read from the database at once.
const PAGE: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum PersonCommand {
    /// Give an address, or a file full of them, a DID. Nobody is told of it until it is published.
    Add(AddArgs),
    /// Show all people.
    List,
    /// Show one person and the devices.
    Show {
        /// The address.
        address: String,
    },
    /// Tell whoever asks for this address who it is.
    Publish {
        /// The address.
        address: String,
    },
    /// Tell nobody (any more): senders seal to the organisation.
    Unlist {
        /// The address.
        address: String,
    },
    /// End a person's DID for ever and free the address (custody org).
    Deactivate {
        /// The address.
        address: String,
    },
    /// A person leaves with the DID and without the address (custody joint or self).
    Leave {
        /// The address.
        address: String,
    },
    /// The devices that open and sign a person's messages.
    #[command(subcommand)]
    Devices(DevicesCommand),
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The address.
    #[arg(required_unless_present = "file")]
    address: Option<String>,
    /// A file with one address on each line instead; empty lines and those that begin with # are skipped.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "recovery_commitment"])]
    file: Option<PathBuf>,
    /// Who holds the recovery key.
    #[arg(long, value_enum, default_value_t = CustodyText::Org)]
    custody: CustodyText,
    /// The commitment to the recovery key that the person keeps (custody joint and self).
    #[arg(long, value_name = "HEX", required_if_eq_any([("custody", "joint"), ("custody", "self")]))]
    recovery_commitment: Option<CommitmentText>,
    /// Publish at once.
    #[arg(long)]
    publish: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum CustodyText {
    /// The organisation.
    Org,
    /// The organisation and the person, each for itself.
    Joint,
    /// The person alone.
    #[value(name = "self")]
    Own,
}

#[derive(Subcommand)]
pub(super) enum DevicesCommand {
    /// Show them.
    List {
        /// The person's address.
        address: String,
    },
    /// Add a device that the person holds.
    Add {
        /// The person's address.
        address: String,
        /// What the device wrote: {"id": …, "signing": base64, "kem": base64}; `-` reads standard input.
        #[arg(long)]
        file: PathBuf,
    },
    /// Revoke a device that was lost.
    Revoke {
        /// The person's address.
        address: String,
        /// The device's id, as shown by `list`.
        id: String,
    },
}

pub(super) fn person(command: PersonCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    let config = Config::read(path)?;
    match command {
        PersonCommand::Add(args) => add(&config, &args, now),
        PersonCommand::List => list(&config, now),
        PersonCommand::Show { address } => show(&config, &address, now),
        PersonCommand::Publish { address } => {
            let person =
                with(&config, now, async |people| people.publish(&address).await.map_err(Failure::said))?;
            Ok(format!("Whoever asks for {} is told {} from now on.\n", person.address, person.did))
        }
        PersonCommand::Unlist { address } => {
            let person =
                with(&config, now, async |people| people.unlist(&address).await.map_err(Failure::said))?;
            Ok(format!(
                "Nobody is told who is behind {}; partners forget it within 24 hours.\n",
                person.address
            ))
        }
        PersonCommand::Deactivate { address } => {
            let end = async |people: Registrar| people.deactivate(&address, now).await.map_err(Failure::said);
            let person = with(&config, now, end)?;
            Ok(format!(
                "{} has ended for ever. {} can be given to somebody else.\n",
                person.did, person.address
            ))
        }
        PersonCommand::Leave { address } => leave(&config, &address, now),
        PersonCommand::Devices(command) => devices(&config, command, now),
    }
}

fn add(config: &Config, args: &AddArgs, now: UnixMillis) -> Result<String, Failure> {
    let people = newcomers(args)?;
    let publish = args.publish;
    let added = with(config, now, async |registrar| {
        let added = registrar.add(people, now).await.map_err(Failure::said)?;
        for Added { address, .. } in added.iter().filter(|_| publish) {
            registrar.publish(address).await.map_err(Failure::said)?;
        }
        Ok(added)
    })?;
    if let [Added { address, did, fresh }] = added.as_slice() {
        let verb = if *fresh { "is" } else { "was already" };
        return Ok(format!("{address} {verb} {did}\n"));
    }
    let fresh = added.iter().filter(|added| added.fresh).count();
    Ok(format!("Added {fresh} people; {} were there already.\n", added.len() - fresh))
}

fn newcomers(args: &AddArgs) -> Result<Vec<NewPerson>, Failure> {
    let holding = match (args.custody, &args.recovery_commitment) {
        (CustodyText::Org, None) => Holding::Org,
        (CustodyText::Joint, Some(CommitmentText(theirs))) => Holding::Joint(*theirs),
        (CustodyText::Own, Some(CommitmentText(theirs))) => Holding::Own(*theirs),
        (CustodyText::Org, Some(_)) => {
            return Err(Failure::Said("with custody org the organisation keeps the recovery key".into()));
        }
        (_, None) => {
            return Err(Failure::Said(
                "each person with this custody keeps a key: add them one by one".into(),
            ));
        }
    };
    let text = match (&args.address, &args.file) {
        (Some(address), _) => address.clone(),
        (None, Some(file)) => text(file, ADDRESSES_BYTES_MAX)?,
        (None, None) => String::new(),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| NewPerson { address: line.to_owned(), holding }).collect())
}

fn leave(config: &Config, address: &str, now: UnixMillis) -> Result<String, Failure> {
    let person = with(config, now, async |people| people.leave(address, now).await.map_err(Failure::said))?;
    Ok(format!(
        "{} is nobody's address any more. {} lives on: its recovery key alone decides who operates it, and until it \
         does we serve its records.\n",
        person.address, person.did
    ))
}

fn list(config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let mut page = String::new();
    with(config, now, async |people| {
        let mut after = 0;
        loop {
            let rows = people.list(after, PAGE).await.map_err(Failure::said)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            for (_, person) in rows {
                let _ = writeln!(page, "{}  {}  {}", person.address, standing(&person), person.did);
            }
        }
    })?;
    match page.is_empty() {
        true => Ok("No people yet. Add one with: dccp-gateway person add ADDRESS\n".into()),
        false => Ok(page),
    }
}

fn show(config: &Config, address: &str, now: UnixMillis) -> Result<String, Failure> {
    let (person, devices) = with(config, now, async |people| {
        let person = people.person(address).await.map_err(Failure::said)?;
        let devices = people.devices(address, now).await.map_err(Failure::said)?;
        Ok((person, devices))
    })?;
    let mut page = format!(
        "{}  {}\n  DID       {}\n  Custody   {}\n  Since     {}\n",
        person.address,
        standing(&person),
        person.did,
        person.custody.as_str(),
        utc(person.added_at.as_u64()),
    );
    devices.iter().for_each(|device| page.push_str(&device_line(device, now)));
    Ok(page)
}

fn devices(config: &Config, command: DevicesCommand, now: UnixMillis) -> Result<String, Failure> {
    match command {
        DevicesCommand::List { address } => {
            let devices =
                with(config, now, async |people| people.devices(&address, now).await.map_err(Failure::said))?;
            Ok(devices.iter().map(|device| device_line(device, now)).collect())
        }
        DevicesCommand::Add { address, file } => {
            let file = DeviceFile::from_json(&text(&file, DEVICE_FILE_BYTES_MAX)?).map_err(Failure::said)?;
            let epoch = with(config, now, async |people| {
                people.add_device(&address, &file, now).await.map_err(Failure::said)
            })?;
            Ok(format!("{} counts from now on (manifest {epoch}).\n", file.id))
        }
        DevicesCommand::Revoke { address, id } => {
            let epoch = with(config, now, async |people| {
                people.revoke_device(&address, &id, now).await.map_err(Failure::said)
            })?;
            Ok(format!("Nothing that {id} signs counts any more (manifest {epoch}).\n"))
        }
    }
}

fn device_line(device: &Device, now: UnixMillis) -> String {
    let counts = match device.revoked {
        Some(at) => format!("revoked {}", utc(at.as_u64())),
        None if device.is_valid_at(now) => format!("until {}", utc(device.expires.as_u64())),
        None => "expired".to_owned(),
    };
    format!("  Device    {}  held by {}  {counts}\n", device.id, device.held_by.as_str())
}

fn standing(person: &Person) -> &'static str {
    match person.standing {
        Standing::Deactivated => "DEACTIVATED",
        other => other.as_str(),
    }
}

fn with<T>(
    config: &Config,
    now: UnixMillis,
    work: impl AsyncFnOnce(Registrar) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let custody = Arc::new(Custody::open(config, now).map_err(Failure::said)?);
    with_spool(config, async |spool| {
        work(Registrar::open(spool, custody).await.map_err(Failure::said)?).await
    })
}

fn text(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    let bytes = read_bounded(path, bytes_max)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::Said(format!("{}: larger than {bytes_max} octets", path.display())));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Said(format!("{}: not UTF-8", path.display())))
}
