//! The times a worker lives by.

use std::num::NonZeroU32;
use std::time::Duration;

use stream_types::Name;

use crate::WorkerRow;
#[cfg(feature = "testing")]
use crate::plan::PlanVersion;

/// How a worker behaves, checked as a whole by [`WorkerSettings::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerSettings {
    /// How long a worker may be silent before others may take its leases. Default 10 s.
    ///
    /// Shorter recovers faster from a crash; longer survives longer pauses of the process, the network or the store.
    pub lease_duration: Duration,
    /// How often a worker writes its row and reads those of the others. Default 1 s; at most a third of the lease
    /// duration. This is the whole cost of a fleet at rest: one small write and one small read per worker.
    pub heartbeat_interval: Duration,
    /// How often one of the workers lists the leases although nothing announced a change, to find what was changed by
    /// hand. The others do so a tenth as often. Default 60 s.
    pub audit_interval: Duration,
    /// How often one of the workers compares the stream's shards with the leases. Default 60 s.
    pub reconcile_interval: Duration,
    /// The most leases that the worker takes. Default: any number.
    pub capacity: Option<NonZeroU32>,
    /// Where the worker runs, shown to people.
    pub zone: Option<Name>,
    /// The version of the plan that the worker announces, for tests of fleets of several builds.
    #[cfg(feature = "testing")]
    pub plan_version: PlanVersion,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(1),
            audit_interval: Duration::from_secs(60),
            reconcile_interval: Duration::from_secs(60),
            capacity: None,
            zone: None,
            #[cfg(feature = "testing")]
            plan_version: PlanVersion::LATEST,
        }
    }
}

impl WorkerSettings {
    /// How many heartbeats must at least fit into a lease duration, so that one or two may be lost.
    pub const HEARTBEATS_PER_LEASE: u32 = 3;

    /// The longest pause between a worker's start and its first takes.
    const LONGEST_LOOK_ROUND: Duration = Duration::from_millis(500);

    /// The lease duration is cut by one part in this many, before which a worker stops by itself. It covers the time
    /// that stopping takes, and clocks that run at different rates.
    const STOP_MARGIN_PARTS: u32 = 10;

    /// Refuses settings that cannot work.
    ///
    /// ```
    /// use lease_core::worker::WorkerSettings;
    /// use std::time::Duration;
    ///
    /// let settings = WorkerSettings { heartbeat_interval: Duration::from_secs(5), ..WorkerSettings::default() };
    /// assert_eq!(
    ///     settings.validate().unwrap_err().to_string(),
    ///     "the heartbeat interval of 5s is too long for a lease duration of 10s: make it at most 3.333333333s",
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// A time is zero, or the heartbeat interval exceeds a third of the lease duration.
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        let times = [
            ("lease duration", self.lease_duration),
            ("heartbeat interval", self.heartbeat_interval),
            ("audit interval", self.audit_interval),
            ("reconcile interval", self.reconcile_interval),
        ];
        if let Some((what, _)) = times.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(InvalidSettings::Zero { what });
        }
        let longest = self.lease_duration / Self::HEARTBEATS_PER_LEASE;
        if self.heartbeat_interval > longest {
            let (heartbeat_interval, lease_duration) = (self.heartbeat_interval, self.lease_duration);
            return Err(InvalidSettings::HeartbeatTooSlow { heartbeat_interval, lease_duration, longest });
        }
        Ok(())
    }

    /// For how long after sending its last confirmed heartbeat a worker may deliver records.
    #[must_use]
    pub fn validity(&self) -> Duration {
        self.lease_duration - self.lease_duration / Self::STOP_MARGIN_PARTS
    }

    /// How long a new worker looks round before it takes leases, so that workers which start together share at once.
    #[must_use]
    pub fn look_round(&self) -> Duration {
        self.heartbeat_interval.min(Self::LONGEST_LOOK_ROUND)
    }

    /// How long the worker of that row must be silent before it is doubtful whether it lives.
    #[must_use]
    pub fn doubt_after(&self, row: &WorkerRow) -> Duration {
        row.lease_duration_or(self.lease_duration) / 2
    }

    /// The pause between heartbeats while leases are about to change hands, on a store without hints.
    #[must_use]
    pub fn short_pause(&self) -> Duration {
        self.heartbeat_interval / 5
    }

    /// For how long a worker looks out for a gift before it is patient again, and for how long one that gives its leases up
    /// waits for their receivers to know: all that are well heartbeat within it.
    #[must_use]
    pub fn longest_notice(&self) -> Duration {
        self.heartbeat_interval * 2
    }

    /// The shortest pause between heartbeats, when there is news to tell or to hear. A lease that is given with a hint
    /// reaches its new owner within it.
    #[must_use]
    pub fn shortest_pause(&self) -> Duration {
        self.heartbeat_interval / 20
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSettings {
    /// A time is zero.
    #[error("the {what} is zero: give it a length, such as 1s")]
    Zero {
        /// Which one.
        what: &'static str,
    },
    /// A single late heartbeat would cost the leases.
    #[error(
        "the heartbeat interval of {heartbeat_interval:?} is too long for a lease duration of {lease_duration:?}: \
         make it at most {longest:?}"
    )]
    HeartbeatTooSlow {
        /// The refused interval.
        heartbeat_interval: Duration,
        /// The lease duration that it was given with.
        lease_duration: Duration,
        /// The longest interval that would do.
        longest: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_interval_of_just_a_third_of_the_lease_duration_will_do() {
        let settings = WorkerSettings { heartbeat_interval: Duration::from_secs(3), ..WorkerSettings::default() };
        let [just, too_short] = [9, 8].map(|seconds| {
            let settings = WorkerSettings { lease_duration: Duration::from_secs(seconds), ..settings.clone() };
            settings.validate()
        });
        assert_eq!(just, Ok(()));
        assert!(matches!(too_short, Err(InvalidSettings::HeartbeatTooSlow { .. })), "{too_short:?}");
    }
}
