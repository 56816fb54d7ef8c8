//! Tests of the simulation itself: seeds pass, a seed is one run, and broken logs are found.

use crate::{Plan, Sabotage, Sizes, run};

#[test]
fn a_seed_is_one_run() {
    for seed in 0..20 {
        let plan = Plan::draw(seed, &Sizes::default());
        let (one, two) = (run(&plan, Sabotage::None), run(&plan, Sabotage::None));
        for (one, two) in one.lines.iter().zip(&two.lines) {
            assert_eq!(one, two, "seed {seed}");
        }
        assert_eq!(one.digest, two.digest, "seed {seed}");
    }
}

#[test]
fn seeds_pass() {
    for seed in 0..200 {
        let report = run(&Plan::draw(seed, &Sizes::default()), Sabotage::None);
        if let Some(failed) = report.failure {
            panic!("seed {seed}: {failed:?}\n{}", report.lines.join("\n"));
        }
    }
}
