//! What an endpoint is sent: one JSON object per record, in the form the Standard Webhooks
//! specification recommends: `type`, `timestamp`, `data`. It must not know how it is sent.

use bytes::{BufMut, Bytes, BytesMut};
use port::Delivery;
use serde_json::value::RawValue;
use wire_http::JsonForm;

/// `type` of what was published to a topic of the project's own.
pub(crate) const RECORD_TYPE: &str = "record.published";

/// Names the record for ever, in every attempt and after a replay. It holds no dot: the signature
/// is over `id.timestamp.body`.
pub(crate) fn message_id(delivery: &Delivery) -> String {
    let topic = delivery.origin.topic_id.0;
    format!("msg_{topic:016x}_{}_{}", delivery.partition, delivery.offset)
}

/// The body of the request for this record.
pub(crate) fn body(delivery: &Delivery) -> Bytes {
    let topic = &delivery.origin.topic;
    if (topic.is_of_changes() || topic.is_of_occupancy())
        && let Some(body) = change(delivery)
    {
        return body;
    }
    let form = delivery.form::<JsonForm>();
    let mut out = BytesMut::with_capacity(form.len() + 96);
    put_head(&mut out, RECORD_TYPE, delivery.timestamp);
    out.put_u8(b'{');
    // The form is the record's members with the closing brace.
    out.put_slice(&form);
    out.put_u8(b'}');
    out.freeze()
}

/// A change of the control plane, or of an address's occupancy, is an event of its own type, and
/// its value is the data.
fn change(delivery: &Delivery) -> Option<Bytes> {
    #[derive(serde::Deserialize)]
    struct Change {
        r#type: String,
    }
    let value = delivery.record.value.as_ref()?;
    let known: Change = serde_json::from_slice(value).ok()?;
    let raw: &RawValue = serde_json::from_slice(value).ok()?;
    let mut out = BytesMut::with_capacity(value.len() + 128);
    put_head(&mut out, &known.r#type, delivery.timestamp);
    out.put_slice(raw.get().as_bytes());
    out.put_u8(b'}');
    Some(out.freeze())
}

fn put_head(out: &mut BytesMut, kind: &str, at_ms: i64) {
    out.put_slice(b"{\"type\":");
    wire_http::text::write_string(out, kind);
    out.put_slice(b",\"timestamp\":\"");
    out.put_slice(moment(at_ms).as_bytes());
    out.put_slice(b"\",\"data\":");
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn moment(at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    format!("{at:.3}")
}
