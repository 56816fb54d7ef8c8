//! Records as publishers write them in JSON. Values are passed on as slices of the received bytes:
//! nothing of them is parsed beyond checking, and nothing copied unless it was escaped. It must not
//! know what becomes of the records.

use crate::address::parse_topic;
use crate::json::{parse_json_at, utf8};
use crate::param::{make_key, parse_base64};
use bytes::Bytes;
use port::{Code, Refusal};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use types::limits::{HEADER_BYTES_MAX, HEADERS_MAX, RECORD_BYTES_MAX, RECORDS_PER_APPEND_MAX};
use types::record::header;
use types::{Header, Headers, Record, TimestampMs, TopicName};

/// Bytes of a publisher's own record id.
pub const ID_BYTES_MAX: usize = 256;

/// A record to publish and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: TopicName,
    pub record: Record,
}

impl Publish {
    /// The publisher's own id, which is a header of the record.
    pub fn id(&self) -> Option<&str> {
        record_id(&self.record)
    }
}

/// The publisher's own id of a record, if it gave one.
pub fn record_id(record: &Record) -> Option<&str> {
    record.header(header::ID).and_then(|id| std::str::from_utf8(id).ok())
}

/// How several records stand in one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One object, or an array of them.
    Json,
    /// One object per line (`application/x-ndjson`); empty lines are skipped.
    Lines,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishes {
    pub records: Vec<Publish>,
    /// The body was a list, so its answer is one.
    pub is_list: bool,
}

/// Text that borrows from the input when it held no escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// Names and values in the order they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadersView<'a>(pub Vec<(Text<'a>, Text<'a>)>);

/// The JSON object of one record to publish. `data: null` with a key is a tombstone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a record, which is an object")]
pub struct PublishView<'a> {
    #[serde(borrow)]
    pub topic: Text<'a>,
    #[serde(borrow, default)]
    pub key: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub key_base64: Option<Text<'a>>,
    /// Any JSON, `null` included, which is why it is not left to `Option`.
    #[serde(borrow, default, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub data_base64: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub headers: Option<HeadersView<'a>>,
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(default)]
    pub timestamp: Option<TimestampMs>,
    #[serde(borrow, default)]
    pub content_type: Option<Text<'a>>,
}

/// For members where `null` is a value and not an absence.
pub fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Reads the records of one body.
///
/// # Errors
/// `UNKNOWN_FIELD` and `INVALID_REQUEST` with the field's path (`records[3].headers.x`; without
/// `records[..]` when the body is one object), `INVALID_TOPIC`, `PAYLOAD_TOO_LARGE`.
pub fn parse_publishes(body: &Bytes, framing: Framing) -> Result<Publishes, Refusal> {
    let text = utf8(body)?;
    let is_list = framing == Framing::Lines || text.trim_ascii_start().starts_with('[');
    let mut reader = Reader { body, records: Vec::new() };
    match (framing, is_list) {
        (Framing::Lines, _) => reader.lines(text)?,
        (Framing::Json, false) => reader.add(view(text, "")?, "")?,
        (Framing::Json, true) => {
            let views: Views<'_> = parse_json_at(text, "records")?;
            reader.records.reserve_exact(views.0.len());
            for (index, view) in views.0.into_iter().enumerate() {
                reader.add(view, &Place(index))?;
            }
        }
    }
    if reader.records.is_empty() {
        return Err(Refusal::new(Code::InvalidRequest, "there is no record to publish")
            .field("records")
            .hint("send one object, or a list that is not empty"));
    }
    Ok(Publishes { records: reader.records, is_list })
}

fn view<'a>(text: &'a str, at: &str) -> Result<PublishView<'a>, Refusal> {
    parse_json_at(text, at)
}

/// The place of a record in its list, written only when something is wrong with it.
struct Place(usize);

/// What stands before the field names of one record.
trait Prefix {
    fn field(&self, name: &str) -> String;
}

impl Prefix for Place {
    fn field(&self, name: &str) -> String {
        format!("records[{}].{name}", self.0)
    }
}

impl Prefix for str {
    fn field(&self, name: &str) -> String {
        if self.is_empty() { name.to_owned() } else { format!("{self}.{name}") }
    }
}

