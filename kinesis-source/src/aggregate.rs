//! The format in which the Kinesis Producer Library puts many user records into one record.
//!
//! "KPL Aggregated Record Format" of the library's documentation: four bytes of magic, a protobuf message, and the
//! 16 bytes of the message's MD5.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use prost::Message;
use stream_types::HashRange;

use crate::Record;

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST_BYTES: usize = 16;

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    partition_key_table: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_key_table: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

/// The format requires the key's index and the data. Here they may be missing, so that this can be told.
#[derive(Clone, PartialEq, Message)]
struct UserRecord {
    #[prost(uint64, optional, tag = "1")]
    partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    data: Option<Bytes>,
}

/// The user records of an aggregate, in order; nothing when the record is none, or a broken one.
///
/// Their payloads are parts of the record's, not copies, and their partition keys are shared.
pub(crate) fn user_records(record: &Record) -> Option<Vec<Record>> {
    let payload = &record.data;
    if !payload.starts_with(&MAGIC) || payload.len() < MAGIC.len() + DIGEST_BYTES {
        return None;
    }
    let message = payload.slice(MAGIC.len()..payload.len() - DIGEST_BYTES);
    if Md5::digest(&message)[..] != payload[payload.len() - DIGEST_BYTES..] {
        return None;
    }
    let aggregate = AggregatedRecord::decode(message).ok()?;
    let partition_keys: Vec<Arc<str>> = aggregate.partition_key_table.into_iter().map(Arc::from).collect();
    let hash_keys: Option<Vec<u128>> = aggregate.explicit_hash_key_table.iter().map(|key| key.parse().ok()).collect();
    let hash_keys = hash_keys?;

    let user_record = |(sub_sequence_number, user): (u64, UserRecord)| {
        let explicit_hash_key = match user.explicit_hash_key_index {
            Some(index) => Some(*at(&hash_keys, index)?),
            None => None,
        };
        Some(Record {
            sequence_number: record.sequence_number.clone(),
            sub_sequence_number: Some(sub_sequence_number),
            partition_key: Arc::clone(at(&partition_keys, user.partition_key_index?)?),
            explicit_hash_key,
            arrival: record.arrival,
            data: user.data?,
        })
    };
    let users: Option<Vec<Record>> = (0..).zip(aggregate.records).map(user_record).collect();
    // An aggregate of nothing is none: whatever it was meant to be, somebody should see it.
    users.filter(|users| !users.is_empty())
}

fn at<Element>(table: &[Element], index: u64) -> Option<&Element> {
    table.get(usize::try_from(index).ok()?)
}

