//! A stored record as JSON: the one form that all JSON faces share, written by hand because a
//! fan-out encodes it for thousands. It must not know how a face frames it.
//!
//! `JsonForm` yields the object's members and its closing brace, but not the opening one, so that
//! a face may put members of its own first: `{` for a plain object,
//! `{"type":"record","sub":1,` for a frame. The form holds no line break, so it is one line
//! wherever lines count.

use crate::json::DEPTH_MAX;
use crate::scan;
use crate::text::{write_base64, write_display, write_member, write_number, write_string};
use bytes::{BufMut, Bytes, BytesMut};
use port::delivery::Delta;
use port::hub::Placed;
use port::{Delivery, Form};
use types::record::header;
use types::{Offset, Partition, Record, TopicName};

/// The members of a record's JSON object and the closing brace; see the module.
#[derive(Debug)]
pub struct JsonForm;

impl Form for JsonForm {
    fn encode(delivery: &Delivery) -> Bytes {
        let mut out = BytesMut::with_capacity(form_bytes(delivery));
        write_members(&mut out, delivery);
        out.freeze()
    }
}

/// The record as a whole JSON object, without keeping the encoded form: for answers that are
/// written once.
pub fn write_record(out: &mut BytesMut, delivery: &Delivery) {
    out.reserve(form_bytes(delivery));
    out.put_u8(b'{');
    write_members(out, delivery);
}

/// About as long as the form will be; base64 takes a third more.
fn form_bytes(delivery: &Delivery) -> usize {
    384 + delivery.record.size() / 3 * 4
}

/// The record's cursor, cut out of its form, where it is the last member: minting it again would
/// cost as much as the rest. `None` when the bytes are not a form.
pub fn cursor_of(form: &[u8]) -> Option<&str> {
    let body = form.strip_suffix(b"\"}")?;
    let start = memchr::memrchr(b'"', body)? + 1;
    let is_last = body.get(..start)?.ends_with(b",\"cursor\":\"");
    let cursor = body.get(start..)?;
    if !is_last || cursor.contains(&b'\\') {
        return None;
    }
    std::str::from_utf8(cursor).ok()
}

/// Where an appended record came to lie, as publishes are answered:
/// `{"topic":..,"partition":..,"offset":..,"id":..,"timestamp":..,"duplicate":true?}`.
pub fn write_placed(out: &mut BytesMut, topic: &TopicName, id: Option<&str>, placed: &Placed) {
    out.put_u8(b'{');
    write_place(out, topic, placed.partition, placed.offset);
    write_member(out, "id");
    write_id(out, id, topic, placed.partition, placed.offset);
    write_member(out, "timestamp");
    write_display(out, placed.timestamp);
    if placed.is_duplicate {
        out.put_slice(b",\"duplicate\":true");
    }
    out.put_u8(b'}');
}

fn write_members(out: &mut BytesMut, delivery: &Delivery) {
    let record = &delivery.record;
    let topic = &delivery.origin.topic;
    write_place(out, topic, delivery.partition, delivery.offset);
    write_member(out, "id");
    let id = record.header(header::ID).and_then(|id| std::str::from_utf8(id).ok());
    write_id(out, id, topic, delivery.partition, delivery.offset);
    if let Some(key) = &record.key {
        out.put_u8(b',');
        write_key(out, key);
    }
    write_member(out, "timestamp");
    write_display(out, delivery.timestamp);
    write_headers(out, record);
    for (member, name) in [("publisher", header::PUBLISHER), ("content_type", header::CONTENT_TYPE)]
    {
        if let Some(value) = record.header(name) {
            write_member(out, member);
            write_string(out, &String::from_utf8_lossy(value));
        }
    }
    match delivery.delta {
        None => write_data(out, record),
        Some(Delta::Whole) => write_exact(out, record),
        Some(Delta::From(base)) => write_delta(out, record, base),
    }
    write_member(out, "cursor");
    write_string(out, &delivery.cursor());
    out.put_u8(b'}');
}

/// `"topic":..,"partition":..,"offset":..`; topic names need no escaping.
fn write_place(out: &mut BytesMut, topic: &TopicName, partition: Partition, offset: Offset) {
    out.put_slice(b"\"topic\":\"");
    out.put_slice(topic.as_str().as_bytes());
    out.put_slice(b"\",\"partition\":");
    write_number(out, u64::from(partition));
    write_member(out, "offset");
    write_number(out, offset);
}

