//! `presence` of `mainstem.v1.bin`, both ways; the layout is in the README.

use super::binary::flags;
use super::binary_say::{say_kind, start_call, start_sub};
use super::bytes_reader::{BytesReader, write_bytes, write_signed, write_varint};
use crate::frame::{CallId, Device, Presence, PresenceAction, SubId};
use bytes::{BufMut, Bytes, BytesMut};
use port::presence::MemberData;
use port::{Code, Delivery, PresenceAnswer, PresenceCounts, Refusal};
use types::Key;
use wire_http::address::parse_topic;
use wire_http::param::make_key;

const KEY: u8 = 1;
const MEMBER: u8 = 2;
const DATA: u8 = 4;
const DEVICE: u8 = 8;
const LEASE: u8 = 16;
const LIMIT: u8 = 32;
const AFTER: u8 = 64;

pub(super) fn read(from: &mut BytesReader) -> Result<Presence, Refusal> {
    let action = from.byte("action")?;
    let topic = parse_topic(&from.text("topic")?, "topic")?;
    let known = match action {
        0 => KEY | LIMIT | AFTER,
        1 | 3 => KEY | MEMBER | DATA | DEVICE | LEASE | LIMIT,
        2 => KEY | MEMBER | DEVICE | LIMIT,
        _ => {
            let refusal = Refusal::new(Code::InvalidRequest, "there is no such action");
            return Err(refusal.field("action").hint("0 list, 1 enter, 2 leave, 3 update"));
        }
    };
    let flags = flags(from, "flags", known)?;
    let key: Option<Key> = match flags & KEY {
        0 => None,
        _ => Some(make_key(from.bytes("key")?, || "key".to_owned())?),
    };
    let member = text_if(from, flags & MEMBER, "member")?;
    let data = match text_if(from, flags & DATA, "data")? {
        None => MemberData::Keep,
        Some(text) => match wire_http::json::parse_json_at(&text, "data")? {
            serde_json::Value::Null => MemberData::Set(None),
            data => MemberData::Set(Some(data)),
        },
    };
    let device = text_if(from, flags & DEVICE, "device")?;
    let lease_ms = if flags & LEASE != 0 { Some(from.varint("lease_ms")?) } else { None };
    let limit = if flags & LIMIT != 0 { Some(from.number("limit")?) } else { None };
    let after = text_if(from, flags & AFTER, "after")?;
    let device = Device { member, device, data, lease_ms };
    let action = match action {
        1 => PresenceAction::Enter(device),
        2 => PresenceAction::Leave(device),
        3 => PresenceAction::Update(device),
        _ => PresenceAction::List { after },
    };
    Ok(Presence { topic, key, action, limit })
}

fn text_if(from: &mut BytesReader, flag: u8, field: &str) -> Result<Option<String>, Refusal> {
    if flag == 0 { Ok(None) } else { from.text(field).map(Some) }
}

pub(super) fn write_present(out: &mut BytesMut, id: CallId, answer: &PresenceAnswer) {
    start_call(out, say_kind::PRESENCE, id);
    write_varint(out, answer.members.len() as u64);
    for member in &answer.members {
        write_bytes(out, member.member.as_bytes());
        write_bytes(out, member.principal.0.as_bytes());
        out.put_u8(u8::from(member.data.is_some()));
        if let Some(data) = &member.data {
            write_bytes(out, data.to_string().as_bytes());
        }
        write_signed(out, member.entered_at);
        write_varint(out, member.connections as u64);
    }
    write_counts(out, answer.counts);
    let lease = answer.lease;
    out.put_u8(u8::from(answer.next.is_some()) | u8::from(lease.is_some()) << 1);
    if let Some(next) = &answer.next {
        write_bytes(out, next.as_bytes());
    }
    if let Some(lease) = lease {
        write_varint(out, u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
    }
}

pub(super) fn write_changes(out: &mut BytesMut, sub: SubId, delivery: &Delivery) {
    start_sub(out, say_kind::PRESENCE_CHANGES, sub);
    write_bytes(out, delivery.record.key.as_ref().map_or(&[], |key| key.bytes()));
    write_bytes(out, delivery.record.value.as_deref().unwrap_or_default());
}

pub(super) fn write_told_counts(
    out: &mut BytesMut,
    sub: SubId,
    address: &Bytes,
    counts: PresenceCounts,
) {
    start_sub(out, say_kind::PRESENCE_COUNTS, sub);
    write_bytes(out, address);
    write_counts(out, counts);
}

fn write_counts(out: &mut BytesMut, counts: PresenceCounts) {
    write_varint(out, counts.members as u64);
    write_varint(out, counts.connections as u64);
}
