//! The loop that carries the worker's commands out and brings the answers back.

use std::collections::BTreeMap;
use std::sync::Arc;

use kinesis_source::Source;
use lease_core::Hints;
use lease_core::worker::{Command, Ending, Event, Worker};
use stream_types::Name;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::calls::Calls;
use crate::context::CheckpointRequest;
use crate::deadline::sleep_until_some;
use crate::shards::Shards;
use crate::streams::{Reply, StreamRequest};
use crate::validity::Validity;
use crate::{Consumer, ConsumerError, ConsumerSettings, Departure, ProcessorFactory, Report, StreamsError};

/// Drives one worker: the only place where its decisions meet the store, the stream and the clock.
pub(crate) struct Driver<Factory> {
    worker: Worker,
    settings: ConsumerSettings,
    validity: Validity,
    calls: Calls,
    /// Of the streams that the worker follows, and of those that it is giving up.
    sources: BTreeMap<Name, Arc<dyn Source>>,
    stream_requests: mpsc::Receiver<StreamRequest>,
    /// Who waits until the worker has given up a stream.
    unfollowing: BTreeMap<Name, Vec<Reply>>,
    shards: Shards<Factory>,
    checkpoint_requests: mpsc::Receiver<CheckpointRequest>,
    hints: Option<Box<dyn Hints>>,
    /// Tells when to leave, and how; absent once it has, or never will.
    departure: Option<oneshot::Receiver<Departure>>,
    /// Set once leaving was asked for: by when to have left, and when what is not drained yet is cut short. Absent = never.
    leave_by: Option<Instant>,
    cut_short_at: Option<Instant>,
    ending: Option<Ending>,
}

impl<Factory: ProcessorFactory> Driver<Factory> {
    /// How many checkpoints may wait for the driver before a processor has to wait too.
    const QUEUED_CHECKPOINTS: usize = 256;

    /// A call to the store may take this part of the lease duration, so that a heartbeat can fail and be sent again.
    const TIMEOUT_PARTS: u32 = 4;

    /// The last such part of the time for leaving is for writing down what is done, and not for draining.
    const LEAVE_PARTS: u32 = 10;

    pub(crate) fn new(worker: Worker, consumer: Consumer<Factory>, departure: oneshot::Receiver<Departure>) -> Self {
        let Consumer { store, sources, stream_requests, settings, failure_policy, monitor, factory, .. } = consumer;
        let sources = sources.into_iter().map(|(name, (source, _))| (name, source)).collect();
        let (requests, checkpoint_requests) = mpsc::channel(Self::QUEUED_CHECKPOINTS);
        let validity = Validity::starting_at(Instant::now());
        let timeout = settings.worker.lease_duration / Self::TIMEOUT_PARTS;
        let hints = store.hints();
        let calls = Calls::new(store, timeout, settings.concurrent_writes);
        let shards = Shards::new(factory, failure_policy, settings.clone(), monitor, validity.clone(), requests);
        Self {
            worker,
            settings,
            validity,
            calls,
            sources,
            stream_requests,
            unfollowing: BTreeMap::new(),
            shards,
            checkpoint_requests,
            hints,
            departure: Some(departure),
            leave_by: None,
            cut_short_at: None,
            ending: None,
        }
    }

    pub(crate) async fn run(mut self) -> Result<Report, ConsumerError> {
        info!(worker = %self.worker.id().name, "the worker starts");
        self.tell(Event::TimePassed);
        while self.ending.is_none() {
            let events = self.next_events().await;
            if self.leave_by.is_some_and(|deadline| deadline <= Instant::now()) && self.ending.is_none() {
                warn!(deadline = ?self.settings.leave_deadline, "leaving took too long: what is left is cancelled");
                break;
            }
            events.into_iter().for_each(|event| self.tell(event));
            if self.cut_short_at.is_some_and(|moment| moment <= Instant::now()) {
                self.cut_short_at = None;
                self.tell(Event::LeaveOverdue);
                self.shards.cut_short();
            }
        }
        self.validity.set(None);
        let left = self.ending == Some(Ending::Left);
        let refusal = self.calls.take_refusal();
        if left {
            self.calls.finish().await;
        }
        let report = Report { left_in_time: left, ..self.shards.finish().await };
        match self.ending {
            Some(Ending::Replaced { worker, by }) => {
                let (older, newer) = (worker.incarnation.number, by.number);
                error!(worker = %worker.name, older, newer, "another process took over the worker's name");
                Err(ConsumerError::Replaced { worker: worker.name, older, newer })
            }
            Some(Ending::Refused) => match refusal {
                Some(refusal) => Err(ConsumerError::LeaseTable(refusal)),
                None => Err(ConsumerError::Bug("the lease table refused without a reason".into())),
            },
            Some(Ending::StreamDeleted { stream }) => {
                error!(%stream, "the stream was deleted");
                Err(ConsumerError::StreamDeleted { stream })
            }
            Some(Ending::StreamRecreated { stream, leased, found }) => {
                error!(%stream, %leased, %found, "the leases are for an earlier stream of that name");
                Err(ConsumerError::StreamRecreated { stream, leased, found })
            }
            _ => Ok(report),
        }
    }

