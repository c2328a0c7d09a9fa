//! The source that is Kinesis.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Shard as SdkShard};
use stream_types::{HashRange, Name, Position, Shard, ShardId, Timestamp};

use crate::polling_reader::PollingReader;
use crate::sdk_error::source_error;
use crate::{ByteBudget, ShardReader, Source, SourceError, SourceErrorKind, StreamDescription, StreamReference};

/// One Kinesis stream, read by polling through the AWS SDK.
///
/// ```no_run
/// use kinesis_source::{KinesisSource, PollingSettings, Source};
///
/// # async fn example(client: aws_sdk_kinesis::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let source = KinesisSource::new(client, "orders".parse()?, PollingSettings::default());
/// for shard in source.list_shards().await? {
///     println!("{}", shard.id);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KinesisSource {
    client: Client,
    stream: StreamReference,
    settings: PollingSettings,
}

/// How a stream is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollingSettings {
    /// The pause between reads of a shard whose newest records were just read. Default 1 s.
    ///
    /// Shorter brings records sooner; all applications that poll a shard share its 5 reads a second, so that less than
    /// 200 ms gains nothing, and 1 s leaves room for four others.
    pub tip_pause: Duration,
    /// The most records of one read, 1 to 10,000. Default 10,000.
    pub read_limit: i32,
    /// How long a request may take before it is sent again. Default 30 s.
    pub request_timeout: Duration,
}

impl Default for PollingSettings {
    fn default() -> Self {
        Self { tip_pause: Duration::from_secs(1), read_limit: 10_000, request_timeout: Duration::from_secs(30) }
    }
}

impl PollingSettings {
    /// The most records that one read may ask for, by the API reference of `GetRecords`.
    pub const MOST_RECORDS: i32 = 10_000;

    /// The longest pause: iterators are good for five minutes, by the same.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(240);

    /// Refuses settings that cannot work. Whoever describes the stream learns of it, as a consumer does when it starts.
    ///
    /// # Errors
    ///
    /// The pause is longer than an iterator is good for, the limit is none, or requests have no time.
    pub fn validate(&self) -> Result<(), InvalidPollingSettings> {
        let Self { tip_pause, read_limit, request_timeout } = *self;
        if tip_pause > Self::LONGEST_PAUSE {
            return Err(InvalidPollingSettings::PauseTooLong { tip_pause });
        }
        if !(1..=Self::MOST_RECORDS).contains(&read_limit) {
            return Err(InvalidPollingSettings::NoLimit { read_limit });
        }
        if request_timeout.is_zero() {
            return Err(InvalidPollingSettings::NoTime);
        }
        Ok(())
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPollingSettings {
    /// Every iterator would have expired.
    #[error(
        "tip_pause is {tip_pause:?}: make it at most {longest:?}, since the service forgets after 5 minutes where reading \
         stands",
        longest = PollingSettings::LONGEST_PAUSE
    )]
    PauseTooLong {
        /// The refused pause.
        tip_pause: Duration,
    },
    /// The service takes no such limit.
    #[error("read_limit is {read_limit}: the service takes 1 to 10000")]
    NoLimit {
        /// The refused limit.
        read_limit: i32,
    },
    /// Every request would be late.
    #[error("request_timeout is 0: give requests some time, such as 30s")]
    NoTime,
}

