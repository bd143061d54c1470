//! The configuration described for people: `docs/CONFIG.md` and the commented file that `init` writes.

use std::fmt::Write;

use serde_json::Value;

use super::model::Config;
use super::shape::{Key, Shape};
use super::tree::join;
use super::value::Format;

/// Doc comments are wrapped to this many characters when they become YAML comments.
const COMMENT_WIDTH: usize = 100;

/// `docs/CONFIG.md`. A test compares the file with this.
pub fn markdown() -> String {
    let mut page = String::from(concat!(
        "# dccp-config.yaml\n\n",
        "<!-- Printed by `dccp-gateway config --markdown`; do not edit. -->\n\n",
        "One gateway's configuration. `dccp-gateway init` writes it, `dccp-gateway check` reports everything that is\n",
        "wrong with it at once, and `dccp-gateway config --schema` prints a JSON schema for editors.\n\n",
        "- Relative paths start at the folder of the configuration file.\n",
        "- An unknown key is an error, so that a misspelt one is never silently ignored.\n",
        "- YAML anchors, aliases and tags are not read.\n",
        "- Secrets stand in files of their own that only the gateway's user may read (mode 0600), never in this file.\n",
        "- Names carry their units last: `_bytes_`, `_ms_`, `_s_`, `_h`, `_days`.\n\n",
        "## The top\n\n",
    ));
    describe(Shape::of_config().keys(), "", &mut page);
    page.push_str("\n## A complete file\n\nEvery key, with its default or an example:\n\n```yaml\n");
    page.push_str(&yaml_with_every_key());
    page.push_str("```\n");
    page
}

/// One table per section, sections below in their order.
fn describe(keys: &[Key], path: &str, page: &mut String) {
    page.push_str("| Key | Value | Default | Meaning |\n|---|---|---|---|\n");
    for key in keys {
        let (name, value) = (&key.name, cell(&words(&key.shape)));
        let (default, meaning) = (cell(&default_words(key)), cell(&meaning(key)));
        let _ = writeln!(page, "| `{name}` | {value} | {default} | {meaning} |");
    }
    for key in keys.iter().filter(|key| !key.shape.keys_below().is_empty()) {
        let each = if key.shape.keys().is_empty() { "[]" } else { "" };
        let path = format!("{}{each}", join(path, &key.name));
        let _ = write!(page, "\n## `{path}`\n\n{}\n\n", key.description);
        describe(key.shape.keys_below(), &path, page);
    }
}

fn words(shape: &Shape) -> String {
    match shape {
        Shape::Section(_) => "section".into(),
        Shape::List { item, least: 0 } => format!("list of {}", words(item)),
        Shape::List { item, least } => format!("list of {}, at least {least}", words(item)),
        Shape::Text(format) => format.words().into(),
        Shape::Whole { min, max: u64::MAX } => format!("number ≥ {min}"),
        Shape::Whole { min, max } => format!("number {min}–{max}"),
        Shape::Flag => "true, false".into(),
        Shape::Choice(choices) => {
            choices.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
    }
}

fn meaning(key: &Key) -> String {
    let Shape::Choice(choices) = &key.shape else { return key.description.clone() };
    let choices: Vec<_> = choices.iter().map(|(word, meaning)| format!("`{word}`: {meaning}")).collect();
    format!("{} {}", key.description, choices.join(" "))
}

fn default_words(key: &Key) -> String {
    match &key.default {
        _ if key.required => "**required**".into(),
        _ if !key.shape.keys().is_empty() && key.default.is_some() => "see below".into(),
        None => "none".into(),
        Some(value) => format!("`{}`", flow(value)),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn yaml_with_every_key() -> String {
    let mut yaml = String::new();
    keys(Shape::of_config().keys(), &everything(), 0, &mut yaml, &|_, _| Style::Bare);
    yaml
}

fn everything() -> Value {
    serde_json::to_value(Config::example()).unwrap_or_default()
}

/// What a new gateway starts from, as a commented file.
pub fn sample() -> String {
    commented_yaml(&Config::fresh())
}

/// The file that `init` writes: what `config` sets stands as it is, what it leaves at its default stands commented
/// out, each key below its doc comment.
pub fn commented_yaml(config: &Config) -> String {
    let mut yaml = String::from(concat!(
        "# DCCP Gateway configuration. docs/CONFIG.md describes every key.\n",
        "# After a change: dccp-gateway check. Lines that start with `#` and a key show the default.\n\n",
    ));
    let value = serde_json::to_value(config).unwrap_or_default();
    keys(Shape::of_config().keys(), &value, 0, &mut yaml, &|key, value| {
        let unset = value.is_null() || key.default.as_ref() == Some(value);
        if unset { Style::Off } else { Style::On }
    });
    yaml
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// No comments.
    Bare,
    /// With its doc comment.
    On,
    /// With its doc comment, itself commented out.
    Off,
}

fn keys(
    keys_: &[Key],
    values: &Value,
    depth: usize,
    yaml: &mut String,
    style: &dyn Fn(&Key, &Value) -> Style,
) {
    let indent = "  ".repeat(depth);
    for key in keys_ {
        let value = &values[&key.name];
        let style_here = style(key, value);
        if style_here != Style::Bare {
            comment(&key.description, &indent, yaml);
        }
        let shown = if value.is_null() { &key.example } else { value };
        match key.shape.keys() {
            [] => {
                let off = if style_here == Style::Off { "# " } else { "" };
                let _ = writeln!(yaml, "{indent}{off}{}: {}", key.name, flow_of(&key.shape, shown));
            }
            below if value.is_null() && style_here == Style::Off => {
                let _ = writeln!(yaml, "{indent}# {}: {}", key.name, flow_section(below, shown));
            }
            below => {
                let _ = writeln!(yaml, "{indent}{}:", key.name);
                keys(below, shown, depth + 1, yaml, style);
            }
        }
        if depth == 0 && style_here != Style::Bare {
            yaml.push('\n');
        }
    }
    if depth == 0 && yaml.ends_with("\n\n") {
        yaml.pop();
    }
}

fn comment(description: &str, indent: &str, yaml: &mut String) {
    let mut line = String::new();
    for word in description.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COMMENT_WIDTH {
            let _ = writeln!(yaml, "{indent}#{line}");
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(yaml, "{indent}#{line}");
}

fn flow_of(shape: &Shape, value: &Value) -> String {
    match (shape, value) {
        // Paths and names read better without quotes; everything our formats allow is safe so, but for a leading `[`.
        (Shape::Text(Format::HostPort | Format::Listen | Format::LoopbackListen | Format::Server), value) => {
            flow(value)
        }
        (Shape::Text(_) | Shape::Choice(_), Value::String(text)) if is_plain(text) => text.clone(),
        _ => flow(value),
    }
}

/// Safe in YAML without quotes, whatever stands around it.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
        && !matches!(text, "true" | "false" | "null")
        && text.parse::<f64>().is_err()
}

fn flow_section(keys: &[Key], values: &Value) -> String {
    let entries: Vec<_> =
        keys.iter().map(|key| format!("{}: {}", key.name, flow_of(&key.shape, &values[&key.name]))).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// JSON is YAML; only lists get a blank after their commas.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
