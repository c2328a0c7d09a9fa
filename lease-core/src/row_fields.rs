//! Rows as named fields: one way to write and read them, for every store that keeps fields by name.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use stream_types::{HashRange, ShardId, Timestamp};

use crate::plan::PlanVersion;
use crate::{Change, Epoch, Incarnation, Lease, LeaseKey, StreamFacts, Version, WorkerId, WorkerRow};

/// The fields of a row by name; what is absent in the row is absent here.
///
/// A store that keeps rows as named fields, whatever it calls them, needs no knowledge of what they mean:
///
/// ```
/// use lease_core::{FieldValue, RowFields, WorkerId, WorkerRow, Incarnation};
/// use stream_types::Name;
///
/// let id = WorkerId { name: Name::new("pod-1")?, incarnation: Incarnation::first(7) };
/// let row = WorkerRow::registering(id, None);
/// let fields = row.to_fields();
/// assert_eq!(fields.get("heartbeat"), Some(&FieldValue::Number(1)));
/// assert_eq!(WorkerRow::from_fields(&fields)?, row);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Format
///
/// Fields may be added in later versions, and are passed over by this one. A row that this version must not read as if
/// it were its own says so by a field `format` with another number than 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFields {
    values: BTreeMap<String, FieldValue>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Text without control characters.
    Text(String),
    /// A whole number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Several texts, in order.
    Texts(Vec<String>),
}

/// A row has a field that cannot be read. It says which row and which field, so that a person can look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{row}, field {field}: {reason}")]
pub struct UnreadableRow {
    row: String,
    field: &'static str,
    reason: String,
}

/// The format of the rows that this version writes and reads.
const FORMAT: u64 = 1;

impl RowFields {
    /// The value of a field, if the row has it.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&FieldValue> {
        self.values.get(field)
    }

    /// Sets a field.
    pub fn set(&mut self, field: impl Into<String>, value: FieldValue) {
        self.values.insert(field.into(), value);
    }

    /// All fields, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.values.iter().map(|(field, value)| (field.as_str(), value))
    }

    fn text(&mut self, field: &'static str, value: impl Display) {
        self.set(field, FieldValue::Text(value.to_string()));
    }

    fn number(&mut self, field: &'static str, value: u64) {
        self.set(field, FieldValue::Number(value));
    }
}

impl FromIterator<(String, FieldValue)> for RowFields {
    fn from_iter<Fields: IntoIterator<Item = (String, FieldValue)>>(fields: Fields) -> Self {
        Self { values: fields.into_iter().collect() }
    }
}

impl Lease {
    /// The row as named fields.
    #[must_use]
    pub fn to_fields(&self) -> RowFields {
        let mut fields = RowFields::default();
        fields.text("stream", &self.key.stream);
        fields.text("shard", &self.key.shard);
        fields.number("version", self.version.0);
        fields.number("epoch", self.epoch.0);
        if let Some(owner) = &self.owner {
            fields.text("owner_name", &owner.name);
            fields.number("owner_number", owner.incarnation.number);
            fields.number("owner_nonce", owner.incarnation.nonce);
        }
        fields.text("position", &self.position);
        fields.set("parents", FieldValue::Texts(self.parents.iter().map(ToString::to_string).collect()));
        if let Some(range) = &self.hash_range {
            fields.text("hash_range", range);
        }
        if let Some(created) = self.stream.created {
            fields.number("stream_created_ms", created.unix_millis());
        }
        fields.text("stream_start", self.stream.start);
        fields.text("updated_name", &self.updated_by.name);
        fields.number("updated_number", self.updated_by.incarnation.number);
        fields.number("updated_nonce", self.updated_by.incarnation.nonce);
        fields.text("last_change", self.last_change.as_str());
        fields
    }

    /// Reads what [`Lease::to_fields`] wrote.
    ///
    /// # Errors
    ///
    /// A field is missing or cannot be read, or the row is of another format.
    pub fn from_fields(fields: &RowFields) -> Result<Self, UnreadableRow> {
        let reader = Reader::new(fields, "lease", &["stream", "shard"])?;
        let owner = match reader.optional_text("owner_name")? {
            Some(_) => Some(reader.worker("owner_name", "owner_number", "owner_nonce")?),
            None => None,
        };
        let change: String = reader.text("last_change")?;
        Ok(Self {
            key: LeaseKey::new(reader.text("stream")?, reader.text("shard")?),
            version: Version(reader.number("version")?),
            epoch: Epoch(reader.number("epoch")?),
            owner,
            position: reader.text("position")?,
            parents: reader.texts::<ShardId>("parents")?,
            hash_range: reader.optional::<HashRange>("hash_range")?,
            stream: StreamFacts {
                created: reader.optional_number("stream_created_ms")?.map(Timestamp::from_unix_millis),
                start: reader.text("stream_start")?,
            },
            updated_by: reader.worker("updated_name", "updated_number", "updated_nonce")?,
            last_change: Change::from_word(&change)
                .ok_or_else(|| reader.unreadable("last_change", format_args!("{change:?} is no change of a lease")))?,
        })
    }
}

