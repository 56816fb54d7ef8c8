//! Who is present at an address. Held in memory for as long as the connections that entered are
//! open; changes travel as records of the project's presence topic, which is never stored.

use bytes::Bytes;
use parking_lot::Mutex;
use port::{Code, ConnectionId, PresenceMember, Refusal};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use types::{Key, PrincipalId, ProjectId, TimestampMs, TopicName};

/// Members at one address at most.
const MEMBERS_MAX: usize = 1_000;
/// Members one connection enters at most, over all addresses.
const MEMBERS_PER_CONNECTION_MAX: usize = 100;
const MEMBER_ID_BYTES_MAX: usize = 255;
const MEMBER_DATA_BYTES_MAX: usize = 4 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub project: ProjectId,
    pub topic: TopicName,
    pub key: Option<Key>,
}

impl Address {
    /// The key under which changes of this address travel.
    pub fn change_key(&self) -> Result<Key, Refusal> {
        let mut text = self.topic.as_str().as_bytes().to_vec();
        if let Some(key) = &self.key {
            text.push(b'/');
            text.extend_from_slice(key.bytes());
        }
        Key::new(text)
            .map_err(|error| Refusal::new(Code::InvalidRequest, error.to_string()).field("key"))
    }
}

/// One change, as its record's value says it.
#[derive(Debug, Serialize)]
pub struct Change<'a> {
    pub action: &'static str,
    pub member: &'a str,
    pub principal: &'a PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a serde_json::Value>,
    pub at: TimestampMs,
}

impl Change<'_> {
    pub fn value(&self) -> Bytes {
        // Strings, numbers and a JSON value: writing them to memory cannot fail.
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }
}

struct Present {
    member: PresenceMember,
    /// Connections that entered under this id; the member leaves with the last one.
    connections: Vec<ConnectionId>,
}

#[derive(Default)]
struct Rooms {
    present: HashMap<Address, BTreeMap<String, Present>>,
    entered: HashMap<ConnectionId, Vec<(Address, String)>>,
}

#[derive(Default)]
pub struct Presence(Mutex<Rooms>);

/// A member to enter.
pub struct Entering {
    pub connection: ConnectionId,
    pub member: PresenceMember,
}

impl Presence {
    /// `tell` runs, under the lock, when the member is new or brings new data.
    pub fn enter(
        &self,
        at: &Address,
        entering: Entering,
        tell: impl FnOnce(&PresenceMember),
    ) -> Result<(), Refusal> {
        check_member(&entering.member)?;
        let Entering { connection, member } = entering;
        let mut rooms = self.0.lock();
        let id = member.member.clone();
        let held = rooms.present.get(at).and_then(|room| room.get(&id));
        if held.is_some_and(|held| held.member.principal != member.principal) {
            return Err(Refusal::new(Code::Conflict, "another principal is present under this id")
                .field("member"));
        }
        let is_in = held.is_some_and(|held| held.connections.contains(&connection));
        if !is_in {
            let entered = rooms.entered.get(&connection).map_or(0, Vec::len);
            let members = rooms.present.get(at).map_or(0, BTreeMap::len);
            if entered >= MEMBERS_PER_CONNECTION_MAX || members >= MEMBERS_MAX {
                return Err(Refusal::new(Code::ProjectLimitExceeded, "too many members present")
                    .field("member"));
            }
            rooms.entered.entry(connection).or_default().push((at.clone(), id.clone()));
        }
        let room = rooms.present.entry(at.clone()).or_default();
        let Some(present) = room.get_mut(&id) else {
            tell(&member);
            room.insert(id, Present { member, connections: vec![connection] });
            return Ok(());
        };
        if !is_in {
            present.connections.push(connection);
        }
        if present.member.data != member.data {
            present.member.data = member.data;
            tell(&present.member);
        }
        Ok(())
    }

    /// `tell` runs, under the lock, when this was the member's last connection.
    pub fn leave(
        &self,
        at: &Address,
        connection: ConnectionId,
        id: &str,
        tell: impl FnOnce(&PresenceMember),
    ) {
        let mut rooms = self.0.lock();
        if let Some(entered) = rooms.entered.get_mut(&connection) {
            entered.retain(|(address, member)| address != at || member != id);
            if entered.is_empty() {
                rooms.entered.remove(&connection);
            }
        }
        if let Some(member) = rooms.leave(at, connection, id) {
            tell(&member);
        }
    }

    /// The connection is gone: `tell` runs, under the lock, for each member that leaves with it.
    pub fn leave_all(&self, connection: ConnectionId, tell: impl Fn(&Address, &PresenceMember)) {
        let mut rooms = self.0.lock();
        for (at, id) in rooms.entered.remove(&connection).unwrap_or_default() {
            if let Some(member) = rooms.leave(&at, connection, &id) {
                tell(&at, &member);
            }
        }
    }

    pub fn list(&self, at: &Address) -> Vec<PresenceMember> {
        let rooms = self.0.lock();
        let room = rooms.present.get(at);
        room.into_iter().flat_map(|room| room.values()).map(|it| it.member.clone()).collect()
    }
}

impl Rooms {
    fn leave(
        &mut self,
        at: &Address,
        connection: ConnectionId,
        id: &str,
    ) -> Option<PresenceMember> {
        let room = self.present.get_mut(at)?;
        let present = room.get_mut(id)?;
        present.connections.retain(|&held| held != connection);
        if !present.connections.is_empty() {
            return None;
        }
        let left = room.remove(id)?;
        if room.is_empty() {
            self.present.remove(at);
        }
        Some(left.member)
    }
}

fn check_member(member: &PresenceMember) -> Result<(), Refusal> {
    if member.member.is_empty() || member.member.len() > MEMBER_ID_BYTES_MAX {
        return Err(
            Refusal::new(Code::InvalidRequest, "a member id has 1 to 255 bytes").field("member")
        );
    }
    let size = member.data.as_ref().map_or(0, |data| data.to_string().len());
    if size > MEMBER_DATA_BYTES_MAX {
        return Err(Refusal::new(Code::PayloadTooLarge, "a member's data has at most 4096 bytes")
            .field("data"));
    }
    Ok(())
}
