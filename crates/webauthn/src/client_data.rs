//! What the browser says of a ceremony (section 5.8.1): which kind, for which challenge, shown by
//! which origin. The authenticator signs its hash. It must not know which answers are right.

use crate::{CLIENT_DATA_BYTES_MAX, Rejected};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Browsers may add members, so unknown ones are passed over.
#[derive(Deserialize)]
struct Members {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
    #[serde(rename = "topOrigin", default)]
    top_origin: Option<String>,
}

/// The two ceremonies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Get,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Create => "webauthn.create",
            Kind::Get => "webauthn.get",
        }
    }
}

fn members(json: &[u8]) -> Result<Members, Rejected> {
    if json.len() > CLIENT_DATA_BYTES_MAX {
        return Err(Rejected::TooLarge);
    }
    serde_json::from_slice(json).map_err(|_| Rejected::ClientData)
}

/// The challenge that an answer was made for: whether it still counts is for the caller to know.
pub fn challenge_of(client_data: &[u8]) -> Result<Vec<u8>, Rejected> {
    let members = members(client_data)?;
    URL_SAFE_NO_PAD.decode(members.challenge).map_err(|_| Rejected::ClientData)
}

/// Steps 7 to 11 of sections 7.1 and 7.2.
pub(crate) fn check(
    json: &[u8],
    kind: Kind,
    challenge: &[u8],
    origin: &str,
) -> Result<(), Rejected> {
    let members = members(json)?;
    if members.kind != kind.word() {
        return Err(Rejected::WrongKind);
    }
    if members.challenge != URL_SAFE_NO_PAD.encode(challenge) {
        return Err(Rejected::WrongChallenge);
    }
    if members.origin != origin {
        return Err(Rejected::WrongOrigin);
    }
    if members.cross_origin || members.top_origin.is_some_and(|top| top != origin) {
        return Err(Rejected::CrossOrigin);
    }
    Ok(())
}
