//! `init`: everything a new gateway needs, written once and never over anything.

use std::fmt::Write;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use dccp::did::Commitment;
use dccp::keys::SigningKey;
use dccp::partner::fingerprint;
use dccp::{Did, UnixMillis};
use keystore::MasterKey;
use keystore::durable::write_new;
use keystore::keyfile::{self, Kind};
use rand::Rng;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use zeroize::Zeroizing;

use super::Failure;
use super::master::{self, MasterChoice};
use super::trace::civil;
use crate::config::{self, Config, DeliveryProtocol, FILE_NAME, HostPort};
use crate::custody::{Identity, KeySet, identity_paths};

/// How many years the self-signed certificate counts; a proper one should replace it long before.
const CERTIFICATE_YEARS: i32 = 5;

/// What `init` is told.
#[derive(Args)]
pub struct InitArgs {
    /// The organisation's main mail domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    /// Further mail domains; the DID names them, and `did update` adds others later. May be repeated.
    #[arg(long, value_name = "DOMAIN")]
    also: Vec<String>,
    /// Folder to write to.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Address for outgoing mail of internal servers and clients. May be repeated.
    #[arg(long, value_name = "IP:PORT")]
    smtp_listen: Vec<SocketAddr>,
    /// The internal mail server that arrived mail is handed to.
    #[arg(long, value_name = "lmtp:HOST:PORT|smtp:HOST:PORT", default_value = "lmtp:127.0.0.1:2424")]
    deliver: Deliver,
    /// Multiaddr to listen on for partners. May be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    overlay_listen: Vec<String>,
    /// Address of the console and the control API.
    #[arg(long, value_name = "IP:PORT")]
    control_listen: Option<SocketAddr>,
    /// Where the master key comes from that seals the private keys: `file:PATH`, `systemd:NAME`, `prompt`,
    /// `pkcs11:token=LABEL?module-path=LIBRARY&pin-source=FILE` (RFC 7512), or `none` for laboratories.
    /// Relative paths start at the folder that is written to.
    #[arg(long, value_name = "SOURCE", default_value = "file:master.key")]
    master: MasterChoice,
    /// The commitment that `recovery create` printed on an offline machine: this one then never sees the recovery key.
    #[arg(long, value_name = "HEX")]
    recovery_commitment: Option<CommitmentText>,
    /// Without a commitment: the file for the recovery key that is made here, best on a medium that is taken away
    /// [default: recovery.key in the folder that is written to].
    #[arg(long, value_name = "FILE", conflicts_with = "recovery_commitment")]
    recovery_file: Option<PathBuf>,
}

/// A commitment to a recovery key, in 64 hexadecimal digits.
#[derive(Clone)]
pub(super) struct CommitmentText(pub(super) Commitment);

impl FromStr for CommitmentText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<CommitmentText, &'static str> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(|bytes| CommitmentText(Commitment::from_bytes(bytes)))
            .ok_or("write the 64 hexadecimal digits")
    }
}

/// `lmtp:HOST:PORT` or `smtp:HOST:PORT`.
#[derive(Clone)]
struct Deliver {
    protocol: DeliveryProtocol,
    address: HostPort,
}

impl FromStr for Deliver {
    type Err = String;

    fn from_str(text: &str) -> Result<Deliver, String> {
        let (protocol, address) = match text.split_once(':') {
            Some(("lmtp", address)) => (DeliveryProtocol::Lmtp, address),
            Some(("smtp", address)) => (DeliveryProtocol::Smtp, address),
            _ => return Err("write lmtp:HOST:PORT or smtp:HOST:PORT".into()),
        };
        Ok(Deliver { protocol, address: address.parse().map_err(|wrong: config::Wrong| wrong.to_string())? })
    }
}

/// The files of a new gateway, apart from those its configuration names.
struct Places {
    config: PathBuf,
    /// The recovery key, if it is made here.
    recovery: Option<PathBuf>,
}

