//! Values told as differences: each reader's value of a key is the base of its next one. A
//! difference is worked out once per record and base, whatever the number of readers.

use super::shape::Item;
use bytes::Bytes;
use port::delivery::{Delivery, Delta};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use types::{Offset, Record, TopicId};

/// Values shorter than this are sent whole, and longer ones than that too.
const VALUE_BYTES_MIN: usize = 32;
const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Keys one reader has a base of at most, and bytes of their values, though readers share them.
/// One more key, and all bases are given up: what follows is sent whole once.
const BASES_MAX: usize = 256;
const BASE_BYTES_MAX: usize = 1024 * 1024;
/// Bases one record is told against at most; a reader with yet another gets it whole.
const PATCHES_MAX: usize = 16;

/// A value readers have, apart from the batch it came in.
pub struct Base {
    offset: Offset,
    value: Bytes,
}

/// A record with the ways to tell it.
pub struct Version {
    source: Arc<Delivery>,
    base: OnceCell<Option<Rc<Base>>>,
    whole: OnceCell<Arc<Delivery>>,
    /// By the offset of the base; `None` where a difference is not worth it.
    patches: RefCell<Vec<(Offset, Option<Arc<Delivery>>)>>,
}

/// What one reader has, by topic and key.
#[derive(Default)]
pub struct Bases {
    of: HashMap<(TopicId, Bytes), Rc<Base>>,
    bytes: usize,
}

impl Version {
    pub fn new(source: Arc<Delivery>) -> Version {
        Version {
            source,
            base: OnceCell::new(),
            whole: OnceCell::new(),
            patches: RefCell::default(),
        }
    }

    /// Itself as the base of what comes after; `None` where differences are not worth it.
    fn base(&self) -> Option<Rc<Base>> {
        let make = || {
            let value = self.source.record.value.as_ref()?;
            let is_fit = (VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len());
            let base = Base { offset: self.source.offset, value: Bytes::copy_from_slice(value) };
            is_fit.then(|| Rc::new(base))
        };
        self.base.get_or_init(make).clone()
    }

    fn whole(&self) -> Arc<Delivery> {
        let make = || self.told(Delta::Whole, self.source.record.value.clone());
        Arc::clone(self.whole.get_or_init(make))
    }

    fn patch(&self, base: &Base) -> Option<Arc<Delivery>> {
        let value = self.source.record.value.as_ref()?;
        let mut patches = self.patches.borrow_mut();
        if let Some((_, known)) = patches.iter().find(|(offset, _)| *offset == base.offset) {
            return known.clone();
        }
        if patches.len() >= PATCHES_MAX || value.len() > VALUE_BYTES_MAX {
            return None;
        }
        let patch = stdx::patch::make(&base.value, value);
        let told = patch.map(|patch| self.told(Delta::From(base.offset), Some(patch.into())));
        patches.push((base.offset, told.clone()));
        told
    }

    fn told(&self, delta: Delta, value: Option<Bytes>) -> Arc<Delivery> {
        let Delivery { partition, offset, timestamp, .. } = *self.source;
        let record = Record { value, ..self.source.record.clone() };
        let origin = Arc::clone(&self.source.origin);
        let mut told = Delivery::new(origin, partition, offset, timestamp, record);
        told.delta = Some(delta);
        Arc::new(told)
    }
}

impl Bases {
    /// The record as this reader is told of it, who has its value from then on.
    pub fn tell(&mut self, item: &Item) -> Arc<Delivery> {
        let Some(key) = &item.delivery.record.key else {
            return Arc::clone(&item.delivery);
        };
        let at = (item.at().0, key.bytes().clone());
        let Some(version) = &item.version else {
            self.keep(at, None);
            return Arc::clone(&item.delivery);
        };
        let told = self.of.get(&at).and_then(|base| version.patch(base));
        self.keep(at, version.base());
        told.unwrap_or_else(|| version.whole())
    }

    fn keep(&mut self, at: (TopicId, Bytes), base: Option<Rc<Base>>) {
        let size = base.as_ref().map_or(0, |base| base.value.len());
        if let Some(held) = self.of.get_mut(&at) {
            self.bytes -= held.value.len();
            match base {
                Some(base) => *held = base,
                None => {
                    self.of.remove(&at);
                }
            }
        } else if let Some(base) = base {
            if self.of.len() >= BASES_MAX {
                *self = Bases::default();
            }
            // A key of its own: a slice would keep the batch it came in.
            self.of.insert((at.0, Bytes::copy_from_slice(&at.1)), base);
        }
        self.bytes += size;
        if self.bytes > BASE_BYTES_MAX {
            *self = Bases::default();
        }
    }
}
