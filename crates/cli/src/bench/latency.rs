//! From publish to delivery, over one pair of protocols or over all of them in turn.

use super::case::{Case, rate};
use super::dialects::{Follow, Publish};
use super::report::emit;
use super::scene::{Scene, Setting, Topics, make_topics};
use crate::Outcome;
use crate::target::Api;
use serde_json::{Value, json};
use swarm::Work;

#[derive(clap::Args, Debug, Clone)]
pub struct Options {
    #[arg(long, default_value = "bench-latency")]
    topic: String,
    #[arg(long, default_value_t = 1)]
    subscribers: u32,
    /// Records published per second, open loop.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// `durable`, `relaxed` or `ephemeral`: of the topics this makes.
    #[arg(long, default_value = "durable")]
    durability: String,
    #[command(flatten)]
    setting: Setting,
}

#[derive(clap::Args, Debug, Clone)]
pub struct LatencyBench {
    #[arg(long, value_enum, default_value = "ws-json")]
    follow: Follow,
    #[arg(long, value_enum, default_value = "ws-json")]
    publish: Publish,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Args, Debug, Clone)]
pub struct PairsBench {
    #[command(flatten)]
    options: Options,
}

impl LatencyBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let report = self.options.measure(api, self.publish, self.follow).await?;
        emit("latency", report, self.options.setting.json.as_deref())
    }
}

impl PairsBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let mut pairs = Vec::new();
        for publish in Publish::ALL {
            for follow in Follow::ALL {
                let report = self.options.measure(api, publish, follow).await?;
                let name = format!("{} to {}", publish.name(), follow.name());
                pairs.push(brief(&name, &report));
            }
        }
        emit("pairs", json!({ "pairs": pairs }), self.options.setting.json.as_deref())
    }
}

impl Options {
    async fn measure(&self, api: &Api, publish: Publish, follow: Follow) -> Result<Value, String> {
        let address = format!("{}-{}", self.topic, self.durability);
        let topics = Topics { address: &address, streams: 1, durability: &self.durability };
        make_topics(api, topics).await?;
        let case = Case {
            follow,
            publish,
            address,
            subscribers: self.subscribers.max(1),
            publishers: 1,
            connect_rate: 1_000.0,
            work: Work {
                rate: rate(self.rate.max(1.0), 1.0),
                streams: 1,
                bytes: self.size,
                batch: 1,
                seconds: self.seconds,
                records_max: 0,
            },
        };
        let scene = Scene::new(api, &self.setting)?;
        super::blocking(move || case.run(&scene)).await
    }
}

fn brief(name: &str, report: &Value) -> Value {
    let take = |member: &str| report[member].clone();
    json!({ "name": name, "deliveries": take("deliveries"), "missing": take("missing"),
            "doubled": take("doubled"), "p50_ms": report["delivery"]["p50_ms"],
            "p99_ms": report["delivery"]["p99_ms"], "p99_9_ms": report["delivery"]["p99_9_ms"],
            "max_ms": report["delivery"]["max_ms"],
            "server_cpu_us_each": report["server"]["cpu_us_each"] })
}
