//! One file per group of routes: read the request, call the hub once, write the answer.

pub mod consumers;
pub mod keys;
pub mod presence;
pub mod publish;
pub mod raw;
pub mod schemas;
pub mod topics;
pub mod transactions;
