//! What becomes of records that a processor cannot process, under each policy, in virtual time.

mod common;

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use common::World;
use consumer::{
    Checkpoints, DeadLetter, DeadLetters, EndReached, FailurePolicy, RecordProcessor, Report, ShardBatch, ShardContext,
    ShardCounts, ShardEnd, ShardOutcome, Warning,
};
use lease_core::{Expected, LeaseStore, Outcome};
use stream_types::{Position, RecordPosition, SequenceNumber};

const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();

fn has(batch: &ShardBatch, payload: &str) -> bool {
    batch.records().iter().any(|record| record.data == payload.as_bytes())
}

async fn fails_on_poison(batch: ShardBatch, _attempt: u32) -> io::Result<()> {
    if has(&batch, "poison") { Err(io::Error::other("it is poisoned")) } else { Ok(()) }
}

async fn panics_on_poison(batch: ShardBatch, _attempt: u32) -> io::Result<()> {
    assert!(!has(&batch, "poison"), "a planned panic");
    Ok(())
}

fn outcomes(report: &Report) -> Vec<ShardOutcome> {
    report.shards.values().map(|shard| shard.outcome).collect()
}

fn counts(report: &Report, shard: usize) -> ShardCounts {
    report.shards.values().nth(shard).expect("the shard was read").counts
}

/// Keeps the letters; refuses each the first so many times.
#[derive(Debug, Default)]
struct Letters {
    accepted: Mutex<Vec<String>>,
    refusals: Mutex<u32>,
}

impl Letters {
    fn policy(self) -> (FailurePolicy, Arc<Self>) {
        let letters = Arc::new(self);
        (FailurePolicy::DeadLetter { tries: THREE, letters: Arc::clone(&letters) as Arc<dyn DeadLetters> }, letters)
    }

    fn accepted(&self) -> Vec<String> {
        self.accepted.lock().expect("no test panics with the lock").clone()
    }
}

#[async_trait]
impl DeadLetters for Letters {
    async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut refusals = self.refusals.lock().expect("no test panics with the lock");
        if let Some(left) = refusals.checked_sub(1) {
            *refusals = left;
            return Err("the letter box is full".into());
        }
        let record = String::from_utf8_lossy(&letter.record.data).into_owned();
        let letter = format!("{record}: {}", letter.error);
        self.accepted.lock().expect("no test panics with the lock").push(letter);
        Ok(())
    }
}

