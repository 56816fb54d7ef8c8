//! The rooms against a model that knows only who is where: whatever is called in whatever order,
//! the counts are the model's, and who applies what followers are told has the same members.

use super::address::Address;
use super::rooms::{Act, CHANGES_MAX, MustBePresent, Rooms, Turn};
use super::settings::Settings;
use port::presence::{Entering, MemberData, PresenceAction};
use port::{ConnectionId, Identity, PresenceCounts};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use testkit::memory_hub::MemoryHub;
use types::{Limits, TopicName};

fn somebody() -> Identity {
    let hub = MemoryHub::new();
    let place = hub.place(Limits::default());
    hub.identity(&hub.admin_key(place))
}

fn address(who: &Identity) -> Address {
    let topic = TopicName::parse("room").expect("a topic");
    Address { project: who.project(), topic, key: None }
}

/// The rooms of a node with one address, and a follower of it that remembers what it was told.
struct Stage {
    who: Identity,
    at: Address,
    rooms: Rooms,
    now: Duration,
    told: BTreeMap<String, Option<Value>>,
    tellings: usize,
}

impl Stage {
    fn new(settings: Settings) -> Stage {
        let who = somebody();
        let at = address(&who);
        let rooms = Rooms::new(settings);
        Stage { who, at, rooms, now: Duration::ZERO, told: BTreeMap::new(), tellings: 0 }
    }

    fn act(&mut self, connection: Option<u64>, action: PresenceAction) -> Result<(), port::Code> {
        let act = Act {
            who: &self.who,
            at: &self.at,
            connection: connection.map(ConnectionId),
            now: self.now,
            now_ms: self.now.as_millis() as i64,
        };
        let done = match action {
            PresenceAction::Enter(it) => self.rooms.enter(&act, it, MustBePresent::No).map(|_| ()),
            PresenceAction::Update(it) => {
                self.rooms.enter(&act, it, MustBePresent::Yes).map(|_| ())
            }
            PresenceAction::Leave { member, device } => self.rooms.leave(&act, member, device),
            PresenceAction::List { .. } => Ok(()),
        };
        self.hear();
        done.map_err(|refusal| refusal.code())
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.rooms.expire(self.now);
        self.hear();
    }

    /// Applies what is told, as a client does.
    fn hear(&mut self) {
        while let Some(telling) = self.rooms.next_telling(self.now, 0) {
            self.tellings += 1;
            for change in telling.changes.changes {
                match change.action {
                    "enter" => {
                        let before = self.told.insert(change.member, change.data);
                        assert_eq!(before, None, "entered twice");
                    }
                    "update" => {
                        let before = self.told.insert(change.member, change.data);
                        assert!(before.is_some(), "updated and never entered");
                    }
                    _ => assert!(self.told.remove(&change.member).is_some(), "left twice"),
                }
            }
        }
    }

    fn counts(&self) -> PresenceCounts {
        self.rooms.answer(&self.at, None, 0).counts
    }

    fn members(&self) -> BTreeMap<String, Option<Value>> {
        let answer = self.rooms.answer(&self.at, None, usize::MAX);
        answer.members.into_iter().map(|it| (it.member, it.data)).collect()
    }
}

fn entering(member: &str) -> Entering {
    Entering { member: member.to_owned(), device: None, data: MemberData::Keep, lease: None }
}

