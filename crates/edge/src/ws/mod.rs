//! WebSocket (RFC 6455), from the upgrade to the closing handshake. It must not know what the
//! messages say: a `port::Driven` does.

pub mod connection;
pub mod deflate;
pub mod extensions;
pub mod frame;
pub mod input;
pub mod reader;
pub mod sink;
pub mod task;
pub mod timer;
pub mod transport;
pub mod upgrade;
pub mod waiting;

use port::{Kind, Refusal};

/// Close codes (RFC 6455 section 7.4.1 and its registry).
pub mod close {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL: u16 = 1002;
    pub const UNSUPPORTED: u16 = 1003;
    pub const BAD_TEXT: u16 = 1007;
    pub const POLICY: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const INTERNAL: u16 = 1011;
    pub const RESTART: u16 = 1012;
    pub const TRY_LATER: u16 = 1013;
}

/// How a client broke the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    Protocol(&'static str),
    /// A text message or a closing reason is not UTF-8.
    Text,
    /// A compressed message does not inflate.
    Deflate,
    /// A message is larger than allowed, or comes in too many fragments.
    TooBig,
    /// A message of the kind that the subprotocol does not use.
    Kind,
}

impl Violation {
    pub fn close_code(self) -> u16 {
        match self {
            Violation::Protocol(_) => close::PROTOCOL,
            Violation::Text | Violation::Deflate => close::BAD_TEXT,
            Violation::TooBig => close::TOO_BIG,
            Violation::Kind => close::UNSUPPORTED,
        }
    }

    /// The reason in the close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Violation::Protocol(reason) => reason,
            Violation::Text => "the text is not UTF-8",
            Violation::Deflate => "the compressed message does not inflate",
            Violation::TooBig => "the message is too big",
            Violation::Kind => "the subprotocol does not use this kind of message",
        }
    }

    /// The `reason` label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Violation::Protocol(_) => "websocket_protocol",
            Violation::Text => "websocket_text",
            Violation::Deflate => "websocket_deflate",
            Violation::TooBig => "websocket_too_big",
            Violation::Kind => "websocket_kind",
        }
    }
}

/// The closing word for a connection that the platform ends, unless its protocol chooses one.
pub fn close_code_of(why: &Refusal) -> u16 {
    if why.code() == port::Code::Draining {
        return close::RESTART;
    }
    match why.kind() {
        Kind::Unauthenticated => 4401,
        Kind::Forbidden => 4403,
        Kind::RateLimited | Kind::QuotaExceeded => 4429,
        Kind::TooLarge => close::TOO_BIG,
        Kind::Overloaded | Kind::NotLeader | Kind::Unavailable => close::TRY_LATER,
        Kind::Unsupported => close::UNSUPPORTED,
        Kind::Invalid | Kind::NotFound | Kind::Conflict => close::POLICY,
        Kind::Internal => close::INTERNAL,
    }
}
