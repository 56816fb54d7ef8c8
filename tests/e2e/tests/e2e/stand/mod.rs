//! What the tests stand on: the binary, a running server, its admin API, and clients that share
//! no code with what they talk to.

pub mod admin;
pub mod binary;
pub mod binary_frames;
pub mod cli;
pub mod got;
pub mod raw;
pub mod server;
pub mod shared;
pub mod small_disk;
pub mod sse;
pub mod token;
pub mod ws;
pub mod ws_binary;

use std::future::Future;
use std::time::Duration;

/// How long an awaited event may take on a loaded machine until its test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what does not tell by itself.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits for what must come.
///
/// # Panics
/// When it does not come within `PATIENCE`.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
pub fn encoded(text: &[u8]) -> String {
    let one = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.iter().map(one).collect()
}
