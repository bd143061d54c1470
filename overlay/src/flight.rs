//! Messages that were sent and not yet acknowledged, in order. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use dccp::frame::{Refusal, RefusalCode};
use tokio::sync::oneshot;

use crate::end::Fault;
use crate::error::SendError;
use crate::house::DUPLICATE;
use crate::opener::{Answer, HopAck};
use crate::window::Room;

/// Sequence numbers of one stream begin here.
pub(crate) const FIRST_SEQ: u64 = 1;

/// The flight of one stream. Dropping it answers everybody with an interrupted channel.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// How many were ever sent: the last sequence number.
    sent: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    at: Instant,
    answer: oneshot::Sender<Answer>,
    _room: Room,
}

/// What one acknowledgement settled.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    pub(crate) acknowledged: u64,
    pub(crate) refused: Vec<RefusalCode>,
}

impl Flight {
    /// Gives the message its sequence number.
    pub(crate) fn depart(&mut self, room: Room, answer: oneshot::Sender<Answer>, at: Instant) -> u64 {
        self.sent += 1;
        self.waiting.push_back(Waiting { at, answer, _room: room });
        self.sent
    }

    /// Answers everything up to and including `upto`. The acknowledgement must move forward, stay
    /// within what was sent, and refuse only what it covers, in order.
    pub(crate) fn land(&mut self, upto: u64, refused: Vec<Refusal>) -> Result<Landed, Fault> {
        let acked = self.sent - self.waiting.len() as u64;
        if upto <= acked || upto > self.sent {
            return Err(Fault::AckOutOfRange { upto, acked, sent: self.sent });
        }
        let mut refused = refused.into_iter().peekable();
        let mut landed = Landed::default();
        for seq in acked + 1..=upto {
            let Some(waiting) = self.waiting.pop_front() else { break };
            let answer = match refused.next_if(|refusal| refusal.seq == seq) {
                None => Ok(HopAck { duplicate: false }),
                Some(Refusal { code: DUPLICATE, .. }) => Ok(HopAck { duplicate: true }),
                Some(Refusal { code, reason, .. }) => {
                    landed.refused.push(code);
                    Err(SendError::Refused { code, reason })
                }
            };
            landed.acknowledged += u64::from(answer.is_ok());
            let _ = waiting.answer.send(answer); // The caller may have gone.
        }
        match refused.next() {
            Some(Refusal { seq, .. }) => Err(Fault::AckOutOfRange { upto: seq, acked, sent: self.sent }),
            None => Ok(landed),
        }
    }

    /// When the oldest message that still waits was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.at)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
