//! Alerts: rules that watch the node's figures and the audit trail, from pending to firing to
//! resolved, and whom they tell. It must not know what a figure means, nor who may change a rule.
//!
//! `terms` is what a rule says; `scrape` and `reading` are what is looked at; `engine` decides;
//! `worker` does it all again and again; `notice` and `channel` are the way to people.
#![forbid(unsafe_code)]

mod built_in;
mod channel;
mod config;
mod engine;
mod notice;
mod reading;
mod scrape;
mod terms;
#[cfg(test)]
mod tests;
mod worker;

pub use built_in::{BuiltIn, built_in};
pub use channel::{ChannelAddress, open as open_channel, seal as seal_channel};
pub use config::Config;
pub use terms::{Aggregate, Comparison, EventTerms, Measure, MetricTerms, Source, Terms};
pub use worker::{AlertWorker, Figures, Parts};
