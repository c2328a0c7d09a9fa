//! How a consumer goes.

use std::time::Duration;

/// How a consumer goes when it is asked to stop. The future given to [`Consumer::run_until`](crate::Consumer::run_until)
/// says so by its output; `()` means for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// Its shards go to the other workers, each as soon as it is drained.
    #[default]
    ForGood,
    /// Another process of the same worker name will soon go on with its shards. They are drained and checkpointed, and nothing
    /// moves: for a deployment that restarts processes one by one, under names that they keep.
    ToReturn {
        /// How long the others leave the shards alone. If nobody has come by then, they take them.
        within: Duration,
    },
}

impl From<()> for Departure {
    fn from((): ()) -> Self {
        Self::ForGood
    }
}
