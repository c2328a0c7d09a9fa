//! Where the stories of the demo are played: a stream, a producer, and a fleet.

use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use consumer::ConsumerSettings;
use fastrand::Rng;
use kinesis_source::StreamReference;
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits};
use tokio::task::JoinHandle;

use super::board::Board;
use super::fleet::Fleet;
use super::outcome::Outcome;
use super::producer::Producer;
use super::stories;
use crate::arguments::{DemoOptions, StoryName};
use crate::aws::loopback_config;
use crate::failure::Failure;
use crate::leases;

pub(super) const STREAM: &str = "orders";

/// How long the story waits for anything before it gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that a story needs.
pub(super) struct Stage<'demo> {
    pub(super) board: &'demo Board,
    pub(super) settings: ConsumerSettings,
    pub(super) client: Client,
    pub(super) fleet: Fleet,
    pub(super) rng: Rng,
}

impl Stage<'_> {
    /// Plays the story that is asked for, and says how it went.
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
        let mut stage = Stage { board, settings, client, fleet, rng };
        let producing = stage.start_producer(options);
        let findings = match options.story {
            StoryName::Fleet => stories::fleet::play(&mut stage, options.workers).await?,
            StoryName::Reshard => stories::reshard::play(&mut stage, options.workers).await?,
            StoryName::Deploy => stories::deploy::play(&mut stage, options.workers).await?,
            StoryName::Zombie => stories::zombie::play(&mut stage, options.workers).await?,
            StoryName::Poison => stories::poison::play(&mut stage, options.workers).await?,
        };
        board.change(|picture| picture.is_over = true);
        stage.finish(producing).await?;
        endpoint.stop().await;
        let first_record = board.look(|picture| picture.first_record);
        Ok(Outcome {
            options: options.clone(),
            heartbeat: stage.settings.worker.heartbeat_interval,
            tally: board.ledger.tally(),
            first_record_seconds: first_record.map(|first| first.as_secs_f64()),
            findings,
        })
    }

    /// The producer spreads its records over the time that the story is expected to take.
    fn start_producer(&mut self, options: &DemoOptions) -> JoinHandle<Result<(), Failure>> {
        let duration = self.settings.worker.lease_duration * 2 + Duration::from_secs(2);
        let producer = Producer {
            has_poison: options.story == StoryName::Poison,
            client: self.client.clone(),
            stream: STREAM.into(),
            board: self.board.clone(),
            records: options.records.into(),
            duration,
            rng: self.rng.fork(),
        };
        tokio::spawn(producer.run())
    }

    /// Starts the first workers.
    pub(super) async fn start(&mut self, worker_count: u16) -> Result<f64, Failure> {
        self.board.tell(format_args!("{worker_count} workers start"));
        let began = Instant::now();
        for number in 1..=worker_count {
            self.fleet.start(&format!("worker-{number}"))?;
        }
        self.level("the start", began).await
    }

    /// One of the workers that run.
    pub(super) fn any_worker(&mut self) -> Result<String, Failure> {
        let names = self.fleet.names();
        self.rng.choice(names).ok_or_else(|| Failure::new("no worker is left"))
    }

    /// Waits until the fleet is level again, and tells how long that took.
    pub(super) async fn level(&mut self, after: &str, began: Instant) -> Result<f64, Failure> {
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
    pub(super) async fn breathe(&self) {
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
