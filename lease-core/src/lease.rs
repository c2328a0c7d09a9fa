//! The lease row and its transitions.

use std::fmt;

use stream_types::{HashRange, Position, Shard, ShardId, StartPosition, Timestamp};

use crate::{LeaseKey, WorkerId};

/// One row per shard: who may read it, and how far reading has got.
///
/// The fields are public because stores must write and read each of them. Everybody else changes a lease through its
/// transitions ([`Lease::taken_by`], [`Lease::given_to`], …): pure functions that return the next row, whose version is
/// one higher. A store writes that row only over the one that it was made from, told by its version and its epoch.
///
/// ```
/// use lease_core::{Incarnation, Lease, LeaseKey, StreamFacts, WorkerId};
/// use stream_types::{Name, Shard, ShardId, StartPosition};
///
/// let me = WorkerId { name: Name::new("pod-1")?, incarnation: Incarnation::first(7) };
/// let shard = Shard { id: ShardId::new("shardId-000000000000")?, parents: vec![], hash_range: None };
/// let facts = StreamFacts { created: None, start: StartPosition::Horizon };
/// let free = Lease::new(Name::new("orders")?, shard, facts, me.clone());
/// let mine = free.taken_by(&me);
/// assert_eq!(mine.version, free.version.next());
/// assert_eq!(mine.epoch, free.epoch.next());
/// assert_eq!(mine.owner, Some(me));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which shard of which stream.
    pub key: LeaseKey,
    /// Grows by one at every write of the row. Every write is conditional on it, and on the epoch.
    pub version: Version,
    /// Grows at every change of owner, by one or up to a floor that the store asks for: the fencing token.
    pub epoch: Epoch,
    /// Who may read the shard; absent = free. A finished lease keeps the owner that finished it.
    pub owner: Option<WorkerId>,
    /// How far reading has got.
    pub position: Position,
    /// The shards that this one came from.
    pub parents: Vec<ShardId>,
    /// The hash keys that the shard serves, where the stream tells.
    pub hash_range: Option<HashRange>,
    /// What all leases of the stream have in common.
    pub stream: StreamFacts,
    /// Who wrote the row last, for people, and to tell two writers' rows apart.
    pub updated_by: WorkerId,
    /// What the last write was for.
    pub last_change: Change,
}

/// What every lease of a stream repeats about the stream, so that no row of its own is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamFacts {
    /// When the stream was created. A stream deleted and created again under its name is another stream.
    pub created: Option<Timestamp>,
    /// Where the application started to read the stream. Leases made later start there too, which for the children of
    /// a reshard is their own beginning.
    pub start: StartPosition,
}

/// Counts the writes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of a row that was just created.
    pub const FIRST: Self = Self(1);

    /// The version of the next write.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the changes of owner of a lease: the **fencing token**.
///
/// A sink that remembers the highest epoch it has seen for a shard, and refuses lower ones, is safe from the late
/// effects of a worker that lost its lease without noticing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a lease that nobody has owned yet.
    pub const NEVER_OWNED: Self = Self(0);

    /// The epoch after the next change of owner.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a write of a lease row was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The row was made.
    Created,
    /// A worker took it from nobody, or from the dead.
    Taken,
    /// Its owner gave it to another worker.
    Given,
    /// Its owner stored a position.
    Checkpointed,
    /// Its owner gave it up.
    Released,
    /// Its owner has processed the closed shard to its end.
    Finished,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Taken, Self::Given, Self::Checkpointed, Self::Released, Self::Finished];

    /// The word for it, for stores that keep text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Taken => "taken",
            Self::Given => "given",
            Self::Checkpointed => "checkpointed",
            Self::Released => "released",
            Self::Finished => "finished",
        }
    }

    /// Whether another worker may have something to do because of it, so that a store with hints should push one.
    ///
    /// What a worker does with leases that are its own concerns nobody: to take one, or to checkpoint.
    #[must_use]
    pub const fn is_news(self) -> bool {
        matches!(self, Self::Created | Self::Given | Self::Released | Self::Finished)
    }

    /// The change of that word, as [`Change::as_str`] writes it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == word)
    }
}

impl Lease {
    /// A free lease for a shard that nobody has read yet.
    #[must_use]
    pub fn new(stream: stream_types::Name, shard: Shard, facts: StreamFacts, by: WorkerId) -> Self {
        Self {
            key: LeaseKey::new(stream, shard.id),
            version: Version::FIRST,
            epoch: Epoch::NEVER_OWNED,
            owner: None,
            position: facts.start.into(),
            parents: shard.parents,
            hash_range: shard.hash_range,
            stream: facts,
            updated_by: by,
            last_change: Change::Created,
        }
    }

    /// Whether the shard is closed and all of it is done. The row stays as a tombstone until the stream forgets the
    /// shard.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.position == Position::End
    }

    /// Whether that very incarnation owns the lease.
    #[must_use]
    pub fn is_owned_by(&self, worker: &WorkerId) -> bool {
        self.owner.as_ref() == Some(worker)
    }

    /// The row after `me` took the lease.
    #[must_use]
    pub fn taken_by(&self, me: &WorkerId) -> Self {
        Self { owner: Some(me.clone()), epoch: self.epoch.next(), ..self.written(me, Change::Taken) }
    }

    /// The row after `me`, having drained the shard up to its position, gave the lease to `receiver`.
    #[must_use]
    pub fn given_to(&self, receiver: &WorkerId, me: &WorkerId) -> Self {
        Self { owner: Some(receiver.clone()), epoch: self.epoch.next(), ..self.written(me, Change::Given) }
    }

    /// The row after `me` gave the lease up.
    #[must_use]
    pub fn released(&self, me: &WorkerId) -> Self {
        Self { owner: None, epoch: self.epoch.next(), ..self.written(me, Change::Released) }
    }

    /// The row after `me` stored a position.
    #[must_use]
    pub fn checkpointed(&self, position: Position, me: &WorkerId) -> Self {
        Self { position, ..self.written(me, Change::Checkpointed) }
    }

    /// The row after `me` processed the closed shard to its end.
    #[must_use]
    pub fn finished(&self, me: &WorkerId) -> Self {
        Self { position: Position::End, ..self.written(me, Change::Finished) }
    }

    /// The same row under that epoch or a later one, as a store may ask for that cannot answer for its newest rows.
    #[must_use]
    pub fn in_epoch_of_at_least(self, floor: Epoch) -> Self {
        Self { epoch: self.epoch.max(floor), ..self }
    }

    /// The same row standing at another position: for a hand-over that stores the last position in the same write.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position, ..self }
    }

    fn written(&self, me: &WorkerId, change: Change) -> Self {
        Self { version: self.version.next(), updated_by: me.clone(), last_change: change, ..self.clone() }
    }
}
