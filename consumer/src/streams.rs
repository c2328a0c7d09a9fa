//! Taking streams up and giving them up while a consumer runs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kinesis_source::{Source, SourceError, SourceErrorKind, StreamDescription};
use lease_core::StreamFacts;
use stream_types::Name;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tracing::warn;

use crate::StartingPosition;

/// The streams of a consumer, to be changed while it runs. Clones change the same.
///
/// Each process of a fleet says for itself which streams it follows, and its row in the lease table tells the others. A shard
/// goes only to processes that follow its stream. So a fleet takes up a stream, or gives it up, one process after the other,
/// or in a deployment, and nothing is repeated on the way.
///
/// ```
/// use std::sync::Arc;
/// use consumer::{Consumer, each_batch};
/// # use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
/// # use lease_core::MemoryStore;
/// # use stream_types::Name;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
/// # for stream in ["orders", "payments"] { kinesis.create_stream(stream, 2)?; }
/// # let source = |stream| Ok::<_, stream_types::InvalidName>(Arc::new(ModelSource::new(kinesis.clone(), Name::new(stream)?)));
/// # let (orders, payments) = (source("orders")?, source("payments")?);
/// # let store = Arc::new(MemoryStore::new(Name::new("billing")?));
/// let consumer = Consumer::builder(store, orders).build(each_batch(async |batch| {
///     println!("{} records of {}", batch.records().len(), batch.shard().stream());
///     Ok::<(), std::io::Error>(())
/// }))?;
/// let streams = consumer.streams();
/// consumer.run_until(async move {
///     streams.follow(payments).await.expect("it is there");
///     streams.unfollow(&"orders".parse().expect("a name")).await.expect("it is followed");
/// }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Streams {
    requests: mpsc::Sender<StreamRequest>,
    starting_position: StartingPosition,
}

/// A change on its way to the driver.
pub(crate) enum StreamRequest {
    Follow { source: Arc<dyn Source>, facts: StreamFacts, reply: Reply },
    Unfollow { stream: Name, reply: Reply },
}

pub(crate) type Reply = oneshot::Sender<Result<(), StreamsError>>;

impl Streams {
    /// How many changes may wait for the driver before whoever asks for one has to wait too.
    const QUEUED_REQUESTS: usize = 16;

    pub(crate) fn new(starting_position: StartingPosition) -> (Self, mpsc::Receiver<StreamRequest>) {
        let (requests, received) = mpsc::channel(Self::QUEUED_REQUESTS);
        (Self { requests, starting_position }, received)
    }

    /// Takes up a stream: this consumer reads its share of it from now on. Where the application has never read it, it starts
    /// at [`ConsumerSettings::starting_position`](crate::ConsumerSettings::starting_position).
    ///
    /// Answered while the consumer runs.
    ///
    /// # Errors
    ///
    /// The stream does not exist, or cannot be reached; the consumer follows it already; the consumer has ended.
    pub async fn follow(&self, source: Arc<dyn Source>) -> Result<(), StreamsError> {
        self.follow_from(source, self.starting_position).await
    }

    /// The same, with a starting position of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Streams::follow`].
    pub async fn follow_from(&self, source: Arc<dyn Source>, from: StartingPosition) -> Result<(), StreamsError> {
        let facts = facts(&*source, from).await?;
        self.ask(|reply| StreamRequest::Follow { source, facts, reply }).await
    }

    /// Gives up a stream. Returns once all that this consumer had of it is drained, checkpointed, and handed to those who
    /// follow it; if nobody does, its positions stay in the lease table.
    ///
    /// Answered while the consumer runs.
    ///
    /// # Errors
    ///
    /// The consumer does not follow the stream, or takes it up again meanwhile, or has ended.
    pub async fn unfollow(&self, stream: &Name) -> Result<(), StreamsError> {
        self.ask(|reply| StreamRequest::Unfollow { stream: stream.clone(), reply }).await
    }

    async fn ask(&self, request: impl FnOnce(Reply) -> StreamRequest) -> Result<(), StreamsError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_ended| StreamsError::Ended)?;
        answer.await.unwrap_or(Err(StreamsError::Ended))
    }
}

/// What the leases of a new stream are to remember.
pub(crate) async fn facts(source: &dyn Source, from: StartingPosition) -> Result<StreamFacts, SourceError> {
    let created = described(source).await?.created;
    #[expect(clippy::disallowed_methods, reason = "where the stream's latest record is, only a wall clock can tell")]
    let start = from.resolve(SystemTime::now());
    Ok(StreamFacts { created, start })
}

/// Outlasts throttling, which a fleet that starts together brings upon itself. A stream that does not answer may be a mistyped
/// address, which somebody should hear of at once.
async fn described(source: &dyn Source) -> Result<StreamDescription, SourceError> {
    const FIRST_PAUSE: Duration = Duration::from_millis(200);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
    let mut pause = FIRST_PAUSE;
    loop {
        match source.describe().await {
            Err(error) if error.kind() == SourceErrorKind::Throttled => {
                warn!(stream = %source.name(), %error, "the stream cannot be described now");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// A consumer's streams were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamsError {
    /// The stream does not exist, or cannot be reached.
    #[error(transparent)]
    Stream(#[from] SourceError),
    /// There is nothing to take up, or somebody has taken it up again.
    #[error("this consumer follows the stream {stream}: to take it up from elsewhere, give it up first")]
    Followed {
        /// Which stream.
        stream: Name,
    },
    /// There is nothing to give up.
    #[error("this consumer does not follow a stream {stream}")]
    NotFollowed {
        /// Which stream.
        stream: Name,
    },
    /// Nothing can be changed any more.
    #[error("the consumer has ended")]
    Ended,
}

impl fmt::Debug for StreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follow { source, .. } => write!(f, "Follow({})", source.name()),
            Self::Unfollow { stream, .. } => write!(f, "Unfollow({stream})"),
        }
    }
}
