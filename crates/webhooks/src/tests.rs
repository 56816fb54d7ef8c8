//! Each part by itself, the sender against receivers on loopback that behave badly, and the loop of
//! a webhook against a source made by hand.

mod breaker;
mod endpoint;
mod envelope;
mod judgement;
mod pace;
mod receiver;
mod sealed;
mod sender;
mod service;
mod target;

use crate::config::Config;
use std::sync::Arc;
use stdx::{Clock, Rng};
use testkit::rng::SeededRng;

/// A rule of the tests: plain HTTP to loopback.
fn loopback() -> Config {
    Config {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        plain_http_allowed: true,
        ..Config::default()
    }
}

fn clock() -> Arc<dyn Clock> {
    stdx::SystemClock::shared()
}

fn rng() -> Arc<dyn Rng> {
    SeededRng::shared(5)
}
