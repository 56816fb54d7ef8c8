//! Publishing from several connections at once, each waiting for its acknowledgement before it
//! sends the next batch.

use super::progress::{self, Audience};
use super::report::{Latencies, print};
use super::socket::Socket;
use crate::Outcome;
use crate::target::Api;
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug, Clone)]
pub struct PublishBench {
    #[arg(long, default_value = "bench")]
    topic: String,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Records of one call.
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Bytes of one record's value.
    #[arg(long, default_value_t = 512)]
    size: usize,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    #[arg(long, value_enum, default_value_t = Over::Http)]
    over: Over,
    #[arg(long)]
    json: bool,
}

#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Http,
    WebSocket,
}

#[derive(Default)]
struct Share {
    records: u64,
    latencies: Latencies,
}

impl PublishBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let started = Instant::now();
        let end = started + Duration::from_secs(self.seconds);
        let bar = progress::counter(Audience::of(self.json), "records");
        let publishers: Vec<_> = (0..self.connections.max(1))
            .map(|_| {
                let (bench, api, bar) = (self.clone(), api.clone(), bar.clone());
                tokio::spawn(async move { bench.publish_until(&api, end, &bar).await })
            })
            .collect();
        let mut all = Share::default();
        for publisher in publishers {
            let share = publisher.await.map_err(|error| error.to_string())??;
            all.records += share.records;
            all.latencies.merge(share.latencies);
        }
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let rate = all.records as f64 / seconds;
        let report = json!({
            "records": all.records,
            "seconds": seconds,
            "records_per_second": rate,
            "megabytes_per_second": rate * self.size as f64 / 1e6,
            "calls": all.latencies.count(),
            "call": all.latencies.summary(),
        });
        print(&report, self.json);
        Ok(())
    }

    async fn publish_until(
        &self,
        api: &Api,
        end: Instant,
        bar: &ProgressBar,
    ) -> Result<Share, String> {
        let data = "x".repeat(self.size.saturating_sub(2));
        let record = json!({"topic": self.topic, "data": data});
        let records = vec![record; self.batch.max(1)];
        match self.over {
            Over::Http => self.over_http(api, end, &Value::Array(records), bar).await,
            Over::WebSocket => self.over_web_socket(api, end, records, bar).await,
        }
    }

    async fn over_http(
        &self,
        api: &Api,
        end: Instant,
        body: &Value,
        bar: &ProgressBar,
    ) -> Result<Share, String> {
        let body = bytes::Bytes::from(body.to_string());
        let mut share = Share::default();
        while Instant::now() < end {
            let sent = Instant::now();
            let request = api
                .request(Method::POST, "/v1/events")
                .header("content-type", "application/json")
                .body(body.clone());
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let text = answer.bytes().await.map_err(|error| error.to_string())?;
            if !status.is_success() {
                return Err(format!("{status}: {}", String::from_utf8_lossy(&text)));
            }
            share.latencies.add(sent.elapsed());
            share.records += self.batch.max(1) as u64;
            bar.inc(self.batch.max(1) as u64);
        }
        Ok(share)
    }

    async fn over_web_socket(
        &self,
        api: &Api,
        end: Instant,
        records: Vec<Value>,
        bar: &ProgressBar,
    ) -> Result<Share, String> {
        let mut socket = Socket::connect(api).await?;
        let text = json!({"type": "publish", "id": 1, "records": records}).to_string();
        let mut share = Share::default();
        while Instant::now() < end {
            let sent = Instant::now();
            socket.send(text.clone()).await?;
            socket.wait_for("published").await?;
            share.latencies.add(sent.elapsed());
            share.records += self.batch.max(1) as u64;
            bar.inc(self.batch.max(1) as u64);
        }
        Ok(share)
    }
}
