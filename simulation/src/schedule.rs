//! What happens in a world, and when: drawn from a seed, and cut down after a violation.

use std::fmt;
use std::time::Duration;

use consumer::Checkpoints;
use fastrand::Rng;
use kinesis_testing::{Fault, Misbehaviour, Operation, ServiceErrorKind};
use lease_core::plan::PlanVersion;

/// How long things happen; after that the world is kind, and the fleet has to settle.
pub(crate) const STORM: Duration = Duration::from_secs(90);

/// The names that processes bear; the last one is that of the process that comes when the world is kind.
pub(crate) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happening {
    /// Which of the seed's happenings it is, whatever is cut out.
    pub(crate) index: usize,
    pub(crate) at: Duration,
    pub(crate) what: What,
}

/// What may happen. A process is meant by its name, and nothing happens if none of that name runs: so a schedule stays a
/// schedule whatever is cut out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// A process starts, whether one of its name runs or not.
    Start { name: usize, traits: Traits },
    /// It is gone without a word.
    Crash { name: usize },
    /// It leaves for good.
    Leave { name: usize },
    /// It ends and says that another of its name comes; that one does, after the pause.
    Return { name: usize, pause: Duration, traits: Traits },
    /// One process after the other is replaced so, by one of another build.
    Deploy { every: Duration, pause: Duration, traits: Traits },
    /// Nothing in it runs for that long; its clock goes on.
    Freeze { name: usize, length: Duration },
    /// Something is wrong between it and the lease table.
    Weather { name: usize, weather: Weather, length: Duration },
    /// Nobody reaches the lease table.
    Outage { length: Duration },
    /// The lease table loses its newest rows, as a Redis that starts again from a snapshot, and has those of that long ago.
    GoBack { by: Duration },
    /// A shard splits.
    Split { pick: usize },
    /// Two shards become one.
    Merge { pick: usize },
    /// All shards are split and merged to that number, as an on-demand stream does by itself.
    Rescale { shards: usize },
    /// Many records come at once.
    Burst { count: u64 },
    /// Processors take that long for a batch.
    Slow { pause: Duration, length: Duration },
    /// So many calls of processors fail.
    Fail { calls: u32 },
    /// So many calls of processors panic.
    Panic { calls: u32 },
    /// So many calls for a new processor panic.
    PanicAtStart { calls: u32 },
    /// Calls to the stream go wrong.
    Stream { fault: Fault },
    /// The process gives the stream up, and takes it up again later.
    Unfollow { name: usize, length: Duration },
}

/// What is particular about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// How much faster its clock runs, in thousandths.
    pub(crate) clock_per_mille: i8,
    /// The version of the plan that it announces.
    pub(crate) plan_version: PlanVersion,
    /// Whether it lives by a longer lease duration than others do.
    pub(crate) is_leisurely: bool,
    /// Who stores how far it has got, and how often.
    pub(crate) checkpoints: Checkpoints,
    /// How it gets its records.
    pub(crate) delivery: DeliveryKind,
}

/// How a process gets its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryKind {
    /// Batch by batch; one that fails comes again.
    Batches,
    /// Record by record, those of several keys at the same time.
    ByKey,
    /// Batch by batch; a record that fails again and again is put away.
    DeadLetters,
}

/// What may be wrong between a process and the lease table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weather {
    /// Calls take their time, no more.
    Fair,
    /// The table cannot be reached.
    Cut,
    /// Every second call is carried out, and its reply lost.
    RepliesLost,
    /// No reply ever comes; every second call is carried out.
    Silent,
    /// Writes are carried out long after their caller has given them up.
    Late,
    /// Calls are long under way; or they are carried out at once, and their replies come late: what a list shows is old by then.
    Slow,
}

impl Weather {
    const FOUL: [Self; 5] = [Self::Cut, Self::RepliesLost, Self::Silent, Self::Late, Self::Slow];
}

impl What {
    /// The kind of happening, for the coverage.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Crash { .. } => "crash",
            Self::Leave { .. } => "leave",
            Self::Return { .. } => "return",
            Self::Deploy { .. } => "deployment",
            Self::Freeze { .. } => "freeze",
            Self::Weather { weather, .. } => match weather {
                Weather::Fair => "fair weather",
                Weather::Cut => "cut off from the table",
                Weather::RepliesLost => "replies lost",
                Weather::Silent => "no replies",
                Weather::Late => "late writes",
                Weather::Slow => "stale answers",
            },
            Self::Outage { .. } => "outage of the table",
            Self::GoBack { .. } => "the table goes back",
            Self::Split { .. } => "split",
            Self::Merge { .. } => "merge",
            Self::Rescale { .. } => "rescale",
            Self::Burst { .. } => "burst",
            Self::Slow { .. } => "slow processors",
            Self::Fail { .. } => "failing processors",
            Self::Panic { .. } => "panicking processors",
            Self::PanicAtStart { .. } => "panicking factories",
            Self::Stream { .. } => "fault of the stream",
            Self::Unfollow { .. } => "unfollow",
        }
    }

    /// Whether it may happen in a world of that kind.
    fn is_of(&self, kind: Kind) -> bool {
        match kind {
            Kind::Any => true,
            Kind::Lossy => self.is_polite() || matches!(self, Self::Weather { weather: Weather::RepliesLost, .. }),
            Kind::Polite => self.is_polite(),
        }
    }

    /// Whether a fleet that meets nothing else must repeat no record.
    fn is_polite(&self) -> bool {
        matches!(
            self,
            Self::Start { .. }
                | Self::Leave { .. }
                | Self::Return { .. }
                | Self::Deploy { .. }
                | Self::Split { .. }
                | Self::Merge { .. }
                | Self::Rescale { .. }
                | Self::Burst { .. }
                | Self::Stream { .. }
                | Self::Unfollow { .. }
        ) || matches!(self, Self::Slow { pause, .. } if *pause <= POLITE_PAUSE)
    }
}

