//! The faces of the platform as a client sees them, for the contract suite: over HTTP and
//! WebSocket to a base URL, in process where a session is driven without a socket, and the memory
//! hub itself as the one to compare with. They must not share code with the servers they talk to.

mod direct;
mod http;
mod json_session;
mod poll;
mod rest;
mod sse;
mod websocket;

pub use direct::DirectFace;
pub use poll::PollFace;
pub use rest::RestFace;
pub use sse::SseFace;
pub use websocket::WebSocketFace;
