//! The command line: `dccp-gateway init | check | run | did … | partner … | person … | agent … | user … | keys … | dkim … | certificate … | recovery … | trace | queue … | archive … | config | version`.
//!
//! Results go to standard output, everything said to a person who has to act goes to standard error.
//!
//! | Exit code | Meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | not done; standard error says why |
//! | 2 | the command line itself is wrong |
//! | 3 | the configuration has problems; standard error lists all of them |
//! | 4 | `partner import`: the domain is pinned to somebody else; the mail is held until a person decides |

mod agent;
mod archive;
mod ask;
mod certificate;
mod did;
mod dkim;
mod farewell;
mod harmless;
mod init;
mod keys;
mod logging;
mod master;
mod partner;
mod partner_add;
mod person;
mod process;
mod queue;
mod recovery;
mod shares;
mod succession;
mod trace;
mod user;
mod vectors;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};

use crate::clock;
use crate::config::{self, Config, FILE_NAME, Problems};
use crate::custody::Custody;

use agent::AgentCommand;
use archive::ArchiveCommand;
use certificate::CertificateCommand;
use did::DidCommand;
use dkim::DkimCommand;
use harmless::{LINES, harmless};
pub use init::InitArgs;
use keys::KeysCommand;
use partner::PartnerCommand;
use person::PersonCommand;
use queue::QueueCommand;
use recovery::RecoveryCommand;
use user::UserCommand;

/// DCCP Gateway: mail between organisations as post-quantum sealed messages.
#[derive(Parser)]
#[command(name = "dccp-gateway", version, disable_help_subcommand = true, arg_required_else_help = true)]
struct CommandLine {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = FILE_NAME)]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Found an organisation: write a configuration, keys, DID and certificate. Never overwrites.
    Init(Box<InitArgs>),
    /// Report everything that is wrong with the configuration and the files it names.
    Check,
    /// Run the gateway until it is told to stop (SIGTERM, Ctrl-C).
    Run,
    /// Look at identities, and change what our own says.
    #[command(subcommand)]
    Did(DidCommand),
    /// Find partners, exchange partner files and decide whom to trust.
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// Give people DIDs of their own, and decide who may learn of them.
    #[command(subcommand)]
    Person(PersonCommand),
    /// Software of ours: give it an address, a DID and a token.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// People who may submit mail through this gateway with a password.
    #[command(subcommand)]
    User(UserCommand),
    /// Seal the private keys of a gateway that was founded without a master key.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// The keys that sign our mail for the open Internet (DKIM): make them, publish them, replace them.
    #[command(subcommand)]
    Dkim(DkimCommand),
    /// The certificates of a running gateway's doors.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// The recovery key of the organisation: make it, try it, use it.
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// Follow one message through a running gateway.
    Trace {
        /// A queue id (from the SMTP reply), a DCCP message id, or a Message-ID.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// See what waits in a running gateway, and decide about it.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Mail that must be kept: its key, what rests, legal holds, and taking copies out.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Print the description of the configuration file.
    Config(DescriptionArgs),
    /// Answer test vectors: JSON lines on standard input, JSON lines on standard output (docs/PROTOCOL.md).
    Vectors,
    /// Print the version.
    Version,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct DescriptionArgs {
    /// As the page docs/CONFIG.md.
    #[arg(long)]
    markdown: bool,
    /// As a commented file with every default, deploy/dccp-config.yaml.
    #[arg(long)]
    sample: bool,
    /// As a JSON schema, for editors.
    #[arg(long)]
    schema: bool,
}

/// Why a command was not done.
enum Failure {
    /// Exit code 3.
    Problems(Problems),
    /// Exit code 4.
    Conflict(String),
    /// Exit code 1.
    Said(String),
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::Problems(problems)
    }
}

impl Failure {
    fn said(error: impl std::fmt::Display) -> Failure {
        Failure::Said(error.to_string())
    }

