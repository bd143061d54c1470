//! A light source that knows when each of its messages was accepted.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::submit::{Talk, letter};

/// One accepted message.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its Message-ID, without brackets.
    pub id: String,
    /// When the final dot was handed to the socket.
    pub dot: Instant,
    /// When the `250` had been read.
    pub accepted: Instant,
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Drive {
    /// Connections, each kept for all its messages.
    pub sessions: usize,
    /// Messages of all sessions together.
    pub messages: usize,
    /// Bytes of a body.
    pub bytes: usize,
    /// Messages per second of all sessions together; without it every session sends as fast as it is answered.
    pub per_s: Option<usize>,
}

/// Sends everything; a message that is not accepted ends the bench.
pub fn send(entrance: SocketAddr, drive: Drive, run: &str) -> Vec<Sent> {
    let text = body(drive.bytes);
    let (next, begin) = (AtomicUsize::new(0), Instant::now());
    let sent = Mutex::new(Vec::with_capacity(drive.messages));
    std::thread::scope(|scope| {
        for _ in 0..drive.sessions {
            scope.spawn(|| {
                let mut talk = Talk::to(entrance);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= drive.messages {
                        break;
                    }
                    wait_for_turn(begin, number, drive.per_s);
                    let one = send_one(&mut talk, format!("{run}.{number}@acme.test"), &text);
                    sent.lock().expect("a lock").push(one);
                }
                talk.say("QUIT");
            });
        }
    });
    sent.into_inner().expect("a lock")
}

fn send_one(talk: &mut Talk, id: String, text: &str) -> Sent {
    for (command, positive) in
        [("MAIL FROM:<alice@acme.test>", "250"), ("RCPT TO:<bob@globex.test>", "250"), ("DATA", "354")]
    {
        let reply = talk.say(command);
        assert!(reply.starts_with(positive), "{command}: {reply}");
    }
    talk.send(&letter(&id, text));
    let dot = Instant::now();
    let reply = talk.say(".");
    let accepted = Instant::now();
    assert!(reply.starts_with("250"), "final dot: {reply}");
    Sent { id, dot, accepted }
}

fn wait_for_turn(begin: Instant, number: usize, per_s: Option<usize>) {
    let Some(per_s) = per_s else { return };
    let turn = begin + Duration::from_secs_f64(number as f64 / per_s as f64);
    std::thread::sleep(turn.saturating_duration_since(Instant::now()));
}

/// Lines as `smtp-source` makes them: 80 octets with their end, no dot in front. The last end is the letter's.
fn body(bytes: usize) -> String {
    let line = "X".repeat(78) + "\r\n";
    let mut text = line.repeat(bytes / 80 + 1);
    text.truncate(bytes);
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_size_and_no_line_that_needs_stuffing() {
        let text = body(5 * 1024);
        assert!((5 * 1024 - 2..=5 * 1024).contains(&text.len()), "{}", text.len());
        assert!(text.split("\r\n").all(|line| line.len() <= 78 && line.starts_with('X')));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }
}
