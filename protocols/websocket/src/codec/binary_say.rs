//! `mainstem.v1.bin`, writing; the layout is in the README. As in JSON, what all subscribers of a
//! record share is encoded once.

use super::binary_presence;
use super::bytes_reader::{write_bytes, write_signed, write_varint};
use crate::frame::{CallId, Place, Say, SubId};
use bytes::{BufMut, Bytes, BytesMut};
use port::delivery::Delta;
use port::{Delivery, Form, Loss, Refusal, RequestId, Sent};

/// First byte of the server's frames.
pub mod say_kind {
    pub const CONNECTED: u8 = 1;
    pub const REFRESHED: u8 = 2;
    pub const SUBSCRIBED: u8 = 3;
    pub const UNSUBSCRIBED: u8 = 4;
    pub const PUBLISHED: u8 = 5;
    pub const PRESENCE: u8 = 6;
    pub const PONG: u8 = 7;
    pub const ERROR: u8 = 8;
    pub const RECONNECT: u8 = 9;
    pub const RECORD: u8 = 10;
    pub const CAUGHT_UP: u8 = 11;
    pub const GAP: u8 = 12;
    pub const ENDED: u8 = 13;
    pub const PRESENCE_CHANGES: u8 = 14;
    /// A record for which others of its key were passed over.
    pub const NEWEST: u8 = 15;
    pub const RECORDS: u8 = 16;
    pub const PROGRESS: u8 = 17;
    pub const CREDITED: u8 = 18;
    pub const PRESENCE_COUNTS: u8 = 19;
}

/// Everything of a record behind the subscription's number.
pub(super) struct BinaryForm;

impl Form for BinaryForm {
    fn encode(delivery: &Delivery) -> Bytes {
        let record = &delivery.record;
        let mut out = BytesMut::with_capacity(128 + record.size());
        write_bytes(&mut out, delivery.origin.topic.as_str().as_bytes());
        write_varint(&mut out, u64::from(delivery.partition));
        write_varint(&mut out, delivery.offset);
        write_signed(&mut out, delivery.timestamp);
        let base = match delivery.delta {
            Some(Delta::From(base)) => Some(base),
            Some(Delta::Whole) | None => None,
        };
        let has_value = u8::from(record.value.is_some()) << 1;
        out.put_u8(u8::from(record.key.is_some()) | has_value | u8::from(base.is_some()) << 2);
        if let Some(key) = &record.key {
            write_bytes(&mut out, key.bytes());
        }
        if let Some(value) = &record.value {
            write_bytes(&mut out, value);
        }
        if let Some(base) = base {
            write_varint(&mut out, base);
        }
        write_varint(&mut out, record.headers.len() as u64);
        for header in &record.headers {
            write_bytes(&mut out, &header.name);
            write_bytes(&mut out, &header.value);
        }
        write_bytes(&mut out, delivery.cursor().as_bytes());
        out.freeze()
    }
}

