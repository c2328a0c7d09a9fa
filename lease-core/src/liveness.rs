//! Who is alive, judged by observation alone.

use std::collections::BTreeMap;
use std::time::Duration;

use stream_types::Name;

use crate::{Incarnation, Moment, WorkerRow};

/// Remembers when each worker's row was last seen to change, on the observer's own monotonic clock.
///
/// No two machines' clocks are ever compared. A worker is dead for this observer when its row, read again, still shows
/// the heartbeat that was first seen at least a lease duration before that read was sent.
///
/// ```
/// use std::time::Duration;
/// use lease_core::{Incarnation, Liveness, Moment, WorkerId, WorkerRow};
/// use stream_types::Name;
///
/// let row = WorkerRow::registering(
///     WorkerId { name: Name::new("pod-1")?, incarnation: Incarnation::first(7) }, None);
/// let lease_duration = Duration::from_secs(10);
/// let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
///
/// let mut liveness = Liveness::default();
/// liveness.observe(&[row.clone()], at(0), at(1));
/// liveness.observe(&[row.clone()], at(10), at(11));
/// assert!(liveness.is_alive(&row.name, lease_duration), "ten seconds after the row was seen, not after it was sent");
/// liveness.observe(&[row.clone()], at(11), at(12));
/// assert!(!liveness.is_alive(&row.name, lease_duration));
/// # Ok::<(), stream_types::InvalidName>(())
/// ```
#[derive(Debug, Clone, Default, Hash)]
pub struct Liveness {
    seen: BTreeMap<Name, Sighting>,
    /// Rows were read before: one that comes now comes from somebody alive.
    is_watching: bool,
    /// Those whose rows went lately. A write of theirs that was long under way may bring the row back.
    gone: BTreeMap<Name, Incarnation>,
}

#[derive(Debug, Clone, Copy, Hash)]
struct Sighting {
    incarnation: Incarnation,
    heartbeat: u64,
    /// When the answer with this heartbeat first arrived.
    first_received: Moment,
    /// When the newest read that still showed it was sent.
    last_sent: Moment,
    /// The row came, or changed, while somebody watched.
    has_beaten: bool,
}

impl Sighting {
    /// For how long the row has certainly not changed.
    fn silence(&self) -> Duration {
        self.last_sent.since(self.first_received)
    }
}

impl Liveness {
    /// How many of those whose rows went are remembered.
    const REMEMBERED: usize = 100;

    /// Takes note of all workers' rows, as read by a request sent and answered at these moments. Workers without a row
    /// are forgotten.
    pub fn observe(&mut self, rows: &[WorkerRow], sent: Moment, received: Moment) {
        let mut before = std::mem::take(&mut self.seen);
        for row in rows {
            let known = before.remove(&row.name);
            // A row that changes while it is watched is written by somebody, even if it had gone for a while.
            let is_back = known.is_none() && self.gone.get(&row.name) == Some(&row.incarnation);
            let fresh = Sighting {
                incarnation: row.incarnation,
                heartbeat: row.heartbeat,
                first_received: received,
                last_sent: sent,
                has_beaten: self.is_watching && !is_back,
            };
            let unchanged =
                known.filter(|known| (known.incarnation, known.heartbeat) == (row.incarnation, row.heartbeat));
            let sighting = unchanged.map_or(fresh, |known| Sighting { last_sent: sent, ..known });
            self.seen.insert(row.name.clone(), sighting);
        }
        self.gone.extend(before.into_iter().map(|(name, sighting)| (name, sighting.incarnation)));
        while self.gone.len() > Self::REMEMBERED {
            self.gone.pop_first();
        }
        self.is_watching = true;
    }

    /// Nobody watched for a while: a change of a row since then may be old. All count as they did, but none as seen beating.
    pub fn look_anew(&mut self) {
        self.is_watching = false;
        self.seen.values_mut().for_each(|sighting| sighting.has_beaten = false);
    }

    /// Whether the worker is to be counted as alive.
    #[must_use]
    pub fn is_alive(&self, worker: &Name, lease_duration: Duration) -> bool {
        self.seen.get(worker).is_some_and(|sighting| sighting.silence() < lease_duration)
    }

    /// Whether the worker was seen to beat. A row that was there when this observer first looked may be that of a worker that has
    /// long been dead: it counts as alive, but nobody knows.
    #[must_use]
    pub fn has_beaten(&self, worker: &Name) -> bool {
        self.seen.get(worker).is_some_and(|sighting| sighting.has_beaten)
    }

    /// Whether the worker's row has changed, for this observer, after that moment. What had been written by then the worker has read.
    #[must_use]
    pub fn has_beaten_since(&self, worker: &Name, moment: Moment) -> bool {
        self.seen.get(worker).is_some_and(|sighting| sighting.first_received > moment)
    }

