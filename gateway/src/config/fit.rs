//! A tree held against a shape: every misfit becomes a problem, what fits becomes a value.

use std::path::Path;

use serde_json::{Map, Value};

use super::problem::{Mark, Problem};
use super::shape::{Key, Shape};
use super::tree::{Content, Entry, Node, join};
use super::value::Format;

/// How alike two words must be (Jaro-Winkler, 0 to 1) for one to be proposed for the other.
const LIKENESS_MIN: f64 = 0.82;

/// A single value that fits, given or defaulted, for the checks that look at several values or at the world.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Where it stands; a defaulted value has the place of its section.
    pub(super) at: Mark,
    /// Its key path, such as `smtp.listen[0]`.
    pub(super) path: String,
    /// The format of a text; `None` for numbers, flags and choices.
    pub(super) format: Option<Format>,
    /// The value; of a path, made absolute.
    pub(super) value: Value,
}

/// The state of one comparison.
pub(super) struct Fit<'a> {
    /// The folder that relative paths start from.
    pub(super) base: &'a Path,
    /// What did not fit.
    pub(super) problems: &'a mut Vec<Problem>,
    /// What did.
    pub(super) leaves: Vec<Leaf>,
}

impl Fit<'_> {
    /// The value of `node`, or `None` when it or something in it does not fit.
    pub(super) fn node(&mut self, shape: &Shape, node: &Node, path: &str) -> Option<Value> {
        match (shape, &node.content) {
            (Shape::Section(keys), Content::Section(entries)) => self.section(keys, entries, node.at, path),
            (Shape::Section(keys), _) if node.is_empty() => self.section(keys, &[], node.at, path),
            (Shape::List { item, least }, Content::List(items)) => {
                self.list(item, *least, items, node.at, path)
            }
            (shape, Content::Scalar { text, plain }) if shape.is_single() && !node.is_empty() => {
                self.scalar(shape, text, *plain, node.at, path)
            }
            _ => {
                let what = format!("has {}, but {} is needed.", node.kind(), needed(shape));
                self.wrong(node.at, path, what, how(shape))
            }
        }
    }

    fn section(&mut self, keys: &[Key], entries: &[Entry], at: Mark, path: &str) -> Option<Value> {
        for entry in entries.iter().filter(|entry| keys.iter().all(|key| key.name != entry.key)) {
            let path = join(path, &entry.key);
            self.wrong(entry.at, &path, "there is no such key.", advise_key(keys, &entry.key));
        }
        let mut section = Map::new();
        let mut complete = true;
        for key in keys {
            let path = join(path, &key.name);
            let value = match entries.iter().find(|entry| entry.key == key.name) {
                Some(entry) if entry.value.is_empty() && !key.required && key.shape.keys().is_empty() => {
                    self.assume(key, at, &path)
                }
                Some(entry) => self.node(&key.shape, &entry.value, &path),
                None if key.required => self.missing(key, at, &path),
                None => self.assume(key, at, &path),
            };
            complete &= value.is_some();
            section.insert(key.name.clone(), value.unwrap_or_default());
        }
        complete.then_some(Value::Object(section))
    }

    fn list(&mut self, item: &Shape, least: u64, items: &[Node], at: Mark, path: &str) -> Option<Value> {
        if (items.len() as u64) < least {
            let what = format!("has {} items, but needs at least {least}.", items.len());
            return self.wrong(at, path, what, "Add one, or remove the line for the default.");
        }
        let values: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(i, node)| self.node(item, node, &format!("{path}[{i}]")))
            .collect();
        values.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn scalar(&mut self, shape: &Shape, text: &str, plain: bool, at: Mark, path: &str) -> Option<Value> {
        let read = match shape {
            Shape::Text(format) if !(plain && is_number_or_flag(text)) => match format.check(text) {
                Ok(()) => Some(Value::from(self.rooted(*format, text))),
                Err(wrong) => return self.wrong(at, path, wrong.what, wrong.advice),
            },
            Shape::Whole { min, max } if plain => {
                whole(text).filter(|number| (*min..=*max).contains(number)).map(Value::from)
            }
            Shape::Flag if plain => text.parse::<bool>().ok().map(Value::from),
            Shape::Choice(words) => words.iter().any(|(word, _)| word == text).then(|| Value::from(text)),
            _ => None,
        };
        match read {
            Some(value) => Some(self.keep(shape, at, path, value)),
            None => {
                let shown = if plain { text.to_owned() } else { format!("\"{text}\"") };
                self.wrong(at, path, format!("{shown} is not {}.", needed(shape)), how(shape))
            }
        }
    }

    /// The default of an absent key. Its paths and addresses are checked like given ones.
    fn assume(&mut self, key: &Key, at: Mark, path: &str) -> Option<Value> {
        match (&key.default, &key.shape) {
            (None, _) => Some(Value::Null),
            (Some(_), Shape::Section(keys)) => self.section(keys, &[], at, path),
            (Some(Value::Array(values)), Shape::List { item, .. }) => {
                for (i, value) in values.iter().enumerate() {
                    self.keep(item, at, &format!("{path}[{i}]"), value.clone());
                }
                key.default.clone()
            }
            (Some(Value::String(text)), Shape::Text(format)) => {
                let value = Value::from(self.rooted(*format, text));
                Some(self.keep(&key.shape, at, path, value))
            }
            (Some(value), shape) => Some(self.keep(shape, at, path, value.clone())),
        }
    }

    fn keep(&mut self, shape: &Shape, at: Mark, path: &str, value: Value) -> Value {
        let format = if let Shape::Text(format) = shape { Some(*format) } else { None };
        self.leaves.push(Leaf { at, path: path.to_owned(), format, value: value.clone() });
        value
    }

    fn rooted(&self, format: Format, text: &str) -> String {
        match format.is_path() {
            true => self.base.join(text).to_string_lossy().into_owned(),
            false => text.to_owned(),
        }
    }

    fn missing(&mut self, key: &Key, at: Mark, path: &str) -> Option<Value> {
        let below: Vec<_> =
            key.shape.keys().iter().filter(|k| k.required).map(|k| format!("`{}`", k.name)).collect();
        let advice = match below.is_empty() {
            true => format!("Add the line `{}: {}` here.", key.name, plain(&key.example)),
            false => format!("Add the section `{}:` with {}.", key.name, below.join(" and ")),
        };
        self.wrong(at, path, "is missing.", advice)
    }

    fn wrong(
        &mut self,
        at: Mark,
        path: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Option<Value> {
        self.problems.push(Problem::at(at, path, what, advice));
        None
    }
}

