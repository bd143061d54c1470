//! Command lines: from octets to commands, and what becomes of lines that are none.

use super::line::{Line, first_line, line_octets_max, skip_line};
use super::{Session, State, Step, command, replies};
use crate::server::{Closed, Event};

/// Octets of an overlong line that are read away before the session gives up: a mistake deserves its error
/// reply, a flood does not.
pub(super) const SKIPPED_OCTETS_MAX: usize = 64 * 1024;

impl Session {
    /// One command, if its line is whole.
    pub(super) fn command_line(&mut self, input: &[u8]) -> (usize, Option<Step>) {
        let octets_max = line_octets_max(input);
        let line = match first_line(input, octets_max) {
            Line::Partial => return (0, Some(Step::Read)),
            Line::Overlong if command::announces_chunk(input) => return (0, self.lose_count()),
            Line::Overlong => {
                self.state = State::Overlong { skipped: 0, reply: replies::line_too_long(octets_max) };
                return (0, None);
            }
            Line::Complete(line) => line,
        };
        let after_line = line.len() + 2;
        self.lines += 1;
        self.commands += 1;
        if self.commands > self.config.limits.commands_max {
            self.say(&replies::too_many_commands(&self.config.hostname));
            return (after_line, self.over(Closed::Unwelcome));
        }
        let step = match command::parse(line) {
            Ok(command) => self.obey(command),
            Err(reply) => {
                if line.iter().any(|&b| matches!(b, b'\r' | b'\n')) {
                    self.events.push(Event::BareLineEnd { in_message: false });
                }
                match self.refuse(&reply) {
                    None if command::announces_chunk(line) => self.lose_count(),
                    step => step,
                }
            }
        };
        if matches!(step, Some(Step::StartTls)) {
            return (input.len(), step); // whatever was pipelined in clear text is void (RFC 3207 §4.2)
        }
        (after_line, step)
    }

    /// The rest of a line that is too long is read away, and then the client hears of it.
    pub(super) fn overlong_line(&mut self, input: &[u8]) -> (usize, Option<Step>) {
        let State::Overlong { skipped, reply } = &mut self.state else { return (0, None) };
        let (used, ended) = skip_line(input);
        *skipped += used;
        if *skipped > SKIPPED_OCTETS_MAX {
            return (used, self.unwelcome());
        }
        if !ended {
            return (used, Some(Step::Read));
        }
        let reply = reply.clone();
        self.state = State::Command;
        self.lines += 1;
        (used, self.refuse(&reply))
    }

    /// So many octets follow that are no commands, and nobody knows how many.
    fn lose_count(&mut self) -> Option<Step> {
        self.say(&replies::count_lost(&self.config.hostname));
        self.over(Closed::Unwelcome)
    }
}
