//! `mainstem bench`: the load generator users get. Bounded in time and count; it reports rates and
//! latencies of what was acknowledged or delivered, nothing else.

mod connect;
mod fanout;
pub(crate) mod progress;
mod publish;
mod report;
mod socket;

use crate::Outcome;
use crate::target::Target;

#[derive(clap::Subcommand, Debug)]
pub enum Bench {
    /// Acknowledged publishes from several connections.
    Publish(publish::PublishBench),
    /// One topic, many WebSocket subscribers.
    Fanout(fanout::FanoutBench),
    /// How fast WebSocket connections open, and what they do to the server.
    Connect(connect::ConnectBench),
}

impl Bench {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.public()?;
        match self {
            Bench::Publish(bench) => bench.run(&api).await,
            Bench::Fanout(bench) => bench.run(&api).await,
            Bench::Connect(bench) => bench.run(&api).await,
        }
    }
}
