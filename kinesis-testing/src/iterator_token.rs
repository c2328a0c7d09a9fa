//! Iterators and page tokens: places in a stream, as text that only the service reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stream_types::{SequenceNumber, Timestamp};

use crate::ServiceError;

/// Where an iterator starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IteratorStart {
    /// At that record.
    AtSequenceNumber(SequenceNumber),
    /// Behind that record.
    AfterSequenceNumber(SequenceNumber),
    /// At the first record that arrived then or later.
    AtTimestamp(Timestamp),
    /// At the oldest record.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
}

/// A place in a shard: the record with that count, counted from the shard's creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IteratorToken {
    pub(crate) stream: String,
    /// A stream deleted and created again is another stream.
    pub(crate) stream_created: Timestamp,
    pub(crate) shard_index: usize,
    pub(crate) count: u64,
    pub(crate) issued: Timestamp,
}

/// Lets the next version of a token be told from this one.
const PREFIX: &str = "iterator-1";

impl IteratorToken {
    pub(crate) fn encode(&self) -> String {
        let Self { stream, stream_created, shard_index, count, issued } = self;
        let (created, issued) = (stream_created.unix_millis(), issued.unix_millis());
        STANDARD.encode(format!("{PREFIX}|{created}|{shard_index}|{count}|{issued}|{stream}"))
    }

    pub(crate) fn decode(text: &str) -> Result<Self, ServiceError> {
        Self::parse(text).ok_or_else(|| ServiceError::invalid("Invalid ShardIterator."))
    }

    fn parse(text: &str) -> Option<Self> {
        let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let mut parts = decoded.splitn(6, '|');
        (parts.next()? == PREFIX).then_some(())?;
        Some(Self {
            stream_created: Timestamp::from_unix_millis(parts.next()?.parse().ok()?),
            shard_index: parts.next()?.parse().ok()?,
            count: parts.next()?.parse().ok()?,
            issued: Timestamp::from_unix_millis(parts.next()?.parse().ok()?),
            stream: parts.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_reads_back_as_itself(stream in "[a-z.|-]{1,20}", shard_index: usize, count: u64, issued: u64) {
            let token = IteratorToken {
                stream,
                stream_created: Timestamp::from_unix_millis(issued / 2),
                shard_index,
                count,
                issued: Timestamp::from_unix_millis(issued),
            };
            prop_assert_eq!(IteratorToken::decode(&token.encode()), Ok(token));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            prop_assert!(IteratorToken::decode(&text).is_err());
        }
    }
}
