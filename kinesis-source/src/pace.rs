//! How fast one shard may be read.

use std::time::Duration;

/// Says how long to wait between two reads of one shard.
///
/// Kinesis allows 5 `GetRecords` calls and 2 MB a second per shard; after a reply of more, further calls fail until
/// that many seconds have passed (API reference, `GetRecords`). Reading at exactly that rate leaves nothing to others,
/// so at the tip of the shard, where the calls bring little, the pause is the longer one that the user chose.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) tip_pause: Duration,
}

impl Pace {
    const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
    const BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;

    /// The pause between the start of a read that brought so many bytes and the start of the next one.
    pub(crate) fn pause(&self, bytes: usize, at_tip: bool) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let for_bytes = Duration::from_micros(bytes.saturating_mul(1_000_000) / Self::BYTES_PER_SECOND);
        let for_calls = if at_tip { self.tip_pause.max(Self::SHORTEST_PAUSE) } else { Self::SHORTEST_PAUSE };
        for_bytes.max(for_calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { tip_pause: Duration::from_secs(1) };

    #[test]
    fn behind_the_tip_five_reads_a_second() {
        assert_eq!(PACE.pause(0, false), Duration::from_millis(200));
        assert_eq!(PACE.pause(400_000, false), Duration::from_millis(200));
    }

    #[test]
    fn large_replies_wait_for_their_bytes() {
        assert_eq!(PACE.pause(10 * 1024 * 1024, false), Duration::from_secs(5));
        assert_eq!(PACE.pause(10 * 1024 * 1024, true), Duration::from_secs(5));
    }

    #[test]
    fn at_the_tip_the_users_pause_but_never_more_than_five_reads_a_second() {
        assert_eq!(PACE.pause(100, true), Duration::from_secs(1));
        let hasty = Pace { tip_pause: Duration::ZERO };
        assert_eq!(hasty.pause(0, true), Duration::from_millis(200));
    }
}
