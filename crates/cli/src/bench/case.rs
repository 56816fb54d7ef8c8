//! One measured load: subscribers, publishers, a time to warm up, a time that counts.

use super::dialects::{Follow, Publish, Role};
use super::scene::{Group, Scene, await_deliveries, expected, memory};
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use swarm::press::Pressed;
use swarm::{Lead, Press, Rate, Signals, Work};

/// Part of the time that counts nothing, before the rest.
const WARM_PART: f64 = 0.2;
const WARM_SECONDS_MAX: f64 = 2.0;

#[derive(Debug, Clone)]
pub struct Case {
    pub follow: Follow,
    pub publish: Publish,
    pub address: String,
    pub subscribers: u32,
    pub publishers: u32,
    pub connect_rate: f64,
    pub work: Work,
}

impl Case {
    pub fn followers(&self) -> Group {
        Group {
            dialect: self.follow.name(),
            role: Role::Follow,
            address: self.address.clone(),
            streams: self.work.streams,
            count: self.subscribers,
            per_second: self.connect_rate,
            secrets: Vec::new(),
        }
    }

    pub fn publishers(&self) -> Group {
        Group {
            dialect: self.publish.name(),
            role: Role::Publish,
            count: self.publishers.clamp(1, self.work.streams.max(1)),
            per_second: 0.0,
            ..self.followers()
        }
    }

    pub fn run(&self, scene: &Scene) -> Result<Value, String> {
        let watch = scene.watch()?;
        let mut lead = scene.open(&scene.plan(&self.followers())?)?;
        let costs = watch.map(|watch| memory(&watch.first(), &watch.now(), self.subscribers));
        let mut press = scene.press(&self.publishers())?;
        let warm = (self.work.seconds * WARM_PART).min(WARM_SECONDS_MAX);
        pressed(&mut lead, &mut press, &Work { seconds: warm, ..self.work }, self.subscribers)?;
        lead.measure()?;
        let (watch, begin) = (scene.watch()?, Instant::now());
        let done = pressed(&mut lead, &mut press, &self.work, self.subscribers)?;
        let seconds = begin.elapsed().as_secs_f64().min(done.until_last_seconds);
        let report = lead.report()?;
        let deliveries = report.all.deliveries;
        Ok(json!({
            "follow": self.follow.name(),
            "publish": self.publish.name(),
            "subscribers": self.subscribers,
            "streams": self.work.streams,
            "record_bytes": self.work.bytes,
            "records": done.pressed.records,
            "records_per_second": done.pressed.records as f64 / done.pressed.seconds,
            "deliveries": deliveries,
            "deliveries_per_second": deliveries as f64 / seconds.max(1e-9),
            "bytes_per_delivery": report.all.bytes as f64 / deliveries.max(1) as f64,
            "missing": done.expected.saturating_sub(deliveries),
            "lost": report.all.lost,
            "doubled": report.all.doubled,
            "refused": done.pressed.refused,
            "refusal": done.pressed.refusal,
            "delivery": report.all.latencies.summary(),
            "acknowledged": done.pressed.latencies.summary(),
            "server": watch.map(|watch| watch.told(deliveries)),
            "memory": costs,
            "clients_cpu_seconds": report.cpu_seconds,
        }))
    }
}

pub struct Done {
    pub pressed: Pressed,
    pub expected: u64,
    /// From the first record to the last delivery.
    pub until_last_seconds: f64,
}

/// Publishes, and waits until everything has been delivered.
pub fn pressed(
    lead: &mut Lead,
    press: &mut Press,
    work: &Work,
    subscribers: u32,
) -> Result<Done, String> {
    let (deliveries, stop) = (lead.deliveries(), AtomicBool::new(false));
    let begin = Instant::now();
    let before = deliveries.count();
    let received =
        || (deliveries.count().saturating_sub(before)) as f64 / f64::from(subscribers.max(1));
    let pressed = press.run(work, &Signals { received: &received, stop: &stop })?;
    let expected = expected(pressed.calls, work.batch.max(1), work.streams, subscribers);
    let mut until_last_seconds = begin.elapsed().as_secs_f64();
    if deliveries.count().saturating_sub(before) < expected {
        await_deliveries(lead, before + expected)?;
        if deliveries.count().saturating_sub(before) >= expected {
            until_last_seconds = begin.elapsed().as_secs_f64();
        }
    }
    Ok(Done { pressed, expected, until_last_seconds })
}

/// The rate of options where 0 means as fast as it goes.
pub fn rate(per_second: f64, ahead_max: f64) -> Rate {
    if per_second > 0.0 { Rate::Even { per_second } } else { Rate::Full { ahead_max } }
}
