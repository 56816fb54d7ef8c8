//! Who is present where, as a state machine: calls and times in, the changes to be told out. It
//! knows no lock, no clock, no log and no topic; times are those of the node's monotonic clock.
//!
//! A member is present while any of its devices is. A device is held by its connection, or by a
//! lease, never by both: what ends it is always one thing.
//!
//! Changes are told in windows: the first one of an address that was quiet at once, what follows
//! together at the end of the window. What is told is the difference between what followers heard
//! last and what is, so who comes and goes within one window is not told at all.

use super::address::Address;
use super::refusals;
use super::settings::Settings;
use port::presence::{
    DEVICE_DEFAULT, Entering, MemberData, PresenceAnswer, PresenceChange, PresenceChanges,
};
use port::{ConnectionId, Identity, PresenceCounts, PresenceMember, Refusal};
use serde_json::Value;
use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::time::Duration;
use types::{PrincipalId, ProjectId, TenantId, TimestampMs};

/// Changes told together at most; beyond it followers are told that the list is incomplete.
pub const CHANGES_MAX: usize = 256;
/// Devices of one member at most.
const DEVICES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Device {
    /// The connection that entered without naming a device.
    Connection(ConnectionId),
    Named(Box<str>),
}

/// What ends a device.
enum Hold {
    Connection(ConnectionId),
    Lease { order: LeaseOrder, who: Identity },
}

/// Who holds a device.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    Lease(&'a Identity),
    /// Whoever the connection is.
    Connection(ConnectionId),
}

/// When a lease ends, and a number that tells leases of one moment apart.
type LeaseOrder = (Duration, u64);

struct Held {
    device: Device,
    hold: Hold,
}

struct Member {
    principal: PrincipalId,
    data: Option<Value>,
    entered_at: TimestampMs,
    devices: Vec<Held>,
}

/// What followers were told last of a member that has changed since.
enum Told {
    Absent,
    Present { principal: PrincipalId, data: Option<Value> },
}

struct Room {
    tenant: TenantId,
    members: BTreeMap<String, Member>,
    connections: usize,
    touched: BTreeMap<String, Told>,
    /// More members changed than `touched` holds.
    is_overrun: bool,
    /// The window that began with the last telling ends here.
    window_ends: Duration,
    due: Option<Duration>,
}

/// Where one device is.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    at: Address,
    member: String,
    device: Device,
}

/// Who acts, where and when.
pub struct Act<'a> {
    pub who: &'a Identity,
    pub at: &'a Address,
    pub connection: Option<ConnectionId>,
    pub now: Duration,
    pub now_ms: TimestampMs,
}

/// What followers of an address are to be told.
pub struct Telling {
    pub at: Address,
    pub changes: PresenceChanges,
}

/// An address got its first member, or lost its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Filled,
    Emptied,
}

pub struct Rooms {
    settings: Settings,
    rooms: HashMap<Address, Room>,
    by_connection: HashMap<ConnectionId, Vec<Place>>,
    leases: BTreeMap<LeaseOrder, Place>,
    leases_made: u64,
    due: BTreeSet<(Duration, Address)>,
    members_of: HashMap<ProjectId, usize>,
    /// Not yet heard of by whoever keeps occupancy.
    turns: Vec<(Address, TenantId, Turn)>,
}

impl Rooms {
    pub fn new(settings: Settings) -> Rooms {
        Rooms {
            settings,
            rooms: HashMap::new(),
            by_connection: HashMap::new(),
            leases: BTreeMap::new(),
            leases_made: 0,
            due: BTreeSet::new(),
            members_of: HashMap::new(),
            turns: Vec::new(),
        }
    }

    /// Answers the lease that was granted, if one was asked for.
    pub fn enter(
        &mut self,
        act: &Act<'_>,
        entering: Entering,
        must_be_present: MustBePresent,
    ) -> Result<Option<Duration>, Refusal> {
        refusals::check_entering(&entering)?;
        let device = Device::of(entering.device, act.connection);
        let lease = self.settings.grant(entering.lease, act)?;
        let room = self.rooms.get(act.at);
        let member = room.and_then(|room| room.members.get(&entering.member));
        if member.is_some_and(|member| member.principal != *act.who.principal()) {
            return Err(refusals::of_another_principal());
        }
        let held = member.and_then(|it| it.devices.iter().find(|held| held.device == device));
        if held.is_none() {
            if must_be_present == MustBePresent::Yes {
                return Err(refusals::not_present());
            }
            self.check_room(act, member.map(|member| member.devices.len()))?;
        }
        let is_same_hold = match (held.map(|held| &held.hold), lease, act.connection) {
            (Some(Hold::Connection(by)), None, Some(connection)) => *by == connection,
            _ => false,
        };
        let place = Place { at: act.at.clone(), member: entering.member, device };
        if !is_same_hold {
            self.check_connection(act, lease)?;
            let hold = self.make_hold(act, &place, lease)?;
            self.put_device(act, &place, hold);
        }
        self.set_data(act, &place.member, entering.data);
        Ok(lease)
    }

