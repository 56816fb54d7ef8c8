//! REST: `POST /v1/events`.

use super::http::{Http, aftermath, send_for_json};
use crate::conformance::{
    Abilities, Aftermath, Face, Page, Receipt, Sent, Soon, Start, Tail, Told, unable,
};
use std::sync::Arc;

pub struct RestFace {
    http: Http,
}

impl RestFace {
    /// `base_url` without the path: `http://127.0.0.1:8080`.
    pub fn new(base_url: &str) -> Arc<RestFace> {
        Arc::new(RestFace { http: Http::new(base_url) })
    }
}

impl Face for RestFace {
    fn name(&self) -> &'static str {
        "rest"
    }

    fn abilities(&self) -> Abilities {
        Abilities { publishes: true, ..Abilities::default() }
    }

    fn publish<'a>(
        &'a self,
        secret: &'a str,
        records: Vec<Sent>,
    ) -> Soon<'a, Result<Vec<Receipt>, Told>> {
        Box::pin(async move {
            let views: Vec<_> = records.iter().map(Sent::view).collect();
            let request = self.http.post("/v1/events", secret).json(&views);
            let answer = send_for_json(request).await?;
            let receipts = answer.as_array().into_iter().flatten().map(Receipt::from_view);
            receipts.collect::<Option<_>>().ok_or_else(|| Told::broken("no list of receipts"))
        })
    }

    fn follow<'a>(
        &'a self,
        _secret: &'a str,
        _filter: &'a str,
        _start: Start,
    ) -> Soon<'a, Result<Box<dyn Tail>, Told>> {
        unable("REST publishes only")
    }

    fn read<'a>(
        &'a self,
        _secret: &'a str,
        _topic: &'a str,
        _start: Start,
        _limit: usize,
    ) -> Soon<'a, Result<Page, Told>> {
        unable("REST publishes only")
    }

    fn hostile<'a>(&'a self, secret: &'a str, bytes: &'a [u8]) -> Soon<'a, Aftermath> {
        Box::pin(aftermath(self.http.post("/v1/events", secret).body(bytes.to_vec())))
    }
}
