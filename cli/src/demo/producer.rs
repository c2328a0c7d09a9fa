//! The demo's producer.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use fastrand::Rng;
use tokio::time::{Instant, sleep_until};

use super::board::Board;
use super::processor::{FAILS, PANICS};
use crate::failure::Failure;

/// Puts a number of records at a steady rate, through the SDK.
pub(super) struct Producer {
    pub(super) client: Client,
    pub(super) stream: String,
    pub(super) board: Board,
    pub(super) records: u64,
    pub(super) duration: Duration,
    pub(super) rng: Rng,
    /// Whether some records cannot be processed.
    pub(super) has_poison: bool,
}

/// One record in so many is poisoned, where any are.
const POISON_DISTANCE: u64 = 1_000;

/// The number of the second poisoned record.
pub(super) const SECOND_POISON: u64 = POISON_DISTANCE + POISON_DISTANCE / 2;

/// How many partition keys there are.
const KEYS: usize = 1_000;

/// The most records of one request. No key comes twice in one, because the service may take some of its records and
/// refuse others, and a key's records must arrive in order.
const LARGEST_REQUEST: usize = 400;

/// How often records are put.
const BEAT: Duration = Duration::from_millis(50);

impl Producer {
    /// Puts them all. What the service refuses for now is put again.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let start = Instant::now();
        let mut keys: Vec<usize> = (0..KEYS).collect();
        let mut done = 0_u64;
        for beat in 1_u32.. {
            let share = (BEAT * beat).as_secs_f64() / self.duration.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "ten million records are far below 2^52"
            )]
            let due = (self.records as f64 * share.min(1.0)).ceil() as u64;
            while done < due {
                let count = usize::try_from(due - done).unwrap_or(usize::MAX).min(LARGEST_REQUEST);
                self.rng.shuffle(&mut keys);
                self.put(&keys[..count], done).await?;
                done += count as u64;
            }
            if done >= self.records {
                return Ok(());
            }
            sleep_until(start + BEAT * beat).await;
        }
        Ok(())
    }

    fn payload(&self, number: u64) -> String {
        if !self.has_poison || number % POISON_DISTANCE != POISON_DISTANCE / 2 {
            return format!("order {number:08}, {:060}", number % 97);
        }
        self.board.change(|picture| picture.poisoned += 1);
        let panics = number / POISON_DISTANCE % 2 == 1;
        format!("{} {number:08}", if panics { PANICS } else { FAILS })
    }

    async fn put(&self, keys: &[usize], first_number: u64) -> Result<(), Failure> {
        let entries = keys.iter().zip(first_number..).map(|(key, number)| {
            let (key, payload) = (format!("customer-{key:04}"), self.payload(number));
            self.board.ledger.produced(&key, payload.as_bytes());
            let entry = PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(payload.into_bytes()));
            entry.build().map_err(|error| Failure::new(error.to_string()))
        });
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        while !entries.is_empty() {
            let request = self.client.put_records().stream_name(&self.stream).set_records(Some(entries.clone()));
            let answer = request.send().await.map_err(|error| Failure::new(format!("the producer: {error}")))?;
            let refused = entries.into_iter().zip(answer.records).filter(|(_, result)| result.error_code.is_some());
            entries = refused.map(|(entry, _)| entry).collect();
            if !entries.is_empty() {
                sleep_until(Instant::now() + BEAT).await;
            }
        }
        Ok(())
    }
}
