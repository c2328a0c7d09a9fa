//! What happened in a world, as one number: the same seed gives the same.

use std::fmt;
use std::time::Duration;

/// All lines so far, hashed; and kept, if somebody wants to read them.
#[derive(Debug)]
pub(crate) struct Trace {
    /// 64-bit FNV-1a.
    hash: u64,
    lines: u64,
    kept: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keeps_lines: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, kept: keeps_lines.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, at: Duration, line: fmt::Arguments<'_>) {
        self.lines += 1;
        let mut hasher = Hasher(self.hash);
        // Writing into a hash cannot fail.
        let _written = fmt::write(&mut hasher, format_args!("{} {line}\n", at.as_micros()));
        self.hash = hasher.0;
        if let Some(kept) = &mut self.kept {
            kept.push(format!("{:>9.3} {line}", at.as_secs_f64()));
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn into_kept(self) -> Vec<String> {
        self.kept.unwrap_or_default()
    }
}

struct Hasher(u64);

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
