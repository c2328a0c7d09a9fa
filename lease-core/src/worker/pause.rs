//! How long to wait before the next try.

use std::time::Duration;

/// The pause after so many failures before: doubled with each, up to the longest.
pub(super) fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_no_number_of_failures_overflows() {
        let seconds = Duration::from_secs;
        let pauses = [0, 1, 2, 3, 4, u32::MAX].map(|failures| doubled(seconds(1), failures, seconds(10)));
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10].map(seconds));
    }
}