pub(super) fn init(args: &InitArgs, now: UnixMillis) -> Result<String, Failure> {
    let recovery = args.recovery_file.clone().unwrap_or_else(|| args.dir.join("recovery.key"));
    let places = Places {
        config: args.dir.join(FILE_NAME),
        recovery: args.recovery_commitment.is_none().then_some(recovery),
    };
    let text = config::commented_yaml(&chosen(args));
    // Read back before anything is written: what `check` would refuse is refused now, and paths become absolute.
    let config = Config::of_text(&text, &places.config)?;
    refuse_to_overwrite(&config, &places)?;
    make_folders(&config)?;
    // First, because a person or a token may refuse it.
    let master = master::create(&config)?;
    let recovery = recovery_commitment(args, &places)?;
    let did = write_identity(&config, recovery, master.as_ref(), now)?;
    write_certificate(&config, now)?;
    write_token(&config)?;
    // Last: with it the gateway is complete, without it a second `init` says what is in the way.
    write_new(&places.config, text.as_bytes(), 0o644).map_err(|error| io(&places.config, &error))?;
    Ok(next_steps(&config, &places, &did))
}

fn chosen(args: &InitArgs) -> Config {
    let mut config = Config::fresh();
    let domain = args.domain.to_ascii_lowercase();
    config.smtp.hostname = format!("gateway.{domain}");
    config.organisation.domain = domain;
    config.organisation.also = args.also.iter().map(|domain| domain.to_ascii_lowercase()).collect();
    config.keys.master = args.master.to_config();
    config.delivery.protocol = args.deliver.protocol;
    config.delivery.address = args.deliver.address.clone();
    if !args.smtp_listen.is_empty() {
        config.smtp.listen.clone_from(&args.smtp_listen);
    }
    if !args.overlay_listen.is_empty() {
        config.overlay.listen.clone_from(&args.overlay_listen);
    }
    if let Some(listen) = args.control_listen {
        config.control.listen = listen;
    }
    config
}

fn refuse_to_overwrite(config: &Config, places: &Places) -> Result<(), Failure> {
    let identity = identity_paths(config);
    let keys = &config.keys;
    let master = master::file_to_write(config);
    let mut files = vec![&places.config, &identity.log, &identity.manifest, &config.control.token];
    files.extend(places.recovery.iter().chain(&master));
    files.extend([&keys.operator, &keys.device, &keys.node, &keys.storage]);
    if let Some(tls) = &config.smtp.tls {
        files.extend([&tls.certificate, &tls.key]);
    }
    let there: Vec<_> = files.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    if there.is_empty() {
        return Ok(());
    }
    let list: String = there.iter().map(|path| format!("\n    {}", path.display())).collect();
    let why = "Keys are never overwritten: the DID and everything sealed under them would be lost.";
    Err(Failure::Said(format!(
        "these files exist already:{list}\n{why}\nChoose another folder with --dir, or move them away."
    )))
}

/// Folders with secrets are for their owner alone.
fn make_folders(config: &Config) -> Result<(), Failure> {
    let master = master::file_to_write(config);
    let parents = [
        Some(&config.keys.operator),
        Some(&config.control.token),
        config.smtp.tls.as_ref().map(|tls| &tls.key),
        master.as_ref(),
    ];
    let parents = parents.into_iter().flatten().filter_map(|path| path.parent());
    for folder in parents.chain([config.data_dir.as_path()]) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| io(folder, &error))?;
    }
    Ok(())
}

/// The commitment to the recovery key: of officers who made it elsewhere, or of one that is made here.
fn recovery_commitment(args: &InitArgs, places: &Places) -> Result<Commitment, Failure> {
    if let Some(CommitmentText(commitment)) = args.recovery_commitment {
        return Ok(commitment);
    }
    let recovery = SigningKey::generate(&mut rand::rng());
    if let Some(path) = &places.recovery {
        keyfile::write(path, Kind::Recovery, recovery.seed().as_slice(), None).map_err(Failure::said)?;
    }
    Ok(Commitment::of(recovery.verifying_key()))
}

