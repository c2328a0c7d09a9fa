//! Short looks at what `cargo xtask sim` and `cargo xtask explore` do at length.

use std::time::Duration;

use simulation::small_worlds::{Bounds, explore};
use simulation::{simulate, simulate_only};

#[test]
fn the_same_seed_is_the_same_world_whatever_was_simulated_before() {
    let first = simulate(42, true);
    let _other = simulate(43, false);
    let again = simulate(42, true);
    assert_eq!(first.trace, again.trace);
    assert_eq!(first.trace_hash, simulate(42, false).trace_hash, "keeping the trace changes nothing");
    assert!(first.events > 100, "{}", first.events);
}

#[test]
fn a_world_in_which_nothing_happens_is_consumed_by_the_one_who_comes_in_the_end() {
    let quiet = simulate_only(42, &[], false);
    assert_eq!(quiet.violations, []);
    assert!(quiet.schedule.is_empty());
}

#[test]
fn every_order_of_two_workers_first_calls_with_a_fault_anywhere_keeps_the_promises() {
    let bounds = Bounds { workers: 2, shards: 1, length: Duration::from_millis(1_500), faults: 1, reshards: true };
    let explored = explore(bounds);
    assert_eq!(explored.violation, None);
    assert!(explored.states > 1_000, "{explored:?}");
    assert!(explored.ends > 10, "{explored:?}");
}
