//! The time of the model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use stream_types::Timestamp;
use tokio::time::Instant;

/// Where the model takes the time from. Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use kinesis_testing::Clock;
/// use stream_types::Timestamp;
///
/// let clock = Clock::manual(Timestamp::from_unix_millis(1_000));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Timestamp::from_unix_millis(2_000));
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Hands);

#[derive(Debug, Clone)]
enum Hands {
    System,
    Manual(Arc<AtomicU64>),
    Runtime { origin: Instant, start: Timestamp },
}

impl Clock {
    /// The machine's wall clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hands::System)
    }

    /// A clock that stands still until it is advanced.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Hands::Manual(Arc::new(AtomicU64::new(start.unix_millis()))))
    }

    /// A clock that shows `start` now and goes with the time of the tokio runtime, which a test may pause.
    #[must_use]
    pub fn of_the_runtime(start: Timestamp) -> Self {
        Self(Hands::Runtime { origin: Instant::now(), start })
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the wall clock")]
            Hands::System => SystemTime::now().into(),
            Hands::Manual(millis) => Timestamp::from_unix_millis(millis.load(Ordering::SeqCst)),
            Hands::Runtime { origin, start } => start.saturating_add(origin.elapsed()),
        }
    }

    /// Moves a manual clock forward.
    ///
    /// # Panics
    ///
    /// The clock is not a manual one.
    pub fn advance(&self, by: Duration) {
        let Hands::Manual(millis) = &self.0 else { panic!("only a manual clock can be advanced") };
        millis.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}
