//! Broken logs: each lie must be found within a few seeds, by the checker that guards against it,
//! and the run that shows it must come out short.

use crate::campaign::run_safely;
use crate::shrink::shrink;
use crate::{Plan, Sabotage, Sizes};

/// Seeds tried at most; a lie shows only when the run comes to what it is about.
const SEEDS_MAX: u64 = 60;

fn check(sabotage: Sabotage, checkers: &[&str]) {
    for seed in 1..=SEEDS_MAX {
        let plan = Plan::draw(seed, &Sizes::default());
        let Some(failed) = run_safely(&plan, sabotage).failure else { continue };
        assert!(checkers.contains(&failed.checker), "{sabotage:?}, seed {seed}: {failed:?}");
        let (short, report) = shrink(&plan, sabotage);
        assert_eq!(report.failure.map(|it| it.checker), Some(failed.checker));
        assert!(short.steps.len() <= 25, "{sabotage:?}: {} steps left", short.steps.len());
        return;
    }
    panic!("{sabotage:?} was not found in {SEEDS_MAX} seeds");
}

#[test]
fn an_acknowledgement_before_the_flush_is_found() {
    check(
        Sabotage::EarlyAcknowledgement,
        &[
            "no acknowledged record is lost",
            "no offset is used twice",
            // What is half there is reported as damage.
            "nothing fails without a fault",
            "the log opens",
        ],
    );
}

#[test]
fn a_dropped_frame_is_found() {
    check(
        Sabotage::DroppedFrame,
        &[
            "no acknowledged record is lost",
            "reads by offset, time and key agree with all that is there",
        ],
    );
}

#[test]
fn an_ignored_checksum_is_found() {
    check(Sabotage::IgnoredChecksum, &["what is read is what was published"]);
}

#[test]
fn a_record_there_twice_is_found() {
    check(
        Sabotage::Doubled,
        &["no record is there twice", "records keep the order of their partition and key"],
    );
}

#[test]
fn a_wrong_order_is_found() {
    check(Sabotage::Swapped, &["records keep the order of their partition and key"]);
}

#[test]
fn an_offset_given_twice_is_found() {
    check(Sabotage::ReusedOffset, &["no offset is used twice", "no record is there twice"]);
}

#[test]
fn an_acknowledgement_after_a_failed_flush_is_found() {
    check(
        Sabotage::IgnoredFailure,
        &[
            "nothing is acknowledged after a failed flush",
            // What was shown and never stored is missed at the next start.
            "the visible end never goes back",
        ],
    );
}

#[test]
fn an_end_that_goes_back_is_found() {
    check(Sabotage::EndGoesBack, &["the visible end never goes back"]);
}

#[test]
fn an_old_value_is_found() {
    check(Sabotage::OldValue, &["reads by offset, time and key agree with all that is there"]);
}

#[test]
fn a_log_that_stays_full_is_found() {
    check(Sabotage::StaysFull, &["a full log takes appends again once it has space"]);
}

#[test]
fn a_log_that_does_not_seal_is_found() {
    check(Sabotage::Unsealed, &["no plaintext is on the disk"]);
}

#[test]
fn forgotten_ids_are_found() {
    check(Sabotage::ForgetsIds, &["an id is stored once within its window"]);
}

#[test]
fn a_wrong_first_place_is_found() {
    check(Sabotage::WrongFirst, &["an id is stored once within its window"]);
}

#[test]
fn a_part_of_an_open_transaction_is_found() {
    check(Sabotage::LeaksOpen, &["a transaction is seen whole or not at all"]);
}

#[test]
fn what_was_given_up_and_is_shown_is_found() {
    check(Sabotage::ShowsAborted, &["a transaction is seen whole or not at all"]);
}

#[test]
fn half_a_transaction_is_found() {
    check(Sabotage::HalfTransaction, &["a transaction is seen whole or not at all"]);
}

#[test]
fn a_producer_given_twice_is_found() {
    check(Sabotage::ReusedProducer, &["no producer is given twice"]);
}

#[test]
fn a_producer_that_was_replaced_and_goes_on_is_found() {
    check(Sabotage::Unfenced, &["no producer is given twice"]);
}

#[test]
fn a_newest_record_that_is_taken_is_found() {
    check(Sabotage::TakesNewest, &["of each key the newest record stays"]);
}

#[test]
fn space_that_does_not_come_back_is_found() {
    check(Sabotage::KeepsAll, &["a full log takes appends again once it has space"]);
}

#[test]
fn a_delivery_that_is_lost_is_found() {
    check(Sabotage::LosesDelivery, &["followers are given everything once and in order"]);
}

#[test]
fn a_delivery_that_comes_twice_is_found() {
    check(Sabotage::RepeatsDelivery, &["followers are given everything once and in order"]);
}

#[test]
fn a_delivery_of_what_is_not_stored_is_found() {
    check(Sabotage::TellsEarly, &["followers are given everything once and in order"]);
}

#[test]
fn a_forgotten_acknowledgement_is_found() {
    check(Sabotage::ForgetsAcknowledgement, &["a consumer's place never goes back"]);
}

#[test]
fn a_consumer_that_goes_back_is_found() {
    check(Sabotage::PlaceGoesBack, &["a consumer's place never goes back"]);
}
