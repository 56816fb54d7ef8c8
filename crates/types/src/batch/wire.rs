//! The bytes of a batch: header, records, zigzag varints. Pure, and total on any input: bytes come
//! from clients and from disks, so no length is believed before it is checked.

use super::{BATCH_HEADER_BYTES, BadBatch, Content, Packing, Producer, Stamp, packed};
use crate::address::KEY_BYTES_MAX;
use crate::record::Header as RecordHeader;
use crate::{Headers, Key, Offset, Record, TimestampMs};
use bytes::{Buf, BufMut, Bytes};

/// Length, attributes, two deltas, two lengths and the header count of one record.
pub const RECORD_OVERHEAD_MAX: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
/// Two lengths of one header.
pub const HEADER_OVERHEAD_MAX: usize = 5 + 5;

pub const MAGIC: i8 = 2;
pub const CHECKED_FROM: usize = 21;
pub const CODEC_MASK: i16 = 0b111;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const LOG_APPEND_TIME: i16 = 1 << 3;

/// What the fixed part of a batch says.
pub struct Header {
    pub base_offset: Offset,
    pub last_delta: u32,
    pub count: u32,
    pub base_timestamp: TimestampMs,
    pub stamp: Option<Stamp>,
    pub packing: Option<Packing>,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Result<Header, BadBatch> {
        let mut at = bytes.get(..BATCH_HEADER_BYTES).ok_or(BadBatch::Length)?;
        let base_offset = at.get_i64();
        let rest = at.get_i32();
        let _leader_epoch = at.get_i32();
        let magic = at.get_i8();
        if magic != MAGIC {
            return Err(BadBatch::Magic(magic));
        }
        // All the magic numbers share the place of the length, so this one is right by now.
        if usize::try_from(rest) != Ok(bytes.len() - 12) {
            return Err(BadBatch::Length);
        }
        let checksum = at.get_u32();
        if checksum != crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]) {
            return Err(BadBatch::Checksum);
        }
        let attributes = at.get_i16();
        let packing = packed::of_attributes(attributes)?;
        check_attributes(attributes)?;
        let last_delta = at.get_i32();
        let base_timestamp = at.get_i64();
        let _max_timestamp = at.get_i64();
        let producer = Producer { id: at.get_i64(), epoch: at.get_i16() };
        let stamp = stamp(attributes, producer, at.get_i32())?;
        let count = at.get_i32();
        let last_delta =
            u32::try_from(last_delta).map_err(|_| BadBatch::Header("last offset delta"))?;
        let count = u32::try_from(count).map_err(|_| BadBatch::Header("record count"))?;
        if count == 0 || count > last_delta.saturating_add(1) {
            return Err(BadBatch::Header("record count"));
        }
        let base_offset =
            Offset::try_from(base_offset).map_err(|_| BadBatch::Header("base offset"))?;
        check_offsets(base_offset, last_delta)?;
        Ok(Header { base_offset, last_delta, count, base_timestamp, stamp, packing })
    }
}

fn stamp(attributes: i16, producer: Producer, sequence: i32) -> Result<Option<Stamp>, BadBatch> {
    let is_transactional = attributes & TRANSACTIONAL != 0;
    match (producer.id, producer.epoch) {
        (-1, _) if is_transactional => Err(BadBatch::Header("a transaction without a producer")),
        (-1, _) => Ok(None),
        (0.., 0..) if sequence >= -1 => {
            let sequence = Some(sequence).filter(|&sequence| sequence >= 0);
            Ok(Some(Stamp { producer, sequence, is_transactional }))
        }
        _ => Err(BadBatch::Header("producer")),
    }
}

fn check_attributes(attributes: i16) -> Result<(), BadBatch> {
    match attributes {
        a if a & CONTROL != 0 => Err(BadBatch::Unsupported("control")),
        a if a & LOG_APPEND_TIME != 0 => Err(BadBatch::Unsupported("log append time")),
        _ => Ok(()),
    }
}

/// Offsets stay within a signed 64-bit number, as the format has them.
pub fn check_offsets(base_offset: Offset, last_delta: u32) -> Result<(), BadBatch> {
    match base_offset.checked_add(u64::from(last_delta) + 1) {
        Some(next) if i64::try_from(next).is_ok() => Ok(()),
        _ => Err(BadBatch::Header("base offset")),
    }
}

/// `bytes` holds the records behind room for the header.
pub fn write_header(bytes: &mut [u8], header: &Header, max_timestamp: TimestampMs) {
    let rest = (bytes.len() - 12) as i32;
    let mut at = &mut bytes[..BATCH_HEADER_BYTES];
    at.put_u64(header.base_offset);
    at.put_i32(rest);
    at.put_i32(-1);
    at.put_i8(MAGIC);
    at.put_u32(0);
    at.put_i16(header.stamp.map_or(0, |it| if it.is_transactional { TRANSACTIONAL } else { 0 }));
    at.put_u32(header.last_delta);
    at.put_i64(header.base_timestamp);
    at.put_i64(max_timestamp);
    at.put_i64(header.stamp.map_or(-1, |stamp| stamp.producer.id));
    at.put_i16(header.stamp.map_or(-1, |stamp| stamp.producer.epoch));
    at.put_i32(header.stamp.and_then(|stamp| stamp.sequence).unwrap_or(-1));
    at.put_u32(header.count);
    let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
    (&mut bytes[17..CHECKED_FROM]).put_u32(checksum);
}

