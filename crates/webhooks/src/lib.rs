//! Webhooks: records of one topic, delivered to an endpoint of the tenant's over HTTPS, signed and
//! tried again until they are acknowledged or given up. A reader of the log like any other: it
//! stands on a durable consumer behind `port::Hub`. It must not know how the log or the consumer
//! keeps its state, nor who may define a webhook.
//!
//! `service` is what others call; `endpoint` is the loop of one webhook; everything else is a part
//! that can be judged by itself: where one may connect (`target`), what is sent (`envelope`), how
//! (`sender`), what an answer means (`judgement`), when to stop for a while (`breaker`, `pace`).
#![forbid(unsafe_code)]

mod breaker;
mod config;
mod courier;
mod endpoint;
mod envelope;
mod journal;
mod judgement;
mod network;
mod pace;
mod sealed;
mod sender;
mod service;
mod source;
mod target;
mod test_event;
#[cfg(test)]
mod tests;
mod workers;

pub use breaker::{BreakerState, BreakerView};
pub use config::Config;
pub use courier::{Courier, NotDelivered, Parcel};
pub use journal::Attempt;
pub use judgement::Outcome;
pub use network::{BadNetwork, Network};
pub use sealed::CustomHeader;
pub use service::{EndpointPatch, EndpointStatus, NewEndpoint, Parts, Webhooks};
pub use target::{Target, check};
