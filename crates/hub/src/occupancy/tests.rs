//! The state machine against a model, and the whole way from a follower to a record.

use super::{Addresses, Event, Step};
use crate::presence::Address;
use proptest::prelude::*;
use std::time::Duration;
use testkit::memory_hub::MemoryHub;
use types::{Limits, TenantId, TopicName};

const GRACE: Duration = Duration::from_secs(10);

fn address() -> (Address, TenantId) {
    let hub = MemoryHub::new();
    let place = hub.place(Limits::default());
    let who = hub.identity(&hub.admin_key(place));
    let topic = TopicName::parse("room").expect("a topic");
    (Address { project: who.project(), topic, key: None }, who.tenant())
}

/// What is told by then, each answered as told.
fn told(addresses: &mut Addresses, now: Duration) -> Vec<Event> {
    let due = addresses.take_due(now, usize::MAX);
    due.iter().for_each(|turned| addresses.told(turned, now));
    due.into_iter().map(|turned| turned.event).collect()
}

#[test]
fn a_reconnect_does_not_flap() {
    let (at, tenant) = address();
    let mut addresses = Addresses::new(GRACE);
    let seconds = Duration::from_secs;
    addresses.step(&at, tenant, Step::FollowerCame, seconds(0));
    assert_eq!(told(&mut addresses, seconds(0)), [Event::Occupied]);
    addresses.step(&at, tenant, Step::FollowerWent, seconds(1));
    assert_eq!(addresses.next_due(), Some(seconds(11)));
    addresses.step(&at, tenant, Step::Filled, seconds(5));
    assert_eq!(told(&mut addresses, seconds(60)), []);
    addresses.step(&at, tenant, Step::Emptied, seconds(60));
    assert_eq!(told(&mut addresses, seconds(69)), []);
    assert_eq!(told(&mut addresses, seconds(70)), [Event::Vacated]);
    assert!(addresses.entries.is_empty() && addresses.due.is_empty());
}

#[test]
fn what_was_occupied_before_a_start_is_vacated_unless_somebody_comes() {
    let (at, tenant) = address();
    let (now, later) = (Duration::ZERO, GRACE);
    let mut addresses = Addresses::new(GRACE);
    addresses.remember_occupied(at.clone(), tenant, now);
    assert_eq!(told(&mut addresses, later), [Event::Vacated]);
    addresses.remember_occupied(at.clone(), tenant, now);
    addresses.step(&at, tenant, Step::FollowerCame, now);
    assert_eq!(told(&mut addresses, later), [], "it is as it was told");
}

#[test]
fn what_the_log_did_not_take_is_told_later() {
    let (at, tenant) = address();
    let mut addresses = Addresses::new(GRACE);
    addresses.step(&at, tenant, Step::FollowerCame, Duration::ZERO);
    let due = addresses.take_due(Duration::ZERO, 10);
    addresses.put_off(&due[0], Duration::from_secs(1));
    assert_eq!(told(&mut addresses, Duration::ZERO), []);
    assert_eq!(told(&mut addresses, Duration::from_secs(1)), [Event::Occupied]);
}

#[test]
fn who_comes_and_goes_while_it_is_told_is_told_afterwards() {
    let (at, tenant) = address();
    let mut addresses = Addresses::new(GRACE);
    addresses.step(&at, tenant, Step::FollowerCame, Duration::ZERO);
    let due = addresses.take_due(Duration::ZERO, 10);
    assert_eq!(due.len(), 1);
    addresses.step(&at, tenant, Step::FollowerWent, Duration::ZERO);
    addresses.step(&at, tenant, Step::Filled, Duration::ZERO);
    assert_eq!(told(&mut addresses, GRACE), [], "it is being told already");
    addresses.step(&at, tenant, Step::Emptied, GRACE);
    addresses.told(&due[0], GRACE);
    assert_eq!(told(&mut addresses, GRACE), []);
    assert_eq!(told(&mut addresses, GRACE * 2), [Event::Vacated], "and not forgotten");
    assert!(addresses.entries.is_empty() && addresses.due.is_empty());
}

/// What becomes of what is being told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Told,
    Refused,
    /// Not yet.
    Late,
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![4 => Just(Answer::Told), 1 => Just(Answer::Refused), 2 => Just(Answer::Late)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// **Feature: realtime-saas-platform, Property HUB-04: occupied and vacated are told in turn,
    /// occupied first, however long telling takes and however often it fails; who has been there
    /// for as long as the grace is told as there, and an address that has been empty for so long as
    /// empty.**
    #[test]
    fn occupied_and_vacated_alternate(
        steps in prop::collection::vec((0..4u8, 0..15u64, any_answer()), 1..60),
    ) {
        let (at, tenant) = address();
        let mut addresses = Addresses::new(GRACE);
        let (mut now, mut followers, mut has_members) = (Duration::ZERO, 0u32, false);
        let mut last = Event::Vacated;
        let mut telling = Vec::new();
        let all = steps.into_iter().chain([(4, GRACE.as_secs(), Answer::Told); 2]);
        for (step, wait, answer) in all {
            let step = match step {
                0 => { followers += 1; Some(Step::FollowerCame) }
                1 if followers > 0 => { followers -= 1; Some(Step::FollowerWent) }
                2 => { has_members = true; Some(Step::Filled) }
                3 => { has_members = false; Some(Step::Emptied) }
                _ => None,
            };
            step.into_iter().for_each(|step| addresses.step(&at, tenant, step, now));
            now += Duration::from_secs(wait);
            for _ in 0..2 {
                telling.extend(addresses.take_due(now, usize::MAX));
                prop_assert!(telling.len() <= 1, "one at a time");
                prop_assert!(telling.iter().all(|turned| turned.event != last));
                for turned in telling.extract_if(.., |_| answer != Answer::Late) {
                    if answer == Answer::Told {
                        addresses.told(&turned, now);
                        last = turned.event;
                    } else {
                        addresses.put_off(&turned, now);
                    }
                }
            }
            let is_there = followers > 0 || has_members;
            prop_assert!(answer != Answer::Told || !is_there || last == Event::Occupied);
        }
        let is_there = followers > 0 || has_members;
        prop_assert_eq!(last == Event::Occupied, is_there);
        prop_assert_eq!(addresses.entries.is_empty(), !is_there);
    }
}
