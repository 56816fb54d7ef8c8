//! The terminal's commands: clients of the public and the admin API, from outside. They must not
//! know anything of the engine: what they can do, anybody's program can.
#![forbid(unsafe_code)]

pub mod acl;
pub mod admin;
pub mod alerts;
pub mod approvals;
pub mod at_rest;
pub mod audit;
pub mod backup;
pub mod bench;
pub mod conditions;
pub mod configuration;
pub mod consumers;
mod events;
pub mod follow;
pub mod kafka;
pub mod login;
pub mod logs;
pub mod people;
pub mod plans;
pub mod providers;
pub mod publish;
pub mod schemas;
pub mod security;
pub mod session;
pub mod target;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod transfer;
pub mod usage;
pub mod webhooks;

/// What a command answers; the text is for people.
pub type Outcome = Result<(), String>;
