//! The findings up to 23, in the order of `docs/hunt.md`.

use super::{Finding, Shows};
use crate::plant::{MISTAKEN_TAKE, OLD_LOOK};
use crate::planting::Fault;

pub(crate) const UP_TO_23: &[Finding] = &[
    Finding {
        number: 1,
        undone: Fault {
            name: "a newcomer counts every row that it sees as somebody alive",
            file: "lease-core/src/worker/planning.rs",
            before: "(is_silent(row) || !self.liveness.has_beaten(&row.name))",
            after: "is_silent(row)",
        },
        shows: Shows::lease_core(
            "--test=worker_faults",
            "a_newcomer_gives_nothing_to_a_worker_that_died_before_it_came",
        ),
    },
    Finding {
        number: 2,
        undone: OLD_LOOK,
        shows: Shows::lease_core(
            "--test=worker_faults",
            "a_lease_is_taken_from_the_dead_only_after_a_look_at_the_registry_that_is_younger_than_the_list",
        ),
    },
    Finding {
        number: 3,
        undone: Fault {
            name: "a worker that was frozen goes by what it saw before",
            file: "lease-core/src/worker/upkeep.rs",
            before: "sent.since(last) >= self.settings.doubt_after(&self.pulse.row))",
            after: "sent.since(last) >= self.settings.doubt_after(&self.pulse.row) && false)",
        },
        shows: Shows::lease_core(
            "--test=worker_faults",
            "a_worker_that_was_frozen_gives_nothing_to_one_that_died_meanwhile",
        ),
    },
    Finding {
        number: 4,
        undone: Fault {
            name: "a lease taken while a new plan wants it elsewhere is kept",
            file: "lease-core/src/worker/leases.rs",
            before: "self.chores.plan |= self.target(&key) != Some(&self.pulse.row.name);",
            after: "",
        },
        shows: Shows::lease_core(
            "--test=worker_answers",
            "what_is_taken_although_it_has_become_a_newcomers_is_drained_at_once",
        ),
    },
    Finding {
        number: 5,
        undone: Fault {
            name: "a lease that is given to a worker while it gives the stream up is read",
            file: "lease-core/src/worker/planning.rs",
            before: ".filter(|row| self.follows(&row.key.stream)).cloned()",
            after: ".cloned()",
        },
        shows: Shows::lease_core(
            "--test=worker_streams",
            "a_lease_that_is_given_to_a_worker_while_it_gives_the_stream_up_is_not_read_there",
        ),
    },
    Finding {
        number: 6,
        undone: Fault {
            name: "a throttled description of the stream ends a consumer at its start",
            file: "consumer/src/streams.rs",
            before: "Err(error) if error.kind() == SourceErrorKind::Throttled => {",
            after: "Err(error) if false && error.kind() == SourceErrorKind::Throttled => {",
        },
        shows: Shows::Test("consumer", "--test=throttled_start", "a_throttled_description_is_asked_for_again"),
    },
    Finding {
        number: 7,
        undone: Fault {
            name: "free children take seats in the order of all their parents",
            file: "lease-core/src/plan/assignment.rs",
            before: "parents_of_free(candidate).into_iter().take(1).collect()",
            after: "parents_of_free(candidate)",
        },
        shows: Shows::lease_core(
            "--test=plan_properties",
            "p08_a_child_of_two_parents_that_was_taken_moves_nobody_elses_seat",
        ),
    },
    Finding {
        number: 8,
        undone: MISTAKEN_TAKE,
        shows: Shows::lease_core("--test=worker_faults", "a_take_after_a_lapse_is_never_mistaken_for_one_from_before"),
    },
    Finding {
        number: 9,
        undone: Fault {
            name: "a look at the registry at the very moment of a list is younger than it",
            file: "lease-core/src/worker/planning.rs",
            before: "!is_known && self.workers_read <= self.listing",
            after: "!is_known && self.workers_read < self.listing",
        },
        shows: Shows::Search("1"),
    },
    Finding {
        number: 10,
        undone: Fault {
            name: "the row of a departed worker that a late heartbeat brings back is somebody's who lives",
            file: "lease-core/src/liveness.rs",
            before: "has_beaten: self.is_watching && !is_back,",
            after: "has_beaten: self.is_watching && (!is_back || true),",
        },
        shows: Shows::lease_core(
            "--lib",
            "liveness::tests::a_row_that_comes_back_after_it_was_forgotten_has_not_beaten",
        ),
    },
    Finding {
        number: 12,
        undone: Fault {
            name: "what a worker is to give away, of its predecessor's, is left unread until it can",
            file: "lease-core/src/worker/planning.rs",
            before: "None if self.is_of_predecessor(key) => self.take(key),",
            after: "",
        },
        shows: Shows::lease_core(
            "--test=worker_returns",
            "a_worker_that_was_killed_and_is_back_reads_what_it_had_although_a_newcomer_is_to_have_some",
        ),
    },
    Finding {
        number: 14,
        undone: Fault {
            name: "a batch that nobody commits counts as a failure of its records",
            file: "consumer/src/delivery.rs",
            before: "if !failure.is::<NotCommitted>() {\n                failures += 1;",
            after: "if true {\n                failures += 1;",
        },
        shows: Shows::Test(
            "consumer",
            "--test=pull_and_keys",
            "a_record_that_nobody_has_committed_is_never_put_away_and_stops_no_shard",
        ),
    },
    Finding {
        number: 15,
        undone: Fault {
            name: "a batch that nobody has asked for waits for somebody",
            file: "consumer/src/pull.rs",
            before: "() = drain.cancelled() => return Err(NotCommitted::NotAskedFor.into()),",
            after: "() = std::future::pending::<()>() => {}",
        },
        shows: Shows::Test("consumer", "--test=pull_and_keys", "a_batch_that_nobody_has_asked_for_holds_up_no_move"),
    },
    Finding {
        number: 16,
        undone: Fault {
            name: "what is not drained when the time for leaving ends is cancelled",
            file: "consumer/src/driver.rs",
            before: "self.shards.cut_short();",
            after: "",
        },
        shows: Shows::Test(
            "consumer",
            "--test=processor_contract",
            "leaving_ends_at_the_deadline_though_a_processor_never_returns_and_stores_what_was_done",
        ),
    },
    Finding {
        number: 17,
        undone: Fault {
            name: "the epochs of a lease that vanished are given out once more",
            file: "lease-core/src/worker/lost.rs",
            before: "self.0.get(shard).map(|lost| lost.epoch)",
            after: "self.0.get(shard).map(|lost| lost.epoch).filter(|_| false)",
        },
        shows: Shows::lease_core("--test=worker_protocol", "a_lease_deleted_by_hand_comes_back_within_a_minute"),
    },
    Finding {
        number: 18,
        undone: Fault {
            name: "a start that the service's clock has not reached is an error",
            file: "kinesis-source/src/source_error.rs",
            before: "if self.kind == SourceErrorKind::Invalid =>",
            after: "if false && self.kind == SourceErrorKind::Invalid =>",
        },
        shows: Shows::Test(
            "consumer",
            "--test=streams",
            "a_start_that_the_services_clock_has_not_reached_is_waited_for",
        ),
    },
    Finding {
        number: 19,
        undone: Fault {
            name: "what is done of a batch is stored only after it",
            file: "consumer/src/by_key.rs",
            before: ".filter(|_| front.is_unstored());",
            after: ".filter(|_| false);",
        },
        shows: Shows::Test(
            "consumer",
            "--test=pull_and_keys",
            "what_is_done_up_to_a_key_that_hangs_is_stored_while_it_hangs",
        ),
    },
    Finding {
        number: 20,
        undone: Fault {
            name: "a panic outside a processor's calls forgets what was done",
            file: "consumer/src/shard_task.rs",
            before: "Err(panic) => TaskEnd::Panicked { panic, position: running.position() },",
            after: "Err(panic) => TaskEnd::Panicked { panic, position: None },",
        },
        shows: Shows::Test("consumer", "--test=failures", "a_factory_that_panics_repeats_nothing_that_was_done_before"),
    },
    Finding {
        number: 21,
        undone: Fault {
            name: "a half of a batch that is stored already counts as a failure",
            file: "lease-core/src/worker/leases.rs",
            before: "result: Ok(stored) });",
            after: "result: Err(CheckpointError::Superseded) });",
        },
        shows: Shows::Test(
            "consumer",
            "--test=pull_and_keys",
            "under_manual_checkpoints_only_the_record_that_fails_is_put_away",
        ),
    },
    Finding {
        number: 22,
        undone: Fault {
            name: "a leaver waits for a doubtful receiver until its time is over",
            file: "lease-core/src/worker/planning.rs",
            before: "if self.is_overdue {",
            after: "if false {",
        },
        shows: Shows::lease_core(
            "--test=worker_notice",
            "a_leaver_whose_time_is_nearly_over_leaves_its_leases_to_nobody_rather_than_to_a_doubtful_receiver",
        ),
    },
];
