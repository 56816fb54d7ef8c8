//! The binary's inside: configuration, wiring, the list of protocols, the commands. It joins the
//! engine and the protocols, which do not know each other, and decides nothing else.
#![forbid(unsafe_code)]

pub mod app;
mod archive;
pub mod commands;
pub mod config;
mod console;
pub mod dev;
mod health;
mod key_files;
mod log_layer;
mod operator_file;
mod processes;
pub mod protocols;
mod reference;
mod rounds;
mod running;
mod serve;
pub mod setup;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod watching;
mod worker;
