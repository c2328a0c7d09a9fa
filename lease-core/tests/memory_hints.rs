//! The hints of the store in memory: one for what others have to act on, and none for the rest.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::rows::{free_lease, name};
use lease_core::testing::{block_on_ready, worker};
use lease_core::{Expected, Hints, Lease, LeaseStore, MemoryStore, Outcome, WorkerRow};

/// Counts how often a waiter was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a hint has come.
fn is_hinted(hints: &mut Box<dyn Hints>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    hints.next().as_mut().poll(&mut context) == Poll::Ready(())
}

fn put(store: &MemoryStore, expected: Expected, lease: &Lease) {
    assert_eq!(block_on_ready(store.put(expected, lease)).ok(), Some(Outcome::Applied));
}

#[test]
fn what_others_have_to_act_on_is_hinted_once_and_the_rest_never() {
    let store = Arc::new(MemoryStore::new(name("application")));
    let mut hints = store.hints().expect("memory has hints");
    assert!(!is_hinted(&mut hints), "nothing has happened");

    let me = worker("me");
    let created = free_lease("shard", &[]);
    let taken = created.taken_by(&me);
    let stored = taken.checkpointed("after:5".parse().unwrap(), &me);
    let given = stored.given_to(&worker("other"), &me);
    let mut expected = Expected::Absent;
    for (lease, is_news) in [(&created, true), (&taken, false), (&stored, false), (&given, true)] {
        put(&store, expected, lease);
        expected = Expected::row(lease);
        assert_eq!((is_hinted(&mut hints), is_hinted(&mut hints)), (is_news, false), "{:?}", lease.last_change);
    }

    let mut row = WorkerRow::registering(me, None);
    for (heartbeat, leaving, is_news) in [(1, false, true), (2, false, false), (3, true, true)] {
        row = WorkerRow { heartbeat, leaving, ..row };
        let _beat = block_on_ready(store.heartbeat(&row)).unwrap();
        assert_eq!((is_hinted(&mut hints), is_hinted(&mut hints)), (is_news, false), "heartbeat {heartbeat}");
    }
    assert_eq!(block_on_ready(store.forget(&row)).unwrap(), Outcome::Applied);
    assert!(is_hinted(&mut hints), "a worker has gone");
}

#[test]
fn whoever_waits_for_a_hint_is_woken_once_however_often_it_looked() {
    let store = MemoryStore::new(name("application"));
    let mut hints = store.hints().expect("memory has hints");
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    for _ in 0..3 {
        assert_eq!(hints.next().as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    }
    put(&store, Expected::Absent, &free_lease("shard", &[]));
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    assert!(is_hinted(&mut hints));
    put(&store, Expected::Absent, &free_lease("another", &[]));
    assert_eq!(bell.0.load(Ordering::Relaxed), 1, "nobody waits");
}
