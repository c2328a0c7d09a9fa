//! The conformance suite is proven by stores with one planted fault each: the check named here must fail on it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lease_core::testing::StoreFactory;
use tests::faulty_store::{Fault, FaultyFactory};
use tests::forgetful_store::{ForgetfulFactory, Oblivion, lease_fields, worker_fields};

mod suite {
    //! The suite itself, on a store without a fault.

    use std::pin::Pin;
    use std::sync::Arc;

    use async_trait::async_trait;
    use lease_core::testing::{StoreFactory, block_on_ready};
    use lease_core::{LeaseStore, MemoryStore};
    use stream_types::Name;

    #[derive(Debug)]
    struct Honest(MemoryStore);

    #[async_trait]
    impl StoreFactory for Honest {
        async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
            Arc::new(self.0.for_application(application))
        }

        fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
            block_on_ready(check);
        }
    }

    lease_core::lease_store_conformance!(Honest(MemoryStore::new(Name::new("any").unwrap())));

    pub(super) const ALL: &[&str] = CONFORMANCE_CHECKS;

    pub(super) async fn run(name: &str, factory: &dyn StoreFactory) {
        run_conformance_check(name, factory).await;
    }
}

/// Whether the check fails on that store.
fn fails(check: &str, factory: &dyn StoreFactory) -> bool {
    catch_unwind(AssertUnwindSafe(|| factory.block_on(Box::pin(suite::run(check, factory))))).is_err()
}

/// The checks that fail on a store with that fault.
fn failing_checks(fault: Fault) -> Vec<&'static str> {
    suite::ALL.iter().copied().filter(|check| fails(check, &FaultyFactory::new(fault))).collect()
}

/// Which of the fields a store may lose without failing any of the checks.
fn unnoticed(fields: &[String], checks: &[&str]) -> Vec<String> {
    let mut unnoticed = Vec::new();
    for field in fields {
        for oblivion in [Oblivion::NeverStored, Oblivion::NotUpdated] {
            if !checks.iter().any(|check| fails(check, &ForgetfulFactory::new(field, oblivion))) {
                unnoticed.push(format!("{field}: {oblivion:?}"));
            }
        }
    }
    unnoticed
}

#[test]
fn a_field_of_a_lease_that_is_forgotten_or_left_out_of_updates_is_caught() {
    let check = "c05_an_applied_row_is_read_back_field_by_field";
    assert_eq!(unnoticed(&lease_fields(), &[check]), [] as [String; 0]);
}

#[test]
fn a_field_of_a_worker_that_is_forgotten_or_left_out_of_updates_is_caught() {
    let checks = ["c10_a_heartbeat_writes_one_row_and_returns_all", "c11_registration_replaces_a_lower_incarnation"];
    assert_eq!(unnoticed(&worker_fields(), &checks), [] as [String; 0]);
}

macro_rules! planted {
    ($($fault:ident fails $check:ident, as $test:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let failing = failing_checks(Fault::$fault);
                assert!(failing.contains(&stringify!($check)), "of the checks, these fail: {failing:?}");
            }
        )*
    };
}

planted! {
    CreationOverwrites fails c01_put_absent_writes_only_where_there_is_no_row, as a_creation_that_overwrites_is_caught;
    StaleWriteCreates fails c02_put_over_a_row_needs_its_version, as a_stale_write_that_creates_is_caught;
    LastWriterWins fails c02_put_over_a_row_needs_its_version, as an_unconditional_write_is_caught;
    OnlyVersionsAreCompared fails c02_put_over_a_row_needs_its_epoch, as a_write_over_another_epoch_is_caught;
    ConflictWithoutCurrent fails c03_a_lost_write_brings_the_row_that_is_there, as a_conflict_without_the_row_is_caught;
    AnyNextVersionIsTaken fails c04_a_row_that_does_not_follow_is_invalid, as a_version_out_of_order_is_caught;
    EpochsMayFall fails c04_a_row_that_does_not_follow_is_invalid, as an_epoch_that_falls_is_caught;
    ListIsStale fails c05_an_applied_row_is_read_back_field_by_field, as a_stale_list_is_caught;
    CheckThenCreateRaces fails c06_of_racing_creators_exactly_one_wins, as racing_creators_are_caught;
    CheckThenWriteRaces fails c06_of_racing_writers_exactly_one_wins, as racing_writers_are_caught;
    RepeatedWriteIsApplied fails c07_a_write_sent_again_conflicts_with_itself, as a_write_applied_twice_is_caught;
    ListIsTruncated fails c08_a_list_is_complete_and_ascending, as a_list_of_one_page_is_caught;
    ListIsOnePage fails c08_a_list_of_more_than_a_megabyte_is_complete, as a_list_without_its_second_page_is_caught;
    KeysAreFolded fails c05_keys_may_have_any_character, as keys_without_capitals_are_caught;
    WorkerNamesAreTrimmed fails c10_workers_may_have_any_name, as trimmed_names_are_caught;
    ApplicationNamesAreCut fails c13_applications_of_similar_names_do_not_either, as applications_cut_short_are_caught;
    ListIsOrderedAsText fails c08_a_list_is_complete_and_ascending, as a_list_in_another_order_is_caught;
    DeleteIgnoresTheRow fails c09_delete_removes_only_the_row_of_that_version_and_epoch, as an_unconditional_delete_is_caught;
    DeleteIgnoresTheEpoch fails c09_delete_removes_only_the_row_of_that_version_and_epoch, as a_delete_of_another_epoch_is_caught;
    HeartbeatOmitsOwnRow fails c10_a_heartbeat_writes_one_row_and_returns_all, as a_missing_own_row_is_caught;
    HeartbeatOverwritesAnybody fails c11_an_incarnation_replaces_only_its_own_rows, as an_unfenced_heartbeat_is_caught;
    NameIsNeverTakenOver fails c11_registration_replaces_a_lower_incarnation, as a_name_taken_for_ever_is_caught;
    ForgottenStayForgotten fails c11_a_forgotten_worker_can_write_its_row_again, as a_lasting_oblivion_is_caught;
    ForgetIgnoresTheRow fails c12_forget_removes_only_the_row_it_was_shown, as an_unconditional_forget_is_caught;
    ApplicationsAreMixed fails c13_applications_do_not_see_each_other, as mixed_applications_are_caught;
    SilentWorkersExpire fails c14_nothing_expires, as an_expiring_row_is_caught;
}
