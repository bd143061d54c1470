//! The arrows of `docs/ARCHITECTURE.md`, as promises. What is read: the manifests, through `cargo metadata`, and a few
//! lines of source. When one of these tests fails, either the code took a short cut or the picture has to change too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may name whom among our own rooms. `gateway` is the house and may name every room but the proof.
const ARROWS: [(&str, &[&str]); 11] = [
    ("dccp", &[]),
    ("smtp", &[]),
    ("control", &[]),
    ("overlay", &["dccp"]),
    ("policies", &["dccp"]),
    ("federation", &["dccp"]),
    ("finding", &["dccp"]),
    ("keystore", &[]),
    ("admin-ui", &["control"]),
    (
        "gateway",
        &["admin-ui", "control", "dccp", "federation", "finding", "keystore", "overlay", "policies", "smtp"],
    ),
    (
        "tests",
        &[
            "admin-ui",
            "control",
            "dccp",
            "federation",
            "finding",
            "gateway",
            "keystore",
            "overlay",
            "policies",
            "smtp",
        ],
    ),
];

/// All that the control types need: a console on another machine must be able to speak them.
const CONTROL_MAY_NAME: [&str; 5] = ["async-trait", "schemars", "serde", "serde_json", "thiserror"];

/// Rooms whose every function depends on its arguments alone.
const PURE_ROOMS: [&str; 3] = ["dccp", "policies", "federation"];

/// How a clock, a disk, a socket, a runtime or hidden randomness would enter a pure room.
const IMPURITIES: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "rand::rng()",
    "tokio",
];

/// Rooms that read bytes from outside.
const WARY_ROOMS: [&str; 7] = ["dccp", "smtp", "overlay", "policies", "federation", "finding", "keystore"];

/// The lints that keep hostile bytes from ending the process.
const WARY_LINTS: [&str; 4] =
    ["clippy::unwrap_used", "clippy::expect_used", "clippy::indexing_slicing", "clippy::panic"];

#[test]
fn every_room_is_in_the_picture() {
    let drawn: BTreeSet<String> = ARROWS.iter().map(|(room, _)| room.to_string()).collect();
    let built: BTreeSet<String> = rooms().into_iter().map(|room| room.name).collect();
    assert_eq!(drawn, built);
}

#[test]
fn a_room_names_only_the_rooms_its_arrows_allow() {
    let rooms = rooms();
    let wrong = rooms.iter().flat_map(|room| {
        let allowed = arrows_of(&room.name);
        room.names
            .iter()
            .filter(move |name| name.is_ours && !allowed.contains(&name.package.as_str()))
            .map(move |name| format!("{} names {}", room.name, name.package))
    });
    assert_none(wrong);
}

#[test]
fn the_gateway_is_named_by_the_tests_alone_and_the_tests_by_nobody() {
    for (room, allowed) in ARROWS {
        assert!(!allowed.contains(&"tests"), "{room} may name the tests");
        assert!(room == "tests" || !allowed.contains(&"gateway"), "{room} may name the house");
    }
}

#[test]
fn only_the_overlay_names_libp2p() {
    let rooms = rooms();
    let wrong =
        rooms.iter().filter(|room| !["overlay", "tests"].contains(&room.name.as_str())).flat_map(|room| {
            let names = room.names.iter().filter(|name| name.package.starts_with("libp2p"));
            names.map(move |name| format!("{} names {}", room.name, name.package))
        });
    assert_none(wrong);
}

#[test]
fn only_policies_names_cedar() {
    let rooms = rooms();
    let wrong = rooms.iter().filter(|room| room.name != "policies").flat_map(|room| {
        let names = room.names.iter().filter(|name| name.package.starts_with("cedar"));
        names.map(move |name| format!("{} names {}", room.name, name.package))
    });
    assert_none(wrong);
}

#[test]
fn the_control_types_need_nothing_but_words() {
    let control = room("control");
    let wrong = control.names.iter().filter(|name| !name.is_dev);
    let wrong = wrong.filter(|name| !CONTROL_MAY_NAME.contains(&name.package.as_str()));
    assert_none(wrong.map(|name| format!("control names {}", name.package)));
}

#[test]
fn pure_rooms_have_no_clock_no_files_no_sockets_and_no_runtime() {
    let wrong = PURE_ROOMS.into_iter().map(room).flat_map(|room| {
        let runtimes = room.names.iter().filter(|name| !name.is_dev);
        let runtimes = runtimes
            .filter(|name| ["tokio", "async-std", "smol"].iter().any(|it| name.package.starts_with(it)));
        let mut wrong: Vec<String> =
            runtimes.map(|name| format!("{} names {}", room.name, name.package)).collect();
        for (file, text) in sources(&room.folder.join("src")) {
            let code = without_comments(without_tests(&file, &text));
            let found = IMPURITIES.into_iter().filter(|impurity| code.contains(impurity));
            wrong.extend(found.map(|impurity| format!("{} uses {impurity}", file.display())));
        }
        wrong
    });
    assert_none(wrong);
}

#[test]
fn rooms_that_read_hostile_bytes_deny_what_panics() {
    let wrong = WARY_ROOMS.into_iter().map(room).flat_map(|room| {
        let lib = read(&room.folder.join("src/lib.rs"));
        let missing = WARY_LINTS.into_iter().filter(|lint| !lib.contains(lint)).collect::<Vec<_>>();
        missing.into_iter().map(move |lint| format!("{} does not deny {lint}", room.name)).collect::<Vec<_>>()
    });
    assert_none(wrong);
}

