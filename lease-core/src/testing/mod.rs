//! The conformance suite: does a lease table keep the contract of [`LeaseStore`]?
//!
//! For the authors of stores. Say how to make a fresh one, and each check becomes a test of its own name:
//!
//! ```
//! use std::pin::Pin;
//! use std::sync::Arc;
//! use lease_core::testing::StoreFactory;
//! use lease_core::{LeaseStore, MemoryStore};
//! use stream_types::Name;
//!
//! #[derive(Debug)]
//! struct Memory(MemoryStore);
//!
//! #[async_trait::async_trait]
//! impl StoreFactory for Memory {
//!     async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
//!         Arc::new(self.0.for_application(application))
//!     }
//!     fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
//!         // A store with a network under it starts its runtime here.
//!         lease_core::testing::block_on_ready(check);
//!     }
//! }
//!
//! lease_core::lease_store_conformance!(Memory(MemoryStore::new(Name::new("any").unwrap())));
//! # fn main() {}
//! ```
//!
//! Checks may be added in a minor release: a store that fails a new one kept the contract by chance.

mod lease_checks;
mod registry_checks;
mod rows;

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use stream_types::Name;

pub use self::lease_checks::*;
pub use self::registry_checks::*;
pub use self::rows::{lease, put_in_place, worker, worker_row};
use crate::LeaseStore;

/// Makes the stores that the checks run on. One factory is one fresh, empty table.
#[async_trait]
pub trait StoreFactory: fmt::Debug + Sync {
    /// Opens the factory's table for that application. Opened twice for the same application, it is the same table.
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore>;

    /// Runs a check to its end, on whatever runtime the store needs.
    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>);
}

/// Runs a future that never waits for anything, such as a check on [`MemoryStore`](crate::MemoryStore).
///
/// # Panics
///
/// The future waits.
pub fn block_on_ready<Answer>(future: impl Future<Output = Answer>) -> Answer {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the future waits for something: run it on a runtime"),
    }
}

/// Makes each check of the suite a test. Takes an expression for a [`StoreFactory`], evaluated anew for each test.
#[macro_export]
macro_rules! lease_store_conformance {
    ($factory:expr) => {
        $crate::lease_store_conformance!(@tests $factory;
            c01_put_absent_writes_only_where_there_is_no_row
            c02_put_over_a_row_needs_its_version
            c02_put_over_a_row_needs_its_epoch
            c03_a_lost_write_brings_the_row_that_is_there
            c04_a_row_that_does_not_follow_is_invalid
            c05_an_applied_row_is_read_back_field_by_field
            c05_keys_may_have_any_character
            c06_of_racing_creators_exactly_one_wins
            c06_of_racing_writers_exactly_one_wins
            c07_a_write_sent_again_conflicts_with_itself
            c08_a_list_is_complete_and_ascending
            c08_a_list_of_more_than_a_megabyte_is_complete
            c09_delete_removes_only_the_row_of_that_version_and_epoch
            c10_a_heartbeat_writes_one_row_and_returns_all
            c10_workers_may_have_any_name
            c11_an_incarnation_replaces_only_its_own_rows
            c11_registration_replaces_a_lower_incarnation
            c11_a_forgotten_worker_can_write_its_row_again
            c12_forget_removes_only_the_row_it_was_shown
            c13_applications_do_not_see_each_other
            c13_applications_of_similar_names_do_not_either
            c14_nothing_expires
        );
    };
    (@tests $factory:expr; $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                let factory = $factory;
                $crate::testing::StoreFactory::block_on(&factory, Box::pin($crate::testing::$check(&factory)));
            }
        )*

        /// All checks by name, for tests of the suite itself.
        #[allow(dead_code, reason = "only the suite's own tests call checks by name")]
        const CONFORMANCE_CHECKS: &[&str] = &[$(stringify!($check)),*];

        #[allow(dead_code, reason = "only the suite's own tests call checks by name")]
        async fn run_conformance_check(name: &str, factory: &dyn $crate::testing::StoreFactory) {
            match name {
                $(stringify!($check) => $crate::testing::$check(factory).await,)*
                _ => unreachable!("no check is called {name}"),
            }
        }
    };
}

/// Opens the factory's table for the one application that most checks need.
async fn open(factory: &dyn StoreFactory) -> Arc<dyn LeaseStore> {
    factory.open(rows::name("conformance")).await
}

/// Runs all futures at the same time and returns their answers in order.
async fn join_all<Answer>(futures: Vec<impl Future<Output = Answer>>) -> Vec<Answer> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<Answer>> = running.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, answer) in running.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}
