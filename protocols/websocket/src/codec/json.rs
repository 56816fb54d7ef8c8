//! `mainstem.v1.json`, reading. Strict: unknown fields are refused by name, depth and size are
//! bounded, and values of records stay slices of the message.

use super::{parse_filter, take_message, traceparent};
use crate::frame::{Call, CallId, Frame, PresenceWish, Shape, Subscribe, Verb};
use bytes::{Bytes, BytesMut};
use port::{Code, Codec, Credential, Refusal};
use serde::Deserialize;
use serde_json::value::RawValue;
use types::From;
use wire_http::json::{parse_json, parse_json_at, utf8};
use wire_http::param::{cursors, parse_from};
use wire_http::publish::{Framing, HeadersView, PublishView, Text, parse_publishes, present};

#[derive(Debug, Clone)]
pub struct JsonCodec {
    frame_bytes_max: usize,
}

impl JsonCodec {
    pub fn new(frame_bytes_max: usize) -> JsonCodec {
        JsonCodec { frame_bytes_max }
    }
}

impl Codec for JsonCodec {
    type Frame = Frame;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Refusal> {
        if input.is_empty() {
            return Ok(None);
        }
        let message = take_message(input, self.frame_bytes_max)?;
        Ok(Some(match read(&message) {
            Ok(call) => Frame::Call(Box::new(call)),
            Err(Unread { id, refusal }) => Frame::Bad { id, refusal },
        }))
    }

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) {
        if let Frame::Said(say) = frame {
            super::json_say::write(output, &say);
        }
    }
}

struct Unread {
    id: Option<CallId>,
    refusal: Refusal,
}

/// What every request has; the rest is read when it is known what it should be.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

fn read(message: &Bytes) -> Result<Call, Unread> {
    let anonymous = |refusal| Unread { id: None, refusal };
    let text = utf8(message).map_err(anonymous)?;
    // serde would also read a list as the members in their order.
    if !text.trim_ascii_start().starts_with('{') {
        let refusal = Refusal::new(Code::InvalidRequest, "a frame is one JSON object");
        return Err(anonymous(refusal.field("body")));
    }
    let head: Head<'_> = parse_json(text).map_err(anonymous)?;
    let id = head.id.and_then(|id| id.get().parse::<CallId>().ok());
    let numbered = |refusal| Unread { id, refusal };
    let Some(known) = id else {
        let refusal = Refusal::new(Code::InvalidRequest, "a request carries a number of yours")
            .field("id")
            .hint("0 to 4294967295; the answer repeats it");
        return Err(numbered(refusal));
    };
    let kind = head.kind.as_ref().map_or("", |kind| &*kind.0);
    let (verb, traceparent) = read_verb(kind, known, text, message).map_err(numbered)?;
    Ok(Call { id: known, traceparent, verb })
}

pub(super) type Read = Result<(Verb, Option<Bytes>), Refusal>;

fn read_verb(kind: &str, id: CallId, text: &str, message: &Bytes) -> Read {
    match kind {
        "publish" => publish(text, message),
        "ping" => parse_json(text).map(|bare: Bare<'_>| (Verb::Ping, bare.trace())),
        "subscribe" => subscribe(text, id),
        "unsubscribe" => parse_json(text).map(|unsubscribe: UnsubscribeFrame<'_>| {
            let trace = trace_of(&unsubscribe.traceparent);
            (Verb::Unsubscribe(unsubscribe.sub), trace)
        }),
        "credit" => parse_json(text).map(|credit: CreditFrame<'_>| {
            let trace = trace_of(&credit.traceparent);
            (Verb::Credit { sub: credit.sub, add: credit.add }, trace)
        }),
        "presence" => super::json_presence::read(text),
        "connect" => secret(text).map(|(secret, trace)| (Verb::Connect(secret), trace)),
        "refresh" => secret(text).map(|(secret, trace)| (Verb::Refresh(secret), trace)),
        other => {
            let message = match other {
                "" => "a frame says what it is".to_owned(),
                other => format!("there is no frame `{}`", shortened(other)),
            };
            Err(Refusal::new(Code::InvalidRequest, message).field("type").hint(
                "connect, refresh, subscribe, unsubscribe, credit, publish, presence or ping",
            ))
        }
    }
}

/// What a client wrote, short enough to be repeated to it.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

pub(super) fn trace_of(text: &Option<Text<'_>>) -> Option<Bytes> {
    text.as_ref().and_then(|text| traceparent(text.0.as_bytes()))
}

/// The members every request has: `type` and `id` are read by `Head`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
}

impl Bare<'_> {
    fn trace(&self) -> Option<Bytes> {
        trace_of(&self.traceparent)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    #[serde(borrow)]
    token: Text<'a>,
}

