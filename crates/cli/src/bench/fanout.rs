//! One publisher, many subscribers of the same topic: how many deliveries a second, and how long
//! after the publish they come. Publisher and subscribers are this process, so they share a clock.

use super::progress::{self, Audience};
use super::report::{Latencies, print};
use super::socket::Socket;
use crate::Outcome;
use crate::target::Api;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Connections opened at the same time.
const OPENING_MAX: usize = 64;
/// After the last publish, how long deliveries may still come.
const LINGER: Duration = Duration::from_secs(5);

#[derive(clap::Args, Debug, Clone)]
pub struct FanoutBench {
    #[arg(long, default_value = "bench-fanout")]
    topic: String,
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Records published per second.
    #[arg(long, default_value_t = 10)]
    rate: u64,
    /// Bytes of one record's value, its time included.
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long)]
    json: bool,
}

impl FanoutBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let origin = Instant::now();
        let total = self.rate.max(1) * self.seconds;
        let mut subscribers = self.subscribe(api, origin, total).await?;
        let opened = origin.elapsed();
        let started = Instant::now();
        self.publish(api, origin, total).await?;
        let mut all = Latencies::default();
        while let Some(done) = subscribers.join_next().await {
            all.merge(done.map_err(|error| error.to_string())??);
        }
        let expected = total * self.subscribers as u64;
        let report = json!({
            "subscribers": self.subscribers,
            "subscribed_in_seconds": opened.as_secs_f64(),
            "records": total,
            "deliveries": all.count(),
            "missing": expected - all.count() as u64,
            "deliveries_per_second": all.count() as f64 / started.elapsed().as_secs_f64(),
            "latency": all.summary(),
        });
        print(&report, self.json);
        Ok(())
    }

    async fn subscribe(
        &self,
        api: &Api,
        origin: Instant,
        total: u64,
    ) -> Result<JoinSet<Result<Latencies, String>>, String> {
        let mut opening = JoinSet::new();
        let mut running = JoinSet::new();
        let bar = progress::bar(Audience::of(self.json), self.subscribers as u64, "subscribers");
        let mut left = self.subscribers;
        while left > 0 || !opening.is_empty() {
            while left > 0 && opening.len() < OPENING_MAX {
                left -= 1;
                let (api, topic) = (api.clone(), self.topic.clone());
                opening.spawn(async move { open(&api, &topic).await });
            }
            if let Some(opened) = opening.join_next().await {
                let socket = opened.map_err(|error| error.to_string())??;
                let time_max = Duration::from_secs(self.seconds) + LINGER;
                running.spawn(count(socket, origin, total, time_max));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(running)
    }

    async fn publish(&self, api: &Api, origin: Instant, total: u64) -> Outcome {
        let mut ticks =
            tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate.max(1) as f64));
        let bar = progress::bar(Audience::of(self.json), total, "records");
        let mut pending = JoinSet::new();
        for _ in 0..total {
            ticks.tick().await;
            let sent_us = origin.elapsed().as_micros() as u64;
            let padding = "x".repeat(self.size.saturating_sub(40));
            let data = json!({"sent_us": sent_us, "padding": padding});
            let body = json!({"topic": self.topic, "data": data});
            let (api, request) = (api.clone(), api.request(Method::POST, "/v1/events").json(&body));
            pending.spawn(async move { api.call(request).await });
            bar.inc(1);
        }
        bar.finish_and_clear();
        while let Some(done) = pending.join_next().await {
            done.map_err(|error| error.to_string())??;
        }
        Ok(())
    }
}

async fn open(api: &Api, topic: &str) -> Result<Socket, String> {
    let mut socket = Socket::connect(api).await?;
    let request = json!({"type": "subscribe", "id": 1, "filter": topic, "from": "latest"});
    socket.send(request.to_string()).await?;
    socket.wait_for("subscribed").await?;
    Ok(socket)
}

/// Reads until all records have come or the time is over.
async fn count(
    mut socket: Socket,
    origin: Instant,
    total: u64,
    time_max: Duration,
) -> Result<Latencies, String> {
    let mut latencies = Latencies::default();
    let reading = async {
        while (latencies.count() as u64) < total {
            let text = socket.wait_for("record").await?;
            let now_us = origin.elapsed().as_micros() as u64;
            let record: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if let Some(sent_us) = record["data"]["sent_us"].as_u64() {
                latencies.add(Duration::from_micros(now_us.saturating_sub(sent_us)));
            }
        }
        Ok::<(), String>(())
    };
    match tokio::time::timeout(time_max, reading).await {
        Ok(Err(error)) => Err(error),
        _ => Ok(latencies),
    }
}
