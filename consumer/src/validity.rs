//! Until when this process may deliver records, shared with all shards' tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lease_core::Moment;
use tokio::time::Instant;

/// A deadline that the driver moves on with each confirmed heartbeat.
///
/// The driver also stops the tasks when the deadline passes. But if the whole process was frozen, a task may wake up
/// before the driver does; it must find out by itself.
#[derive(Debug, Clone)]
pub(crate) struct Validity {
    start: Instant,
    until_micros: Arc<AtomicU64>,
}

impl Validity {
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self { start, until_micros: Arc::default() }
    }

    /// The moment it is now, on the worker's clock.
    pub(crate) fn now(&self) -> Moment {
        Moment::from_start(self.start.elapsed())
    }

    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.start + moment.elapsed()
    }

    pub(crate) fn set(&self, until: Option<Moment>) {
        let until = until.map_or(Duration::ZERO, Moment::elapsed);
        self.until_micros.store(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.start.elapsed() < Duration::from_micros(self.until_micros.load(Ordering::SeqCst))
    }
}
