//! `dynamodb://TABLE?region=REGION&endpoint=URL&create=true`

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use lease_core::LeaseStore;
use lease_dynamodb::{DynamodbStore, Table, TableSettings};
use stream_types::Name;

use super::failed;
use crate::aws;
use crate::failure::Failure;

/// What a URL says of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Address<'url> {
    table: &'url str,
    region: Option<&'url str>,
    endpoint: Option<&'url str>,
    create: bool,
}

/// Opens the table. It is created only if the URL says so, since a table costs.
pub(super) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let address = Address::parse(url)?;
    let config = aws::config(address.endpoint, address.region).await?;
    let store = DynamodbStore::from_client(Client::new(&config), address.table, application);
    if address.create {
        store.prepare(&TableSettings::default()).await.map_err(failed)?;
    } else {
        store.verify().await.map_err(failed)?;
    }
    Ok(Arc::new(store))
}

/// How to create the table, and what a worker must be allowed to do.
pub(super) fn schema(table: &str) -> String {
    let table = Table::new(table);
    format!(
        "# Creates the table.\n{}\n\n# What a worker must be allowed to do.\n{}\n",
        table.creation_command(),
        table.policy()
    )
}

/// Whether the URL names a table.
#[cfg(test)]
pub(crate) fn is_address(url: &str) -> bool {
    Address::parse(url).is_ok()
}

impl<'url> Address<'url> {
    fn parse(url: &'url str) -> Result<Self, Failure> {
        let form = "write dynamodb://TABLE?region=REGION&endpoint=URL&create=true, all but the table as needed";
        let rest = url.strip_prefix("dynamodb://").unwrap_or_default();
        let (table, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        if table.is_empty() {
            return Err(Failure::new(format!("--leases: {url:?} names no table: {form}")));
        }
        let mut address = Self { table, ..Self::default() };
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("region", region)) => address.region = Some(region),
                Some(("endpoint", endpoint)) => address.endpoint = Some(endpoint),
                Some(("create", "true")) => address.create = true,
                Some(("create", "false")) => address.create = false,
                _ => return Err(Failure::new(format!("--leases: {parameter:?} says nothing of a table: {form}"))),
            }
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_table_and_where() {
        let address = Address::parse("dynamodb://leases?region=eu-west-1&endpoint=http://127.0.0.1:8000&create=true");
        let (region, endpoint) = (Some("eu-west-1"), Some("http://127.0.0.1:8000"));
        assert_eq!(address.unwrap(), Address { table: "leases", region, endpoint, create: true });
        assert_eq!(Address::parse("dynamodb://leases").unwrap(), Address { table: "leases", ..Address::default() });
    }

    #[test]
    fn what_a_url_cannot_say_is_refused() {
        for bad in
            ["dynamodb:leases", "dynamodb://", "dynamodb://?region=x", "dynamodb://t?regoin=x", "dynamodb://t?create=1"]
        {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
