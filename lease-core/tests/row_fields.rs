//! Rows as named fields, the form in which backends store them.

mod common;

use common::rows::free_lease;
use lease_core::testing::{lease, worker, worker_row};
use lease_core::{FieldValue, Lease, RowFields, WorkerRow};
use proptest::prelude::*;

/// As a backend does: one field after the other.
fn copied(fields: &RowFields) -> RowFields {
    fields.iter().map(owned).collect()
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

/// What may stand in a field that somebody has edited, or a store has damaged.
fn any_value() -> impl Strategy<Value = FieldValue> {
    let number = prop_oneof![0..3_u64, Just(u64::from(u32::MAX) + 1), Just(u64::MAX), any::<u64>()];
    let text = prop_oneof![".{0,40}", "(after:|end|horizon|at:|[0-9]{0,25}|-|:){0,4}", Just(String::new())];
    prop_oneof![
        text.clone().prop_map(FieldValue::Text),
        number.prop_map(FieldValue::Number),
        any::<bool>().prop_map(FieldValue::Flag),
        prop::collection::vec(text, 0..4).prop_map(FieldValue::Texts),
    ]
}

/// The row, with some of its fields gone or changed.
fn damaged(row: RowFields) -> impl Strategy<Value = RowFields> {
    let names: Vec<String> = row.iter().map(|(name, _)| name.to_owned()).chain(["format".to_owned()]).collect();
    let damage = (prop::sample::select(names), prop::option::of(any_value()));
    prop::collection::vec(damage, 1..4).prop_map(move |damages| {
        let mut fields = copied(&row);
        for (name, value) in damages {
            match value {
                Some(value) => fields.set(name, value),
                None => fields = fields.iter().filter(|(field, _)| *field != name).map(owned).collect(),
            }
        }
        fields
    })
}

fn owned((field, value): (&str, &FieldValue)) -> (String, FieldValue) {
    (field.to_owned(), value.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn a_damaged_lease_is_refused_or_read_as_it_stands(fields in damaged(lease("shard").to_fields())) {
        if let Ok(read) = Lease::from_fields(&fields) {
            prop_assert_eq!(Lease::from_fields(&read.to_fields()), Ok(read));
        }
    }

    #[test]
    fn a_damaged_workers_row_is_refused_or_read_as_it_stands(fields in damaged(worker_row("me").to_fields())) {
        if let Ok(read) = WorkerRow::from_fields(&fields) {
            prop_assert_eq!(WorkerRow::from_fields(&read.to_fields()), Ok(read));
        }
    }
}
