//! What was produced, and what each process printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::disturbance::Disturbed;

/// Everything that is known. Records are meant by their number.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// The shard of each record, and its number there.
    places: Vec<(String, usize)>,
    lengths: BTreeMap<String, usize>,
    prints: Vec<Print>,
    printed: Vec<bool>,
    pub(crate) unknown: u64,
}

/// One line of a process.
#[derive(Debug, Clone)]
pub(crate) struct Print {
    worker: String,
    fencing_token: u64,
    record: usize,
    at: Instant,
}

/// What the comparison says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) lost: usize,
    pub(crate) out_of_order: Vec<String>,
    pub(crate) explained: usize,
    pub(crate) unexplained: Vec<String>,
}

impl Truth {
    pub(crate) fn produced(&mut self, shard: &str) {
        let length = self.lengths.entry(shard.into()).or_default();
        self.places.push((shard.into(), *length));
        *length += 1;
        self.printed.push(false);
    }

    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn printed(&mut self, worker: &str, fencing_token: u64, record: usize) {
        let Some(printed) = self.printed.get_mut(record) else {
            self.unknown += 1;
            return;
        };
        *printed = true;
        self.prints.push(Print { worker: worker.into(), fencing_token, record, at: Instant::now() });
    }

    /// How many lines there are.
    pub(crate) fn lines(&self) -> usize {
        self.prints.len()
    }

    /// Whether all of the first so many records have been printed.
    pub(crate) fn has_all_of(&self, first: usize) -> bool {
        self.printed[..first].iter().all(|printed| *printed)
    }

    /// Compares it all. A repetition is explained by something that happened to the process that printed the record before,
    /// or to all, in the time from which the record may not have been checkpointed until it came again; or to the one that
    /// printed it again, if that did so under an older fencing token: it was late.
    pub(crate) fn verdict(&self, disturbed: &[Disturbed], patience: Duration) -> Verdict {
        let mut verdict =
            Verdict { lost: self.printed.iter().filter(|printed| !**printed).count(), ..Verdict::default() };
        self.look_for_repetitions(&mut verdict, disturbed, patience);
        self.look_for_skips(&mut verdict);
        verdict
    }

    fn look_for_repetitions(&self, verdict: &mut Verdict, disturbed: &[Disturbed], patience: Duration) {
        let mut last: BTreeMap<usize, &Print> = BTreeMap::new();
        for print in &self.prints {
            let Some(before) = last.insert(print.record, print) else { continue };
            let is_late = print.fencing_token < before.fencing_token;
            let explains = |event: &Disturbed| {
                let concerns = event
                    .worker
                    .as_ref()
                    .is_none_or(|worker| *worker == before.worker || (is_late && *worker == print.worker));
                event.what.may_repeat() && concerns && event.began <= print.at && event.ended + patience >= before.at
            };
            if disturbed.iter().any(explains) {
                verdict.explained += 1;
            } else {
                let (shard, index) = &self.places[print.record];
                let gap = print.at - before.at;
                let (from, to) = (&before.worker, &print.worker);
                verdict.unexplained.push(format!("record {index} of {shard}: {from}, and {gap:?} later {to}"));
            }
        }
    }

    /// Under one fencing token, one worker prints; records come one after the other; and the first of them follows on what
    /// earlier tokens did.
    fn look_for_skips(&self, verdict: &mut Verdict) {
        let mut owners: BTreeMap<(&str, u64), &str> = BTreeMap::new();
        let mut runs: BTreeMap<(&str, u64, &str), Vec<usize>> = BTreeMap::new();
        for print in &self.prints {
            let (shard, index) = &self.places[print.record];
            runs.entry((shard, print.fencing_token, &print.worker)).or_default().push(*index);
        }
        let mut done: BTreeMap<&str, usize> = BTreeMap::new();
        for ((shard, token, worker), indices) in runs {
            let owner = owners.entry((shard, token)).or_insert(worker);
            if *owner != worker {
                verdict.out_of_order.push(format!("{owner} and {worker} both printed of {shard} under token {token}"));
            }
            let done = done.entry(shard).or_default();
            for index in indices {
                if index > *done {
                    verdict
                        .out_of_order
                        .push(format!("{worker} printed record {index} of {shard} (token {token}), after {done}"));
                }
                *done = (*done).max(index + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disturbance::Disturbance;
    use super::*;

    fn truth(prints: &[(&str, u64, usize)]) -> Truth {
        let mut truth = Truth::default();
        (0..4).for_each(|_| truth.produced("shard"));
        prints.iter().for_each(|(worker, token, record)| truth.printed(worker, *token, *record));
        truth
    }

    #[test]
    fn what_is_lost_skipped_or_repeated_is_found() {
        let patience = Duration::from_secs(1);
        let good = truth(&[("a", 1, 0), ("a", 1, 1), ("b", 2, 2), ("b", 2, 3)]);
        assert_eq!(good.verdict(&[], patience), Verdict::default());
        let lossy = truth(&[("a", 1, 0), ("a", 1, 2)]);
        assert_eq!(lossy.verdict(&[], patience).lost, 2);
        assert_eq!(lossy.verdict(&[], patience).out_of_order.len(), 1);
        let shared = truth(&[("a", 1, 0), ("a", 1, 1), ("b", 1, 2), ("b", 1, 3)]);
        assert_eq!(shared.verdict(&[], patience).out_of_order.len(), 1);
        let twice = truth(&[("a", 1, 0), ("a", 1, 1), ("b", 2, 1), ("b", 2, 2), ("b", 2, 3)]);
        assert_eq!(twice.verdict(&[], patience).unexplained.len(), 1);
        let crash = |worker: &str| {
            let now = Instant::now();
            Disturbed { what: Disturbance::Kill, worker: Some(worker.into()), began: now, ended: now }
        };
        let explained = |worker| {
            let before = crash(worker);
            let twice = truth(&[("a", 1, 0), ("a", 1, 1), ("b", 2, 1), ("b", 2, 2), ("b", 2, 3)]);
            twice.verdict(&[before], patience).explained
        };
        assert_eq!((explained("a"), explained("b"), explained("c")), (1, 0, 0), "what befell its reader before");
        let late = |worker| {
            let before = crash(worker);
            let late = truth(&[("a", 1, 0), ("b", 2, 1), ("a", 1, 1), ("b", 2, 2), ("b", 2, 3)]);
            late.verdict(&[before], patience).explained
        };
        assert_eq!((late("a"), late("b"), late("c")), (1, 1, 0), "or the one that was late itself");
    }
}