    /// Waits for the next things that the worker has to know. Nothing means: look at the time.
    async fn next_events(&mut self) -> Vec<Event> {
        let wake = self.worker.next_wake().map(|moment| self.validity.instant(moment));
        let (leave_by, cut_short_at) = (self.leave_by, self.cut_short_at);
        let event = tokio::select! {
            biased;
            departure = told_to_leave(&mut self.departure) => {
                info!(worker = %self.worker.id().name, ?departure, "the worker leaves");
                let within = self.settings.leave_deadline;
                self.leave_by = Instant::now().checked_add(within);
                self.cut_short_at = self.leave_by.map(|leave_by| leave_by - within / Self::LEAVE_PARTS);
                Some(match departure {
                    Departure::ForGood => Event::LeaveAsked { within },
                    Departure::ToReturn { within } => Event::ReturnAsked { within },
                })
            }
            event = self.calls.next() => event,
            Some(request) = self.checkpoint_requests.recv() => Some(self.shards.expect_checkpoint(request)),
            end = self.shards.next() => return self.asked_before().into_iter().chain(end).collect(),
            Some(request) = self.stream_requests.recv() => self.change_streams(request),
            () = next_hint(&mut self.hints) => Some(Event::Hinted),
            () = sleep_until_some(wake) => Some(Event::TimePassed),
            () = sleep_until_some(cut_short_at) => None,
            () = sleep_until_some(leave_by) => None,
        };
        event.into_iter().collect()
    }

    /// The checkpoints that are still to be asked for. What a task asks for before its end must not be handled after it.
    fn asked_before(&mut self) -> Vec<Event> {
        let requests = std::iter::from_fn(|| self.checkpoint_requests.try_recv().ok());
        requests.map(|request| self.shards.expect_checkpoint(request)).collect()
    }

    /// An event for the worker, if it has to know.
    fn change_streams(&mut self, request: StreamRequest) -> Option<Event> {
        match request {
            StreamRequest::Follow { source, facts, reply } => {
                let stream = source.name().clone();
                let is_new = !self.worker.follows(&stream);
                let followed = || StreamsError::Followed { stream: stream.clone() };
                let _unheard = reply.send(if is_new { Ok(()) } else { Err(followed()) });
                if !is_new {
                    return None;
                }
                for waiting in self.unfollowing.remove(&stream).into_iter().flatten() {
                    let _unheard = waiting.send(Err(followed()));
                }
                info!(%stream, "the stream is taken up");
                self.sources.insert(stream.clone(), source);
                Some(Event::FollowAsked { stream, facts })
            }
            StreamRequest::Unfollow { stream, reply } if self.sources.contains_key(&stream) => {
                self.unfollowing.entry(stream.clone()).or_default().push(reply);
                Some(Event::UnfollowAsked { stream })
            }
            StreamRequest::Unfollow { stream, reply } => {
                let _unheard = reply.send(Err(StreamsError::NotFollowed { stream }));
                None
            }
        }
    }

    /// Where a stream is read, of which the worker wants something.
    fn source(&self, stream: &Name) -> Arc<dyn Source> {
        let source = self.sources.get(stream);
        Arc::clone(source.expect("the worker says when it wants nothing more of a stream"))
    }

    fn tell(&mut self, event: Event) {
        let now = self.validity.now();
        for command in self.worker.on(event, now) {
            self.carry_out(command);
        }
        self.validity.set(self.worker.valid_until());
        self.shards.settle_failed(|key, epoch| self.worker.holds(key, epoch));
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::StartShard(lease) => {
                let source = self.source(&lease.key.stream);
                self.shards.start(lease, source);
            }
            Command::ListShards { stream } => {
                let source = self.source(&stream);
                self.calls.list_shards(stream, source);
            }
            Command::DropStream { stream } => {
                info!(%stream, "the stream is given up");
                self.sources.remove(&stream);
                for waiting in self.unfollowing.remove(&stream).into_iter().flatten() {
                    let _unheard = waiting.send(Ok(()));
                }
            }
            Command::DrainShard { key, epoch } => self.shards.drain(&key, epoch),
            Command::StopShard { key, epoch, reason } => self.shards.stop(&key, epoch, reason),
            Command::ReportCheckpoint { key, epoch, result } => self.shards.report_checkpoint(&key, epoch, result),
            Command::LendRow { key, epoch, row } => {
                if let Some(settled) = self.shards.lend(&key, epoch, row) {
                    self.calls.await_loan(key, settled);
                }
            }
            Command::Warn(warning) => {
                error!(worker = %self.worker.id().name, "{warning}");
                self.shards.warn(warning);
            }
            Command::End(ending) => self.ending = Some(ending),
            call => self.calls.start(call),
        }
    }
}

/// Waits until the worker is told to leave; for ever once nobody is there to tell it.
async fn told_to_leave(departure: &mut Option<oneshot::Receiver<Departure>>) -> Departure {
    if let Some(receiver) = departure {
        let told = receiver.await;
        *departure = None;
        if let Ok(told) = told {
            return told;
        }
    }
    std::future::pending().await
}

async fn next_hint(hints: &mut Option<Box<dyn Hints>>) {
    match hints {
        Some(hints) => hints.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// The driver of a consumer that was dropped may look once more before it ends.
    #[test]
    fn a_worker_that_nobody_can_tell_to_leave_is_never_told() {
        let (leave, departure) = oneshot::channel();
        let mut departure = Some(departure);
        assert_eq!(told_to_leave(&mut departure).now_or_never(), None);
        drop(leave);
        for _ in 0..3 {
            assert_eq!(told_to_leave(&mut departure).now_or_never(), None);
        }
    }

    #[test]
    fn a_worker_is_told_to_leave_once() {
        let (leave, departure) = oneshot::channel();
        let mut departure = Some(departure);
        leave.send(Departure::ForGood).unwrap();
        assert_eq!(told_to_leave(&mut departure).now_or_never(), Some(Departure::ForGood));
        assert_eq!(told_to_leave(&mut departure).now_or_never(), None);
    }
}
