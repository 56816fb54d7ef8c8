//! Who is present where, told on the project's presence topic, each change by itself. Devices leave
//! with their connection; leases end when somebody looks.

use super::access::{check_address, check_scope};
use super::append::publisher_header;
use super::state::{Held, Members, Present, State};
use super::{Call, MemoryHub};
use port::presence::{
    DEVICE_DEFAULT, Entering, MemberData, PresenceAction, PresenceChange, PresenceChanges,
};
use port::{
    Code, ConnectionId, Identity, PresenceAnswer, PresenceCall, PresenceCounts, PresenceMember,
    Refusal,
};
use std::ops::Bound;
use types::{Access, Key, Record, Scope, TopicName};

impl MemoryHub {
    pub(super) fn presence_now(
        &self,
        who: &Identity,
        connection: Option<ConnectionId>,
        topic: &TopicName,
        key: Option<&Key>,
        call: PresenceCall,
    ) -> Result<PresenceAnswer, Refusal> {
        let address = presence_address(topic, key);
        let now = self.0.clock.monotonic();
        let (answer, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Presence)?;
            check_scope(who, Scope::EventsSubscribe)?;
            check_address(who, Access::Subscribe, topic, key.map(|key| key.bytes().as_ref()))?;
            let entered_at = self.now_ms();
            let project = state.project(who.project())?;
            let members = project.presence.entry(address.clone()).or_default();
            let gone =
                drop_devices(members, |held| matches!(held, Held::Until(end) if *end <= now));
            let mut changes: Vec<_> = gone.into_iter().map(|member| ("leave", member)).collect();
            let (mut after, mut lease) = (None, None);
            match call.action {
                PresenceAction::Enter(entering) => {
                    lease = entering.lease;
                    let held = held(&entering, connection, now)?;
                    changes.extend(enter(members, who, held, connection, entering, entered_at));
                }
                PresenceAction::Update(entering) => {
                    if !members.contains_key(&entering.member) {
                        return Err(Refusal::new(Code::NotFound, "the member is not present"));
                    }
                    lease = entering.lease;
                    let held = held(&entering, connection, now)?;
                    changes.extend(enter(members, who, held, connection, entering, entered_at));
                }
                PresenceAction::Leave { member, device } => {
                    let device = device_name(device, connection);
                    if let Some(present) = members.get_mut(&member) {
                        present.devices.remove(&device);
                    }
                    let gone = drop_devices(members, |_| false);
                    changes.extend(gone.into_iter().map(|member| ("leave", member)));
                }
                PresenceAction::List { after: last } => after = last,
            }
            let counts = counts(members);
            let answer = PresenceAnswer { lease, ..page(members, after.as_deref(), call.limit) };
            for (action, member) in changes {
                self.tell_presence(&mut state, who, &address, action, &member, counts);
            }
            (answer, state.touch(who.project()))
        };
        self.wake(&shards);
        Ok(answer)
    }

    /// Appends a change to the presence topic of the project.
    pub(super) fn tell_presence(
        &self,
        state: &mut State,
        who: &Identity,
        address: &[u8],
        action: &'static str,
        member: &PresenceMember,
        counts: PresenceCounts,
    ) {
        let change = PresenceChange {
            action,
            member: member.member.clone(),
            principal: member.principal.clone(),
            data: member.data.clone(),
            at: member.entered_at,
        };
        let changes = PresenceChanges { changes: vec![change], incomplete: false, counts };
        let record = Record {
            key: Key::new(address.to_vec()).ok(),
            value: Some(changes.value()),
            headers: [publisher_header(who), changes.header()].into_iter().collect(),
            timestamp: None,
        };
        let now_ms = self.now_ms();
        if let Ok(topic) = self.topic_or_new(state, who, &TopicName::presence()) {
            topic.append(now_ms, record);
        }
    }

    /// A connection is over: its seconds are counted and its members leave.
    pub(super) fn give_up(&self, id: ConnectionId) {
        let now = self.0.clock.monotonic();
        let (shards, _closed) = {
            let mut state = self.state();
            let Some(closed) = state.connections.remove(&id) else { return };
            let who = closed.who.clone();
            let mut gone = Vec::new();
            if let Ok(project) = state.project(who.project()) {
                let open = now.saturating_sub(closed.counted_until);
                project.usage.connection_seconds += open.as_secs();
                for (address, members) in &mut project.presence {
                    let left = drop_devices(members, |held| *held == Held::By(id));
                    let counts = counts(members);
                    gone.extend(left.into_iter().map(|it| (address.clone(), it, counts)));
                }
            }
            for (address, member, counts) in gone {
                self.tell_presence(&mut state, &who, &address, "leave", &member, counts);
            }
            (state.touch(who.project()), closed)
        };
        self.wake(&shards);
    }
}

