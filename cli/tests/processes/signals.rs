//! What a process does with signals while it cannot finish its work.

use std::time::{Duration, Instant};

use crate::fleet::World;

#[tokio::test]
async fn a_second_signal_ends_at_once_what_the_first_one_could_not() {
    let mut world = World::new("memory:".into());
    let mut process = world.start("stuck", &[]);
    world.put(400).await;
    world.wait_until_printed().await;
    // Nobody reads what it prints: it cannot finish its batch, and leaving waits for that.
    process.hold_back(true);
    for _ in 0..10 {
        world.put(400).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stuck = Instant::now();
    process.signal("-TERM");
    while stuck.elapsed() < Duration::from_secs(3) {
        assert!(!process.has_ended(), "it waits for its batch");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = Instant::now();
    process.signal("-TERM");
    while !process.has_ended() {
        assert!(asked.elapsed() < Duration::from_secs(5), "it does not end at once");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = process.expect_failure();
    assert!(said.contains("ended at once"), "{said}");
}