impl WorkerRow {
    /// The row as named fields.
    #[must_use]
    pub fn to_fields(&self) -> RowFields {
        let mut fields = RowFields::default();
        fields.text("name", &self.name);
        fields.number("number", self.incarnation.number);
        fields.number("nonce", self.incarnation.nonce);
        fields.number("heartbeat", self.heartbeat);
        fields.number("generation", self.generation);
        if let Some(capacity) = self.capacity {
            fields.number("capacity", capacity.get().into());
        }
        if let Some(zone) = &self.zone {
            fields.text("zone", zone);
        }
        fields.number("plan_version", self.plan_version.0.into());
        fields.set("leaving", FieldValue::Flag(self.leaving));
        if let Some(within) = self.returns_within {
            fields.number("returns_within_ms", u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(streams) = &self.streams {
            fields.set("streams", FieldValue::Texts(streams.iter().map(ToString::to_string).collect()));
        }
        if let Some(lease_duration) = self.lease_duration {
            fields.number("lease_duration_ms", u64::try_from(lease_duration.as_millis()).unwrap_or(u64::MAX));
        }
        fields
    }

    /// Reads what [`WorkerRow::to_fields`] wrote.
    ///
    /// # Errors
    ///
    /// A field is missing or cannot be read, or the row is of another format.
    pub fn from_fields(fields: &RowFields) -> Result<Self, UnreadableRow> {
        let reader = Reader::new(fields, "worker", &["name"])?;
        let small = |field, number: u64| {
            u32::try_from(number).map_err(|_| reader.unreadable(field, format_args!("{number} is out of range")))
        };
        let capacity = match reader.optional_number("capacity")? {
            Some(capacity) => {
                let capacity = NonZeroU32::new(small("capacity", capacity)?);
                Some(capacity.ok_or_else(|| reader.unreadable("capacity", "it is zero"))?)
            }
            None => None,
        };
        Ok(Self {
            name: reader.text("name")?,
            incarnation: Incarnation { number: reader.number("number")?, nonce: reader.number("nonce")? },
            heartbeat: reader.number("heartbeat")?,
            generation: reader.number("generation")?,
            capacity,
            zone: reader.optional("zone")?,
            plan_version: PlanVersion(small("plan_version", reader.number("plan_version")?)?),
            leaving: reader.flag("leaving")?,
            returns_within: reader.optional_number("returns_within_ms")?.map(Duration::from_millis),
            streams: reader.optional_texts("streams")?.map(|streams| streams.into_iter().collect()),
            lease_duration: reader.optional_number("lease_duration_ms")?.map(Duration::from_millis),
        })
    }
}

/// Reads a row field by field, and says which field of which row cannot be read.
struct Reader<'row> {
    fields: &'row RowFields,
    row: String,
}

impl<'row> Reader<'row> {
    /// A reader of a row of that kind, called by the fields of its key.
    fn new(fields: &'row RowFields, kind: &str, key: &[&str]) -> Result<Self, UnreadableRow> {
        let part = |field: &&str| match fields.get(field) {
            Some(FieldValue::Text(text)) => text.chars().filter(|char| !char.is_control()).collect(),
            _ => "?".to_owned(),
        };
        let reader = Self { fields, row: format!("{kind} {}", key.iter().map(part).collect::<Vec<_>>().join("/")) };
        match reader.optional_number("format")? {
            None | Some(FORMAT) => Ok(reader),
            Some(other) => Err(reader.unreadable(
                "format",
                format_args!("it is {other}, and this version of Leasehold reads format {FORMAT}: upgrade it"),
            )),
        }
    }

    fn unreadable(&self, field: &'static str, reason: impl Display) -> UnreadableRow {
        UnreadableRow { row: self.row.clone(), field, reason: reason.to_string() }
    }

    fn missing(&self, field: &'static str) -> UnreadableRow {
        self.unreadable(field, "it is missing")
    }

