//! Reading with requests as a `Face` of the contract: a follow is a chain of polls. A client that
//! breaks off amid a page keeps where the page began and the last cursor of each partition, which
//! the server merges.

use super::{Answer, ask};
use axum::Router;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use testkit::conformance::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told,
};

pub struct RouterFace(pub Router);

/// The answer, or what it refuses with.
fn told(answer: Answer) -> Result<Value, Told> {
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    let number = Some(answer.status.as_u16());
    Err(Told { number, ..Told::from_error(&answer.body["error"]) })
}

struct PollTail {
    router: Router,
    secret: String,
    /// `topic/records?key=..&`.
    path: String,
    /// Where the page in hand began.
    from: String,
    next: String,
    waiting: VecDeque<Value>,
    last_of_partition: BTreeMap<u64, String>,
}

impl PollTail {
    async fn fill(&mut self, wait: &str) -> Result<(), Told> {
        let path = format!("{}from={}&wait={wait}", self.path, self.next);
        let mut page = told(ask(&self.router, &self.secret, &path).await)?;
        self.from = std::mem::replace(&mut self.next, text(&page["next_cursor"]));
        self.last_of_partition.clear();
        if let Value::Array(records) = page["records"].take() {
            self.waiting = records.into();
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Tail for PollTail {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            loop {
                if let Some(record) = self.waiting.pop_front() {
                    let partition = record["partition"].as_u64().expect("a number");
                    self.last_of_partition.insert(partition, text(&record["cursor"]));
                    return Tailed::Record(Got::from_view(&record).expect("a record view"));
                }
                if let Err(told) = self.fill("5s").await {
                    return Tailed::Ended(told);
                }
            }
        })
    }

    fn cursors(&self) -> Vec<String> {
        if self.waiting.is_empty() {
            return vec![self.next.clone()];
        }
        // A partition that no cursor names begins at its beginning, which is `earliest`.
        let is_beginning = self.from == "earliest" && !self.last_of_partition.is_empty();
        let from = (!is_beginning).then(|| self.from.clone());
        from.into_iter().chain(self.last_of_partition.values().cloned()).collect()
    }
}

impl Face for RouterFace {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn abilities(&self) -> Abilities {
        Abilities { follows: true, reads: true, ..Abilities::default() }
    }

    fn publish<'a>(
        &'a self,
        _secret: &'a str,
        _records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>> {
        Box::pin(std::future::ready(Err(Told::broken("this face only reads"))))
    }

    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        Box::pin(async move {
            let path = match filter.split_once('/') {
                Some((topic, key)) => format!("{topic}/records?key={key}&"),
                None => format!("{filter}/records?"),
            };
            let mut tail = PollTail {
                router: self.0.clone(),
                secret: secret.to_owned(),
                path,
                from: String::new(),
                next: start.text(),
                waiting: VecDeque::new(),
                last_of_partition: BTreeMap::new(),
            };
            tail.fill("0").await?;
            Ok(Box::new(tail) as Box<dyn Tail>)
        })
    }

    fn read<'a>(
        &'a self,
        secret: &'a str,
        topic: &'a str,
        start: Start,
        limit: usize,
    ) -> Soon<'a, Result<Page, Told>> {
        Box::pin(async move {
            let path = format!("{topic}/records?from={}&limit={limit}", start.text());
            let page = told(ask(&self.0, secret, &path).await)?;
            let records = page["records"].as_array().into_iter().flatten();
            Ok(Page {
                records: records.map(|view| Got::from_view(view).expect("a view")).collect(),
                next_cursor: text(&page["next_cursor"]),
                is_end: page["end"].as_bool().expect("a truth"),
            })
        })
    }

    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        let short = bytes.get(..bytes.len().min(2_000)).unwrap_or_default();
        let encoded: String = short.iter().map(|byte| format!("%{byte:02x}")).collect();
        Box::pin(async move {
            let path = format!("orders/records?from={encoded}");
            match told(ask(&self.0, secret, &path).await) {
                Ok(_) => Aftermath::Closed,
                Err(told) => Aftermath::Refused(told),
            }
        })
    }
}
