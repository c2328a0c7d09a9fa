//! What the service allows, and the meters that hold users to it.

use std::time::Duration;

use stream_types::Timestamp;

/// The limits of a stream.
///
/// The numbers of the service are those of "Quotas and limits" and of the API reference, as of 2026.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// `GetRecords` calls per shard and second; absent = unlimited.
    pub reads_per_second: Option<f64>,
    /// Bytes read per shard and second.
    pub read_bytes_per_second: Option<f64>,
    /// Records written per shard and second.
    pub writes_per_second: Option<f64>,
    /// Bytes written per shard and second.
    pub write_bytes_per_second: Option<f64>,
    /// The most bytes in the answer to one `GetRecords`.
    pub bytes_per_read: usize,
    /// For how long an iterator may be used.
    pub iterator_lifetime: Duration,
    /// For how long the token of a page may be used.
    pub token_lifetime: Duration,
}

const MIB: f64 = 1024.0 * 1024.0;

impl Limits {
    /// Those of the service, for streams of provisioned capacity.
    #[must_use]
    pub const fn of_the_service() -> Self {
        Self {
            reads_per_second: Some(5.0),
            read_bytes_per_second: Some(2.0 * MIB),
            writes_per_second: Some(1_000.0),
            write_bytes_per_second: Some(MIB),
            ..Self::unlimited_rates()
        }
    }

    /// Those of the service, but with any rate of reads and writes.
    #[must_use]
    pub const fn unlimited_rates() -> Self {
        Self {
            reads_per_second: None,
            read_bytes_per_second: None,
            writes_per_second: None,
            write_bytes_per_second: None,
            bytes_per_read: 10 * 1024 * 1024,
            iterator_lifetime: Duration::from_secs(300),
            token_lifetime: Duration::from_secs(300),
        }
    }
}

/// A bucket that fills at a steady rate up to a brim.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    per_second: f64,
    brim: f64,
    level: f64,
    at: Timestamp,
}

impl Meter {
    pub(crate) fn new(per_second: f64, brim: f64, now: Timestamp) -> Self {
        Self { per_second, brim, level: brim, at: now }
    }

    fn refill(&mut self, now: Timestamp) {
        let millis = now.unix_millis().saturating_sub(self.at.unix_millis());
        #[expect(clippy::cast_precision_loss, reason = "2^52 ms are 142,000 years")]
        let seconds = millis as f64 / 1_000.0;
        self.level = (self.level + seconds * self.per_second).min(self.brim);
        self.at = self.at.max(now);
    }

    /// Whether that much may be taken now without going below the ground.
    pub(crate) fn has(&mut self, amount: f64, now: Timestamp) -> bool {
        self.refill(now);
        self.level >= amount
    }

    /// Takes that much, below the ground if need be: then nothing more is to be had until it has filled up.
    pub(crate) fn take(&mut self, amount: f64, now: Timestamp) {
        self.refill(now);
        self.level -= amount;
    }
}

/// The meters of one shard.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    reads: Option<Meter>,
    read_bytes: Option<Meter>,
    writes: Option<Meter>,
    write_bytes: Option<Meter>,
}

impl Meters {
    /// How much of a second's bytes may be read at once before the rate counts.
    const READ_BURST_PARTS: f64 = 0.1;

    pub(crate) fn new(limits: &Limits, now: Timestamp) -> Self {
        let meter = |rate: Option<f64>, burst: f64| rate.map(|rate| Meter::new(rate, rate * burst, now));
        Self {
            reads: meter(limits.reads_per_second, 1.0),
            read_bytes: meter(limits.read_bytes_per_second, Self::READ_BURST_PARTS),
            writes: meter(limits.writes_per_second, 1.0),
            write_bytes: meter(limits.write_bytes_per_second, 1.0),
        }
    }

    /// Counts a read, if it is allowed now.
    pub(crate) fn admit_read(&mut self, now: Timestamp) -> bool {
        let bytes_allow = self.read_bytes.as_mut().is_none_or(|meter| meter.has(0.0, now));
        let calls_allow = self.reads.as_mut().is_none_or(|meter| meter.has(1.0, now));
        if let Some(reads) = self.reads.as_mut().filter(|_| calls_allow) {
            reads.take(1.0, now);
        }
        bytes_allow && calls_allow
    }

    pub(crate) fn count_read_bytes(&mut self, bytes: usize, now: Timestamp) {
        if let Some(meter) = &mut self.read_bytes {
            meter.take(to_f64(bytes), now);
        }
    }

    /// Counts a write, if it is allowed now.
    pub(crate) fn admit_write(&mut self, bytes: usize, now: Timestamp) -> bool {
        let bytes = to_f64(bytes);
        let allowed = self.writes.as_mut().is_none_or(|meter| meter.has(1.0, now))
            && self.write_bytes.as_mut().is_none_or(|meter| meter.has(bytes, now));
        if allowed {
            self.writes.iter_mut().for_each(|meter| meter.take(1.0, now));
            self.write_bytes.iter_mut().for_each(|meter| meter.take(bytes, now));
        }
        allowed
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes in memory are far below 2^52")]
fn to_f64(bytes: usize) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn five_reads_a_second_and_no_more() {
        let mut meters = Meters::new(&Limits::of_the_service(), at(0));
        let admitted = (0..10).filter(|_| meters.admit_read(at(0))).count();
        assert_eq!(admitted, 5);
        assert!(!meters.admit_read(at(199)));
        assert!(meters.admit_read(at(400)));
    }

    #[test]
    fn ten_mebibytes_at_once_block_the_next_five_seconds() {
        let mut meters = Meters::new(&Limits::of_the_service(), at(0));
        assert!(meters.admit_read(at(0)));
        meters.count_read_bytes(10 * 1024 * 1024, at(0));
        assert!(!meters.admit_read(at(4_800)));
        assert!(meters.admit_read(at(5_000)));
    }

    #[test]
    fn a_thousand_records_or_a_mebibyte_a_second_are_written() {
        let mut meters = Meters::new(&Limits::of_the_service(), at(0));
        assert_eq!((0..1_200).filter(|_| meters.admit_write(10, at(0))).count(), 1_000);
        let mut meters = Meters::new(&Limits::of_the_service(), at(0));
        assert_eq!((0..10).filter(|_| meters.admit_write(200 * 1024, at(0))).count(), 5);
    }
}
