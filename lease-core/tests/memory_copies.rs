//! A table in memory that loses its newest rows, for tests of those who meet such a table.

use lease_core::testing::{block_on_ready, lease, worker, worker_row};
use lease_core::{Beat, Expected, LeaseStore, MemoryStore, Outcome, WorkerRow};

fn workers(store: &MemoryStore, me: &WorkerRow) -> Vec<String> {
    match block_on_ready(store.heartbeat(me)) {
        Ok(Beat::Written { workers, .. }) => workers.into_iter().map(|row| row.name.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_table_that_goes_back_has_the_leases_and_the_workers_of_its_copy_in_every_application() {
    let store = MemoryStore::new(worker("application").name);
    let other = store.for_application(worker("other").name);
    let (kept, lost) = (lease("kept"), lease("lost"));
    for table in [&store, &other] {
        assert_eq!(block_on_ready(table.put(Expected::Absent, &kept)).unwrap(), Outcome::Applied);
        workers(table, &worker_row("kept"));
    }
    let copy = store.copied();
    for table in [&store, &other] {
        assert_eq!(block_on_ready(table.put(Expected::Absent, &lost)).unwrap(), Outcome::Applied);
        assert_eq!(workers(table, &worker_row("lost")), ["kept", "lost"]);
    }
    assert_eq!(block_on_ready(copy.list()).unwrap(), std::slice::from_ref(&kept), "the copy shares nothing");

    store.go_back_to(&copy);
    for table in [&store, &other] {
        assert_eq!(block_on_ready(table.list()).unwrap(), std::slice::from_ref(&kept));
        assert_eq!(workers(table, &worker_row("witness")), ["kept", "witness"]);
    }
}
