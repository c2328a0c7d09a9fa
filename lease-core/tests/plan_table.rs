//! The plan on the situations that other consumers are known to get wrong.

mod common;

use common::rows::{counts, fleet, live_moves, plan_of};

/// A situation, the fewest moves that level it, and the names in the report.
struct Situation {
    what: &'static str,
    /// How many leases each worker has; those of a crashed worker are free.
    owned: Vec<usize>,
    free: usize,
    fewest_moves: usize,
}

fn situations() -> Vec<Situation> {
    let of = |what, owned: Vec<usize>, free, fewest_moves| Situation { what, owned, free, fewest_moves };
    let all_on_one = [vec![64], vec![0; 7]].concat();
    vec![
        of("64 free leases on 8 workers", vec![0; 8], 64, 0),
        of("64 leases, 8 to 9 workers", [vec![8; 8], vec![0]].concat(), 0, 7),
        of("64 leases, 8 to 16 workers", [vec![8; 8], vec![0; 8]].concat(), 0, 32),
        of("64 leases, 9 to 8 workers by a crash", [vec![7; 7], vec![8]].concat(), 7, 0),
        of("64 leases, all on one of 8", all_on_one, 0, 56),
        of("nine workers with 10 and one with 1", [vec![10; 9], vec![1]].concat(), 0, 8),
        of("1,000 leases, 50 to 60 workers", [vec![20; 50], vec![0; 10]].concat(), 0, 160),
        of("three with 3 and one with 1, which others freeze", vec![3, 3, 3, 1], 0, 1),
        of("8, 8, 0, which others end at 6, 6, 4", vec![8, 8, 0], 0, 5),
    ]
}

/// One round of takes or gives, and no round with fewer moves would do.
#[test]
fn one_round_levels_the_known_situations_with_the_fewest_moves() {
    for Situation { what, owned, free, fewest_moves } in situations() {
        let (workers, leases) = fleet(&owned, free);
        let plan = plan_of(&workers, &leases);

        assert_eq!(live_moves(&plan, &leases), fewest_moves, "{what}: moves");
        let level = counts(&plan, &workers);
        let (min, max) = (level.iter().min().unwrap(), level.iter().max().unwrap());
        assert!(max - min <= 1, "{what}: ends at {level:?}");
        assert_eq!(level.iter().sum::<usize>(), leases.len(), "{what}: every lease has its target");
    }
}
