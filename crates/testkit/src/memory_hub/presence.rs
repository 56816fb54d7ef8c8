//! Who is present where, told on the project's presence topic; members leave with their
//! connection.

use super::access::{check_address, check_scope};
use super::append::publisher_header;
use super::state::State;
use super::{Call, MemoryHub};
use port::hub::PresenceMember;
use port::{ConnectionId, Identity, PresenceCall, Refusal};
use std::collections::BTreeMap;
use types::{Access, Key, Record, Scope, TopicName};

impl MemoryHub {
    pub(super) fn presence_now(
        &self,
        who: &Identity,
        connection: ConnectionId,
        topic: &TopicName,
        key: Option<&Key>,
        call: PresenceCall,
    ) -> Result<Vec<PresenceMember>, Refusal> {
        let address = presence_address(topic, key);
        let (members, shards) = {
            let mut state = self.state();
            self.admit(&mut state, who, Call::Presence)?;
            check_scope(who, Scope::EventsSubscribe)?;
            check_address(who, Access::Subscribe, topic, key.map(|key| key.bytes().as_ref()))?;
            let entered_at = self.now_ms();
            let project = state.project(who.project())?;
            let members = project.presence.entry(address.clone()).or_default();
            let change = match call {
                PresenceCall::Enter { member, data } => {
                    let principal = who.principal().clone();
                    let entered = PresenceMember { member, principal, data, entered_at };
                    members.insert(entered.member.clone(), (connection, entered.clone()));
                    Some(("enter", entered))
                }
                PresenceCall::Leave { member } => {
                    members.remove(&member).map(|(_, gone)| ("leave", gone))
                }
                PresenceCall::List => None,
            };
            let listed = members.values().map(|(_, member)| member.clone()).collect();
            if let Some((action, member)) = change {
                self.tell_presence(&mut state, who, &address, action, &member);
            }
            (listed, state.touch(who.project()))
        };
        self.wake(&shards);
        Ok(members)
    }

    /// Appends a change to the presence topic of the project.
    pub(super) fn tell_presence(
        &self,
        state: &mut State,
        who: &Identity,
        address: &[u8],
        action: &str,
        member: &PresenceMember,
    ) {
        let value = serde_json::json!({
            "action": action,
            "member": member.member,
            "principal": member.principal,
            "data": member.data,
            "at": member.entered_at,
        });
        let record = Record {
            key: Key::new(address.to_vec()).ok(),
            value: Some(value.to_string().into()),
            headers: [publisher_header(who)].into_iter().collect(),
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
                    let mine: BTreeMap<_, _> =
                        members.extract_if(.., |_, (owner, _)| *owner == id).collect();
                    gone.extend(mine.into_values().map(|(_, m)| (address.clone(), m)));
                }
            }
            for (address, member) in gone {
                self.tell_presence(&mut state, &who, &address, "leave", &member);
            }
            (state.touch(who.project()), closed)
        };
        self.wake(&shards);
    }
}

fn presence_address(topic: &TopicName, key: Option<&Key>) -> Vec<u8> {
    let mut address = topic.as_str().as_bytes().to_vec();
    if let Some(key) = key {
        address.push(b'/');
        address.extend_from_slice(key.bytes());
    }
    address
}