impl KinesisSource {
    /// The stream as that client reaches it.
    #[must_use]
    pub const fn new(client: Client, stream: StreamReference, settings: PollingSettings) -> Self {
        Self { client, stream, settings }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn stream(&self) -> &StreamReference {
        &self.stream
    }

    pub(crate) const fn settings(&self) -> &PollingSettings {
        &self.settings
    }

    fn about(&self) -> String {
        format!("stream {}", self.stream)
    }

    /// Bounds a request in time.
    pub(crate) async fn within_timeout<Answer>(
        &self,
        operation: &'static str,
        about: &str,
        request: impl Future<Output = Result<Answer, SourceError>>,
    ) -> Result<Answer, SourceError> {
        let timeout = self.settings.request_timeout;
        tokio::time::timeout(timeout, request).await.unwrap_or_else(|_| {
            let message = format!("{about}: no answer within {timeout:?}");
            Err(SourceError::new(SourceErrorKind::Unavailable, operation, message))
        })
    }

    fn shard(&self, shard: SdkShard) -> Result<Shard, SourceError> {
        let id = |text: &str| shard_id("ListShards", || self.about(), text);
        let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
        Ok(Shard {
            id: id(&shard.shard_id)?,
            parents: parents.into_iter().flatten().map(|parent| id(&parent)).collect::<Result<_, _>>()?,
            hash_range: hash_range(shard.hash_key_range),
        })
    }

    /// One page of the list of shards. A page after the first is named by its token alone.
    async fn shards_page(&self, token: Option<String>) -> Result<(Vec<SdkShard>, Option<String>), SourceError> {
        let request = self.client.list_shards();
        let request = match token {
            Some(token) => request.next_token(token),
            None => request.set_stream_name(self.stream.name_argument()).set_stream_arn(self.stream.arn_argument()),
        };
        let send = async { request.send().await.map_err(|error| source_error("ListShards", &self.about(), error)) };
        let page = self.within_timeout("ListShards", &self.about(), send).await?;
        Ok((page.shards.unwrap_or_default(), page.next_token))
    }
}

#[async_trait]
impl Source for KinesisSource {
    fn name(&self) -> &Name {
        self.stream.name()
    }

    async fn describe(&self) -> Result<StreamDescription, SourceError> {
        let operation = "DescribeStreamSummary";
        self.settings.validate().map_err(|error| {
            let message = format!("{}: {error}", self.about());
            SourceError::new(SourceErrorKind::Invalid, operation, message).caused_by(error)
        })?;
        let request = self
            .client
            .describe_stream_summary()
            .set_stream_name(self.stream.name_argument())
            .set_stream_arn(self.stream.arn_argument());
        let send = async { request.send().await.map_err(|error| source_error(operation, &self.about(), error)) };
        let answer = self.within_timeout(operation, &self.about(), send).await?;
        let created =
            answer.stream_description_summary.and_then(|summary| timestamp(Some(summary.stream_creation_timestamp)));
        Ok(StreamDescription { name: self.stream.name().clone(), created })
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, SourceError> {
        let mut shards = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.shards_page(token).await?;
            for shard in page {
                shards.push(self.shard(shard)?);
            }
            match next {
                Some(next) => token = Some(next),
                None => return Ok(shards),
            }
        }
    }

    async fn open(
        &self,
        shard: &ShardId,
        from: &Position,
        budget: &ByteBudget,
    ) -> Result<Box<dyn ShardReader>, SourceError> {
        Ok(Box::new(PollingReader::new(self.clone(), shard.clone(), from.clone(), budget.clone())))
    }
}

pub(crate) fn timestamp(time: Option<aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let millis = time?.to_millis().ok()?;
    u64::try_from(millis).ok().map(Timestamp::from_unix_millis)
}

/// A child as the last answer of its parent names it.
pub(crate) fn child_from_sdk(child: ChildShard, about: impl Fn() -> String) -> Result<Shard, SourceError> {
    let id = |text: &str| shard_id("GetRecords", &about, text);
    Ok(Shard {
        id: id(&child.shard_id)?,
        parents: child.parent_shards.iter().map(|parent| id(parent)).collect::<Result<_, _>>()?,
        hash_range: hash_range(child.hash_key_range),
    })
}

fn shard_id(operation: &'static str, about: impl Fn() -> String, text: &str) -> Result<ShardId, SourceError> {
    ShardId::new(text).map_err(|error| {
        let message = format!("{}: the service's name of a shard, {error}", about());
        SourceError::new(SourceErrorKind::Invalid, operation, message).caused_by(error)
    })
}

/// Some streams that only speak Kinesis' protocol leave the range out, or fill it with something else.
fn hash_range(range: Option<HashKeyRange>) -> Option<HashRange> {
    let range = range?;
    HashRange::new(range.starting_hash_key.parse().ok()?, range.ending_hash_key.parse().ok()?).ok()
}
