//! Errors of DynamoDB.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// No emulator throttles, fails, or has backups: this endpoint answers what DynamoDB would, by the operation that is asked
/// for and how often it was asked for before.
fn scripted(answer: impl Fn(&str, usize) -> (&'static str, String) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for connection in listener.incoming() {
            let mut connection = connection.expect("somebody connects");
            let mut request = [0; 64 * 1024];
            // One connection for one request, which is smaller than that.
            let Ok(count) = connection.read(&mut request) else { continue };
            let text = String::from_utf8_lossy(&request[..count]).into_owned();
            let operation = text.split("DynamoDB_20120810.").nth(1).and_then(|rest| rest.split_whitespace().next());
            let before = asked.entry(operation.unwrap_or_default().to_owned()).or_default();
            let (status, body) = answer(operation.unwrap_or_default(), *before);
            *before += 1;
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _closed = connection.write_all((head + &body).as_bytes());
        }
    });
    url
}

fn refusal(code: &str) -> String {
    format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"as asked"}}"#)
}

fn table(status: &str) -> String {
    format!(
        r#"{{"Table":{{"TableName":"t","TableStatus":"{status}","KeySchema":[{{"AttributeName":"application",
        "KeyType":"HASH"}},{{"AttributeName":"row","KeyType":"RANGE"}}],"AttributeDefinitions":[]}}}}"#
    )
}

const OK: &str = "200 OK";
const BAD: &str = "400 Bad Request";

/// A table that is being changed can be used; one that is being deleted is waited for, and made anew.
#[tokio::test]
async fn a_table_is_prepared_from_every_state() {
    let updating = Dynamodb::at(scripted(|_operation, _| (OK, table("UPDATING"))));
    let store = updating.store(worker("application").name);
    store.prepare(&TableSettings::default()).await.unwrap();
    store.verify().await.unwrap();

    let deleting = Dynamodb::at(scripted(|operation, before| match (operation, before) {
        ("DescribeTable", 0) => (OK, table("DELETING")),
        ("DescribeTable", 1) => (BAD, refusal("ResourceNotFoundException")),
        ("CreateTable", _) => (OK, "{}".into()),
        ("DescribeTable", 2) => (OK, table("CREATING")),
        _ => (OK, table("ACTIVE")),
    }));
    deleting.store(worker("application").name).prepare(&TableSettings::default()).await.unwrap();

    let stuck = Dynamodb::at(scripted(|_operation, _| (OK, table("INACCESSIBLE_ENCRYPTION_CREDENTIALS"))));
    let store = stuck.store(worker("application").name);
    for error in [store.prepare(&TableSettings::default()).await.unwrap_err(), store.verify().await.unwrap_err()] {
        says(&error, StoreErrorKind::Unavailable, &["DynamoDB", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"]);
    }
}

/// A new table cannot have it at once; a table of somebody else's making is left as it is.
#[tokio::test]
async fn point_in_time_recovery_is_turned_on_for_a_new_table_only() {
    let settings = TableSettings { point_in_time_recovery: true, ..TableSettings::default() };
    let recoveries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&recoveries);
    let new = Dynamodb::at(scripted(move |operation, before| match (operation, before) {
        ("DescribeTable", 0) => (BAD, refusal("ResourceNotFoundException")),
        ("CreateTable", _) => (OK, "{}".into()),
        ("UpdateContinuousBackups", 0) => (BAD, refusal("ContinuousBackupsUnavailableException")),
        ("UpdateContinuousBackups", _) => {
            counted.fetch_add(1, Ordering::SeqCst);
            (OK, "{}".into())
        }
        _ => (OK, table("ACTIVE")),
    }));
    let store = new.store(worker("application").name);
    store.prepare(&settings).await.unwrap();
    assert_eq!(recoveries.load(Ordering::SeqCst), 1);
    store.prepare(&settings).await.unwrap();
    assert_eq!(recoveries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_may_not_create_the_table_is_told_what_it_takes() {
    let place = Dynamodb::at(scripted(|operation, _| match operation {
        "DescribeTable" => (BAD, refusal("ResourceNotFoundException")),
        _ => (BAD, refusal("AccessDeniedException")),
    }));
    let error = place.store(worker("application").name).prepare(&TableSettings::default()).await.unwrap_err();
    says(
        &error,
        StoreErrorKind::Invalid,
        &["DynamoDB", "preparation", "dynamodb:CreateTable", "aws dynamodb create-table"],
    );
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
        let place = Dynamodb::at(scripted(move |_operation, _| (status, refusal(code))));
        let error = place.store(worker("application").name).put(Expected::Absent, &lease("a")).await.unwrap_err();
        says(&error, kind, &["DynamoDB", &place.table, "put", code]);
    }
    // What stands between us and the service knows no codes.
    let place = Dynamodb::at(scripted(|_operation, _| ("502 Bad Gateway", "<html>".into())));
    let error = place.store(worker("application").name).put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Ambiguous, &["DynamoDB", &place.table, "put"]);
}
