//! How a message comes in, by `DATA` or in chunks by `BDAT`, and how the session deals with one it cannot take.
//!
//! The octets of a refused chunk are read away before the refusal is said (RFC 3030 §2): they are no commands,
//! whatever stands in them. A chunk that fails ends its transaction, and the chunks behind it are read away too.

use super::chunks::Chunks;
use super::content::Content;
use super::keep::{BareLineEnds, Fault, Kept, Terms};
use super::{Body, Envelope, Session, State, Step, replies};
use crate::reply::Reply;
use crate::server::Event;

/// One `BDAT` whose octets are coming.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Octets announced.
    announced: u64,
    /// Octets still to come.
    left: u64,
    last: bool,
    /// To be said when all octets are here; they go nowhere then.
    refusal: Option<Reply>,
}

impl Chunk {
    /// Octets so far.
    pub(super) fn length(&self) -> u64 {
        self.announced - self.left
    }
}

impl Session {
    pub(super) fn data(&mut self) -> Option<Step> {
        if let Some(refusal) = self.not_ready_for_data() {
            return self.refuse_data(&refusal);
        }
        if self.in_chunks() {
            return self.refuse(&replies::chunks_begun()); // RFC 3030 §2
        }
        let content = Content::new(self.terms(), self.budget.grant());
        self.state = State::Content(Box::new(content));
        self.say(&replies::go_ahead());
        None
    }

    pub(super) fn chunk(&mut self, octets: u64, last: bool) -> Option<Step> {
        let refusal = self.not_ready_for_data();
        let (terms, grant) = (self.terms(), self.budget.grant());
        if let (Some(envelope), None) = (&mut self.envelope, &refusal) {
            envelope.chunks.get_or_insert_with(|| Box::new(Chunks::new(terms, grant)));
            if octets > 0 {
                self.commands = self.commands.saturating_sub(1); // bounded by size_max and the rate instead
            }
        }
        self.state = State::Chunk(Box::new(Chunk { announced: octets, left: octets, last, refusal }));
        None
    }

    /// The octets of a chunk, or the first of them.
    pub(super) fn chunk_octets(&mut self, input: &[u8]) -> (usize, Option<Step>) {
        let State::Chunk(chunk) = &mut self.state else { return (0, None) };
        let here = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(input.len());
        chunk.left -= here as u64;
        let whole = chunk.left == 0;
        if let (None, Some(envelope)) = (&chunk.refusal, &mut self.envelope)
            && let Some(chunks) = &mut envelope.chunks
        {
            chunks.feed(input.get(..here).unwrap_or_default());
        }
        (here, if whole { self.chunk_ended() } else { Some(Step::Read) })
    }

    fn chunk_ended(&mut self) -> Option<Step> {
        let State::Chunk(chunk) = std::mem::replace(&mut self.state, State::Command) else { return None };
        if let Some(refusal) = chunk.refusal {
            return self.refuse_data(&refusal);
        }
        let chunks = self.envelope.as_mut()?.chunks.take()?;
        if chunk.last {
            return self.message_complete(chunks.complete());
        }
        if let Some(fault) = chunks.fault() {
            return self.turn_away(fault);
        }
        if let Some(envelope) = &mut self.envelope {
            envelope.chunks = Some(chunks);
        }
        self.say(&replies::chunk_ok(chunk.announced));
        None
    }

    /// The final dot was read.
    pub(super) fn message_ended(&mut self) -> Option<Step> {
        let State::Content(content) = std::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        self.message_complete(content.complete())
    }

    /// A message has begun in chunks and is not whole yet.
    pub(super) fn in_chunks(&self) -> bool {
        self.chunks().is_some()
    }

    pub(super) fn chunks(&self) -> Option<&Chunks> {
        self.envelope.as_ref()?.chunks.as_deref()
    }

    /// Why no message may come now.
    fn not_ready_for_data(&self) -> Option<Reply> {
        match &self.envelope {
            None => Some(replies::mail_first()),
            Some(Envelope { asked: 0, .. }) => Some(replies::recipient_first()),
            Some(Envelope { accepted: 0, .. }) => Some(replies::no_valid_recipients()),
            Some(_) => None,
        }
    }

    /// That all recipients were refused is no error of a client that pipelines (RFC 2920 §3.1).
    fn refuse_data(&mut self, refusal: &Reply) -> Option<Step> {
        if *refusal == replies::no_valid_recipients() {
            self.say(refusal);
            return None;
        }
        self.refuse(refusal)
    }

    fn terms(&self) -> Terms {
        let address = self.client.address.ip();
        let lenient = self.config.bare_line_ends_from.iter().any(|network| network.contains(address));
        Terms {
            size_max: self.config.size_max,
            declared: self.envelope.as_ref().and_then(|envelope| envelope.size),
            bare_line_ends: if lenient { BareLineEnds::Mended } else { BareLineEnds::Refused },
        }
    }

    /// The house gets the message, or the client hears why not.
    fn message_complete(&mut self, message: Result<Kept, Fault>) -> Option<Step> {
        let kept = match message {
            Ok(kept) => kept,
            Err(fault) => return self.turn_away(fault),
        };
        if kept.mended > 0 {
            self.events.push(Event::LineEndsMended { count: kept.mended });
        }
        self.state = State::Asked;
        Some(Step::Message(Body { octets: kept.octets, grant: kept.grant }))
    }

    fn turn_away(&mut self, fault: Fault) -> Option<Step> {
        self.envelope = None;
        let (event, reply) = match fault {
            Fault::BareLineEnd { line } => {
                self.errors += 1;
                (Event::BareLineEnd { in_message: true }, replies::bare_line_end_in_message(line))
            }
            Fault::TooLarge { octets } => {
                (Event::MessageTooLarge, replies::too_large(octets, self.config.size_max))
            }
            Fault::NoMemory => (Event::MemoryExhausted, replies::no_memory()),
        };
        self.events.push(event);
        self.say(&reply);
        if self.errors > self.config.limits.errors_max { self.unwelcome() } else { None }
    }
}
