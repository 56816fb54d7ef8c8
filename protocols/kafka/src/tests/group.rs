//! The rounds of a consumer group, in simulated time.

use crate::errors;
use crate::groups::{Candidate, Group, Joined, State, Synced, Terms};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_secs(3);

fn terms() -> Terms {
    Terms {
        members_max: 5,
        session_min: Duration::from_secs(1),
        session_max: Duration::from_secs(100),
        first_wait: FIRST_WAIT,
        consumer_session: Duration::from_secs(45),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn candidate(member: &str) -> Candidate {
    Candidate {
        member: member.to_owned(),
        session: SESSION,
        rebalance: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![
            ("range".to_owned(), Bytes::from_static(b"r")),
            ("roundrobin".to_owned(), Bytes::from_static(b"rr")),
        ],
        ..Candidate::default()
    }
}

/// Joins under a name of its own, in the form of old clients.
fn join(group: &mut Group, name: &str, now: Duration) -> Receiver<Joined> {
    group.join(candidate(""), || name.to_owned(), now)
}

fn sync(group: &mut Group, name: &str, parts: &[(&str, &str)], now: Duration) -> Receiver<Synced> {
    let parts =
        parts.iter().map(|(id, part)| (id.to_string(), Bytes::copy_from_slice(part.as_bytes())));
    let generation = group.generation;
    group.sync((name, None, generation), (None, None), parts.collect(), now)
}

/// A group of two that has agreed, at this time.
fn settled(group: &mut Group, now: Duration) {
    let mut a = join(group, "a", now);
    let mut b = join(group, "b", now);
    group.turn(now + FIRST_WAIT);
    let joined = a.try_recv().expect("told");
    assert_eq!((joined.error, &*joined.leader, joined.members.len()), (0, "a", 2));
    assert!(b.try_recv().expect("told").members.is_empty(), "only the leader sees all");
    let now = now + FIRST_WAIT;
    let mut waiting = sync(group, "b", &[], now);
    assert!(waiting.try_recv().is_err(), "the leader has not spoken");
    let mut own = sync(group, "a", &[("a", "0"), ("b", "1")], now);
    assert_eq!(own.try_recv().expect("told").assignment, "0");
    assert_eq!(waiting.try_recv().expect("told").assignment, "1");
    assert_eq!(group.state, State::Stable);
}

#[test]
fn members_that_start_together_share_the_first_round() {
    let mut group = Group::new(terms());
    settled(&mut group, seconds(0));
    assert_eq!(group.generation, 1);
    assert_eq!(group.protocol, "range");
}

#[test]
fn a_new_member_begins_a_round_that_others_hear_of_by_their_heartbeat() {
    let mut group = Group::new(terms());
    settled(&mut group, seconds(0));
    let now = seconds(5);
    let mut c = join(&mut group, "c", now);
    assert_eq!(group.heartbeat("a", None, 1, now), errors::REBALANCE_IN_PROGRESS);
    let mut a = group.join(candidate("a"), String::new, now);
    assert!(c.try_recv().is_err(), "b has not joined");
    let mut b = group.join(candidate("b"), String::new, now);
    for told in [&mut a, &mut b, &mut c] {
        assert_eq!(told.try_recv().expect("the round is over").generation, 2);
    }
    assert_eq!(group.heartbeat("a", None, 1, now), errors::ILLEGAL_GENERATION);
    assert_eq!(group.heartbeat("a", None, 2, now), errors::NONE);
}

#[test]
fn who_is_not_heard_of_loses_its_part() {
    let mut group = Group::new(terms());
    settled(&mut group, seconds(0));
    let now = seconds(12);
    assert_eq!(group.heartbeat("a", None, 1, now), errors::NONE);
    let now = seconds(14);
    assert_eq!(group.heartbeat("a", None, 1, now), errors::REBALANCE_IN_PROGRESS);
    assert_eq!(group.heartbeat("b", None, 1, now), errors::UNKNOWN_MEMBER_ID);
    let mut again = group.join(candidate("a"), String::new, now);
    assert_eq!(again.try_recv().expect("alone").members.len(), 1);
}

#[test]
fn a_round_does_not_wait_for_ever() {
    let mut group = Group::new(terms());
    settled(&mut group, seconds(0));
    let now = seconds(5);
    let mut c = join(&mut group, "c", now);
    // The others send heartbeats and never join.
    for second in (6..=64).step_by(4) {
        assert_eq!(group.heartbeat("a", None, 1, seconds(second)), errors::REBALANCE_IN_PROGRESS);
        group.heartbeat("b", None, 1, seconds(second));
        assert!(c.try_recv().is_err());
    }
    group.turn(now + REBALANCE);
    let joined = c.try_recv().expect("the round is over");
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("c", 1));
}

#[test]
fn a_client_is_told_its_name_first() {
    let mut group = Group::new(terms());
    let ask = Candidate { takes_name_first: true, ..candidate("") };
    let mut told = group.join(ask.clone(), || "n".to_owned(), seconds(0));
    let told = told.try_recv().expect("at once");
    assert_eq!((told.error, &*told.member), (errors::MEMBER_ID_REQUIRED, "n"));
    assert!(group.members.is_empty(), "a name makes no member");
    let again = Candidate { member: "n".to_owned(), ..ask.clone() };
    let mut joined = group.join(again, String::new, seconds(1));
    group.turn(seconds(1) + FIRST_WAIT);
    assert_eq!(joined.try_recv().expect("a member").error, errors::NONE);
    // A name that was never given, or is forgotten.
    let stranger = Candidate { member: "x".to_owned(), ..ask };
    let mut refused = group.join(stranger, String::new, seconds(1));
    assert_eq!(refused.try_recv().expect("at once").error, errors::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_comes_back_to_its_place() {
    let mut group = Group::new(terms());
    let named = Candidate { instance: Some("host-1".to_owned()), ..candidate("") };
    let mut first = group.join(named.clone(), || "one".to_owned(), seconds(0));
    group.turn(FIRST_WAIT);
    assert_eq!(first.try_recv().expect("told").generation, 1);
    sync(&mut group, "one", &[("one", "all")], FIRST_WAIT);
    // It was started anew, and does not know its name.
    let mut again = group.join(named, || "two".to_owned(), seconds(5));
    let again = again.try_recv().expect("no round is needed");
    assert_eq!((again.error, again.generation, &*again.member), (0, 1, "two"));
    let heartbeat = group.heartbeat("one", Some("host-1"), 1, seconds(6));
    assert_eq!(heartbeat, errors::FENCED_INSTANCE_ID, "the one before is another now");
    let mut part = sync(&mut group, "two", &[], seconds(6));
    assert_eq!(part.try_recv().expect("told").assignment, "all");
}

#[test]
fn who_speaks_no_common_protocol_or_is_one_too_many_is_refused() {
    let mut group = Group::new(terms());
    settled(&mut group, seconds(0));
    let strange =
        Candidate { protocols: vec![("sticky".to_owned(), Bytes::new())], ..candidate("") };
    let mut refused = group.join(strange, || "s".to_owned(), seconds(4));
    let error = refused.try_recv().expect("at once").error;
    assert_eq!(error, errors::INCONSISTENT_GROUP_PROTOCOL);
    let _waiting: Vec<_> =
        ["c", "d", "e"].iter().map(|name| join(&mut group, name, seconds(4))).collect();
    let mut refused = join(&mut group, "f", seconds(4));
    assert_eq!(refused.try_recv().expect("at once").error, errors::GROUP_MAX_SIZE_REACHED);
    let hasty = Candidate { session: Duration::from_millis(1), ..candidate("") };
    let mut refused = group.join(hasty, || "h".to_owned(), seconds(4));
    assert_eq!(refused.try_recv().expect("at once").error, errors::INVALID_SESSION_TIMEOUT);
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Join(u8),
    Sync(u8),
    Beat(u8),
    Leave(u8),
    Wait(u8),
    Vanish(u8),
}

fn any_act() -> impl Strategy<Value = Act> {
    let who = 0..4u8;
    prop_oneof![
        4 => who.clone().prop_map(Act::Join),
        4 => who.clone().prop_map(Act::Sync),
        2 => who.clone().prop_map(Act::Beat),
        1 => who.clone().prop_map(Act::Leave),
        3 => (1..30u8).prop_map(Act::Wait),
        1 => who.prop_map(Act::Vanish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// **Feature: realtime-saas-platform, Property KAFKA-08: in one generation of a group every
    /// part is given to one member at most, generations never go back, and whoever waits is
    /// answered once enough time has gone by.**
    #[test]
    fn no_part_is_given_twice(acts in prop::collection::vec(any_act(), 1..80)) {
        let mut group = Group::new(terms());
        let mut now = Duration::ZERO;
        let mut names: BTreeMap<u8, String> = BTreeMap::new();
        let mut joins: BTreeMap<u8, Receiver<Joined>> = BTreeMap::new();
        let mut syncs: BTreeMap<u8, (i32, Receiver<Synced>)> = BTreeMap::new();
        let mut leaders: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        let mut given: BTreeMap<(i32, String), u8> = BTreeMap::new();
        let (mut fresh, mut newest) = (0u32, 0);
        for act in acts.into_iter().chain([Act::Wait(200); 3]) {
            match act {
                Act::Join(who) if !joins.contains_key(&who) && !syncs.contains_key(&who) => {
                    let own = names.get(&who).cloned().unwrap_or_default();
                    fresh += 1;
                    let name = format!("{who}-{fresh}");
                    joins.insert(who, group.join(candidate(&own), || name, now));
                }
                Act::Sync(who) if !joins.contains_key(&who) && !syncs.contains_key(&who) => {
                    let Some(own) = names.get(&who) else { continue };
                    // The leader gives each member a part with its own name.
                    let all = leaders.remove(&who).unwrap_or_default();
                    let parts = all.into_iter().map(|id| (id.clone(), Bytes::from(id)));
                    let at = (own.as_str(), None, group.generation);
                    let answer = group.sync(at, (None, None), parts.collect(), now);
                    syncs.insert(who, (group.generation, answer));
                }
                Act::Beat(who) => {
                    let own = names.get(&who).map(String::as_str).unwrap_or_default();
                    group.heartbeat(own, None, group.generation, now);
                }
                Act::Leave(who) => {
                    let Some(own) = names.remove(&who) else { continue };
                    group.leave(&own, None, now);
                }
                Act::Vanish(who) => {
                    joins.remove(&who);
                    syncs.remove(&who);
                    names.remove(&who);
                }
                Act::Wait(time) => now += seconds(u64::from(time)),
                Act::Join(_) | Act::Sync(_) => {}
            }
            group.turn(now);
            joins.retain(|who, answer| {
                let Ok(joined) = answer.try_recv() else { return true };
                match joined.error {
                    errors::NONE => {
                        names.insert(*who, joined.member.clone());
                        let ids = joined.members.iter().map(|(id, ..)| id.clone()).collect();
                        leaders.insert(*who, ids);
                    }
                    _ => drop(names.remove(who)),
                }
                false
            });
            for (who, (generation, answer)) in &mut syncs {
                let Ok(synced) = answer.try_recv() else { continue };
                if synced.error == errors::NONE && !synced.assignment.is_empty() {
                    let part = String::from_utf8_lossy(&synced.assignment).into_owned();
                    let first = given.entry((*generation, part)).or_insert(*who);
                    prop_assert_eq!(*first, *who, "a part of two members");
                }
                *generation = -1;
            }
            syncs.retain(|_, (generation, _)| *generation != -1);
            prop_assert!(group.generation >= newest, "a generation went back");
            newest = group.generation;
        }
        prop_assert!(joins.is_empty() && syncs.is_empty(), "somebody waits for ever");
    }
}