fn secret(text: &str) -> Result<(Credential, Option<Bytes>), Refusal> {
    let frame: SecretFrame<'_> = parse_json(text)?;
    let trace = trace_of(&frame.traceparent);
    Ok((super::sized_secret(frame.token.0.into_owned())?, trace))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsubscribeFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    sub: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreditFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    sub: u32,
    add: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscribeFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    #[serde(default)]
    sub: Option<u32>,
    #[serde(borrow)]
    filter: Text<'a>,
    #[serde(borrow, default)]
    from: Option<&'a RawValue>,
    #[serde(default)]
    latest: bool,
    #[serde(default)]
    exclude_own: bool,
    #[serde(borrow, default)]
    presence: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "where")]
    condition: Option<Text<'a>>,
    #[serde(default)]
    conflate_ms: Option<u64>,
    #[serde(default)]
    batch: bool,
    #[serde(default)]
    batch_ms: Option<u64>,
    #[serde(default)]
    delta: bool,
    #[serde(default)]
    credits: Option<u64>,
}

fn subscribe(text: &str, id: CallId) -> Read {
    let frame: SubscribeFrame<'_> = parse_json(text)?;
    let from = match frame.from.map(RawValue::get) {
        None => From::Latest,
        Some(list) if list.starts_with('[') => cursors(parse_json_at(list, "from")?)?,
        Some(text) => parse_from(&parse_json_at::<Text<'_>>(text, "from")?.0)?,
    };
    let subscribe = Subscribe {
        sub: frame.sub.unwrap_or(id),
        filter: parse_filter(&frame.filter.0)?,
        from,
        latest: frame.latest.into(),
        exclude_own: frame.exclude_own.into(),
        presence: presence_wish(frame.presence)?,
        shape: Shape {
            condition: frame.condition.map(|text| text.0.into_owned()),
            conflate_ms: frame.conflate_ms,
            batch_ms: frame.batch_ms.or(frame.batch.then_some(0)),
            delta: frame.delta.into(),
            credits: frame.credits,
        },
    };
    Ok((Verb::Subscribe(subscribe), trace_of(&frame.traceparent)))
}

fn presence_wish(raw: Option<&RawValue>) -> Result<PresenceWish, Refusal> {
    match raw.map(RawValue::get) {
        None | Some("false" | "null") => Ok(PresenceWish::Nothing),
        Some("true") => Ok(PresenceWish::Changes),
        Some("\"counts\"") => Ok(PresenceWish::Counts),
        Some(_) => Err(Refusal::new(Code::InvalidRequest, "there is no such wish")
            .field("presence")
            .hint("true, false or \"counts\"")),
    }
}

pub(super) fn text_of<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
    text.as_ref().map(|text| &*text.0)
}

/// One record's members, or `records` with several. `id` is the request's number here, so the id
/// of a single record is called `record_id`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    #[serde(borrow, default)]
    records: Option<&'a RawValue>,
    #[serde(borrow, default)]
    record_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    topic: Option<Text<'a>>,
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    key_base64: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<Text<'a>>,
    #[serde(borrow, default)]
    headers: Option<HeadersView<'a>>,
    #[serde(default)]
    timestamp: Option<types::TimestampMs>,
    #[serde(borrow, default)]
    content_type: Option<Text<'a>>,
}

impl PublishFrame<'_> {
    /// The first member that belongs to a single record.
    fn single_member(&self) -> Option<&'static str> {
        let members = [
            ("topic", self.topic.is_some()),
            ("record_id", self.record_id.is_some()),
            ("key", self.key.is_some()),
            ("key_base64", self.key_base64.is_some()),
            ("data", self.data.is_some()),
            ("data_base64", self.data_base64.is_some()),
            ("headers", self.headers.is_some()),
            ("timestamp", self.timestamp.is_some()),
            ("content_type", self.content_type.is_some()),
        ];
        members.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
    }
}

fn publish(text: &str, message: &Bytes) -> Read {
    let frame: PublishFrame<'_> = parse_json(text)?;
    let trace = trace_of(&frame.traceparent);
    if let Some(records) = frame.records {
        if let Some(name) = frame.single_member() {
            let message = format!("`{name}` stands beside `records`");
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field(name)
                .hint("put it into the records"));
        }
        if !records.get().starts_with('[') {
            let message = "`records` is a list";
            return Err(Refusal::new(Code::InvalidRequest, message).field("records"));
        }
        let body = message.slice_ref(records.get().as_bytes());
        let publishes = parse_publishes(&body, Framing::Json)?;
        return Ok((Verb::Publish(publishes.records), trace));
    }
    let Some(topic) = frame.topic else {
        return Err(Refusal::new(Code::InvalidRequest, "the field `topic` is missing")
            .field("topic")
            .hint("a record, or `records` with several"));
    };
    let view = PublishView {
        topic,
        key: frame.key,
        key_base64: frame.key_base64,
        data: frame.data,
        data_base64: frame.data_base64,
        headers: frame.headers,
        id: frame.record_id,
        timestamp: frame.timestamp,
        content_type: frame.content_type,
    };
    let publish = view.into_publish(message, "").map_err(renamed)?;
    Ok((Verb::Publish(vec![publish]), trace))
}

/// A refusal of the record's `id` names it as this frame does.
fn renamed(refusal: Refusal) -> Refusal {
    if refusal.field_name() == Some("id") { refusal.field("record_id") } else { refusal }
}
