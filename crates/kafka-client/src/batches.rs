//! Record batches of format 2 (the Kafka protocol guide, "Record Batch") as clients meet them:
//! compressed, in transactions, or a broker's control batches. Pure; no bytes make it panic.
//!
//! ```text
//!  0 base offset i64 | 8 length of the rest i32 | 12 leader epoch i32 | 16 magic 2 | 17 CRC-32C
//! 21 attributes i16 | 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64
//! 43 producer id i64 | 51 producer epoch i16 | 53 base sequence i32 | 57 count i32 | 61 records
//! ```

use crate::{Error, Packing, Result};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use wire_kafka::records;

pub const HEAD_BYTES: usize = 61;
/// Bytes up to the end of the field that says how long the rest is.
const LENGTH_END: usize = 12;
const CHECKED_FROM: usize = 21;
const MAGIC: i8 = 2;
const CODEC_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// Headers of one record that are made room for before they were read.
const HEADERS_ROOM_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// What is sent and received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    pub key: Option<Bytes>,
    /// `None` is a tombstone.
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// Milliseconds since 1970. Sent without one, a record is dated when it is sent.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Record {
        Record { key: Some(key.into()), value: Some(value.into()), ..Record::default() }
    }

    /// Bytes that it takes in a batch at most.
    pub fn size_max(&self) -> usize {
        const RECORD_OVERHEAD: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        let headers = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len) + 10);
        let body =
            self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len);
        RECORD_OVERHEAD + body + headers.sum::<usize>()
    }
}

/// The fixed part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_delta: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

fn bad(why: &str) -> Error {
    Error::Malformed(format!("a record batch: {why}"))
}

impl Head {
    /// Of one whole batch, whose checksum must be right.
    ///
    /// # Errors
    /// When the bytes are not exactly one batch of format 2.
    pub fn read(bytes: &[u8]) -> Result<Head> {
        let mut at = bytes.get(..HEAD_BYTES).ok_or_else(|| bad("it ends early"))?;
        let base_offset = at.get_i64();
        let rest = at.get_i32();
        let leader_epoch = at.get_i32();
        if at.get_i8() != MAGIC {
            return Err(bad("only format 2 (Kafka 0.11 and later) is known"));
        }
        if usize::try_from(rest) != Ok(bytes.len() - LENGTH_END) {
            return Err(bad("its length does not fit"));
        }
        if at.get_u32() != crc_fast::crc32_iscsi(&bytes[CHECKED_FROM..]) {
            return Err(bad("its checksum does not fit"));
        }
        let head = Head {
            base_offset,
            leader_epoch,
            attributes: at.get_i16(),
            last_delta: at.get_i32(),
            base_timestamp_ms: at.get_i64(),
            max_timestamp_ms: at.get_i64(),
            producer_id: at.get_i64(),
            producer_epoch: at.get_i16(),
            base_sequence: at.get_i32(),
            count: at.get_i32(),
        };
        let is_sane = head.base_offset >= 0
            && head.last_delta >= 0
            && head.count >= 0
            && i64::from(head.count) <= i64::from(head.last_delta) + 1
            && head.base_offset.checked_add(i64::from(head.last_delta) + 1).is_some();
        if is_sane { Ok(head) } else { Err(bad("its head contradicts itself")) }
    }

    pub fn packing(&self) -> Result<Option<Packing>> {
        match self.attributes & CODEC_MASK {
            0 => Ok(None),
            1 => Ok(Some(Packing::Gzip)),
            2 => Ok(Some(Packing::Snappy)),
            3 => Ok(Some(Packing::Lz4)),
            4 => Ok(Some(Packing::Zstd)),
            _ => Err(bad("an unknown codec")),
        }
    }

    /// Written by the broker: the end of a transaction, not records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// The records are dated by the broker: all as the batch's greatest timestamp.
    pub fn is_dated_by_broker(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn next_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_delta) + 1
    }
}

/// The whole batches that stand behind each other; a last one that was cut off is left out, as
/// brokers cut answers off where they are full.
pub fn split(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let field = bytes.get(LENGTH_END - 4..LENGTH_END)?.first_chunk::<4>()?;
        let end = usize::try_from(i32::from_be_bytes(*field)).ok()?.checked_add(LENGTH_END)?;
        (end <= bytes.len()).then(|| bytes.split_to(end))
    })
}