#[derive(Debug, Clone)]
enum Step {
    Enter { by: Option<u64>, member: u8, device: Option<u8>, data: Option<u8>, lease: Option<u64> },
    Update { by: u64, member: u8, data: Option<u8> },
    Leave { by: Option<u64>, member: u8, device: Option<u8> },
    Close(u64),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let by = || prop::option::of(0..3u64);
    let device = || prop::option::of(0..3u8);
    let data = || prop::option::of(0..3u8);
    let step = prop_oneof![
        4 => (by(), 0..4u8, device(), data(), prop::option::of(1..6u64)).prop_map(
            |(by, member, device, data, lease)| Step::Enter { by, member, device, data, lease }
        ),
        1 => (0..3u64, 0..4u8, data())
            .prop_map(|(by, member, data)| Step::Update { by, member, data }),
        2 => (by(), 0..4u8, device())
            .prop_map(|(by, member, device)| Step::Leave { by, member, device }),
        1 => (0..3u64).prop_map(Step::Close),
        2 => (1..3_000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

/// What ends a device, as the model sees it: its connection, or a moment in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    With(u64),
    At(u64),
}

#[derive(Default)]
struct Model {
    devices: BTreeMap<(String, String), End>,
    data: BTreeMap<String, Option<Value>>,
    now_ms: u64,
}

impl Model {
    fn settle(&mut self) {
        let now = self.now_ms;
        self.devices.retain(|_, end| !matches!(end, End::At(at) if *at <= now));
        let there: BTreeSet<&String> = self.devices.keys().map(|(member, _)| member).collect();
        self.data.retain(|member, _| there.contains(member));
    }

    fn counts(&self) -> PresenceCounts {
        PresenceCounts { members: self.data.len(), connections: self.devices.len() }
    }
}

fn name(by: Option<u64>, device: Option<u8>) -> String {
    match (device, by) {
        (Some(device), _) => format!("d{device}"),
        (None, Some(by)) => format!("connection {by}"),
        (None, None) => "default".to_owned(),
    }
}

fn set(data: Option<u8>) -> MemberData {
    match data {
        None => MemberData::Keep,
        Some(0) => MemberData::Set(None),
        Some(n) => MemberData::Set(Some(json!(n))),
    }
}

fn apply(stage: &mut Stage, model: &mut Model, step: Step) {
    let put = |model: &mut Model, member: &str, data: &MemberData| {
        let held = model.data.entry(member.to_owned()).or_default();
        if let MemberData::Set(data) = data {
            held.clone_from(data);
        }
    };
    let device_of = |device: Option<u8>| device.map(|n| format!("d{n}"));
    match step {
        Step::Enter { by, member, device, data, lease } => {
            let member = format!("m{member}");
            let lease_ms = lease.map(|seconds| seconds * 1_000);
            let entering = Entering {
                member: member.clone(),
                device: device_of(device),
                data: set(data),
                lease: lease_ms.map(Duration::from_millis),
            };
            let done = stage.act(by, PresenceAction::Enter(entering));
            let end = match (lease_ms, by) {
                (Some(lease), _) => End::At(model.now_ms + lease),
                (None, Some(by)) => End::With(by),
                (None, None) => return assert_eq!(done, Err(port::Code::InvalidRequest)),
            };
            assert_eq!(done, Ok(()));
            model.devices.insert((member.clone(), name(by, device)), end);
            put(model, &member, &set(data));
        }
        Step::Update { by, member, data } => {
            let member = format!("m{member}");
            let update = Entering { data: set(data), ..entering(&member) };
            let done = stage.act(Some(by), PresenceAction::Update(update));
            let device = (member.clone(), name(Some(by), None));
            if !model.devices.contains_key(&device) {
                return assert_eq!(done, Err(port::Code::NotFound));
            }
            model.devices.insert(device, End::With(by));
            put(model, &member, &set(data));
        }
        Step::Leave { by, member, device } => {
            let member = format!("m{member}");
            let leave = PresenceAction::Leave { member: member.clone(), device: device_of(device) };
            assert_eq!(stage.act(by, leave), Ok(()));
            model.devices.remove(&(member, name(by, device)));
        }
        Step::Close(by) => {
            stage.rooms.leave_all(ConnectionId(by), stage.now);
            stage.hear();
            model.devices.retain(|_, end| *end != End::With(by));
        }
        Step::Wait(ms) => {
            stage.advance(Duration::from_millis(ms));
            model.now_ms += ms;
        }
    }
    model.settle();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// **Feature: realtime-saas-platform, Property HUB-12: the counts of presence are those of the
    /// devices that entered and neither left, lost their connection nor outlived their lease, under
    /// any sequence of calls; and who applies the changes told has the same members.**
    #[test]
    fn counts_and_changes_are_those_of_a_model(steps in steps()) {
        let mut stage = Stage::new(Settings::default());
        let mut model = Model::default();
        let mut was_filled = false;
        for step in steps {
            apply(&mut stage, &mut model, step);
            prop_assert_eq!(stage.counts(), model.counts());
            prop_assert_eq!(stage.members(), model.data.clone());
            for (_, _, turn) in stage.rooms.take_turns() {
                prop_assert_eq!(turn == Turn::Filled, !was_filled, "turns alternate");
                was_filled = turn == Turn::Filled;
            }
            prop_assert_eq!(was_filled, !model.data.is_empty());
        }
        // All windows over, and no lease: the follower knows what is.
        let wait = Duration::from_millis(200);
        stage.advance(wait);
        model.now_ms += 200;
        model.settle();
        prop_assert_eq!(&stage.told, &model.data);
    }
}

#[test]
fn who_comes_in_a_crowd_is_told_together() {
    let mut stage = Stage::new(Settings::default());
    for n in 0..100 {
        stage.act(Some(n), PresenceAction::Enter(entering(&format!("m{n}")))).expect("room");
    }
    assert_eq!((stage.tellings, stage.told.len()), (1, 1), "the first one at once");
    stage.advance(Duration::from_millis(100));
    assert_eq!((stage.tellings, stage.told.len()), (2, 100), "the others together");
    stage.advance(Duration::from_secs(1));
    // Who comes and goes within a window was never seen.
    stage.act(Some(0), PresenceAction::Enter(entering("one"))).expect("room");
    stage.act(Some(1), PresenceAction::Enter(entering("two"))).expect("room");
    stage.rooms.leave_all(ConnectionId(1), stage.now);
    stage.advance(Duration::from_secs(1));
    assert!(stage.told.contains_key("one") && !stage.told.contains_key("two"));
}

#[test]
fn more_than_one_frame_takes_is_said_to_be_incomplete() {
    let mut stage = Stage::new(Settings::default());
    let crowd = CHANGES_MAX + 10;
    for n in 0..crowd {
        let act = Act {
            who: &stage.who,
            at: &stage.at,
            connection: Some(ConnectionId(n as u64)),
            now: Duration::ZERO,
            now_ms: 0,
        };
        let entering = entering(&format!("m{n:04}"));
        stage.rooms.enter(&act, entering, MustBePresent::No).expect("room");
    }
    let telling = stage.rooms.next_telling(Duration::ZERO, 0).expect("changes");
    assert!(telling.changes.incomplete);
    assert_eq!(telling.changes.changes.len(), CHANGES_MAX);
    assert_eq!(telling.changes.counts.members, crowd);
    assert!(stage.rooms.next_telling(Duration::ZERO, 0).is_none());
}

#[test]
fn limits_hold_and_leases_are_shortened() {
    let settings = Settings {
        members_per_address_max: 3,
        members_per_connection_max: 2,
        lease_ms_max: 5_000,
        ..Settings::default()
    };
    let mut stage = Stage::new(settings);
    let full = Err(port::Code::ProjectLimitExceeded);
    let enter = |name: &str| PresenceAction::Enter(entering(name));
    assert_eq!(stage.act(Some(1), enter("a")), Ok(()));
    assert_eq!(stage.act(Some(1), enter("b")), Ok(()));
    assert_eq!(stage.act(Some(1), enter("c")), full, "two by one connection");
    let leased = |name: &str| {
        let lease = Some(Duration::from_secs(3_600));
        PresenceAction::Enter(Entering { lease, ..entering(name) })
    };
    assert_eq!(stage.act(Some(1), leased("c")), Ok(()), "a lease is no burden of a connection");
    assert_eq!(stage.act(Some(2), enter("d")), full, "three at one address");
    assert_eq!(stage.act(Some(2), enter("c")), Ok(()), "another device of a member");
    assert_eq!(stage.counts(), PresenceCounts { members: 3, connections: 4 });
    assert_eq!(stage.rooms.next_due(), Some(Duration::from_millis(100)));
    stage.advance(Duration::from_millis(4_999));
    assert_eq!(stage.counts().connections, 4);
    assert_eq!(stage.rooms.next_due(), Some(Duration::from_secs(5)), "an hour was asked for");
    stage.advance(Duration::from_millis(1));
    assert_eq!(stage.counts(), PresenceCounts { members: 3, connections: 3 });
    let short = Entering { lease: Some(Duration::from_millis(999)), ..entering("a") };
    assert_eq!(stage.act(None, PresenceAction::Enter(short)), Err(port::Code::InvalidRequest));
}

#[test]
fn a_member_is_its_principals() {
    let mut stage = Stage::new(Settings::default());
    stage.act(Some(1), PresenceAction::Enter(entering("a"))).expect("room");
    stage.who = somebody();
    let conflict = Err(port::Code::Conflict);
    assert_eq!(stage.act(Some(2), PresenceAction::Enter(entering("a"))), conflict);
    let leave = PresenceAction::Leave { member: "a".to_owned(), device: None };
    assert_eq!(stage.act(Some(1), leave), conflict);
}

#[test]
fn leases_end_with_the_right_to_hold_them() {
    let mut stage = Stage::new(Settings::default());
    let lease = Some(Duration::from_secs(60));
    let leased = PresenceAction::Enter(Entering { lease, ..entering("a") });
    stage.act(None, leased).expect("room");
    stage.act(Some(1), PresenceAction::Enter(entering("b"))).expect("room");
    stage.rooms.end_leases(stage.now, |_| false);
    assert_eq!(stage.counts().members, 2);
    stage.rooms.end_leases(stage.now, |_| true);
    assert_eq!(stage.members().into_keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(stage.rooms.next_due(), Some(Duration::from_millis(100)));
}