    /// Room for one more device that its connection holds.
    fn check_connection(&self, act: &Act<'_>, lease: Option<Duration>) -> Result<(), Refusal> {
        let by_this = act.connection.filter(|_| lease.is_none());
        let by_this = by_this.and_then(|id| self.by_connection.get(&id)).map_or(0, Vec::len);
        if by_this >= self.settings.members_per_connection_max {
            return Err(refusals::full("members_per_connection_max"));
        }
        Ok(())
    }

    /// Room for one more device; `devices` are those of its member, `None` when that is new.
    fn check_room(&self, act: &Act<'_>, devices: Option<usize>) -> Result<(), Refusal> {
        let settings = &self.settings;
        if devices.is_some_and(|devices| devices >= DEVICES_MAX) {
            return Err(refusals::full("devices"));
        }
        if devices.is_none() {
            let here = self.rooms.get(act.at).map_or(0, |room| room.members.len());
            if here >= settings.members_per_address_max {
                return Err(refusals::full("members_per_address_max"));
            }
            let in_project = self.members_of.get(&act.at.project).copied().unwrap_or(0);
            if in_project >= settings.members_per_project_max {
                return Err(refusals::full("members_per_project_max"));
            }
        }
        Ok(())
    }

    fn make_hold(
        &mut self,
        act: &Act<'_>,
        place: &Place,
        lease: Option<Duration>,
    ) -> Result<Hold, Refusal> {
        match (lease, act.connection) {
            (Some(lease), _) => {
                self.leases_made += 1;
                let order = (act.now + lease, self.leases_made);
                self.leases.insert(order, place.clone());
                Ok(Hold::Lease { order, who: act.who.clone() })
            }
            (None, Some(connection)) => {
                self.by_connection.entry(connection).or_default().push(place.clone());
                Ok(Hold::Connection(connection))
            }
            (None, None) => Err(refusals::no_lease()),
        }
    }

    /// Puts the device under its new hold, into a member and a room made when missing.
    fn put_device(&mut self, act: &Act<'_>, place: &Place, hold: Hold) {
        let tenant = act.who.tenant();
        let room = self.rooms.entry(place.at.clone()).or_insert_with(|| Room::new(tenant));
        let had_members = !room.members.is_empty();
        let (member, is_new) = match room.members.entry(place.member.clone()) {
            Entry::Occupied(found) => (found.into_mut(), false),
            Entry::Vacant(free) => {
                let (principal, entered_at) = (act.who.principal().clone(), act.now_ms);
                let member = Member { principal, data: None, entered_at, devices: Vec::new() };
                (free.insert(member), true)
            }
        };
        let old = match member.devices.iter_mut().find(|held| held.device == place.device) {
            Some(held) => Some(std::mem::replace(&mut held.hold, hold)),
            None => {
                member.devices.push(Held { device: place.device.clone(), hold });
                room.connections += 1;
                None
            }
        };
        let is_changed = old.is_none();
        if is_new {
            room.touch(&place.member, || Told::Absent);
            *self.members_of.entry(place.at.project).or_default() += 1;
            metrics::gauge!(port::metric::PRESENCE_MEMBERS).increment(1);
        }
        if is_changed {
            self.make_due(&place.at, act.now);
        }
        if let Some(old) = old {
            self.release(old, place);
        }
        if !had_members {
            self.turns.push((place.at.clone(), tenant, Turn::Filled));
        }
    }

    fn set_data(&mut self, act: &Act<'_>, id: &str, data: MemberData) {
        let (MemberData::Set(data), Some(room)) = (data, self.rooms.get_mut(act.at)) else {
            return;
        };
        let Some(member) = room.members.get_mut(id) else { return };
        if member.data == data {
            return;
        }
        let before = std::mem::replace(&mut member.data, data);
        let principal = member.principal.clone();
        room.touch(id, || Told::Present { principal, data: before });
        self.make_due(act.at, act.now);
    }