    fn optional_text(&self, field: &'static str) -> Result<Option<&'row str>, UnreadableRow> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(FieldValue::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.unreadable(field, "it is no text")),
        }
    }

    fn optional_number(&self, field: &'static str) -> Result<Option<u64>, UnreadableRow> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(FieldValue::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(self.unreadable(field, "it is no whole number from zero on")),
        }
    }

    fn parsed<Value: FromStr<Err: Display>>(&self, field: &'static str, text: &str) -> Result<Value, UnreadableRow> {
        text.parse().map_err(|error| self.unreadable(field, error))
    }

    fn optional<Value: FromStr<Err: Display>>(&self, field: &'static str) -> Result<Option<Value>, UnreadableRow> {
        self.optional_text(field)?.map(|text| self.parsed(field, text)).transpose()
    }

    fn text<Value: FromStr<Err: Display>>(&self, field: &'static str) -> Result<Value, UnreadableRow> {
        self.optional(field)?.ok_or_else(|| self.missing(field))
    }

    fn number(&self, field: &'static str) -> Result<u64, UnreadableRow> {
        self.optional_number(field)?.ok_or_else(|| self.missing(field))
    }

    fn flag(&self, field: &'static str) -> Result<bool, UnreadableRow> {
        match self.fields.get(field) {
            None => Err(self.missing(field)),
            Some(FieldValue::Flag(flag)) => Ok(*flag),
            Some(_) => Err(self.unreadable(field, "it is neither true nor false")),
        }
    }

    fn optional_texts<Value: FromStr<Err: Display>>(
        &self,
        field: &'static str,
    ) -> Result<Option<Vec<Value>>, UnreadableRow> {
        match self.fields.get(field) {
            None => Ok(None),
            Some(FieldValue::Texts(texts)) => {
                texts.iter().map(|text| self.parsed(field, text)).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(self.unreadable(field, "it is no list of texts")),
        }
    }

    fn texts<Value: FromStr<Err: Display>>(&self, field: &'static str) -> Result<Vec<Value>, UnreadableRow> {
        self.optional_texts(field)?.ok_or_else(|| self.missing(field))
    }

    fn worker(&self, name: &'static str, number: &'static str, nonce: &'static str) -> Result<WorkerId, UnreadableRow> {
        let incarnation = Incarnation { number: self.number(number)?, nonce: self.number(nonce)? };
        Ok(WorkerId { name: self.text(name)?, incarnation })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::{lease, worker_row};

    #[test]
    fn a_row_reads_back_as_itself() {
        let full = lease("a");
        let bare = Lease { hash_range: None, parents: Vec::new(), ..full.taken_by(&full.updated_by) };
        for row in [full, bare] {
            assert_eq!(Lease::from_fields(&row.to_fields()), Ok(row));
        }
        let full = worker_row("one");
        let bare = WorkerRow { leaving: false, ..WorkerRow::registering(full.id(), None) };
        let idle = WorkerRow { streams: Some(BTreeSet::new()), ..full.clone() };
        for row in [full, bare, idle] {
            assert_eq!(WorkerRow::from_fields(&row.to_fields()), Ok(row));
        }
    }

    #[test]
    fn a_damaged_field_is_named_with_its_row() {
        let row = lease("a");
        for (field, value) in [
            ("position", FieldValue::Text("somewhere".into())),
            ("version", FieldValue::Text("1".into())),
            ("parents", FieldValue::Texts(vec!["a/b".into()])),
            ("last_change", FieldValue::Text("stolen".into())),
        ] {
            let mut fields = row.to_fields();
            fields.set(field, value);
            let error = Lease::from_fields(&fields).unwrap_err().to_string();
            assert!(error.starts_with(&format!("lease stream/a, field {field}: ")), "{error}");
        }
    }

    #[test]
    fn a_missing_field_is_named_and_an_unknown_one_passed_over() {
        let row = worker_row("one");
        let mut fields = row.to_fields();
        fields.set("colour", FieldValue::Text("green".into()));
        assert_eq!(WorkerRow::from_fields(&fields), Ok(row));
        fields.values.remove("heartbeat");
        let error = WorkerRow::from_fields(&fields).unwrap_err().to_string();
        assert_eq!(error, "worker one, field heartbeat: it is missing");
    }

    #[test]
    fn a_row_of_another_format_is_refused() {
        let mut fields = lease("a").to_fields();
        fields.set("format", FieldValue::Number(2));
        let error = Lease::from_fields(&fields).unwrap_err().to_string();
        assert!(error.contains("lease stream/a, field format: it is 2"), "{error}");
    }
}
