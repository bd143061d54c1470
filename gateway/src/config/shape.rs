//! What a configuration may look like: the schemars schema of [`Config`], read into a few plain words.
//!
//! The check of a file, `docs/CONFIG.md` and the file that `init` writes all follow this one description, so they
//! cannot disagree with the types.

use std::sync::LazyLock;

use serde_json::Value;

use super::model::Config;
use super::tree::{self, Content, Node};
use super::value::Format;

/// One key of a section.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    /// As written.
    pub(super) name: String,
    /// What its value may be.
    pub(super) shape: Shape,
    /// Whether the file must have it.
    pub(super) required: bool,
    /// Its value when the file has it not; `None` for required and for truly absent keys.
    pub(super) default: Option<Value>,
    /// The value of [`Config::example`].
    pub(super) example: Value,
    /// The doc comment of the field.
    pub(super) description: String,
}

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// A mapping with these keys and no others, in the order of the struct.
    Section(Vec<Key>),
    /// A sequence of at least so many.
    List {
        /// What each item may be.
        item: Box<Shape>,
        /// Fewest items.
        least: u64,
    },
    /// Text.
    Text(Format),
    /// A whole number in this range, both ends included.
    Whole {
        /// Least.
        min: u64,
        /// Greatest.
        max: u64,
    },
    /// `true` or `false`.
    Flag,
    /// One of these words, each with its description.
    Choice(Vec<(String, String)>),
}

impl Shape {
    /// The shape of the whole file.
    pub(super) fn of_config() -> &'static Shape {
        static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
            let example = serde_json::to_value(Config::example()).unwrap_or_default();
            shape(&schema(), &order(), &example)
        });
        &SHAPE
    }

    /// Whether the value is one word, not a list or a section.
    pub(super) fn is_single(&self) -> bool {
        !matches!(self, Shape::Section(_) | Shape::List { .. })
    }

    /// The keys of a section, or of the sections in a list.
    pub(super) fn keys_below(&self) -> &[Key] {
        match self {
            Shape::List { item, .. } => item.keys(),
            other => other.keys(),
        }
    }

    /// The keys of a section; none for every other shape.
    pub(super) fn keys(&self) -> &[Key] {
        match self {
            Shape::Section(keys) => keys,
            _ => &[],
        }
    }
}

/// The JSON schema of the file, for editors: `dccp-gateway config --schema`.
pub fn schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

/// JSON objects have no order, JSON *text* written from a struct has: the example's text is read back as a tree.
fn order() -> Node {
    let text = serde_json::to_string(&Config::example()).unwrap_or_default();
    let nothing = Node { at: super::problem::Mark { line: 1, column: 1 }, content: Content::List(vec![]) };
    tree::parse(&text, &mut Vec::new()).unwrap_or(nothing)
}

fn shape(schema: &Value, order: &Node, example: &Value) -> Shape {
    if let Some(branches) = schema["anyOf"].as_array() {
        let some = branches.iter().find(|branch| branch["type"] != "null");
        return some.map_or(Shape::Section(vec![]), |branch| shape(branch, order, example));
    }
    if let Some(words) = schema["oneOf"].as_array() {
        let word = |branch: &Value| (text(&branch["const"]), text(&branch["description"]));
        return Shape::Choice(words.iter().map(word).collect());
    }
    match kind(schema) {
        "object" => Shape::Section(keys(schema, order, example)),
        "array" => {
            // The example's first item stands for all.
            let first = match &order.content {
                Content::List(items) => items.first().unwrap_or(order),
                _ => order,
            };
            let item = Box::new(shape(&schema["items"], first, &example[0]));
            Shape::List { item, least: schema["minItems"].as_u64().unwrap_or(0) }
        }
        "integer" => Shape::Whole {
            min: schema["minimum"].as_u64().unwrap_or(0),
            max: schema["maximum"].as_u64().unwrap_or(u64::MAX),
        },
        "boolean" => Shape::Flag,
        _ => Shape::Text(Format::of_schema(schema["format"].as_str().unwrap_or("text"))),
    }
}

fn keys(schema: &Value, order: &Node, example: &Value) -> Vec<Key> {
    let Content::Section(entries) = &order.content else { return vec![] };
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let key = |entry: &tree::Entry| {
        let name = &entry.key;
        let of = &schema["properties"][name];
        Key {
            name: name.clone(),
            shape: shape(of, &entry.value, &example[name]),
            required: required(name),
            default: of.get("default").filter(|default| !default.is_null()).cloned(),
            example: example[name].clone(),
            description: text(&of["description"]).replace('\n', " "),
        }
    };
    entries.iter().map(key).collect()
}

/// The schema's type; of `["string", "null"]` (an `Option`) the first.
fn kind(schema: &Value) -> &str {
    schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("string")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_key<'a>(shape: &'a Shape, path: &str, found: &mut Vec<(String, &'a Key)>) {
        for key in shape.keys() {
            let path = tree::join(path, &key.name);
            found.push((path.clone(), key));
            every_key(&key.shape, &path, found);
            if let Shape::List { item, .. } = &key.shape {
                every_key(item, &format!("{path}[]"), found);
            }
        }
    }

    #[test]
    fn every_key_is_documented_in_a_sentence() {
        let mut found = Vec::new();
        every_key(Shape::of_config(), "", &mut found);
        assert!(found.len() > 40, "{}", found.len());
        for (path, key) in found {
            assert!(key.description.ends_with('.'), "{path}: {:?}", key.description);
        }
    }

    #[test]
    fn the_schema_and_the_example_have_the_same_keys() {
        fn agree(schema: &Value, shape: &Shape, path: &str) {
            let object = schema["anyOf"].as_array().map_or(schema, |branches| &branches[0]);
            let in_schema = object["properties"].as_object().map_or(0, |keys| keys.len());
            assert_eq!(in_schema, shape.keys().len(), "{path}");
            for key in shape.keys() {
                agree(&object["properties"][&key.name], &key.shape, &tree::join(path, &key.name));
            }
        }
        agree(&schema(), Shape::of_config(), "");
    }

    #[test]
    fn an_optional_section_is_neither_required_nor_defaulted() {
        let smtp = Shape::of_config().keys().iter().find(|key| key.name == "smtp").unwrap();
        let tls = smtp.shape.keys().iter().find(|key| key.name == "tls").unwrap();
        assert!(!tls.required && tls.default.is_none());
        assert_eq!(tls.shape.keys().len(), 2);
    }
}
