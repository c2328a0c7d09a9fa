//! The words of a sharded stream, shared by those who read it and those who lease it.
//!
//! Reading (`kinesis-source`) and leasing (`lease-core`) know nothing of each other, but both speak of shards,
//! sequence numbers and positions. Those words live here, once, and nothing else does: no I/O, no clock, no runtime.
//!
//! ```
//! use stream_types::{Position, RecordPosition, SequenceNumber};
//!
//! let sequence_number: SequenceNumber = "49590338271490256608559692538361571095921575989136588898".parse()?;
//! let position = Position::After(RecordPosition::whole(sequence_number));
//! assert!(Position::HORIZON.may_advance_to(&position));
//! assert!(position.may_advance_to(&Position::End));
//! assert!(!position.may_advance_to(&Position::HORIZON));
//! # Ok::<(), stream_types::InvalidSequenceNumber>(())
//! ```

mod hash_range;
mod name;
mod position;
mod sequence_number;
mod shard;
mod timestamp;

pub use hash_range::{HashRange, InvalidHashRange};
pub use name::{InvalidName, Name};
pub use position::{InvalidPosition, Position, RecordPosition, StartPosition};
pub use sequence_number::{InvalidSequenceNumber, SequenceNumber};
pub use shard::{InvalidShardId, Shard, ShardId};
pub use timestamp::Timestamp;
