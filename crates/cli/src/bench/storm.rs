//! Everybody is cut at once and comes back: how long until all are subscribed again, whether they
//! get all that they missed and nothing twice, and what the publishers feel of it.

use super::dialects::{Follow, Publish, Role};
use super::report::emit;
use super::scene::{Group, Scene, Setting, Topics, await_deliveries, expected, make_topics};
use crate::Outcome;
use crate::target::Api;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm::press::Pressed;
use swarm::{Lead, Press, Rate, Signals, Work};

/// A client that is refused comes back, as real ones do.
const RETRIES_MAX: u32 = 60;
const LOOK_EVERY: Duration = Duration::from_millis(2);

#[derive(clap::Args, Debug, Clone)]
pub struct StormBench {
    #[arg(long, default_value = "bench-storm")]
    topic: String,
    #[arg(long, default_value_t = 1000)]
    subscribers: u32,
    /// Topics that the subscribers share evenly; `--missed` and `--rate` are of all together.
    #[arg(long, default_value_t = 1)]
    topics: u32,
    /// Records published while all are away, which they get when they are back.
    #[arg(long, default_value_t = 100)]
    missed: u64,
    /// Records per second published before and during the storm; 0 publishes none.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seconds of publishing before the cut.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds all may take to be back.
    #[arg(long, default_value_t = 60.0)]
    back_max: f64,
    /// Connections that come back per second; 0 is all at once.
    #[arg(long, default_value_t = 0.0)]
    return_rate: f64,
    /// Connections opened per second before the storm.
    #[arg(long, default_value_t = 2_500.0)]
    connect_rate: f64,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, value_enum, default_value = "ws-json")]
    follow: Follow,
    /// Kills the server (SIGKILL to `--server-pid`) while all are away, and waits until it answers
    /// again: a service manager, or a loop of the shell, has to start it.
    #[arg(long, requires = "server_pid")]
    kill: bool,
    #[command(flatten)]
    setting: Setting,
}

