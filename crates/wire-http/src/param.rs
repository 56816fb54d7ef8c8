//! Values that several routes take in their query: where to start, how long to wait, which key,
//! where a list goes on. It must not know which route takes which.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use port::{Code, Refusal};
use std::time::Duration;
use types::{ConsumerName, From, Key};

/// Cursors in one `from`, joined by commas: where the subscription began, and one per partition.
pub const CURSORS_MAX: usize = 2_048;
/// Bytes of one `from`.
pub const FROM_BYTES_MAX: usize = 256 * 1024;

/// `earliest`, `latest`, `offset:N`, `time:<milliseconds or RFC 3339>`, `consumer:NAME`, or one or
/// more cursors joined by commas.
///
/// # Errors
/// `INVALID_REQUEST` with `field` `from`. Whether a cursor is genuine is the hub's to say.
pub fn parse_from(text: &str) -> Result<From, Refusal> {
    if text.len() > FROM_BYTES_MAX {
        return Err(bad_from("it is too long"));
    }
    match text.split_once(':') {
        Some(("offset", number)) => number
            .parse()
            .map(From::Offset)
            .map_err(|_| bad_from("after `offset:` comes a whole number")),
        Some(("time", time)) => parse_time(time).map(From::Time),
        Some(("consumer", name)) => ConsumerName::parse(name)
            .map(From::Consumer)
            .map_err(|bad| bad_from(&format!("after `consumer:` comes its name: {bad}"))),
        Some(_) => Err(bad_from("it is of no known form")),
        None if text == "earliest" => Ok(From::Earliest),
        None if text == "latest" => Ok(From::Latest),
        None if text.is_empty() => Err(bad_from("it is empty")),
        None => cursors(text.split(',').map(str::to_owned).collect()),
    }
}

/// A list of cursors that a client kept, to be merged by the hub.
///
/// # Errors
/// `INVALID_REQUEST` when there are none, too many, or an empty one.
pub fn cursors(cursors: Vec<String>) -> Result<From, Refusal> {
    if cursors.is_empty() || cursors.len() > CURSORS_MAX {
        return Err(bad_from("it has no cursor, or more than 2048"));
    }
    if cursors.iter().any(String::is_empty) {
        return Err(bad_from("one of its cursors is empty"));
    }
    Ok(From::Cursors(cursors))
}

fn parse_time(text: &str) -> Result<types::TimestampMs, Refusal> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(ms);
    }
    text.parse::<jiff::Timestamp>()
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| bad_from("after `time:` come milliseconds since 1970 or an RFC 3339 time"))
}

fn bad_from(why: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest, format!("`from` cannot be read: {why}"))
        .field("from")
        .hint("earliest, latest, offset:N, time:<ms or RFC 3339>, consumer:NAME, or a cursor")
}

/// `30s`, `500ms`, `2m`, or a whole number of seconds.
///
/// # Errors
/// `INVALID_REQUEST` with `field` `wait` when it is of another form or longer than `max`.
pub fn parse_wait(text: &str, max: Duration) -> Result<Duration, Refusal> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let wait = number.parse::<u64>().ok().zip(unit_ms).map(|(n, ms)| n.saturating_mul(ms));
    match wait.map(Duration::from_millis) {
        Some(wait) if wait <= max => Ok(wait),
        _ => Err(Refusal::new(Code::InvalidRequest, "`wait` is not a time, or is too long")
            .field("wait")
            .hint(format!("such as 30s, 500ms or 10; at most {}ms", max.as_millis()))),
    }
}

/// The key of a query: `key` as text or `key_base64` as bytes, not both.
///
/// # Errors
/// `INVALID_REQUEST` with the name of the parameter.
pub fn parse_key(key: Option<&str>, key_base64: Option<&str>) -> Result<Option<Key>, Refusal> {
    let (bytes, field) = match (key, key_base64) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let message = "`key` and `key_base64` are two ways to say one thing";
            return Err(Refusal::new(Code::InvalidRequest, message).field("key_base64"));
        }
        (Some(text), None) => (text.as_bytes().to_vec(), "key"),
        (None, Some(text)) => (parse_base64(text, "key_base64")?, "key_base64"),
    };
    make_key(bytes, || field.to_owned()).map(Some)
}

/// # Errors
/// `INVALID_REQUEST` when the key is too long.
pub fn make_key(
    bytes: impl Into<bytes::Bytes>,
    field: impl FnOnce() -> String,
) -> Result<Key, Refusal> {
    Key::new(bytes)
        .map_err(|bad| Refusal::new(Code::InvalidRequest, bad.to_string()).field(field()))
}

/// Standard base64 with padding, as in JSON members that end in `_base64`.
///
/// # Errors
/// `INVALID_REQUEST` with `field`.
pub fn parse_base64(text: &str, field: impl Into<String>) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|_| {
        Refusal::new(Code::InvalidRequest, "the value is not base64")
            .field(field)
            .hint("standard alphabet with padding (RFC 4648 section 4)")
    })
}

/// Where a list goes on, as opaque text: the last item of the page before.
pub fn page_cursor(last: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// # Errors
/// `INVALID_CURSOR` when the text is not one of `page_cursor`.
pub fn parse_page_cursor(text: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_page_cursor())
}

pub fn bad_page_cursor() -> Refusal {
    Refusal::new(Code::InvalidCursor, "the cursor is not one this list gave out")
        .field("cursor")
        .hint("pass `next_cursor` of the page before unchanged, or leave it out")
}

/// Checks a page size.
///
/// # Errors
/// `INVALID_REQUEST` with `field` `limit` when it is zero or above `max`.
pub fn parse_limit(limit: Option<u32>, default: usize, max: usize) -> Result<usize, Refusal> {
    let Some(limit) = limit else { return Ok(default.min(max)) };
    match usize::try_from(limit) {
        Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(Refusal::new(Code::InvalidRequest, "`limit` is out of range")
            .field("limit")
            .hint(format!("1 to {max}"))),
    }
}
