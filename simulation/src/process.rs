//! One process of the fleet: a runtime of its own, so that it can be frozen, killed, and have its own clock.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use consumer::{
    Consumer, ConsumerError, ConsumerSettings, Departure, FailurePolicy, Monitor, Report, ShardActivity, ShardStatus,
    Streams, StreamsError,
};
use kinesis_testing::ModelSource;
use lease_core::Lease;
use lease_core::worker::WorkerSettings;
use stream_types::Name;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep, sleep_until};

use crate::nature::{Nature, Observation, ProcessId};
use crate::schedule::{DeliveryKind, LEISURELY, NAMES, Traits};
use crate::sink::Sink;
use crate::weather_store::WeatherStore;

/// A real consumer.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) name: usize,
    /// For how long it may be silent before the others count it as dead.
    pub(crate) lease_duration: Duration,
    runtime: Runtime,
    /// When it started, by the world's clock and by its own.
    started: (Duration, Instant),
    clock_per_mille: i8,
    frozen_until: Option<Duration>,
    leave: Option<oneshot::Sender<Departure>>,
    running: JoinHandle<Result<Report, ConsumerError>>,
    pub(crate) source: Arc<ModelSource>,
    streams: Streams,
    monitor: Monitor,
    nature: Nature,
}

/// How often a record is tried before it is put away, where that is the policy.
const TRIES: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// The one stream of a world.
pub(crate) const STREAM: &str = "stream";

pub(crate) fn stream_name() -> Name {
    Name::new(STREAM).expect("letters are a name")
}

/// The times that a process lives by.
pub(crate) fn worker_settings(traits: Traits) -> WorkerSettings {
    let usual = WorkerSettings::default();
    let (lease_duration, heartbeat_interval) =
        if traits.is_leisurely { LEISURELY } else { (usual.lease_duration, usual.heartbeat_interval) };
    let (reconcile_interval, plan_version) = (Duration::from_secs(15), traits.plan_version);
    WorkerSettings { lease_duration, heartbeat_interval, reconcile_interval, plan_version, ..usual }
}

/// For how long a confirmed heartbeat is good: the lease duration less a tenth. Said once more, so that a worker that lives by
/// another rule is found out.
pub(crate) fn validity(traits: Traits) -> Duration {
    let lease_duration = worker_settings(traits).lease_duration;
    lease_duration - lease_duration / 10
}

impl Process {
    pub(crate) fn start(
        id: ProcessId,
        name: usize,
        traits: Traits,
        source: ModelSource,
        store: WeatherStore,
        nature: &Nature,
    ) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let (source, store) = (Arc::new(source), Arc::new(store));
        let settings = ConsumerSettings {
            worker: worker_settings(traits),
            checkpoints: traits.checkpoints,
            drain_deadline: Duration::from_secs(20),
            ..ConsumerSettings::default()
        };
        let validity = validity(traits);
        let sink = Sink { process: id, nature: nature.clone(), store: Arc::clone(&store), validity, traits };
        let failure_policy = match traits.delivery {
            DeliveryKind::DeadLetters => FailurePolicy::DeadLetter { tries: TRIES, letters: Arc::new(sink.clone()) },
            DeliveryKind::Batches | DeliveryKind::ByKey => FailurePolicy::Retry,
        };
        let consumer = Consumer::builder(store, Arc::clone(&source) as Arc<_>)
            .nonce(fastrand::u64(..))
            .worker_name(Name::new(NAMES[name]).expect("a letter is a name"))
            .settings(settings)
            .failure_policy(failure_policy)
            .build(sink)
            .expect("the settings work");
        let (streams, monitor) = (consumer.streams(), consumer.monitor());
        let (leave, asked) = oneshot::channel();
        let asked = async { asked.await.unwrap_or_default() };
        let started = (nature.facts().now, runtime.block_on(async { Instant::now() }));
        let running = runtime.spawn(consumer.run_until(asked));
        let clock_per_mille = traits.clock_per_mille;
        Ok(Self {
            id,
            name,
            lease_duration: worker_settings(traits).lease_duration,
            started,
            clock_per_mille,
            frozen_until: None,
            leave: Some(leave),
            running,
            source,
            streams,
            monitor,
            nature: nature.clone(),
            runtime,
        })
    }

    /// Lets it live until that moment of the world.
    pub(crate) fn live_until(&mut self, now: Duration) {
        match self.frozen_until {
            Some(until) if now < until => return,
            Some(_) => {
                // Its clock went on while nothing ran: all that was due is late now.
                self.frozen_until = None;
                let target = self.by_its_own_clock(now);
                self.runtime.block_on(async { advance(target.saturating_duration_since(Instant::now())).await });
            }
            None => {}
        }
        let target = self.by_its_own_clock(now);
        self.runtime.block_on(async { sleep_until(target).await });
    }

    fn by_its_own_clock(&self, now: Duration) -> Instant {
        let (world, own) = self.started;
        let elapsed = now.saturating_sub(world);
        let drift = elapsed / 1_000 * u32::from(self.clock_per_mille.unsigned_abs());
        own + if self.clock_per_mille < 0 { elapsed - drift } else { elapsed + drift }
    }

    pub(crate) fn freeze_until(&mut self, until: Duration) {
        *self.nature.facts().freezes.entry(self.id).or_default() += 1;
        self.frozen_until = Some(self.frozen_until.map_or(until, |earlier| earlier.max(until)));
    }

    pub(crate) fn thaw(&mut self, now: Duration) {
        self.frozen_until = self.frozen_until.map(|until| until.min(now));
    }

    /// Asks it to leave, unless it was asked before.
    pub(crate) fn leave(&mut self, departure: Departure) {
        if let Some(leave) = self.leave.take() {
            self.nature.facts().see(&Observation::Asked { process: self.id });
            // It may have ended by itself.
            let _unheard = leave.send(departure);
        }
    }

    pub(crate) fn unfollow(&self) {
        let (streams, stream) = (self.streams.clone(), stream_name());
        self.runtime.spawn(async move {
            // Its answer is of no interest: the process may be leaving.
            let _answer = streams.unfollow(&stream).await;
        });
    }

    pub(crate) fn follow(&self) {
        let (streams, source) = (self.streams.clone(), self.source.clone());
        self.runtime.spawn(async move {
            // Whoever wants a stream asks again while it cannot be described.
            while let Err(StreamsError::Stream(_)) = streams.follow(Arc::clone(&source) as Arc<_>).await {
                sleep(Duration::from_secs(1)).await;
            }
        });
    }

    /// Whether it reads that shard under that epoch now.
    pub(crate) fn reads(&self, lease: &Lease) -> bool {
        let reads = |status: &ShardStatus| status.epoch == lease.epoch && status.activity != ShardActivity::Unreadable;
        self.monitor.shards().get(&lease.key).is_some_and(reads)
    }

    /// Whether it was asked to leave, and has not ended yet.
    pub(crate) const fn is_leaving(&self) -> bool {
        self.leave.is_none()
    }

    /// Whether it has ended by itself or as it was asked, and what its consumer says of it.
    pub(crate) fn has_ended(&mut self) -> Option<Result<Report, String>> {
        if !self.running.is_finished() {
            return None;
        }
        let joined = self.runtime.block_on(&mut self.running);
        Some(match joined {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(format!("its task: {error}")),
        })
    }
}
