//! `vectors`: what this implementation computes, one JSON line for one JSON line, for another implementation to compare
//! itself with (`docs/PROTOCOL.md`, "Interop command").
//!
//! ```text
//! {"id": 7, "op": "x25519.public", "private": "hex"}  ──►  {"id": 7, "ok": {"public": "hex"}}
//! {"id": 8, "op": "x25519.public"}                    ──►  {"id": 8, "error": "Missing(\"private\")", "why": "…"}
//! ```
//!
//! Octets are hexadecimal. `error` is a name for machines, `why` are words for people; neither repeats what was asked,
//! because that may be a private key. A line that is no request is answered like any other, and the next one is read.
//! The command reads no configuration and no key of an organisation, keeps nothing and logs nothing: it is for keys of
//! tests, which stand on its input and output.

mod bodies;
mod fields;
mod messages;
mod primitives;

use std::fmt::Debug;
use std::io::{self, BufRead, Read, Write};

use serde_json::{Map, Value, json};

use super::Failure;
use fields::{BadRequest, Fields};

/// Octets of one line: a message of some megabytes, or the longest log, in hexadecimal.
const LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What an operation gives.
type Outcome = Result<Value, Refusal>;

/// The name of an operation, and what does it.
type Operation = (&'static str, fn(&Fields) -> Outcome);

/// Why an operation gives nothing.
#[derive(Debug, PartialEq)]
struct Refusal {
    error: String,
    why: String,
}

impl<E: std::error::Error + Debug> From<E> for Refusal {
    /// The name of an error is its form for programmers, as the files of `dccp/vectors/` have it.
    fn from(error: E) -> Self {
        Self { error: format!("{error:?}"), why: error.to_string() }
    }
}

/// Answers each line of standard input on standard output until the input ends.
pub(super) fn vectors() -> Result<String, Failure> {
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::said(error)),
        // A reader that went away has heard enough.
        _ => Ok(String::new()),
    }
}

fn serve(requests: &mut impl BufRead, answers: &mut impl Write) -> io::Result<()> {
    while let Some(line) = next_line(requests)? {
        let answer = line.map_or_else(|refusal| refused(&Value::Null, refusal.into()), |line| answer(&line));
        // One write for the whole line, so that nobody waits for the rest of it.
        answers.write_all(format!("{answer}\n").as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

/// The next line; one that is too long is read away without being kept.
fn next_line(requests: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, BadRequest>>> {
    let mut line = Vec::new();
    requests.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') || (line.len() as u64) < LINE_BYTES_MAX {
        return Ok(Some(Ok(line)));
    }
    requests.skip_until(b'\n')?;
    Ok(Some(Err(BadRequest::TooLong)))
}

fn answer(line: &[u8]) -> Value {
    let Ok(Value::Object(request)) = serde_json::from_slice(line) else {
        return refused(&Value::Null, BadRequest::NotAnObject.into());
    };
    let id = request.get("id").unwrap_or(&Value::Null);
    match perform(&request) {
        Ok(found) => json!({"id": id, "ok": found}),
        Err(refusal) => refused(id, refusal),
    }
}

fn perform(request: &Map<String, Value>) -> Outcome {
    let fields = Fields::of(request);
    let name = fields.text("op")?;
    let known = operations().find(|(known, _)| *known == name);
    let (_, operation) = known.ok_or(BadRequest::UnknownOperation)?;
    operation(&fields)
}

fn operations() -> impl Iterator<Item = &'static Operation> {
    primitives::OPERATIONS.iter().chain(&messages::OPERATIONS).chain(&bodies::OPERATIONS)
}

fn refused(id: &Value, refusal: Refusal) -> Value {
    json!({"id": id, "error": refusal.error, "why": refusal.why})
}

#[cfg(test)]
mod tests;
