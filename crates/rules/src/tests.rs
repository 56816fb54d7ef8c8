//! Tests of the decisions, by module.

mod acl;
mod condition;
mod grants;
mod permissions;
mod plan;
mod quota;
mod rate;
mod rate_table;
mod role_conditions;
mod schema;
mod successors;
