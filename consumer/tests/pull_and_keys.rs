//! The other ways to consume: a loop of one's own, and many keys at once, in virtual time.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{
    Checkpoints, Consumer, ConsumerBuilder, ConsumerSettings, DeadLetter, DeadLetters, FailurePolicy, Report,
    each_record_by_key,
};
use kinesis_source::Record;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::{LeaseStore, MemoryStore};
use stream_types::{Name, Position, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";

fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

struct World {
    kinesis: Kinesis,
    store: MemoryStore,
}

impl World {
    fn new() -> Self {
        let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
        let kinesis = Kinesis::new(clock, Limits::of_the_service());
        kinesis.create_stream(STREAM, 1).expect("a new stream");
        Self { kinesis, store: MemoryStore::new(name("application")) }
    }

    fn put(&self, key: &str, data: &str) {
        let entry = PutEntry { partition_key: key.into(), explicit_hash_key: None, data: data.to_owned().into() };
        self.kinesis.put_record(STREAM, entry).expect("the record is taken");
    }

    fn builder(&self) -> ConsumerBuilder {
        self.builder_with(Checkpoints::Automatic { every: Duration::from_secs(3_600) })
    }

    fn builder_with(&self, checkpoints: Checkpoints) -> ConsumerBuilder {
        let settings = ConsumerSettings { checkpoints, ..ConsumerSettings::default() };
        let source = ModelSource::new(self.kinesis.clone(), name(STREAM));
        Consumer::builder(Arc::new(self.store.clone()), Arc::new(source)).settings(settings)
    }

    /// How many records are stored as done.
    async fn stored(&self) -> Option<u64> {
        match self.store.list().await.expect("memory does not fail").pop()?.position {
            Position::After(record) => record.sequence_number.as_str()[21..].parse::<u64>().ok().map(|index| index + 1),
            Position::Start(_) | Position::End => Some(0),
        }
    }
}

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(3_600), met).await.is_ok(), "it never came about that {what}");
}

type Running = (CancellationToken, JoinHandle<Report>);

fn run<Factory: consumer::ProcessorFactory>(consumer: Consumer<Factory>) -> Running {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "the test joins it")]
    let running = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await.expect("nothing ends it") });
    (stop, running)
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pulled_batch_comes_again_until_it_is_committed_and_leaving_waits_for_it() {
    let world = World::new();
    world.put("key", "one");
    let (consumer, mut shards) = world.builder().build_to_pull().expect("the settings work");
    let (stop, running) = run(consumer);
    let mut shard = shards.next_shard().await.expect("there is a shard");
    drop(shard.next_batch().await.expect("a batch"));
    // A shard that nobody wants comes again, too.
    drop(shard);
    let mut shard = shards.next_shard().await.expect("the shard");
    shard.next_batch().await.expect("it comes again").fail("not yet");
    let batch = shard.next_batch().await.expect("and again");
    assert_eq!(texts(batch.records()), ["one"]);
    stop.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!running.is_finished(), "the batch in hand is waited for");
    batch.commit();
    assert!(shard.next_batch().await.is_none(), "the shard is handed over");
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    assert_eq!(report.records_processed, 1);
    assert_eq!(world.stored().await, Some(1));
    assert!(shards.next_shard().await.is_none(), "the consumer has ended");
}

/// Accepts no letter that is not meant to be one.
#[derive(Debug, Default)]
struct Letters(Mutex<Vec<String>>);

#[async_trait]
impl DeadLetters for Letters {
    async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.lock().expect("no test panics with the lock").push(letter.error.to_string());
        Ok(())
    }
}

