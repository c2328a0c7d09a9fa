//! Rows as text: first what the scripts compare, then all fields as a JSON object.

use lease_core::{FieldValue, Lease, RowFields, StoreError, StoreErrorKind, StoreOperation, WorkerRow};
use serde_json::{Map, Value};

/// `VERSION EPOCH {…}`
pub(crate) fn encode_lease(lease: &Lease) -> String {
    format!("{} {} {}", lease.version, lease.epoch, json(&lease.to_fields()))
}

/// `NUMBER NONCE HEARTBEAT {…}`
pub(crate) fn encode_worker(row: &WorkerRow) -> String {
    let WorkerRow { incarnation, heartbeat, .. } = row;
    format!("{} {} {heartbeat} {}", incarnation.number, incarnation.nonce, json(&row.to_fields()))
}

pub(crate) fn decode_lease(text: &[u8], operation: StoreOperation) -> Result<Lease, StoreError> {
    let lease = Lease::from_fields(&fields(text, operation)?).map_err(|error| unreadable(operation, error))?;
    same_or_damaged(
        text,
        &encode_prefix(&[lease.version.0, lease.epoch.0]),
        format_args!("lease {}", lease.key),
        operation,
    )?;
    Ok(lease)
}

pub(crate) fn decode_worker(text: &[u8], operation: StoreOperation) -> Result<WorkerRow, StoreError> {
    let row = WorkerRow::from_fields(&fields(text, operation)?).map_err(|error| unreadable(operation, error))?;
    let compared = encode_prefix(&[row.incarnation.number, row.incarnation.nonce, row.heartbeat]);
    same_or_damaged(text, &compared, format_args!("worker {}", row.name), operation)?;
    Ok(row)
}

fn encode_prefix(numbers: &[u64]) -> String {
    numbers.iter().map(|number| format!("{number} ")).collect()
}

/// What the scripts compare must be what the row says, or they would decide by something that nobody sees.
fn same_or_damaged(
    text: &[u8],
    compared: &str,
    row: std::fmt::Arguments<'_>,
    operation: StoreOperation,
) -> Result<(), StoreError> {
    if text.starts_with(compared.as_bytes()) {
        return Ok(());
    }
    let message = format!("Redis: {row}: the numbers before its JSON are not those within");
    Err(StoreError::new(StoreErrorKind::Corrupt, operation, message))
}

fn unreadable(operation: StoreOperation, error: lease_core::UnreadableRow) -> StoreError {
    StoreError::unreadable("Redis", operation, error)
}

fn json(fields: &RowFields) -> Value {
    let value = |value: &FieldValue| match value {
        FieldValue::Text(text) => Value::from(text.as_str()),
        FieldValue::Number(number) => Value::from(*number),
        FieldValue::Flag(flag) => Value::from(*flag),
        FieldValue::Texts(texts) => Value::from(texts.as_slice()),
    };
    Value::Object(fields.iter().map(|(name, field)| (name.to_owned(), value(field))).collect::<Map<_, _>>())
}

fn fields(text: &[u8], operation: StoreOperation) -> Result<RowFields, StoreError> {
    let start = text.iter().position(|byte| *byte == b'{').unwrap_or(text.len());
    let object: Map<String, Value> = serde_json::from_slice(&text[start..]).map_err(|error| {
        // The whole row is not shown: it may be anything.
        let begin: String = String::from_utf8_lossy(text).chars().filter(|char| !char.is_control()).take(60).collect();
        let message = format!("Redis: a row that begins with {begin:?} has no JSON object: {error}");
        StoreError::new(StoreErrorKind::Corrupt, operation, message).caused_by(error)
    })?;
    Ok(object.into_iter().filter_map(|(name, value)| Some((name, field(value)?))).collect())
}

/// What is of no known type counts as missing, which is said of the row.
fn field(value: Value) -> Option<FieldValue> {
    match value {
        Value::String(text) => Some(FieldValue::Text(text)),
        Value::Number(number) => {
            Some(number.as_u64().map_or_else(|| FieldValue::Text(number.to_string()), FieldValue::Number))
        }
        Value::Bool(flag) => Some(FieldValue::Flag(flag)),
        Value::Array(texts) => {
            let texts = texts.into_iter().map(|text| text.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>().map(FieldValue::Texts)
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lease_core::testing::{lease, worker_row};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_row_reads_back_as_itself() {
        let lease = lease("ä \" ' \\ ; {");
        assert_eq!(decode_lease(encode_lease(&lease).as_bytes(), StoreOperation::Get).unwrap(), lease);
        let worker = worker_row("a { b");
        assert_eq!(decode_worker(encode_worker(&worker).as_bytes(), StoreOperation::Heartbeat).unwrap(), worker);
    }

    /// A row of the corpus with a few bytes changed, cut, or put in; or any bytes.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let kept: Vec<&str> = include_str!("../corpus/rows.txt").lines().collect();
        let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
        let damaged = (prop::sample::select(kept), prop::collection::vec(change, 0..4)).prop_map(|(row, changes)| {
            let mut bytes = row.as_bytes().to_vec();
            for (place, byte, how) in changes {
                let place = place.index(bytes.len().max(1));
                match how {
                    0 => bytes.truncate(place),
                    1 => bytes.insert(place.min(bytes.len()), byte),
                    2 => bytes.insert(place.min(bytes.len()), b'0' + byte % 10),
                    _ => bytes.iter_mut().skip(place).take(1).for_each(|old| *old = byte),
                }
            }
            bytes
        });
        prop_oneof![9 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..80)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        /// And what is read is written as it was read.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in bytes()) {
            if let Ok(lease) = decode_lease(&bytes, StoreOperation::Get) {
                prop_assert_eq!(decode_lease(encode_lease(&lease).as_bytes(), StoreOperation::Get).ok(), Some(lease));
            }
            if let Ok(row) = decode_worker(&bytes, StoreOperation::Heartbeat) {
                prop_assert_eq!(decode_worker(encode_worker(&row).as_bytes(), StoreOperation::Heartbeat).ok(), Some(row));
            }
        }
    }

    #[test]
    fn the_corpus_has_rows_that_are_read() {
        let rows: Vec<&[u8]> = include_str!("../corpus/rows.txt").lines().map(str::as_bytes).collect();
        for lease in &rows[..2] {
            decode_lease(lease, StoreOperation::Get).unwrap();
        }
        decode_worker(rows[3], StoreOperation::Heartbeat).unwrap();
    }

    #[test]
    fn a_row_damaged_by_hand_is_refused() {
        let good = encode_lease(&lease("a"));
        let moved = good.replace("\"position\":\"", "\"position\":\"nowhere ");
        let (of_another_version, of_another_epoch) = (good.replace("1 0 {", "2 0 {"), good.replace("1 0 {", "1 1 {"));
        for bad in ["", "1", "1 {", "1 0 {", &of_another_version, &of_another_epoch, &moved, &good[1..], &good[2..]] {
            assert_ne!(bad, good, "the damage must be one");
            let error = decode_lease(bad.as_bytes(), StoreOperation::Get).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{bad}: {error}");
        }
    }
}
