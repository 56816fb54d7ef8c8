//! Publishing from several connections at once: as fast as it is acknowledged, or at a rate.

use super::dialects::{Publish, Role};
use super::report::emit;
use super::scene::{Group, Scene, Setting, Topics, make_topics};
use crate::Outcome;
use crate::target::Api;
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use swarm::{Rate, Signals, Work};

#[derive(clap::Args, Debug, Clone)]
pub struct PublishBench {
    #[arg(long, default_value = "bench")]
    topic: String,
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Records of one call.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 512)]
    size: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Records per second of all connections together, open loop; 0 is as fast as it goes, with
    /// `--ahead` calls of each connection under way.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    ahead: u32,
    #[arg(long, value_enum, default_value = "rest")]
    over: Publish,
    #[command(flatten)]
    setting: Setting,
}

impl PublishBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let topics = Topics { address: &self.topic, streams: 1, durability: "durable" };
        make_topics(api, topics).await?;
        let (bench, scene) = (self.clone(), Scene::new(api, &self.setting)?);
        let report = super::blocking(move || bench.measure(&scene)).await?;
        emit("publish", report, self.setting.json.as_deref())
    }

    fn measure(&self, scene: &Scene) -> Result<Value, String> {
        let connections = self.connections.max(1);
        let mut press = scene.press(&Group {
            dialect: self.over.name(),
            role: Role::Publish,
            address: self.topic.clone(),
            // One stream for each connection, all of the same topic.
            streams: connections,
            count: connections,
            per_second: 0.0,
            secrets: Vec::new(),
        })?;
        press.limit_calls(self.ahead as usize);
        let watch = scene.watch()?;
        let work = Work {
            rate: match self.rate {
                per_second if per_second > 0.0 => Rate::Even { per_second },
                _ => Rate::Closed,
            },
            streams: connections,
            bytes: self.size,
            batch: self.batch.max(1),
            seconds: self.seconds,
            records_max: 0,
        };
        let stop = AtomicBool::new(false);
        let done = press.run(&work, &Signals { received: &|| 0.0, stop: &stop })?;
        let records = done.answered * self.batch.max(1) as u64;
        let per_second = records as f64 / done.seconds;
        Ok(json!({
            "records": records,
            "seconds": done.seconds,
            "records_per_second": per_second,
            "megabytes_per_second": per_second * self.size as f64 / 1e6,
            "calls": done.answered,
            "refused": done.refused,
            "refusal": done.refusal,
            "call": done.latencies.summary(),
            "server": watch.map(|watch| watch.told(records)),
        }))
    }
}
