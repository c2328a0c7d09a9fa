//! Streams that split and merge at random.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::StreamStatus;
use kinesis_testing::Kinesis;
use stream_types::{HashRange, ShardId};

/// A stream whose shards can be split and merged, of the model or behind an endpoint.
#[async_trait]
pub trait Resharded {
    /// The open shards, by their ranges in order.
    async fn open_shards(&self) -> Vec<(HashRange, ShardId)>;

    /// Splits a shard at that hash key.
    async fn split(&self, shard: &ShardId, second_start: u128);

    /// Merges two neighbours.
    async fn merge(&self, shard: &ShardId, neighbour: &ShardId);
}

/// A stream of the model.
#[derive(Debug)]
pub struct ModelStream<'kinesis> {
    /// The model.
    pub kinesis: &'kinesis Kinesis,
    /// The stream's name.
    pub name: &'kinesis str,
}

#[async_trait]
impl Resharded for ModelStream<'_> {
    async fn open_shards(&self) -> Vec<(HashRange, ShardId)> {
        let shards = self.kinesis.open_shards(self.name).expect("the stream is there");
        shards.into_iter().map(|shard| (shard.hash_range.expect("the model tells ranges"), shard.id)).collect()
    }

    async fn split(&self, shard: &ShardId, second_start: u128) {
        self.kinesis.split_shard(self.name, shard, second_start).expect("the shard is open");
    }

    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) {
        self.kinesis.merge_shards(self.name, shard, neighbour).expect("the shards are neighbours");
    }
}

/// A stream behind an endpoint.
#[derive(Debug)]
pub struct SdkStream<'client> {
    /// A client of the endpoint.
    pub client: &'client Client,
    /// The stream's name.
    pub name: &'client str,
}

impl SdkStream<'_> {
    /// Waits until these shards are closed, and their children take records. An endpoint may say that it is active before it
    /// has begun to change anything.
    async fn wait_until_closed(&self, shards: &[&ShardId]) {
        let closed = async {
            while self.open_shards().await.iter().any(|(_, open)| shards.contains(&open)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), closed).await.expect("the shards are closed");
        self.wait_until_active().await;
    }

    /// Waits until the last change of the stream has taken effect.
    ///
    /// # Panics
    ///
    /// It does not within half a minute.
    pub async fn wait_until_active(&self) {
        let active = async {
            loop {
                let answer = self.client.describe_stream_summary().stream_name(self.name).send().await;
                let summary = answer.expect("the stream is there").stream_description_summary.expect("a summary");
                if summary.stream_status == StreamStatus::Active {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), active).await.expect("the stream becomes active");
    }
}

#[async_trait]
impl Resharded for SdkStream<'_> {
    async fn open_shards(&self) -> Vec<(HashRange, ShardId)> {
        let answer = self.client.list_shards().stream_name(self.name).send().await.expect("the list");
        assert!(answer.next_token.is_none(), "the tests make less than a page of shards");
        let is_open = |shard: &aws_sdk_kinesis::types::Shard| {
            shard.sequence_number_range.as_ref().is_some_and(|range| range.ending_sequence_number.is_none())
        };
        let mut open: Vec<(HashRange, ShardId)> = Vec::new();
        for shard in answer.shards.unwrap_or_default().into_iter().filter(is_open) {
            let range = shard.hash_key_range.expect("the endpoint tells ranges");
            let bound = |text: &str| text.parse::<u128>().expect("a number");
            let range = HashRange::new(bound(&range.starting_hash_key), bound(&range.ending_hash_key));
            open.push((range.expect("in order"), ShardId::new(shard.shard_id).expect("a valid id")));
        }
        open.sort_by_key(|(range, _)| range.start());
        open
    }

    async fn split(&self, shard: &ShardId, second_start: u128) {
        let split = self.client.split_shard().stream_name(self.name).shard_to_split(shard.as_str());
        split.new_starting_hash_key(second_start.to_string()).send().await.expect("the shard is open");
        self.wait_until_closed(&[shard]).await;
    }

    async fn merge(&self, shard: &ShardId, neighbour: &ShardId) {
        let merge = self.client.merge_shards().stream_name(self.name).shard_to_merge(shard.as_str());
        merge.adjacent_shard_to_merge(neighbour.as_str()).send().await.expect("the shards are neighbours");
        self.wait_until_closed(&[shard, neighbour]).await;
    }
}

/// Splits a shard or merges two, at random, and keeps their number near `shard_count`. What happens depends on the ranges of
/// the open shards alone, not on their names.
pub async fn reshard_at_random(stream: &impl Resharded, random: &mut fastrand::Rng, shard_count: usize) {
    let open = stream.open_shards().await;
    let splits = open.len() == 1 || random.usize(..shard_count * 2) >= open.len();
    let index = random.usize(..if splits { open.len() } else { open.len() - 1 });
    let (range, shard) = &open[index];
    if !splits {
        stream.merge(shard, &open[index + 1].1).await;
    } else if range.start() < range.end() {
        stream.split(shard, random.u128(range.start() + 1..=range.end())).await;
    }
}
