//! Groups whose partitions the coordinator gives out, in simulated time.

use crate::errors;
use crate::groups::{
    Assignor, Beat, Coordinated, JOIN, LEAVE, LEAVE_FOR_NOW, Part, Parts, Stage, Subscribed,
    Subscriber, Terms, Told, assign,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use types::{TopicId, TopicName};

const SESSION: Duration = Duration::from_secs(45);
const REBALANCE: Duration = Duration::from_secs(20);

fn terms() -> Terms {
    Terms {
        members_max: 5,
        session_min: Duration::ZERO,
        session_max: Duration::from_secs(100),
        first_wait: Duration::ZERO,
        consumer_session: SESSION,
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn topic(number: u64, partitions: u32) -> Subscribed {
    let name = TopicName::parse(&format!("t{number}")).expect("a name");
    Subscribed { id: TopicId(number), name, partitions }
}

fn parts(numbers: &[u32]) -> Parts {
    numbers.iter().map(|&number| (TopicId(1), number)).collect()
}

/// The first heartbeat of a member, subscribed to one topic of so many partitions.
fn joining(member: &str, partitions: u32) -> Beat {
    Beat {
        member: member.to_owned(),
        epoch: JOIN,
        rebalance: Some(REBALANCE),
        names: Some(vec!["t1".to_owned()]),
        owned: Some(Parts::new()),
        topics: Some(vec![topic(1, partitions)]),
        ..Beat::default()
    }
}

/// One of a member that has nothing to say but perhaps what it has.
fn beating(member: &str, epoch: i32, owned: Option<&[u32]>) -> Beat {
    let owned = owned.map(parts);
    Beat { member: member.to_owned(), epoch, owned, ..Beat::default() }
}

fn send(group: &mut Coordinated, beat: Beat, now: Duration) -> Result<Told, i16> {
    group.beat(beat, || "fresh".to_owned(), now).map_err(|(error, _)| error)
}

fn told(epoch: i32, assigned: Option<&[u32]>) -> (i32, Option<Parts>) {
    (epoch, assigned.map(parts))
}

fn said(outcome: Result<Told, i16>) -> (i32, Option<Parts>) {
    let told = outcome.expect("it is a member");
    (told.epoch, told.assigned)
}

#[test]
fn a_new_member_is_given_what_the_others_have_given_up() {
    let mut group = Coordinated::new(terms());
    let now = seconds(0);
    assert_eq!(said(send(&mut group, joining("a", 4), now)), told(1, Some(&[0, 1, 2, 3])));
    assert_eq!(group.stage(), Stage::Stable);
    // Nothing is free yet: b waits, and a is asked for half of what it has.
    assert_eq!(said(send(&mut group, joining("b", 4), now)), told(2, Some(&[])));
    assert_eq!(group.stage(), Stage::Reconciling);
    assert_eq!(said(send(&mut group, beating("a", 1, None), now)), told(1, Some(&[0, 1])));
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, None));
    // As long as it does not say that it gave up, nobody else has it.
    let still = beating("a", 1, Some(&[0, 1, 2, 3]));
    assert_eq!(said(send(&mut group, still, now)), told(1, Some(&[0, 1])));
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, None));
    assert_eq!(said(send(&mut group, beating("a", 1, Some(&[0, 1])), now)), told(2, None));
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, Some(&[2, 3])));
    assert_eq!(group.stage(), Stage::Stable);
    // All is said already.
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, None));
}

#[test]
fn who_is_silent_or_keeps_what_it_is_to_give_up_is_given_up() {
    let mut group = Coordinated::new(terms());
    send(&mut group, joining("a", 2), seconds(0)).expect("a member");
    send(&mut group, joining("b", 2), seconds(0)).expect("a member");
    send(&mut group, beating("a", 1, None), seconds(1)).expect("a member");
    // It is heard of, and does not give up.
    send(&mut group, beating("a", 1, None), seconds(20)).expect("a member");
    let late = send(&mut group, beating("a", 1, None), seconds(21));
    assert_eq!(late, Err(errors::UNKNOWN_MEMBER_ID));
    assert_eq!(said(send(&mut group, beating("b", 2, None), seconds(22))), told(3, Some(&[0, 1])));
    assert_eq!(group.check_member("b", 3), Ok(()));
    assert_eq!(group.check_member("b", 2), Err(errors::STALE_MEMBER_EPOCH));
    group.turn(seconds(22) + SESSION);
    assert_eq!(group.check_member("b", 3), Err(errors::UNKNOWN_MEMBER_ID));
    assert_eq!(group.stage(), Stage::Empty);
}

