//! `mainstem.v1.bin`, reading. The layout is in the README; a frame that goes on after its end, or
//! sets a flag that does not exist, is refused like an unknown field.

use super::bytes_reader::BytesReader;
use super::{parse_filter, sized_secret, take_message, traceparent};
use crate::frame::{Call, CallId, Frame, PresenceWish, Shape, Subscribe, Verb};
use bytes::{Bytes, BytesMut};
use port::{Code, Codec, Refusal};
use types::limits::{HEADERS_MAX, RECORDS_PER_APPEND_MAX};
use types::record::header;
use types::{ConsumerName, From, Header, Headers, Record};
use wire_http::address::parse_topic;
use wire_http::param::{cursors, make_key};
use wire_http::publish::{ID_BYTES_MAX, Publish, check_header, make_header};

/// First byte of a client's frames; `TRACED` may be added to each.
pub mod call_kind {
    pub const CONNECT: u8 = 1;
    pub const REFRESH: u8 = 2;
    pub const SUBSCRIBE: u8 = 3;
    pub const UNSUBSCRIBE: u8 = 4;
    pub const PUBLISH: u8 = 5;
    pub const PRESENCE: u8 = 6;
    pub const PING: u8 = 7;
    pub const CREDIT: u8 = 8;
    /// A `traceparent` follows the request's number.
    pub const TRACED: u8 = 0x80;
}

#[derive(Debug, Clone)]
pub struct BinaryCodec {
    frame_bytes_max: usize,
}

impl BinaryCodec {
    pub fn new(frame_bytes_max: usize) -> BinaryCodec {
        BinaryCodec { frame_bytes_max }
    }
}

impl Codec for BinaryCodec {
    type Frame = Frame;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Refusal> {
        if input.is_empty() {
            return Ok(None);
        }
        let message = take_message(input, self.frame_bytes_max)?;
        let mut reader = BytesReader::new(message);
        let mut id = None;
        Ok(Some(match read(&mut reader, &mut id) {
            Ok(call) => Frame::Call(Box::new(call)),
            Err(refusal) => Frame::Bad { id, refusal },
        }))
    }

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) {
        if let Frame::Said(say) = frame {
            super::binary_say::write(output, &say);
        }
    }
}

fn read(from: &mut BytesReader, known: &mut Option<CallId>) -> Result<Call, Refusal> {
    let kind = from.byte("type")?;
    let id: CallId = from.number("id")?;
    *known = Some(id);
    let trace = match kind & call_kind::TRACED {
        0 => None,
        _ => traceparent(&from.bytes("traceparent")?),
    };
    let verb = match kind & !call_kind::TRACED {
        call_kind::CONNECT => Verb::Connect(sized_secret(from.text("token")?)?),
        call_kind::REFRESH => Verb::Refresh(sized_secret(from.text("token")?)?),
        call_kind::SUBSCRIBE => Verb::Subscribe(subscribe(from)?),
        call_kind::UNSUBSCRIBE => Verb::Unsubscribe(from.number("sub")?),
        call_kind::CREDIT => Verb::Credit { sub: from.number("sub")?, add: from.varint("add")? },
        call_kind::PUBLISH => Verb::Publish(publish(from)?),
        call_kind::PRESENCE => Verb::Presence(super::binary_presence::read(from)?),
        call_kind::PING => Verb::Ping,
        other => {
            return Err(Refusal::new(Code::InvalidRequest, format!("there is no frame {other}"))
                .field("type")
                .hint("1 to 8"));
        }
    };
    if !from.is_empty() {
        let message = format!("{} bytes follow the end of the frame", from.remaining());
        return Err(Refusal::new(Code::UnknownField, message).field("frame"));
    }
    Ok(Call { id, traceparent: trace, verb })
}

/// Added to the start of a subscription that wants of presence the counts alone.
const COUNTS_ONLY: u8 = 0x80;

/// A byte of which only `known` bits may be set.
pub(super) fn flags(from: &mut BytesReader, field: &str, known: u8) -> Result<u8, Refusal> {
    let flags = from.byte(field)?;
    if flags & !known == 0 {
        return Ok(flags);
    }
    let message = format!("the flags {:#04x} do not exist", flags & !known);
    Err(Refusal::new(Code::UnknownField, message).field(field))
}

