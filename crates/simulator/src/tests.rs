//! Tests of the simulation itself: seeds pass, a seed is one run, and broken logs are found.

mod canaries;

use crate::{Bits, Campaign, Every, Plan, Sabotage, Sizes, explain, run, run_safely};

/// What CI runs; `cargo xtask nightly` runs 10,000.
const SEEDS: u64 = 200;

#[test]
fn a_seed_is_one_run() {
    for seed in 0..8 {
        let plan = Plan::draw(seed, &Sizes::default());
        let (one, two) = (run(&plan, Sabotage::None), run(&plan, Sabotage::None));
        for (one, two) in one.lines.iter().zip(&two.lines) {
            assert_eq!(one, two, "seed {seed}");
        }
        assert_eq!(one.digest, two.digest, "seed {seed}");
        assert_eq!(one, two);
    }
}

#[test]
fn two_hundred_seeds_pass() {
    let campaign = Campaign { from: 1, seeds: SEEDS, time_max: None, sizes: Sizes::default() };
    let (totals, failed) = campaign.survey();
    let words = failed.iter().map(|(seed, _)| explain(*seed, &campaign.sizes));
    assert!(failed.is_empty(), "{}", words.collect::<Vec<_>>().join("\n"));
    assert_eq!(totals.seeds, SEEDS);
    assert!(totals.acknowledged > 10_000 && totals.restarts > 500 && totals.faults > 50);
}

/// Each of them once showed a defect of the log.
#[test]
fn seeds_that_found_something_pass() {
    for seed in [32, 41, 44, 123, 124, 154, 343, 692, 931, 4300, 4823, 6200, 8385, 9882] {
        let report = run(&Plan::plain(seed, &Sizes::default()), Sabotage::None);
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

/// As those, with the themes of their seeds; some of them once showed that a checker was wrong.
#[test]
fn themed_seeds_that_found_something_pass() {
    let of_the_log =
        [46, 965, 1182, 1509, 1828, 2157, 2485, 3318, 3475, 8143, 9877, 1_004_187, 1_004_964];
    let of_checkers =
        [84, 664, 753, 1237, 1273, 2266, 3170, 3261, 5359, 7093, 8095, 8723, 2_003_957, 2_009_041];
    for seed in of_the_log.into_iter().chain(of_checkers) {
        let report = run_safely(&Plan::draw(seed, &Sizes::default()), Sabotage::None);
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

/// `cargo xtask nightly` flips every one of them.
#[test]
fn flipped_bits_are_never_served() {
    let bits = Bits::flip(Every::Nth(991));
    assert!(bits.wrong.is_empty(), "{:#?}", bits.wrong);
    assert!(bits.flips > 500 && bits.reported > 20 && bits.harmless > 20, "{bits:?}");
}