/// `one`, `ten` and `two` land in one shard, `poison` and `five` in the other.
fn poisoned() -> World {
    let world = World::of_shards(2);
    for payload in ["one", "ten", "poison", "five"] {
        world.put(payload);
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_record_that_always_fails_holds_up_its_shard_alone() {
    let world = poisoned();
    let (stop, running) = world.start(fails_on_poison);
    world.wait_until_noted("one ten: done").await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    assert_eq!(outcomes(&report), [ShardOutcome::Drained; 2]);
    let shard = (0..2).find(|shard| counts(&report, *shard).failures > 0).unwrap();
    let ShardCounts { records, failures, stalls, .. } = counts(&report, shard);
    assert_eq!((records, stalls), (0, 1), "nothing is passed over, and somebody hears of it");
    assert!((100..200).contains(&failures), "an hour of tries, 30 s apart: {failures}");
    assert_eq!(world.lease(shard).await.position, Position::HORIZON);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_stops_is_left_to_nobody_and_the_others_go_on() {
    let mut world = poisoned();
    world.failure_policy = FailurePolicy::StopShard { tries: THREE };
    let (stop, running) = world.start(fails_on_poison);
    world.wait_until_noted("poison five: failed").await;
    world
        .wait_until("the lease is free", async |world| {
            world.lease(0).await.owner.is_none() || world.lease(1).await.owner.is_none()
        })
        .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    stop.cancel();
    let report = running.await.unwrap();
    let stopped = outcomes(&report).iter().position(|outcome| *outcome == ShardOutcome::Stopped).expect("one stopped");
    assert_eq!(outcomes(&report)[1 - stopped], ShardOutcome::Drained);
    assert_eq!(counts(&report, stopped).failures, 3);
    assert!(matches!(report.warnings[..], [Warning::ShardStopped { .. }]), "{:?}", report.warnings);

    // The next process goes on where it stopped.
    let (stop, running) = world.start(async |_batch: ShardBatch, _attempt: u32| Ok(()));
    world
        .wait_until("the rest is done", async |world| {
            world.notes().iter().any(|note| note.contains("poison") && note.ends_with("done"))
        })
        .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_record_that_fails_becomes_a_dead_letter_and_the_others_stay_in_order() {
    for panics in [false, true] {
        let mut world = World::new();
        let (policy, letters) = Letters::default().policy();
        world.failure_policy = policy;
        let payloads: Vec<String> = (0..37).map(|number| format!("record-{number}")).collect();
        let payload = |number: usize| if number == 23 { "poison".to_owned() } else { payloads[number].clone() };
        let put: Vec<SequenceNumber> = (0..37).map(|number| world.put(payload(number))).collect();
        let (stop, running) = world.start(move |batch: ShardBatch, attempt: u32| async move {
            if panics { panics_on_poison(batch, attempt).await } else { fails_on_poison(batch, attempt).await }
        });
        world
            .wait_until("all is done", async |world| {
                if world.notes().is_empty() {
                    return false;
                }
                let Position::After(stored) = world.lease(0).await.position else { return false };
                stored.sequence_number == put[36]
            })
            .await;
        stop.cancel();
        let report = running.await.unwrap();
        let done = world.notes().into_iter().filter_map(|note| note.strip_suffix(": done").map(str::to_owned));
        let done: Vec<String> = done.flat_map(|note| note.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        let others: Vec<&String> =
            payloads.iter().enumerate().filter(|(number, _)| *number != 23).map(|(_, payload)| payload).collect();
        assert_eq!(done.iter().collect::<Vec<_>>(), others, "each once, in order");
        let said = if panics { "the processor panicked: a planned panic" } else { "it is poisoned" };
        assert_eq!(letters.accepted(), [format!("poison: {said}")]);
        let ShardCounts { records, dead_letters, panics: panicked, .. } = counts(&report, 0);
        assert_eq!((records, dead_letters, panicked > 0), (36, 1, panics));
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_refused_comes_again_and_nothing_is_passed_over_meanwhile() {
    let mut world = World::new();
    let letters = Letters { refusals: Mutex::new(5), ..Letters::default() };
    let (policy, letters) = letters.policy();
    world.failure_policy = policy;
    world.put("poison");
    world.put("after");
    let (stop, running) = world.start(fails_on_poison);
    world.wait_until_noted("after: done").await;
    assert_eq!(letters.accepted(), ["poison: it is poisoned"]);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_repeats_its_own_batch_and_nothing_that_was_done_before() {
    let mut world = World::new();
    // No checkpoint comes between.
    world.settings.checkpoints = Checkpoints::Automatic { every: Duration::from_secs(3_600) };
    world.put("one");
    let (stop, running) = world.start(async |batch: ShardBatch, attempt: u32| match attempt {
        1 => panics_on_poison(batch, attempt).await,
        _ => Ok(()),
    });
    world.wait_until_noted("one: done").await;
    let last = world.put("poison");
    // A new processor counts its attempts anew, so that it panics again, until there is another record beside it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.panics > 1 && report.left_in_time, "{report:?}");
    assert_eq!(world.notes().iter().filter(|note| note.starts_with("one")).count(), 1);
    let Position::After(stored) = world.lease(0).await.position else { panic!("what was done is stored") };
    assert!(stored.sequence_number < last);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_never_returns_is_reported_and_holds_up_its_shard_alone() {
    let world = poisoned();
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        if has(&batch, "poison") {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    world.wait_until_noted("one ten: done").await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    let epochs = [world.lease(0).await.epoch.0, world.lease(1).await.epoch.0];
    assert_eq!(epochs, [1, 1], "nobody took a lease meanwhile");
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    let mut ended = outcomes(&report);
    ended.sort_by_key(|outcome| *outcome == ShardOutcome::CutShort);
    assert_eq!(ended, [ShardOutcome::Drained, ShardOutcome::CutShort]);
    assert_eq!(counts(&report, 0).stalls + counts(&report, 1).stalls, 1);
}

/// Counts its records, and panics when it is told that it is to stop, whatever for.
#[derive(Clone, Default)]
struct PanicsWhenStopped {
    records: Arc<AtomicUsize>,
    stops: Arc<AtomicUsize>,
}

impl PanicsWhenStopped {
    fn stops(&self) {
        self.stops.fetch_add(1, Ordering::SeqCst);
        panic!("a planned panic");
    }
}

impl RecordProcessor for PanicsWhenStopped {
    type Error = io::Error;

    async fn process(&mut self, batch: ShardBatch) -> io::Result<()> {
        self.records.fetch_add(batch.records().len(), Ordering::SeqCst);
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> io::Result<EndReached> {
        Ok(end.reached())
    }

    async fn draining(&mut self, _shard: &ShardContext) {
        self.stops();
    }

    async fn lease_lost(&mut self, _shard: &ShardContext) {
        self.stops();
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_panics_when_it_is_drained_repeats_nothing() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Automatic { every: Duration::from_secs(3_600) };
    let put = world.put("one");
    let processor = PanicsWhenStopped::default();
    let records = Arc::clone(&processor.records);
    let (stop, running) = world.start_with(move |_: &ShardContext| processor.clone());
    world.wait_until("it is processed", async |_| records.load(Ordering::SeqCst) == 1).await;
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    assert_eq!((report.records_processed, report.panics, outcomes(&report)), (1, 1, vec![ShardOutcome::Drained]));
    assert_eq!(world.lease(0).await.position, Position::After(RecordPosition::whole(put)));
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_panics_when_its_lease_is_lost_is_counted_as_that_and_not_as_a_failed_reader() {
    let world = World::new();
    world.put("one");
    let processor = PanicsWhenStopped::default();
    let (records, stops) = (Arc::clone(&processor.records), Arc::clone(&processor.stops));
    let (stop, running) = world.start_with(move |_: &ShardContext| processor.clone());
    world.wait_until("it is processed", async |_| records.load(Ordering::SeqCst) == 1).await;
    let thief = lease_core::testing::worker("thief");
    world
        .wait_until("the lease is stolen", async |world| {
            let lease = world.lease(0).await;
            let stolen = world.store.put(Expected::row(&lease), &lease.taken_by(&thief)).await;
            stolen.expect("memory does not fail") == Outcome::Applied
        })
        .await;
    world.wait_until("its processor learns of it", async |_| stops.load(Ordering::SeqCst) == 1).await;
    stop.cancel();
    let counts = counts(&running.await.unwrap(), 0);
    assert_eq!((counts.panics > 0, counts.reader_failures), (true, 0), "{counts:?}");
}

/// After a panic the shard goes on with a new processor, and this time none can be made.
#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_repeats_nothing_that_was_done_before() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Automatic { every: Duration::from_secs(3_600) };
    let (made, processed) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&processed);
    let (stop, running) = world.start_with(move |_: &ShardContext| {
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        assert_ne!(*made, 2, "a planned panic of the factory");
        Fragile { noted: Arc::clone(&noted) }
    });
    let payloads = ["one", "fragile", "three"];
    for (done, payload) in (1..).zip(payloads) {
        world.put(payload);
        world
            .wait_until(payload, async |_| processed.lock().expect("no test panics with the lock").len() >= done)
            .await;
    }
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    assert_eq!(*processed.lock().unwrap(), payloads);
}

/// Panics once, on its way through the record that is named so.
struct Fragile {
    noted: Arc<Mutex<Vec<String>>>,
}

impl RecordProcessor for Fragile {
    type Error = io::Error;

    async fn process(&mut self, batch: ShardBatch) -> io::Result<()> {
        static PANICKED: AtomicBool = AtomicBool::new(false);
        let payloads = batch.records().iter().map(|record| String::from_utf8_lossy(&record.data).into_owned());
        let payloads: Vec<String> = payloads.collect();
        assert!(payloads != ["fragile"] || PANICKED.swap(true, Ordering::SeqCst), "a planned panic");
        self.noted.lock().expect("no test panics with the lock").extend(payloads);
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> io::Result<EndReached> {
        Ok(end.reached())
    }
}

/// Else a processor that checkpoints each record, and fails once, could never get past its first record again.
#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_again_may_store_again_what_its_last_try_has_stored() {
    for puts_away in [false, true] {
        let mut world = World::new();
        world.settings.checkpoints = Checkpoints::Manual;
        let (policy, letters) = Letters::default().policy();
        world.failure_policy = if puts_away { policy } else { FailurePolicy::Retry };
        let last = ["0", "1", "2", "3"].map(|payload| world.put(payload))[3].clone();
        let (stop, running) = world.start(async |batch: ShardBatch, attempt: u32| {
            for record in batch.records() {
                if record.data == "2" && attempt < 3 {
                    return Err(io::Error::other("not yet"));
                }
                batch.shard().checkpoint(record).await.map_err(io::Error::other)?;
            }
            Ok(())
        });
        world.wait_until_noted("0 1 2 3: done").await;
        assert_eq!(world.lease(0).await.position, Position::After(RecordPosition::whole(last)));
        stop.cancel();
        running.await.unwrap();
        assert_eq!(letters.accepted(), Vec::<String>::new());
    }
}
