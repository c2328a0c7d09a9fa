//! A worker's row in the registry.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use stream_types::Name;

use crate::plan::PlanVersion;
use crate::{Incarnation, WorkerId};

/// One row per worker: that it lives, and what the others must know to plan with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkerRow {
    /// The worker's name: the key of the row.
    pub name: Name,
    /// Which process bears the name.
    pub incarnation: Incarnation,
    /// Grows by one at each write of the row; the first write of an incarnation is [`WorkerRow::REGISTERS`].
    pub heartbeat: u64,
    /// How often this incarnation has changed the set of leases, or their owners, or found that somebody may have. The others
    /// list the leases again when it changed.
    pub generation: u64,
    /// The most leases that the worker takes; absent = any number.
    pub capacity: Option<NonZeroU32>,
    /// Where the worker runs, such as an availability zone. For people; the plan does not use it yet.
    pub zone: Option<Name>,
    /// The highest version of the plan that the worker can compute.
    pub plan_version: PlanVersion,
    /// The worker is on its way out and takes nothing any more.
    pub leaving: bool,
    /// The process has stored all it has done and ended, and said that another of its name comes within this time. Until then
    /// it counts as alive, and keeps its leases.
    pub returns_within: Option<Duration>,
    /// The streams that the worker follows: it gets no lease of any other. Absent in the rows of builds that followed one
    /// stream per application, which take any lease.
    pub streams: Option<BTreeSet<Name>>,
    /// After how long a silence the others may take the worker's leases: it stops by itself a little before. Absent in the rows
    /// of builds that did not say; there, all workers of an application had to have the same.
    pub lease_duration: Option<Duration>,
}

impl WorkerRow {
    /// The heartbeat with which an incarnation registers.
    pub const REGISTERS: u64 = 1;

    /// The row with which a worker registers.
    #[must_use]
    pub fn registering(id: WorkerId, capacity: Option<NonZeroU32>) -> Self {
        Self {
            name: id.name,
            incarnation: id.incarnation,
            heartbeat: Self::REGISTERS,
            generation: 0,
            capacity,
            zone: None,
            plan_version: PlanVersion::LATEST,
            leaving: false,
            returns_within: None,
            streams: None,
            lease_duration: None,
        }
    }

    /// The worker's identity.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        WorkerId { name: self.name.clone(), incarnation: self.incarnation }
    }

    /// Whether the worker can read the stream.
    #[must_use]
    pub fn follows(&self, stream: &Name) -> bool {
        self.streams.as_ref().is_none_or(|streams| streams.contains(stream))
    }

    /// Whether the other workers have something to do because of this heartbeat, so that a store with hints should push one:
    /// the worker has just come, or is on its way out.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        self.heartbeat == Self::REGISTERS || self.leaving
    }

    /// The lease duration that the worker lives by; the observer's own, where its row does not tell. All observers go by the same:
    /// where some waited longer, they would count on a worker whose leases others have taken, and give it more.
    #[must_use]
    pub fn lease_duration_or(&self, own: Duration) -> Duration {
        self.lease_duration.unwrap_or(own)
    }

    /// For how long the worker may be silent before it counts as dead, to an observer of that lease duration.
    #[must_use]
    pub fn patience(&self, own: Duration) -> Duration {
        let lease_duration = self.lease_duration_or(own);
        self.returns_within.map_or(lease_duration, |within| within.max(lease_duration))
    }

    /// Whether this row may be written over `stored`, the row of the same name that the registry has.
    ///
    /// An incarnation replaces its own earlier rows, and at registration also the rows of a lower incarnation number.
    /// Everything else means that another process bears the name by now.
    ///
    /// ```
    /// use lease_core::{Incarnation, WorkerId, WorkerRow};
    /// use stream_types::Name;
    ///
    /// let name = Name::new("pod-1")?;
    /// let old = WorkerRow::registering(WorkerId { name: name.clone(), incarnation: Incarnation::first(7) }, None);
    /// let new = WorkerRow::registering(WorkerId { name, incarnation: old.incarnation.successor(8) }, None);
    /// assert!(new.may_replace(&old));
    /// assert!(!old.may_replace(&new));
    /// # Ok::<(), stream_types::InvalidName>(())
    /// ```
    #[must_use]
    pub fn may_replace(&self, stored: &Self) -> bool {
        if self.incarnation == stored.incarnation {
            return self.heartbeat >= stored.heartbeat;
        }
        self.heartbeat == Self::REGISTERS && self.incarnation.number > stored.incarnation.number
    }
}
