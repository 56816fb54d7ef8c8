//! What stands in for libkrb5 in a server that was built without it.

use super::Service;
use super::settings::Kerberos;
use port::{Code, Refusal};

/// # Errors
/// Always.
pub fn is_here() -> Result<(), Refusal> {
    Err(absent())
}

/// # Errors
/// Always.
pub fn open(_settings: &Kerberos) -> Result<Box<dyn Service>, Refusal> {
    Err(absent())
}

fn absent() -> Refusal {
    let message = "this server was built without Kerberos: take `GSSAPI` out of `mechanisms`, or \
                   build it with `--features gssapi`";
    Refusal::new(Code::Unsupported, message).field("mechanisms")
}