/// What may happen in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything.
    Any,
    /// Every departure is polite, but replies of the table are lost. As long as no heartbeat is late for it, nothing may be
    /// repeated: what was written is found to be one's own.
    Lossy,
    /// Every departure is polite, and every call to the table is answered. Nothing may be repeated.
    Polite,
}

/// All that happens in one world.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub(crate) happenings: Vec<Happening>,
    pub(crate) kind: Kind,
    pub(crate) shards: usize,
    /// How often the stream was resharded before anybody came to read it.
    pub(crate) reshards_before: usize,
    pub(crate) has_hints: bool,
    /// Whether the table may lose its newest rows. Then it asks for epochs from a floor on, and sinks refuse lower ones.
    pub(crate) is_forgetful: bool,
    /// Whether another process joins once the world is kind, or those that are there must settle by themselves.
    pub(crate) has_latecomer: bool,
}

impl Schedule {
    /// The world of that seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let kind = match random.u8(..8) {
            0 | 1 => Kind::Polite,
            2 => Kind::Lossy,
            _ => Kind::Any,
        };
        let mut drawn: Vec<(Duration, What)> = (0..random.usize(1..=3))
            .map(|name| (Duration::from_millis(random.u64(..1_500)), What::Start { name, traits: traits(&mut random) }))
            .collect();
        let started = drawn.len();
        let count = random.usize(1..=18);
        while drawn.len() < count + 1 {
            let what = any(&mut random);
            if what.is_of(kind) {
                drawn.push((Duration::from_millis(random.u64(..STORM_MILLIS)), what));
            }
        }
        if kind == Kind::Lossy {
            // Of those that any world may meet, most would miss whoever is there.
            drawn.extend((0..random.usize(1..=3)).map(|_| {
                let (name, length) = (random.usize(..started), Duration::from_millis(random.u64(2_000..25_000)));
                let what = What::Weather { name, weather: Weather::RepliesLost, length };
                (Duration::from_millis(random.u64(..STORM_MILLIS)), what)
            }));
        }
        drawn.sort_by_key(|(at, _)| *at);
        if kind != Kind::Any {
            drawn = without_twins(drawn);
        }
        let is_forgetful = drawn.iter().any(|(_, what)| matches!(what, What::GoBack { .. }));
        let happenings = drawn.into_iter().enumerate().map(|(index, (at, what))| Happening { index, at, what });
        Self {
            happenings: happenings.collect(),
            kind,
            is_forgetful,
            shards: random.usize(1..=6),
            has_hints: random.bool(),
            has_latecomer: random.bool(),
            reshards_before: random.usize(..8).saturating_sub(3),
        }
    }

    /// How long the fleet may take to settle once the world is kind. Each thing that may still be under way then adds its own
    /// time, and no other: where nothing takes long, nothing may wait for the next look that is made anyhow once a minute.
    pub(crate) fn settles_within(&self) -> Duration {
        let longest = |time: fn(&What) -> Option<Duration>| {
            self.happenings.iter().filter_map(|happening| time(&happening.what)).max().unwrap_or_default()
        };
        // The dead are waited for, and then a few generations of shards are read one after the other.
        let always = Duration::from_secs(25);
        // A process that said that it comes back, and does not, is waited for as long as it said.
        let absence = longest(|what| matches!(what, What::Return { .. } | What::Deploy { .. }).then_some(GRACE));
        // A batch in hand, and one that a frozen reader had in hand.
        let batch = longest(|what| if let What::Slow { pause, .. } = what { Some(*pause) } else { None });
        // The longest pause of a processor after failures, and of a reader.
        let failures = longest(|what| {
            let fails = matches!(what, What::Fail { .. } | What::Panic { .. } | What::PanicAtStart { .. });
            fails.then_some(Duration::from_secs(30))
        });
        let stream = longest(|what| matches!(what, What::Stream { .. }).then_some(Duration::from_secs(60)));
        let leisure = longest(|what| {
            let (What::Start { traits, .. } | What::Return { traits, .. } | What::Deploy { traits, .. }) = what else {
                return None;
            };
            traits.is_leisurely.then_some(LEISURELY.0 + LEISURELY.1)
        });
        always + absence + batch + failures + stream + leisure
    }

    /// The same world, in which only these of its happenings take place.
    pub(crate) fn only(&self, kept: &[usize]) -> Self {
        let happenings = self.happenings.iter().filter(|happening| kept.contains(&happening.index)).cloned().collect();
        Self { happenings, ..self.clone() }
    }
}