/// `bytes` is a whole batch.
pub fn write_stamp(bytes: &mut [u8], stamp: &Stamp) {
    let mut attributes = i16::from_be_bytes([bytes[CHECKED_FROM], bytes[CHECKED_FROM + 1]]);
    attributes &= !TRANSACTIONAL;
    if stamp.is_transactional {
        attributes |= TRANSACTIONAL;
    }
    (&mut bytes[CHECKED_FROM..CHECKED_FROM + 2]).put_i16(attributes);
    let mut at = &mut bytes[43..57];
    at.put_i64(stamp.producer.id);
    at.put_i16(stamp.producer.epoch);
    at.put_i32(stamp.sequence.unwrap_or(-1));
    let checksum = crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]);
    (&mut bytes[17..CHECKED_FROM]).put_u32(checksum);
}

/// A batch without records, for readers: nothing lies from this offset up to before that one. The
/// format knows them from compaction. Reaches as far as one batch can.
pub fn write_gap(from: Offset, until: Offset) -> [u8; BATCH_HEADER_BYTES] {
    let mut bytes = [0; BATCH_HEADER_BYTES];
    let last_delta = until.saturating_sub(from + 1).min(i32::MAX as u64) as u32;
    let header = Header {
        base_offset: from,
        last_delta,
        count: 0,
        base_timestamp: -1,
        stamp: None,
        packing: None,
    };
    write_header(&mut bytes, &header, -1);
    bytes
}

pub fn write_record(out: &mut Vec<u8>, record: &Record, timestamp_delta: i64, offset_delta: u32) {
    let key = record.key.as_ref().map(Key::bytes);
    let value = record.value.as_ref();
    let body_bytes = 1
        + varint_bytes(timestamp_delta)
        + varint_bytes(i64::from(offset_delta))
        + field_bytes(key)
        + field_bytes(value)
        + varint_bytes(record.headers.len() as i64)
        + record
            .headers
            .iter()
            .map(|header| field_bytes(Some(&header.name)) + field_bytes(Some(&header.value)))
            .sum::<usize>();
    write_varint(out, body_bytes as i64);
    out.push(0);
    write_varint(out, timestamp_delta);
    write_varint(out, i64::from(offset_delta));
    write_field(out, key);
    write_field(out, value);
    write_varint(out, record.headers.len() as i64);
    for header in &record.headers {
        write_field(out, Some(&header.name));
        write_field(out, Some(&header.value));
    }
}

/// As `write_record`, for a record of another batch.
pub fn write_view(
    out: &mut Vec<u8>,
    view: &RecordView<'_>,
    timestamp_delta: i64,
    offset_delta: u32,
) {
    let field_bytes = |field: Option<&[u8]>| {
        field.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
    };
    let body_bytes = 1
        + varint_bytes(timestamp_delta)
        + varint_bytes(i64::from(offset_delta))
        + field_bytes(view.key)
        + field_bytes(view.value)
        + varint_bytes(view.headers_count as i64)
        + view.headers.len();
    write_varint(out, body_bytes as i64);
    out.push(0);
    write_varint(out, timestamp_delta);
    write_varint(out, i64::from(offset_delta));
    for field in [view.key, view.value] {
        write_varint(out, field.map_or(-1, |bytes| bytes.len() as i64));
        out.extend_from_slice(field.unwrap_or_default());
    }
    write_varint(out, view.headers_count as i64);
    out.extend_from_slice(view.headers);
}

