//! Messages that were sent and not yet acknowledged, in order. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use dccp::frame::{Refusal, RefusalCode};
use tokio::sync::oneshot;

use crate::end::Fault;
use crate::error::SendError;
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
                Some(Refusal { code: RefusalCode::Duplicate, .. }) => Ok(HopAck { duplicate: true }),
                Some(Refusal { code: RefusalCode::BodyMissing, reason, .. }) => {
                    landed.refused.push(RefusalCode::BodyMissing);
                    Err(SendError::BodyMissing(reason))
                }
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot::Receiver;

    use super::*;
    use crate::window::Window;

    fn flight_of(count: usize) -> (Flight, Vec<Receiver<Answer>>) {
        let window = Window::new(count, 1000, None);
        let mut flight = Flight::default();
        let answers = (1..=count as u64).map(|seq| {
            let (answer, answered) = oneshot::channel();
            let room = window.reserve(1).now_or_never().unwrap().unwrap();
            assert_eq!(flight.depart(room, answer, Instant::now()), seq);
            answered
        });
        let answers = answers.collect();
        (flight, answers)
    }

    fn refusal(seq: u64, code: RefusalCode) -> Refusal {
        Refusal { seq, code, reason: "because".to_owned() }
    }

    #[test]
    fn one_acknowledgement_answers_everything_up_to_it() {
        let (mut flight, mut answers) = flight_of(3);
        let landed = flight.land(2, vec![refusal(2, RefusalCode::Policy)]).unwrap();
        assert_eq!((landed.acknowledged, landed.refused), (1, vec![RefusalCode::Policy]));
        assert_eq!(answers[0].try_recv(), Ok(Ok(HopAck { duplicate: false })));
        let refused = SendError::Refused { code: RefusalCode::Policy, reason: "because".to_owned() };
        assert_eq!(answers[1].try_recv(), Ok(Err(refused)));
        assert!(answers[2].try_recv().is_err());
        assert_eq!(flight.len(), 1);
    }

    #[test]
    fn a_duplicate_is_an_acknowledgement() {
        let (mut flight, mut answers) = flight_of(1);
        assert_eq!(flight.land(1, vec![refusal(1, RefusalCode::Duplicate)]).unwrap().acknowledged, 1);
        assert_eq!(answers[0].try_recv(), Ok(Ok(HopAck { duplicate: true })));
    }

    #[test]
    fn acknowledgements_must_move_forward_within_what_was_sent() {
        let (mut flight, _answers) = flight_of(2);
        assert!(matches!(flight.land(3, vec![]), Err(Fault::AckOutOfRange { upto: 3, acked: 0, sent: 2 })));
        assert!(flight.land(0, vec![]).is_err());
        assert!(flight.land(1, vec![]).is_ok());
        assert!(flight.land(1, vec![]).is_err());
    }

    #[test]
    fn refusals_outside_the_acknowledgement_or_out_of_order_are_a_fault() {
        for refused in [vec![3], vec![0], vec![2, 1], vec![1, 1]] {
            let (mut flight, _answers) = flight_of(3);
            let refused = refused.into_iter().map(|seq| refusal(seq, RefusalCode::Policy)).collect();
            assert!(flight.land(2, refused).is_err());
        }
    }
}
