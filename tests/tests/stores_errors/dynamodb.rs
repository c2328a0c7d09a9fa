//! Errors of DynamoDB.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Expected, LeaseStore, Outcome, StoreErrorKind};
use lease_dynamodb::{DynamodbStore, TableSettings};
use tests::backends::{Backend, Dynamodb};

use super::says;

async fn prepared(place: &Dynamodb) -> DynamodbStore {
    let store = place.store(worker("application").name);
    store.prepare(&TableSettings::default()).await.expect("the table is created");
    store
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections() {
    let place = Dynamodb::at("http://127.0.0.1:1".into());
    let store = place.store(worker("application").name);
    let error = store.list().await.unwrap_err();
    says(&error, StoreErrorKind::Unavailable, &["DynamoDB", &place.table, "list", "refused", "check the endpoint"]);
    let error = store.put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Unavailable, &["DynamoDB", &place.table, "put", "refused"]);
}

#[tokio::test]
async fn a_table_that_is_not_there() {
    let Some(place) = Dynamodb::fresh() else { return };
    let store = place.store(worker("application").name);
    for error in [store.verify().await.unwrap_err(), store.heartbeat(&worker_row("one")).await.unwrap_err()] {
        let command = format!("aws dynamodb create-table --table-name {}", place.table);
        let parts = ["DynamoDB", "ResourceNotFoundException", &command, "\"dynamodb:PutItem\""];
        says(&error, StoreErrorKind::Invalid, &parts);
    }
}

#[tokio::test]
async fn a_table_of_somebody_else_is_refused_and_left_alone() {
    let Some(place) = Dynamodb::fresh() else { return };
    let client = place.client();
    let create = client.create_table().table_name(&place.table).billing_mode(BillingMode::PayPerRequest);
    let attribute = AttributeDefinition::builder().attribute_name("house").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("house").key_type(KeyType::Hash);
    let create = create.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
    create.send().await.unwrap();
    let store = place.store(worker("application").name);
    for error in [store.prepare(&TableSettings::default()).await.unwrap_err(), store.verify().await.unwrap_err()] {
        says(&error, StoreErrorKind::Invalid, &["DynamoDB", &place.table, "house (HASH)", "choose another name"]);
    }
    let error = store.put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Invalid, &["DynamoDB", "put", "ValidationException", "another shape"]);
    let there = client.scan().table_name(&place.table).send().await.unwrap();
    assert_eq!(there.count(), 0);
}

#[tokio::test]
async fn a_row_damaged_by_hand_is_named_and_not_overwritten() {
    let Some(place) = Dynamodb::fresh() else { return };
    let store = prepared(&place).await;
    let row = lease("a");
    assert_eq!(store.put(Expected::Absent, &row).await.unwrap(), Outcome::Applied);
    for (field, value, shown) in [
        ("position", AttributeValue::S("somewhere".into()), "somewhere"),
        ("position", AttributeValue::Bool(true), "no text"),
        ("version", AttributeValue::N("-1.5".into()), "no whole number"),
        ("format", AttributeValue::N("2".into()), "upgrade"),
    ] {
        let good = place.client().get_item().table_name(&place.table).key("application", text("application"));
        let good = good.key("row", text("lease/stream/a")).send().await.unwrap().item.unwrap();
        let damage = place.client().put_item().table_name(&place.table).set_item(Some(good.clone()));
        damage.item(field, value).send().await.unwrap();
        let errors = [
            store.list().await.unwrap_err(),
            store.get(&row.key).await.unwrap_err(),
            store.put(Expected::Absent, &row).await.unwrap_err(),
        ];
        for error in errors {
            let parts = ["DynamoDB", "lease stream/a", &format!("field {field}"), shown];
            says(&error, StoreErrorKind::Corrupt, &parts);
        }
        place.client().put_item().table_name(&place.table).set_item(Some(good)).send().await.unwrap();
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

#[tokio::test]
async fn ten_workers_prepare_at_once() {
    let Some(place) = Dynamodb::fresh() else { return };
    let mut preparing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = place.store(worker("application").name);
        preparing.spawn(async move { store.prepare(&TableSettings::default()).await });
    }
    for result in preparing.join_all().await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_new_table_is_given_what_was_asked_for() {
    let Some(place) = Dynamodb::fresh() else { return };
    let tags = vec![("team".to_owned(), "billing".to_owned())];
    let settings = TableSettings { deletion_protection: true, tags, ..TableSettings::default() };
    place.store(worker("application").name).prepare(&settings).await.unwrap();
    let there = place.client().describe_table().table_name(&place.table).send().await.unwrap().table.unwrap();
    assert_eq!(there.deletion_protection_enabled(), Some(true));
    assert_eq!(there.billing_mode_summary().unwrap().billing_mode(), Some(&BillingMode::PayPerRequest));
    let tags = place.client().list_tags_of_resource().resource_arn(there.table_arn().unwrap()).send().await.unwrap();
    assert_eq!(tags.tags()[0].value(), "billing");
}

/// No emulator throttles or fails on demand, so this endpoint says what DynamoDB would, for as long as it is asked.
fn endpoint_that_answers(status: &'static str, code: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("somebody connects");
            let mut request = [0; 64 * 1024];
            // One connection for one request, which is smaller than that.
            if connection.read(&mut request).is_ok() {
                let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"as asked"}}"#);
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _closed = connection.write_all((head + &body).as_bytes());
            }
        }
    });
    url
}

#[tokio::test]
async fn throttling_is_told_apart_from_failure_and_from_refusal() {
    for (status, code, kind) in [
        ("400 Bad Request", "ProvisionedThroughputExceededException", StoreErrorKind::Throttled),
        ("400 Bad Request", "ThrottlingException", StoreErrorKind::Throttled),
        ("400 Bad Request", "RequestLimitExceeded", StoreErrorKind::Throttled),
        ("400 Bad Request", "TransactionConflictException", StoreErrorKind::Unavailable),
        ("500 Internal Server Error", "InternalServerError", StoreErrorKind::Ambiguous),
        ("400 Bad Request", "AccessDeniedException", StoreErrorKind::Invalid),
        ("400 Bad Request", "UnrecognizedClientException", StoreErrorKind::Invalid),
    ] {
        let place = Dynamodb::at(endpoint_that_answers(status, code));
        let error = place.store(worker("application").name).put(Expected::Absent, &lease("a")).await.unwrap_err();
        says(&error, kind, &["DynamoDB", &place.table, "put", code]);
    }
}
