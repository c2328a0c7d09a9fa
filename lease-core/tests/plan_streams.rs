//! What the plan promises where workers follow different streams.

mod common;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use common::rows::{counts, facts, name, plan_of, shard, snapshot};
use lease_core::plan::{Plan, Step, plan};
use lease_core::testing::worker;
use lease_core::{Lease, WorkerRow};
use proptest::prelude::*;

const STREAMS: [&str; 3] = ["orders", "payments", "refunds"];

#[derive(Debug, Clone)]
struct Fleet {
    workers: Vec<WorkerRow>,
    leases: Vec<Lease>,
}

fn lease_of(stream: usize, index: usize) -> Lease {
    Lease::new(name(STREAMS[stream]), shard(&format!("shard-{index:04}"), &[]), facts(), worker("creator"))
}

fn row(index: usize, streams: Option<Vec<usize>>, capacity: Option<u32>) -> WorkerRow {
    let streams = streams.map(|streams| streams.into_iter().map(|stream| name(STREAMS[stream])).collect());
    let capacity = capacity.and_then(NonZeroU32::new);
    WorkerRow { streams, ..WorkerRow::registering(worker(&format!("worker-{index}")), capacity) }
}

/// Workers with any streams, or from a build that did not tell; leases of any owner.
fn any_fleet() -> impl Strategy<Value = Fleet> {
    let streams = prop::option::weighted(0.9, prop::sample::subsequence(vec![0, 1, 2], 0..=3));
    let workers = prop::collection::vec((streams, prop::option::weighted(0.2, 1..5_u32)), 1..=6);
    let leases = prop::collection::vec((0..3_usize, prop::option::weighted(0.7, 0..8_usize)), 0..=24);
    (workers, leases).prop_map(|(workers, leases)| {
        let workers = workers.into_iter().enumerate();
        let leases = leases.into_iter().enumerate().map(|(index, (stream, owner))| {
            let lease = lease_of(stream, index);
            owner.map_or(lease.clone(), |owner| lease.taken_by(&worker(&format!("worker-{owner}"))))
        });
        Fleet {
            workers: workers.map(|(index, (streams, capacity))| row(index, streams, capacity)).collect(),
            leases: leases.collect(),
        }
    })
}

/// A stream is being added: some workers follow the first alone, the others the second as well.
fn any_rollout() -> impl Strategy<Value = Fleet> {
    (1..=4_usize, 0..=4_usize, 0..=4_usize, 0..=3_usize).prop_map(|(workers, updated, orders, payments)| {
        let streams = |index| if index < updated { vec![0, 1] } else { vec![0] };
        let leases = (0..orders).map(|index| lease_of(0, index)).chain((0..payments).map(|index| lease_of(1, index)));
        let workers = (0..workers).map(|index| row(index, Some(streams(index)), None)).collect();
        Fleet { workers, leases: leases.collect() }
    })
}

impl Fleet {
    fn plan(&self) -> Plan {
        plan_of(&self.workers, &self.leases)
    }

    fn followers(&self, lease: &Lease) -> impl Iterator<Item = &WorkerRow> {
        self.workers.iter().filter(|row| row.follows(&lease.key.stream))
    }

    /// The fleet after everybody carried out his part.
    fn carried_out(&self) -> Self {
        let snapshot = snapshot(&self.workers, &self.leases);
        let plan = plan(&snapshot);
        let mut leases = self.leases.clone();
        for row in &self.workers {
            for step in plan.part_of(&row.id(), &snapshot) {
                let lease = leases.iter_mut().find(|lease| lease.key == *step.key()).expect("it is in the table");
                *lease = match step {
                    Step::Take(_) => lease.taken_by(&row.id()),
                    Step::Give(_, receiver) => lease.given_to(&receiver, &row.id()),
                    Step::Release(_) => lease.released(&row.id()),
                };
            }
        }
        Self { workers: self.workers.clone(), leases }
    }

