//! Panics that nobody has planned: what catches them, catches them for users, and must not hide them here.

use std::cell::RefCell;
use std::sync::Once;

use crate::sink::PlannedPanic;

thread_local! {
    /// Those of this thread that were not yet looked at.
    static STRAY: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes from now on what panics in this program, except on purpose, which nobody wants to read of many thousand times.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<PlannedPanic>() {
                STRAY.with_borrow_mut(|stray| stray.push(panic.to_string()));
                usual(panic);
            }
        }));
    });
}

/// What has panicked on this thread since the last look.
pub(crate) fn take() -> Vec<String> {
    STRAY.take()
}
