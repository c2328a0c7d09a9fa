//! `ListShards`: filters and pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stream_types::{HashRange, SequenceNumber, ShardId, Timestamp};

use crate::shard_model::{ShardModel, horizon};
use crate::stream_model::StreamModel;
use crate::{ServiceError, ServiceErrorKind};

/// Which shards to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the service's, and its API reference explains them")]
pub enum ShardFilter {
    FromTrimHorizon,
    AtTrimHorizon,
    AtLatest,
    AtTimestamp(Timestamp),
    FromTimestamp(Timestamp),
}

/// A shard as `ListShards` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardListing {
    /// Its id.
    pub id: ShardId,
    /// The shards that it came from.
    pub parents: Vec<ShardId>,
    /// The hash keys that it serves.
    pub hash_range: HashRange,
    /// Below all its records.
    pub starting_sequence_number: SequenceNumber,
    /// Above all its records, once it is closed.
    pub ending_sequence_number: Option<SequenceNumber>,
}

/// One page of a list of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPage {
    /// The shards.
    pub shards: Vec<ShardListing>,
    /// Names the next page, if there is one.
    pub next_token: Option<String>,
}

/// What one page is asked for with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRequest {
    pub(crate) filter: ShardFilter,
    /// The index that the page starts behind.
    pub(crate) after: Option<usize>,
    pub(crate) max_results: usize,
}

/// The most shards on a page, whatever larger number is asked for (API reference).
pub(crate) const DEFAULT_MAX_RESULTS: usize = 1_000;

impl StreamModel {
    pub(crate) fn list_page(&self, request: PageRequest, now: Timestamp) -> ShardPage {
        let PageRequest { filter, after, max_results } = request;
        let oldest = horizon(now, self.retention);
        let open_at =
            |shard: &ShardModel, time: Timestamp| shard.created <= time && shard.closed.is_none_or(|at| time < at);
        let passes = |shard: &ShardModel| match filter {
            ShardFilter::FromTrimHorizon => true,
            ShardFilter::AtTrimHorizon => open_at(shard, oldest.max(self.created)),
            ShardFilter::AtLatest => shard.is_open(),
            ShardFilter::AtTimestamp(time) => open_at(shard, time.max(self.created)),
            ShardFilter::FromTimestamp(time) => shard.closed.is_none_or(|closed| time < closed),
        };
        let mut shards =
            self.listed_shards(now).filter(|shard| after.is_none_or(|after| shard.index > after) && passes(shard));
        let page: Vec<&ShardModel> = shards.by_ref().take(max_results).collect();
        let next_token = shards
            .next()
            .and(page.last())
            .map(|last| PageToken { stream: self.name.clone(), filter, after: last.index, issued: now }.encode());
        ShardPage { shards: page.into_iter().map(listing).collect(), next_token }
    }
}

fn listing(shard: &ShardModel) -> ShardListing {
    ShardListing {
        id: shard.id(),
        parents: shard.parents.iter().map(|parent| ShardModel::id_of(*parent)).collect(),
        hash_range: shard.range,
        starting_sequence_number: shard.sequence_number(0),
        ending_sequence_number: shard.closed.map(|_| shard.sequence_number(u64::MAX)),
    }
}

/// Names the page that follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageToken {
    pub(crate) stream: String,
    pub(crate) filter: ShardFilter,
    pub(crate) after: usize,
    pub(crate) issued: Timestamp,
}

impl PageToken {
    fn encode(&self) -> String {
        let (filter, millis) = match self.filter {
            ShardFilter::FromTrimHorizon => ("from-trim-horizon", 0),
            ShardFilter::AtTrimHorizon => ("at-trim-horizon", 0),
            ShardFilter::AtLatest => ("at-latest", 0),
            ShardFilter::AtTimestamp(time) => ("at-timestamp", time.unix_millis()),
            ShardFilter::FromTimestamp(time) => ("from-timestamp", time.unix_millis()),
        };
        let (after, issued) = (self.after, self.issued.unix_millis());
        STANDARD.encode(format!("shards-1|{filter}|{millis}|{after}|{issued}|{}", self.stream))
    }

    pub(crate) fn decode(text: &str) -> Result<Self, ServiceError> {
        let parsed = || -> Option<Self> {
            let decoded = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
            let parts: Vec<&str> = decoded.splitn(6, '|').collect();
            let ["shards-1", filter, millis, after, issued, stream] = parts[..] else { return None };
            let time = Timestamp::from_unix_millis(millis.parse().ok()?);
            let filter = match filter {
                "from-trim-horizon" => ShardFilter::FromTrimHorizon,
                "at-trim-horizon" => ShardFilter::AtTrimHorizon,
                "at-latest" => ShardFilter::AtLatest,
                "at-timestamp" => ShardFilter::AtTimestamp(time),
                "from-timestamp" => ShardFilter::FromTimestamp(time),
                _ => return None,
            };
            let issued = Timestamp::from_unix_millis(issued.parse().ok()?);
            Some(Self { stream: stream.into(), filter, after: after.parse().ok()?, issued })
        };
        parsed().ok_or_else(|| ServiceError::new(ServiceErrorKind::InvalidArgument, "Invalid NextToken."))
    }
}
