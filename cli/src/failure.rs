//! What goes wrong, in one line for a person.

use std::fmt;

/// Why a command ended early: what, which value, what to do.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Always one line, whatever the cause had to say.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self.0.split_whitespace().collect();
        f.write_str(&lines.join(" "))
    }
}
