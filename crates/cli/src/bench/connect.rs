//! Many WebSockets: how fast they open, what each costs, and whether all get their messages while
//! they are held.

use super::case::pressed;
use super::dialects::{Follow, Publish, Role};
use super::report::emit;
use super::scene::{Group, Scene, Setting, Topics, make_topics, memory};
use crate::Outcome;
use crate::target::Api;
use serde_json::{Value, json};
use std::time::Instant;
use swarm::{Rate, Work};

/// Each connection follows a key of its own.
const ADDRESS: &str = "bench-connect/{n}";
const PUBLISHERS: u32 = 4;

#[derive(clap::Args, Debug, Clone)]
pub struct ConnectBench {
    #[arg(long, default_value_t = 1000)]
    connections: u32,
    /// Opened per second, open loop; 0 opens all at once.
    #[arg(long, default_value_t = 2_500.0)]
    rate: f64,
    /// Seconds to hold them all once they are open.
    #[arg(long, default_value_t = 0.0)]
    hold: f64,
    /// Messages each connection gets per minute while it is held.
    #[arg(long, default_value_t = 1.0)]
    per_minute: f64,
    /// Bytes of one message's value.
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, value_enum, default_value = "ws-json")]
    follow: Follow,
    #[command(flatten)]
    setting: Setting,
}

impl ConnectBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let topics = Topics { address: ADDRESS, streams: 1, durability: "durable" };
        make_topics(api, topics).await?;
        let (bench, scene) = (self.clone(), Scene::new(api, &self.setting)?);
        let report = super::blocking(move || bench.measure(&scene)).await?;
        emit("connect", report, self.setting.json.as_deref())
    }

    fn measure(&self, scene: &Scene) -> Result<Value, String> {
        let followers = Group {
            dialect: self.follow.name(),
            role: Role::Follow,
            address: ADDRESS.to_owned(),
            streams: self.connections.max(1),
            count: self.connections.max(1),
            per_second: self.rate,
            secrets: Vec::new(),
        };
        let (watch, begin) = (scene.watch()?, Instant::now());
        let (mut lead, progress) = scene.begin(&scene.plan(&followers)?)?;
        let seconds = begin.elapsed().as_secs_f64();
        let opened = lead.report()?;
        let costs = watch.map(|watch| memory(&watch.first(), &watch.now(), self.connections));
        let mut report = json!({
            "connections": progress.ready,
            "refused": progress.refused,
            "refusal": opened.refusal,
            "seconds": seconds,
            "connections_per_second": progress.ready as f64 / seconds,
            "open": opened.open.summary(),
            "opening": watch.map(|watch| watch.told(progress.ready)),
            "memory": costs,
        });
        if self.hold > 0.0 && progress.ready > 0 {
            let publishers = Group {
                dialect: Publish::WsJson.name(),
                role: Role::Publish,
                count: PUBLISHERS.min(followers.count),
                ..followers
            };
            report["held"] = self.hold(scene, &mut lead, &publishers)?;
            report["memory_after"] =
                json!(watch.map(|watch| memory(&watch.first(), &watch.now(), self.connections)));
        }
        Ok(report)
    }

    fn hold(
        &self,
        scene: &Scene,
        lead: &mut swarm::Lead,
        publishers: &Group,
    ) -> Result<Value, String> {
        let mut press = scene.press(publishers)?;
        let per_second = f64::from(publishers.streams) * self.per_minute / 60.0;
        let work = Work {
            rate: Rate::Even { per_second: per_second.max(1e-3) },
            streams: publishers.streams,
            bytes: self.size,
            batch: 1,
            seconds: self.hold,
            records_max: 0,
        };
        lead.measure()?;
        let watch = scene.watch()?;
        let done = pressed(lead, &mut press, &work, self.connections)?;
        let report = lead.report()?;
        let of_time = f64::from(self.connections) * done.pressed.seconds;
        Ok(json!({
            "seconds": done.pressed.seconds,
            "messages": done.pressed.records,
            "refused": done.pressed.refused,
            "refusal": done.pressed.refusal,
            "deliveries": report.all.deliveries,
            "missing": done.expected.saturating_sub(report.all.deliveries),
            "doubled": report.all.doubled,
            "connections_ended": report.ended,
            "delivery": report.all.latencies.summary(),
            "acknowledged": done.pressed.latencies.summary(),
            "server": watch.map(|watch| watch.told(report.all.deliveries)),
            "server_us_per_connection_second":
                watch.map(|watch| watch.cpu().as_secs_f64() * 1e6 / of_time.max(1e-9)),
        }))
    }
}