    /// Nothing happens when the device is not there.
    pub fn leave(
        &mut self,
        act: &Act<'_>,
        member: String,
        device: Option<String>,
    ) -> Result<(), Refusal> {
        let found = self.rooms.get(act.at).and_then(|room| room.members.get(&member));
        if found.is_some_and(|found| found.principal != *act.who.principal()) {
            return Err(refusals::of_another_principal());
        }
        let device = Device::of(device, act.connection);
        self.remove(&Place { at: act.at.clone(), member, device }, act.now);
        Ok(())
    }

    /// The connection is gone, and with it every device that it held.
    pub fn leave_all(&mut self, connection: ConnectionId, now: Duration) {
        for place in self.by_connection.remove(&connection).unwrap_or_default() {
            self.remove(&place, now);
        }
    }

    /// Devices whose lease is over leave; answers how many.
    pub fn expire(&mut self, now: Duration) -> usize {
        let mut expired = 0;
        while let Some(first) = self.leases.first_entry().filter(|it| it.key().0 <= now) {
            let place = first.remove();
            self.remove(&place, now);
            expired += 1;
        }
        expired
    }

    /// Leased devices leave whose holder `is_over` says to have lost the right to be there.
    pub fn end_leases(&mut self, now: Duration, mut is_over: impl FnMut(&Identity) -> bool) {
        let of_it = |place: &&Place| self.holder(place).is_some_and(&mut is_over);
        let ending: Vec<Place> = self.leases.values().filter(of_it).cloned().collect();
        for place in ending {
            self.remove(&place, now);
        }
    }

    /// Adds the projects that somebody is present in.
    pub fn projects(&self, into: &mut HashSet<ProjectId>) {
        into.extend(self.members_of.iter().filter(|(_, members)| **members > 0).map(|(it, _)| *it));
    }

    /// Devices leave of a project's addresses whose holder `may_stay` does not let stay there.
    pub fn end_forbidden(
        &mut self,
        now: Duration,
        project: ProjectId,
        mut may_stay: impl FnMut(&Address, Holder<'_>) -> bool,
    ) {
        let mut ending = Vec::new();
        for (at, room) in self.rooms.iter().filter(|(at, _)| at.project == project) {
            for (member, found) in &room.members {
                for held in &found.devices {
                    let holder = match &held.hold {
                        Hold::Lease { who, .. } => Holder::Lease(who),
                        Hold::Connection(id) => Holder::Connection(*id),
                    };
                    if !may_stay(at, holder) {
                        let (member, device) = (member.clone(), held.device.clone());
                        ending.push(Place { at: at.clone(), member, device });
                    }
                }
            }
        }
        ending.iter().for_each(|place| self.remove(place, now));
    }

    fn holder(&self, place: &Place) -> Option<&Identity> {
        let member = self.rooms.get(&place.at)?.members.get(&place.member)?;
        let held = member.devices.iter().find(|held| held.device == place.device)?;
        match &held.hold {
            Hold::Lease { who, .. } => Some(who),
            Hold::Connection(_) => None,
        }
    }

    fn remove(&mut self, place: &Place, now: Duration) {
        let Some(room) = self.rooms.get_mut(&place.at) else { return };
        let Some(member) = room.members.get_mut(&place.member) else { return };
        let Some(index) = member.devices.iter().position(|held| held.device == place.device) else {
            return;
        };
        let held = member.devices.swap_remove(index);
        room.connections -= 1;
        if member.devices.is_empty()
            && let Some(gone) = room.members.remove(&place.member)
        {
            let (principal, data) = (gone.principal, gone.data);
            room.touch(&place.member, || Told::Present { principal, data });
            metrics::gauge!(port::metric::PRESENCE_MEMBERS).decrement(1);
            if room.members.is_empty() {
                self.turns.push((place.at.clone(), room.tenant, Turn::Emptied));
            }
            self.forget_member_of(place.at.project);
        }
        self.make_due(&place.at, now);
        self.release(held.hold, place);
    }

    fn forget_member_of(&mut self, project: ProjectId) {
        if let Some(count) = self.members_of.get_mut(&project) {
            *count -= 1;
            if *count == 0 {
                self.members_of.remove(&project);
            }
        }
    }

    /// What held the device holds it no more.
    fn release(&mut self, hold: Hold, place: &Place) {
        match hold {
            Hold::Lease { order, .. } => {
                self.leases.remove(&order);
            }
            Hold::Connection(connection) => {
                if let Some(places) = self.by_connection.get_mut(&connection) {
                    places.retain(|held| held != place);
                    if places.is_empty() {
                        self.by_connection.remove(&connection);
                    }
                }
            }
        }
    }

    fn make_due(&mut self, at: &Address, now: Duration) {
        let Some(room) = self.rooms.get_mut(at).filter(|room| room.due.is_none()) else { return };
        let due = now.max(room.window_ends);
        room.due = Some(due);
        self.due.insert((due, at.clone()));
    }

    /// What is due to be told, at most `CHANGES_MAX` changes of one address; `None` when nothing
    /// is.
    pub fn next_telling(&mut self, now: Duration, now_ms: TimestampMs) -> Option<Telling> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, at) = self.due.pop_first()?;
        let room = self.rooms.get_mut(&at)?;
        room.due = None;
        room.window_ends = now + self.settings.window(room.members.len());
        let telling = Telling { changes: room.take_changes(now_ms), at: at.clone() };
        if room.members.is_empty() {
            self.rooms.remove(&at);
        }
        Some(telling)
    }

    /// When there will be something to do, if nobody calls before.
    pub fn next_due(&self) -> Option<Duration> {
        let lease = self.leases.first_key_value().map(|((ends, _), _)| *ends);
        let telling = self.due.first().map(|(due, _)| *due);
        lease.into_iter().chain(telling).min()
    }

    pub fn take_turns(&mut self) -> Vec<(Address, TenantId, Turn)> {
        std::mem::take(&mut self.turns)
    }

    pub fn answer(&self, at: &Address, after: Option<&str>, limit: usize) -> PresenceAnswer {
        let Some(room) = self.rooms.get(at) else { return PresenceAnswer::default() };
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = room.members.range::<str, _>((after, Bound::Unbounded));
        let members: Vec<PresenceMember> =
            rest.by_ref().take(limit).map(|(id, member)| member.view(id)).collect();
        let last = members.last().filter(|_| rest.next().is_some());
        let next = last.map(|last| last.member.clone());
        PresenceAnswer { next, members, counts: room.counts(), lease: None }
    }
}

