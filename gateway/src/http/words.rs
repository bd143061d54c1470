//! The words of the spool in the words of the control API.

use control::{Direction, State};

use crate::spool;

pub(crate) const fn direction(direction: spool::Direction) -> Direction {
    match direction {
        spool::Direction::Out => Direction::Outbound,
        spool::Direction::In => Direction::Inbound,
    }
}

pub(crate) const fn state(state: spool::State) -> State {
    match state {
        spool::State::Queued => State::Queued,
        spool::State::Sent => State::Sent,
        spool::State::Held => State::Held,
        spool::State::Delivered => State::Delivered,
        spool::State::Failed => State::Failed,
        spool::State::Expired => State::Expired,
    }
}