pub(super) fn write(out: &mut BytesMut, say: &Say) {
    match say {
        Say::Record { sub, left_out, delivery } => {
            match left_out {
                0 => start_sub(out, say_kind::RECORD, *sub),
                left_out => {
                    start_sub(out, say_kind::NEWEST, *sub);
                    write_varint(out, u64::from(*left_out));
                }
            }
            out.put_slice(&delivery.form::<BinaryForm>());
        }
        Say::Records { sub, records: sent } => records(out, *sub, sent),
        Say::Progress { sub, cursor } => {
            start_sub(out, say_kind::PROGRESS, *sub);
            write_bytes(out, cursor.as_bytes());
        }
        Say::Credited { id, sub, credits } => {
            start_call(out, say_kind::CREDITED, *id);
            write_varint(out, u64::from(*sub));
            write_varint(out, *credits);
        }
        Say::PresenceChanges { sub, delivery } => {
            binary_presence::write_changes(out, *sub, delivery);
        }
        Say::PresenceCounts { sub, address, counts } => {
            binary_presence::write_told_counts(out, *sub, address, *counts);
        }
        Say::Published { id, places } => published(out, *id, places),
        Say::Pong { id } => start_call(out, say_kind::PONG, *id),
        Say::Connected { id, project, principal, keepalive_ms } => {
            out.put_u8(say_kind::CONNECTED);
            write_optional_id(out, *id);
            write_bytes(out, project.to_string().as_bytes());
            write_bytes(out, principal.0.as_bytes());
            write_varint(out, *keepalive_ms);
        }
        Say::Refreshed { id } => start_call(out, say_kind::REFRESHED, *id),
        Say::Subscribed { id, sub, cursor } => {
            start_call(out, say_kind::SUBSCRIBED, *id);
            write_varint(out, u64::from(*sub));
            write_bytes(out, cursor.as_bytes());
        }
        Say::Unsubscribed { id, sub } => {
            start_call(out, say_kind::UNSUBSCRIBED, *id);
            write_varint(out, u64::from(*sub));
        }
        Say::Present { id, answer } => binary_presence::write_present(out, *id, answer),
        Say::Error { id, refusal, request } => {
            out.put_u8(say_kind::ERROR);
            write_optional_id(out, *id);
            write_refusal(out, refusal, request);
        }
        Say::Reconnect { after_ms } => {
            out.put_u8(say_kind::RECONNECT);
            write_varint(out, *after_ms);
        }
        Say::CaughtUp { sub } => start_sub(out, say_kind::CAUGHT_UP, *sub),
        Say::Gap { sub, topic, partition, from, to, why } => {
            start_sub(out, say_kind::GAP, *sub);
            gap(out, [topic.0, u64::from(*partition), *from, *to], *why);
        }
        Say::Ended { sub, refusal, request } => {
            start_sub(out, say_kind::ENDED, *sub);
            write_refusal(out, refusal, request);
        }
    }
}

fn records(out: &mut BytesMut, sub: SubId, records: &[Sent]) {
    start_sub(out, say_kind::RECORDS, sub);
    write_varint(out, records.len() as u64);
    for Sent { delivery, left_out } in records {
        write_varint(out, u64::from(*left_out));
        out.put_slice(&delivery.form::<BinaryForm>());
    }
}

/// Topic, partition, and from where to where.
fn gap(out: &mut BytesMut, numbers: [u64; 4], why: Loss) {
    for number in numbers {
        write_varint(out, number);
    }
    out.put_u8(match why {
        Loss::Expired => 0,
        Loss::HistoryLost => 1,
        Loss::TopicGone => 2,
    });
}

pub(super) fn start_call(out: &mut BytesMut, kind: u8, id: CallId) {
    out.put_u8(kind);
    write_varint(out, u64::from(id));
}

pub(super) fn start_sub(out: &mut BytesMut, kind: u8, sub: SubId) {
    out.put_u8(kind);
    write_varint(out, u64::from(sub));
}

/// 0 for none, else 1 and the number.
fn write_optional_id(out: &mut BytesMut, id: Option<CallId>) {
    out.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        write_varint(out, u64::from(id));
    }
}

fn published(out: &mut BytesMut, id: CallId, places: &[Place]) {
    start_call(out, say_kind::PUBLISHED, id);
    write_varint(out, places.len() as u64);
    for Place { placed, .. } in places {
        write_varint(out, u64::from(placed.partition));
        write_varint(out, placed.offset);
        write_signed(out, placed.timestamp);
        out.put_u8(u8::from(placed.is_duplicate));
    }
}

/// Code, message, flags, then what the flags say, then the request id.
fn write_refusal(out: &mut BytesMut, refusal: &Refusal, request: &RequestId) {
    write_bytes(out, refusal.code().name().as_bytes());
    write_bytes(out, refusal.message().as_bytes());
    let (field, hint, wait) = (refusal.field_name(), refusal.hint_text(), refusal.wait());
    out.put_u8(
        u8::from(field.is_some()) | u8::from(hint.is_some()) << 1 | u8::from(wait.is_some()) << 2,
    );
    for text in [field, hint].into_iter().flatten() {
        write_bytes(out, text.as_bytes());
    }
    if let Some(wait) = wait {
        write_varint(out, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    write_bytes(out, request.0.as_bytes());
}
