//! Records held back for a moment: the newest of each key, or all of them. What is held is bounded
//! in number, in bytes, and in what may be passed by meanwhile, and goes out early at each bound.

use super::shape::{Item, Timer};
use super::state::Lag;
use port::{Delivery, Shaping};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use types::record::Header;
use types::{Key, Partition, Record, TopicId};

/// Records held at most, and their bytes.
const RECORDS_MAX: usize = 1_024;
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes of records put in one window at most: a record that is held keeps the batch it came in.
const PUT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub struct Hold {
    window: Duration,
    held: Held,
    /// First offsets put since the last flush.
    first: Lag,
    bytes: usize,
    put_bytes: usize,
    /// A window is open: nothing is sent before its end, or a bound.
    timer: Option<Timer>,
    windows: u32,
}

enum Held {
    Newest(HashMap<(TopicId, Partition, Option<Key>), Item>),
    All(Vec<Item>),
}

impl Hold {
    /// `None` when nothing is to be held back.
    pub fn of(shaping: &Shaping) -> Option<Hold> {
        let (window, held) = match (shaping.conflate, shaping.batch) {
            (Some(window), _) => (window, Held::Newest(HashMap::new())),
            (None, Some(window)) if !window.is_zero() => (window, Held::All(Vec::new())),
            _ => return None,
        };
        Some(Hold {
            window,
            held,
            first: Lag::new(),
            bytes: 0,
            put_bytes: 0,
            timer: None,
            windows: 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub fn put(&mut self, mut item: Item) {
        let size = item.delivery.record.size();
        self.bytes += size;
        self.put_bytes += size;
        self.first.entry(item.at()).or_insert(item.delivery.offset);
        match &mut self.held {
            Held::All(items) => items.push(item),
            Held::Newest(newest) => {
                let (topic, partition) = item.at();
                let at = (topic, partition, item.delivery.record.key.clone());
                if let Some(before) = newest.remove(&at) {
                    item.left_out = before.left_out.saturating_add(1);
                    self.bytes -= before.delivery.record.size();
                }
                newest.insert(at, item);
            }
        }
    }

    fn count(&self) -> usize {
        match &self.held {
            Held::Newest(newest) => newest.len(),
            Held::All(items) => items.len(),
        }
    }

    /// Whether what is held must go out now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.timer.is_none_or(|timer| now >= timer.at)
            || self.count() >= RECORDS_MAX
            || self.bytes >= BYTES_MAX
            || self.put_bytes >= PUT_BYTES_MAX
    }

    /// What is held, in the order of each partition.
    pub fn take(&mut self) -> Vec<Item> {
        self.first = Lag::new();
        (self.bytes, self.put_bytes) = (0, 0);
        match &mut self.held {
            Held::All(items) => std::mem::take(items),
            Held::Newest(newest) => {
                let mut items: Vec<Item> = std::mem::take(newest).into_values().collect();
                items.sort_unstable_by_key(|item| (item.at(), item.delivery.offset));
                items
            }
        }
    }

    /// A window begins; the one before is over, whatever its timer thinks.
    pub fn open(&mut self, now: Instant) -> Timer {
        self.windows = self.windows.wrapping_add(1);
        let timer = Timer { at: now + self.window, number: self.windows };
        self.timer = Some(timer);
        timer
    }

    pub fn close(&mut self) {
        self.timer = None;
    }

    pub fn timer(&self) -> Option<Timer> {
        self.timer
    }

    /// Drops everything; answers the first offsets of it.
    pub fn let_go(&mut self) -> Lag {
        let first = std::mem::take(&mut self.first);
        self.take();
        self.timer = None;
        first
    }

    /// Makes what is held independent of the batches it came in, which are nobody else's.
    pub fn compact(&mut self) {
        let part = |item: &mut Item| {
            if !item.is_apart {
                item.delivery = copied(&item.delivery);
                item.is_apart = true;
            }
        };
        match &mut self.held {
            Held::All(items) => items.iter_mut().for_each(part),
            // The keys of the map are slices of the same batches.
            Held::Newest(newest) => {
                let items = std::mem::take(newest).into_values();
                let parted = items.map(|mut item| {
                    part(&mut item);
                    let (topic, partition) = item.at();
                    ((topic, partition, item.delivery.record.key.clone()), item)
                });
                *newest = parted.collect();
            }
        }
        self.put_bytes = self.bytes;
    }
}

fn copied(delivery: &Delivery) -> Arc<Delivery> {
    let copy = |bytes: &bytes::Bytes| bytes::Bytes::copy_from_slice(bytes);
    let record = &delivery.record;
    let key = record.key.as_ref().and_then(|key| Key::new(copy(key.bytes())).ok());
    let header = |header: &Header| Header { name: copy(&header.name), value: copy(&header.value) };
    let record = Record {
        key,
        value: record.value.as_ref().map(copy),
        headers: record.headers.iter().map(header).collect(),
        timestamp: record.timestamp,
    };
    let origin = Arc::clone(&delivery.origin);
    let Delivery { partition, offset, timestamp, .. } = *delivery;
    Arc::new(Delivery::new(origin, partition, offset, timestamp, record))
}
