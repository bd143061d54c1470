//! The question that `/dccp/prekey/1` answers with a [`Stock`](crate::prekey::Stock): some one-time prekeys, please.
//!
//! `{"v": 1, "n": how many, "su": the suite they are for}`. It says nothing about who asks: the stream does.

use crate::Suite;
use crate::cbor::{self, Fields, Value};
use crate::limits::STOCK_SERVED_MAX;
use crate::record::{RECORD_VERSION, RecordError, expect_version};

/// The longest encoded question has fewer octets.
pub const QUESTION_BYTES_MAX: usize = 32;

/// A wish for one-time prekeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// How many, 1 to [`STOCK_SERVED_MAX`]. The answer may have fewer.
    pub count: usize,
    /// What will be sealed with them.
    pub suite: Suite,
}

impl Question {
    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&cbor::map([
            ("v", Value::Unsigned(RECORD_VERSION)),
            ("n", Value::Unsigned(self.count as u64)),
            ("su", Value::Unsigned(self.suite.id().into())),
        ]))
    }

    /// Reads a question.
    ///
    /// # Errors
    /// [`RecordError`] for other bytes, a count out of bounds, or a suite that we do not speak.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::of(cbor::decode(bytes, QUESTION_BYTES_MAX)?, "question")?;
        expect_version(&mut fields)?;
        let count = usize::try_from(fields.unsigned("n")?).map_err(|_| RecordError::OutOfBounds("n"))?;
        let suite = u32::try_from(fields.unsigned("su")?).map_err(|_| RecordError::OutOfBounds("su"))?;
        fields.finish()?;
        if !(1..=STOCK_SERVED_MAX).contains(&count) {
            return Err(RecordError::OutOfBounds("n"));
        }
        Ok(Self { count, suite: Suite::try_from(suite)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_reads_back_and_nothing_else_does() {
        let question = Question { count: STOCK_SERVED_MAX, suite: Suite::X0101 };
        let bytes = question.to_bytes();
        assert!(bytes.len() <= QUESTION_BYTES_MAX);
        assert_eq!(Question::from_bytes(&bytes), Ok(question));
        for cut in 0..bytes.len() {
            assert!(Question::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        for count in [0, STOCK_SERVED_MAX + 1] {
            let greedy = Question { count, suite: Suite::X0001 }.to_bytes();
            assert_eq!(Question::from_bytes(&greedy), Err(RecordError::OutOfBounds("n")));
        }
    }
}