fn write_identity(
    config: &Config,
    recovery: Commitment,
    master: Option<&MasterKey>,
    now: UnixMillis,
) -> Result<Did, Failure> {
    let keys = KeySet::generate(&mut rand::rng());
    let device = (&keys.device, keys.device_kem.encapsulation_key());
    let suites = config.suites.accepted();
    let founded = Identity::found(config.domains(), recovery, &keys.operator, device, &suites, now);
    let (log, manifest) = founded.map_err(Failure::said)?;
    keys.write(config, master).map_err(Failure::said)?;
    Identity::write(&identity_paths(config), &log, &manifest).map_err(Failure::said)?;
    Ok(log.did())
}

/// A certificate that nobody vouches for: enough for opportunistic STARTTLS, and a place to put a better one.
fn write_certificate(config: &Config, now: UnixMillis) -> Result<(), Failure> {
    let Some(tls) = &config.smtp.tls else { return Ok(()) };
    let wrong = |error: rcgen::Error| Failure::Said(format!("the certificate: {error}"));
    let mut params = CertificateParams::new(vec![config.smtp.hostname.clone()]).map_err(wrong)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, &config.smtp.hostname);
    let (year, month, day) = civil(now.as_u64() / 86_400_000);
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(year.saturating_add(CERTIFICATE_YEARS), month, 1);
    let key = KeyPair::generate().map_err(wrong)?;
    let certificate = params.self_signed(&key).map_err(wrong)?;
    let key = Zeroizing::new(key.serialize_pem());
    write_new(&tls.certificate, certificate.pem().as_bytes(), 0o644)
        .map_err(|error| io(&tls.certificate, &error))?;
    write_new(&tls.key, key.as_bytes(), 0o600).map_err(|error| io(&tls.key, &error))
}

fn write_token(config: &Config) -> Result<(), Failure> {
    let mut token = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(token.as_mut());
    keyfile::write(&config.control.token, Kind::ControlToken, token.as_slice(), None).map_err(Failure::said)
}

fn next_steps(config: &Config, places: &Places, did: &Did) -> String {
    let file = places.config.display();
    let folder = |path: &Path| path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let domain = &config.organisation.domain;
    let mut text =
        format!("Founded {domain}.\n\n  DID          {did}\n  Fingerprint  {}\n\n", fingerprint(did));
    for (path, what) in [
        (file.to_string(), "the configuration, every key explained"),
        (folder(&config.keys.operator), "private keys: back them up, let nobody else read them"),
        (config.data_dir.display().to_string(), "the DID log, the queue and the journal"),
    ] {
        let _ = writeln!(text, "  {path}\n      {what}");
    }
    let (master_file, master_step) = master::advice(config);
    text.push_str(&master_file);
    let recovery_step = match &places.recovery {
        Some(recovery) => {
            let recovery = recovery.display();
            let _ = writeln!(text, "  {recovery}\n      the recovery key of the organisation");
            format!(
                "Move {recovery} to a medium that is not on this machine, and a copy to another place.
     Whoever has it can take the organisation's identity over; without it a lost operator key is final.
     Better still is a key that never was on this machine: dccp-gateway recovery create (docs/RECOVERY.md)."
            )
        }
        None => {
            "The recovery key is with the officers: try their shares once a year (docs/RECOVERY.md).".into()
        }
    };
    let _ = write!(
        text,
        "
Next:
  1. {recovery_step}
  2. {master_step}
  3. dccp-gateway check --config {file}
  4. dccp-gateway run --config {file}
  5. dccp-gateway partner export --config {file} > {domain}.partner
     Send that file to your partner, import theirs, and compare the fingerprints by voice.
",
    );
    text
}

fn io(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Said(format!("{}: {error}", path.display()))
}
