//! Values against the machine: files, their permissions and contents, the data folder.

use std::fs;
use std::path::Path;

use keystore::keyfile::{self, KeyFileError, Kind};

use super::super::certificates;
use super::super::fit::Leaf;
use super::super::problem::Problem;
use super::super::value::Format;
use super::{MASTER_FROM, domains, leaf, text};
use crate::aliases;
use crate::archive::key::{KeyError, PublicKey};

/// A local rule file is typed by a person.
const RULES_BYTES_MAX: u64 = 256 * 1024;

/// Which kind of key each secret file must hold; `….tls.key` is PEM and is checked with its certificate.
const KEY_KINDS: [(&str, Kind); 5] = [
    ("keys.operator", Kind::Operator),
    ("keys.device", Kind::Device),
    ("keys.node", Kind::Node),
    ("keys.storage", Kind::Storage),
    ("control.token", Kind::ControlToken),
];

/// Values against the machine: files, their permissions and contents, the data folder.
pub(in crate::config) fn the_world(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    for leaf in leaves {
        match leaf.format {
            _ if is_for_another_master(leaf, leaves) => {}
            Some(Format::SecretFile) => secret_file(leaf, leaves, problems),
            Some(Format::File) => readable(leaf, problems),
            Some(Format::Folder) => writable(leaf, problems),
            _ => {}
        }
    }
    certificates::the_world(leaves, problems);
    rules_compile(leaves, problems);
    aliases_end(leaves, problems);
    archive_key_is_one(leaves, problems);
}

/// `keys.master` may describe several sources; only the files of the one that is used have to be there.
fn is_for_another_master(asked: &Leaf, leaves: &[Leaf]) -> bool {
    let from = leaf(leaves, MASTER_FROM).map(text);
    let used_by: &[&str] = match asked.path.as_str() {
        "keys.master.file" => &["file", "prompt", "pkcs11"],
        path if path.starts_with("keys.master.pkcs11.") => &["pkcs11"],
        _ => return false,
    };
    !from.is_some_and(|from| used_by.contains(&from))
}

fn secret_file(asked: &Leaf, leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let path = Path::new(text(asked));
    let kind = KEY_KINDS.iter().find(|(key, _)| *key == asked.path).map(|(_, kind)| *kind);
    let sealed = kind != Some(Kind::ControlToken) && leaf(leaves, MASTER_FROM).is_some();
    let read = match kind {
        Some(kind) => keyfile::inspect(path, kind, sealed),
        None => keyfile::check_mode(path),
    };
    let Err(error) = read else { return };
    let (what, advice) = match error {
        KeyFileError::Exposed { mode, .. } => (
            format!("{} may be read by others (mode {mode:04o}).", path.display()),
            format!("Run `chmod 600 {}`; if others use this machine, make a new key.", path.display()),
        ),
        KeyFileError::NotThisKey { expected, .. } => (
            format!("{} is not a key file that starts with `{expected}`.", path.display()),
            "Check that the files are not swapped; `dccp-gateway init` in an empty folder writes a fresh set."
                .to_owned(),
        ),
        KeyFileError::Clear { .. } => (
            format!("{} lies in the clear although `keys.master` is set.", path.display()),
            "Run `dccp-gateway keys seal`, or put the sealed file back.".to_owned(),
        ),
        KeyFileError::Sealed { .. } => (
            format!("{} is sealed under a master key, but `keys.master` is not set.", path.display()),
            "Add the section `master:` below `keys:`, as `init` wrote it.".to_owned(),
        ),
        KeyFileError::Io { source, .. } => unreadable(path, &source),
        // Only opening tells these, and a look opens nothing.
        error @ (KeyFileError::OtherMaster { .. } | KeyFileError::Altered { .. }) => {
            (format!("{error}."), "Put the right file back.".to_owned())
        }
    };
    problems.push(Problem::at(asked.at, &asked.path, what, advice));
}

fn readable(leaf: &Leaf, problems: &mut Vec<Problem>) {
    let path = Path::new(text(leaf));
    if let Err(error) = fs::File::open(path).and_then(|file| whole_file(&file)) {
        let (what, advice) = unreadable(path, &error);
        problems.push(Problem::at(leaf.at, &leaf.path, what, advice));
    }
}

/// A folder opens like a file; only its metadata tells.
fn whole_file(file: &fs::File) -> std::io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(std::io::Error::other("it is not a file")) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> (String, String) {
    let what = match error.kind() {
        std::io::ErrorKind::NotFound => format!("{} does not exist.", path.display()),
        _ => format!("{} cannot be read: {error}.", path.display()),
    };
    (what, "Correct the path (relative paths start at the configuration file), or put the file there.".into())
}

/// Proven by writing: permission bits do not tell of a read-only or full file system.
fn writable(leaf: &Leaf, problems: &mut Vec<Problem>) {
    let folder = Path::new(text(leaf));
    let probe = folder.join(format!(".dccp-gateway-check-{}", std::process::id()));
    let written = fs::write(&probe, b"check").and_then(|()| fs::remove_file(&probe));
    let Err(error) = written else { return };
    let (what, advice) = match error.kind() {
        std::io::ErrorKind::NotFound => (
            format!("the folder {} does not exist.", folder.display()),
            "Correct the path; a new gateway is made by `dccp-gateway init`, a moved one brings its folder along.",
        ),
        _ => (
            format!("{} cannot be written to: {error}.", folder.display()),
            "Give the folder to the user the gateway runs as, or choose another.",
        ),
    };
    problems.push(Problem::at(leaf.at, &leaf.path, what, advice));
}

fn rules_compile(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(leaf) = leaf(leaves, "policies.rules") else { return };
    let path = Path::new(text(leaf));
    let Ok(size) = fs::metadata(path).map(|metadata| metadata.len()) else { return };
    let what = match fs::read_to_string(path) {
        _ if size > RULES_BYTES_MAX => format!("{} has {size} bytes; that is no rule file.", path.display()),
        Err(error) => format!("{} is not text: {error}.", path.display()),
        Ok(cedar) => match policies::Rules::with_local(&cedar) {
            Ok(_) => return,
            Err(error) => {
                format!("{}:{}: {}.", path.display(), error.line, error.message.trim_end_matches('.'))
            }
        },
    };
    problems.push(Problem::at(
        leaf.at,
        &leaf.path,
        what,
        "Correct the rule there; mail is only taken under rules that compile.",
    ));
}

fn aliases_end(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(leaf) = leaf(leaves, "aliases") else { return };
    let path = Path::new(text(leaf));
    if !path.is_file() {
        return; // told already
    }
    let Err(mistake) = aliases::load(path, &domains(leaves)) else { return };
    let what = format!("{}: {mistake}", path.display());
    problems.push(Problem::at(leaf.at, &leaf.path, what, "Correct the file of aliases there."));
}

/// Otherwise every mail that must be archived would be refused from the start on.
fn archive_key_is_one(leaves: &[Leaf], problems: &mut Vec<Problem>) {
    let Some(leaf) = leaf(leaves, "archive.key") else { return };
    let Err(error) = PublicKey::read(Path::new(text(leaf))) else { return };
    if matches!(error, KeyError::NotAKey(_)) {
        let advice = "Put the file there that `dccp-gateway archive key create` calls archive.pub.";
        problems.push(Problem::at(leaf.at, &leaf.path, format!("{error}."), advice));
    }
}
