//! `cargo xtask plant`: proof that the hunters hunt.
//!
//! Each fault of the list is planted into a copy of the sources, one after the other, and the simulation and the search of small
//! worlds are run until one of them finds it.

use std::process::{Command, Stdio};

use crate::planting::{Fault, SourceCopy, told_by};

/// How many worlds are tried for each fault.
const SEEDS: &str = "4000";

/// Finding 8 of docs/hunt.md.
pub(crate) const MISTAKEN_TAKE: Fault = Fault {
    name: "a take after a lapse is mistaken for one from before it",
    file: "lease-core/src/worker/leases.rs",
    before: "if current.last_change == Change::Taken && self.pulse.has_lapsed() {",
    after: "if false && current.last_change == Change::Taken && self.pulse.has_lapsed() {",
};

/// Finding 2 of docs/hunt.md.
pub(crate) const OLD_LOOK: Fault = Fault {
    name: "a lease is taken from the dead by an old look at the registry",
    file: "lease-core/src/worker/planning.rs",
    before: "!is_known && self.workers_read <= self.listing.received.max(self.table.touched(key))",
    after: "!is_known && owner.name == me.name && self.workers_read <= self.listing.received.max(self.table.touched(key))",
};

/// Finding 30 of docs/hunt.md.
pub(crate) const OWN_PATIENCE: Fault = Fault {
    name: "everybody's own lease duration counts for all",
    file: "lease-core/src/worker_row.rs",
    before: "self.lease_duration.unwrap_or(own)",
    after: "own",
};

/// Finding 31 of docs/hunt.md.
pub(crate) const ORPHANS: Fault = Fault {
    name: "the child of a row that is left out for now counts as one without a parent",
    file: "lease-core/src/worker/table.rs",
    before: "self.unconfirmed = with_descendants(unconfirmed, &rows);",
    after: "self.unconfirmed = unconfirmed;\n        let _unused = with_descendants;",
};

/// Finding 38 of docs/hunt.md.
pub(crate) const VERSION_ALONE: Fault = Fault {
    name: "a write expects the version alone, to which a table that lost its tail comes a second time",
    file: "lease-core/src/memory_store.rs",
    before: "if current.map_or(Expected::Absent, Expected::row) != expected {",
    after: "if current.map_or(crate::Version::FIRST, |row| row.version.next()) != expected.next_version() {",
};

/// Finding 39 of docs/hunt.md.
pub(crate) const GONE_FOR_EVER: Fault = Fault {
    name: "a worker whose row was gone and is back counts for ever as one that has left",
    file: "lease-core/src/liveness.rs",
    before: "has_beaten: self.is_watching && !is_back,",
    after: "has_beaten: self.is_watching && !is_back && self.gone.get(&row.name) != Some(&row.incarnation),",
};

/// Finding 32 of docs/hunt.md.
pub(crate) const OLDER_TWIN: Fault = Fault {
    name: "an older process takes the leases of the one that has its name by now",
    file: "lease-core/src/worker/planning.rs",
    before: "&& (owner.incarnation == me.incarnation || owner.incarnation.number < me.incarnation.number);",
    after: ";",
};

