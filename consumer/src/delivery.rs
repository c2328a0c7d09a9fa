//! Bringing records to a shard's processor, whatever the processor does.

use std::any::Any;
use std::error::Error;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kinesis_source::Batch;
use stream_types::Position;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::failure_policy::Panicked;
use crate::pull::NotCommitted;
use crate::validity::Validity;
use crate::vitals::Vitals;
use crate::{
    DeadLetter, DeadLetters, FailurePolicy, ProcessorFactory, RecordProcessor, ShardActivity, ShardBatch, ShardContext,
    ShardEnd,
};

/// A shard's processor, and what happens when it fails.
pub(crate) struct Delivery<Factory: ProcessorFactory> {
    factory: Arc<Factory>,
    processor: Factory::Processor,
    context: ShardContext,
    policy: FailurePolicy,
    validity: Validity,
    vitals: Vitals,
    /// Behind the last record that is done.
    pub(crate) done: Option<Position>,
}

/// What became of records, or of the end of the shard.
pub(crate) enum Delivered {
    Yes,
    /// The processor failed, and while it waited the shard was to be drained.
    DrainedInstead,
    /// The processor failed too often, and its policy is to stop then.
    Stopped,
}

/// What a processor is asked to do.
enum Task {
    Process(ShardBatch),
    TakeNoteOfEnd,
}

/// Why a processor has not done what it was asked to.
enum GivenUp {
    /// While it waited after a failure, the shard was to be drained.
    Drained,
    /// All tries are used up.
    Failed(Failure),
}

type Failure = Arc<dyn Error + Send + Sync>;

impl<Factory: ProcessorFactory> Delivery<Factory> {
    /// The pause before a failing processor gets its records again, doubled with each failure up to the longest.
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    /// How often a task looks whether the process may deliver again, while it may not.
    const VALIDITY_PAUSE: Duration = Duration::from_millis(20);

    /// How long a processor may take to put things away once the lease is lost.
    const LOST_DEADLINE: Duration = Duration::from_secs(10);

    pub(crate) fn new(
        factory: Arc<Factory>,
        context: ShardContext,
        policy: FailurePolicy,
        validity: Validity,
        vitals: Vitals,
    ) -> Self {
        let processor = factory.processor(&context);
        Self { factory, processor, context, policy, validity, vitals, done: None }
    }

