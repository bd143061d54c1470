//! `dccp-config.yaml`: one typed configuration, every mistake in it reported at once and with its place.
//!
//! Words of this room: a [`Config`] is what the house is built from; a [`Problem`] is one thing to mend; a `Shape` is
//! what the file may look like; a `Leaf` is one single value with its place.
//!
//! ```text
//!   model.rs (structs, doc comments) ─schemars─► shape.rs ──► print.rs ─► docs/CONFIG.md, the file of `init`
//!                                                   │
//!   file ─► tree.rs (values with places) ─► fit.rs ─┴─► leaves ─► checks/ ──► Config
//!                    └──────────────── Problems ◄─────────┴──────────┘
//! ```
//!
//! Invariants:
//! - One description: keys, types, ranges and texts stand in `model.rs` and `smtp.rs` only, defaults in `meaning.rs` and
//!   there.
//! - All or nothing: [`Config::load`] returns a configuration without a known problem, or all known problems.
//! - Every path in a loaded `Config` is absolute (or as absolute as the file's own path was).
//!
//! Deliberately absent: environment variables, includes, hot reload, secrets in the file.

mod acme;
mod agents;
mod archive;
mod certificates;
mod checks;
mod fit;
mod master;
mod meaning;
mod model;
mod outside;
mod print;
mod problem;
mod shape;
mod smtp;
pub mod tls;
pub(crate) mod tree;
mod value;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use acme::{Acme, ExternalAccount};
pub use agents::Agents;
pub use archive::{Archive, ArchiveDirection, ArchiveRule};
pub use master::{Master, MasterFrom, Pkcs11};
pub use model::{
    Authenticity, Config, Control, Delivery, DeliveryProtocol, DeliveryTls, Dkim, Finding, Keys, Log,
    LogFormat, LogLevel, Organisation, Overlay, Policies, Publication, Queue, SuiteName, Suites, Tls, Users,
};
pub use outside::{HeaderMark, MustEncrypt, Outside, OutsidePolicy, Smarthost};
pub use print::{commented_yaml, markdown, sample};
pub use problem::{Mark, Problem, Problems};
pub use shape::schema;
pub use smtp::{DoorLimits, MailDoor, Mx, Smtp, SmtpLimits, Submission, SubmissionFrom};
pub use value::{HostPort, Network, Wrong};

use fit::Fit;
use shape::Shape;

/// The name of the file when none is given.
pub const FILE_NAME: &str = "dccp-config.yaml";

impl Config {
    /// Reads and checks everything: the text, the values, and the files and folders they name.
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn load(path: &Path) -> Result<Config, Problems> {
        read(path, true)
    }

    /// Reads the text and the values only, for commands that need a few of them (`trace` needs no certificate).
    ///
    /// # Errors
    /// Every problem found, in the order of the file.
    pub fn read(path: &Path) -> Result<Config, Problems> {
        read(path, false)
    }

    /// Checks the values of a text that is not written yet; `path` is where it will stand.
    ///
    /// # Errors
    /// Every problem found, in the order of the text.
    pub fn of_text(text: &str, path: &Path) -> Result<Config, Problems> {
        let mut problems = Vec::new();
        let config = fitted(text, path, false, &mut problems);
        verdict(config, path, problems)
    }
}

fn read(path: &Path, ask_the_world: bool) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let config = text_of(path).and_then(|text| fitted(&text, path, ask_the_world, &mut problems));
    verdict(config, path, problems)
}

fn verdict(
    config: Result<Option<Config>, Problem>,
    path: &Path,
    mut problems: Vec<Problem>,
) -> Result<Config, Problems> {
    match config {
        Ok(Some(config)) if problems.is_empty() => Ok(config),
        Ok(_) => Err(Problems::new(path, problems)),
        Err(problem) => {
            problems.push(problem);
            Err(Problems::new(path, problems))
        }
    }
}

fn fitted(
    text: &str,
    path: &Path,
    ask_the_world: bool,
    problems: &mut Vec<Problem>,
) -> Result<Option<Config>, Problem> {
    let root = tree::parse(text, problems)?;
    let mut fit = Fit { base: path.parent().unwrap_or(Path::new("")), problems, leaves: Vec::new() };
    let value = fit.node(Shape::of_config(), &root, "");
    let leaves = fit.leaves;
    checks::agree(&leaves, problems);
    if ask_the_world {
        checks::the_world(&leaves, problems);
    }
    let config = value.map(serde_json::from_value).transpose();
    config.map_err(|error| checks::refused_by_serde(&error, root.at))
}

fn text_of(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::whole(
            "the file does not exist.",
            "Name it with `--config FILE`, or make one with `dccp-gateway init --domain YOUR.DOMAIN`.",
        ),
        _ => Problem::whole(
            format!("the file cannot be read: {error}."),
            "Correct its permissions or its path.",
        ),
    };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(tree::YAML_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > tree::YAML_BYTES_MAX {
        let what = format!("the file is larger than {} bytes.", tree::YAML_BYTES_MAX);
        return Err(Problem::whole(what, "This is not a gateway's configuration; check the path."));
    }
    String::from_utf8(bytes).map_err(|_| Problem::whole("the file is not UTF-8 text.", "Save it as UTF-8."))
}
