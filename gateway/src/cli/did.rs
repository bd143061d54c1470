//! `did …`: look at identities, and change what our own says.
//!
//! Everything that only reads needs no private key. `update` and `devices` sign with the operator key; what needs the
//! officers' recovery key is in [`super::recovery`] (`rotate`) and [`super::farewell`] (`deactivate`).

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use control::{AddressView, IdentityView};
use dccp::did::{Device, Devices, DidDocument, Log, Manifest, Service, w3c};
use dccp::partner::{PartnerFile, fingerprint};
use dccp::{Did, Suite, UnixMillis};

use super::farewell::{DeactivateArgs, deactivate};
use super::recovery::{UseArgs, take_over};
use super::succession::{SuccessionCommand, succession};
use super::trace::utc;
use super::{Failure, ask, read_bounded};
use crate::config::Config;
use crate::custody::{Custody, CustodyError, DEVICE_LIFETIME_MS, Identity, identity_paths};

/// A partner file is the largest thing that is read here.
const FILE_BYTES_MAX: u64 = dccp::limits::PARTNER_TEXT_BYTES_MAX as u64;

#[derive(Subcommand)]
pub(super) enum DidCommand {
    /// Show an identity: ours, or the one in a file.
    Show {
        /// A partner file, a bundle (.cbor) or a log.
        #[arg(long)]
        file: Option<PathBuf>,
        /// As a W3C DID document.
        #[arg(long)]
        json: bool,
    },
    /// List the operations of a log: ours, or the one in a file.
    Log {
        /// A partner file, a bundle (.cbor) or a log.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Verify everything in a partner file, a bundle or a log.
    Verify {
        /// The file; `-` reads standard input.
        file: PathBuf,
    },
    /// Find out what a DID says now: the running gateway asks the overlay and the HTTPS mirrors.
    Resolve {
        /// The whole DID.
        did: String,
        /// Only the W3C DID document.
        #[arg(long)]
        json: bool,
    },
    /// Ask a partner, through the running gateway, whom one of its addresses leads to.
    Find {
        /// The mail address.
        address: String,
    },
    /// Write the domains of the configuration into our log, signed by the operator key.
    Update,
    /// The devices in our manifest.
    #[command(subcommand)]
    Devices(DevicesCommand),
    /// Take the identity back with the officers' recovery key: the same as `recovery use`.
    Rotate(UseArgs),
    /// End our identity for ever, with the officers' recovery key.
    Deactivate(DeactivateArgs),
    /// Let a domain go over from one DID to another.
    #[command(subcommand)]
    Succession(SuccessionCommand),
}

#[derive(Subcommand)]
pub(super) enum DevicesCommand {
    /// List them.
    List,
    /// Revoke a device: partners believe nothing more that it signs as soon as they hear of it.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
    },
    /// Let this gateway's device count for another term, and write the configured suites into the manifest.
    Renew,
}

pub(super) fn did(command: DidCommand, path: &Path, now: UnixMillis) -> Result<String, Failure> {
    match command {
        DidCommand::Show { file, json } => Ok(show(&records(file.as_deref(), path, now)?, json, now)),
        DidCommand::Log { file } => Ok(log(&records(file.as_deref(), path, now)?)),
        DidCommand::Verify { file } => verify(&file, now),
        DidCommand::Resolve { did, json } => resolve(&Config::read(path)?, &did, json),
        DidCommand::Find { address } => find(&Config::read(path)?, &address),
        DidCommand::Update => update(&Config::read(path)?, now),
        DidCommand::Devices(command) => devices(command, &Config::read(path)?, now),
        DidCommand::Rotate(args) => take_over(&args, path, now),
        DidCommand::Deactivate(args) => deactivate(&args, path, now),
        DidCommand::Succession(command) => succession(&command, &Config::read(path)?, now),
    }
}

/// What is looked at: a log, what it resolves to, and the devices if they are known.
struct Records {
    log: Log,
    document: DidDocument,
    devices: Option<Devices>,
}

fn records(file: Option<&Path>, config: &Path, now: UnixMillis) -> Result<Records, Failure> {
    match file {
        Some(file) => read_records(file, now),
        None => {
            let paths = identity_paths(&Config::read(config)?);
            match Identity::load(&paths, now) {
                Ok(Identity { log, document, devices, .. }) => {
                    Ok(Records { log, document, devices: Some(devices) })
                }
                // Nothing counts of it but its log, and that is still worth a look.
                Err(CustodyError::Ended(_)) => read_records(&paths.log, now),
                Err(error) => Err(Failure::said(error)),
            }
        }
    }
}

