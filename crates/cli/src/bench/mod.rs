//! `mainstem bench`: the load generator users get, against any Mainstem they have a key for. Load
//! is open loop where a rate is given; every run is bounded in time and count.

mod case;
mod compare;
mod connect;
pub mod dialects;
mod fanout;
mod latency;
pub(crate) mod progress;
mod publish;
pub(crate) mod report;
pub(crate) mod scene;
mod slow_readers;
mod storm;
mod tenants;

use crate::Outcome;
use crate::target::Target;

#[derive(clap::Subcommand, Debug)]
pub enum Bench {
    /// Acknowledged publishes from several connections.
    Publish(publish::PublishBench),
    /// Many subscribers: deliveries per second, their latency and cost.
    Fanout(fanout::FanoutBench),
    /// From publish to delivery, over one pair of protocols.
    Latency(latency::LatencyBench),
    /// From publish to delivery, from every protocol to every other.
    Pairs(latency::PairsBench),
    /// How fast connections open, what they cost, and whether all get their messages.
    Connect(connect::ConnectBench),
    /// All connections are cut at once and come back.
    Storm(storm::StormBench),
    /// Some subscribers stop reading for a while.
    SlowReaders(slow_readers::SlowReadersBench),
    /// One of many tenants publishes far beyond its quota.
    Tenants(tenants::TenantsBench),
    /// Two reports beside each other, with ratios.
    Compare(compare::Compare),
    /// Holds a share of the connections; started by the other commands.
    #[command(hide = true)]
    Crew,
}

impl Bench {
    pub async fn run(&self, target: &Target) -> Outcome {
        match self {
            Bench::Publish(bench) => bench.run(&target.public()?).await,
            Bench::Fanout(bench) => bench.run(&target.public()?).await,
            Bench::Latency(bench) => bench.run(&target.public()?).await,
            Bench::Pairs(bench) => bench.run(&target.public()?).await,
            Bench::Connect(bench) => bench.run(&target.public()?).await,
            Bench::Storm(bench) => bench.run(&target.public()?).await,
            Bench::SlowReaders(bench) => bench.run(&target.public()?).await,
            Bench::Tenants(bench) => bench.run(target).await,
            Bench::Compare(compare) => compare.run(),
            Bench::Crew => blocking(|| swarm::crew::run(dialects::make)).await,
        }
    }
}

/// The load has threads of its own, which wait for sockets and not for the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}
