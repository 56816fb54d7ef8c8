//! Few publishers, many subscribers: what a delivery costs, how many a second, and how late.

use super::case::{Case, rate};
use super::dialects::{Follow, Publish};
use super::report::emit;
use super::scene::{Scene, Setting, Topics, make_topics};
use crate::Outcome;
use crate::target::Api;
use swarm::Work;

#[derive(clap::Args, Debug, Clone)]
pub struct FanoutBench {
    /// Name of the topic, or the beginning of the names of several; its durability is added.
    #[arg(long, default_value = "bench-fanout")]
    topic: String,
    #[arg(long, default_value_t = 1000)]
    subscribers: u32,
    /// Topics; subscriber N follows topic N modulo this.
    #[arg(long, default_value_t = 1)]
    topics: u32,
    /// Deliveries per second, open loop; 0 is as fast as it goes.
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// At full rate: records the publisher may be ahead of the mean subscriber, in each topic.
    #[arg(long, default_value_t = 64.0)]
    ahead: f64,
    /// Records of one publish.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Connections that publish, at most one per topic.
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Connections opened per second.
    #[arg(long, default_value_t = 2_500.0)]
    connect_rate: f64,
    #[arg(long, value_enum, default_value = "ws-json")]
    follow: Follow,
    #[arg(long, value_enum, default_value = "ws-json")]
    publish: Publish,
    /// `durable`, `relaxed` or `ephemeral`: of the topics this makes.
    #[arg(long, default_value = "durable")]
    durability: String,
    #[command(flatten)]
    setting: Setting,
}

impl FanoutBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let streams = self.topics.clamp(1, self.subscribers.max(1));
        let mut address = format!("{}-{}", self.topic, self.durability);
        if streams > 1 {
            address += "-{n}";
        }
        make_topics(api, Topics { address: &address, streams, durability: &self.durability })
            .await?;
        let each = f64::from(self.subscribers.max(1)) / f64::from(streams);
        let case = Case {
            follow: self.follow,
            publish: self.publish,
            address,
            subscribers: self.subscribers.max(1),
            publishers: self.publishers,
            connect_rate: self.connect_rate,
            work: Work {
                rate: rate(self.rate / each, self.ahead),
                streams,
                bytes: self.size,
                batch: self.batch,
                seconds: self.seconds,
                records_max: 0,
            },
        };
        let scene = Scene::new(api, &self.setting)?;
        let report = super::blocking(move || case.run(&scene)).await?;
        emit("fanout", report, self.setting.json.as_deref())
    }
}
