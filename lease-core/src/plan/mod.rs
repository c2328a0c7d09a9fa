//! Who should own which lease: a pure function of the rows.
//!
//! Every worker computes the whole [`Plan`] from its own [`Snapshot`] of the table and carries out only its part of it.
//! There is no leader. What the plan guarantees, and what the property tests are named after (S = leases that may run:
//! not finished, all parents finished or absent; W = live workers that are not leaving, idle ones included):
//!
//! - **P1** total and exclusive: every runnable lease has exactly one target, or is reported as unplaced; nothing else
//!   has a target.
//! - **P2** balance: the workers' counts differ by at most one; with capacities they are the water-filling optimum, and
//!   a lease is unplaced only when every worker is full.
//! - **P3** fewest moves: no balanced target takes fewer leases from live owners.
//! - **P4** fixpoint: the plan of a balanced snapshot moves nothing.
//! - **P5** locality: a join moves leases only to the joiner, a leave moves only the leaver's leases.
//! - **P6** deterministic: independent of the order of the input; ties are broken by a fixed hash (64-bit FNV-1a of the
//!   key's text, finished with the mixer of SplitMix64), never by one that may differ between builds.
//! - **P7** disjoint: on equal snapshots the workers' parts never overlap, and together they are the plan.
//! - **P8** convergence: from equal fresh snapshots, one round of takes and one of gives reach the target.
//! - **P9** an incomplete view (no complete list, no live worker) plans nothing.
//! - **P10** the children of a finished parent go to the parent's owner, unless that breaks P2 or P3.
//! - **P12** mixed versions: the plan is computed by the highest version that all live workers can compute.
//! - **P13** cost O(S log S + W log W): 10,000 leases over 1,000 workers in under 5 ms.
//!
//! P11 (weights) is still to come.
//!
//! Workers may follow different streams, for a while (a stream is being added to a running fleet, or taken from it) or for
//! good. A lease goes only to a worker that follows its stream, and is unplaced when nobody does. The leases of streams
//! that the same workers follow form a group. Groups are spread one after the other, those with the fewest followers
//! first, each level on top of what its followers have from the groups before. Where each group's followers include those of the
//! groups before it, as while a stream is added, that is the water-filling optimum of P2; otherwise it is level within each group only.
//! P1, P4, P6 to P9 and P12 hold for any fleet. P2, P3, P5 and P10 are stated for one group.

mod assignment;
mod quota;
mod runnable;
mod tie;

use std::collections::BTreeSet;
use std::fmt;

use stream_types::Name;

use self::tie::Ties;
use crate::{Lease, LeaseKey, WorkerId, WorkerRow};

/// Which algorithm computes the plan. Workers of different builds must agree on one, or they would undo each other's
/// moves for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanVersion(pub u32);

impl PlanVersion {
    /// The newest algorithm of this build.
    pub const LATEST: Self = Self(1);

    /// A version after the latest that breaks ties the other way round: so that what happens when builds meet that plan
    /// differently is tested before there is a second version.
    #[cfg(feature = "testing")]
    pub const REHEARSAL: Self = Self(Self::LATEST.0 + 1);

    #[cfg(feature = "testing")]
    const NEWEST_COMPUTED: Self = Self::REHEARSAL;

    #[cfg(not(feature = "testing"))]
    const NEWEST_COMPUTED: Self = Self::LATEST;
}

impl fmt::Display for PlanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a worker knows of the table when it plans.
#[derive(Debug, Clone, Hash)]
pub struct Snapshot<'rows> {
    /// The rows of the workers believed alive, those on their way out included, in any order.
    pub workers: Vec<&'rows WorkerRow>,
    /// All leases, in any order; absent when no complete list is at hand.
    pub leases: Option<Vec<&'rows Lease>>,
}

/// The owner that each lease should have.
///
/// ```
/// use lease_core::plan::{Snapshot, plan};
/// use lease_core::{Incarnation, Lease, StreamFacts, WorkerId, WorkerRow};
/// use stream_types::{Name, Shard, ShardId, StartPosition};
///
/// let me = WorkerId { name: Name::new("pod-1")?, incarnation: Incarnation::first(7) };
/// let shard = Shard { id: ShardId::new("shardId-000000000000")?, parents: vec![], hash_range: None };
/// let facts = StreamFacts { created: None, start: StartPosition::Horizon };
/// let lease = Lease::new(Name::new("orders")?, shard, facts, me.clone());
/// let row = WorkerRow::registering(me.clone(), None);
///
/// let plan = plan(&Snapshot { workers: vec![&row], leases: Some(vec![&lease]) });
/// assert_eq!(plan.target(&lease.key), Some(&me.name));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    version: PlanVersion,
    /// Ascending by key.
    assignments: Vec<Assignment>,
}

/// Where the plan wants one runnable lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// The lease.
    pub key: LeaseKey,
    /// The worker that should own it; absent = it fits nowhere.
    pub target: Option<Name>,
}

