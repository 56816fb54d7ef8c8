//! Agreeing on permessage-deflate (RFC 7692 section 7.1) in the opening handshake. Pure. Neither
//! side keeps a context between messages: that is what lets one compressed frame serve thousands
//! of connections, and what keeps an idle connection from owning a window.

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

/// Offers looked at; browsers make one, others a few.
const OFFERS_MAX: usize = 16;
const NAME: &str = "permessage-deflate";
/// Base-2 logarithm of the window we compress with (RFC 7692 section 7.1.2.1).
const WINDOW_BITS: &str = "15";

/// The answer to the first offer that can be taken: the header's value, or `None` when there is
/// none and messages go as they are.
pub fn agree(headers: &HeaderMap) -> Option<&'static str> {
    headers
        .get_all(SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(OFFERS_MAX)
        .find_map(answer)
}

/// What we answer to one offer. An offer with a parameter that is unknown, doubled or malformed, or
/// that asks for a smaller window than ours, is declined as a whole (section 7.1).
fn answer(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        let name = name.to_ascii_lowercase();
        let is_valid = match name.as_str() {
            "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
            // A hint that the client can do with less; ours reads whatever window it uses.
            "client_max_window_bits" => value.is_none_or(is_window),
            "server_max_window_bits" => value == Some(WINDOW_BITS),
            _ => false,
        };
        if !is_valid || seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    // An offer with a window must be answered with one (section 7.1.2.1).
    let is_windowed = seen.iter().any(|name| name == "server_max_window_bits");
    Some(if is_windowed {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=15"
    } else {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    })
}

fn is_window(value: &str) -> bool {
    matches!(value, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
}
