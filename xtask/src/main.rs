//! The project's chores, of which `cargo xtask` tells.

mod bench;
mod command;
mod findings;
mod plant;
mod planting;
mod rules;
mod servers;
mod sim;
mod soak;
mod source_rules;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask CHORE

chores:
  test         everything that must hold: format, rules, clippy, docs, and all tests with the servers they need
  bench WHAT   measure: plan, endpoint, rest (a fleet at rest for a minute), stores (real lease tables), or all
  sim          simulate fleets in worlds decided by seeds: [--seeds COUNT], or [--seed SEED] to replay one
  explore      search small worlds completely, or one of them: [NUMBER]
  plant        plant known faults into a copy, and see that the simulation or the search finds each, or only those
               whose name has this in it: [PART]
  findings     undo the fix of each finding of docs/hunt.md in a copy, and see that its test fails, or of one: [NUMBER]
  soak         disturb real processes on real servers: --minutes MINUTES [--table postgres|redis|dynamodb] [--seed SEED]
  rules        only the project's own rules: dependencies and sources";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["test"] => test::run(),
        ["bench", what] => bench::run(what),
        ["sim", ref arguments @ ..] => sim::run(arguments),
        ["explore", ref arguments @ ..] => sim::explore(arguments),
        ["plant"] => plant::run(""),
        ["plant", part_of_name] => plant::run(part_of_name),
        ["findings"] => findings::run(None),
        ["findings", number] => findings::run(Some(number)),
        ["soak", ref arguments @ ..] => soak::run(arguments),
        ["rules"] => rules::run(),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}
