//! Which leases may run.

use crate::Lease;

/// A table of leases ordered by key, for looking up parents.
#[derive(Debug)]
pub(super) struct Lineage<'rows> {
    leases: Vec<&'rows Lease>,
}

impl<'rows> Lineage<'rows> {
    pub(super) fn new(leases: &[&'rows Lease]) -> Self {
        let mut leases = leases.to_vec();
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        leases.dedup_by(|a, b| a.key == b.key);
        Self { leases }
    }

    /// The rows of a lease's parents, as far as the table has them.
    fn parents(&self, lease: &Lease) -> impl Iterator<Item = &'rows Lease> {
        let stream = &lease.key.stream;
        lease.parents.iter().filter_map(move |parent| {
            let found = self.leases.binary_search_by(|row| (&row.key.stream, &row.key.shard).cmp(&(stream, parent)));
            found.ok().map(|index| self.leases[index])
        })
    }

    /// The parents' owners, for a lease whose parents are finished.
    pub(super) fn owners_of_parents(&self, lease: &Lease) -> impl Iterator<Item = &'rows crate::WorkerId> {
        self.parents(lease).filter_map(|parent| parent.owner.as_ref())
    }

    /// Leases that may run, ascending by key: not finished themselves, and every parent finished or not in the table,
    /// which means that the stream no longer has it.
    pub(super) fn runnable(&self) -> Vec<&'rows Lease> {
        let may_run = |lease: &Lease| !lease.is_finished() && self.parents(lease).all(Lease::is_finished);
        self.leases.iter().copied().filter(|lease| may_run(lease)).collect()
    }
}
