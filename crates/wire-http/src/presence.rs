//! Presence as JSON, the same on every face that speaks it.

use crate::text::{write_display, write_member, write_number, write_string};
use bytes::{BufMut, BytesMut};
use port::{PresenceAnswer, PresenceCounts, PresenceMember};
use serde::Serialize;
use utoipa::ToSchema;

/// Somebody who is present.
#[derive(Serialize, ToSchema)]
#[schema(as = PresenceMember)]
pub struct MemberSchema {
    pub member: String,
    /// Whose credential entered.
    pub principal: String,
    pub data: Option<serde_json::Value>,
    /// Milliseconds since 1970.
    pub entered_at: i64,
    /// By how many devices.
    pub connections: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PresenceCounts)]
pub struct CountsSchema {
    pub members: u64,
    /// Devices of all members.
    pub connections: u64,
}

/// Who is at an address.
#[derive(Serialize, ToSchema)]
#[schema(as = Presence)]
pub struct PresenceSchema {
    pub counts: CountsSchema,
    /// In order of their ids.
    pub members: Vec<MemberSchema>,
    /// The last member listed, for `after`, when there are more.
    pub next: Option<String>,
    /// The lease that was granted.
    pub lease_ms: Option<u64>,
}

/// The members of the object that says an answer, without its braces.
pub fn write_answer(out: &mut BytesMut, answer: &PresenceAnswer) {
    out.put_slice(b"\"members\":[");
    for (index, member) in answer.members.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        write_present(out, member);
    }
    out.put_slice(b"],\"counts\":{");
    write_counts(out, answer.counts);
    out.put_u8(b'}');
    if let Some(next) = &answer.next {
        write_member(out, "next");
        write_string(out, next);
    }
    if let Some(lease) = answer.lease {
        write_member(out, "lease_ms");
        write_number(out, u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
    }
}

fn write_present(out: &mut BytesMut, member: &PresenceMember) {
    out.put_slice(b"{\"member\":");
    write_string(out, &member.member);
    write_member(out, "principal");
    write_string(out, &member.principal.0);
    if let Some(data) = &member.data {
        write_member(out, "data");
        write_display(out, data);
    }
    write_member(out, "entered_at");
    write_display(out, member.entered_at);
    write_member(out, "connections");
    write_number(out, member.connections as u64);
    out.put_u8(b'}');
}

/// `"members":3,"connections":4`
pub fn write_counts(out: &mut BytesMut, counts: PresenceCounts) {
    out.put_slice(b"\"members\":");
    write_number(out, counts.members as u64);
    write_member(out, "connections");
    write_number(out, counts.connections as u64);
}