/// The records of one whole batch with their offsets. None of a control batch.
///
/// # Errors
/// When the batch is damaged, or larger decompressed than a batch may be.
pub fn records(bytes: &Bytes) -> Result<Vec<(i64, Record)>> {
    let head = Head::read(bytes)?;
    if head.is_control() {
        return Ok(Vec::new());
    }
    let packed = bytes.slice(HEAD_BYTES..);
    if head.count == 0 {
        // It only says that nothing lies there.
        return Ok(Vec::new());
    }
    let mut at = match head.packing()? {
        None => packed,
        Some(packing) => {
            let records = records::unpack(packing, &packed);
            records.map_err(|error| bad(&error.to_string()))?.into()
        }
    };
    let mut found = Vec::with_capacity((head.count as usize).min(at.len()));
    for _ in 0..head.count {
        let (offset, record) = read_record(&mut at, &head)?;
        found.push((offset, record));
    }
    if at.is_empty() { Ok(found) } else { Err(bad("there are bytes behind its records")) }
}

/// Whether a control batch says that its producer's transaction was given up.
///
/// # Errors
/// When the batch is damaged.
pub fn is_abort(bytes: &Bytes) -> Result<bool> {
    const ABORT: i16 = 0;
    let head = Head::read(bytes)?;
    if !head.is_control() || head.count == 0 {
        return Ok(false);
    }
    let (_, record) = read_record(&mut bytes.slice(HEAD_BYTES..), &head)?;
    // The key is a version and a type.
    let kind = record.key.as_ref().and_then(|key| key.get(2..4)?.first_chunk::<2>().copied());
    Ok(kind.map(i16::from_be_bytes) == Some(ABORT))
}

fn read_record(at: &mut Bytes, head: &Head) -> Result<(i64, Record)> {
    let length = usize::try_from(read_varint(at)?).map_err(|_| bad("a record's length"))?;
    if length > at.len() {
        return Err(bad("a record ends early"));
    }
    let mut body = at.split_to(length);
    let _attributes = body.try_get_u8().map_err(|_| bad("a record ends early"))?;
    let timestamp_delta = read_varint(&mut body)?;
    let offset_delta = read_varint(&mut body)?;
    if !(0..=i64::from(head.last_delta)).contains(&offset_delta) {
        return Err(bad("a record's offset"));
    }
    let key = read_field(&mut body)?;
    let value = read_field(&mut body)?;
    let count = usize::try_from(read_varint(&mut body)?).map_err(|_| bad("a count of headers"))?;
    let mut headers = Vec::with_capacity(count.min(HEADERS_ROOM_MAX));
    for _ in 0..count {
        let name = read_field(&mut body)?.ok_or_else(|| bad("a header without a name"))?;
        let name = std::str::from_utf8(&name).map_err(|_| bad("a header's name is not UTF-8"))?;
        headers.push(Header { name: name.to_owned(), value: read_field(&mut body)? });
    }
    let timestamp_ms = if head.is_dated_by_broker() {
        head.max_timestamp_ms
    } else {
        head.base_timestamp_ms.wrapping_add(timestamp_delta)
    };
    let record = Record { key, value, headers, timestamp_ms: Some(timestamp_ms) };
    Ok((head.base_offset + offset_delta, record))
}

fn read_field(at: &mut Bytes) -> Result<Option<Bytes>> {
    let length = read_varint(at)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| bad("a length"))?;
    if length > at.len() { Err(bad("a field ends early")) } else { Ok(Some(at.split_to(length))) }
}

fn read_varint(at: &mut Bytes) -> Result<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = at.try_get_u8().map_err(|_| bad("a number ends early"))?;
        value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(bad("a number has too many bytes"))
}

fn write_varint(output: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        output.put_u8((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    output.put_u8(rest as u8);
}

fn write_field(output: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => write_varint(output, -1),
        Some(bytes) => {
            write_varint(output, bytes.len() as i64);
            output.put_slice(bytes);
        }
    }
}

/// Who writes a batch: what tells one that was sent twice from two (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub is_transactional: bool,
}

/// Makes a batch one record after the other.
pub struct Builder {
    /// The records, each behind its length.
    bytes: BytesMut,
    count: i32,
    last_delta: i32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    pub fn new() -> Builder {
        Builder {
            bytes: BytesMut::new(),
            count: 0,
            last_delta: -1,
            base_timestamp_ms: 0,
            max_timestamp_ms: i64::MIN,
        }
    }

