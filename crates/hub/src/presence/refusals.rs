//! What presence refuses, in words a client can act on.

use port::presence::{
    DEVICE_BYTES_MAX, Entering, MEMBER_DATA_BYTES_MAX, MEMBER_ID_BYTES_MAX, MemberData,
};
use port::{Code, Refusal};

pub fn check_entering(entering: &Entering) -> Result<(), Refusal> {
    check_member(&entering.member)?;
    check_device(entering.device.as_deref())?;
    let MemberData::Set(Some(data)) = &entering.data else { return Ok(()) };
    let size = data.to_string().len();
    if size > MEMBER_DATA_BYTES_MAX {
        let message = format!("a member's data has at most {MEMBER_DATA_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::PayloadTooLarge, message)
            .field("data")
            .hint("publish what is large, and refer to it"));
    }
    Ok(())
}

pub fn check_member(member: &str) -> Result<(), Refusal> {
    if member.is_empty() || member.len() > MEMBER_ID_BYTES_MAX {
        let message = format!("a member id has 1 to {MEMBER_ID_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::InvalidRequest, message).field("member"));
    }
    Ok(())
}

pub fn check_device(device: Option<&str>) -> Result<(), Refusal> {
    if device.is_some_and(|device| device.is_empty() || device.len() > DEVICE_BYTES_MAX) {
        let message = format!("a device's name has 1 to {DEVICE_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::InvalidRequest, message).field("device"));
    }
    Ok(())
}

pub fn of_another_principal() -> Refusal {
    Refusal::new(Code::Conflict, "another principal is present under this id")
        .field("member")
        .hint("choose another member id, or use the credential that entered")
}

pub fn not_present() -> Refusal {
    Refusal::new(Code::NotFound, "this device is not present here")
        .field("member")
        .hint("`enter` first; a lease that is over must be entered anew")
}

pub fn no_lease() -> Refusal {
    Refusal::new(Code::InvalidRequest, "without a connection a device needs a lease")
        .field("lease_ms")
}

/// `what` is the limit that is reached.
pub fn full(what: &'static str) -> Refusal {
    Refusal::new(Code::ProjectLimitExceeded, format!("the limit `presence.{what}` is reached"))
        .field("member")
        .hint("leave elsewhere first, or ask the operator to raise the limit")
}
