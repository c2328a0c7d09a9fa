//! What happened in a world, as one number: the same seed gives the same.

use std::fmt;
use std::time::Duration;

use crate::fnv::Fnv;

/// All lines so far, hashed; and kept, if somebody wants to read them.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Fnv,
    lines: u64,
    kept: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keeps_lines: bool) -> Self {
        Self { hash: Fnv::default(), lines: 0, kept: keeps_lines.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, at: Duration, line: fmt::Arguments<'_>) {
        self.lines += 1;
        self.hash.take(format_args!("{} {line}\n", at.as_micros()));
        if let Some(kept) = &mut self.kept {
            kept.push(format!("{:>9.3} {line}", at.as_secs_f64()));
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash.value()
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn into_kept(self) -> Vec<String> {
        self.kept.unwrap_or_default()
    }
}
