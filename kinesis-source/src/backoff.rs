//! How long to wait after a failure.

use std::time::Duration;

/// Waits that double from failure to failure, each drawn at random from the upper half, so that readers which failed
/// together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(10);

    pub(crate) const fn new() -> Self {
        Self { failures: 0 }
    }

    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait after one more failure. `chance` is random, from 0 to 1.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let longest = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_never_vanish() {
        let mut backoff = Backoff::new();
        let longest: Vec<u128> = (0..8).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_millis(100));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        let mut backoff = Backoff { failures: u32::MAX - 1 };
        assert_eq!(backoff.next(1.0), Backoff::LONGEST);
        assert_eq!(backoff.next(1.0), Backoff::LONGEST);
    }
}
