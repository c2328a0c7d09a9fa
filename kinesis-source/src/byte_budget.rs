//! How much may be read and not yet processed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bounds the bytes that all readers of a process have brought and that nobody has finished with. Clones share it.
///
/// A read says beforehand how much it expects and waits until there is room. What it brings counts until the last clone of its
/// [`Reservation`] is gone. A read that brings more than it expected goes over the budget, and those after it wait for
/// that.
///
/// ```
/// use kinesis_source::ByteBudget;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let budget = ByteBudget::new(1_000);
/// let first = budget.reserve(600).await;
/// first.is(400);
/// let second = budget.reserve(600).await;
/// assert_eq!(budget.used_bytes(), 1_000);
/// drop((first, second));
/// assert_eq!(budget.used_bytes(), 0);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: u64,
    used: Mutex<u64>,
    turn: tokio::sync::Mutex<()>,
    released: Notify,
}

/// Bytes that count against a [`ByteBudget`]. Clones are the same bytes; they count until the last one is gone.
#[derive(Debug, Clone)]
pub struct Reservation(Arc<Held>);

#[derive(Debug)]
struct Held {
    budget: ByteBudget,
    bytes: Mutex<u64>,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(Shared {
            total: bytes,
            used: Mutex::new(0),
            turn: tokio::sync::Mutex::default(),
            released: Notify::new(),
        }))
    }

    /// How much is in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        *self.lock()
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for so many bytes, those first who asked first. More than the whole budget is let through when
    /// nothing else is in use.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        // One at a time waits for room, so that a large read is not overtaken for ever by small ones.
        let _turn = self.0.turn.lock().await;
        loop {
            let released = self.0.released.notified();
            if self.takes(bytes) {
                return Reservation(Arc::new(Held { budget: self.clone(), bytes: Mutex::new(bytes) }));
            }
            released.await;
        }
    }

    fn takes(&self, bytes: u64) -> bool {
        let mut used = self.lock();
        let fits = *used == 0 || used.saturating_add(bytes) <= self.0.total;
        if fits {
            *used += bytes;
        }
        fits
    }
}

impl Reservation {
    /// So many bytes it is in fact.
    pub fn is(&self, bytes: u64) {
        self.becomes(|_| bytes);
    }

    /// It has become so many bytes more.
    pub fn grows_by(&self, bytes: u64) {
        self.becomes(|held| held.saturating_add(bytes));
    }

    fn becomes(&self, bytes: impl FnOnce(u64) -> u64) {
        let mut held = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = bytes(*held);
        let mut used = self.0.budget.lock();
        *used = used.saturating_sub(*held).saturating_add(bytes);
        *held = bytes;
        drop(used);
        self.0.budget.0.released.notify_one();
    }
}

/// All reservations are alike to those who compare batches.
impl PartialEq for Reservation {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Reservation {}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = *self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = self.budget.lock();
        *used = used.saturating_sub(bytes);
        drop(used);
        self.budget.0.released.notify_one();
    }
}

/// What a reader expects its next read to bring.
#[derive(Debug, Clone, Copy)]
pub struct Expectation {
    bytes: u64,
}

impl Expectation {
    /// The most that one read brings, by the API reference of `GetRecords`.
    const MOST: u64 = 10 * 1024 * 1024;
    /// Room for a few records that were not there the last time.
    const LEAST: u64 = 64 * 1024;

    /// Before the first read, anything may come.
    #[must_use]
    pub const fn of_anything() -> Self {
        Self { bytes: Self::MOST }
    }

    /// After a read that brought so much: twice of it.
    #[must_use]
    pub fn after(bytes: u64) -> Self {
        Self { bytes: bytes.saturating_mul(2).clamp(Self::LEAST, Self::MOST) }
    }

    /// How many bytes to reserve.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls once.
    fn is_ready<Output>(future: impl Future<Output = Output>) -> bool {
        std::pin::pin!(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_read_waits_until_there_is_room() {
        let budget = ByteBudget::new(100);
        let first = budget.reserve(80).await;
        assert!(!is_ready(budget.reserve(30)), "110 bytes do not fit");
        first.is(60);
        let second = budget.reserve(30).await;
        assert!(!is_ready(budget.reserve(20)));
        drop((first, second));
        let mut large = std::pin::pin!(budget.reserve(1_000));
        let small = budget.reserve(10).await;
        assert!(!is_ready(large.as_mut()), "something is in use");
        assert!(!is_ready(budget.reserve(10)), "who came later does not overtake");
        drop(small);
        let everything = large.await;
        assert!(!is_ready(budget.reserve(1)), "more than the budget is let through, but alone");
        drop(everything);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn what_a_clone_still_holds_counts() {
        let budget = ByteBudget::new(100);
        let first = budget.reserve(100).await;
        let clone = first.clone();
        drop(first);
        assert_eq!(budget.used_bytes(), 100);
        drop(clone);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn everybody_who_waits_gets_a_turn() {
        let budget = ByteBudget::new(100);
        let first = budget.reserve(100).await;
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let budget = budget.clone();
            waiting.spawn(async move { drop(budget.reserve(40).await) });
        }
        tokio::task::yield_now().await;
        drop(first);
        let all = async { while waiting.join_next().await.is_some() {} };
        tokio::time::timeout(std::time::Duration::from_secs(30), all).await.expect("nobody waits for ever");
    }
}
