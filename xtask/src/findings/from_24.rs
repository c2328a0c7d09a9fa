//! The findings from 24 on, in the order of `docs/hunt.md`.

use super::{Finding, Shows};
use crate::plant::{GONE_FOR_EVER, OLDER_TWIN, ORPHANS, OWN_PATIENCE, VERSION_ALONE};
use crate::planting::Fault;

pub(crate) const FROM_24: &[Finding] = &[
    Finding {
        number: 24,
        undone: Fault {
            name: "a process that is back as announced plans only once, before it has looked round",
            file: "lease-core/src/worker/upkeep.rs",
            before: "!self.pulse.has_outlasted_predecessor() || !self.pulse.has_looked_round();",
            after: "!self.pulse.has_outlasted_predecessor();",
        },
        shows: Shows::lease_core(
            "--test=worker_returns",
            "what_became_free_while_a_worker_was_away_is_read_once_it_is_back_and_has_looked_round",
        ),
    },
    Finding {
        number: 25,
        undone: Fault {
            name: "what is stored already cannot be stored again",
            file: "lease-core/src/worker/leases.rs",
            before: "result: Ok(stored) });",
            after: "result: Err(CheckpointError::Superseded) });",
        },
        shows: Shows::Test(
            "consumer",
            "--test=failures",
            "a_batch_that_comes_again_may_store_again_what_its_last_try_has_stored",
        ),
    },
    Finding {
        number: 26,
        undone: Fault {
            name: "the end of a task is handled before the checkpoint that it has asked for",
            file: "consumer/src/driver.rs",
            before: "Some(request) = self.checkpoint_requests.recv() => Some(self.shards.expect_checkpoint(request)),\n            \
                     end = self.shards.next() => return self.asked_before().into_iter().chain(end).collect(),",
            after: "end = self.shards.next() => return end.into_iter().collect(),\n            \
                    Some(request) = self.checkpoint_requests.recv() => Some(self.shards.expect_checkpoint(request)),",
        },
        shows: Shows::Test(
            "consumer",
            "--test=processor_contract",
            "a_checkpoint_that_was_asked_for_is_stored_though_the_task_ends_before_the_answer",
        ),
    },
    Finding {
        number: 27,
        undone: Fault {
            name: "a heartbeat that was sent before a lapse undoes it",
            file: "lease-core/src/worker/pulse.rs",
            before: "if self.has_lapsed { now } else { shown_since }",
            after: "shown_since",
        },
        shows: Shows::lease_core(
            "--test=worker_answers",
            "what_was_taken_before_a_lapse_is_not_read_after_it_though_the_heartbeat_that_ends_it_was_sent_before",
        ),
    },
    Finding {
        number: 28,
        undone: Fault {
            name: "whoever the registry shows under a worker's name has taken it over",
            file: "lease-core/src/worker/upkeep.rs",
            before: "if by.incarnation.number <= self.pulse.row.incarnation.number =>",
            after: "if false =>",
        },
        shows: Shows::lease_core(
            "--test=worker_registry",
            "a_registry_that_shows_a_worker_of_the_same_number_that_has_left_does_not_end_one",
        ),
    },
    Finding {
        number: 30,
        undone: OWN_PATIENCE,
        shows: Shows::lease_core(
            "--test=worker_settings",
            "a_worker_of_a_longer_lease_duration_is_not_robbed_by_those_of_a_shorter_one",
        ),
    },
    Finding {
        number: 31,
        undone: ORPHANS,
        shows: Shows::lease_core("--lib", "worker::table::tests::a_descendant_of_a_doubted_row_is_doubted_with_it"),
    },
    Finding {
        number: 32,
        undone: OLDER_TWIN,
        shows: Shows::lease_core(
            "--test=worker_registry",
            "a_lease_of_a_later_process_of_the_same_name_is_left_alone_until_a_heartbeat_shows_that_there_is_none",
        ),
    },
    Finding {
        number: 33,
        undone: Fault {
            name: "lists that a network swallows are asked for as seldom as those with a row that nobody can read",
            file: "lease-core/src/worker/upkeep.rs",
            before: "if kind.is_retryable() { lease_duration / 2 } else { audit_interval };",
            after: "{ let _ = lease_duration; audit_interval };",
        },
        shows: Shows::lease_core(
            "--test=worker_steps",
            "a_list_that_a_network_has_swallowed_again_and_again_is_asked_for_within_half_a_lease_duration",
        ),
    },
    Finding {
        number: 34,
        undone: Fault {
            name: "what was done last of an ended shard waits for its lease to be finished",
            file: "consumer/src/shard_task.rs",
            before: "self.save_after(Duration::ZERO).await;\n                        return TaskEnd::Finished",
            after: "return TaskEnd::Finished",
        },
        shows: Shows::Test(
            "consumer",
            "--test=table_away",
            "what_was_done_of_an_ended_shard_is_stored_before_its_children_have_leases",
        ),
    },
    Finding {
        number: 35,
        undone: Fault {
            name: "what a replaced process did last, its successor does not tell",
            file: "lease-core/src/worker/upkeep.rs",
            before: "if has_outlived || (!was_valid",
            after: "if (!was_valid",
        },
        shows: Shows::lease_core("--test=worker_audits", "what_a_replaced_process_did_last_its_successor_tells"),
    },
    Finding {
        number: 36,
        undone: Fault {
            name: "a worker that was late does not tell that leases may have changed",
            file: "lease-core/src/worker/upkeep.rs",
            before: "if has_outlived || (!was_valid && self.pulse.has_lapsed()) {",
            after: "if has_outlived {",
        },
        shows: Shows::lease_core("--test=worker_audits", "a_worker_that_was_late_tells_that_leases_may_have_changed"),
    },
    Finding {
        number: 37,
        undone: Fault {
            name: "a process that takes over a name counts from when it has sent its registration",
            file: "lease-core/src/worker/pulse.rs",
            before: "self.registration_known.get_or_insert(now);",
            after: "self.registration_known.get_or_insert(sent);",
        },
        shows: Shows::lease_core(
            "--test=worker_settings",
            "a_process_that_takes_over_a_name_waits_from_when_its_registration_is_known",
        ),
    },
    Finding {
        number: 38,
        undone: VERSION_ALONE,
        shows: Shows::lease_core(
            "--test=worker_writes",
            "a_write_over_a_row_that_a_lost_tail_took_away_does_not_bring_its_epoch_back",
        ),
    },
    Finding {
        number: 39,
        undone: GONE_FOR_EVER,
        shows: Shows::lease_core(
            "--test=worker_registry",
            "a_newcomer_whose_row_the_registry_has_lost_is_given_its_share",
        ),
    },
    Finding {
        number: 40,
        undone: Fault {
            name: "a write that has failed is sent again under the epoch that it had before",
            file: "lease-core/src/worker/write.rs",
            before: "self.next.epoch = self.next.epoch.max(floor?);",
            after: "let _ = floor;",
        },
        shows: Shows::lease_core(
            "--test=worker_floors",
            "a_take_that_has_failed_is_sent_again_under_an_epoch_of_the_floor_told_since",
        ),
    },
    Finding {
        number: 41,
        undone: Fault {
            name: "only a row of a lower version shows that rows are lost",
            file: "lease-core/src/worker/table.rs",
            before: "now.version > before.version && now.epoch >= before.epoch || Expected::row(now) == Expected::row(before)",
            after: "now.version >= before.version",
        },
        shows: Shows::lease_core(
            "--lib",
            "worker::table::tests::a_row_of_another_epoch_at_its_version_and_one_of_a_lower_epoch_show_that_rows_are_lost",
        ),
    },
    Finding {
        number: 42,
        undone: Fault {
            name: "the child of a row that is gone from the table seems to have no parent",
            file: "lease-core/src/worker/planning.rs",
            before: " && !waiting.contains(&row.key);",
            after: ";",
        },
        shows: Shows::lease_core(
            "--test=worker_streams",
            "the_child_of_a_lease_that_is_gone_from_the_table_waits_until_that_is_back",
        ),
    },
    Finding {
        number: 43,
        undone: Fault {
            name: "a lease that a list shows in other hands is read on while a write of it waits to be sent again",
            file: "lease-core/src/worker/upkeep.rs",
            before: "let refuted = self.table.refuted(&leases, sent);",
            after: "let refuted = Vec::<super::write::Write>::new();",
        },
        shows: Shows::lease_core(
            "--test=worker_writes",
            "a_lease_that_a_list_shows_in_other_hands_is_read_no_more_though_a_write_waits_to_be_sent_again",
        ),
    },
];
