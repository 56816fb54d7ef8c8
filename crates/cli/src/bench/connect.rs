//! Opening many WebSocket connections, and holding them.

use super::progress::{self, Audience};
use super::report::{Latencies, print};
use super::socket::Socket;
use crate::Outcome;
use crate::target::Api;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[derive(clap::Args, Debug, Clone)]
pub struct ConnectBench {
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Opened at the same time.
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Seconds to hold them all once they are open.
    #[arg(long, default_value_t = 0)]
    hold: u64,
    #[arg(long)]
    json: bool,
}

impl ConnectBench {
    pub async fn run(&self, api: &Api) -> Outcome {
        let started = Instant::now();
        let (mut opening, mut open) = (JoinSet::new(), Vec::new());
        let (mut latencies, mut refused) = (Latencies::default(), 0u64);
        let bar = progress::bar(Audience::of(self.json), self.connections as u64, "connections");
        let mut left = self.connections;
        while left > 0 || !opening.is_empty() {
            while left > 0 && opening.len() < self.concurrency.max(1) {
                left -= 1;
                let api = api.clone();
                opening.spawn(async move {
                    let started = Instant::now();
                    (Socket::connect(&api).await, started.elapsed())
                });
            }
            match opening.join_next().await {
                Some(Ok((Ok(socket), took))) => {
                    latencies.add(took);
                    open.push(socket);
                }
                Some(Ok((Err(why), _))) => {
                    refused += 1;
                    if refused == 1 {
                        bar.suspend(|| eprintln!("first refusal: {why}"));
                    }
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => {}
            }
            bar.set_position(open.len() as u64 + refused);
        }
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_secs(self.hold)).await;
        let report = json!({
            "connections": open.len(),
            "refused": refused,
            "seconds": seconds,
            "connections_per_second": open.len() as f64 / seconds,
            "open": latencies.summary(),
        });
        print(&report, self.json);
        Ok(())
    }
}
