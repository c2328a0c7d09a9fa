//! What a soak has to say in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::disturbance::Disturbance;
use super::truth::{Truth, Verdict};

/// How often each thing was done, and how long it took to recover.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    recoveries: BTreeMap<Disturbance, Vec<Duration>>,
    pub(crate) late: Vec<String>,
    pub(crate) ended_by_themselves: Vec<String>,
}

impl Figures {
    /// The fleet has recovered so long after it. Returns whether that was in time.
    pub(crate) fn recovered(&mut self, disturbance: Disturbance, after: Duration) -> bool {
        self.recoveries.entry(disturbance).or_default().push(after);
        let is_late = after > disturbance.bound();
        if is_late {
            self.late.push(format!("{}: {after:.1?}, bound {:.1?}", disturbance.name(), disturbance.bound()));
        }
        !is_late
    }

    /// Prints it all; returns whether every promise was kept.
    pub(crate) fn tell(&self, table: &str, truth: &Truth, verdict: &Verdict) -> bool {
        println!("\n{table}: {:<28} {:>5} {:>10} {:>10} {:>8}", "what was done", "times", "median", "longest", "bound");
        for (disturbance, recoveries) in &self.recoveries {
            let mut sorted = recoveries.clone();
            sorted.sort_unstable();
            let seconds = |duration: Option<&Duration>| duration.map_or(0.0, Duration::as_secs_f64);
            println!(
                "{table}: {:<28} {:>5} {:>8.1} s {:>8.1} s {:>6.1} s",
                disturbance.name(),
                sorted.len(),
                seconds(sorted.get(sorted.len() / 2)),
                seconds(sorted.last()),
                disturbance.bound().as_secs_f64(),
            );
        }
        let Verdict { lost, out_of_order, explained, unexplained } = verdict;
        for line in out_of_order.iter().chain(unexplained).chain(&self.late).chain(&self.ended_by_themselves).take(20) {
            println!("{table}: BROKEN {line}");
        }
        println!(
            "{table}: {} records, {} lines, {lost} lost, {} out of order, {explained} repeated by crashes, {} repeated otherwise, \
             {} recoveries late, {} processes ended by themselves, {} lines of nothing that was produced",
            truth.count(),
            truth.lines(),
            out_of_order.len(),
            unexplained.len(),
            self.late.len(),
            self.ended_by_themselves.len(),
            truth.unknown,
        );
        let broken = out_of_order.len() + unexplained.len() + self.late.len() + self.ended_by_themselves.len();
        *lost == 0 && broken == 0 && truth.unknown == 0
    }
}
