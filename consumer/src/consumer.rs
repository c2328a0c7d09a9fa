//! The consumer.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use kinesis_source::Source;
use lease_core::worker::Worker;
use lease_core::{LeaseStore, StreamFacts};
use stream_types::Name;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::warn;

use crate::driver::Driver;
use crate::streams::{StreamRequest, facts};
use crate::{
    ConsumerBuilder, ConsumerError, ConsumerSettings, Departure, FailurePolicy, Monitor, ProcessorFactory, Report,
    StartingPosition, Streams,
};

/// One process of a fleet that shares the shards of a stream, or of several.
pub struct Consumer<Factory> {
    pub(crate) store: Arc<dyn LeaseStore>,
    /// The streams at the start, and where to begin in one that was never read.
    pub(crate) sources: BTreeMap<Name, (Arc<dyn Source>, StartingPosition)>,
    pub(crate) streams: Streams,
    pub(crate) stream_requests: mpsc::Receiver<StreamRequest>,
    pub(crate) worker_name: Name,
    pub(crate) nonce: u64,
    pub(crate) settings: ConsumerSettings,
    pub(crate) failure_policy: FailurePolicy,
    pub(crate) monitor: Monitor,
    pub(crate) factory: Arc<Factory>,
}

impl Consumer<()> {
    /// Starts to build a consumer of that stream, with its leases in that store. It may follow further ones.
    pub fn builder(store: Arc<dyn LeaseStore>, source: Arc<dyn Source>) -> ConsumerBuilder {
        ConsumerBuilder::new(store, source)
    }
}

impl<Factory: ProcessorFactory> Consumer<Factory> {
    /// Shows what the shards are doing, also while the consumer runs.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// The consumer's streams, to be changed while it runs.
    #[must_use]
    pub fn streams(&self) -> Streams {
        self.streams.clone()
    }

    /// Looks at the lease table before anybody else sees this worker, and would count on it.
    async fn refuse_unreadable_table(&self) -> Result<(), ConsumerError> {
        let patience = self.settings.worker.lease_duration;
        match tokio::time::timeout(patience, self.store.list()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if !error.is_retryable() => return Err(error.into()),
            // The worker asks again.
            Ok(Err(error)) => warn!("{error}"),
            Err(_late) => warn!(?patience, "the lease store does not answer"),
        }
        Ok(())
    }

    async fn describe_streams(&self) -> Result<BTreeMap<Name, StreamFacts>, ConsumerError> {
        let mut streams = BTreeMap::new();
        for (name, (source, from)) in &self.sources {
            streams.insert(name.clone(), facts(&**source, *from).await?);
        }
        Ok(streams)
    }

    /// Consumes until the future is ready; then hands over everything it has, and leaves, for good or
    /// [to return](Departure::ToReturn), as the future's output says.
    ///
    /// Leaving ends at the latest shortly after [`ConsumerSettings::leave_deadline`]. Dropping this future instead ends the
    /// consumer at once, like a crash: nothing is handed over, and the others wait for the lease duration to pass.
    ///
    /// # Errors
    ///
    /// A stream does not exist or may not be read; the only stream is not the one that the leases are for; the lease table refuses
    /// this worker, or cannot be read; another process took over the worker's name.
    pub async fn run_until(self, stop: impl Future<Output: Into<Departure>>) -> Result<Report, ConsumerError> {
        let mut stop = pin!(stop);
        let prepared = async {
            let streams = self.describe_streams().await?;
            self.refuse_unreadable_table().await?;
            Ok::<_, ConsumerError>(streams)
        };
        let streams = tokio::select! {
            biased;
            _departure = &mut stop => return Ok(Report { left_in_time: true, ..Report::default() }),
            streams = prepared => streams?,
        };
        let worker = Worker::new(self.worker_name.clone(), self.nonce, self.settings.worker.clone(), streams);

        let (leave, departure) = oneshot::channel();
        let driver = Driver::new(worker, self, departure);
        // On a task of its own, so that heartbeats wait for nobody; in a set, so that it ends when this future does.
        let mut task = JoinSet::new();
        task.spawn(driver.run());
        let ended = tokio::select! {
            biased;
            ended = task.join_next() => ended,
            departure = stop => {
                // The driver may have ended at the same moment.
                let _unheard = leave.send(departure.into());
                task.join_next().await
            }
        };
        match ended {
            Some(Ok(result)) => result,
            Some(Err(error)) => Err(ConsumerError::Bug(error.to_string())),
            None => Err(ConsumerError::Bug("the task is gone".into())),
        }
    }
}

impl<Factory> fmt::Debug for Consumer<Factory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Consumer");
        debug
            .field("worker_name", &self.worker_name)
            .field("streams", &self.sources.keys())
            .field("store", &self.store);
        debug.finish_non_exhaustive()
    }
}
