//! Scopes: the coarse half of what a credential may do. Roles and grants are decided elsewhere.

use port::{Code, Refusal};
use types::{Access, Scope, Scopes};

/// The scope an access to an address needs.
pub fn needed_for(access: Access) -> Scope {
    match access {
        Access::Publish => Scope::EventsPublish,
        Access::Subscribe => Scope::EventsSubscribe,
    }
}

/// Refuses with `INSUFFICIENT_SCOPE`, naming the missing one, unless `held` has `needed`.
pub fn require(held: Scopes, needed: Scope) -> Result<(), Refusal> {
    if held.has(needed) {
        return Ok(());
    }
    Err(Refusal::new(Code::InsufficientScope, format!("the credential lacks the scope `{needed}`"))
        .field("scopes")
        .hint(format!("use a credential that was created with the scope `{needed}`")))
}
