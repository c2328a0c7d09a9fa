//! A ready-made fleet of consumers, for tests of your own processors.
//!
//! [`Fleet::new`] puts real consumers into one process, over a Kinesis and a lease table in memory; workers join, leave and
//! crash by a call, and a [`Ledger`](kinesis_testing::Ledger) knows of every record whether it was lost, repeated, or came out
//! of order. [`Fleet::over`] does the same over a stream and a lease table of yours. For the ways in which Kinesis may
//! misbehave, see [`kinesis_testing::Fault`].
//!
//! ```
//! use std::time::Duration;
//!
//! use consumer_testing::Fleet;
//! use kinesis_testing::{Fault, Misbehaviour, Operation, ServiceErrorKind};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let fleet = Fleet::new(2);
//! // Every read is refused for a while, and a shard splits meanwhile.
//! let refused = Misbehaviour::Refuse(ServiceErrorKind::ProvisionedThroughputExceeded);
//! fleet.kinesis().misbehave(Fault::of(Operation::GetRecords, refused).times(20));
//! (0..100).for_each(|number| fleet.put("customer-7", format!("order {number}")));
//! let shard = fleet.open_shards().remove(0);
//! let range = shard.hash_range.ok_or("the model tells ranges")?;
//! fleet.kinesis().split_shard(Fleet::STREAM, &shard.id, range.start() + 1_000)?;
//! fleet.wait_until_delivered().await;
//! assert_eq!(fleet.begun_too_early().await, Vec::<String>::new());
//! # Ok(())
//! # }
//! ```

mod fleet;
mod witness;

pub use self::fleet::{Fleet, quick_settings};
pub use self::witness::OnlyCounted;
