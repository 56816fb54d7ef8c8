//! Reads over HTTP: `GET /v1/topics/{topic}/records`. A follow is a chain of long polls, each from
//! the cursor of the one before.

use super::http::{Http, aftermath, encoded, send_for_json};
use crate::conformance::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told, unable,
};
use std::collections::VecDeque;
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
    ) -> Result<Page, Told> {
        let (topic, from) = (encoded(topic.as_bytes()), encoded(from.as_bytes()));
        let path = format!("/v1/topics/{topic}/records?from={from}{rest_of_query}");
        let answer = send_for_json(self.http.get(&path, secret)).await?;
        let views = answer["records"].as_array().into_iter().flatten();
        let records = views.map(Got::from_view).collect::<Option<_>>();
        Ok(Page {
            records: records.ok_or_else(|| Told::broken("a record without a place"))?,
            next_cursor: answer["next_cursor"].as_str().unwrap_or_default().to_owned(),
            is_end: answer["end"].as_bool().unwrap_or_default(),
        })
    }
}

struct PollTail {
    face: PollFace,
    secret: String,
    topic: String,
    key: Option<String>,
    /// Records of the last page not yet handed out.
    waiting: VecDeque<Got>,
    /// Where the page in hand began, and where the next begins. A client that breaks off amid a
    /// page reads it again from its start and skips what it knows.
    page_cursor: String,
    next_cursor: String,
    handed_out: usize,
    /// Records to skip after a resume amid a page.
    skip: usize,
}

/// Joins a page's cursor and what has been handled of it: this client's own bookkeeping.
const SKIP_MARK: char = '@';

impl PollTail {
    async fn fill(&mut self) -> Result<(), Told> {
        let key = self.key.as_ref().map(|key| format!("&key={}", encoded(key.as_bytes())));
        let query = format!("&limit={PAGE_RECORDS}&wait={WAIT}{}", key.unwrap_or_default());
        let from = self.next_cursor.clone();
        let page = self.face.page(&self.secret, &self.topic, &from, &query).await?;
        self.page_cursor = from;
        self.next_cursor = page.next_cursor;
        self.waiting = page.records.into();
        self.handed_out = self.skip.min(self.waiting.len());
        self.waiting.drain(..self.handed_out);
        self.skip = 0;
        Ok(())
    }
}

impl Tail for PollTail {
    fn next(&mut self) -> Soon<'_, Tailed> {
        Box::pin(async move {
            loop {
                if let Some(record) = self.waiting.pop_front() {
                    self.handed_out += 1;
                    return Tailed::Record(record);
                }
                if let Err(told) = self.fill().await {
                    return Tailed::Ended(told);
                }
            }
        })
    }

    fn cursors(&self) -> Vec<String> {
        if self.waiting.is_empty() {
            return vec![self.next_cursor.clone()];
        }
        vec![format!("{}{SKIP_MARK}{}", self.page_cursor, self.handed_out)]
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
            let text = start.text();
            let (text, skip) = match text.split_once(SKIP_MARK) {
                Some((cursor, skip)) => (cursor, skip.parse().unwrap_or(0)),
                None => (&*text, 0),
            };
            // Proves the credential and the start at once, and turns `latest` into a cursor.
            let first = self.page(secret, topic, text, "&limit=1").await?;
            let is_latest = start == Start::Latest;
            Ok(Box::new(PollTail {
                face: self.clone(),
                secret: secret.to_owned(),
                topic: topic.to_owned(),
                key,
                waiting: VecDeque::new(),
                page_cursor: String::new(),
                next_cursor: if is_latest { first.next_cursor } else { text.to_owned() },
                handed_out: 0,
                skip,
            }) as Box<dyn Tail>)
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
            self.page(secret, topic, &start.text(), &format!("&limit={limit}")).await
        })
    }

    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        let bytes = bytes.get(..bytes.len().min(2_000)).unwrap_or_default();
        let path = format!("/v1/topics/orders/records?from={}", encoded(bytes));
        Box::pin(aftermath(self.http.get(&path, secret)))
    }
}