#[test]
fn only_policies_can_make_a_permit() {
    let permit = read(&room("policies").folder.join("src/permit.rs"));
    let (before, after) = permit.split_once("pub struct Permit {").expect("the struct is in permit.rs");
    let (fields, after) = after.split_once('}').expect("a struct has an end");
    assert!(!fields.contains("pub"), "a field of Permit is public: {fields}");

    let attributes = before.rsplit("///").next().unwrap_or_default();
    assert!(attributes.contains("#[must_use"), "{attributes}");
    for derived in ["Clone", "Copy", "Default", "Deserialize", "From"] {
        assert!(!attributes.contains(derived), "Permit derives {derived}");
        assert!(!after.contains(&format!("{derived} for Permit")), "Permit implements {derived}");
    }
    let constructors = after.lines().filter(|line| line.contains("-> Self") || line.contains("-> Permit"));
    for constructor in constructors {
        assert!(constructor.trim_start().starts_with("pub(crate) fn"), "{constructor}");
    }
}

#[test]
fn nobody_outside_policies_even_tries_to_make_a_permit() {
    let here = root().join("tests/tests/architecture.rs");
    let judge = room("policies").folder;
    let wrong = sources(&root())
        .into_iter()
        .filter(|(file, _)| *file != here && !file.starts_with(&judge))
        .filter(|(_, text)| makes_a_permit(&without_comments(text)))
        .map(|(file, _)| format!("{} makes a Permit", file.display()));
    assert_none(wrong);
}

#[test]
fn a_permit_in_a_type_is_not_a_permit_made() {
    for made in ["let p = Permit { purpose };", "policies::Permit{rules}", "Permit::new(purpose, rules)"] {
        assert!(makes_a_permit(made), "{made}");
    }
    for named in [
        "fn f(p: Permit) {",
        "-> Permit {",
        "impl Show for Permit {",
        "OwnedSemaphorePermit { x }",
        "APermit::new()",
    ] {
        assert!(!makes_a_permit(named), "{named}");
    }
}

#[test]
fn every_room_takes_the_lints_of_the_workspace() {
    let wrong = rooms().into_iter().filter(|room| {
        let manifest = read(&room.folder.join("Cargo.toml"));
        section(&manifest, "[lints]").is_none_or(|lints| !lints.contains("workspace = true"))
    });
    assert_none(wrong.map(|room| format!("{} has its own lints", room.name)));
}

#[test]
fn unsafe_code_is_forbidden_in_the_whole_workspace() {
    let manifest = read(&root().join("Cargo.toml"));
    let lints = section(&manifest, "[workspace.lints.rust]").expect("the workspace has lints");
    assert!(lints.lines().any(|line| line.trim() == r#"unsafe_code = "forbid""#), "{lints}");
}

#[test]
fn every_room_has_a_readme_and_says_what_it_is() {
    let wrong = rooms().into_iter().flat_map(|room| {
        let mut wrong = Vec::new();
        if !room.folder.join("README.md").is_file() {
            wrong.push(format!("{} has no README.md", room.name));
        }
        if !read(&room.folder.join("src/lib.rs")).starts_with("//!") {
            wrong.push(format!("{} does not open with //!", room.name));
        }
        wrong
    });
    assert_none(wrong);
}

/// A package of the workspace.
struct Room {
    name: String,
    folder: PathBuf,
    names: Vec<Name>,
}

/// A line in one of its dependency tables.
struct Name {
    package: String,
    is_ours: bool,
    is_dev: bool,
}

fn rooms() -> Vec<Room> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(read_room).collect()
}

fn room(name: &str) -> Room {
    rooms().into_iter().find(|room| room.name == name).unwrap_or_else(|| panic!("there is no room {name}"))
}

fn read_room(package: &Value) -> Room {
    let manifest = Path::new(package["manifest_path"].as_str().expect("manifest_path"));
    let names = package["dependencies"].as_array().expect("dependencies").iter().map(|dependency| Name {
        // The package's real name, whatever a manifest renames it to.
        package: dependency["name"].as_str().expect("name").to_owned(),
        is_ours: dependency["path"].is_string(),
        is_dev: dependency["kind"] == "dev",
    });
    Room {
        name: package["name"].as_str().expect("name").to_owned(),
        folder: manifest.parent().expect("a folder").to_owned(),
        names: names.collect(),
    }
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace is above").canonicalize().expect("and exists")
}

fn arrows_of(room: &str) -> &'static [&'static str] {
    ARROWS.iter().find(|(name, _)| *name == room).map_or(&[], |(_, allowed)| *allowed)
}

/// Every Rust file below a folder, with its text. `target` and hidden folders are not ours.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = read(&path);
            found.push((path, text));
        }
    }
    found
}

/// The part of a source file that ships: nothing of a test file, and nothing after an inline test module begins.
fn without_tests<'a>(file: &Path, text: &'a str) -> &'a str {
    let is_test = file.iter().any(|part| part == "tests" || part == "tests.rs");
    if is_test {
        return "";
    }
    text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(shipped, _)| shipped)
}

fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// Whether code holds `Permit {…}` as an expression or calls its constructor. A type followed by a body is neither.
fn makes_a_permit(code: &str) -> bool {
    code.match_indices("Permit").any(|(at, word)| {
        let (before, after) = (&code[..at], code[at + word.len()..].trim_start());
        let whole_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let before = before.trim_end_matches("policies::").trim_end();
        let in_a_type = before.ends_with("->") || before.ends_with("for") || before.ends_with("struct");
        whole_word && (after.starts_with("::new(") || after.starts_with('{') && !in_a_type)
    })
}

/// The lines of a manifest under one heading.
fn section<'a>(manifest: &'a str, heading: &str) -> Option<&'a str> {
    let (_, after) = manifest.split_once(&format!("{heading}\n"))?;
    Some(after.split_once("\n[").map_or(after, |(section, _)| section))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_none(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}