/// The lease duration and the heartbeat interval of a leisurely process.
pub(crate) const LEISURELY: (Duration, Duration) = (Duration::from_secs(25), Duration::from_secs(5));

/// For how long a process that says that it comes back is waited for.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// Processors that take longer for a batch may be cut short when they are drained, and repeat it.
const POLITE_PAUSE: Duration = Duration::from_secs(8);

const STORM_MILLIS: u64 = STORM.as_secs() * 1_000;

/// A second process of one name ends the first, which is no polite departure.
fn without_twins(drawn: Vec<(Duration, What)>) -> Vec<(Duration, What)> {
    let mut seen = Vec::new();
    let is_first = |(_, what): &(Duration, What)| match what {
        What::Start { name, .. } => {
            let is_new = !seen.contains(name);
            seen.push(*name);
            is_new
        }
        _ => true,
    };
    drawn.into_iter().filter(is_first).collect()
}

fn traits(random: &mut Rng) -> Traits {
    Traits {
        clock_per_mille: random.i8(-10..=10),
        plan_version: if random.u8(..3) == 0 { PlanVersion::REHEARSAL } else { PlanVersion::LATEST },
        is_leisurely: random.u8(..6) == 0,
        checkpoints: match random.u64(..8) {
            0 | 1 => Checkpoints::Manual,
            seconds => Checkpoints::Automatic { every: Duration::from_secs(seconds - 2) },
        },
        delivery: match random.u8(..6) {
            0 => DeliveryKind::ByKey,
            1 => DeliveryKind::DeadLetters,
            _ => DeliveryKind::Batches,
        },
    }
}

fn any(random: &mut Rng) -> What {
    // The first names are those that are there from the start: most of what happens is to befall somebody.
    let name = random.usize(..NAMES.len() - 1).min(random.usize(..NAMES.len() - 1));
    let seconds = |random: &mut Rng, most: u64| Duration::from_millis(random.u64(200..most * 1_000));
    match random.u8(..33) {
        0..=3 => What::Start { name, traits: traits(random) },
        4..=6 => What::Crash { name },
        7..=8 => What::Leave { name },
        9..=10 => What::Return { name, pause: seconds(random, 15), traits: traits(random) },
        11..=13 => What::Freeze { name, length: seconds(random, 25) },
        14..=17 => {
            let weather = Weather::FOUL[random.usize(..Weather::FOUL.len())];
            What::Weather { name, weather, length: seconds(random, 25) }
        }
        18 => What::Outage { length: seconds(random, 20) },
        19..=20 => What::Split { pick: random.usize(..100) },
        21..=22 => What::Merge { pick: random.usize(..100) },
        23 => What::Rescale { shards: random.usize(1..=8) },
        24 => What::Burst { count: random.u64(1..200) },
        25 => {
            // Longer than draining may take, now and then.
            let longest = if random.u8(..4) == 0 { 40 } else { POLITE_PAUSE.as_secs() };
            What::Slow { pause: seconds(random, longest), length: seconds(random, 30) }
        }
        26 => What::Fail { calls: random.u32(1..6) },
        27 => What::Panic { calls: random.u32(1..4) },
        28 => What::Stream { fault: stream_fault(random) },
        29 => What::PanicAtStart { calls: random.u32(1..4) },
        30 => What::Deploy { every: seconds(random, 10), pause: seconds(random, 10), traits: traits(random) },
        31 => What::GoBack { by: seconds(random, 30) },
        _ => What::Unfollow { name, length: seconds(random, 20) },
    }
}

fn stream_fault(random: &mut Rng) -> Fault {
    let operations =
        [Operation::GetRecords, Operation::GetShardIterator, Operation::ListShards, Operation::DescribeStreamSummary];
    let operation = operations[random.usize(..operations.len())];
    let misbehaviour = match random.u8(..5) {
        0 => Misbehaviour::Refuse(ServiceErrorKind::ProvisionedThroughputExceeded),
        1 => Misbehaviour::LoseReply,
        2 => Misbehaviour::Delay(Duration::from_millis(random.u64(..5_000))),
        3 if operation == Operation::GetRecords => Misbehaviour::Refuse(ServiceErrorKind::ExpiredIterator),
        _ => Misbehaviour::Refuse(ServiceErrorKind::InternalFailure),
    };
    Fault::of(operation, misbehaviour).times(random.u64(1..20))
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>2} {:>7.3} s  {:?}", self.index, self.at.as_secs_f64(), self.what)
    }
}