    fn report(self) -> ExitCode {
        let (code, text) = match self {
            Failure::Said(text) => (1, format!("dccp-gateway: {text}")),
            Failure::Problems(problems) => (3, problems.to_string()),
            Failure::Conflict(text) => (4, text),
        };
        // Without a standard error there is nobody to tell; the exit code still says it.
        let _ = writeln!(std::io::stderr(), "{}", harmless(text.trim_end(), &LINES));
        ExitCode::from(code)
    }
}

/// The program: reads the command line, does what it says, gives the exit code.
pub fn main() -> ExitCode {
    if let Err(refusal) = process::prepare() {
        return Failure::Said(refusal).report();
    }
    let CommandLine { config, command } = CommandLine::parse();
    let done = match command {
        Command::Init(args) => init::init(&args, clock::system()),
        Command::Check => check(&config),
        Command::Run => {
            process::settle_allocator();
            run(&config)
        }
        Command::Did(command) => did::did(command, &config, clock::system()),
        Command::Partner(command) => partner::partner(command, &config, clock::system()),
        Command::Person(command) => person::person(command, &config, clock::system()),
        Command::Agent(command) => agent::agent(command, &config, clock::system()),
        Command::User(command) => user::user(command, &config),
        Command::Keys(command) => keys::keys(&command, &config),
        Command::Dkim(command) => dkim::dkim(&command, &config, clock::system()),
        Command::Certificate(command) => certificate::certificate(&command, &config),
        Command::Recovery(command) => recovery::recovery(&command, &config, clock::system()),
        Command::Trace { id } => trace::trace(&config, &id),
        Command::Queue(command) => queue::queue(command, &config),
        Command::Archive(command) => archive::archive(command, &config, clock::system()),
        Command::Config(DescriptionArgs { markdown: true, .. }) => Ok(config::markdown()),
        Command::Config(DescriptionArgs { sample: true, .. }) => Ok(config::sample()),
        Command::Config(_) => Ok(format!("{:#}\n", config::schema())),
        Command::Vectors => vectors::vectors(),
        Command::Version => Ok(format!("dccp-gateway {}\n", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(text) => {
            // A reader that went away (`| head`) is no failure.
            let _ = std::io::stdout().write_all(harmless(&text, &LINES).as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => failure.report(),
    }
}

fn check(path: &Path) -> Result<String, Failure> {
    let config = Config::load(path)?;
    let custody = Custody::open(&config, clock::system()).map_err(Failure::said)?;
    if config.keys.master.is_none() {
        // Not a problem by which a laboratory should fail, but nothing to be silent about either.
        let _ = writeln!(
            std::io::stderr(),
            "warning: the private keys lie in the clear, because keys.master is not set: whoever copies the folder has \
             them. Set it and run `dccp-gateway keys seal`."
        );
    }
    if !custody.takes_part_in(&config.suites.accepted()) {
        let _ = writeln!(
            std::io::stderr(),
            "warning: partners go by the signed manifest, and it does not list the suites of suites.accept: run \
             `dccp-gateway did devices renew` and restart the gateway."
        );
    }
    Ok(format!("{} is in order: {}, {}\n", path.display(), config.domains().join(", "), custody.did()))
}

fn run(path: &Path) -> Result<String, Failure> {
    let config = Config::load(path)?;
    logging::start(&config.log);
    runtime(&mut tokio::runtime::Builder::new_multi_thread())?
        .block_on(Box::pin(crate::run::run(config)))
        .map(|()| String::new())
        .map_err(Failure::said)
}

/// A whole file, or standard input for `-`; one octet more than `bytes_max` at most, which the reader then refuses.
fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| Failure::Said(format!("{}: {error}", path.display()));
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(unreadable)?),
    };
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// For the commands that speak to the database or the network and end soon.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime(&mut tokio::runtime::Builder::new_current_thread())?.block_on(work)
}

fn runtime(builder: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, Failure> {
    builder.enable_all().build().map_err(|error| Failure::Said(format!("no runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }
}