impl StormBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let address = self.address();
        let topics = Topics { address: &address, streams: self.streams(), durability: "durable" };
        make_topics(api, topics).await?;
        let (bench, scene) = (self.clone(), Scene::new(api, &self.setting)?);
        let report = super::blocking(move || bench.measure(&scene)).await?;
        emit("storm", report, self.setting.json.as_deref())
    }

    fn streams(&self) -> u32 {
        self.topics.clamp(1, self.subscribers.max(1))
    }

    fn address(&self) -> String {
        if self.streams() > 1 { format!("{}-{{n}}", self.topic) } else { self.topic.clone() }
    }

    fn work(&self, seconds: f64) -> Work {
        Work {
            rate: Rate::Even { per_second: self.rate.max(1e-3) },
            streams: self.streams(),
            bytes: self.size,
            batch: 1,
            seconds: if self.rate > 0.0 { seconds } else { 0.0 },
            records_max: 0,
        }
    }

    fn measure(&self, scene: &Scene) -> Result<Value, String> {
        let followers = Group {
            dialect: self.follow.name(),
            role: Role::Follow,
            address: self.address(),
            streams: self.streams(),
            count: self.subscribers.max(1),
            per_second: self.connect_rate,
            secrets: Vec::new(),
        };
        let mut plan = scene.plan(&followers)?;
        plan.keeps_cursors = true;
        plan.retries_max = RETRIES_MAX;
        let mut lead = scene.open(&plan)?;
        let publisher = Group {
            dialect: Publish::WsJson.name(),
            role: Role::Publish,
            count: 1,
            per_second: 0.0,
            ..followers
        };
        let mut press = scene.press(&publisher)?;
        lead.measure()?;
        let go = AtomicBool::new(false);
        let calm = press.run(&self.work(self.seconds), &signals(&go))?;
        await_deliveries(&mut lead, self.expected(calm.calls))?;
        lead.cut()?;
        let away = press.run(&self.missing(), &signals(&go))?;
        let down_seconds = if self.kill { Some(self.fell(scene, &mut press)?) } else { None };
        let watch = if self.kill { None } else { scene.watch()? };
        let storm = self.storm(&mut lead, &mut press, calm.records + away.records)?;
        let published = calm.records + away.records + storm.pressed.records;
        let delivered = await_deliveries(&mut lead, self.expected(published))?;
        let report = lead.report()?;
        Ok(json!({
            "subscribers": self.subscribers,
            "topics": self.streams(),
            "missed_records": away.records,
            "down_seconds": down_seconds,
            "back_seconds": storm.back_seconds,
            "back": storm.back,
            "caught_up_seconds": storm.caught_up_seconds,
            "retried": report.retried,
            "gave_up": report.refused,
            "refusal": report.refusal,
            "published": published,
            "expected": self.expected(published),
            "deliveries": delivered,
            "missing": self.expected(published).saturating_sub(delivered),
            "lost": report.all.lost,
            "doubled": report.all.doubled,
            "acknowledged_before": calm.latencies.summary(),
            "acknowledged_during": storm.pressed.latencies.summary(),
            "publishers_p99_ratio":
                storm.pressed.latencies.at_ms(0.99) / calm.latencies.at_ms(0.99).max(1e-3),
            "server": watch.map(|watch| watch.told(u64::from(self.subscribers))),
        }))
    }

    /// Kills the server; answers the seconds until it lets a publisher in again.
    fn fell(&self, scene: &Scene, press: &mut Press) -> Result<f64, String> {
        let begin = Instant::now();
        scene.kill_server()?;
        loop {
            match press.reconnect() {
                Ok(()) => return Ok(begin.elapsed().as_secs_f64()),
                Err(why) if begin.elapsed().as_secs_f64() > self.back_max => {
                    return Err(format!("the server was killed and did not come back: {why}"));
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    fn expected(&self, records: u64) -> u64 {
        expected(records, 1, self.streams(), self.subscribers.max(1))
    }

    /// What is published while nobody is there, as fast as it is acknowledged.
    fn missing(&self) -> Work {
        Work {
            rate: Rate::Full { ahead_max: f64::MAX },
            records_max: self.missed,
            seconds: if self.missed > 0 { self.back_max } else { 0.0 },
            ..self.work(0.0)
        }
    }

    /// From the moment they come back. `published` is what everybody shall have got by then.
    fn storm(&self, lead: &mut Lead, press: &mut Press, published: u64) -> Result<Storm, String> {
        let stop = AtomicBool::new(false);
        let work = self.work(self.back_max);
        let limit = Duration::from_secs_f64(self.back_max);
        std::thread::scope(|scope| {
            let begin = Instant::now();
            let publishing = scope.spawn(|| press.run(&work, &signals(&stop)));
            let mut storm = Storm::default();
            let outcome = lead.reopen(self.return_rate).and_then(|()| {
                while storm.back_seconds.is_none() || storm.caught_up_seconds.is_none() {
                    let now = lead.progress()?;
                    let seconds = begin.elapsed().as_secs_f64();
                    storm.back = now.ready;
                    if now.ready >= u64::from(self.subscribers) {
                        storm.back_seconds.get_or_insert(seconds);
                    }
                    let is_caught_up = now.deliveries >= self.expected(published);
                    if storm.back_seconds.is_some() && is_caught_up {
                        storm.caught_up_seconds.get_or_insert(seconds);
                    }
                    if begin.elapsed() > limit {
                        break;
                    }
                    std::thread::sleep(LOOK_EVERY);
                }
                Ok(())
            });
            stop.store(true, Ordering::Relaxed);
            let pressed = publishing.join().map_err(|_| "the publisher failed".to_owned())?;
            outcome?;
            storm.pressed = pressed?;
            Ok(storm)
        })
    }
}

#[derive(Default)]
struct Storm {
    pressed: Pressed,
    back: u64,
    /// `None` when it took longer than allowed.
    back_seconds: Option<f64>,
    caught_up_seconds: Option<f64>,
}

fn signals(stop: &AtomicBool) -> Signals<'_> {
    Signals { received: &|| 0.0, stop }
}
