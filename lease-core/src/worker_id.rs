//! Who a worker is.

use std::fmt;

use stream_types::Name;

/// One running consumer process: a name that may outlive it, and an incarnation that does not.
///
/// ```
/// use lease_core::{Incarnation, WorkerId};
/// use stream_types::Name;
///
/// let first = Incarnation::first(7);
/// let id = WorkerId { name: Name::new("pod-1")?, incarnation: first.successor(0xc0ffee) };
/// assert_eq!(id.to_string(), "pod-1#2", "as people name it");
/// assert_eq!(id.incarnation.to_string(), "2.0000000000c0ffee", "with the nonce, which tells any two processes apart");
/// # Ok::<(), stream_types::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId {
    /// Stable over restarts where the user can make it so, such as the name of a pod.
    pub name: Name,
    /// New at each start.
    pub incarnation: Incarnation,
}

/// Which of the processes that bore a worker's name, one after the other.
///
/// The number grows by one at each start, as far as the registry remembers the name. The nonce is random and tells two
/// incarnations apart where the registry had forgotten the name meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Grows by one at each start.
    pub number: u64,
    /// Random, chosen at each start.
    pub nonce: u64,
}

impl Incarnation {
    /// The first incarnation of a name that the registry does not know.
    #[must_use]
    pub const fn first(nonce: u64) -> Self {
        Self { number: 1, nonce }
    }

    /// Whether the name was free, as far as the registry knew.
    #[must_use]
    pub const fn is_first(self) -> bool {
        self.number == Self::first(0).number
    }

    /// The incarnation that takes over a name from this one.
    #[must_use]
    pub const fn successor(self, nonce: u64) -> Self {
        Self { number: self.number + 1, nonce }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.number, self.nonce)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.incarnation.number)
    }
}
