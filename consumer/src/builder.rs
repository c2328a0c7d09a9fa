//! Putting a consumer together.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use kinesis_source::Source;
use lease_core::LeaseStore;
use stream_types::Name;

use crate::pull::{PullFactory, PulledShards, pulled};
use crate::{
    Consumer, ConsumerSettings, FailurePolicy, InvalidConsumerSettings, Monitor, ProcessorFactory, StartingPosition,
    Streams,
};

/// A consumer in the making: the components here, the numbers in [`ConsumerSettings`].
#[derive(Debug)]
pub struct ConsumerBuilder {
    store: Arc<dyn LeaseStore>,
    streams: Vec<(Arc<dyn Source>, Option<StartingPosition>)>,
    worker_name: Option<Name>,
    nonce: Option<u64>,
    settings: ConsumerSettings,
    failure_policy: FailurePolicy,
}

impl ConsumerBuilder {
    pub(crate) fn new(store: Arc<dyn LeaseStore>, source: Arc<dyn Source>) -> Self {
        Self {
            store,
            streams: vec![(source, None)],
            worker_name: None,
            nonce: None,
            settings: ConsumerSettings::default(),
            failure_policy: FailurePolicy::Retry,
        }
    }

    /// Another stream to read. All streams share the application's workers, and this consumer's byte budget.
    ///
    /// It need not be the same in all processes: a shard goes only to those that follow its stream.
    #[must_use]
    pub fn follow(mut self, source: Arc<dyn Source>) -> Self {
        self.streams.push((source, None));
        self
    }

    /// The same, with a starting position of its own in place of [`ConsumerSettings::starting_position`].
    #[must_use]
    pub fn follow_from(mut self, source: Arc<dyn Source>, from: StartingPosition) -> Self {
        self.streams.push((source, Some(from)));
        self
    }

    /// The worker's name. Each process needs one of its own.
    ///
    /// A name that survives restarts, such as that of a stateful pod, lets a restarted process go on with its leases at
    /// once, and moves none. By default the name is random.
    #[must_use]
    pub fn worker_name(self, name: Name) -> Self {
        Self { worker_name: Some(name), ..self }
    }

    /// A number that tells this process from every other one that has its name. By default the operating system's randomness
    /// gives one; only a simulation, in which everything repeats, needs another.
    #[must_use]
    pub fn nonce(self, nonce: u64) -> Self {
        Self { nonce: Some(nonce), ..self }
    }

    /// The settings, in place of the defaults.
    #[must_use]
    pub fn settings(self, settings: ConsumerSettings) -> Self {
        Self { settings, ..self }
    }

    /// What happens when a processor keeps failing. Default: it gets the same batch again until it succeeds.
    #[must_use]
    pub fn failure_policy(self, failure_policy: FailurePolicy) -> Self {
        Self { failure_policy, ..self }
    }

    /// The consumer, and its shards for a loop of your own.
    ///
    /// # Errors
    ///
    /// The settings cannot work, or a stream is given twice.
    pub fn build_to_pull(self) -> Result<(Consumer<PullFactory>, PulledShards), InvalidConsumerSettings> {
        let (factory, shards) = pulled();
        Ok((self.build(factory)?, shards))
    }

    /// The consumer, whose shards the factory's processors process.
    ///
    /// # Errors
    ///
    /// The settings cannot work, or a stream is given twice.
    pub fn build<Factory: ProcessorFactory>(
        self,
        factory: Factory,
    ) -> Result<Consumer<Factory>, InvalidConsumerSettings> {
        self.settings.validate()?;
        let mut sources = BTreeMap::new();
        for (source, from) in self.streams {
            let from = from.unwrap_or(self.settings.starting_position);
            if let Some((twice, _)) = sources.insert(source.name().clone(), (source, from)) {
                return Err(InvalidConsumerSettings::StreamTwice { stream: twice.name().clone() });
            }
        }
        let (streams, stream_requests) = Streams::new(self.settings.starting_position);
        let worker_name = match self.worker_name {
            Some(name) => name,
            None => Name::new(format!("worker-{:016x}", unpredictable()))?,
        };
        Ok(Consumer {
            store: self.store,
            sources,
            streams,
            stream_requests,
            worker_name,
            nonce: self.nonce.unwrap_or_else(unpredictable),
            settings: self.settings,
            failure_policy: self.failure_policy,
            monitor: Monitor::default(),
            factory: Arc::new(factory),
        })
    }
}

/// A number that no other process draws. A generator that user code may seed would do for none of this: two processes with one
/// seed would be one worker, and both read.
fn unpredictable() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
