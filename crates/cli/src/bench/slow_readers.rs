//! Some subscribers stop reading for a while: what the others feel of it, what it costs the server
//! in memory, and whether the slow ones get everything once they read again.

use super::case::pressed;
use super::dialects::{Follow, Publish, Role};
use super::report::emit;
use super::scene::{Group, Scene, Setting, Topics, await_deliveries, expected, make_topics};
use crate::Outcome;
use crate::target::Api;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm::{Rate, Work, watch};

/// Small, so that what a client does not read soon waits at the server and not in the kernel.
const RECEIVE_BYTES: u32 = 8 * 1024;
/// As real clients do that were closed.
const RETRIES_MAX: u32 = 60;
/// How long the slow ones may take to catch up.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

#[derive(clap::Args, Debug, Clone)]
pub struct SlowReadersBench {
    #[arg(long, default_value = "bench-slow")]
    topic: String,
    #[arg(long, default_value_t = 1000)]
    subscribers: u32,
    /// Percent of the subscribers that stop reading.
    #[arg(long, default_value_t = 1.0)]
    percent: f64,
    /// Seconds for which they do, and as many before for comparison.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Records per second.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// Bytes of one record's value; what the slow ones leave unread should be more than the
    /// kernel holds for them.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Connections opened per second.
    #[arg(long, default_value_t = 2_500.0)]
    connect_rate: f64,
    #[arg(long, value_enum, default_value = "ws-json")]
    follow: Follow,
    #[command(flatten)]
    setting: Setting,
}

impl SlowReadersBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let topics = Topics { address: &self.topic, streams: 1, durability: "durable" };
        make_topics(api, topics).await?;
        let (bench, scene) = (self.clone(), Scene::new(api, &self.setting)?);
        let report = super::blocking(move || bench.measure(&scene)).await?;
        emit("slow-readers", report, self.setting.json.as_deref())
    }

    fn followers(&self, count: u32) -> Group {
        Group {
            dialect: self.follow.name(),
            role: Role::Follow,
            address: self.topic.clone(),
            streams: 1,
            count,
            per_second: self.connect_rate,
            secrets: Vec::new(),
        }
    }

    fn measure(&self, scene: &Scene) -> Result<Value, String> {
        let all = self.subscribers.max(2);
        let slow = ((f64::from(all) * self.percent / 100.0).ceil() as u32).clamp(1, all - 1);
        let followers = self.followers(all);
        let mut plan = scene.plan(&followers)?;
        plan.receive_bytes = RECEIVE_BYTES;
        plan.keeps_cursors = true;
        // Who reads nothing for long answers no ping either and is closed: it comes back.
        plan.retries_max = RETRIES_MAX;
        let mut lead = scene.open(&plan)?;
        let dialect = Publish::WsJson.name();
        let mut press =
            scene.press(&Group { dialect, role: Role::Publish, count: 1, ..followers })?;
        let work = Work {
            rate: Rate::Even { per_second: self.rate.max(1e-3) },
            streams: 1,
            bytes: self.size,
            batch: 1,
            seconds: self.seconds,
            records_max: 0,
        };
        lead.measure()?;
        pressed(&mut lead, &mut press, &work, all)?;
        let before = lead.report()?.all;
        let first = self.setting.server_pid.map(watch::sample).unwrap_or_default();

        lead.pause(slow)?;
        lead.measure()?;
        let peak = Peak::begin(self.setting.server_pid);
        let run = press.run(&work, &idle_signals());
        let during = lead.report()?.all;
        let (run, peak) = (run?, peak.end());
        let begin = Instant::now();
        lead.resume()?;
        let wanted = expected(run.calls, 1, 1, all);
        let slow_wanted = expected(run.calls, 1, 1, slow_of(&lead, slow));
        while lead.progress()?.deliveries_slow < slow_wanted && begin.elapsed() < CATCH_UP_MAX {
            std::thread::sleep(LOOK_EVERY);
        }
        let caught_up = begin.elapsed().as_secs_f64();
        let delivered = await_deliveries(&mut lead, wanted)?;
        let report = lead.report()?;
        let ratio = during.latencies.at_ms(0.99) / before.latencies.at_ms(0.99).max(1e-3);
        Ok(json!({
            "subscribers": all,
            "slow": slow_of(&lead, slow),
            "seconds": self.seconds,
            "records": run.records,
            "delivery_before": before.latencies.summary(),
            "delivery_during": during.latencies.summary(),
            "p99_ratio": ratio,
            "slow_caught_up_seconds": caught_up,
            "slow_deliveries": report.slow.deliveries,
            "slow_missing": slow_wanted.saturating_sub(report.slow.deliveries),
            "slow_lost": report.slow.lost,
            "slow_doubled": report.slow.doubled,
            "missing": wanted.saturating_sub(delivered),
            "lost": report.all.lost,
            "doubled": report.all.doubled,
            "connections_ended": report.ended,
            "retried": report.retried,
            "server_rss_before_bytes": first.rss_bytes,
            "server_rss_peak_bytes": peak,
        }))
    }
}

/// Each process pauses the same number.
fn slow_of(lead: &swarm::Lead, wanted: u32) -> u32 {
    let crews = lead.crews() as u32;
    wanted.div_ceil(crews) * crews
}

fn idle_signals() -> swarm::Signals<'static> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    swarm::Signals { received: &|| 0.0, stop: &NEVER }
}

/// The server's most memory, looked at from time to time.
struct Peak {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Peak {
    fn begin(pid: Option<u32>) -> Peak {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let ends = std::sync::Arc::clone(&stop);
        let look = move |pid| {
            let mut most = 0;
            while !ends.load(Ordering::Relaxed) {
                most = watch::sample(pid).rss_bytes.max(most);
                std::thread::sleep(SAMPLE_EVERY);
            }
            most
        };
        let thread = pid.map(|pid| std::thread::spawn(move || look(pid)));
        Peak { stop, thread }
    }

    fn end(mut self) -> Option<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}