/// The publisher's id, else `topic:partition:offset`.
fn write_id(
    out: &mut BytesMut,
    id: Option<&str>,
    topic: &TopicName,
    partition: Partition,
    offset: Offset,
) {
    match id {
        Some(id) => write_string(out, id),
        None => {
            out.put_u8(b'"');
            out.put_slice(topic.as_str().as_bytes());
            out.put_u8(b':');
            write_number(out, u64::from(partition));
            out.put_u8(b':');
            write_number(out, offset);
            out.put_u8(b'"');
        }
    }
}

/// `"key":"text"`, or `"key_base64":".."` when the key is not UTF-8.
pub fn write_key(out: &mut BytesMut, key: &types::Key) {
    match key.as_str() {
        Some(text) => {
            out.put_slice(b"\"key\":");
            write_string(out, text);
        }
        None => {
            out.put_slice(b"\"key_base64\":");
            write_base64(out, key.bytes());
        }
    }
}

/// Headers the view leaves out because members of their own stand for them.
fn is_hidden(name: &[u8]) -> bool {
    name == header::CONTENT_TYPE.as_bytes() || name.starts_with(b"ms-")
}

/// `,"headers":{..}` and, for values that are not UTF-8, `,"headers_base64":{..}`. Of several
/// headers of one name the last is shown: a JSON object has each name once.
fn write_headers(out: &mut BytesMut, record: &Record) {
    out.put_slice(b",\"headers\":{");
    let mut has_binary = false;
    let mut separator: &[u8] = b"";
    for (name, value) in shown_headers(record) {
        let Ok(value) = std::str::from_utf8(value) else {
            has_binary = true;
            continue;
        };
        out.put_slice(separator);
        write_string(out, name);
        out.put_u8(b':');
        write_string(out, value);
        separator = b",";
    }
    out.put_u8(b'}');
    if !has_binary {
        return;
    }
    out.put_slice(b",\"headers_base64\":{");
    separator = b"";
    for (name, value) in shown_headers(record) {
        if std::str::from_utf8(value).is_err() {
            out.put_slice(separator);
            write_string(out, name);
            out.put_u8(b':');
            write_base64(out, value);
            separator = b",";
        }
    }
    out.put_u8(b'}');
}

fn shown_headers(record: &Record) -> impl Iterator<Item = (&str, &[u8])> {
    record.headers.iter().enumerate().filter_map(|(index, header)| {
        let rest = record.headers.get(index + 1..).unwrap_or_default();
        let is_repeated = rest.iter().any(|later| later.name == header.name);
        if is_hidden(&header.name) || is_repeated {
            return None;
        }
        std::str::from_utf8(&header.name).ok().map(|name| (name, &header.value[..]))
    })
}

/// `,"data":..` when the value is JSON and is not said to be anything else, else
/// `,"data_base64":".."`.
fn write_data(out: &mut BytesMut, record: &Record) {
    let Some(value) = &record.value else {
        out.put_slice(b",\"data\":null,\"tombstone\":true");
        return;
    };
    let may_be_json = record.header(header::CONTENT_TYPE).is_none_or(|media| is_json(media));
    if let (true, Ok(text)) = (may_be_json, std::str::from_utf8(value))
        && let Ok(shape) = scan::check(text.as_bytes(), DEPTH_MAX)
    {
        write_member(out, "data");
        write_json(out, text.as_bytes(), shape);
        return;
    }
    write_member(out, "data_base64");
    write_base64(out, value);
}

/// `,"data_text":".."`: the value byte for byte, for readers who apply differences to it; what is
/// not UTF-8 goes as base64.
fn write_exact(out: &mut BytesMut, record: &Record) {
    match record.value.as_deref().map(|value| (value, std::str::from_utf8(value))) {
        None => write_data(out, record),
        Some((_, Ok(text))) => {
            write_member(out, "data_text");
            write_string(out, text);
        }
        Some((value, Err(_))) => {
            write_member(out, "data_base64");
            write_base64(out, value);
        }
    }
}

/// `,"delta_base64":"..","base":7`: what makes the value of the value at that offset.
fn write_delta(out: &mut BytesMut, record: &Record, base: Offset) {
    write_member(out, "delta_base64");
    write_base64(out, record.value.as_deref().unwrap_or_default());
    write_member(out, "base");
    write_number(out, base);
}

/// The value as it is, but on one line: a line break between tokens becomes a space, and inside
/// strings there is none.
fn write_json(out: &mut BytesMut, json: &[u8], shape: scan::Shape) {
    if !shape.has_line_break {
        out.put_slice(json);
        return;
    }
    let start = out.len();
    out.put_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// `application/json`, `text/json` and everything that ends in `+json` (RFC 6839), with or without
/// parameters.
pub fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    let ends_in_json =
        essence.len() >= 5 && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json");
    ends_in_json
        || essence.eq_ignore_ascii_case(b"application/json")
        || essence.eq_ignore_ascii_case(b"text/json")
}
