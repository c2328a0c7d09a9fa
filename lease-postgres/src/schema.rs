//! Where the tables are, and what they look like.

use std::str::FromStr;

/// The Postgres schema that the tables are in. Default: `leasehold`.
///
/// ```
/// use lease_postgres::Schema;
///
/// let schema: Schema = "billing".parse()?;
/// assert!(schema.ddl().contains("CREATE TABLE IF NOT EXISTS \"billing\".leases"));
/// # Ok::<(), lease_postgres::InvalidSchema>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    name: String,
}

impl Default for Schema {
    fn default() -> Self {
        Self { name: "leasehold".into() }
    }
}

impl Schema {
    /// What the tables are marked with, so that tables of another version, or of others, are told apart.
    pub(crate) const MARK: &'static str = "leasehold 4";

    /// What earlier versions marked them with. The statements bring these up to date.
    pub(crate) const EARLIER_MARKS: [&'static str; 3] = ["leasehold 1", "leasehold 2", "leasehold 3"];

    /// The longest identifier that Postgres keeps whole, in bytes.
    const MAX_BYTES: usize = 63;

    /// The name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as it stands in statements.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.name.replace('"', "\"\""))
    }

    /// The statements that create the tables, for those who run them themselves. Running them again changes nothing.
    #[must_use]
    pub fn ddl(&self) -> String {
        [format!("CREATE SCHEMA IF NOT EXISTS {}", self.quoted())]
            .into_iter()
            .chain(self.table_statements())
            .map(|statement| format!("{statement};\n"))
            .collect()
    }

    /// The statements that create the tables in the schema.
    pub(crate) fn table_statements(&self) -> [String; 7] {
        let (schema, mark) = (self.quoted(), Self::MARK);
        [
            format!(
                r#"CREATE TABLE IF NOT EXISTS {schema}.leases (
    application         text COLLATE "C" NOT NULL,
    stream              text COLLATE "C" NOT NULL,
    shard               text COLLATE "C" NOT NULL,
    version             bigint NOT NULL CHECK (version > 0),
    epoch               bigint NOT NULL CHECK (epoch >= 0),
    owner_name          text COLLATE "C",
    owner_number        bigint,
    owner_nonce         bigint,
    position            text NOT NULL,
    parents             text[] NOT NULL,
    hash_start          numeric(39),
    hash_end            numeric(39),
    stream_created_ms   bigint,
    stream_start        text NOT NULL,
    updated_name        text NOT NULL,
    updated_number      bigint NOT NULL,
    updated_nonce       bigint NOT NULL,
    last_change         text NOT NULL,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application, stream, shard)
)"#
            ),
            format!(
                r#"CREATE TABLE IF NOT EXISTS {schema}.workers (
    application         text COLLATE "C" NOT NULL,
    name                text COLLATE "C" NOT NULL,
    number              bigint NOT NULL,
    nonce               bigint NOT NULL,
    heartbeat           bigint NOT NULL,
    generation          bigint NOT NULL,
    capacity            bigint,
    zone                text,
    plan_version        bigint NOT NULL,
    leaving             boolean NOT NULL,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (application, name)
)"#
            ),
            format!("ALTER TABLE {schema}.workers ADD COLUMN IF NOT EXISTS returns_within_ms bigint"),
            format!("ALTER TABLE {schema}.workers ADD COLUMN IF NOT EXISTS streams text[]"),
            format!("ALTER TABLE {schema}.workers ADD COLUMN IF NOT EXISTS lease_duration_ms bigint"),
            format!("COMMENT ON TABLE {schema}.leases IS '{mark}'"),
            format!("COMMENT ON TABLE {schema}.workers IS '{mark}'"),
        ]
    }
}

impl FromStr for Schema {
    type Err = InvalidSchema;

    fn from_str(text: &str) -> Result<Self, InvalidSchema> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits {
            Ok(Self { name: text.into() })
        } else {
            Err(InvalidSchema { text: text.chars().take(100).collect() })
        }
    }
}

/// The text cannot be the name of a Postgres schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSchema {
    text: String,
}

impl std::fmt::Display for InvalidSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is no schema name: it takes 1 to 63 bytes without control characters", self.text)
    }
}

impl std::error::Error for InvalidSchema {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let schema: Schema = "a\"; DROP TABLE b; --".parse().unwrap();
        assert_eq!(schema.quoted(), "\"a\"\"; DROP TABLE b; --\"");
    }

    #[test]
    fn only_names_that_postgres_keeps_whole_are_accepted() {
        assert!("ü".repeat(31).parse::<Schema>().is_ok());
        for bad in [String::new(), "a".repeat(64), "a\nb".into()] {
            assert!(bad.parse::<Schema>().is_err(), "{bad:?}");
        }
    }
}