struct Reader<'a> {
    body: &'a Bytes,
    records: Vec<Publish>,
}

impl Reader<'_> {
    fn lines(&mut self, text: &str) -> Result<(), Refusal> {
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
            let line = rest[..end].trim_ascii();
            rest = rest.get(end + 1..).unwrap_or("");
            if line.is_empty() {
                continue;
            }
            let index = self.records.len();
            if index == RECORDS_PER_APPEND_MAX {
                return Err(too_many());
            }
            let view = view(line, &format!("records[{index}]"))?;
            self.add(view, &Place(index))?;
        }
        Ok(())
    }

    fn add(&mut self, view: PublishView<'_>, at: &(impl Prefix + ?Sized)) -> Result<(), Refusal> {
        // Batches mostly go to one topic: its checked name is shared.
        let known = self.records.last().map(|last| &last.topic);
        let topic = match known {
            Some(topic) if topic.as_str() == view.topic.0 => topic.clone(),
            _ => parse_topic(&view.topic.0, at.field("topic"))?,
        };
        let record = view.record(self.body, at)?;
        self.records.push(Publish { topic, record });
        Ok(())
    }
}

impl PublishView<'_> {
    /// The record with its topic. `body` is what the view was read from, so that values become
    /// slices of it; `at` stands before the field names of a refusal (`records[3]`, or nothing).
    ///
    /// # Errors
    /// As `parse_publishes`.
    pub fn into_publish(self, body: &Bytes, at: &str) -> Result<Publish, Refusal> {
        let topic = parse_topic(&self.topic.0, at.field("topic"))?;
        let record = self.record(body, at)?;
        Ok(Publish { topic, record })
    }

    fn record(self, body: &Bytes, at: &(impl Prefix + ?Sized)) -> Result<Record, Refusal> {
        let key = match (&self.key, &self.key_base64) {
            (None, None) => None,
            (Some(text), None) => Some(make_key(text.bytes(body), || at.field("key"))?),
            (None, Some(text)) => {
                let field = || at.field("key_base64");
                Some(make_key(parse_base64(&text.0, field())?, field)?)
            }
            (Some(_), Some(_)) => return Err(two_ways("key", at)),
        };
        let value = match (self.data, &self.data_base64) {
            (Some(json), None) if json.get() == "null" => match key {
                Some(_) => None,
                None => return Err(keyless_tombstone(at)),
            },
            (Some(json), None) => Some(slice_of(body, json.get())),
            (None, Some(text)) => {
                Some(Bytes::from(parse_base64(&text.0, at.field("data_base64"))?))
            }
            (Some(_), Some(_)) => return Err(two_ways("data", at)),
            (None, None) => {
                return Err(Refusal::new(Code::InvalidRequest, "the record has no value")
                    .field(at.field("data"))
                    .hint("`data` with any JSON, or `data_base64` with bytes"));
            }
        };
        if self.timestamp.is_some_and(|timestamp| timestamp < 0) {
            let message = "a timestamp is milliseconds since 1970 and not negative";
            return Err(Refusal::new(Code::InvalidRequest, message).field(at.field("timestamp")));
        }
        let timestamp = self.timestamp;
        let headers = self.headers(body, at)?;
        let record = Record { key, value, headers, timestamp };
        if record.size() > RECORD_BYTES_MAX {
            let message = "value, key and headers of a record together are too large";
            return Err(Refusal::new(Code::PayloadTooLarge, message)
                .field(at.field("data"))
                .hint(format!("at most {RECORD_BYTES_MAX} bytes")));
        }
        Ok(record)
    }

    fn headers(&self, body: &Bytes, at: &(impl Prefix + ?Sized)) -> Result<Headers, Refusal> {
        let mut headers = Headers::new();
        if let Some(id) = &self.id {
            if id.0.is_empty() || id.0.len() > ID_BYTES_MAX {
                let message = format!("an id has 1 to {ID_BYTES_MAX} bytes");
                return Err(Refusal::new(Code::InvalidRequest, message).field(at.field("id")));
            }
            headers.push(make_header(header::ID, id.bytes(body)));
        }
        if let Some(media) = &self.content_type {
            if media.0.is_empty() || media.0.len() > ID_BYTES_MAX {
                let message = format!("a content type has 1 to {ID_BYTES_MAX} bytes");
                let field = at.field("content_type");
                return Err(Refusal::new(Code::InvalidRequest, message).field(field));
            }
            headers.push(make_header(header::CONTENT_TYPE, media.bytes(body)));
        }
        for (name, value) in self.headers.iter().flat_map(|headers| &headers.0) {
            check_header(&name.0, value.0.len()).map_err(|(message, hint)| {
                let field = at.field(&format!("headers.{}", name.0));
                Refusal::new(Code::InvalidRequest, message).field(field).hint(hint)
            })?;
            headers.push(Header { name: name.bytes(body), value: value.bytes(body) });
        }
        Ok(headers)
    }
}

