//! What is done to the fleet.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::fleet::{HEARTBEAT, LEASE_DURATION};
use crate::rough_proxy::Roughness;

/// One disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Disturbance {
    Kill,
    PoliteRestart,
    Freeze,
    TableCut,
    TableSlow,
    TableBreaking,
    TableSilent,
    KinesisCut,
    KinesisSlow,
    KinesisBreaking,
    KinesisRefuses,
    TableRestarts,
    DiskFull,
    Reshard,
}

/// That it happened.
#[derive(Debug, Clone)]
pub(crate) struct Disturbed {
    pub(crate) what: Disturbance,
    /// To whom; absent = to all.
    pub(crate) worker: Option<String>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

impl Disturbance {
    pub(crate) const ALL: [Self; 14] = [
        Self::Kill,
        Self::PoliteRestart,
        Self::Freeze,
        Self::TableCut,
        Self::TableSlow,
        Self::TableBreaking,
        Self::TableSilent,
        Self::KinesisCut,
        Self::KinesisSlow,
        Self::KinesisBreaking,
        Self::KinesisRefuses,
        Self::TableRestarts,
        Self::DiskFull,
        Self::Reshard,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "process killed",
            Self::PoliteRestart => "process restarted politely",
            Self::Freeze => "process frozen",
            Self::TableCut => "network to the table cut",
            Self::TableSlow => "network to the table slow",
            Self::TableBreaking => "replies of the table cut",
            Self::TableSilent => "network to the table silent",
            Self::KinesisCut => "network to Kinesis cut",
            Self::KinesisSlow => "network to Kinesis slow",
            Self::KinesisBreaking => "replies of Kinesis cut",
            Self::KinesisRefuses => "Kinesis refuses",
            Self::TableRestarts => "table restarted",
            Self::DiskFull => "disk of the table full",
            Self::Reshard => "stream resharded",
        }
    }

    /// Whether it excuses repetitions: a crash, a lost heartbeat, or a checkpoint that could not be stored. A stream that cannot
    /// be read does not, and a polite restart least of all.
    pub(crate) const fn may_repeat(self) -> bool {
        matches!(
            self,
            Self::Kill
                | Self::Freeze
                | Self::TableCut
                | Self::TableSlow
                | Self::TableBreaking
                | Self::TableSilent
                | Self::TableRestarts
                | Self::DiskFull
        )
    }

    /// How the network is meanwhile, to the table and to Kinesis.
    pub(crate) const fn networks(self) -> (Roughness, Roughness) {
        match self {
            Self::TableCut => (Roughness::Cut, Roughness::Fair),
            Self::TableSlow => (Roughness::Slow, Roughness::Fair),
            Self::TableBreaking => (Roughness::Breaking, Roughness::Fair),
            Self::TableSilent => (Roughness::Silent, Roughness::Fair),
            Self::KinesisCut => (Roughness::Fair, Roughness::Cut),
            Self::KinesisSlow => (Roughness::Fair, Roughness::Slow),
            Self::KinesisBreaking => (Roughness::Fair, Roughness::Breaking),
            _ => (Roughness::Fair, Roughness::Fair),
        }
    }

    /// How long it lasts.
    pub(crate) fn length(self, random: &mut Rng) -> Duration {
        match self {
            Self::Kill | Self::PoliteRestart | Self::Reshard => Duration::ZERO,
            // Minutes of it are a few of these in a row.
            Self::KinesisRefuses => Duration::from_millis(random.u64(2_000..60_000)),
            _ => Duration::from_millis(random.u64(500..12_000)),
        }
    }

    /// How long after its end all that was produced before must have been printed.
    pub(crate) fn bound(self) -> Duration {
        // A reader polls every half second, and the machine is shared.
        let slack = Duration::from_secs(3);
        match self {
            // Found dead, taken, read.
            Self::Kill => LEASE_DURATION + HEARTBEAT * 2 + slack,
            Self::PoliteRestart | Self::Reshard => slack,
            // A reader pauses up to ten seconds between its tries.
            Self::KinesisCut | Self::KinesisSlow | Self::KinesisBreaking | Self::KinesisRefuses => {
                Duration::from_secs(10) + slack
            }
            // The others may just have found it dead; calls that hang end after a quarter of the lease duration.
            _ => LEASE_DURATION + HEARTBEAT * 4 + slack,
        }
    }
}
