//! Replays a real dataset into a topic: events are published in their order, at their own pace or
//! faster, through the same public API that any program would use. It must not know anything of
//! the server that a stranger with an API key would not.

mod credentials;
mod dataset;
mod pace;
mod progress;
mod publish;
#[cfg(test)]
mod tests;

use clap::{Parser, ValueEnum};
use dataset::Event;
use pace::{Pace, Step};
use progress::Progress;
use publish::{Publisher, Target};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dataset {
    /// One week of earthquakes of the whole world, as the USGS recorded them: 1,707 events.
    Earthquakes,
    /// Flights within the United States, January to March 2001: 20,000 departures.
    Flights,
}

impl Dataset {
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Earthquakes => "earthquakes",
            Dataset::Flights => "flights",
        }
    }

    /// Makes a whole replay last a few minutes.
    fn speed_default(self) -> f64 {
        match self {
            Dataset::Earthquakes => 3_600.0,
            Dataset::Flights => 14_400.0,
        }
    }
}

/// Replay a real dataset through `POST /v1/events`.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The server.
    #[arg(long, env = "MAINSTEM_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key with the scope events:publish (and admin:write, to create the topic).
    #[arg(long, env = "MAINSTEM_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Takes server and key from the file that `mainstem dev` writes.
    #[arg(long)]
    dev_credentials: Option<PathBuf>,
    /// The topic; created when it does not exist. Without it, the dataset's name.
    #[arg(long)]
    topic: Option<String>,
    #[arg(long, value_enum, default_value = "earthquakes")]
    dataset: Dataset,
    /// How many times faster than it happened; 1 is the original pace. Without it, a speed at
    /// which a replay lasts a few minutes.
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// Stop after this many records.
    #[arg(long)]
    limit: Option<u64>,
    /// Stop after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Names this replay in the record ids: the same name again publishes nothing twice. Without
    /// it, the time of the start.
    #[arg(long)]
    run: Option<String>,
    /// Start over at the end, until a bound is reached or the program is stopped.
    #[arg(long)]
    repeat: bool,
    /// Where npm puts the dataset.
    #[arg(long, default_value = "target/replay")]
    cache: PathBuf,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err("above zero, please".to_owned()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match replay(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("replay: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn replay(options: Options) -> Result<(), String> {
    let dataset = options.dataset;
    let (url, key) = match options.dev_credentials {
        Some(file) => credentials::read(&file).await?,
        None => (options.url, options.key.ok_or("no key: give --key or set MAINSTEM_API_KEY")?),
    };
    let events = dataset::load(dataset, &options.cache).await?;
    let topic = options.topic.unwrap_or_else(|| dataset.name().to_owned());
    let mut publisher = Publisher::new(Target { url, key, topic: topic.clone() })?;
    publisher.ensure_topic().await?;

    let speed = options.speed.unwrap_or(dataset.speed_default());
    let run = options.run.unwrap_or_else(started_now);
    let stop_at = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut left = options.limit.unwrap_or(u64::MAX);
    eprintln!("{} events of {} to {topic}, {speed} times as fast", events.len(), dataset.name());
    let mut progress = Progress::start();
    for round in 0u64.. {
        let label = if round == 0 { run.clone() } else { format!("{run}.{round}") };
        let bounds = Bounds { stop_at, left };
        left = round_of(&events, speed, &label, bounds, &mut publisher, &mut progress).await?;
        let over = left == 0 || stop_at.is_some_and(|at| Instant::now() >= at);
        if over || !options.repeat {
            break;
        }
    }
    progress.finish(publisher.retries());
    Ok(())
}

#[derive(Clone, Copy)]
struct Bounds {
    stop_at: Option<Instant>,
    left: u64,
}

/// Publishes the events once, in time order. Answers how many records may still be published.
async fn round_of(
    events: &[Event],
    speed: f64,
    run: &str,
    bounds: Bounds,
    publisher: &mut Publisher,
    progress: &mut Progress,
) -> Result<u64, String> {
    let started = Instant::now();
    let mut left = bounds.left;
    let mut pace = Pace::new(events, speed);
    loop {
        if left == 0 || bounds.stop_at.is_some_and(|at| Instant::now() >= at) {
            return Ok(left);
        }
        match pace.next(started.elapsed(), left) {
            Step::Publish(batch) => {
                publisher.publish(run, batch).await?;
                left -= batch.len() as u64;
                progress.add(batch, publisher.retries());
            }
            Step::Wait(wait) => {
                progress.tick(publisher.retries());
                tokio::time::sleep(within(wait, bounds.stop_at)).await;
            }
            Step::Done => return Ok(left),
        }
    }
}

/// Waits are cut at the bound in time, so that `--seconds` is kept in a quiet stretch too.
fn within(wait: Duration, stop_at: Option<Instant>) -> Duration {
    stop_at.map_or(wait, |at| wait.min(at.saturating_duration_since(Instant::now())))
}

fn started_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().to_string()
}