/// Whether the record's key belongs to a shard of that range.
pub(crate) fn belongs_to(range: HashRange, record: &Record) -> bool {
    let hashed = || u128::from_be_bytes(Md5::digest(record.partition_key.as_bytes()).into());
    let key = record.explicit_hash_key.unwrap_or_else(hashed);
    range.contains(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn record(data: impl Into<Bytes>) -> Record {
        Record {
            sequence_number: "7".parse().unwrap(),
            sub_sequence_number: None,
            partition_key: "outer".into(),
            explicit_hash_key: None,
            arrival: None,
            data: data.into(),
        }
    }

    /// A key, perhaps a hash key, and data.
    type User = (String, Option<u128>, Vec<u8>);

    fn sealed(message: &[u8]) -> Bytes {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat().into()
    }

    fn aggregate(users: &[User]) -> Bytes {
        let mut message = AggregatedRecord::default();
        for (index, (key, hash_key, data)) in (0..).zip(users) {
            message.partition_key_table.push(key.clone());
            let explicit_hash_key_index = hash_key.map(|hash_key| {
                message.explicit_hash_key_table.push(hash_key.to_string());
                message.explicit_hash_key_table.len() as u64 - 1
            });
            let data = Some(data.clone().into());
            message.records.push(UserRecord { partition_key_index: Some(index), explicit_hash_key_index, data });
        }
        sealed(&message.encode_to_vec())
    }

    fn users(records: Vec<Record>) -> Vec<User> {
        let user = |record: Record| (record.partition_key.to_string(), record.explicit_hash_key, record.data.to_vec());
        records.into_iter().map(user).collect()
    }

    fn any_user() -> impl Strategy<Value = User> {
        (".{1,20}", any::<Option<u128>>(), proptest::collection::vec(any::<u8>(), 0..50))
    }

    proptest! {
        #[test]
        fn what_was_aggregated_comes_apart_in_order(put in proptest::collection::vec(any_user(), 1..50)) {
            let records = user_records(&record(aggregate(&put))).unwrap();
            let numbers: Vec<u64> = records.iter().map(|record| record.sub_sequence_number.unwrap()).collect();
            prop_assert_eq!(numbers, (0..put.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(users(records), put);
        }

        #[test]
        fn no_bytes_that_look_like_an_aggregate_do_harm(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _users = user_records(&record(sealed(&message)));
        }

        #[test]
        fn a_changed_byte_or_a_cut_makes_it_no_aggregate(
            put in proptest::collection::vec(any_user(), 1..5),
            place: prop::sample::Index,
            change in 1..=u8::MAX,
            cut: bool,
        ) {
            let mut bytes = aggregate(&put).to_vec();
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] ^= change }
            prop_assert_eq!(user_records(&record(bytes)), None);
        }

        /// The same of aggregates that others have made.
        #[test]
        fn a_published_aggregate_that_was_changed_and_sealed_does_no_harm(
            vector: prop::sample::Index,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let vectors = ["any-bytes", "hash-keys", "keys-repeat", "large", "one"];
            let name = vectors[vector.index(vectors.len())];
            let path = format!("{}/tests/vectors/{name}.aggregate", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            let mut message = bytes[MAGIC.len()..bytes.len() - DIGEST_BYTES].to_vec();
            for (place, byte) in changes {
                let place = place.index(message.len());
                message[place] = byte;
            }
            if let Some(records) = user_records(&record(sealed(&message))) {
                prop_assert!(!records.is_empty());
            }
        }

        /// Sealed again after the change: the digest is right, the message is not.
        #[test]
        fn a_message_that_was_changed_and_sealed_does_no_harm(
            put in proptest::collection::vec(any_user(), 1..5),
            place: prop::sample::Index,
            byte: u8,
        ) {
            let bytes = aggregate(&put);
            let mut message = bytes[MAGIC.len()..bytes.len() - DIGEST_BYTES].to_vec();
            let place = place.index(message.len());
            message[place] = byte;
            if let Some(records) = user_records(&record(sealed(&message))) {
                prop_assert!(!records.is_empty());
            }
        }
    }

    #[test]
    fn payloads_are_parts_of_the_record_and_keys_are_shared() {
        let user = |data: &str| ("key".to_owned(), None, data.as_bytes().to_vec());
        let bytes = aggregate(&[user("one"), user("two")]);
        let records = user_records(&record(bytes.clone())).unwrap();
        for record in &records {
            assert!(bytes.as_ptr_range().contains(&record.data.as_ptr()));
        }
        // One key that all of 10,000 records name is stored once.
        let mut message = AggregatedRecord { partition_key_table: vec!["k".repeat(100_000)], ..Default::default() };
        let user = UserRecord { partition_key_index: Some(0), explicit_hash_key_index: None, data: Some(Bytes::new()) };
        message.records = vec![user; 10_000];
        let records = user_records(&record(sealed(&message.encode_to_vec()))).unwrap();
        assert!(records.iter().all(|record| Arc::ptr_eq(&record.partition_key, &records[0].partition_key)));
    }

    #[test]
    fn what_the_format_forbids_is_no_aggregate() {
        let good = UserRecord { partition_key_index: Some(0), explicit_hash_key_index: None, data: Some(Bytes::new()) };
        let with = |user: UserRecord, hash_key: &str| AggregatedRecord {
            partition_key_table: vec!["key".into()],
            explicit_hash_key_table: vec![hash_key.into()],
            records: vec![good.clone(), user],
        };
        let is_aggregate =
            |message: AggregatedRecord| user_records(&record(sealed(&message.encode_to_vec()))).is_some();
        assert!(is_aggregate(with(good.clone(), "1")));
        assert!(!is_aggregate(with(UserRecord { partition_key_index: Some(1), ..good.clone() }, "1")), "no such key");
        assert!(!is_aggregate(with(UserRecord { partition_key_index: None, ..good.clone() }, "1")), "no key");
        assert!(!is_aggregate(with(UserRecord { data: None, ..good.clone() }, "1")), "no data");
        let hash_key = UserRecord { explicit_hash_key_index: Some(1), ..good.clone() };
        assert!(!is_aggregate(with(hash_key, "1")), "no such hash key");
        assert!(!is_aggregate(with(good.clone(), "-1")), "no hash key at all");
        assert!(!is_aggregate(AggregatedRecord::default()), "no record");
    }

    /// `vectors/make_vectors.py` says how they were made.
    #[test]
    fn aggregates_of_the_published_python_package_come_apart() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "aggregate") {
                continue;
            }
            let truth: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
            let expected: Vec<User> = truth["records"].as_array().unwrap().iter().map(expected_user).collect();
            let records = user_records(&record(std::fs::read(&path).unwrap()));
            assert_eq!(users(records.unwrap()), expected, "{}", path.display());
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    fn expected_user(user: &Value) -> User {
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD.decode(user["data"].as_str().unwrap()).unwrap();
        let hash_key = user["explicit_hash_key"].as_str().map(|key| key.parse().unwrap());
        (user["partition_key"].as_str().unwrap().into(), hash_key, data)
    }
}
