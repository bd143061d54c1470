//! From a file to [`Aliases`], strictly: what is taken cannot go round in circles, nor grow without measure.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use dccp::address::canonical;
use smtp::address::Address;

use super::{Aliases, DEPTH_MAX, MEMBERS_MAX};
use crate::config::tree::{self, Content, Entry, Node};

/// Some ten thousand lines; who has more keeps them in a directory.
const FILE_BYTES_MAX: u64 = 512 * 1024;

/// What is wrong with a file of aliases.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mistake {
    /// Counted from 1; 0 when it is not about one line.
    pub line: usize,
    /// A sentence.
    pub what: String,
}

/// Reads and checks the file at `path`. `domains` are ours.
///
/// # Errors
/// The first [`Mistake`].
pub fn load(path: &Path, domains: &[String]) -> Result<Aliases, Mistake> {
    let unreadable =
        |error: std::io::Error| Mistake { line: 0, what: format!("it cannot be read: {error}.") };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    read(&text, domains)
}

/// Reads and checks a text. `domains` are ours.
///
/// # Errors
/// The first [`Mistake`].
pub fn read(text: &str, domains: &[String]) -> Result<Aliases, Mistake> {
    if text.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes; that is no file of aliases.");
        return Err(Mistake { line: 0, what });
    }
    if text.lines().all(|line| line.trim_start().is_empty() || line.starts_with('#')) {
        return Ok(Aliases::default());
    }
    let mut problems = Vec::new();
    let root = tree::parse(text, &mut problems).map_err(|problem| mistake_of(&problem))?;
    if let Some(problem) = problems.first() {
        return Err(mistake_of(problem));
    }
    let entries = match &root.content {
        Content::Section(entries) => entries,
        _ => {
            return Err(wrong(
                &root,
                format!("it has {}, but aliases are needed: `address: [address, …]`.", root.kind()),
            ));
        }
    };
    let mut members = HashMap::new();
    for entry in entries {
        let alias = alias_of(entry, domains)?;
        let taken = members.insert(alias, members_of(&entry.value)?);
        if taken.is_some() {
            return Err(at(entry, format!("{} is given twice.", entry.key)));
        }
    }
    let mut known = HashMap::new();
    for entry in entries {
        measure(&canonical(&entry.key), &members, &mut known, 0).map_err(|what| at(entry, what))?;
    }
    Ok(Aliases { members })
}

/// An address of ours: nobody may turn somebody else's mail.
fn alias_of(entry: &Entry, domains: &[String]) -> Result<String, Mistake> {
    let alias: Address =
        entry.key.parse().map_err(|error| at(entry, format!("{} is no address: {error}.", entry.key)))?;
    if domains.iter().all(|domain| domain != alias.domain()) {
        return Err(at(entry, format!("{alias} is not an address of a domain of ours.")));
    }
    Ok(canonical(alias.as_str()))
}

/// A list of addresses, or a single one.
fn members_of(node: &Node) -> Result<Vec<Address>, Mistake> {
    let nodes = match &node.content {
        Content::List(nodes) if !nodes.is_empty() => nodes.as_slice(),
        Content::Scalar { .. } if !node.is_empty() => std::slice::from_ref(node),
        _ => return Err(wrong(node, format!("there is {}, but addresses are needed.", node.kind()))),
    };
    nodes.iter().map(member_of).collect()
}

fn member_of(node: &Node) -> Result<Address, Mistake> {
    match &node.content {
        Content::Scalar { text, .. } => {
            text.parse().map_err(|error| wrong(node, format!("{text} is no address: {error}.")))
        }
        _ => Err(wrong(node, format!("there is {}, but an address is needed.", node.kind()))),
    }
}

/// What an alias comes to.
#[derive(Clone, Copy)]
enum Measured {
    /// It is being measured: meeting it again is a circle.
    Open,
    Done {
        depth: usize,
        members: usize,
    },
}

/// How many addresses `alias` comes to, counting everything as often as it is named; every alias is measured once. The
/// error is a sentence.
fn measure(
    alias: &str,
    all: &HashMap<String, Vec<Address>>,
    known: &mut HashMap<String, Measured>,
    above: usize,
) -> Result<(usize, usize), String> {
    let Some(members) = all.get(alias) else { return Ok((0, 1)) };
    match known.get(alias) {
        Some(Measured::Open) => return Err(format!("{alias} leads back to itself.")),
        Some(Measured::Done { depth, members }) => return Ok((*depth, *members)),
        None => {}
    }
    let too_deep = || format!("{alias} leads through more than {DEPTH_MAX} aliases.");
    if above >= DEPTH_MAX {
        return Err(too_deep());
    }
    known.insert(alias.to_owned(), Measured::Open);
    let (mut deepest, mut count) = (0, 0_usize);
    for member in members {
        let (depth, members) = measure(&canonical(member.as_str()), all, known, above + 1)?;
        deepest = deepest.max(depth);
        count = count.saturating_add(members);
    }
    if deepest + 1 > DEPTH_MAX {
        return Err(too_deep());
    }
    if count > MEMBERS_MAX {
        return Err(format!("{alias} comes to more than {MEMBERS_MAX} addresses."));
    }
    known.insert(alias.to_owned(), Measured::Done { depth: deepest + 1, members: count });
    Ok((deepest + 1, count))
}