#[test]
fn epochs_tell_who_missed_what() {
    let mut group = Coordinated::new(terms());
    let now = seconds(0);
    assert_eq!(send(&mut group, beating("a", 3, None), now), Err(errors::UNKNOWN_MEMBER_ID));
    send(&mut group, joining("a", 2), now).expect("a member");
    assert_eq!(send(&mut group, beating("a", 7, None), now), Err(errors::FENCED_MEMBER_EPOCH));
    // The answer to its first words was lost, so it says them again.
    assert_eq!(said(send(&mut group, joining("a", 2), now)), told(1, Some(&[0, 1])));
    send(&mut group, joining("b", 2), now).expect("a member");
    send(&mut group, beating("a", 1, None), now).expect("it is to give up");
    assert_eq!(said(send(&mut group, beating("a", 1, Some(&[0])), now)), told(2, None));
    // That answer was lost: it is where it was, with nothing but what is its own.
    assert_eq!(said(send(&mut group, beating("a", 1, Some(&[0])), now)), told(2, None));
    let with_more = beating("a", 1, Some(&[0, 1]));
    assert_eq!(send(&mut group, with_more, now), Err(errors::FENCED_MEMBER_EPOCH));
    let unsaid = beating("a", 1, None);
    assert_eq!(send(&mut group, unsaid, now), Err(errors::FENCED_MEMBER_EPOCH));
}

#[test]
fn a_static_member_comes_back_to_its_partitions() {
    let mut group = Coordinated::new(terms());
    let named = |member: &str| Beat { instance: Some("host".to_owned()), ..joining(member, 4) };
    let now = seconds(0);
    send(&mut group, named("one"), now).expect("a member");
    send(&mut group, joining("b", 4), now).expect("a member");
    send(&mut group, beating("one", 1, Some(&[0, 1])), now).expect("a member");
    send(&mut group, beating("one", 1, Some(&[0, 1])), now).expect("a member");
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, Some(&[2, 3])));
    let other = send(&mut group, named("two"), now);
    assert_eq!(other, Err(errors::UNRELEASED_INSTANCE_ID), "it has not left");
    let leave = Beat { instance: Some("host".to_owned()), ..beating("one", LEAVE_FOR_NOW, None) };
    assert_eq!(said(send(&mut group, leave, now)), told(LEAVE_FOR_NOW, None));
    assert_eq!(said(send(&mut group, beating("b", 2, None), now)), told(2, None), "nobody has it");
    assert_eq!(said(send(&mut group, named("two"), now)), told(2, Some(&[0, 1])));
    let before = Beat { instance: Some("host".to_owned()), ..beating("one", 2, None) };
    assert_eq!(send(&mut group, before, now), Err(errors::FENCED_INSTANCE_ID));
    // Gone for good, others have its part.
    let leave = Beat { instance: Some("host".to_owned()), ..beating("two", LEAVE, None) };
    send(&mut group, leave, now).expect("it left");
    let rest = said(send(&mut group, beating("b", 2, None), now));
    assert_eq!(rest, told(3, Some(&[0, 1, 2, 3])));
}

#[test]
fn topics_that_come_grow_or_go_are_followed() {
    let mut group = Coordinated::new(terms());
    let mut now = seconds(0);
    let nothing = Beat { topics: Some(Vec::new()), ..joining("a", 0) };
    assert_eq!(said(send(&mut group, nothing, now)), told(1, Some(&[])));
    assert_eq!(group.to_look_up(&beating("a", 1, None), now), None, "it was looked up now");
    now += seconds(6);
    let due = group.to_look_up(&beating("a", 1, None), now).expect("it is time");
    assert_eq!((&*due.names, due.regex), (&["t1".to_owned()][..], None));
    let come = Beat { topics: Some(vec![topic(1, 1)]), ..beating("a", 1, None) };
    assert_eq!(said(send(&mut group, come, now)), told(2, Some(&[0])));
    let gone = Beat { topics: Some(Vec::new()), ..beating("a", 2, Some(&[])) };
    assert_eq!(said(send(&mut group, gone, now)), told(3, Some(&[])));
    let regex = Beat { regex: Some("t.*".to_owned()), ..beating("a", 3, None) };
    let due = group.to_look_up(&regex, now).expect("it is new");
    assert_eq!(due.regex.as_deref(), Some("t.*"));
}

#[test]
fn one_too_many_is_refused_and_a_name_is_made_for_who_has_none() {
    let mut group = Coordinated::new(terms());
    for name in ["a", "b", "c", "d"] {
        send(&mut group, joining(name, 2), seconds(0)).expect("a member");
    }
    assert_eq!(send(&mut group, joining("", 2), seconds(0)).expect("a member").member, "fresh");
    let more = send(&mut group, joining("f", 2), seconds(0));
    assert_eq!(more, Err(errors::GROUP_MAX_SIZE_REACHED));
}