fn field_bytes(field: Option<&Bytes>) -> usize {
    field.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn write_field(out: &mut Vec<u8>, field: Option<&Bytes>) {
    match field {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn varint_bytes(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_varint(at: &mut &[u8]) -> Option<i64> {
    // Most are of one byte.
    if let Some((&byte @ 0..0x80, rest)) = at.split_first() {
        *at = rest;
        return Some(i64::from(byte >> 1) ^ -i64::from(byte & 1));
    }
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = at.split_first()?;
        *at = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

/// A length-prefixed field; the inner `None` is a length of -1.
fn read_field<'a>(at: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let len = read_varint(at)?;
    if len == -1 {
        return Some(None);
    }
    let (field, rest) = at.split_at_checked(usize::try_from(len).ok()?)?;
    *at = rest;
    Some(Some(field))
}

/// A record inside a batch, borrowed: what filters and key searches look at.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    pub offset: Offset,
    pub timestamp: TimestampMs,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    headers_count: usize,
}

impl<'a> RecordView<'a> {
    /// Names and values in the order they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut at = self.headers;
        (0..self.headers_count).map_while(move |_| {
            let name = read_field(&mut at)??;
            // Other writers may send a header without a value; ours always has one.
            let value = read_field(&mut at)?.unwrap_or_default();
            Some((name, value))
        })
    }

    /// Bytes of key, value and headers together, as `Record::size` counts them.
    pub fn size(&self) -> usize {
        self.key.map_or(0, <[u8]>::len)
            + self.value.map_or(0, <[u8]>::len)
            + self.headers().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    pub(super) fn count_in(&self, content: &mut Content) {
        content.add(self.size(), self.timestamp, self.key.is_some(), self.headers_count > 0);
    }

    /// `whole` is the batch the view borrows from.
    pub fn to_record(self, whole: &Bytes) -> Record {
        let headers = self
            .headers()
            .map(|(name, value)| RecordHeader {
                name: whole.slice_ref(name),
                value: whole.slice_ref(value),
            })
            .collect::<Headers>();
        Record {
            // A parsed batch holds no key above the limit.
            key: self.key.and_then(|key| Key::new(whole.slice_ref(key)).ok()),
            value: self.value.map(|value| whole.slice_ref(value)),
            headers,
            timestamp: Some(self.timestamp),
        }
    }
}

/// One record's body after its length.
struct Body<'a> {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [u8],
    headers_count: usize,
}

fn read_record<'a>(at: &mut &'a [u8]) -> Result<Body<'a>, &'static str> {
    let len = read_varint(at).ok_or("length")?;
    let len = usize::try_from(len).map_err(|_| "length")?;
    let (body, rest) = at.split_at_checked(len).ok_or("length")?;
    *at = rest;
    let (_attributes, mut body) = body.split_first().ok_or("attributes")?;
    let timestamp_delta = read_varint(&mut body).ok_or("timestamp")?;
    let offset_delta = read_varint(&mut body).ok_or("offset")?;
    let key = read_field(&mut body).ok_or("key")?;
    let value = read_field(&mut body).ok_or("value")?;
    let headers_count = read_varint(&mut body).ok_or("header count")?;
    let headers_count = usize::try_from(headers_count).map_err(|_| "header count")?;
    Ok(Body { timestamp_delta, offset_delta, key, value, headers: body, headers_count })
}

/// Every record, its fields and its headers. After this, `Views` finds all of them.
pub fn check_records(records: &[u8], header: &Header) -> Result<Content, BadBatch> {
    let mut at = records;
    let mut content = Content::NOTHING;
    let mut delta_min = 0;
    for index in 0..header.count {
        let bad = |reason| BadBatch::Record { index, reason };
        let body = read_record(&mut at).map_err(bad)?;
        if body.offset_delta < delta_min || body.offset_delta > i64::from(header.last_delta) {
            return Err(bad("offset"));
        }
        delta_min = body.offset_delta + 1;
        if body.key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return Err(bad("key length"));
        }
        let headers_bytes = check_headers(&body).map_err(bad)?;
        let fields = [body.key, body.value].into_iter().flatten();
        let bytes = fields.map(<[u8]>::len).sum::<usize>() + headers_bytes;
        let timestamp = header.base_timestamp.wrapping_add(body.timestamp_delta);
        content.add(bytes, timestamp, body.key.is_some(), body.headers_count > 0);
    }
    match at.is_empty() {
        true => Ok(content),
        false => Err(BadBatch::Length),
    }
}

/// Answers the bytes of all names and values.
fn check_headers(body: &Body<'_>) -> Result<usize, &'static str> {
    let mut at = body.headers;
    let mut bytes = 0;
    for _ in 0..body.headers_count {
        // Whether it is UTF-8 is for those who take records: the builder does not ask, and what it
        // made must never look damaged.
        let name = read_field(&mut at).flatten().ok_or("header name")?;
        let value = read_field(&mut at).ok_or("header value")?;
        bytes += name.len() + value.map_or(0, <[u8]>::len);
    }
    if at.is_empty() { Ok(bytes) } else { Err("length") }
}

/// The records of a checked batch. Stops at bytes it does not understand, of which there are none.
pub struct Views<'a> {
    at: &'a [u8],
    base_offset: Offset,
    base_timestamp: TimestampMs,
    left: u32,
}

impl<'a> Views<'a> {
    pub fn new(
        at: &'a [u8],
        base_offset: Offset,
        base_timestamp: TimestampMs,
        count: u32,
    ) -> Views<'a> {
        Views { at, base_offset, base_timestamp, left: count }
    }
}

impl<'a> Views<'a> {
    /// The next record with its bytes as they stand in the batch, its length included.
    pub fn next_raw(&mut self) -> Option<(RecordView<'a>, &'a [u8])> {
        let before = self.at;
        let view = self.next()?;
        Some((view, before.get(..before.len() - self.at.len())?))
    }
}

impl<'a> Iterator for Views<'a> {
    type Item = RecordView<'a>;

    fn next(&mut self) -> Option<RecordView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let body = read_record(&mut self.at).ok()?;
        Some(RecordView {
            offset: self.base_offset + u64::try_from(body.offset_delta).ok()?,
            timestamp: self.base_timestamp.wrapping_add(body.timestamp_delta),
            key: body.key,
            value: body.value,
            headers: body.headers,
            headers_count: body.headers_count,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}
