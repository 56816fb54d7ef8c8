//! Rulings remembered: a fixed number of places, each with the newest ruling that fell into it.
//! Reading and writing take no lock; what is found is compared whole, so a hash that is met twice
//! costs time and never gives somebody else's answer.

use super::Ruling;
use arc_swap::ArcSwapOption;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};
use types::{Operation, TopicName};

/// A power of two.
const PLACES: usize = 4_096;
/// Rulings about longer keys are not remembered.
const KEY_BYTES_MAX: usize = 256;

/// A question, as it is remembered by.
pub struct Asked<'a> {
    pub subject: &'a str,
    pub operation: Operation,
    pub topic: &'a TopicName,
    pub key: Option<&'a [u8]>,
}

#[derive(Debug)]
struct Remembered {
    hash: u64,
    subject: Box<str>,
    operation: Operation,
    topic: TopicName,
    key: Option<Box<[u8]>>,
    ruling: Ruling,
}

#[derive(Debug, Default)]
pub struct Cache {
    hasher: RandomState,
    /// Made when the first ruling is remembered.
    places: OnceLock<Box<[ArcSwapOption<Remembered>]>>,
}

impl Cache {
    pub fn hash(&self, asked: &Asked<'_>) -> u64 {
        let Asked { subject, operation, topic, key } = asked;
        self.hasher.hash_one((subject, operation, topic.as_str(), key))
    }

    fn place(&self, hash: u64) -> Option<&ArcSwapOption<Remembered>> {
        self.places.get()?.get(hash as usize % PLACES)
    }

    pub fn get(&self, hash: u64, asked: &Asked<'_>) -> Option<Ruling> {
        let found = self.place(hash)?.load();
        let found = found.as_ref()?;
        let is_it = found.hash == hash
            && found.operation == asked.operation
            && found.topic == *asked.topic
            && found.key.as_deref() == asked.key
            && *found.subject == *asked.subject;
        is_it.then_some(found.ruling)
    }

    pub fn put(&self, hash: u64, asked: &Asked<'_>, ruling: Ruling) {
        if asked.key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return;
        }
        self.places.get_or_init(|| (0..PLACES).map(|_| ArcSwapOption::empty()).collect());
        if let Some(place) = self.place(hash) {
            place.store(Some(Arc::new(Remembered {
                hash,
                subject: asked.subject.into(),
                operation: asked.operation,
                topic: asked.topic.clone(),
                key: asked.key.map(Into::into),
                ruling,
            })));
        }
    }
}
