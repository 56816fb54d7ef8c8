//! Webhooks from the terminal: those of the key's own project, through the public API; and the
//! receiver's check of a signature, which talks to nobody.

use crate::Outcome;
use crate::target::{Target, segment};
use reqwest::Method;
use serde_json::{Map, Value, json};
use standard_webhooks::{Received, TOLERANCE_S, VerifyingKey};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a body that is checked: more than any webhook sends.
const BODY_BYTES_MAX: u64 = 8 << 20;

#[derive(clap::Subcommand, Debug)]
pub enum Webhooks {
    List,
    /// Defines a webhook; its secret is shown once.
    Create {
        /// `https://host/path`. Not called `url`, which is the server's.
        endpoint: String,
        /// One topic, and which of its keys: `orders`, `orders/eu/#`, `$changes`.
        filter: String,
        #[arg(long, default_value = "")]
        description: String,
        /// `hmac` or `ed25519`.
        #[arg(long, default_value = "hmac")]
        signing: String,
        /// `Name: value`, sent with each request; may be repeated.
        #[arg(long = "header", value_parser = header)]
        headers: Vec<(String, String)>,
        /// `latest`, `earliest`, `offset:N` or `time:<milliseconds since 1970>`.
        #[arg(long, default_value = "latest")]
        start: String,
        /// More settings as JSON: `timeout_ms`, `concurrency`, `rate_per_second`, `attempts_max`.
        #[arg(long, value_parser = crate::admin::object, default_value = "{}")]
        settings: Value,
    },
    /// Shows a webhook: its settings, its breaker, what waits for it.
    Show {
        webhook: String,
    },
    /// Changes a webhook: `{"url": ..., "enabled": true, "attempts_max": 20}`.
    Update {
        webhook: String,
        #[arg(value_parser = crate::admin::object)]
        changes: Value,
    },
    Enable {
        webhook: String,
    },
    Disable {
        webhook: String,
    },
    /// Signs with a new secret, and with the old one beside it for a while.
    RotateSecret {
        webhook: String,
        #[arg(long, default_value_t = 86_400_000)]
        overlap_ms: u64,
    },
    Delete {
        webhook: String,
    },
    /// Sends a test event now and shows what came of it.
    Test {
        webhook: String,
    },
    /// The newest attempts.
    Attempts {
        webhook: String,
    },
    /// Records that were given up.
    DeadLetters {
        webhook: String,
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Delivers dead letters again.
    Replay {
        webhook: String,
        #[command(flatten)]
        which: Letters,
    },
    /// Gives dead letters up for good.
    Purge {
        webhook: String,
        #[command(flatten)]
        which: Letters,
    },
    /// Checks a signature as a receiver would; talks to no server.
    Verify(Verify),
}

/// Which dead letters: all of them, single ones, or a range.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
pub struct Letters {
    #[arg(long)]
    all: bool,
    /// Its offset in the dead-letter topic; `partition:offset` where that has several. May be
    /// repeated.
    #[arg(long = "at", value_parser = place)]
    at: Vec<(u32, u64)>,
    /// The first and the last offset: `7..9`.
    #[arg(long, value_parser = range)]
    range: Option<(u64, u64)>,
}

#[derive(clap::Args, Debug)]
pub struct Verify {
    /// `whsec_...` or `whpk_...`.
    #[arg(long, env = "MAINSTEM_WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// The header `webhook-id`.
    #[arg(long)]
    id: String,
    /// The header `webhook-timestamp`.
    #[arg(long)]
    timestamp: String,
    /// The header `webhook-signature`.
    #[arg(long)]
    signature: String,
    /// The body, byte for byte as it was received; `-` reads it from the terminal.
    #[arg(long, default_value = "-")]
    body: PathBuf,
    /// Seconds that the message may be away from now; left out, its age does not matter.
    #[arg(long)]
    pub(crate) tolerance_s: Option<i64>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn place(text: &str) -> Result<(u32, u64), String> {
    let (partition, offset) = text.split_once(':').unwrap_or(("0", text));
    let wrong = |_| "expected an offset, or `partition:offset`".to_owned();
    Ok((partition.parse().map_err(wrong)?, offset.parse().map_err(wrong)?))
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "expected `first..last`".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let read = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    Ok((read(from)?, read(to)?))
}

type Request = (Method, String, Option<Value>);

fn one(webhook: &str, below: &str) -> String {
    format!("/v1/webhooks/{}{below}", segment(webhook))
}

impl Letters {
    fn body(&self) -> Value {
        match self.range {
            _ if self.all => json!({"all": true}),
            Some((from, to)) => json!({"from": from, "to": to}),
            None => {
                let place = |at: &(u32, u64)| json!({"partition": at.0, "offset": at.1});
                json!({"at": self.at.iter().map(place).collect::<Vec<Value>>()})
            }
        }
    }
}

impl Webhooks {
    pub async fn run(&self, target: &Target) -> Outcome {
        if let Webhooks::Verify(verify) = self {
            return verify.run();
        }
        let Some((method, path, body)) = self.request() else {
            return Ok(());
        };
        let api = target.public()?;
        let answer = match self {
            Webhooks::List => crate::admin::call(&api, method, &path, body).await?,
            _ => {
                let request = api.request(method, &path);
                let request = match &body {
                    Some(body) => request.json(body),
                    None => request,
                };
                api.call(request).await?
            }
        };
        let text = serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())?;
        if answer != Value::Null {
            println!("{text}");
        }
        Ok(())
    }