/// The nearest key of the same section, else the section where the key is at home, else the keys there are.
fn advise_key(keys: &[Key], word: &str) -> String {
    let likeness = |key: &&Key| strsim::jaro_winkler(&key.name, word);
    let nearest = keys.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    if let Some(key) = nearest.filter(|key| likeness(key) >= LIKENESS_MIN) {
        return format!("Did you mean `{}`?", key.name);
    }
    let mut homes = Vec::new();
    homes_of(Shape::of_config(), "", word, &mut homes);
    if !homes.is_empty() {
        return format!("`{word}` belongs elsewhere, as {}: check the indentation.", homes.join(" or "));
    }
    let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    format!("Remove the line; the keys here are {}.", names.join(", "))
}

fn homes_of(shape: &Shape, path: &str, word: &str, homes: &mut Vec<String>) {
    for key in shape.keys() {
        let path = join(path, &key.name);
        if key.name == word {
            homes.push(format!("`{path}`"));
        }
        homes_of(&key.shape, &path, word, homes);
    }
}

/// "a whole number from 1 to 72": what would fit.
pub(super) fn needed(shape: &Shape) -> String {
    match shape {
        Shape::Section(_) => "a section".into(),
        Shape::List { .. } => "a list".into(),
        Shape::Text(_) => "text".into(),
        Shape::Whole { min, max: u64::MAX } => format!("a whole number of at least {min}"),
        Shape::Whole { min, max } => format!("a whole number from {min} to {max}"),
        Shape::Flag => "true or false".into(),
        Shape::Choice(words) => {
            let words: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
            format!("one of {}", words.join(", "))
        }
    }
}

fn how(shape: &Shape) -> &'static str {
    match shape {
        Shape::Section(_) => "Write its keys below it, each indented by two spaces.",
        Shape::List { .. } => "Write `[first, second]`, or one `- item` per line below it.",
        Shape::Text(_) => "Write text; put a word that looks like a number, true or false in quotes.",
        Shape::Whole { .. } => "Write digits only, without unit, quotes or separators.",
        Shape::Flag | Shape::Choice(_) => "Write the word without quotes, in lower case.",
    }
}

/// Digits only: YAML's other forms (`0o17`, `1e3`, `+5`) are more often mistakes than wishes.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What YAML itself would not read as text.
fn is_number_or_flag(text: &str) -> bool {
    matches!(text, "true" | "false") || text.parse::<f64>().is_ok()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