fn held(
    entering: &Entering,
    connection: Option<ConnectionId>,
    now: std::time::Duration,
) -> Result<Held, Refusal> {
    match (entering.lease, connection) {
        (Some(lease), _) => Ok(Held::Until(now + lease)),
        (None, Some(id)) => Ok(Held::By(id)),
        (None, None) => Err(Refusal::new(Code::InvalidRequest, "a lease is needed")),
    }
}

fn device_name(device: Option<String>, connection: Option<ConnectionId>) -> String {
    let by_connection = connection.map(|id| format!("#{}", id.0));
    device.or(by_connection).unwrap_or_else(|| DEVICE_DEFAULT.to_owned())
}

/// The change to be told, if it is one.
fn enter(
    members: &mut Members,
    who: &Identity,
    held: Held,
    connection: Option<ConnectionId>,
    entering: Entering,
    entered_at: i64,
) -> Option<(&'static str, PresenceMember)> {
    let device = device_name(entering.device, connection);
    let is_new = !members.contains_key(&entering.member);
    let present = members.entry(entering.member.clone()).or_insert_with(|| Present {
        member: PresenceMember {
            member: entering.member,
            principal: who.principal().clone(),
            data: None,
            entered_at,
            connections: 0,
        },
        devices: Default::default(),
    });
    present.devices.insert(device, held);
    present.member.connections = present.devices.len();
    let mut action = is_new.then_some("enter");
    if let MemberData::Set(data) = entering.data
        && data != present.member.data
    {
        present.member.data = data;
        action = action.or(Some("update"));
    }
    action.map(|action| (action, present.member.clone()))
}

/// Members that leave, because their last device goes.
fn drop_devices(members: &mut Members, is_over: impl Fn(&Held) -> bool) -> Vec<PresenceMember> {
    for present in members.values_mut() {
        present.devices.retain(|_, held| !is_over(held));
        present.member.connections = present.devices.len();
    }
    let gone = members.extract_if(.., |_, present| present.devices.is_empty());
    gone.map(|(_, present)| present.member).collect()
}

fn counts(members: &Members) -> PresenceCounts {
    let connections = members.values().map(|present| present.devices.len()).sum();
    PresenceCounts { members: members.len(), connections }
}

fn page(members: &Members, after: Option<&str>, limit: usize) -> PresenceAnswer {
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = members.range::<str, _>((after, Bound::Unbounded));
    let listed: Vec<_> = rest.by_ref().take(limit).map(|(_, it)| it.member.clone()).collect();
    let next = listed.last().filter(|_| rest.next().is_some()).map(|last| last.member.clone());
    PresenceAnswer { next, members: listed, counts: counts(members), lease: None }
}

fn presence_address(topic: &TopicName, key: Option<&Key>) -> Vec<u8> {
    let mut address = topic.as_str().as_bytes().to_vec();
    if let Some(key) = key {
        address.push(b'/');
        address.extend_from_slice(key.bytes());
    }
    address
}
