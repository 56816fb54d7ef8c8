//! `presence` of `mainstem.v1.json`, both ways: the frame with which a client enters, leaves and
//! lists, the answer, and what followers are told.

use super::json::{Read, shortened, text_of, trace_of};
use crate::frame::{CallId, Device, Presence, PresenceAction, SubId, Verb};
use bytes::{BufMut, Bytes, BytesMut};
use port::presence::MemberData;
use port::{Code, Delivery, PresenceAnswer, PresenceCounts, Refusal};
use serde::Deserialize;
use serde_json::value::RawValue;
use wire_http::address::parse_topic;
use wire_http::json::{parse_json, parse_json_at};
use wire_http::param::parse_key;
use wire_http::presence::{write_answer, write_counts};
use wire_http::publish::{Text, present};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PresenceFrame<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(rename = "id")]
    _id: serde::de::IgnoredAny,
    #[serde(borrow, default)]
    traceparent: Option<Text<'a>>,
    #[serde(borrow)]
    action: Text<'a>,
    #[serde(borrow)]
    topic: Text<'a>,
    #[serde(borrow, default)]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    key_base64: Option<Text<'a>>,
    #[serde(default)]
    member: Option<String>,
    #[serde(default)]
    device: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    lease_ms: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    after: Option<String>,
}

impl PresenceFrame<'_> {
    /// Members of the frame that only some actions know, as far as they are there.
    fn given(&self) -> [(&'static str, bool); 5] {
        [
            ("member", self.member.is_some()),
            ("device", self.device.is_some()),
            ("data", self.data.is_some()),
            ("lease_ms", self.lease_ms.is_some()),
            ("after", self.after.is_some()),
        ]
    }

    fn refuse_but(&self, known: &[&str]) -> Result<(), Refusal> {
        let strange =
            self.given().into_iter().find(|(name, given)| *given && !known.contains(name));
        let Some((name, _)) = strange else { return Ok(()) };
        let message = format!("`{}` knows no `{name}`", shortened(&self.action.0));
        Err(Refusal::new(Code::InvalidRequest, message).field(name))
    }

    fn device(&mut self) -> Result<Device, Refusal> {
        let data = match self.data {
            None => MemberData::Keep,
            Some(raw) => match parse_json_at(raw.get(), "data")? {
                serde_json::Value::Null => MemberData::Set(None),
                data => MemberData::Set(Some(data)),
            },
        };
        let (member, device) = (self.member.take(), self.device.take());
        Ok(Device { member, device, data, lease_ms: self.lease_ms })
    }
}

pub(super) fn read(text: &str) -> Read {
    let mut frame: PresenceFrame<'_> = parse_json(text)?;
    let entering = ["member", "device", "data", "lease_ms"];
    let action = match &*frame.action.0 {
        "enter" => {
            frame.refuse_but(&entering)?;
            PresenceAction::Enter(frame.device()?)
        }
        "update" => {
            frame.refuse_but(&entering)?;
            PresenceAction::Update(frame.device()?)
        }
        "leave" => {
            frame.refuse_but(&["member", "device"])?;
            PresenceAction::Leave(frame.device()?)
        }
        "list" => {
            frame.refuse_but(&["after"])?;
            PresenceAction::List { after: frame.after.take() }
        }
        other => {
            let message = format!("there is no action `{}`", shortened(other));
            return Err(Refusal::new(Code::InvalidRequest, message)
                .field("action")
                .hint("enter, update, leave or list"));
        }
    };
    let key = parse_key(text_of(&frame.key), text_of(&frame.key_base64))?;
    let topic = parse_topic(&frame.topic.0, "topic")?;
    let presence = Presence { topic, key, action, limit: frame.limit };
    Ok((Verb::Presence(presence), trace_of(&frame.traceparent)))
}

pub(super) fn write_present(out: &mut BytesMut, id: CallId, answer: &PresenceAnswer) {
    super::json_say::start_call(out, "presence", id);
    out.put_u8(b',');
    write_answer(out, answer);
    out.put_u8(b'}');
}

/// The record's own members follow the address it is about.
pub(super) fn write_changes(out: &mut BytesMut, sub: SubId, delivery: &Delivery) {
    super::json_say::start_sub(out, "presence_changes", sub);
    let address = delivery.record.key.as_ref().map_or(&b""[..], |key| key.bytes());
    super::json_say::text(out, "address", &String::from_utf8_lossy(address));
    // The hub writes an object with at least one member; anything else adds nothing.
    let value = delivery.record.value.as_deref().unwrap_or_default();
    if let Some(members) = value.strip_prefix(b"{")
        && members.len() > 1
    {
        out.put_u8(b',');
        out.put_slice(members);
    } else {
        out.put_u8(b'}');
    }
}

pub(super) fn write_told_counts(
    out: &mut BytesMut,
    sub: SubId,
    address: &Bytes,
    counts: PresenceCounts,
) {
    super::json_say::start_sub(out, "presence_counts", sub);
    super::json_say::text(out, "address", &String::from_utf8_lossy(address));
    out.put_u8(b',');
    write_counts(out, counts);
    out.put_u8(b'}');
}