/// Those that published libraries have, or that a hurried hand would make here.
pub(crate) const FAULTS: &[Fault] = &[
    Fault {
        name: "an unconditional checkpoint: the table takes any version",
        file: "lease-core/src/memory_store.rs",
        before: "if current.map_or(Expected::Absent, Expected::row) != expected {",
        after: "if current.is_none() != (expected == Expected::Absent) {",
    },
    Fault {
        name: "a take without waiting for the lease duration",
        file: "lease-core/src/worker/upkeep.rs",
        before: "let patience = |row: &WorkerRow| row.patience(self.settings.lease_duration);\n        let alive",
        after: "let patience = |row: &WorkerRow| row.patience(self.settings.lease_duration) / 8;\n        let alive",
    },
    Fault {
        name: "clocks are compared: silence is what one's own clock shows less what the other's counter says",
        file: "lease-core/src/liveness.rs",
        before: "self.last_sent.since(self.first_received)",
        after: "self.last_sent.since(Moment::START).saturating_sub(Duration::from_secs(self.heartbeat))",
    },
    Fault {
        name: "a target of the average, rounded up, for everyone",
        file: "lease-core/src/plan/quota.rs",
        before: "let level = level(claims, lease_count);",
        after: "let level = lease_count.div_ceil(claims.len().max(1));",
    },
    Fault {
        name: "a child without waiting for its second parent",
        file: "lease-core/src/plan/runnable.rs",
        before: "self.parents(lease).all(Lease::is_finished)",
        after: "self.parents(lease).take(1).all(Lease::is_finished)",
    },
    Fault {
        name: "a position taken from a stale read",
        file: "lease-core/src/worker/table.rs",
        before: "for key in self.writes.keys().chain(&self.deletes).chain(self.touched.keys()) {",
        after: "for key in self.writes.keys().take(0) {",
    },
    Fault {
        name: "no self-stop: a worker that is cut off reads on",
        file: "lease-core/src/worker/settings.rs",
        before: "self.lease_duration - self.lease_duration / Self::STOP_MARGIN_PARTS",
        after: "self.lease_duration * 10",
    },
    Fault {
        name: "current == next is ignored: a lost reply is a lost race",
        file: "lease-core/src/worker/leases.rs",
        before: "Ok(Outcome::Conflict { current: Some(current) }) if current == write.next => {",
        after: "Ok(Outcome::Conflict { current: Some(current) }) if false && current == write.next => {",
    },
    Fault {
        name: "versions begin anew: finished leases are deleted at once, and created again",
        file: "lease-core/src/worker/streams.rs",
        before: ".filter(|row| self.has_forgotten(&row.key.shard))",
        after: ".filter(|_| true)",
    },
    Fault {
        name: "a lease is given before it is drained",
        file: "lease-core/src/worker/planning.rs",
        before: "                    holding.activity = Activity::Draining;\n                    return;",
        after: "                    holding.unsaved.clone()",
    },
    Fault {
        name: "the epoch stays when the owner changes",
        file: "lease-core/src/lease.rs",
        before: "epoch: self.epoch.next(),",
        after: "epoch: self.epoch,",
    },
    Fault {
        name: "a record that fails is passed over",
        file: "consumer/src/delivery.rs",
        before: "                Err(Arc::from(failure))",
        after: "                let _: Failure = Arc::from(failure);\n                Ok(())",
    },
    Fault {
        name: "after a lapse, leases are read on without being taken anew",
        file: "lease-core/src/worker/planning.rs",
        before: "lease.last_change == Change::Given && is_good",
        after: "(true || lease.last_change == Change::Given && is_good)",
    },
    Fault {
        name: "a batch in hand is gone on with although the lease is lost",
        file: "consumer/src/shard_task.rs",
        before: "() = stop.cancelled() => TaskEnd::Lost,",
        after: "() = async { stop.cancelled().await; sleep(deadline).await } => TaskEnd::Lost,",
    },
    Fault {
        name: "a reader that has failed is never started again",
        file: "lease-core/src/worker/holding.rs",
        before: "Activity::Failed(now.after(pause))",
        after: "Activity::Failed(now.after(pause * 1_000_000))",
    },
    Fault {
        name: "each worker plans by the version of the plan that it announces itself",
        file: "lease-core/src/plan/mod.rs",
        before: "workers.iter().map(|worker| worker.plan_version).min();",
        after: "snapshot.workers.iter().map(|worker| worker.plan_version).last();",
    },
    Fault {
        name: "a list is taken for the state of one moment",
        file: "lease-core/src/worker/table.rs",
        before: "self.unconfirmed.contains(key)",
        after: "self.unconfirmed.contains(key) && false",
    },
    Fault {
        name: "a consumer ends when a shard does",
        file: "consumer/src/driver.rs",
        before: "            events.into_iter().for_each(|event| self.tell(event));\n",
        after: "            if events.iter().any(|event| matches!(event, Event::ShardEnded { .. })) {\n\
                \x20               self.ending = Some(Ending::Left);\n            }\n\
                \x20           events.into_iter().for_each(|event| self.tell(event));\n",
    },
    MISTAKEN_TAKE,
    OLD_LOOK,
    OWN_PATIENCE,
    ORPHANS,
    OLDER_TWIN,
    VERSION_ALONE,
    GONE_FOR_EVER,
];

/// Plants the faults whose name has that part; all have the empty one.
pub(crate) fn run(part_of_name: &str) -> Result<(), String> {
    let faults: Vec<&Fault> = FAULTS.iter().filter(|fault| fault.name.contains(part_of_name)).collect();
    if faults.is_empty() {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        return Err(format!("no fault has {part_of_name:?} in its name; they are:\n  {}", names.join("\n  ")));
    }
    let copy = SourceCopy::new()?;
    let mut uncaught = Vec::new();
    println!("{:<96} {:<34} {:>6}", "planted fault", "found by", "after");
    for fault in &faults {
        match copy.with(fault, hunted)? {
            Some((by, after)) => println!("{:<96} {by:<34} {after:>6}", fault.name),
            None => uncaught.push(fault.name),
        }
    }
    println!("{} planted faults, {} not caught", faults.len(), uncaught.len());
    if uncaught.is_empty() { Ok(()) } else { Err(format!("nothing has caught {uncaught:?}")) }
}

/// Who finds the fault that is planted now, and after how many seeds or states.
fn hunted(copy: &SourceCopy) -> Result<Option<(String, String)>, String> {
    let mut build = copy.cargo(&["build", "--quiet", "--release", "--package", "simulation"]);
    let built = build.stdin(Stdio::null()).status().map_err(|error| error.to_string())?;
    if !built.success() {
        return Err("the planted fault does not compile".into());
    }
    let programs = copy.target().join("release");
    let told = told_by(Command::new(programs.join("sim")).args(["--seeds", SEEDS, "--until-broken"]))?;
    if let Some(broken) = told.lines().find_map(|line| line.trim().strip_prefix("VIOLATION ")) {
        let check = broken.split(" at ").next().unwrap_or(broken);
        // The worlds are numbered from one, and the first that breaks is told first.
        let seed = told.lines().find_map(|line| line.strip_prefix("seed ")?.strip_suffix(':')).unwrap_or("?");
        return Ok(Some((format!("simulation: {check}"), format!("{seed} seeds"))));
    }
    let told = told_by(&mut Command::new(programs.join("explore")))?;
    let broken = told.lines().position(|line| line.trim().starts_with("VIOLATION "));
    Ok(broken.and_then(|line| told.lines().nth(line.checked_sub(1)?)).map(|world| {
        let states = world.split(": ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("?");
        ("search of small worlds".into(), states.to_owned())
    }))
}