    /// For how long the worker's row has certainly not changed; absent for a worker without a row.
    #[must_use]
    pub fn silence(&self, worker: &Name) -> Option<Duration> {
        self.seen.get(worker).map(Sighting::silence)
    }

    /// The earliest moment at which a read could show that one of the workers now alive is dead, given for how long each may
    /// be silent.
    #[must_use]
    pub fn next_verdict(&self, patience: impl Fn(&Name) -> Duration) -> Option<Moment> {
        let verdicts = self.seen.iter().filter_map(|(name, sighting)| {
            let patience = patience(name);
            (sighting.silence() < patience).then(|| sighting.first_received.after(patience))
        });
        verdicts.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::worker_row;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn only_what_comes_or_changes_before_ones_eyes_has_beaten() {
        let (old, new) = (worker_row("old"), worker_row("new"));
        let mut liveness = Liveness::default();
        liveness.observe(std::slice::from_ref(&old), at(0), at(0));
        assert!(!liveness.has_beaten(&old.name), "it may have been dead before");
        liveness.observe(&[old.clone(), new.clone()], at(1), at(1));
        assert_eq!((liveness.has_beaten(&old.name), liveness.has_beaten(&new.name)), (false, true));
        let beating = WorkerRow { heartbeat: old.heartbeat + 1, ..old.clone() };
        liveness.observe(&[beating.clone(), new.clone()], at(2), at(2));
        assert!(liveness.has_beaten(&old.name));
        liveness.look_anew();
        let again = WorkerRow { heartbeat: beating.heartbeat + 1, ..beating };
        liveness.observe(&[again.clone(), new.clone()], at(20), at(20));
        assert!(!liveness.has_beaten(&old.name), "it may have beaten long ago");
        assert!(liveness.is_alive(&old.name, Duration::from_secs(10)), "but counts as alive");
    }

    /// Found by the simulation: a heartbeat that was long under way came after its worker had left, and had been forgotten.
    #[test]
    fn a_row_that_comes_back_after_it_was_forgotten_has_not_beaten() {
        let (row, other) = (worker_row("one"), worker_row("other"));
        let mut liveness = Liveness::default();
        liveness.observe(&[other.clone(), row.clone()], at(0), at(0));
        liveness.observe(std::slice::from_ref(&other), at(1), at(1));
        liveness.observe(&[other.clone(), row.clone()], at(2), at(2));
        assert!(!liveness.has_beaten(&row.name));
        // Found by the simulation: a registry that had lost a worker's row counted it as doubtful for ever, and nobody made gifts.
        let beating = WorkerRow { heartbeat: row.heartbeat + 1, ..row.clone() };
        let mut lost_its_tail = liveness.clone();
        lost_its_tail.observe(&[other.clone(), beating], at(3), at(3));
        assert!(lost_its_tail.has_beaten(&row.name), "it goes on beating");
        let successor = WorkerRow { incarnation: row.incarnation.successor(1), ..row.clone() };
        liveness.observe(std::slice::from_ref(&other), at(3), at(3));
        liveness.observe(&[other, successor], at(4), at(4));
        assert!(liveness.has_beaten(&row.name), "another process of the name has come");
    }

    #[test]
    fn no_more_than_a_hundred_of_those_whose_rows_went_are_remembered() {
        let rows: Vec<WorkerRow> = (0..250).map(|index| worker_row(&format!("worker-{index}"))).collect();
        let mut liveness = Liveness::default();
        liveness.observe(&rows, at(0), at(0));
        liveness.observe(&[], at(1), at(1));
        assert_eq!(liveness.gone.len(), Liveness::REMEMBERED);
    }

    #[test]
    fn no_verdict_is_waited_for_on_the_dead() {
        let row = worker_row("one");
        let patience = Duration::from_secs(10);
        let mut liveness = Liveness::default();
        liveness.observe(std::slice::from_ref(&row), at(0), at(1));
        assert_eq!(liveness.next_verdict(|_| patience), Some(at(11)));
        liveness.observe(std::slice::from_ref(&row), at(11), at(12));
        assert_eq!((liveness.is_alive(&row.name, patience), liveness.next_verdict(|_| patience)), (false, None));
    }

    #[test]
    fn a_worker_has_beaten_since_a_moment_when_its_row_changed_after_it() {
        let row = worker_row("one");
        let mut liveness = Liveness::default();
        liveness.observe(std::slice::from_ref(&row), at(0), at(1));
        liveness.observe(std::slice::from_ref(&row), at(2), at(3));
        assert!(liveness.has_beaten_since(&row.name, at(0)));
        assert!(!liveness.has_beaten_since(&row.name, at(1)), "it was read again, but did not change");
        liveness.observe(&[WorkerRow { heartbeat: row.heartbeat + 1, ..row.clone() }], at(4), at(5));
        assert!(liveness.has_beaten_since(&row.name, at(4)));
        assert!(!liveness.has_beaten_since(&worker_row("other").name, at(0)));
    }
}
