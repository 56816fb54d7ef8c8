//! How refusals sound here: which of them end the session, and with which close code (RFC 6455
//! section 7.4.1; 4000 to 4999 are ours).

use port::{Code, Kind, Refusal};

pub const SERVICE_RESTART: u16 = 1012;

/// The close code of a session that a refusal ends.
pub fn close_code(refusal: &Refusal) -> u16 {
    if refusal.code() == Code::Draining {
        return SERVICE_RESTART;
    }
    match refusal.kind() {
        Kind::Unauthenticated => 4401,
        Kind::Forbidden => 4403,
        Kind::RateLimited | Kind::QuotaExceeded => 4429,
        Kind::TooLarge => 1009,
        Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::Unsupported => 1008,
        Kind::Overloaded | Kind::Unavailable | Kind::NotLeader => 1013,
        Kind::Internal => 1011,
    }
}

/// Whether a refused request ends the session. Only what makes every further request pointless
/// does: a client that asked for too much is told, and goes on.
pub fn ends_session(refusal: &Refusal) -> bool {
    match refusal.kind() {
        Kind::Unauthenticated => true,
        Kind::Forbidden => refusal.code() == Code::TenantSuspended,
        Kind::NotFound
        | Kind::Conflict
        | Kind::Invalid
        | Kind::TooLarge
        | Kind::RateLimited
        | Kind::QuotaExceeded
        | Kind::Overloaded
        | Kind::NotLeader
        | Kind::Unsupported
        | Kind::Unavailable
        | Kind::Internal => false,
    }
}