    /// Adds a record behind the others; answers its place in the batch. One without a timestamp
    /// gets this one.
    pub fn push(&mut self, record: &Record, timestamp_ms: i64) -> i32 {
        let delta = self.last_delta + 1;
        self.push_at(delta, record, timestamp_ms);
        delta
    }

    /// At a place of its own, which must lie behind the last: what is between stays empty.
    pub fn push_at(&mut self, delta: i32, record: &Record, timestamp_ms: i64) {
        assert!(delta > self.last_delta, "records lie in the order of their offsets");
        let timestamp_ms = record.timestamp_ms.unwrap_or(timestamp_ms);
        if self.count == 0 {
            self.base_timestamp_ms = timestamp_ms;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        let mut body = BytesMut::with_capacity(record.size_max());
        body.put_u8(0);
        write_varint(&mut body, timestamp_ms.wrapping_sub(self.base_timestamp_ms));
        write_varint(&mut body, i64::from(delta));
        write_field(&mut body, record.key.as_deref());
        write_field(&mut body, record.value.as_deref());
        write_varint(&mut body, record.headers.len() as i64);
        for header in &record.headers {
            write_field(&mut body, Some(header.name.as_bytes()));
            write_field(&mut body, header.value.as_deref());
        }
        write_varint(&mut self.bytes, body.len() as i64);
        self.bytes.extend_from_slice(&body);
        self.count += 1;
        self.last_delta = delta;
    }

    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes of the batch, before it is compressed.
    pub fn size(&self) -> usize {
        HEAD_BYTES + self.bytes.len()
    }

    /// # Errors
    /// When the codec fails.
    pub fn finish(self, packing: Option<Packing>, stamp: Option<Stamp>) -> Result<BytesMut> {
        let (codec, records) = match packing {
            None => (0, self.bytes),
            Some(packing) => {
                let packed = records::pack(packing, &self.bytes);
                let packed = packed.map_err(|error| Error::Invalid(error.to_string()))?;
                (codec(packing), BytesMut::from(&packed[..]))
            }
        };
        let mut batch = BytesMut::with_capacity(HEAD_BYTES + records.len());
        batch.put_i64(0);
        batch.put_i32((HEAD_BYTES - LENGTH_END + records.len()) as i32);
        batch.put_i32(-1);
        batch.put_i8(MAGIC);
        batch.put_u32(0);
        batch.put_i16(codec);
        batch.put_i32(self.last_delta);
        batch.put_i64(self.base_timestamp_ms);
        batch.put_i64(self.max_timestamp_ms);
        batch.put_i64(-1);
        batch.put_i16(-1);
        batch.put_i32(-1);
        batch.put_i32(self.count);
        batch.extend_from_slice(&records);
        write_stamp(&mut batch, stamp);
        Ok(batch)
    }
}

fn codec(packing: Packing) -> i16 {
    match packing {
        Packing::Gzip => 1,
        Packing::Snappy => 2,
        Packing::Lz4 => 3,
        Packing::Zstd => 4,
    }
}

/// Says in a whole batch who writes it, and makes its checksum anew. `None`: nobody that counts.
/// Bytes that are shorter than a head stay as they are.
pub fn write_stamp(batch: &mut BytesMut, stamp: Option<Stamp>) {
    if batch.len() < HEAD_BYTES {
        return;
    }
    let attributes = i16::from_be_bytes([batch[CHECKED_FROM], batch[CHECKED_FROM + 1]]);
    let is_transactional = stamp.is_some_and(|stamp| stamp.is_transactional);
    let attributes =
        (attributes & !TRANSACTIONAL) | if is_transactional { TRANSACTIONAL } else { 0 };
    (&mut batch[CHECKED_FROM..]).put_i16(attributes);
    let mut at = &mut batch[43..57];
    at.put_i64(stamp.map_or(-1, |stamp| stamp.producer_id));
    at.put_i16(stamp.map_or(-1, |stamp| stamp.producer_epoch));
    at.put_i32(stamp.map_or(-1, |stamp| stamp.base_sequence));
    let checksum = crc_fast::crc32_iscsi(&batch[CHECKED_FROM..]);
    (&mut batch[17..CHECKED_FROM]).put_u32(checksum);
}
