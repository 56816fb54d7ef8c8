//! Decisions: may this be done, is there room for it, is it too fast, does it fit its schema. Pure
//! functions and plain data: the caller brings the facts and the time. Nothing here does IO, waits,
//! reads a clock, or knows a protocol or a database.
#![forbid(unsafe_code)]

pub mod acl;
pub mod condition;
pub mod grants;
pub mod permissions;
pub mod plan;
pub mod quota;
pub mod rate;
pub mod rate_table;
pub mod rights;
pub mod role_conditions;
pub mod schema;
pub mod scopes;

pub use condition::Condition;
pub use permissions::{BuiltIn, Permission, PermissionSet, Place, Visible};
pub use rate::{Gcra, Rate};
pub use rate_table::{Bound, RateTable};
pub use rights::{Dormant, Held, Rights};
pub use role_conditions::{Circumstances, PersonAttributes, RoleConditions, Unmet};
pub use schema::Schema;

#[cfg(test)]
mod tests;
