//! A call of presence: checked, carried out, told. What must be told now is told under the rooms'
//! lock, which keeps it in the order of what happened; telling only queues.

use super::address::Address;
use super::refusals;
use super::rooms::{Act, MustBePresent, Rooms, Telling, Turn};
use crate::node::Node;
use crate::occupancy::Step;
use port::presence::{PRESENCE_PAGE_MAX, PresenceAction, PresenceChanges};
use port::{Code, ConnectionId, Identity, Lease, PresenceAnswer, PresenceCall, Refusal, metric};
use types::{Operation, Record, TopicName};

/// Bytes of changes in one record, give or take one change; what is more goes into a further one.
const RECORD_BYTES_MAX: usize = 64 * 1024;

impl Node {
    pub(crate) async fn be_present(
        &self,
        who: &Identity,
        connection: Option<&Lease>,
        at: Address,
        call: PresenceCall,
    ) -> Result<PresenceAnswer, Refusal> {
        let snapshot = self.admit(who)?;
        let key = at.key.as_ref().map(|key| &key.bytes()[..]);
        let now_ms = self.world.clock.now_ms();
        snapshot.check_address(who.claims(), Operation::Presence, &at.topic, key, now_ms)?;
        // A key too long to be told of is refused before anything changes.
        at.record_key()?;
        if call.limit > PRESENCE_PAGE_MAX {
            let message = format!("an answer lists at most {PRESENCE_PAGE_MAX} members");
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("limit")
                .hint("list in pages, with `after`"));
        }
        let mut rooms = self.presence.rooms.lock();
        let act = Act {
            who,
            at: &at,
            connection: connection.map(|lease| lease.id),
            now: self.world.clock.monotonic(),
            now_ms,
        };
        let mut after = None;
        let mut lease = None;
        match call.action {
            PresenceAction::Enter(entering) => {
                lease = rooms.enter(&act, entering, MustBePresent::No)?;
            }
            PresenceAction::Update(entering) => {
                lease = rooms.enter(&act, entering, MustBePresent::Yes)?;
            }
            PresenceAction::Leave { member, device } => {
                refusals::check_device(device.as_deref())?;
                rooms.leave(&act, member, device)?;
            }
            PresenceAction::List { after: last } => after = last,
        }
        self.tell_due(&mut rooms);
        Ok(PresenceAnswer { lease, ..rooms.answer(&at, after.as_deref(), call.limit) })
    }

    /// A connection is gone: its devices leave.
    pub(crate) fn leave_with(&self, connection: ConnectionId) {
        let mut rooms = self.presence.rooms.lock();
        rooms.leave_all(connection, self.world.clock.monotonic());
        self.tell_due(&mut rooms);
    }

    /// Leased devices leave whose holder lost the right to be there.
    pub(crate) fn end_leases(&self, is_over: impl FnMut(&Identity) -> bool) {
        let mut rooms = self.presence.rooms.lock();
        rooms.end_leases(self.world.clock.monotonic(), is_over);
        self.tell_due(&mut rooms);
    }

    /// Tells what is due, and hands on which addresses were filled or emptied.
    pub(crate) fn tell_due(&self, rooms: &mut Rooms) {
        let (now, now_ms) = (self.world.clock.monotonic(), self.world.clock.now_ms());
        while let Some(telling) = rooms.next_telling(now, now_ms) {
            if let Err(refusal) = self.tell(telling) {
                tracing::warn!(%refusal, "changes of presence could not be told");
            }
        }
        for (at, tenant, turn) in rooms.take_turns() {
            let step = match turn {
                Turn::Filled if !self.has_occupancy(at.project, &at.topic) => continue,
                Turn::Filled => Step::Filled,
                Turn::Emptied => Step::Emptied,
            };
            self.note_occupancy(&at, tenant, step);
        }
        self.presence.wake_for(rooms.next_due());
    }

    fn tell(&self, telling: Telling) -> Result<(), Refusal> {
        let Telling { at, changes } = telling;
        metrics::counter!(metric::PRESENCE_CHANGES).increment(changes.changes.len() as u64);
        for part in in_parts(changes) {
            self.append_changes(&at, &part)?;
        }
        Ok(())
    }

    fn append_changes(&self, at: &Address, changes: &PresenceChanges) -> Result<(), Refusal> {
        // Made by its first follower: without one there is nobody to be told.
        let Some(topic) = self.catalogue.get(at.project, &TopicName::presence()) else {
            return Ok(());
        };
        let record = Record {
            key: Some(at.record_key()?),
            value: Some(changes.value()),
            headers: std::iter::once(changes.header()).collect(),
            timestamp: None,
        };
        // The record is in its partition before this returns; nobody waits for more.
        drop(self.engine.append(topic.id, 0, vec![record]));
        Ok(())
    }
}

/// The same changes in parts that fit a record each; all of them say the same counts.
fn in_parts(changes: PresenceChanges) -> Vec<PresenceChanges> {
    let PresenceChanges { changes, incomplete, counts } = changes;
    let mut parts = vec![PresenceChanges { changes: Vec::new(), incomplete, counts }];
    let mut bytes = 0;
    for change in changes {
        let size = change.member.len()
            + change.principal.0.len()
            + change.data.as_ref().map_or(0, |data| data.to_string().len());
        if bytes > 0 && bytes + size > RECORD_BYTES_MAX {
            parts.push(PresenceChanges { changes: Vec::new(), incomplete, counts });
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.changes.push(change);
        }
    }
    parts
}
