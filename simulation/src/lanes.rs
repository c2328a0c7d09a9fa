//! Records of several keys at the same time.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use consumer::{ByKeyProcessor, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, each_record_by_key};
use tokio::time::sleep;

use crate::sink::{Given, Sink, number, numbers};

/// Brings one record to the sink.
type Function =
    Box<dyn Fn(kinesis_source::Record) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + Sync>;

/// The consumer's own lanes for the records of one shard, with the sink behind them.
pub(crate) struct Lanes {
    processor: ByKeyProcessor<Function>,
    front: Arc<Mutex<Front>>,
}

/// Up to where a batch is done without a gap. Only that is shown: keys have an order of their own.
#[derive(Debug, Default)]
struct Front {
    given: Option<Given>,
    waiting: VecDeque<u64>,
    done: BTreeSet<u64>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("front", &self.front).finish_non_exhaustive()
    }
}

impl Lanes {
    const LANES: NonZeroUsize = NonZeroUsize::new(4).unwrap();

    pub(crate) fn new(sink: Sink, shard: &ShardContext) -> Self {
        let front = Arc::new(Mutex::new(Front::default()));
        let shown = Arc::clone(&front);
        let function: Function = Box::new(move |record| {
            let (sink, front) = (sink.clone(), Arc::clone(&shown));
            Box::pin(async move {
                let share = u32::try_from(locked(&front).waiting.len().max(1)).unwrap_or(u32::MAX);
                let (outcome, pause) = (sink.next_outcome(), sink.slowness() / share);
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                outcome.come_about()?;
                locked(&front).is_done(number(&record.data), &sink)
            })
        });
        Self { processor: each_record_by_key(Self::LANES, function).processor(shard), front }
    }

    pub(crate) async fn process(&mut self, given: Given, batch: ShardBatch) -> io::Result<()> {
        {
            let mut front = locked(&self.front);
            let Front { done, .. } = &*front;
            let waiting = numbers(&batch).into_iter().skip_while(|number| done.contains(number)).collect();
            (front.given, front.waiting) = (Some(given), waiting);
        }
        self.processor.process(batch).await.map_err(io::Error::other)?;
        // What comes once more after that is done once more.
        locked(&self.front).done.clear();
        Ok(())
    }
}

impl Front {
    fn is_done(&mut self, number: u64, sink: &Sink) -> io::Result<()> {
        self.given.iter().try_for_each(|given| sink.admits(given))?;
        self.done.insert(number);
        while let Some(next) = self.waiting.pop_front_if(|next| self.done.contains(next)) {
            self.given.iter().for_each(|given| sink.is_done(given, next..=next));
        }
        Ok(())
    }
}

fn locked(front: &Mutex<Front>) -> std::sync::MutexGuard<'_, Front> {
    front.lock().unwrap_or_else(PoisonError::into_inner)
}
