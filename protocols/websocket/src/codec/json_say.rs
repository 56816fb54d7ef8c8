//! `mainstem.v1.json`, writing. A record is a short head and the form that all its subscribers
//! share, so fan-out copies bytes and encodes nothing.

use super::json_presence;
use crate::frame::{CallId, Place, Say, SubId};
use bytes::{BufMut, BytesMut};
use port::{Loss, Refusal, RequestId, Sent};
use std::ops::Range;
use types::{Offset, Partition};
use wire_http::text::{write_member, write_number, write_string};
use wire_http::{JsonForm, write_error, write_placed};

pub(super) fn write(out: &mut BytesMut, say: &Say) {
    match say {
        Say::Record { sub, left_out, delivery } => {
            start_sub(out, "record", *sub);
            if *left_out > 0 {
                number(out, "left_out", u64::from(*left_out));
            }
            out.put_u8(b',');
            // The form brings the closing brace.
            return out.put_slice(&delivery.form::<JsonForm>());
        }
        Say::Records { sub, records: sent } => records(out, *sub, sent),
        Say::Progress { sub, cursor } => {
            start_sub(out, "progress", *sub);
            text(out, "cursor", cursor);
        }
        Say::PresenceChanges { sub, delivery } => {
            return json_presence::write_changes(out, *sub, delivery);
        }
        Say::PresenceCounts { sub, address, counts } => {
            return json_presence::write_told_counts(out, *sub, address, *counts);
        }
        Say::Published { id, places } => published(out, *id, places),
        Say::Pong { id } => start_call(out, "pong", *id),
        Say::Connected { id, project, principal, keepalive_ms } => {
            start_answer(out, "connected", *id);
            text(out, "project", &project.to_string());
            text(out, "principal", &principal.0);
            number(out, "keepalive_ms", *keepalive_ms);
        }
        Say::Refreshed { id } => start_call(out, "refreshed", *id),
        Say::Subscribed { id, sub, cursor } => {
            start_call(out, "subscribed", *id);
            number(out, "sub", u64::from(*sub));
            text(out, "cursor", cursor);
        }
        Say::Unsubscribed { id, sub } => {
            start_call(out, "unsubscribed", *id);
            number(out, "sub", u64::from(*sub));
        }
        Say::Credited { id, sub, credits } => {
            start_call(out, "credited", *id);
            number(out, "sub", u64::from(*sub));
            number(out, "credits", *credits);
        }
        Say::Present { id, answer } => {
            return json_presence::write_present(out, *id, answer);
        }
        Say::Error { id, refusal, request } => {
            start_answer(out, "error", *id);
            error(out, refusal, request);
        }
        Say::Reconnect { after_ms } => {
            start(out, "reconnect");
            number(out, "after_ms", *after_ms);
        }
        Say::CaughtUp { sub } => start_sub(out, "caught_up", *sub),
        Say::Gap { sub, topic, partition, from, to, why } => {
            start_sub(out, "gap", *sub);
            // As text: the number has more digits than a JavaScript number holds.
            text(out, "topic_id", &topic.0.to_string());
            gap(out, *partition, *from..*to, *why);
        }
        Say::Ended { sub, refusal, request } => {
            start_sub(out, "ended", *sub);
            error(out, refusal, request);
        }
    }
    out.put_u8(b'}');
}

/// The beginning of what may answer a request, or come unasked.
fn start_answer(out: &mut BytesMut, kind: &str, id: Option<CallId>) {
    start(out, kind);
    if let Some(id) = id {
        number(out, "id", u64::from(id));
    }
}

fn gap(out: &mut BytesMut, partition: Partition, offsets: Range<Offset>, why: Loss) {
    number(out, "partition", u64::from(partition));
    number(out, "from", offsets.start);
    number(out, "to", offsets.end);
    text(out, "reason", why.name());
}

fn records(out: &mut BytesMut, sub: SubId, records: &[Sent]) {
    start_sub(out, "records", sub);
    write_member(out, "records");
    out.put_u8(b'[');
    for (index, Sent { delivery, left_out }) in records.iter().enumerate() {
        out.put_slice(if index > 0 { b",{" } else { b"{" });
        if *left_out > 0 {
            out.put_slice(b"\"left_out\":");
            write_number(out, u64::from(*left_out));
            out.put_u8(b',');
        }
        // The form brings the closing brace.
        out.put_slice(&delivery.form::<JsonForm>());
    }
    out.put_u8(b']');
}

fn start(out: &mut BytesMut, kind: &str) {
    out.put_slice(b"{\"type\":\"");
    out.put_slice(kind.as_bytes());
    out.put_u8(b'"');
}

pub(super) fn start_call(out: &mut BytesMut, kind: &str, id: CallId) {
    start(out, kind);
    number(out, "id", u64::from(id));
}

pub(super) fn start_sub(out: &mut BytesMut, kind: &str, sub: SubId) {
    start(out, kind);
    number(out, "sub", u64::from(sub));
}

fn number(out: &mut BytesMut, name: &'static str, value: u64) {
    write_member(out, name);
    write_number(out, value);
}

pub(super) fn text(out: &mut BytesMut, name: &'static str, value: &str) {
    write_member(out, name);
    write_string(out, value);
}

fn error(out: &mut BytesMut, refusal: &Refusal, request: &RequestId) {
    write_member(out, "error");
    write_error(out, refusal, Some(request));
}

fn published(out: &mut BytesMut, id: CallId, places: &[Place]) {
    start_call(out, "published", id);
    write_member(out, "records");
    out.put_u8(b'[');
    for (index, place) in places.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        write_placed(out, &place.topic, place.id_text(), &place.placed);
    }
    out.put_u8(b']');
}
