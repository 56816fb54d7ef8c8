//! Reads over HTTP: `GET /v1/topics/{topic}/records`. A follow is a chain of long polls, each from
//! the cursor of the one before.

use super::http::{Http, aftermath, encoded, send_for_json};
use crate::conformance::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told, unable,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long one poll waits; the next one follows at once.
const WAIT: &str = "5s";
const PAGE_RECORDS: usize = 100;

#[derive(Clone)]
pub struct PollFace {
    http: Arc<Http>,
}

impl PollFace {
    /// `base_url` without the path: `http://127.0.0.1:8080`.
    pub fn new(base_url: &str) -> Arc<PollFace> {
        Arc::new(PollFace { http: Arc::new(Http::new(base_url)) })
    }

    async fn page(
        &self,
        secret: &str,
        topic: &str,
        from: &str,
        rest_of_query: &str,
    ) -> Result<CursorPage, Told> {
        let (topic, from) = (encoded(topic.as_bytes()), encoded(from.as_bytes()));
        let path = format!("/v1/topics/{topic}/records?from={from}{rest_of_query}");
        let answer = send_for_json(self.http.get(&path, secret)).await?;
        let views = answer["records"].as_array().into_iter().flatten();
        let with_cursor = |view: &serde_json::Value| {
            let cursor = view["cursor"].as_str()?;
            Some((Got::from_view(view)?, cursor.to_owned()))
        };
        let records = views.map(with_cursor).collect::<Option<_>>();
        Ok(CursorPage {
            records: records.ok_or_else(|| Told::broken("a record without a place"))?,
            next_cursor: answer["next_cursor"].as_str().unwrap_or_default().to_owned(),
            is_end: answer["end"].as_bool().unwrap_or_default(),
        })
    }
}

/// A page with the cursor of each of its records.
struct CursorPage {
    records: VecDeque<(Got, String)>,
    next_cursor: String,
    is_end: bool,
}

struct PollTail {
    face: PollFace,
    secret: String,
    topic: String,
    key: Option<String>,
    /// Records of the last page not yet handed out.
    waiting: VecDeque<(Got, String)>,
    next_cursor: String,
    /// What it began with, as far as that was a cursor.
    start: Vec<String>,
    /// A client that breaks off amid a page resumes from its records.
    last_of_partition: BTreeMap<u32, String>,
}

impl PollTail {
    /// The next page, after waiting for it as `wait` says.
    async fn fill(&mut self, wait: &str) -> Result<(), Told> {
        let key = self.key.as_ref().map(|key| format!("&key={}", encoded(key.as_bytes())));
        let query = format!("&limit={PAGE_RECORDS}&wait={wait}{}", key.unwrap_or_default());
        let page = self.face.page(&self.secret, &self.topic, &self.next_cursor, &query).await?;
        self.next_cursor = page.next_cursor;
        self.waiting = page.records;
        Ok(())
    }
}

impl Tail for PollTail {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            loop {
                if let Some((record, cursor)) = self.waiting.pop_front() {
                    self.last_of_partition.insert(record.partition, cursor);
                    return Tailed::Record(record);
                }
                if let Err(told) = self.fill(WAIT).await {
                    return Tailed::Ended(told);
                }
            }
        })
    }

    fn cursors(&self) -> Vec<String> {
        self.start.iter().chain(self.last_of_partition.values()).cloned().collect()
    }
}

impl Face for PollFace {
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
        unable("poll reads only")
    }

    fn follow<'a>(
        &'a self,
        secret: &'a str,
        filter: &'a str,
        start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        Box::pin(async move {
            let (topic, key) = match filter.split_once('/') {
                Some((topic, key)) => (topic, Some(key.to_owned())),
                None => (filter, None),
            };
            let mut tail = PollTail {
                face: self.clone(),
                secret: secret.to_owned(),
                topic: topic.to_owned(),
                key,
                waiting: VecDeque::new(),
                next_cursor: start.text(),
                start: Vec::new(),
                last_of_partition: BTreeMap::new(),
            };
            // No cursor at all is the beginning.
            if tail.next_cursor.is_empty() {
                tail.next_cursor = Start::Earliest.text();
            }
            // Proves the credential and the start at once, and turns `latest` into a cursor.
            tail.fill("0").await?;
            match start {
                Start::Cursors(cursors) => tail.start = cursors,
                Start::Latest => tail.start.push(tail.next_cursor.clone()),
                Start::Earliest | Start::Offset(_) => {}
            }
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
            let query = format!("&limit={limit}");
            let page = self.page(secret, topic, &start.text(), &query).await?;
            Ok(Page {
                records: page.records.into_iter().map(|(record, _)| record).collect(),
                next_cursor: page.next_cursor,
                is_end: page.is_end,
            })
        })
    }

    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        let bytes = bytes.get(..bytes.len().min(2_000)).unwrap_or_default();
        let path = format!("/v1/topics/orders/records?from={}", encoded(bytes));
        Box::pin(aftermath(self.http.get(&path, secret)))
    }
}