    /// `None` for what asks no server.
    pub(crate) fn request(&self) -> Option<Request> {
        let request = match self {
            Webhooks::List => (Method::GET, "/v1/webhooks".to_owned(), None),
            Webhooks::Create { .. } => (Method::POST, "/v1/webhooks".to_owned(), self.definition()),
            Webhooks::Show { webhook } => (Method::GET, one(webhook, ""), None),
            Webhooks::Update { webhook, changes } => {
                (Method::PATCH, one(webhook, ""), Some(changes.clone()))
            }
            Webhooks::Enable { webhook } => {
                (Method::PATCH, one(webhook, ""), Some(json!({"enabled": true})))
            }
            Webhooks::Disable { webhook } => {
                (Method::PATCH, one(webhook, ""), Some(json!({"enabled": false})))
            }
            Webhooks::RotateSecret { webhook, overlap_ms } => {
                let body = json!({"overlap_ms": overlap_ms});
                (Method::POST, one(webhook, "/rotate-secret"), Some(body))
            }
            Webhooks::Delete { webhook } => (Method::DELETE, one(webhook, ""), None),
            Webhooks::Test { webhook } => (Method::POST, one(webhook, "/test"), None),
            Webhooks::Attempts { webhook } => (Method::GET, one(webhook, "/attempts"), None),
            Webhooks::DeadLetters { webhook, limit, cursor } => {
                let mut path = format!("{}?limit={limit}", one(webhook, "/dead-letters"));
                if let Some(cursor) = cursor {
                    path += &format!("&cursor={}", segment(cursor));
                }
                (Method::GET, path, None)
            }
            Webhooks::Replay { webhook, which } => {
                (Method::POST, one(webhook, "/dead-letters/replay"), Some(which.body()))
            }
            Webhooks::Purge { webhook, which } => {
                (Method::POST, one(webhook, "/dead-letters/purge"), Some(which.body()))
            }
            Webhooks::Verify(_) => return None,
        };
        Some(request)
    }

    fn definition(&self) -> Option<Value> {
        let Webhooks::Create { endpoint, filter, description, signing, headers, start, settings } =
            self
        else {
            return None;
        };
        let header = |(name, value): &(String, String)| json!({"name": name, "value": value});
        let headers: Vec<Value> = headers.iter().map(header).collect();
        let mut body = Map::new();
        body.insert("url".into(), json!(endpoint));
        body.insert("filter".into(), json!(filter));
        body.insert("description".into(), json!(description));
        body.insert("signing".into(), json!(signing));
        body.insert("headers".into(), json!(headers));
        body.insert("start".into(), json!(start));
        if let Value::Object(settings) = settings.clone() {
            body.extend(settings);
        }
        Some(Value::Object(body))
    }
}

impl Verify {
    fn run(&self) -> Outcome {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let now_s = i64::try_from(now.as_secs()).map_err(|error| error.to_string())?;
        self.check(&read(&self.body)?, now_s)?;
        println!("the signature is good");
        Ok(())
    }

    pub(crate) fn check(&self, body: &[u8], now_s: i64) -> Outcome {
        let key = VerifyingKey::parse(&self.secret).map_err(|error| error.to_string())?;
        let received =
            Received { id: &self.id, timestamp: &self.timestamp, signatures: &self.signature };
        // Old messages are looked at too: the age is checked where it was asked for.
        let tolerance_s = self.tolerance_s.unwrap_or(i64::MAX);
        standard_webhooks::verify(&[key], received, body, now_s, tolerance_s).map_err(|error| {
            format!("{error}; receivers allow {TOLERANCE_S} seconds and check the raw body")
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(path).map_err(wrong)?),
    };
    let mut body = Vec::new();
    source.take(BODY_BYTES_MAX + 1).read_to_end(&mut body).map_err(wrong)?;
    if body.len() as u64 > BODY_BYTES_MAX {
        return Err(format!("{}: longer than any webhook's body", path.display()));
    }
    Ok(body)
}
