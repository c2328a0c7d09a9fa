//! The rules that no other tool checks: which crate may depend on what, and how sources look.

use std::collections::BTreeSet;

use crate::command::{cargo, output_of};
use crate::source_rules;

/// All that lease-core may be built from: it decides, and does not act.
const LEASE_CORE_MAY_USE: &[&str] = &[
    "async-trait",
    "lease-core",
    "proc-macro2",
    "quote",
    "stream-types",
    "syn",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
];

/// Arrows between our crates run downward only.
const MUST_NOT_USE: &[(&str, &[&str])] = &[
    ("stream-types", &["lease-core", "kinesis-source", "consumer"]),
    ("kinesis-source", &["lease-core", "kinesis-testing", "consumer"]),
    ("kinesis-testing", &["lease-core", "consumer"]),
    ("test-servers", &["lease-core", "kinesis-source", "kinesis-testing", "consumer"]),
    ("lease-dynamodb", &["kinesis-source", "kinesis-testing", "consumer"]),
    ("lease-redis", &["kinesis-source", "kinesis-testing", "consumer"]),
    ("lease-postgres", &["kinesis-source", "kinesis-testing", "consumer"]),
    ("simulation", &["lease-dynamodb", "lease-redis", "lease-postgres"]),
    ("consumer-testing", &["lease-dynamodb", "lease-redis", "lease-postgres"]),
    ("consumer", &["consumer-testing", "kinesis-testing", "lease-dynamodb", "lease-redis", "lease-postgres"]),
];

pub(crate) fn run() -> Result<(), String> {
    println!("== the project's own rules");
    let mut broken = dependency_rules()?;
    broken.extend(source_rules::broken()?);
    if broken.is_empty() {
        return Ok(());
    }
    broken.iter().for_each(|sentence| eprintln!("{sentence}"));
    Err(format!("{} rules are broken", broken.len()))
}

fn dependency_rules() -> Result<Vec<String>, String> {
    let allowed: BTreeSet<&str> = LEASE_CORE_MAY_USE.iter().copied().collect();
    let foreign = packages("lease-core")?.into_iter().filter(|package| !allowed.contains(name(package)));
    let mut broken: Vec<String> = foreign
        .map(|package| format!("lease-core must be built without {package}: it has no runtime and no I/O"))
        .collect();
    for (user, forbidden) in MUST_NOT_USE {
        let used = packages(user)?;
        let wrong = used.iter().filter(|package| forbidden.contains(&name(package)));
        broken.extend(wrong.map(|package| format!("{user} must not depend on {package}: arrows run downward only")));
    }
    let all = packages("cli")?;
    let old_hyper = all.iter().filter(|package| package.starts_with("hyper v0."));
    broken.extend(old_hyper.map(|package| format!("a second HTTP stack comes in with {package}")));
    let tls: Vec<&String> = all.iter().filter(|package| name(package) == "rustls").collect();
    if tls.len() > 1 {
        broken.push(format!("there is more than one TLS stack: {tls:?}"));
    }
    Ok(broken)
}

/// What a crate is built from, itself included, such as `tokio v1.54.1`.
fn packages(package: &str) -> Result<BTreeSet<String>, String> {
    let mut tree = cargo(&["tree", "--package", package, "--edges", "normal", "--all-features", "--prefix", "none"]);
    let lines = output_of(&mut tree)?;
    Ok(lines.lines().map(|line| line.split(" (").next().unwrap_or(line).to_owned()).collect())
}

fn name(package: &str) -> &str {
    package.split(' ').next().unwrap_or(package)
}