fn subscribers(of: &[(&str, &[u64])]) -> BTreeMap<String, Subscriber> {
    let one = |(name, topics): &(&str, &[u64])| {
        let topics = topics.iter().map(|&number| TopicId(number)).collect();
        let order = (*name).to_owned();
        ((*name).to_owned(), Subscriber { order, topics, had: Parts::new() })
    };
    of.iter().map(one).collect()
}

#[test]
fn range_gives_neighbours_and_topics_side_by_side() {
    let counts = [(TopicId(1), 5), (TopicId(2), 5)].into();
    let all = subscribers(&[("a", &[1, 2]), ("b", &[1, 2]), ("c", &[2])]);
    let given = assign(Assignor::Range, &all, &counts);
    let of = |name: &str, topic: u64| -> Vec<u32> {
        let own = given[name].iter().filter(|(id, _)| id.0 == topic);
        own.map(|(_, partition)| *partition).collect()
    };
    assert_eq!((of("a", 1), of("b", 1), of("c", 1)), (vec![0, 1, 2], vec![3, 4], vec![]));
    assert_eq!((of("a", 2), of("b", 2), of("c", 2)), (vec![0, 1], vec![2, 3], vec![4]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whoever is subscribed to what: each partition goes to one subscriber of its topic, nobody
    /// could take one from another with two more, and the same again changes nothing.
    #[test]
    fn uniform_is_level_and_stays_as_it_is(
        topics in prop::collection::vec(0..12u32, 1..5),
        wanted in prop::collection::vec(prop::collection::btree_set(0..5u64, 0..5), 1..8),
    ) {
        let counts: BTreeMap<TopicId, u32> =
            topics.iter().enumerate().map(|(id, &count)| (TopicId(id as u64), count)).collect();
        let mut all: BTreeMap<String, Subscriber> = BTreeMap::new();
        for (index, topics) in wanted.into_iter().enumerate() {
            let topics: BTreeSet<TopicId> = topics.into_iter().map(TopicId).collect();
            let subscriber =
                Subscriber { order: format!("m{index}"), topics, had: Parts::new() };
            all.insert(format!("m{index}"), subscriber);
        }
        let given = assign(Assignor::Uniform, &all, &counts);
        for (&topic, &count) in &counts {
            let has_subscriber = all.values().any(|it| it.topics.contains(&topic));
            for partition in 0..count {
                let of = given.iter().filter(|(_, own)| own.contains(&(topic, partition)));
                let of: Vec<&String> = of.map(|(name, _)| name).collect();
                prop_assert_eq!(of.len(), usize::from(has_subscriber));
                prop_assert!(of.iter().all(|name| all[*name].topics.contains(&topic)));
            }
        }
        for (name, own) in &given {
            for (other, theirs) in &given {
                let takes = theirs.iter().any(|(topic, _)| all[name].topics.contains(topic));
                prop_assert!(!takes || theirs.len() <= own.len() + 1, "{} {}", name, other);
            }
        }
        for (name, own) in &given {
            if let Some(subscriber) = all.get_mut(name) {
                subscriber.had = own.clone();
            }
        }
        prop_assert_eq!(assign(Assignor::Uniform, &all, &counts), given);
    }
}

/// A client as it should be: reads what it was told, gives up when it has time to, and says so.
#[derive(Debug, Default, Clone)]
struct Client {
    epoch: i32,
    reads: Parts,
    wants: Parts,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Beat(u8),
    /// The answer is lost on its way.
    BeatUnheard(u8),
    GiveUp(u8),
    Leave(u8),
    Vanish(u8),
    Wait(u8),
    Grow,
}

fn any_act() -> impl Strategy<Value = Act> {
    let who = 0..4u8;
    prop_oneof![
        8 => who.clone().prop_map(Act::Beat),
        1 => who.clone().prop_map(Act::BeatUnheard),
        4 => who.clone().prop_map(Act::GiveUp),
        1 => who.clone().prop_map(Act::Leave),
        1 => who.prop_map(Act::Vanish),
        2 => (1..20u8).prop_map(Act::Wait),
        1 => Just(Act::Grow),
    ]
}

struct Play {
    group: Coordinated,
    clients: BTreeMap<u8, Client>,
    now: Duration,
    partitions: u32,
}

impl Play {
    fn beat(&mut self, who: u8, is_heard: bool) {
        let client = self.clients.entry(who).or_default();
        let is_join = client.epoch == JOIN;
        let words = joining(&who.to_string(), self.partitions);
        let beat = Beat {
            epoch: client.epoch,
            owned: Some(client.reads.clone()),
            names: words.names.clone().filter(|_| is_join),
            ..words
        };
        match send(&mut self.group, beat, self.now) {
            Ok(told) if is_heard => {
                client.epoch = told.epoch;
                if let Some(assigned) = told.assigned {
                    // What is new is read at once; what goes is given up later.
                    client.reads.extend(assigned.iter().copied());
                    client.wants = assigned;
                }
            }
            Ok(_) => {}
            // Fenced or forgotten: it stops, and joins anew.
            Err(_) => *client = Client::default(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Beat(who) => self.beat(who, true),
            Act::BeatUnheard(who) => self.beat(who, false),
            Act::GiveUp(who) => {
                if let Some(client) = self.clients.get_mut(&who) {
                    client.reads = client.reads.intersection(&client.wants).copied().collect();
                }
            }
            Act::Leave(who) => {
                if self.clients.remove(&who).is_some() {
                    let _ = send(&mut self.group, beating(&who.to_string(), LEAVE, None), self.now);
                }
            }
            Act::Vanish(who) => drop(self.clients.remove(&who)),
            Act::Wait(count) => self.now += seconds(count.into()),
            Act::Grow => self.partitions = (self.partitions + 1).min(12),
        }
        self.group.turn(self.now);
    }

    /// Nobody that the group knows in its epoch reads what another such one reads.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut readers: BTreeMap<Part, u8> = BTreeMap::new();
        for (who, client) in &self.clients {
            if self.group.check_member(&who.to_string(), client.epoch).is_err() {
                continue;
            }
            for part in &client.reads {
                let other = readers.insert(*part, *who);
                prop_assert_eq!(other, None, "{:?} is read by {} too", part, who);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// **Feature: realtime-saas-platform, Property KAFKA-08b: in a group whose partitions the
    /// coordinator gives out no partition is read by two members in their epochs, whatever is lost
    /// and whoever goes; once the members come to rest every partition is read by one of them, and
    /// who reads what does not change any more.**
    #[test]
    fn no_partition_has_two_readers(acts in prop::collection::vec(any_act(), 1..120)) {
        let group = Coordinated::new(terms());
        let mut play = Play { group, clients: BTreeMap::new(), now: seconds(0), partitions: 3 };
        let mut newest = 0;
        for act in acts {
            play.act(act);
            play.check()?;
            prop_assert!(play.group.epoch >= newest);
            newest = play.group.epoch;
        }
        play.beat(0, true);
        let settle = |play: &mut Play| -> Result<(), TestCaseError> {
            // Long enough that whoever vanished is given up.
            for _ in 0..20 {
                for who in play.clients.keys().copied().collect::<Vec<u8>>() {
                    play.act(Act::Beat(who));
                    play.check()?;
                    play.act(Act::GiveUp(who));
                    play.check()?;
                }
                play.act(Act::Wait(5));
            }
            Ok(())
        };
        settle(&mut play)?;
        prop_assert_eq!(play.group.stage(), Stage::Stable);
        let read: Vec<Part> = play.clients.values().flat_map(|it| it.reads.clone()).collect();
        let all: Vec<Part> = (0..play.partitions).map(|number| (TopicId(1), number)).collect();
        let sorted: Vec<Part> = read.iter().copied().collect::<Parts>().into_iter().collect();
        prop_assert_eq!((read.len(), sorted), (all.len(), all));
        let targets = play.group.targets.clone();
        settle(&mut play)?;
        prop_assert_eq!(&play.group.targets, &targets);
    }
}

/// It used to be told to nobody, so that another could take the name and lose it again.
#[test]
fn a_lasting_name_said_after_joining_is_the_members() {
    let (mut group, now) = (Coordinated::new(terms()), seconds(0));
    let named = |beat: Beat, name: &str| Beat { instance: Some(name.to_owned()), ..beat };
    let epoch = send(&mut group, joining("a", 3), now).expect("joined").epoch;
    send(&mut group, named(beating("a", epoch, None), "x"), now).expect("heard");
    let other = send(&mut group, named(joining("b", 3), "x"), now);
    assert_eq!(other, Err(errors::UNRELEASED_INSTANCE_ID));
    // Its second name takes the place of the first.
    send(&mut group, named(beating("a", epoch, None), "y"), now).expect("heard");
    send(&mut group, named(joining("b", 3), "x"), now).expect("the name is free");
    let gone = Beat { epoch: LEAVE, ..beating("a", LEAVE, None) };
    send(&mut group, gone, now).expect("gone");
    let third = send(&mut group, named(joining("c", 3), "x"), now);
    assert_eq!(third, Err(errors::UNRELEASED_INSTANCE_ID), "it is still that of b");
    send(&mut group, named(joining("c", 3), "y"), now).expect("the name went with a");
}
