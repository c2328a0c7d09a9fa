//! Text as one number, the same in every build: 64-bit FNV-1a.

use std::fmt::{self, Write};

/// What was written so far, hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Goes on with that text.
    pub(crate) fn take(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a hash cannot fail.
        let _written = self.write_fmt(text);
    }

    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
