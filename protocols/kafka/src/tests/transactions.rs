//! One transactional id: the numbers under which batches are stored, and who may go on.

use crate::errors;
use crate::groups::At;
use crate::transactions::{Ended, Entry, Standing, Way};
use proptest::prelude::*;
use std::time::Duration;
use types::batch::sequence_after;
use types::{Producer, Stamp, TopicName};

const MINUTE: Duration = Duration::from_secs(60);

fn at(partition: u32) -> At {
    At { topic: TopicName::parse("t").expect("a name"), partition }
}

fn producer(epoch: i16) -> Producer {
    Producer { id: 1, epoch }
}

fn stamp(epoch: i16, sequence: i32) -> Stamp {
    Stamp { producer: producer(epoch), sequence: Some(sequence), is_transactional: true }
}

/// Commits as the log does.
fn commit(entry: &mut Entry, way: Way) {
    let ended = Ended { by: entry.told, is_commit: true };
    let next = Producer { epoch: entry.log.epoch + 1, ..entry.log };
    entry.end(ended, next, way);
}

#[test]
fn who_keeps_its_epoch_is_stored_under_the_logs() {
    let mut entry = Entry::new(producer(0), MINUTE, 0);
    entry.begin(MINUTE, 0);
    assert_eq!(entry.stamp(&at(0), stamp(0, 0), 3), stamp(0, 0));
    commit(&mut entry, Way::Explicit);
    assert_eq!(entry.check(producer(0), Way::Explicit), Ok(()));
    entry.begin(MINUTE, 0);
    assert_eq!(entry.stamp(&at(0), stamp(0, 3), 2), stamp(1, 0));
    assert_eq!(entry.stamp(&at(0), stamp(0, 3), 2), stamp(1, 0), "sent again");
    assert_eq!(entry.stamp(&at(0), stamp(0, 5), 1), stamp(1, 2));
    commit(&mut entry, Way::Explicit);
    entry.begin(MINUTE, 0);
    // The first one was lost on its way: this one is not the next, and the log says so.
    assert_eq!(entry.stamp(&at(0), stamp(0, 8), 1), stamp(2, 2));
    assert_eq!(entry.stamp(&at(0), stamp(0, 6), 2), stamp(2, 0));
}

#[test]
fn who_took_too_long_is_refused_until_it_signs_in_again() {
    let mut entry = Entry::new(producer(0), MINUTE, 0);
    entry.begin(MINUTE, 0);
    assert!(!entry.is_overdue(MINUTE));
    assert!(entry.is_overdue(MINUTE + MINUTE));
    entry.expire();
    assert_eq!(entry.check(producer(0), Way::Implicit), Err(errors::PRODUCER_FENCED));
}

/// Read after a restart: which epochs go on, and which must first give up what they had open.
#[test]
fn after_a_restart_half_a_transaction_does_not_go_on() {
    let kept = |standing| Entry::new(producer(4), MINUTE, 0).kept(standing);
    let read = |is_open, now: i16| {
        let standing = if is_open { Standing::Open } else { Standing::None };
        Entry::read(kept(standing), |_| Some(producer(now))).expect("what was kept")
    };
    let cases = [
        // Marked as open, the log's epoch, the client's epoch, its way; may it come, may it go on.
        (false, 4, 4, Way::Explicit, Ok(()), Ok(())),
        (false, 7, 4, Way::Explicit, Ok(()), Ok(())),
        (true, 7, 4, Way::Explicit, Ok(()), Err(errors::INVALID_PRODUCER_ID_MAPPING)),
        (false, 7, 7, Way::Explicit, Err(errors::PRODUCER_FENCED), Ok(())),
        (false, 7, 7, Way::Implicit, Ok(()), Ok(())),
        (true, 7, 7, Way::Implicit, Ok(()), Err(errors::TRANSACTION_ABORTABLE)),
        (false, 7, 6, Way::Implicit, Ok(()), Err(errors::TRANSACTION_ABORTABLE)),
        (false, 7, 3, Way::Implicit, Err(errors::PRODUCER_FENCED), Ok(())),
        (false, 7, 8, Way::Implicit, Err(errors::PRODUCER_FENCED), Ok(())),
    ];
    for (is_open, now, epoch, way, comes, goes_on) in cases {
        let mut entry = read(is_open, now);
        assert_eq!(entry.check(producer(epoch), way), comes, "{epoch} of {now} {way:?}");
        assert_eq!(entry.check_not_lost(way), goes_on, "{epoch} of {now} {way:?} {is_open}");
    }
}

/// Whoever keeps its epoch asks again how its transaction ended, also after a restart.
#[test]
fn an_end_whose_answer_was_lost_is_known() {
    let entry = Entry::new(producer(4), MINUTE, 0);
    let commit = Ended { by: producer(4), is_commit: true };
    let abort = Ended { is_commit: false, ..commit };
    for (standing, committed, given_up) in [
        (Standing::None, false, false),
        (Standing::Open, false, false),
        (Standing::Committed, true, false),
        (Standing::GivenUp, false, true),
    ] {
        let read = Entry::read(entry.kept(standing), |_| None).expect("what was kept");
        assert_eq!(read.has_ended(commit, Way::Explicit), committed, "{standing:?}");
        assert_eq!(read.has_ended(abort, Way::Explicit), given_up, "{standing:?}");
        assert!(!read.has_ended(commit, Way::Implicit), "the next epoch is the log's to say");
    }
}

proptest! {
    /// However a client of the old way counts, each of its transactions is stored from 0 on,
    /// without a gap, and what it sends again gets the number it had.
    #[test]
    fn each_transaction_is_counted_from_zero(
        begin in prop_oneof![Just(0), 0..i32::MAX, (i32::MAX - 50)..i32::MAX],
        transactions in prop::collection::vec(prop::collection::vec(1..20_u32, 0..6), 1..6),
    ) {
        let kept = Entry::new(producer(0), MINUTE, 0).kept(Standing::None);
        // After a restart, so that the counting may begin anywhere.
        let mut entry = Entry::read(kept, |_| Some(producer(1))).expect("what was kept");
        let mut sequence = begin;
        for counts in transactions {
            entry.begin(MINUTE, 0);
            let mut stored = 0;
            for count in counts {
                let epoch = entry.log.epoch;
                for _ in 0..2 {
                    let found = entry.stamp(&at(0), stamp(0, sequence), count);
                    prop_assert_eq!(found, stamp(epoch, stored));
                }
                sequence = sequence_after(sequence, count);
                stored += count as i32;
            }
            commit(&mut entry, Way::Explicit);
        }
    }
}
