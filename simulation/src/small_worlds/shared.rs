//! Parts of a state that most steps leave as they are.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// A value that states have in common until one of them changes it. What it hashes to is computed once for all of them.
#[derive(Debug)]
pub(super) struct Shared<T>(Rc<(T, Cell<Option<u64>>)>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Rc::new((value, Cell::new(None))))
    }
}

impl<T: Clone> Shared<T> {
    /// The value, to be changed for the owner of this one alone.
    pub(super) fn change(&mut self) -> &mut T {
        let (value, digest) = Rc::make_mut(&mut self.0);
        digest.set(None);
        value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let (value, digest) = &*self.0;
        let known = digest.get().unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            value.hash(&mut hasher);
            hasher.finish()
        });
        digest.set(Some(known));
        hasher.write_u64(known);
    }
}
