//! YAML text to a small tree in which every value knows its place.
//!
//! `serde` loses the place of a value and stops at the first mistake; we want all mistakes with their places, so
//! the file is read as the events of serde-saphyr's own scanner. Only the plain part of YAML is taken: one document,
//! mappings with text keys, sequences, scalars. Anchors, aliases, tags and directives are refused: a configuration
//! does not need them, and without them a small file cannot unfold into a large one.

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span};

use super::problem::{Mark, Problem};

/// A real configuration is a few KiB; more than this is the wrong file.
pub(crate) const YAML_BYTES_MAX: u64 = 256 * 1024;

/// `smtp.limits.idle_s_max` is three deep; more than this is no configuration of ours.
pub(crate) const YAML_DEPTH_MAX: usize = 16;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its first character.
    pub(crate) at: Mark,
    /// What it is.
    pub(crate) content: Content,
}

/// The kinds of value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A scalar; `plain` when written without quotes, so that `8` may be a number and `"8"` may not.
    Scalar {
        /// After unquoting.
        text: String,
        /// Written without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Section(Vec<Entry>),
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) at: Mark,
    /// The key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: Node,
}

impl Node {
    /// Nothing was written: `key:` or `key: ~`.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// "a list", "a section", "text": for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            _ if self.is_empty() => "nothing",
            Content::Scalar { .. } => "a single value",
            Content::List(_) => "a list",
            Content::Section(_) => "a section",
        }
    }
}

/// Reads one document. Duplicate keys are found here; they are added to `problems` and the first one is kept.
///
/// # Errors
/// The one problem after which nothing more can be said of the file.
pub(crate) fn parse(yaml: &str, problems: &mut Vec<Problem>) -> Result<Node, Problem> {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = true;
    options.flow_nesting_limit = YAML_DEPTH_MAX;
    options.block_nesting_limit = YAML_DEPTH_MAX;
    let mut reader = Reader { parser: Parser::new_from_str_with_options(yaml, options), problems };
    reader.document()
}

struct Reader<'a, 'y> {
    parser: Parser<'y, granit_parser::StrInput<'y>>,
    problems: &'a mut Vec<Problem>,
}

impl<'y> Reader<'_, 'y> {
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => return Err(second_document(mark(&span))),
                Event::StreamEnd => break,
                other => root = Some(self.node(other, &span, "", 0)?),
            }
        }
        root.ok_or_else(|| Problem::whole("is empty.", "Write one with `dccp-gateway init`."))
    }

    fn next(&mut self) -> Result<(Event<'y>, Span), Problem> {
        match self.parser.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => {
                let at = Mark { line: error.marker().line(), column: error.marker().col() + 1 };
                let what = format!("this is not YAML: {}.", error.info().trim_end_matches('.'));
                Err(Problem::at(
                    at,
                    "",
                    what,
                    "Look at the indentation, quotes and colons here and in the line above.",
                ))
            }
            None => Err(Problem::whole("ends in the middle of a value.", "Complete the last lines.")),
        }
    }

    fn node(&mut self, event: Event<'y>, span: &Span, path: &str, depth: usize) -> Result<Node, Problem> {
        let at = mark(span);
        if depth > YAML_DEPTH_MAX {
            return Err(Problem::at(
                at,
                path,
                "is nested too deeply.",
                "No key of ours lies this deep: check the indentation.",
            ));
        }
        if event.tag().is_some() || event.anchor_id().is_some() {
            let advice = "Write the value out; tags (`!`), anchors (`&`) and aliases (`*`) are not read.";
            return Err(Problem::at(at, path, "uses a YAML tag or anchor.", advice));
        }
        let content = match event {
            Event::Scalar(text, style, ..) => {
                Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Content::List(self.list(path, depth)?),
            Event::MappingStart(..) => Content::Section(self.section(path, depth)?),
            _ => {
                let advice = "Write the value out; aliases (`*`) are not read. A value that starts with `*` needs quotes.";
                return Err(Problem::at(at, path, "uses a YAML alias.", advice));
            }
        };
        Ok(Node { at, content })
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(list);
            }
            let path = format!("{path}[{}]", list.len());
            list.push(self.node(event, &span, &path, depth + 1)?);
        }
    }

    fn section(&mut self, path: &str, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let at = mark(&span);
            let Event::Scalar(key, ..) = event else {
                return Err(Problem::at(
                    at,
                    path,
                    "has a key that is not a word.",
                    "Keys are plain words, as in `listen: …`.",
                ));
            };
            let key = key.into_owned();
            let path = join(path, &key);
            let (event, span) = self.next()?;
            let value = self.node(event, &span, &path, depth + 1)?;
            match entries.iter().find(|entry| entry.key == key) {
                None => entries.push(Entry { at, key, value }),
                Some(first) => {
                    let what = format!("is given twice; the first is in line {}.", first.at.line);
                    self.problems.push(Problem::at(at, &path, what, "Keep one of the two."));
                }
            }
        }
    }
}

/// `section.key`, or `key` at the top.
pub(crate) fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn second_document(at: Mark) -> Problem {
    Problem::at(at, "", "a second YAML document starts here.", "Remove the line `---` and keep one document.")
}

fn mark(span: &Span) -> Mark {
    Mark { line: span.start.line(), column: span.start.col() + 1 }
}
