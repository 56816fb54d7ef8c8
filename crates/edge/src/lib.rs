//! The edge: sockets, TLS, HTTP, WebSocket framing, limits, timers, and the loop that drives every
//! session. It must not know what a protocol says or what the platform does with it: protocols
//! come as `port::Mounts`, the platform as `port::Hub`, and their words pass through as bytes.
//!
//! ```text
//!  acceptor (one per listener: token bucket, connection limit, socket options)
//!     | sockets, round robin
//!     v
//!  shard (one thread and one current-thread runtime per core; owns a connection for life)
//!     |- HTTP/1.1 and HTTP/2 by hyper -> router: routes of the mounts, fallback, /openapi.json
//!     |- a protocol on a port of its own: bytes to and from its session by a pump
//!     |- WebSocket: taken out of hyper after the 101; slot + small task + own codec
//!     `- turn: poll the hub's shard -> outboxes -> one write per touched connection
//! ```
#![forbid(unsafe_code)]

mod accept;
mod accounts;
mod clients;
pub mod config;
mod edge;
mod error;
mod face;
mod http;
pub mod openapi;
mod origins;
mod shard;
mod stream;
mod tls;
mod ws;

pub use config::{Config, PublicPort};
pub use edge::{Edge, Faces, Reload, World};
pub use error::EdgeError;

/// The WebSocket codec by itself, for fuzzing.
pub mod framing {
    pub use crate::ws::Violation;
    pub use crate::ws::deflate::{Deflater, Inflater};
    pub use crate::ws::frame::{Coding, Head, Opcode, server_head, unmask};
    pub use crate::ws::reader::{Incoming, Payload, Reader};
}

#[cfg(test)]
mod tests;