/// Neither a loop that drops batches nor one that has ended says that anything is wrong with the records.
#[tokio::test(start_paused = true)]
async fn a_record_that_nobody_has_committed_is_never_put_away_and_stops_no_shard() {
    let letters = Arc::new(Letters::default());
    let tries = NonZeroU32::new(3).unwrap();
    let policies = [
        FailurePolicy::DeadLetter { tries, letters: Arc::clone(&letters) as Arc<dyn DeadLetters> },
        FailurePolicy::StopShard { tries },
    ];
    for policy in policies {
        let world = World::new();
        world.put("key", "one");
        world.put("key", "two");
        let (consumer, mut shards) = world.builder().failure_policy(policy).build_to_pull().expect("the settings work");
        let (stop, running) = run(consumer);
        let mut shard = shards.next_shard().await.expect("there is a shard");
        for _ in 0..10 {
            let batch = tokio::time::timeout(Duration::from_secs(600), shard.next_batch()).await;
            let batch = batch.expect("it is not put away").expect("it comes again");
            assert_eq!(texts(batch.records()), ["one", "two"]);
        }
        drop((shard, shards));
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        stop.cancel();
        let report = running.await.unwrap();
        assert!(report.left_in_time && report.warnings.is_empty(), "{report:?}");
        assert_eq!((report.records_processed, world.stored().await), (0, Some(0)));
        assert_eq!(*letters.0.lock().unwrap(), Vec::<String>::new());
    }
}

/// A loop that takes its shards one after the other has batches waiting that it has not asked for. They are nobody's.
#[tokio::test(start_paused = true)]
async fn a_batch_that_nobody_has_asked_for_holds_up_no_move() {
    let world = World::new();
    world.put("key", "one");
    let (consumer, mut shards) = world.builder().build_to_pull().expect("the settings work");
    let (stop, running) = run(consumer);
    // A shard comes out when it has a batch.
    let mut shard = shards.next_shard().await.expect("there is a shard");
    let asked = tokio::time::Instant::now();
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(world.stored().await, Some(0));
    assert!(shard.next_batch().await.is_none(), "the shard is handed over");
}

/// Only what its loop says has failed counts against a record.
#[tokio::test(start_paused = true)]
async fn a_pulled_record_that_fails_is_put_away_after_its_tries() {
    let letters = Arc::new(Letters::default());
    let tries = NonZeroU32::new(3).unwrap();
    let policy = FailurePolicy::DeadLetter { tries, letters: Arc::clone(&letters) as Arc<dyn DeadLetters> };
    let world = World::new();
    world.put("key", "one");
    let (consumer, mut shards) = world.builder().failure_policy(policy).build_to_pull().expect("the settings work");
    let (stop, running) = run(consumer);
    let mut shard = shards.next_shard().await.expect("there is a shard");
    for _ in 0..3 {
        drop(shard.next_batch().await.expect("it comes again"));
        shard.next_batch().await.expect("it comes again").fail("it is poisoned");
    }
    wait_until("it is put away", async || !letters.0.lock().unwrap().is_empty()).await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    assert_eq!(world.stored().await, Some(1));
    assert_eq!(*letters.0.lock().unwrap(), ["it is poisoned"]);
}

#[tokio::test(start_paused = true)]
async fn keys_go_on_at_the_same_time_and_each_stays_in_order() {
    let world = World::new();
    for number in 0..40 {
        world.put(&format!("key-{}", number % 4), &number.to_string());
    }
    let (log, lanes) = (Arc::new(Mutex::new(Vec::new())), NonZeroUsize::new(4).unwrap());
    let noted = Arc::clone(&log);
    let process = each_record_by_key(lanes, move |record: Record| {
        let noted = Arc::clone(&noted);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let number: u32 = String::from_utf8_lossy(&record.data).parse().map_err(std::io::Error::other)?;
            noted.lock().expect("no test panics with the lock").push((record.partition_key, number));
            Ok::<(), std::io::Error>(())
        }
    });
    let begun = tokio::time::Instant::now();
    let (stop, running) = run(world.builder().build(process).expect("the settings work"));
    wait_until("all are done", async || log.lock().expect("no test panics with the lock").len() == 40).await;
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "one after the other, it would take 40 s: {:?}",
        begun.elapsed()
    );
    stop.cancel();
    running.await.unwrap();
    let mut by_key = BTreeMap::<Arc<str>, Vec<u32>>::new();
    for (key, number) in log.lock().expect("no test panics with the lock").iter() {
        by_key.entry(Arc::clone(key)).or_default().push(*number);
    }
    assert_eq!(by_key.len(), 4);
    assert!(by_key.values().all(|numbers| numbers.is_sorted() && numbers.len() == 10), "{by_key:?}");
}

