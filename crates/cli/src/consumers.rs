//! `mainstem consumers` and `mainstem dead-letters`: durable consumers from the terminal, by the
//! public API and with an API key, as any program would do it.

use crate::Outcome;
use crate::admin::{call, object};
use crate::target::{Api, Target, segment};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Dead letters that one call of the API takes at most.
const LETTERS_PER_CALL: u64 = 1_000;
/// Calls one command makes at most; whoever has more dead letters runs it again.
const CALLS_MAX: usize = 1_000;

#[derive(clap::Args, Debug)]
pub struct Address {
    topic: String,
    consumer: String,
}

#[derive(clap::Subcommand, Debug)]
pub enum Consumers {
    /// All consumers of a topic, with lag, pending records and dead letters.
    List {
        topic: String,
    },
    Show(Address),
    /// Makes a consumer or changes its configuration.
    Put {
        #[command(flatten)]
        at: Address,
        /// JSON, for instance `{"ack_wait_ms": 30000, "deliveries_max": 5, "filter": "eu/#"}`.
        #[arg(long, value_parser = object, default_value = "{}")]
        config: Value,
    },
    /// Forgets a consumer and where it stood.
    Delete(Address),
    /// Puts a consumer elsewhere, also back.
    Reset {
        #[command(flatten)]
        at: Address,
        /// `earliest`, `latest`, `offset:N` or `time:<milliseconds since 1970>`.
        #[arg(long, required_unless_present = "positions", conflicts_with = "positions")]
        to: Option<String>,
        /// What `positions` printed, here or on another server.
        #[arg(long)]
        positions: Option<String>,
    },
    /// Acknowledges everything that these cursors cover, for who follows `--from consumer:NAME`.
    Commit {
        #[command(flatten)]
        at: Address,
        /// As records carry them; one per partition.
        #[arg(required = true)]
        cursors: Vec<String>,
    },
    /// Prints where a consumer stands, for `reset --positions`.
    Positions(Address),
    /// Fetches records; each is leased until it is settled.
    Fetch {
        #[command(flatten)]
        at: Address,
        #[arg(long, default_value_t = 10)]
        records_max: u64,
        /// How long to wait for a first record.
        #[arg(long, default_value_t = 0)]
        wait_ms: u64,
        /// Acknowledges what was printed.
        #[arg(long)]
        acknowledge: bool,
    },
    /// Says what became of a delivery.
    Settle {
        #[command(flatten)]
        at: Address,
        token: String,
        /// `acknowledge`, `retry`, `extend` or `reject`.
        #[arg(long, default_value = "acknowledge")]
        action: String,
        #[arg(long)]
        delay_ms: Option<u64>,
        #[arg(long)]
        reason: Option<String>,
    },
}

#[derive(clap::Subcommand, Debug)]
pub enum DeadLetters {
    /// What failed for good, and was neither replayed nor purged.
    List(Address),
    /// Brings dead letters back: all, or those named.
    Replay {
        #[command(flatten)]
        at: Address,
        /// `topic`: published anew, for every reader. `consumer`: delivered again, to this
        /// consumer only.
        #[arg(long, default_value = "topic")]
        to: String,
        /// `partition:offset` in the dead-letter topic; may be repeated.
        #[arg(long = "letter", value_parser = place)]
        letters: Vec<(u32, u64)>,
    },
    /// Gives dead letters up: all, or those named.
    Purge {
        #[command(flatten)]
        at: Address,
        /// `partition:offset` in the dead-letter topic; may be repeated.
        #[arg(long = "letter", value_parser = place, required_unless_present = "all")]
        letters: Vec<(u32, u64)>,
        #[arg(long, conflicts_with = "letters")]
        all: bool,
    },
}

fn place(text: &str) -> Result<(u32, u64), String> {
    let wrong = || "expected partition:offset, as in 0:17".to_owned();
    let (partition, offset) = text.split_once(':').ok_or_else(wrong)?;
    Ok((partition.parse().map_err(|_| wrong())?, offset.parse().map_err(|_| wrong())?))
}

impl Address {
    fn path(&self) -> String {
        format!("{}/{}", all_path(&self.topic), segment(&self.consumer))
    }
}

fn all_path(topic: &str) -> String {
    format!("/v1/topics/{}/consumers", segment(topic))
}

fn print(answer: &Value) -> Outcome {
    if *answer != Value::Null {
        println!("{}", serde_json::to_string_pretty(answer).map_err(|error| error.to_string())?);
    }
    Ok(())
}