/// A partner file (text), a bundle or a bare log (dCBOR).
fn read_records(file: &Path, now: UnixMillis) -> Result<Records, Failure> {
    let bytes = read_bounded(file, FILE_BYTES_MAX)?;
    let said = |why: &dyn std::fmt::Display| Failure::Said(format!("{}: {why}", file.display()));
    let bundle = match std::str::from_utf8(&bytes) {
        Ok(text) => PartnerFile::from_text(text),
        Err(_) => PartnerFile::from_bytes(&bytes),
    };
    match (bundle, Log::from_bytes(&bytes)) {
        (Ok(bundle), _) => {
            let verified = bundle.verify(now).map_err(|why| said(&why))?;
            Ok(Records { log: bundle.log, document: verified.document, devices: Some(verified.devices) })
        }
        (Err(_), Ok(log)) => {
            let document = log.verify().map_err(|why| said(&why))?;
            Ok(Records { log, document, devices: None })
        }
        (Err(why), Err(_)) => Err(said(&why)),
    }
}

fn show(records: &Records, json: bool, now: UnixMillis) -> String {
    let Records { document, devices, .. } = records;
    if json {
        return format!("{:#}\n", w3c::document(document, devices.as_ref()));
    }
    let mut page = heading(document.did());
    let state = if document.is_deactivated() { "deactivated, for ever" } else { "active" };
    let _ = writeln!(page, "  State        {state}, operation {}", document.seq());
    let _ = writeln!(page, "  Custody      {}", custody_words(document));
    if let Some(org) = document.org() {
        let _ = writeln!(page, "  Operated by  {org}");
    }
    if !document.domains().is_empty() {
        let _ = writeln!(page, "  Domains      {}", document.domains().join(", "));
    }
    if document.is_deactivated() {
        return page;
    }
    let recovery = document.recovery_commitments();
    let _ = writeln!(
        page,
        "  Recovery     {} of {} keys, shown only by their hashes until they act",
        recovery.threshold,
        recovery.members.len()
    );
    if let Some(devices) = devices {
        page.push_str(&device_lines(devices, now));
    }
    page
}

fn log(records: &Records) -> String {
    let mut page = heading(records.document.did());
    for (seq, (kind, hash)) in records.log.history().enumerate() {
        let hash = hash.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let _ = writeln!(page, "  {seq:>4}  {:<10}  {hash}", kind.as_str());
    }
    page
}

fn verify(file: &Path, now: UnixMillis) -> Result<String, Failure> {
    let records = read_records(file, now)?;
    // Of an ended identity nothing but the log is looked at.
    let is_log_alone = records.devices.is_none() || records.document.is_deactivated();
    let what = if is_log_alone { "log" } else { "log and records" };
    Ok(format!("Every signature holds: {what}.\n\n{}", show(&records, false, now)))
}

fn resolve(config: &Config, did: &str, json: bool) -> Result<String, Failure> {
    did.parse::<Did>().map_err(|_| Failure::Said(format!("{did} is not a did:dccp.")))?;
    let view: IdentityView = ask::get(config, "identities", did)?;
    if json {
        return Ok(format!("{:#}\n", view.document));
    }
    let state = if view.deactivated { "deactivated, for ever" } else { "active" };
    let age = if view.age_ms == 0 { "now".to_owned() } else { format!("{} s ago", view.age_ms / 1000) };
    Ok(format!(
        "{}\n  Fingerprint  {}\n  State        {state}, operation {}\n  Custody      {}\n  Learned      {age}, from {}\n",
        view.did,
        view.fingerprint,
        view.version,
        view.custody,
        view.sources.join(", ")
    ))
}

fn find(config: &Config, address: &str) -> Result<String, Failure> {
    let view: AddressView = ask::get(config, "addresses", address)?;
    let person = match &view.did {
        Some(did) => format!("person {did}"),
        None => "nobody is named: mail is sealed to the organisation".to_owned(),
    };
    Ok(format!("{}\n  Organisation {}\n  Answer       {person}\n", view.address, view.organisation))
}