/// Whether a device must be there to be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustBePresent {
    No,
    Yes,
}

impl Device {
    fn of(name: Option<String>, connection: Option<ConnectionId>) -> Device {
        match (name, connection) {
            (Some(name), _) => Device::Named(name.into()),
            (None, Some(connection)) => Device::Connection(connection),
            (None, None) => Device::Named(DEVICE_DEFAULT.into()),
        }
    }
}

impl Member {
    fn view(&self, id: &str) -> PresenceMember {
        PresenceMember {
            member: id.to_owned(),
            principal: self.principal.clone(),
            data: self.data.clone(),
            entered_at: self.entered_at,
            connections: self.devices.len(),
        }
    }
}

impl Room {
    fn new(tenant: TenantId) -> Room {
        Room {
            tenant,
            members: BTreeMap::new(),
            connections: 0,
            touched: BTreeMap::new(),
            is_overrun: false,
            window_ends: Duration::ZERO,
            due: None,
        }
    }

    fn counts(&self) -> PresenceCounts {
        PresenceCounts { members: self.members.len(), connections: self.connections }
    }

    /// Notes what followers know of a member, unless that is noted since they were told last.
    fn touch(&mut self, id: &str, told: impl FnOnce() -> Told) {
        if self.touched.contains_key(id) {
            return;
        }
        if self.touched.len() >= CHANGES_MAX {
            self.is_overrun = true;
            return;
        }
        self.touched.insert(id.to_owned(), told());
    }

    fn take_changes(&mut self, at: TimestampMs) -> PresenceChanges {
        let touched = std::mem::take(&mut self.touched);
        let changes = touched.into_iter().filter_map(|(id, told)| self.change(id, told, at));
        PresenceChanges {
            changes: changes.collect(),
            incomplete: std::mem::take(&mut self.is_overrun),
            counts: self.counts(),
        }
    }

    /// What became of a member since followers were told; `None` when all is as it was.
    fn change(&self, member: String, told: Told, at: TimestampMs) -> Option<PresenceChange> {
        let now = self.members.get(&member);
        let (action, principal, data) = match (told, now) {
            (Told::Absent, None) => return None,
            (Told::Absent, Some(now)) => ("enter", now.principal.clone(), now.data.clone()),
            (Told::Present { principal, data }, None) => ("leave", principal, data),
            (Told::Present { principal, data }, Some(now)) => {
                if principal == now.principal && data == now.data {
                    return None;
                }
                ("update", now.principal.clone(), now.data.clone())
            }
        };
        Some(PresenceChange { action, member, principal, data, at })
    }
}