/// Record 10 fails for a while: its key waits there, the others go on once, and what is done before it is stored.
#[tokio::test(start_paused = true)]
async fn a_failing_key_holds_up_itself_and_what_was_done_is_stored_up_to_it() {
    let world = World::new();
    for number in 0..40 {
        world.put(&format!("key-{}", number % 4), &number.to_string());
    }
    let (log, lanes) = (Arc::new(Mutex::new(Vec::<String>::new())), NonZeroUsize::new(2).unwrap());
    let (noted, healed) = (Arc::clone(&log), CancellationToken::new());
    let is_healed = healed.clone();
    let process = each_record_by_key(lanes, move |record: Record| {
        let (noted, is_healed) = (Arc::clone(&noted), is_healed.clone());
        async move {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            if text == "10" && !is_healed.is_cancelled() {
                return Err(std::io::Error::other("not yet"));
            }
            noted.lock().expect("no test panics with the lock").push(text);
            Ok(())
        }
    });
    let (stop, running) = run(world.builder().build(process).expect("the settings work"));
    wait_until("what is done before the failing record is stored", async || world.stored().await == Some(10)).await;
    let done = || log.lock().expect("no test panics with the lock").len();
    assert_eq!(done(), 32, "the other three keys, and two of the failing one");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(done(), 32, "nothing is done twice");
    healed.cancel();
    wait_until("all are done", async || done() == 40).await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    assert_eq!(world.stored().await, Some(40));
}

/// The halves of a batch are done again by nobody, though what was done before is stored further than they reach.
#[tokio::test(start_paused = true)]
async fn under_manual_checkpoints_only_the_record_that_fails_is_put_away() {
    let letters = Arc::new(Letters::default());
    let tries = NonZeroU32::new(3).unwrap();
    let policy = FailurePolicy::DeadLetter { tries, letters: Arc::clone(&letters) as Arc<dyn DeadLetters> };
    let world = World::new();
    for number in 0..40 {
        world.put(&format!("key-{number}"), &number.to_string());
    }
    let log = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = Arc::clone(&log);
    let process = each_record_by_key(NonZeroUsize::MIN, move |record: Record| {
        let noted = Arc::clone(&noted);
        async move {
            let text = String::from_utf8_lossy(&record.data).into_owned();
            if text == "31" {
                return Err(std::io::Error::other("it is poisoned"));
            }
            noted.lock().expect("no test panics with the lock").push(text);
            Ok(())
        }
    });
    let builder = world.builder_with(Checkpoints::Manual).failure_policy(policy);
    let (stop, running) = run(builder.build(process).expect("the settings work"));
    wait_until("all is stored", async || world.stored().await == Some(40)).await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    assert_eq!(*letters.0.lock().unwrap(), ["it is poisoned"]);
    assert_eq!(log.lock().unwrap().len(), 39, "each once");
}

/// One key never returns. What the others have done up to it is stored meanwhile, so that a crash repeats little.
#[tokio::test(start_paused = true)]
async fn what_is_done_up_to_a_key_that_hangs_is_stored_while_it_hangs() {
    let every = Duration::from_secs(5);
    for checkpoints in [Checkpoints::Automatic { every }, Checkpoints::Manual] {
        let world = World::new();
        for number in 0..40 {
            world.put(&format!("key-{}", number % 4), &number.to_string());
        }
        let process = each_record_by_key(NonZeroUsize::new(4).unwrap(), async |record: Record| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if *record.data == *b"30" {
                std::future::pending::<()>().await;
            }
            Ok::<(), std::io::Error>(())
        });
        let consumer = world.builder_with(checkpoints).build(process).expect("the settings work");
        let (_stop, running) = run(consumer);
        wait_until("what is done before the hanging record is stored", async || world.stored().await == Some(30)).await;
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_under_manual_checkpoints_are_stored_batch_by_batch() {
    let world = World::new();
    for number in 0..40 {
        world.put(&format!("key-{}", number % 4), &number.to_string());
    }
    let process = each_record_by_key(NonZeroUsize::MIN, async |_record: Record| Ok::<(), std::io::Error>(()));
    let consumer = world.builder_with(Checkpoints::Manual).build(process).expect("the settings work");
    let (stop, running) = run(consumer);
    wait_until("all is stored", async || world.stored().await == Some(40)).await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
}