/// The domains of the configuration become those of the log; everything else in it stays.
fn update(config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let custody = Custody::open_with_any_domains(config, now).map_err(Failure::said)?;
    let mut change = custody.document().change().clone();
    let others = change.services.iter().filter(|service| !matches!(service, Service::Domain(_))).cloned();
    let services: Vec<Service> = config.domains().into_iter().map(Service::Domain).chain(others).collect();
    if services == change.services {
        return Ok(format!("Nothing to do: our log names {} already.\n", config.domains().join(", ")));
    }
    change.services = services;
    let log = custody.log().update(&change, &[custody.operator()]).map_err(Failure::said)?;
    Identity::replace(&identity_paths(config), &log, custody.manifest()).map_err(Failure::said)?;
    Ok(format!(
        "Operation {} names {}. Restart the gateway; partners hear of it as soon as they are connected.\n",
        log.seq(),
        config.domains().join(", ")
    ))
}

fn devices(command: DevicesCommand, config: &Config, now: UnixMillis) -> Result<String, Failure> {
    let identity = Identity::load(&identity_paths(config), now).map_err(Failure::said)?;
    match command {
        DevicesCommand::List => Ok(heading(identity.document.did()) + &device_lines(&identity.devices, now)),
        DevicesCommand::Revoke { id } => {
            change_devices(config, identity.devices.suites(), now, |device, ours| {
                if device.id != id {
                    return Ok(false);
                }
                if ours.is_some() {
                    let why = "this gateway signs and opens with that device; revoke it from another gateway";
                    return Err(Failure::Said(why.to_owned()));
                }
                device.revoked = Some(now);
                Ok(true)
            })
        }
        DevicesCommand::Renew => {
            let suites = config.suites.accepted();
            change_devices(config, &suites, now, |device, ours| {
                if let Some(custody) = ours {
                    device.expires = now.saturating_add_ms(DEVICE_LIFETIME_MS);
                    device.signing = custody.public_keys_for(&suites);
                }
                Ok(ours.is_some())
            })
        }
    }
}

/// Signs a manifest of the next epoch in which `change` said yes to a device; with ours it gets our keys.
fn change_devices(
    config: &Config,
    suites: &[Suite],
    now: UnixMillis,
    mut change: impl FnMut(&mut Device, Option<&Custody>) -> Result<bool, Failure>,
) -> Result<String, Failure> {
    let custody = Custody::open(config, now).map_err(Failure::said)?;
    let mut devices: Vec<Device> = custody.devices().iter().cloned().collect();
    let mut changed = false;
    for device in &mut devices {
        let is_ours = device.id == custody.own_device().id;
        changed |= change(device, is_ours.then_some(&custody))?;
    }
    if !changed {
        return Err(Failure::Said("no device has this id; see `did devices list`".to_owned()));
    }
    let epoch = custody.devices().epoch().saturating_add(1).max(custody.document().manifest_epoch_min());
    let manifest = Manifest::sign(custody.did(), epoch, &devices, suites, &[custody.operator()]);
    let manifest = manifest.map_err(Failure::said)?;
    Identity::replace(&identity_paths(config), custody.log(), &manifest).map_err(Failure::said)?;
    let verified = manifest.verify(custody.document(), now).map_err(Failure::said)?;
    Ok(format!(
        "Manifest {epoch} is signed. Restart the gateway; partners hear of it as soon as they are connected.\n\n{}",
        device_lines(&verified, now)
    ))
}

fn device_lines(devices: &Devices, now: UnixMillis) -> String {
    let mut lines = format!("  Manifest     {}\n", devices.epoch());
    for suite in devices.suites() {
        let _ = writeln!(lines, "  Accepts      {}", crate::suites::words(*suite));
    }
    for device in devices.iter() {
        let until = match device.revoked {
            Some(at) => format!("REVOKED {}", utc(at.as_u64())),
            None if device.is_valid_at(now) => format!("until {}", utc(device.expires.as_u64())),
            None => format!("not valid now (until {})", utc(device.expires.as_u64())),
        };
        let (id, holder, key) = (&device.id, device.held_by.as_str(), device.signing.key_id());
        let _ = writeln!(lines, "  Device       {id}, held by {holder}, key {key}, {until}");
    }
    lines
}

fn custody_words(document: &DidDocument) -> &'static str {
    use dccp::did::Custody;
    match document.custody() {
        Custody::Org => "org: the organisation holds the recovery keys",
        Custody::Joint => "joint: the organisation and the person hold the recovery keys together",
        _ => "self: the person alone holds the recovery keys",
    }
}

fn heading(did: &Did) -> String {
    format!("{did}\n  Fingerprint  {}\n", fingerprint(did))
}