fn mistake_of(problem: &crate::config::Problem) -> Mistake {
    let what = format!("{} {} {}", problem.path, problem.what, problem.advice);
    Mistake { line: problem.at.map_or(0, |at| at.line), what: what.trim_start().to_owned() }
}

fn at(entry: &Entry, what: String) -> Mistake {
    Mistake { line: entry.at.line, what }
}

fn wrong(node: &Node, what: String) -> Mistake {
    Mistake { line: node.at.line, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(text: &str) -> Result<Aliases, Mistake> {
        read(text, &["acme.test".to_owned(), "acme.example".to_owned()])
    }

    fn expanded(text: &str, to: &str) -> Option<Vec<String>> {
        let all = aliases(text).unwrap().expand(&to.parse().unwrap())?;
        Some(all.iter().map(ToString::to_string).collect())
    }

    const TEAM: &str = "\
# who does what
sales@acme.test: [alice@acme.test, Bob@Globex.test, everybody@acme.test]
everybody@acme.test:
  - alice@acme.test
  - support@acme.test
support@acme.test: carol@outside.test
";

    #[test]
    fn an_alias_comes_to_everybody_it_names_once() {
        let everybody = ["alice@acme.test", "carol@outside.test"];
        assert_eq!(expanded(TEAM, "Everybody@ACME.test").unwrap(), everybody);
        let sales = ["alice@acme.test", "Bob@globex.test", "carol@outside.test"];
        assert_eq!(expanded(TEAM, "sales@acme.test").unwrap(), sales);
        assert_eq!(expanded(TEAM, "alice@acme.test"), None);
        assert_eq!(aliases("").unwrap().count(), 0);
    }

    #[test]
    fn every_mistake_is_found_when_the_file_is_read_and_named_with_its_line() {
        for (text, line, words) in [
            ("\nteam@globex.test: alice@acme.test", 2, "not an address of a domain of ours"),
            ("team: alice@acme.test", 1, "no address"),
            ("team@acme.test: [alice]", 1, "no address"),
            ("team@acme.test: []", 1, "addresses are needed"),
            ("team@acme.test:", 1, "addresses are needed"),
            ("team@acme.test:\n  - [alice@acme.test]", 2, "an address is needed"),
            ("- team@acme.test", 1, "aliases are needed"),
            ("a@acme.test: b@acme.test\nA@acme.test: c@acme.test", 2, "given twice"),
            ("a@acme.test: b@acme.test\na@acme.test: c@acme.test", 2, "a@acme.test"),
            ("a@acme.test: [b@acme.test, A@acme.test]", 1, "leads back to itself"),
            ("a@acme.test: b@acme.test\nb@acme.test: c@acme.test\nc@acme.test: a@acme.test", 1, "leads back"),
        ] {
            let mistake = aliases(text).unwrap_err();
            assert_eq!(mistake.line, line, "{text}: {mistake}");
            assert!(mistake.what.contains(words), "{text}: {mistake}");
        }
    }

    #[test]
    fn an_alias_is_bounded_in_depth() {
        let chain = |length: usize| {
            let link = |i: usize| format!("a{i}@acme.test: a{}@acme.test\n", i + 1);
            (0..length).rev().map(link).collect::<String>()
        };
        assert!(aliases(&chain(DEPTH_MAX)).is_ok());
        assert!(aliases(&chain(DEPTH_MAX + 1)).unwrap_err().what.contains("more than 10 aliases"));
    }

    #[test]
    fn an_alias_is_bounded_in_number_however_cleverly_it_grows() {
        // Ten to the power of nine, in nine lines.
        let ten = |i: usize| vec![format!("a{}@acme.test", i + 1); 10].join(", ");
        let text: String = (0..9).map(|i| format!("a{i}@acme.test: [{}]\n", ten(i))).collect();
        assert!(aliases(&text).unwrap_err().what.contains("more than 10000 addresses"));
        let many: Vec<String> = (0..MEMBERS_MAX).map(|i| format!("p{i}@globex.test")).collect();
        let text = format!("all@acme.test: [{}]", many.join(", "));
        assert_eq!(expanded(&text, "all@acme.test").unwrap().len(), MEMBERS_MAX);
    }

    #[test]
    fn a_file_of_absurd_size_is_not_parsed() {
        let mistake = aliases(&"#".repeat(FILE_BYTES_MAX as usize + 1)).unwrap_err();
        assert!(mistake.what.contains("no file of aliases"), "{mistake}");
    }
}