    /// Delivers a batch, in parts where its policy is to find out which records fail.
    pub(crate) async fn batch(&mut self, batch: Batch) -> Delivered {
        if batch.records.is_empty() {
            return Delivered::Yes;
        }
        let whole = ShardBatch::new(self.context.clone(), batch);
        let whole_count = whole.records().len();
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            // Between the whole batch and a single record, a part only tells in which half the trouble is.
            let count = part.records().len();
            let is_final = count == whole_count || count == 1;
            let tries = self.policy.tries().map(|tries| if is_final { tries } else { NonZeroU32::MIN });
            let failure = match self.insist(tries, &Task::Process(part.clone())).await {
                Ok(()) => {
                    self.vitals.has_processed(count);
                    self.done = part.end_position();
                    continue;
                }
                Err(GivenUp::Drained) => return Delivered::DrainedInstead,
                Err(GivenUp::Failed(failure)) => failure,
            };
            let FailurePolicy::DeadLetter { letters, .. } = self.policy.clone() else {
                return Delivered::Stopped;
            };
            if let Some((first, second)) = part.halves() {
                parts.extend([second, first]);
            } else if !self.put_away(&*letters, &part, failure).await {
                return Delivered::DrainedInstead;
            }
        }
        Delivered::Yes
    }

    /// Tells the processor of the shard's end until it takes note.
    pub(crate) async fn end(&mut self) -> Delivered {
        let tries = match self.policy {
            FailurePolicy::StopShard { tries } => Some(tries),
            // There is no record that could be put away instead.
            FailurePolicy::Retry | FailurePolicy::DeadLetter { .. } => None,
        };
        match self.insist(tries, &Task::TakeNoteOfEnd).await {
            Ok(()) => Delivered::Yes,
            Err(GivenUp::Drained) => Delivered::DrainedInstead,
            Err(GivenUp::Failed(_)) => Delivered::Stopped,
        }
    }

    /// Asks the processor until it succeeds, with a pause after each failure; so many times, or for ever.
    async fn insist(&mut self, tries: Option<NonZeroU32>, task: &Task) -> Result<(), GivenUp> {
        let (mut pauses, mut failures) = (0, 0);
        loop {
            let Err(failure) = self.attempt(task).await else { return Ok(()) };
            if !failure.is::<NotCommitted>() {
                failures += 1;
                warn!(key = %self.context.key(), failures, error = &*failure, "the processor failed");
                if tries.is_some_and(|tries| failures >= tries.get()) {
                    return Err(GivenUp::Failed(failure));
                }
            } else if !self.context.drain().is_cancelled() {
                warn!(key = %self.context.key(), "{failure}");
            }
            pauses += 1;
            if !self.pauses_after(pauses).await {
                return Err(GivenUp::Drained);
            }
        }
    }

    /// Asks the processor once. One that panics is replaced: what it has left half done goes with it.
    async fn attempt(&mut self, task: &Task) -> Result<(), Failure> {
        // Whom this task has woken on this thread, such as the driver with a checkpoint, runs before user code that may
        // block the thread.
        tokio::task::yield_now().await;
        self.wait_until_valid().await;
        self.vitals.begins(ShardActivity::Processing);
        let (processor, context) = (&mut self.processor, self.context.clone());
        let call = async {
            let answer = match task {
                Task::Process(batch) => processor.process(batch.clone()).await,
                Task::TakeNoteOfEnd => processor.shard_ended(ShardEnd::new(context)).await.map(|_reached| ()),
            };
            answer.map_err(Into::<Box<dyn Error + Send + Sync>>::into)
        };
        let answer = AssertUnwindSafe(call).catch_unwind().await;
        self.vitals.begins(ShardActivity::Reading);
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                if !failure.is::<NotCommitted>() {
                    self.vitals.has_failed(false);
                }
                Err(Arc::from(failure))
            }
            Err(panic) => {
                self.vitals.has_failed(true);
                self.processor = self.factory.processor(&self.context);
                let message = panic_message(&*panic).to_owned();
                error!(key = %self.context.key(), panic = message, "the processor panicked");
                Err(Arc::new(Panicked { message }))
            }
        }
    }

    /// Gives a record to the dead-letter handler until that accepts it. Returns false if the shard is to be drained
    /// instead.
    async fn put_away(&mut self, letters: &dyn DeadLetters, part: &ShardBatch, failure: Failure) -> bool {
        for record in part.records() {
            let letter =
                DeadLetter { shard: self.context.clone(), record: record.clone(), error: Arc::clone(&failure) };
            error!(key = %self.context.key(), record = %record.position(), error = &*failure, "a record is put away");
            let mut failures = 0;
            loop {
                self.wait_until_valid().await;
                match AssertUnwindSafe(letters.accept(letter.clone())).catch_unwind().await {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => {
                        warn!(key = %self.context.key(), error = &*error, "the dead-letter handler failed");
                    }
                    Err(panic) => {
                        let panic = panic_message(&*panic);
                        error!(key = %self.context.key(), panic, "the dead-letter handler panicked");
                    }
                }
                failures += 1;
                if !self.pauses_after(failures).await {
                    return false;
                }
            }
            self.vitals.has_put_away();
        }
        self.done = part.end_position();
        true
    }

    /// Waits after so many failures. Returns whether to try again; the other way is to be drained.
    async fn pauses_after(&mut self, failures: u32) -> bool {
        let pause = Self::FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(Self::LONGEST_PAUSE);
        self.vitals.begins(ShardActivity::Pausing);
        tokio::select! {
            biased;
            () = self.context.drain().cancelled() => false,
            () = sleep(pause) => true,
        }
    }

    /// Delivers nothing while others may believe this process dead. The driver stops the task soon.
    async fn wait_until_valid(&mut self) {
        while !self.validity.is_valid() {
            sleep(Self::VALIDITY_PAUSE).await;
        }
    }

    /// Tells the processor that its shard goes to another worker. It has nothing more to say in that: what is done is done.
    pub(crate) async fn draining(&mut self) {
        let told = self.processor.draining(&self.context);
        if let Err(panic) = AssertUnwindSafe(told).catch_unwind().await {
            self.vitals.has_failed(true);
            error!(key = %self.context.key(), panic = panic_message(&*panic), "the processor panicked while it was drained");
        }
    }

    /// Tells the processor that its lease is gone.
    pub(crate) async fn lease_lost(&mut self) {
        let key = self.context.key();
        let told = AssertUnwindSafe(self.processor.lease_lost(&self.context)).catch_unwind();
        match tokio::time::timeout(Self::LOST_DEADLINE, told).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                self.vitals.has_failed(true);
                error!(%key, panic = panic_message(&*panic), "the processor panicked when its lease was lost");
            }
            Err(_late) => {
                warn!(%key, deadline = ?Self::LOST_DEADLINE, "the processor takes too long over a lost lease: it is dropped");
            }
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
