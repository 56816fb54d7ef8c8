//! Durable consumers that keep their configuration and hold no record: the admin API of webhooks
//! asks no more.

use parking_lot::Mutex;
use port::consumers::{
    ConsumerAddress, ConsumerInfo, DeadLetters, Fetch, Leased, ReplayTo, ResetTo, Settled,
    Settlement, Which,
};
use port::{Answer, Code, Consumers, Identity, Placed, Refusal};
use std::collections::HashMap;
use types::{ConsumerConfig, ConsumerName, Record, TopicName};

#[derive(Default)]
pub(super) struct RigConsumers(Mutex<HashMap<ConsumerAddress, ConsumerConfig>>);

fn info(at: &ConsumerAddress, config: ConsumerConfig) -> Result<ConsumerInfo, Refusal> {
    let dead = config.dead_letters(&at.topic, &at.name);
    let dead = dead.map_err(|bad| Refusal::new(Code::InvalidRequest, bad.to_string()))?;
    Ok(ConsumerInfo {
        at: at.clone(),
        config,
        dead_letter_topic: dead,
        created_at: 0,
        partitions: Vec::new(),
        lag: 0,
        pending: 0,
        retrying: 0,
        held: 0,
        dead_letters: 0,
        active_at: None,
    })
}

fn ready<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Answer<'a, T> {
    Box::pin(std::future::ready(answer))
}

fn not_here<'a, T: Send + 'a>() -> Answer<'a, T> {
    ready(Err(Refusal::new(Code::Unsupported, "these consumers hold no record")))
}

impl Consumers for RigConsumers {
    fn put<'a>(
        &'a self,
        _: &'a Identity,
        at: &'a ConsumerAddress,
        config: ConsumerConfig,
    ) -> Answer<'a, (ConsumerInfo, bool)> {
        let is_new = self.0.lock().insert(at.clone(), config.clone()).is_none();
        ready(info(at, config).map(|info| (info, is_new)))
    }

    fn get<'a>(&'a self, _: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ConsumerInfo> {
        let found = self.0.lock().get(at).cloned();
        let missing = || Refusal::new(Code::NotFound, "no such consumer");
        ready(found.ok_or_else(missing).and_then(|config| info(at, config)))
    }

    fn list<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a TopicName,
        _: Option<ConsumerName>,
        _: usize,
    ) -> Answer<'a, Vec<ConsumerInfo>> {
        not_here()
    }

    fn delete<'a>(&'a self, _: &'a Identity, at: &'a ConsumerAddress) -> Answer<'a, ()> {
        self.0.lock().remove(at);
        ready(Ok(()))
    }

    fn fetch<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Fetch,
    ) -> Answer<'a, Vec<Leased>> {
        not_here()
    }

    fn settle<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Vec<Settlement>,
    ) -> Answer<'a, Vec<Result<Settled, Refusal>>> {
        not_here()
    }

    fn settle_with<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Vec<String>,
        _: Vec<(TopicName, Vec<Record>)>,
    ) -> Answer<'a, Vec<Vec<Placed>>> {
        not_here()
    }

    fn commit<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Vec<String>,
    ) -> Answer<'a, ConsumerInfo> {
        not_here()
    }

    fn reset<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: ResetTo,
    ) -> Answer<'a, ConsumerInfo> {
        not_here()
    }

    fn dead_letters<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Option<String>,
        _: usize,
    ) -> Answer<'a, DeadLetters> {
        let next_cursor = String::new();
        ready(Ok(DeadLetters { letters: Vec::new(), next_cursor, is_end: true }))
    }

    fn replay<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a ConsumerAddress,
        _: Which,
        _: ReplayTo,
    ) -> Answer<'a, u64> {
        ready(Ok(0))
    }

    fn purge<'a>(&'a self, _: &'a Identity, _: &'a ConsumerAddress, _: Which) -> Answer<'a, u64> {
        ready(Ok(0))
    }
}
