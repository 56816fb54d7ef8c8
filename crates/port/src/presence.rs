//! Presence at the seam: who is at an address, by which devices, and how changes of it travel.
//! Plain data; who may ask, and what is remembered, is the hub's.
//!
//! Changes are records of the project's presence topic, which is never stored: their key is the
//! address (`topic` or `topic/key`), their value is `PresenceChanges` as JSON, and a header tells
//! the counts, so that who wants only those need not read the value.

use bytes::Bytes;
use serde::Serialize;
use std::time::Duration;
use types::{Header, PrincipalId, TimestampMs};

/// Members one answer lists when the caller does not say.
pub const PRESENCE_PAGE: usize = 100;
/// Members one answer lists at most.
pub const PRESENCE_PAGE_MAX: usize = 1_000;
/// Bytes of a member's id.
pub const MEMBER_ID_BYTES_MAX: usize = 255;
/// Bytes of a device's name.
pub const DEVICE_BYTES_MAX: usize = 64;
/// Bytes of a member's data, as compact JSON.
pub const MEMBER_DATA_BYTES_MAX: usize = 4 * 1024;

/// One call at one address. Every action answers the members after it.
#[derive(Debug, Clone, PartialEq)]
pub struct PresenceCall {
    pub action: PresenceAction,
    /// Members to list in the answer, at most `PRESENCE_PAGE_MAX`; 0 asks for the counts alone.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PresenceAction {
    /// Adds a device of a member, or renews it.
    Enter(Entering),
    /// As `Enter`, but refused with `NOT_FOUND` when the device is not present.
    Update(Entering),
    /// Removes a device; the member leaves with its last one. Nothing happens when it is not there.
    Leave { member: String, device: Option<String> },
    /// Members in order of their ids, after this one.
    List { after: Option<String> },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entering {
    pub member: String,
    /// Without a name the device is the connection, or `DEVICE_DEFAULT` where there is none.
    pub device: Option<String>,
    pub data: MemberData,
    /// How long the device stays unless it is entered again; the hub may shorten it. Without one
    /// it stays as long as the connection, with one as long as the lease, whatever becomes of the
    /// connection.
    pub lease: Option<Duration>,
}

/// The device of a caller that has no connection and names none.
pub const DEVICE_DEFAULT: &str = "default";

/// What becomes of a member's data.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum MemberData {
    #[default]
    Keep,
    Set(Option<serde_json::Value>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct PresenceMember {
    pub member: String,
    pub principal: PrincipalId,
    pub data: Option<serde_json::Value>,
    pub entered_at: TimestampMs,
    /// By how many devices it is present.
    pub connections: usize,
}

/// How many are at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PresenceCounts {
    pub members: usize,
    /// Devices of all members.
    pub connections: usize,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct PresenceAnswer {
    pub members: Vec<PresenceMember>,
    /// The last member listed, when there are more after it.
    pub next: Option<String>,
    pub counts: PresenceCounts,
    /// The lease that was granted, which may be shorter than the one asked for.
    pub lease: Option<Duration>,
}

/// One change, as followers are told of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PresenceChange {
    /// `enter`, `update` or `leave`.
    pub action: &'static str,
    pub member: String,
    pub principal: PrincipalId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    pub at: TimestampMs,
}

/// The changes of an address that travel together, in order of member.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PresenceChanges {
    pub changes: Vec<PresenceChange>,
    /// More has changed than is listed: whoever needs all members lists them anew.
    #[serde(skip_serializing_if = "is_false")]
    pub incomplete: bool,
    #[serde(flatten)]
    pub counts: PresenceCounts,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The header of a record of changes: `<members> <connections> <changes>`, the last 0 when only the
/// counts changed.
pub const COUNTS_HEADER: &str = "ms-presence";

/// What a record of changes says in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldCounts {
    pub counts: PresenceCounts,
    /// Whether members came, went or changed.
    pub has_changes: bool,
}

impl PresenceChanges {
    /// The value of the record.
    pub fn value(&self) -> Bytes {
        // Strings, numbers and JSON values: writing them to memory cannot fail.
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }

    pub fn header(&self) -> Header {
        let has_changes = !self.changes.is_empty() || self.incomplete;
        let PresenceCounts { members, connections } = self.counts;
        let text = format!("{members} {connections} {}", u8::from(has_changes));
        Header { name: Bytes::from_static(COUNTS_HEADER.as_bytes()), value: text.into() }
    }
}

impl ToldCounts {
    /// Reads what `PresenceChanges::header` wrote; `None` for anything else.
    pub fn parse(value: &[u8]) -> Option<ToldCounts> {
        let mut numbers = std::str::from_utf8(value).ok()?.split(' ');
        let mut next = || numbers.next()?.parse::<usize>().ok();
        let (members, connections, has_changes) = (next()?, next()?, next()?);
        let counts = PresenceCounts { members, connections };
        Some(ToldCounts { counts, has_changes: has_changes != 0 })
    }
}
