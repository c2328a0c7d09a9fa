//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?leasehold_schema=NAME&hints=false`

use std::sync::Arc;

use lease_core::LeaseStore;
use lease_postgres::{PostgresStore, Schema};
use stream_types::Name;

use super::failed;
use crate::failure::Failure;

/// What a URL says to us; the rest is for the database's client.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    url: String,
    schema: Option<Schema>,
    has_hints: bool,
}

/// Opens the table, and creates what it lacks.
pub(super) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let address = Address::parse(url)?;
    let store = PostgresStore::connect(&address.url, application).await.map_err(failed)?;
    let store = store.in_schema(address.schema.unwrap_or_default());
    let store = if address.has_hints { store } else { store.without_hints() };
    store.prepare().await.map_err(failed)?;
    Ok(Arc::new(store))
}

/// The statements that create the tables.
pub(super) fn schema(name: &str) -> Result<String, Failure> {
    let schema: Schema = name.parse().map_err(|error| Failure::new(format!("--schema: {error}")))?;
    Ok(schema.ddl())
}

impl Address {
    fn parse(url: &str) -> Result<Self, Failure> {
        let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut address = Self { url: String::new(), schema: None, has_hints: true };
        let mut for_the_client = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("leasehold_schema", name)) => {
                    let schema = name.parse().map_err(|error| Failure::new(format!("--leases: {error}")))?;
                    address.schema = Some(schema);
                }
                Some(("hints", "true")) => address.has_hints = true,
                Some(("hints", "false")) => address.has_hints = false,
                Some(("hints", other)) => {
                    return Err(Failure::new(format!("--leases: hints={other:?}: write hints=true or hints=false")));
                }
                _ => for_the_client.push(parameter),
            }
        }
        let query = if for_the_client.is_empty() { String::new() } else { format!("?{}", for_the_client.join("&")) };
        Ok(Self { url: format!("{base}{query}"), ..address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_tables_are_and_whether_to_listen() {
        let address =
            Address::parse("postgres://u:p@h/d?sslmode=require&leasehold_schema=billing&hints=false").unwrap();
        let schema = Some("billing".parse().unwrap());
        assert_eq!(address, Address { url: "postgres://u:p@h/d?sslmode=require".into(), schema, has_hints: false });
        let plain = Address::parse("postgres://h/d").unwrap();
        assert_eq!(plain, Address { url: "postgres://h/d".into(), schema: None, has_hints: true });
    }

    #[test]
    fn what_a_url_cannot_say_is_refused() {
        for bad in ["postgres://h/d?hints=maybe", "postgres://h/d?leasehold_schema="] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