    /// All ways to spread the leases among their followers; the most level of them, as ascending counts.
    fn most_level(&self) -> Vec<usize> {
        let choices: Vec<Vec<usize>> = self
            .leases
            .iter()
            .map(|lease| (0..self.workers.len()).filter(|&w| self.workers[w].follows(&lease.key.stream)).collect())
            .filter(|choices: &Vec<usize>| !choices.is_empty())
            .collect();
        let mut reached = BTreeSet::from([vec![0; self.workers.len()]]);
        for choice in choices {
            let seated = reached.iter().flat_map(|levels| {
                choice.iter().map(move |&worker| {
                    let mut levels = levels.clone();
                    levels[worker] += 1;
                    levels
                })
            });
            reached = seated.collect();
        }
        let sorted = reached.into_iter().map(|mut levels| {
            levels.sort_unstable();
            levels
        });
        sorted.max().expect("at least the empty one")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_lease_goes_to_a_follower_and_is_unplaced_only_when_all_of_them_are_full(fleet in any_fleet()) {
        let plan = fleet.plan();
        prop_assert_eq!(plan.assignments().len(), fleet.leases.len());
        let levels = counts(&plan, &fleet.workers);
        for lease in &fleet.leases {
            match plan.target(&lease.key) {
                Some(target) => prop_assert!(fleet.followers(lease).any(|row| row.name == *target)),
                None => for row in fleet.followers(lease) {
                    let index = fleet.workers.iter().position(|other| other.name == row.name).expect("it is one");
                    let capacity = row.capacity.map_or(usize::MAX, |capacity| capacity.get() as usize);
                    prop_assert!(levels[index] >= capacity, "{} has room for {}", row.name, lease.key);
                },
            }
        }
    }

    #[test]
    fn while_a_stream_is_added_the_counts_are_as_level_as_they_can_be(fleet in any_rollout()) {
        let mut levels = counts(&fleet.plan(), &fleet.workers);
        levels.sort_unstable();
        prop_assert_eq!(levels, fleet.most_level());
    }

    #[test]
    fn one_round_reaches_the_target_and_then_nothing_moves(fleet in any_fleet()) {
        let once = fleet.carried_out();
        let plan = fleet.plan();
        for lease in &once.leases {
            let owner = lease.owner.as_ref().map(|owner| &owner.name);
            let is_of_a_worker = owner.is_some_and(|owner| fleet.workers.iter().any(|row| row.name == *owner));
            prop_assert_eq!(owner.filter(|_| is_of_a_worker), plan.target(&lease.key), "{}", lease.key);
        }
        prop_assert_eq!(&once.carried_out().leases, &once.leases);
    }

    #[test]
    fn a_plan_that_is_half_carried_out_stays_the_plan(fleet in any_fleet(), done in prop::collection::vec(any::<bool>(), 24)) {
        let before = fleet.plan();
        let all = fleet.carried_out();
        let half = fleet.leases.iter().zip(&all.leases).zip(done).map(|((before, after), done)| if done { after } else { before });
        let half = Fleet { leases: half.cloned().collect(), ..fleet.clone() };
        prop_assert_eq!(half.plan(), before);
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(fleet in any_fleet()) {
        let mut reversed = fleet.clone();
        reversed.workers.reverse();
        reversed.leases.reverse();
        prop_assert_eq!(reversed.plan(), fleet.plan());
    }

    #[test]
    fn a_stream_that_all_follow_is_planned_as_if_nobody_told(fleet in any_fleet()) {
        let with = |streams: Option<Vec<usize>>| {
            let rows = fleet.workers.iter().enumerate();
            let told = |(index, old): (usize, &WorkerRow)| WorkerRow { capacity: old.capacity, ..row(index, streams.clone(), None) };
            plan_of(&rows.map(told).collect::<Vec<_>>(), &fleet.leases)
        };
        prop_assert_eq!(with(Some(vec![0, 1, 2])), with(None));
    }
}

/// The leases of a stream that its last follower leaves are left to nobody, with their positions.
#[test]
fn what_nobody_follows_is_released() {
    let rows = [row(0, Some(vec![0]), None), row(1, Some(vec![0]), None)];
    let leases = [lease_of(1, 0).taken_by(&rows[0].id()), lease_of(1, 1)];
    let snapshot = snapshot(&rows, &leases);
    let plan = plan(&snapshot);
    assert_eq!(plan.unplaced().count(), 2);
    assert_eq!(plan.part_of(&rows[0].id(), &snapshot), [Step::Release(leases[0].key.clone())]);
    assert_eq!(plan.part_of(&rows[1].id(), &snapshot), []);
}
