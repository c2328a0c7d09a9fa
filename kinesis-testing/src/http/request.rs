//! The arguments of a request.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use stream_types::{SequenceNumber, ShardId, Timestamp};

use crate::{IteratorStart, PutEntry, ServiceError, ServiceErrorKind, ShardFilter};

/// A JSON object, read member by member. What has the wrong type is refused by name.
#[derive(Debug)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ServiceError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(malformed("the request is no JSON object")),
            Err(error) => Err(malformed(format!("the request is no JSON: {error}"))),
        }
    }

    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ServiceError> {
        self.member(name).map(|value| value.as_str().ok_or_else(|| malformed(format!("{name} is no text")))).transpose()
    }

    pub(super) fn required_text(&self, name: &str) -> Result<&str, ServiceError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, ServiceError> {
        let count = |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
        self.member(name).map(|value| count(value).ok_or_else(|| malformed(format!("{name} is no count")))).transpose()
    }

    pub(super) fn required_count(&self, name: &str) -> Result<usize, ServiceError> {
        self.count(name)?.ok_or_else(|| missing(name))
    }

    /// The stream, by its ARN or its name.
    pub(super) fn stream(&self) -> Result<&str, ServiceError> {
        let stream = self.text("StreamARN")?.or(self.text("StreamName")?);
        stream.ok_or_else(|| ServiceError::invalid("either StreamName or StreamARN must be given"))
    }

    pub(super) fn shard(&self, name: &str) -> Result<ShardId, ServiceError> {
        shard_id(self.required_text(name)?)
    }

    pub(super) fn optional_shard(&self, name: &str) -> Result<Option<ShardId>, ServiceError> {
        self.text(name)?.map(shard_id).transpose()
    }

    pub(super) fn hash_key(&self, name: &str) -> Result<Option<u128>, ServiceError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ServiceError::invalid(format!("{name} {text:?} is no number below 2^128")))
        };
        self.text(name)?.map(parse).transpose()
    }

    pub(super) fn retention(&self) -> Result<Duration, ServiceError> {
        let hours = self.required_count("RetentionPeriodHours")?;
        Ok(Duration::from_secs(u64::try_from(hours).unwrap_or(u64::MAX).saturating_mul(3_600)))
    }

    /// One record to be put.
    pub(super) fn entry(&self) -> Result<PutEntry, ServiceError> {
        let data = STANDARD.decode(self.required_text("Data")?);
        Ok(PutEntry {
            partition_key: self.required_text("PartitionKey")?.to_owned(),
            explicit_hash_key: self.hash_key("ExplicitHashKey")?,
            data: Bytes::from(data.map_err(|error| malformed(format!("Data is no base64: {error}")))?),
        })
    }

    /// The records to be put.
    pub(super) fn entries(&self) -> Result<Vec<PutEntry>, ServiceError> {
        let entries = self.member("Records").ok_or_else(|| missing("Records"))?;
        let entries = entries.as_array().ok_or_else(|| malformed("Records is no list"))?;
        let entry = |value: &Value| match value {
            Value::Object(members) => Self(members.clone()).entry(),
            _ => Err(malformed("an entry of Records is no object")),
        };
        entries.iter().map(entry).collect()
    }

    pub(super) fn filter(&self) -> Result<ShardFilter, ServiceError> {
        let Some(filter) = self.member("ShardFilter") else { return Ok(ShardFilter::FromTrimHorizon) };
        let Value::Object(members) = filter else { return Err(malformed("ShardFilter is no object")) };
        let filter = Self(members.clone());
        match filter.required_text("Type")? {
            "AT_TRIM_HORIZON" => Ok(ShardFilter::AtTrimHorizon),
            // Behind which shard is said by an argument of its own.
            "FROM_TRIM_HORIZON" | "AFTER_SHARD_ID" => Ok(ShardFilter::FromTrimHorizon),
            "AT_LATEST" => Ok(ShardFilter::AtLatest),
            "AT_TIMESTAMP" => Ok(ShardFilter::AtTimestamp(filter.required_timestamp()?)),
            "FROM_TIMESTAMP" => Ok(ShardFilter::FromTimestamp(filter.required_timestamp()?)),
            other => Err(ServiceError::invalid(format!("ShardFilter of Type {other:?} is unknown"))),
        }
    }

    /// Behind which shard to list: said in one of two ways.
    pub(super) fn exclusive_start(&self) -> Result<Option<ShardId>, ServiceError> {
        let in_filter = match self.member("ShardFilter") {
            Some(Value::Object(members)) => Self(members.clone()).optional_shard("ShardId")?,
            _ => None,
        };
        Ok(in_filter.or(self.optional_shard("ExclusiveStartShardId")?))
    }

    pub(super) fn iterator_start(&self) -> Result<IteratorStart, ServiceError> {
        let number = || -> Result<SequenceNumber, ServiceError> {
            let text = self.required_text("StartingSequenceNumber")?;
            text.parse().map_err(|error| ServiceError::invalid(format!("StartingSequenceNumber: {error}")))
        };
        match self.required_text("ShardIteratorType")? {
            "AT_SEQUENCE_NUMBER" => Ok(IteratorStart::AtSequenceNumber(number()?)),
            "AFTER_SEQUENCE_NUMBER" => Ok(IteratorStart::AfterSequenceNumber(number()?)),
            "AT_TIMESTAMP" => Ok(IteratorStart::AtTimestamp(self.required_timestamp()?)),
            "TRIM_HORIZON" => Ok(IteratorStart::TrimHorizon),
            "LATEST" => Ok(IteratorStart::Latest),
            other => {
                let message = format!("ShardIteratorType {other:?} is unknown");
                Err(ServiceError::new(ServiceErrorKind::Validation, message))
            }
        }
    }

    /// A time in seconds since 1970, which need not be whole.
    fn required_timestamp(&self) -> Result<Timestamp, ServiceError> {
        let seconds = self.member("Timestamp").ok_or_else(|| missing("Timestamp"))?;
        let seconds = seconds.as_f64().ok_or_else(|| malformed("Timestamp is no number of seconds"))?;
        // Adding half a millisecond rounds; the duration refuses what is negative or out of range.
        let since_1970 = Duration::try_from_secs_f64(seconds + 0.0005);
        let since_1970 = since_1970.map_err(|_| ServiceError::invalid("Timestamp is before 1970 or far too large"))?;
        let millis = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        Ok(Timestamp::from_unix_millis(millis))
    }
}

fn shard_id(text: &str) -> Result<ShardId, ServiceError> {
    text.parse().map_err(|error| ServiceError::invalid(format!("{error}")))
}

fn missing(name: &str) -> ServiceError {
    ServiceError::new(ServiceErrorKind::Validation, format!("{name} must not be null"))
}

fn malformed(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ServiceErrorKind::Serialization, message)
}