impl Consumers {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.public()?;
        let (method, path, body) = match self {
            Consumers::List { topic } => (Method::GET, all_path(topic), None),
            Consumers::Show(at) => (Method::GET, at.path(), None),
            Consumers::Put { at, config } => (Method::PUT, at.path(), Some(config.clone())),
            Consumers::Delete(at) => (Method::DELETE, at.path(), None),
            Consumers::Reset { at, to, positions } => {
                (Method::POST, format!("{}/reset", at.path()), Some(reset(to, positions)?))
            }
            Consumers::Commit { at, cursors } => {
                let body = json!({"cursors": cursors});
                (Method::POST, format!("{}/commit", at.path()), Some(body))
            }
            Consumers::Positions(at) => return positions(&api, at).await,
            Consumers::Fetch { at, records_max, wait_ms, acknowledge } => {
                let body = json!({"records_max": records_max, "wait_ms": wait_ms});
                return fetch(&api, at, &body, *acknowledge).await;
            }
            Consumers::Settle { at, token, action, delay_ms, reason } => {
                let mut one = Map::new();
                one.insert("token".into(), json!(token));
                one.insert("action".into(), json!(action));
                one.extend(delay_ms.map(|delay_ms| ("delay_ms".to_owned(), json!(delay_ms))));
                one.extend(reason.as_ref().map(|reason| ("reason".to_owned(), json!(reason))));
                let body = json!({"settlements": [one]});
                (Method::POST, format!("{}/settle", at.path()), Some(body))
            }
        };
        print(&call(&api, method, &path, body).await?)
    }
}

fn reset(to: &Option<String>, positions: &Option<String>) -> Result<Value, String> {
    let Some(positions) = positions else {
        return Ok(json!({"to": to}));
    };
    let positions: Value = serde_json::from_str(positions).map_err(|error| error.to_string())?;
    Ok(json!({"positions": positions}))
}

async fn positions(api: &Api, at: &Address) -> Outcome {
    let consumer = call(api, Method::GET, &at.path(), None).await?;
    let all = consumer["partitions"].as_array().cloned().unwrap_or_default();
    let position = |one: &Value| json!({"partition": one["partition"], "offset": one["committed"]});
    let positions: Vec<Value> = all.iter().map(position).collect();
    println!("{}", Value::Array(positions));
    Ok(())
}

async fn fetch(api: &Api, at: &Address, body: &Value, acknowledge: bool) -> Outcome {
    let path = format!("{}/fetch", at.path());
    let answer = api.call_waiting(api.request(Method::POST, &path).json(body)).await?;
    let deliveries = answer["deliveries"].as_array().cloned().unwrap_or_default();
    for delivery in &deliveries {
        println!("{delivery}");
    }
    if !acknowledge || deliveries.is_empty() {
        return Ok(());
    }
    let settlement = |one: &Value| json!({"token": one["token"], "action": "acknowledge"});
    let settlements: Vec<Value> = deliveries.iter().map(settlement).collect();
    let path = format!("{}/settle", at.path());
    let body = json!({"settlements": settlements});
    let settled = call(api, Method::POST, &path, Some(body)).await?;
    let outcomes = settled["outcomes"].as_array().cloned().unwrap_or_default();
    match outcomes.iter().find(|outcome| outcome.get("error").is_some()) {
        Some(refused) => Err(refused["error"].to_string()),
        None => Ok(()),
    }
}

impl DeadLetters {
    pub async fn run(&self, target: &Target) -> Outcome {
        let api = target.public()?;
        match self {
            DeadLetters::List(at) => {
                let path = format!("{}/dead-letters", at.path());
                print(&call(&api, Method::GET, &path, None).await?)
            }
            DeadLetters::Replay { at, to, letters } => {
                let path = format!("{}/dead-letters/replay", at.path());
                let work = Work { api: &api, method: Method::POST, path, count: "replayed" };
                work.run(json!({"to": to}), letters).await
            }
            DeadLetters::Purge { at, letters, .. } => {
                let path = format!("{}/dead-letters", at.path());
                let work = Work { api: &api, method: Method::DELETE, path, count: "purged" };
                work.run(json!({}), letters).await
            }
        }
    }
}

/// A call on dead letters that is made until none is left.
struct Work<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    count: &'static str,
}

impl Work<'_> {
    async fn run(&self, mut body: Value, letters: &[(u32, u64)]) -> Outcome {
        let mut total = 0;
        if letters.is_empty() {
            body["limit"] = json!(LETTERS_PER_CALL);
        } else {
            let place = |(partition, offset)| json!({"partition": partition, "offset": offset});
            body["letters"] = letters.iter().copied().map(place).collect();
        }
        let mut outcome = Ok(());
        for _ in 0..CALLS_MAX {
            let asked = call(self.api, self.method.clone(), &self.path, Some(body.clone())).await;
            match asked.map(|answer| answer[self.count].as_u64().unwrap_or_default()) {
                Ok(count) => {
                    total += count;
                    if count == 0 || !letters.is_empty() {
                        break;
                    }
                }
                // What went well before is told all the same.
                Err(refusal) => {
                    outcome = Err(refusal);
                    break;
                }
            }
        }
        println!("{} {total}", self.count);
        outcome
    }
}
