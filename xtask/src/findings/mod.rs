//! `cargo xtask findings`: what the hunt has found, seen again.
//!
//! The fix of each finding of `docs/hunt.md` is undone in a copy of the sources, where the test that was written for it must fail.

mod from_24;
mod up_to_23;

use self::from_24::FROM_24;
use self::up_to_23::UP_TO_23;
use crate::planting::{Fault, SourceCopy, told_by};

/// A finding whose fix can be undone. Not among them are one that led to a deletion, one about the tests, and two that take a Postgres.
pub(crate) struct Finding {
    /// Under which it stands in `docs/hunt.md`.
    number: u8,
    /// As the sources were, as far as it matters.
    pub(crate) undone: Fault,
    shows: Shows,
}

/// What shows a finding, once its fix is undone.
enum Shows {
    /// A test: of which package, among which of its tests, and its name.
    Test(&'static str, &'static str, &'static str),
    /// The search of the small world of that number.
    Search(&'static str),
}

impl Shows {
    const fn lease_core(tests: &'static str, test: &'static str) -> Self {
        Self::Test("lease-core", tests, test)
    }
}

/// All of them, ascending.
pub(crate) fn all() -> impl Iterator<Item = &'static Finding> {
    UP_TO_23.iter().chain(FROM_24)
}

/// Shows the finding of that number, or all.
pub(crate) fn run(number: Option<&str>) -> Result<(), String> {
    let is_meant = |finding: &&Finding| number.is_none_or(|number| number == finding.number.to_string());
    let findings: Vec<&Finding> = all().filter(is_meant).collect();
    if findings.is_empty() {
        let numbers: Vec<String> = all().map(|finding| finding.number.to_string()).collect();
        return Err(format!("the findings that can be shown are {}", numbers.join(", ")));
    }
    let copy = SourceCopy::new()?;
    for finding in &findings {
        println!("{:>2}  {}", finding.number, finding.undone.name);
        let shown = copy.with(&finding.undone, |copy| shown(copy, &finding.shows))?;
        println!("      {shown}");
    }
    println!("{} findings shown", findings.len());
    Ok(())
}

/// What fails while the fix is undone.
fn shown(copy: &SourceCopy, shows: &Shows) -> Result<String, String> {
    match shows {
        Shows::Test(package, target, name) => {
            let test = ["test", "--quiet", "--all-features", "--package", package, target, "--", "--exact"];
            let told = told_by(copy.cargo(&test).arg(name))?;
            let failed = told.lines().any(|line| line.starts_with("test result: FAILED. 0 passed; 1 failed"));
            if failed {
                Ok(format!("fails: {name}"))
            } else {
                Err(format!("{name} does not fail, or not compile, without the fix:\n{told}"))
            }
        }
        Shows::Search(world) => {
            let search = ["run", "--quiet", "--release", "--package", "simulation", "--bin", "explore", "--"];
            let told = told_by(copy.cargo(&search).arg(world))?;
            let violation = told.lines().find_map(|line| line.trim().strip_prefix("VIOLATION "));
            let found = violation.map(|found| format!("the search finds: {}", found.trim_end_matches(", after:")));
            found.ok_or_else(|| format!("the search finds nothing:\n{told}"))
        }
    }
}