/// One thing that a worker has to do for the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Take a lease that no live worker owns.
    Take(LeaseKey),
    /// Drain one's own lease and hand it to another worker.
    Give(LeaseKey, WorkerId),
    /// Drain one's own lease and leave it to nobody, since it fits nowhere.
    Release(LeaseKey),
}

/// The worker to which the chores of the whole fleet fall: the one of lowest rank among those that are here and stay. The
/// chores of a stream fall to such a one among its followers.
#[must_use]
pub fn designated<'rows>(workers: &[&'rows WorkerRow]) -> Option<&'rows WorkerRow> {
    let staying = workers.iter().copied().filter(|worker| !worker.leaving && worker.returns_within.is_none());
    staying.min_by_key(|worker| (tie::rank_of_worker(&worker.name), &worker.name))
}

impl Step {
    /// The lease that the step is about.
    #[must_use]
    pub const fn key(&self) -> &LeaseKey {
        match self {
            Self::Take(key) | Self::Give(key, _) | Self::Release(key) => key,
        }
    }
}

/// Computes who should own which lease.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>) -> Plan {
    let mut workers = snapshot.workers.clone();
    workers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    workers.dedup_by(|a, b| a.name == b.name);
    let version = workers.iter().map(|worker| worker.plan_version).min();
    let version = version.map_or(PlanVersion::LATEST, |lowest| lowest.min(PlanVersion::NEWEST_COMPUTED));

    workers.retain(|worker| !worker.leaving);
    let assignments = match &snapshot.leases {
        Some(leases) if !workers.is_empty() => assignment::assign(&workers, leases, Ties::of(version)),
        _ => Vec::new(),
    };
    Plan { version, assignments }
}

impl Plan {
    /// The version of the algorithm that computed it.
    #[must_use]
    pub const fn version(&self) -> PlanVersion {
        self.version
    }

    /// All runnable leases with their targets, ascending by key.
    #[must_use]
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// The worker that should own the lease, if it may run and fits somewhere.
    #[must_use]
    pub fn target(&self, key: &LeaseKey) -> Option<&Name> {
        let found = self.assignments.binary_search_by(|assignment| assignment.key.cmp(key)).ok()?;
        self.assignments[found].target.as_ref()
    }

    /// The runnable leases that fit nowhere, because all workers are full.
    pub fn unplaced(&self) -> impl Iterator<Item = &LeaseKey> {
        self.assignments.iter().filter(|assignment| assignment.target.is_none()).map(|assignment| &assignment.key)
    }

    /// What one worker has to do for the plan, given the snapshot that it was computed from.
    ///
    /// A lease owned by an earlier incarnation of the worker's name counts as the worker's own: it takes it anew to
    /// keep it, and may give it away at once.
    #[must_use]
    pub fn part_of(&self, me: &WorkerId, snapshot: &Snapshot<'_>) -> Vec<Step> {
        let Some(leases) = &snapshot.leases else { return Vec::new() };
        let live = |name: &Name| snapshot.workers.iter().find(|worker| worker.name == *name);
        let mut ordered = leases.clone();
        ordered.sort_unstable_by(|a, b| a.key.cmp(&b.key));

        let mut leases = ordered.into_iter().peekable();
        let mut steps = Vec::new();
        for Assignment { key, target } in &self.assignments {
            while leases.next_if(|lease| lease.key < *key).is_some() {}
            let Some(lease) = leases.next_if(|lease| lease.key == *key) else { continue };
            let owner = lease.owner.as_ref();
            let mine = owner.is_some_and(|owner| owner.name == me.name);
            match target {
                Some(target) if *target == me.name => {
                    let of_another = owner.is_some_and(|owner| !mine && live(&owner.name).is_some());
                    if !of_another && owner != Some(me) {
                        steps.push(Step::Take(key.clone()));
                    }
                }
                Some(target) if mine => {
                    if let Some(receiver) = live(target) {
                        steps.push(Step::Give(key.clone(), receiver.id()));
                    }
                }
                None if mine => steps.push(Step::Release(key.clone())),
                _ => {}
            }
        }
        steps
    }

    /// The leases with which others than this worker have something to do for the plan, given the snapshot that it was computed
    /// from. What belonged to an earlier process of their name, they take anew by themselves.
    pub fn asked_of_others<'rows>(
        &self,
        me: &WorkerId,
        snapshot: &Snapshot<'rows>,
    ) -> impl Iterator<Item = &'rows Lease> {
        let live: BTreeSet<&Name> = snapshot.workers.iter().map(|worker| &worker.name).collect();
        let leases = snapshot.leases.iter().flatten().copied();
        leases.filter(move |lease| {
            let Ok(index) = self.assignments.binary_search_by(|known| known.key.cmp(&lease.key)) else { return false };
            let target = self.assignments[index].target.as_ref();
            match lease.owner.as_ref().map(|owner| &owner.name).filter(|owner| live.contains(owner)) {
                Some(owner) => *owner != me.name && target != Some(owner),
                None => target.is_some_and(|target| *target != me.name),
            }
        })
    }
}
