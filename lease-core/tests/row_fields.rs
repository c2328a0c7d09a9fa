//! Rows as named fields, the form in which backends store them.

mod common;

use common::rows::free_lease;
use lease_core::testing::worker;
use lease_core::{FieldValue, Lease, RowFields, WorkerRow};

/// As a backend does: one field after the other.
fn copied(fields: &RowFields) -> RowFields {
    fields.iter().map(|(field, value)| (field.to_owned(), value.clone())).collect()
}

#[test]
fn a_row_survives_the_way_field_by_field() {
    let me = worker("me");
    let lease = free_lease("child", &["parent", "other"]).taken_by(&me).checkpointed("after:5".parse().unwrap(), &me);
    assert_eq!(Lease::from_fields(&copied(&lease.to_fields())).unwrap(), lease);
    let row = WorkerRow { heartbeat: 7, generation: 3, leaving: true, ..WorkerRow::registering(me, None) };
    assert_eq!(WorkerRow::from_fields(&copied(&row.to_fields())).unwrap(), row);
}

#[test]
fn fields_come_in_the_order_of_their_names_with_their_values() {
    let fields = free_lease("shard", &[]).to_fields();
    let names: Vec<&str> = fields.iter().map(|(field, _)| field).collect();
    assert!(names.is_sorted() && !names.is_empty());
    assert!(fields.iter().all(|(field, value)| fields.get(field) == Some(value)));
    assert_eq!(fields.get("shard"), Some(&FieldValue::Text("shard".into())));
}