fn subscribe(from: &mut BytesReader) -> Result<Subscribe, Refusal> {
    let sub = from.number("sub")?;
    let flags = from.byte("flags")?;
    let filter = parse_filter(&from.text("filter")?)?;
    let kind = from.byte("from")?;
    let counts_only = kind & COUNTS_ONLY;
    let start =
        match kind & !COUNTS_ONLY {
            0 => From::Latest,
            1 => From::Earliest,
            2 => From::Offset(from.varint("from")?),
            3 => From::Time(from.signed("from")?),
            4 => {
                let count: usize = from.number("from")?;
                if count > super::CURSORS_MAX {
                    let message = format!("at most {} cursors", super::CURSORS_MAX);
                    return Err(Refusal::new(Code::InvalidRequest, message).field("from"));
                }
                let list = (0..count).map(|_| from.text("from")).collect::<Result<Vec<_>, _>>()?;
                cursors(list)?
            }
            5 => {
                let name = from.text("from")?;
                From::Consumer(ConsumerName::parse(&name).map_err(|bad| {
                    Refusal::new(Code::InvalidRequest, bad.to_string()).field("from")
                })?)
            }
            _ => {
                let refusal = Refusal::new(Code::InvalidRequest, "there is no such start");
                return Err(refusal.field("from").hint("0 to 5"));
            }
        };
    Ok(Subscribe {
        sub,
        filter,
        from: start,
        latest: (flags & 1 != 0).into(),
        exclude_own: (flags & 2 != 0).into(),
        presence: match (flags & 4, counts_only) {
            (0, _) => PresenceWish::Nothing,
            (_, 0) => PresenceWish::Changes,
            _ => PresenceWish::Counts,
        },
        shape: shape(from, flags)?,
    })
}

/// What the flags of a subscribe promise behind its start.
fn shape(from: &mut BytesReader, flags: u8) -> Result<Shape, Refusal> {
    let mut shape = Shape { delta: (flags & 64 != 0).into(), ..Shape::default() };
    if flags & 8 != 0 {
        shape.condition = Some(from.text("where")?);
    }
    if flags & 16 != 0 {
        shape.conflate_ms = Some(from.varint("conflate_ms")?);
    }
    if flags & 32 != 0 {
        shape.batch_ms = Some(from.varint("batch_ms")?);
    }
    if flags & 128 != 0 {
        shape.credits = Some(from.varint("credits")?);
    }
    Ok(shape)
}

fn publish(from: &mut BytesReader) -> Result<Vec<Publish>, Refusal> {
    let count: usize = from.number("records")?;
    if count == 0 || count > RECORDS_PER_APPEND_MAX || count > from.remaining() {
        let message = format!("a publish has 1 to {RECORDS_PER_APPEND_MAX} records");
        return Err(Refusal::new(Code::InvalidRequest, message).field("records"));
    }
    let mut records: Vec<Publish> = Vec::new();
    for index in 0..count {
        let known = records.last().map(|last| last.topic.clone());
        let name = from.bytes("topic")?;
        let topic = match known {
            Some(topic) if topic.as_str().as_bytes() == &*name => topic,
            _ => {
                let text = String::from_utf8_lossy(&name);
                parse_topic(&text, format!("records[{index}].topic"))?
            }
        };
        let record = record(from, index)?;
        records.push(Publish { topic, record });
    }
    Ok(records)
}

fn record(from: &mut BytesReader, index: usize) -> Result<Record, Refusal> {
    let place = |name: &str| format!("records[{index}].{name}");
    let flags = flags(from, &place("flags"), 0b11_1111)?;
    let mut record = Record::default();
    if flags & 1 != 0 {
        record.key = Some(make_key(from.bytes("key")?, || place("key"))?);
    }
    if flags & 2 != 0 {
        record.value = Some(from.bytes("value")?);
    } else if record.key.is_none() {
        let message = "a record without a value removes the value of a key, and there is no key";
        return Err(Refusal::new(Code::InvalidRequest, message).field(place("key")));
    }
    for (flag, member, name) in [(4, "id", header::ID), (8, "content_type", header::CONTENT_TYPE)] {
        if flags & flag != 0 {
            let value = utf8(from.bytes(member)?, || place(member))?;
            if value.is_empty() || value.len() > ID_BYTES_MAX {
                let message = format!("`{member}` has 1 to {ID_BYTES_MAX} bytes");
                return Err(Refusal::new(Code::InvalidRequest, message).field(place(member)));
            }
            record.headers.push(make_header(name, value));
        }
    }
    if flags & 16 != 0 {
        record.timestamp = Some(from.signed("timestamp")?);
    }
    if flags & 32 != 0 {
        headers(from, &mut record.headers, &place)?;
    }
    Ok(record)
}

fn headers(
    from: &mut BytesReader,
    into: &mut Headers,
    place: &dyn Fn(&str) -> String,
) -> Result<(), Refusal> {
    let count: usize = from.number("headers")?;
    if count > HEADERS_MAX {
        let message = format!("a record has at most {HEADERS_MAX} headers");
        return Err(Refusal::new(Code::InvalidRequest, message).field(place("headers")));
    }
    for _ in 0..count {
        let name = utf8(from.bytes("headers")?, || place("headers"))?;
        let value = from.bytes("headers")?;
        // Checked to be UTF-8 just above.
        let text = String::from_utf8_lossy(&name);
        check_header(&text, value.len()).map_err(|(message, hint)| {
            let field = place(&format!("headers.{text}"));
            Refusal::new(Code::InvalidRequest, message).field(field).hint(hint)
        })?;
        into.push(Header { name, value });
    }
    Ok(())
}

fn utf8(bytes: Bytes, field: impl FnOnce() -> String) -> Result<Bytes, Refusal> {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(Refusal::new(Code::InvalidRequest, "the text is not UTF-8").field(field())),
    }
}
