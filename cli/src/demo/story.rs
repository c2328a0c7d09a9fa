//! What happens in the demo, and when it is over.

use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use consumer::ConsumerSettings;
use fastrand::Rng;
use kinesis_source::StreamReference;
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits};
use tokio::task::JoinHandle;

use super::board::Board;
use super::fleet::Fleet;
use super::outcome::{LevelSeconds, Outcome};
use super::producer::Producer;
use crate::arguments::DemoOptions;
use crate::aws::loopback_config;
use crate::failure::Failure;
use crate::leases;

const STREAM: &str = "orders";

/// How long the story waits for anything before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The story in the making.
pub(super) struct Story<'demo> {
    board: &'demo Board,
    settings: ConsumerSettings,
    client: Client,
    fleet: Fleet,
    rng: Rng,
    moves_fewest: u64,
}

impl Story<'_> {
    /// Plays all of it, and says how it went.
    pub(super) async fn play(
        options: &DemoOptions,
        settings: ConsumerSettings,
        board: &Board,
    ) -> Result<Outcome, Failure> {
        let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
        let endpoint =
            Endpoint::start(kinesis, 0).await.map_err(|error| Failure::new(format!("the endpoint: {error}")))?;
        let client = Client::new(&loopback_config(&endpoint.url(), None));
        let created = client.create_stream().stream_name(STREAM).shard_count(options.shards.into()).send().await;
        created.map_err(|error| Failure::new(format!("the stream cannot be created: {error}")))?;
        board.tell(format_args!("a Kinesis endpoint serves the stream {STREAM:?} with {} shards", options.shards));

        let stream: StreamReference = STREAM.parse().map_err(|error| Failure::new(format!("{error}")))?;
        // A lease table that outlives the demo may hold the leases of earlier ones, whose streams are gone.
        let application = format!("demo-{:016x}", fastrand::u64(..));
        let application = application.parse().map_err(|error| Failure::new(format!("{error}")))?;
        let leases = leases::open(&options.leases, application).await?;
        let fleet = Fleet::new(client.clone(), stream, leases, settings.clone(), board.clone());
        let rng = Rng::with_seed(options.seed);
        let mut story = Story { board, settings, client, fleet, rng, moves_fewest: 0 };
        let producing = story.start_producer(options);
        let level_seconds = story.chapters(options.workers).await?;
        board.change(|picture| picture.is_over = true);
        let (moves, moves_fewest) = (board.look(|picture| picture.moves), story.moves_fewest);
        story.finish(producing).await?;
        endpoint.stop().await;
        let first_record = board.look(|picture| picture.first_record);
        Ok(Outcome {
            options: options.clone(),
            heartbeat: story.settings.worker.heartbeat_interval,
            tally: board.ledger.tally(),
            first_record_seconds: first_record.map(|first| first.as_secs_f64()),
            level_seconds,
            moves,
            moves_fewest,
        })
    }

    /// The producer spreads its records over the time that the story is expected to take.
    fn start_producer(&mut self, options: &DemoOptions) -> JoinHandle<Result<(), Failure>> {
        let duration = self.settings.worker.lease_duration * 2 + Duration::from_secs(2);
        let producer = Producer {
            client: self.client.clone(),
            stream: STREAM.into(),
            board: self.board.clone(),
            records: options.records.into(),
            duration,
            rng: self.rng.fork(),
        };
        tokio::spawn(producer.run())
    }

    async fn chapters(&mut self, worker_count: u16) -> Result<LevelSeconds, Failure> {
        let start = self.start(worker_count).await?;
        self.breathe().await;
        let join = self.join(worker_count + 1).await?;
        self.breathe().await;
        let split = self.split().await?;
        self.breathe().await;
        let crash = self.crash().await?;
        self.breathe().await;
        let leave = self.leave().await?;
        self.breathe().await;
        Ok(LevelSeconds { start, join, split, crash, leave })
    }

    async fn start(&mut self, worker_count: u16) -> Result<f64, Failure> {
        self.board.tell(format_args!("{worker_count} workers start"));
        let began = Instant::now();
        for number in 1..=worker_count {
            self.fleet.start(&format!("worker-{number}"))?;
        }
        self.level("the start", began).await
    }

    async fn join(&mut self, number: u16) -> Result<f64, Failure> {
        let joiner = format!("worker-{number}");
        self.moves_fewest += self.board.look(|picture| {
            let mut counts: Vec<usize> = picture.counts().into_values().collect();
            counts.push(0);
            fewest_moves(counts)
        });
        self.board.tell(format_args!("{joiner} joins"));
        let began = Instant::now();
        self.fleet.start(&joiner)?;
        self.level("the join", began).await
    }

    async fn split(&mut self) -> Result<f64, Failure> {
        let open: Vec<_> = self.board.look(|picture| {
            let runnable = picture.runnable().filter_map(|lease| Some((lease.key.shard.clone(), lease.hash_range?)));
            runnable.collect()
        });
        let Some((shard, range)) = self.rng.choice(open) else { return Err(Failure::new("no shard can be split")) };
        let middle = range.start() + (range.end() - range.start()) / 2 + 1;
        self.board.tell(format_args!("{shard} is split in two"));
        let began = Instant::now();
        let request = self.client.split_shard().stream_name(STREAM).shard_to_split(shard.as_str());
        let answer = request.new_starting_hash_key(middle.to_string()).send().await;
        answer.map_err(|error| Failure::new(format!("{shard} cannot be split: {error}")))?;
        let is_finished = self.board.wait_until(PATIENCE, |picture| {
            picture.leases.values().any(|lease| lease.key.shard == shard && lease.is_finished())
        });
        if !is_finished.await {
            return Err(Failure::new(format!("{shard} was never read to its end")));
        }
        self.level("the split", began).await
    }

    async fn crash(&mut self) -> Result<f64, Failure> {
        let victim = self.any_worker()?;
        let count = self.board.look(|picture| picture.read_by(&victim).count());
        self.board.tell(format_args!("{victim} crashes with {count} shards in its hands, and releases nothing"));
        let began = Instant::now();
        self.fleet.crash(&victim).await?;
        self.level("the crash", began).await
    }

    async fn leave(&mut self) -> Result<f64, Failure> {
        let leaver = self.any_worker()?;
        self.moves_fewest += self.board.look(|picture| picture.counts()[leaver.as_str()]) as u64;
        self.board.tell(format_args!("{leaver} leaves politely"));
        let began = Instant::now();
        self.fleet.leave(&leaver).await?;
        self.level("the leave", began).await
    }

    fn any_worker(&mut self) -> Result<String, Failure> {
        let names = self.fleet.names();
        self.rng.choice(names).ok_or_else(|| Failure::new("no worker is left"))
    }

    /// Waits until the fleet is level again, and tells how long that took.
    async fn level(&mut self, after: &str, began: Instant) -> Result<f64, Failure> {
        let patience = PATIENCE + self.settings.worker.lease_duration * 2;
        if !self.board.wait_until(patience, super::board::Picture::is_level).await {
            let why = self.fleet.first_failure().await;
            return Err(why.unwrap_or_else(|| Failure::new(format!("the fleet was never level after {after}"))));
        }
        let seconds = began.elapsed().as_secs_f64();
        let counts = self.board.look(|picture| {
            let counts: Vec<String> = picture.counts().into_values().map(|count| count.to_string()).collect();
            counts.join(", ")
        });
        self.board.tell(format_args!("level after {seconds:.2} s: {counts} shards each"));
        Ok(seconds)
    }

    /// Between two chapters, the fleet is at rest for two heartbeats.
    async fn breathe(&self) {
        tokio::time::sleep(self.settings.worker.heartbeat_interval * 2).await;
    }

    /// Waits until every record was produced and delivered; then all workers leave.
    async fn finish(&mut self, producing: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
        self.board.tell("the rest of the records come in");
        producing.await.map_err(|error| Failure::new(format!("the producer: {error}")))??;
        let ledger = self.board.ledger.clone();
        // Records that never come are counted as lost, by the outcome.
        let _all_came = self.board.wait_until(PATIENCE, |_| ledger.tally().lost == 0).await;
        self.fleet.leave_all().await?;
        self.board.tell("all workers have left");
        Ok(())
    }
}

/// The fewest leases that must leave their owners so that the counts differ by at most one.
fn fewest_moves(mut counts: Vec<usize>) -> u64 {
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let total: usize = counts.iter().sum();
    let (base, spare) = (total / counts.len(), total % counts.len());
    let surplus = counts.iter().enumerate().map(|(place, count)| {
        let quota = base + usize::from(place < spare);
        count.saturating_sub(quota) as u64
    });
    surplus.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_moves_of_the_known_situations() {
        assert_eq!(fewest_moves([vec![8; 8], vec![0]].concat()), 7);
        assert_eq!(fewest_moves([vec![20; 50], vec![0; 10]].concat()), 160);
        assert_eq!(fewest_moves(vec![4, 4, 4, 4, 0]), 3);
    }
}