/// A header of the platform's own naming.
pub fn make_header(name: &'static str, value: Bytes) -> Header {
    Header { name: Bytes::from_static(name.as_bytes()), value }
}

/// Whether a publisher may set this header; if not, why and what to do.
pub fn check_header(name: &str, value_bytes: usize) -> Result<(), (&'static str, &'static str)> {
    if name.is_empty() {
        return Err(("a header has a name", "remove it"));
    }
    if name.len() + value_bytes > HEADER_BYTES_MAX {
        return Err(("the header is too large", "at most 32768 bytes, name and value together"));
    }
    if name.starts_with("ms-") {
        return Err(("headers that begin with `ms-` are the platform's", "use `id` for the id"));
    }
    if name.eq_ignore_ascii_case(header::CONTENT_TYPE) {
        return Err(("the content type is not a header here", "use `content_type`"));
    }
    Ok(())
}

fn two_ways(name: &str, at: &(impl Prefix + ?Sized)) -> Refusal {
    let message = format!("`{name}` and `{name}_base64` are two ways to say one thing");
    Refusal::new(Code::InvalidRequest, message)
        .field(at.field(&format!("{name}_base64")))
        .hint("give one of them")
}

fn keyless_tombstone(at: &(impl Prefix + ?Sized)) -> Refusal {
    Refusal::new(Code::InvalidRequest, "`null` removes the value of a key, and there is no key")
        .field(at.field("data"))
        .hint("add `key`, or publish another value")
}

fn too_many() -> Refusal {
    let message = format!("more than {RECORDS_PER_APPEND_MAX} records in one request");
    Refusal::new(Code::PayloadTooLarge, message).field("records").hint("split the request")
}

/// The part of `body` that `text` is, shared; a copy when it lies elsewhere.
fn slice_of(body: &Bytes, text: &str) -> Bytes {
    let start = (text.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
    match start.checked_add(text.len()) {
        Some(end) if end <= body.len() => body.slice(start..end),
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

impl Text<'_> {
    /// Shared with `body` when borrowed from it.
    pub fn bytes(&self, body: &Bytes) -> Bytes {
        match &self.0 {
            Cow::Borrowed(text) => slice_of(body, text),
            Cow::Owned(text) => Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for HeadersView<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = HeadersView<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if headers.len() == HEADERS_MAX {
                        return Err(serde::de::Error::custom(format_args!(
                            "a record has at most {HEADERS_MAX} headers"
                        )));
                    }
                    headers.push(entry);
                }
                Ok(HeadersView(headers))
            }
        }
        from.deserialize_map(HeadersVisitor)
    }
}

/// The records of an array, no more than one call takes, so that a body of many tiny records
/// cannot grow into much memory.
struct Views<'a>(Vec<PublishView<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Views<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct ViewsVisitor;
        impl<'de> Visitor<'de> for ViewsVisitor {
            type Value = Views<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut views = Vec::new();
                while let Some(view) = list.next_element()? {
                    if views.len() == RECORDS_PER_APPEND_MAX {
                        return Err(serde::de::Error::custom(format_args!(
                            "a request has at most {RECORDS_PER_APPEND_MAX} records"
                        )));
                    }
                    views.push(view);
                }
                Ok(Views(views))
            }
        }
        from.deserialize_seq(ViewsVisitor)
    }
}
