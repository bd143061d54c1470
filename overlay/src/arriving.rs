//! The order of the chunks that come in on one stream. Pure.
//!
//! A body comes from its first chunk to its last, then the message that names it. Messages without a body may pass
//! between chunks. A sender may break off and begin another body, or the same one again; it never goes on with what it
//! broke off, and never has two under way.

use dccp::body::BodyDigest;

use crate::end::Fault;

/// The body whose chunks come in.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    body: BodyDigest,
    next: u32,
    /// The house does not take this body, for this reason.
    declined: Option<String>,
}

impl Arriving {
    /// Admits the next chunk. Says whether the house is to be asked: not about what it has declined.
    pub(crate) fn admit(&mut self, body: BodyDigest, index: u32) -> Result<bool, Fault> {
        if index == 0 {
            self.under_way = Some(UnderWay { body, next: 0, declined: None });
        }
        match &mut self.under_way {
            Some(under_way) if under_way.body == body && under_way.next == index => {
                under_way.next += 1;
                Ok(under_way.declined.is_none())
            }
            _ => Err(Fault::ChunkOutOfOrder(index)),
        }
    }

    /// The house does not take the rest of the body that is under way.
    pub(crate) fn decline(&mut self, reason: String) {
        if let Some(under_way) = &mut self.under_way {
            under_way.declined = Some(reason);
        }
    }

    /// The message that names this body has come: no more chunks of it belong here. Gives the reason for which the
    /// house declined it.
    pub(crate) fn close(&mut self, body: BodyDigest) -> Option<String> {
        self.under_way.take_if(|under_way| under_way.body == body)?.declined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: BodyDigest = BodyDigest::from_bytes([1; 32]);
    const OTHER: BodyDigest = BodyDigest::from_bytes([2; 32]);

    fn after(chunks: &[(BodyDigest, u32)]) -> Arriving {
        let mut arriving = Arriving::default();
        chunks.iter().for_each(|(body, index)| assert!(arriving.admit(*body, *index).unwrap()));
        arriving
    }

    #[test]
    fn chunks_come_in_order_and_a_body_may_begin_anew() {
        let mut arriving = after(&[(ONE, 0), (ONE, 1), (ONE, 0), (ONE, 1), (ONE, 2), (OTHER, 0), (ONE, 0)]);
        assert!(arriving.admit(ONE, 1).is_ok());
    }

    #[test]
    fn a_chunk_that_is_not_the_next_one_is_a_fault() {
        for (before, body, index) in [
            (&[][..], ONE, 1),
            (&[(ONE, 0)], ONE, 2),
            (&[(ONE, 0), (ONE, 1)], ONE, 1),
            (&[(ONE, 0)], OTHER, 1),
            (&[(ONE, 0), (OTHER, 0)], ONE, 1),
        ] {
            assert!(after(before).admit(body, index).is_err(), "{before:?}, then {index}");
        }
    }

    #[test]
    fn nothing_comes_behind_the_message_that_names_the_body() {
        let mut arriving = after(&[(ONE, 0)]);
        assert_eq!(arriving.close(OTHER), None, "a message with another body changes nothing");
        assert!(arriving.admit(ONE, 1).is_ok());
        arriving.close(ONE);
        assert!(arriving.admit(ONE, 2).is_err());
    }

    #[test]
    fn the_house_is_not_asked_about_what_it_has_declined_until_that_begins_anew() {
        let mut arriving = after(&[(ONE, 0)]);
        arriving.decline("full".to_owned());
        assert!(!arriving.admit(ONE, 1).unwrap());
        assert!(arriving.admit(ONE, 0).unwrap(), "begun anew");
        arriving.decline("full".to_owned());
        assert_eq!(arriving.close(ONE), Some("full".to_owned()));
    }
}
