//! What a process does with signals while it cannot finish its work.

use std::time::{Duration, Instant};

use crate::fleet::{HEARTBEAT, World};

#[tokio::test]
async fn a_second_signal_ends_at_once_what_the_first_one_could_not() {
    let mut world = World::new("memory:".into());
    let mut process = world.start("stuck", &[]);
    world.put(400).await;
    world.wait_until_printed().await;
    // Nobody reads what it prints: it cannot finish its batch, and leaving waits for that.
    process.hold_back(true);
    let begun = Instant::now();
    world.load_until("it has had the time for some batches", 400, |_| begun.elapsed() > HEARTBEAT * 5).await;
    process.signal("-TERM");
    let asked = Instant::now();
    let is_patient = |_: &World| {
        assert!(!process.has_ended(), "it waits for its batch");
        asked.elapsed() > Duration::from_secs(3)
    };
    world.load_until("it has waited for a while", 0, is_patient).await;
    process.signal("-TERM");
    let asked = Instant::now();
    let has_ended = |_: &World| {
        assert!(asked.elapsed() < Duration::from_secs(5), "it does not end at once");
        process.has_ended()
    };
    world.load_until("it has ended", 0, has_ended).await;
    let said = process.expect_failure();
    assert!(said.contains("ended at once"), "{said}");
}
