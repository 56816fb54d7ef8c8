//! One simulated file: what is on the medium, what the cache shows, and which sectors of the cache
//! have not reached the medium. Pages that hold only zeros take no memory.

use super::SECTOR_BYTES;
use crate::rng::SeededRng;
use std::collections::{BTreeSet, HashMap};
use stdx::Rng;

const PAGE_BYTES: usize = 4096;

type Pages = HashMap<u64, Box<[u8; PAGE_BYTES]>>;

#[derive(Default, Clone)]
pub(super) struct Content {
    cache: Pages,
    medium: Pages,
    /// What the pages held before they were last written.
    former: Pages,
    /// Sectors, by number, whose cached bytes may be lost.
    dirty: BTreeSet<u64>,
    len: u64,
    len_medium: u64,
    allocated: u64,
    /// Flushes that failed: each handle opened before is told once.
    flushes_failed: u64,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn allocated(&self) -> u64 {
        self.allocated
    }

    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> usize {
        let count = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = count.min(buffer.len());
        read_pages(&self.cache, &mut buffer[..count], at);
        count
    }

    /// As a read that finds what was there before: what was never overwritten reads as zeros.
    pub(super) fn read_former(&self, buffer: &mut [u8], at: u64) -> usize {
        let count = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = count.min(buffer.len());
        read_pages(&self.former, &mut buffer[..count], at);
        count
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len() as u64;
        self.cached(bytes, at);
        self.dirty.extend(at / SECTOR_BYTES as u64..end.div_ceil(SECTOR_BYTES as u64));
    }

    fn cached(&mut self, bytes: &[u8], at: u64) {
        let end = at + bytes.len() as u64;
        for page in at / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64) {
            match self.cache.get(&page) {
                Some(held) => drop(self.former.insert(page, held.clone())),
                None => drop(self.former.remove(&page)),
            }
        }
        write_pages(&mut self.cache, bytes, at);
        self.len = self.len.max(end);
        self.allocated = self.allocated.max(end);
    }

    /// Durable on return, and the length with it.
    pub(super) fn write_through(&mut self, bytes: &[u8], at: u64) {
        self.cached(bytes, at);
        let end = at + bytes.len() as u64;
        write_pages(&mut self.medium, bytes, at);
        if !self.dirty.is_empty() {
            let sectors = at / SECTOR_BYTES as u64..end / SECTOR_BYTES as u64;
            self.dirty.retain(|sector| !sectors.contains(sector));
        }
        self.len_medium = self.len_medium.max(end);
    }

    pub(super) fn flush(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().for_each(|sector| self.settle(sector));
        self.len_medium = self.len;
    }

    /// What a failed flush leaves: cached, called clean, and not on the medium.
    pub(super) fn forget_pending(&mut self) {
        self.flushes_failed += 1;
        self.dirty.clear();
    }

    pub(super) fn flushes_failed(&self) -> u64 {
        self.flushes_failed
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            cut(&mut self.cache, len);
            self.dirty = self.dirty.iter().copied().filter(|s| s * 512 < len).collect();
            self.allocated = self.allocated.min(len);
        }
        self.len = len;
    }

    pub(super) fn allocate(&mut self, len: u64) {
        self.len = self.len.max(len);
        self.allocated = self.allocated.max(len);
    }

    pub(super) fn flip(&mut self, at: u64, mask: u8) -> bool {
        if at >= self.len {
            return false;
        }
        for pages in [&mut self.cache, &mut self.medium] {
            let mut byte = [0];
            read_pages(pages, &mut byte, at);
            write_pages(pages, &[byte[0] ^ mask], at);
        }
        true
    }

    /// Each dirty sector reaches the medium or does not; then the cache is gone.
    pub(super) fn crash(&mut self, rng: &SeededRng) {
        // Whole writes lost, whole writes kept and a mixture are all likely.
        let odds = rng.below(5);
        let dirty = std::mem::take(&mut self.dirty);
        for sector in dirty {
            if rng.below(4) < odds {
                self.settle(sector);
                let end = (sector + 1) * SECTOR_BYTES as u64;
                self.len_medium = self.len_medium.max(end.min(self.len));
            }
        }
        if self.len != self.len_medium && rng.below(2) == 0 {
            self.len_medium = self.len;
        }
        cut(&mut self.medium, self.len_medium);
        self.len = self.len_medium;
        self.allocated = self.allocated.min(self.len);
        self.cache = self.medium.clone();
        self.former.clear();
    }

    fn settle(&mut self, sector: u64) {
        let mut bytes = [0; SECTOR_BYTES];
        let at = sector * SECTOR_BYTES as u64;
        read_pages(&self.cache, &mut bytes, at);
        write_pages(&mut self.medium, &bytes, at);
    }
}

fn cut(pages: &mut Pages, len: u64) {
    pages.retain(|page, _| page * (PAGE_BYTES as u64) < len);
    if let Some(last) = pages.get_mut(&(len / PAGE_BYTES as u64)) {
        last[(len % PAGE_BYTES as u64) as usize..].fill(0);
    }
}

fn read_pages(pages: &Pages, mut buffer: &mut [u8], mut at: u64) {
    while !buffer.is_empty() {
        let inside = (at % PAGE_BYTES as u64) as usize;
        let (head, rest) = buffer.split_at_mut(buffer.len().min(PAGE_BYTES - inside));
        match pages.get(&(at / PAGE_BYTES as u64)) {
            Some(page) => head.copy_from_slice(&page[inside..inside + head.len()]),
            None => head.fill(0),
        }
        at += head.len() as u64;
        buffer = rest;
    }
}

fn write_pages(pages: &mut Pages, mut bytes: &[u8], mut at: u64) {
    while !bytes.is_empty() {
        let inside = (at % PAGE_BYTES as u64) as usize;
        let (head, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES - inside));
        let number = at / PAGE_BYTES as u64;
        let is_zero = head.iter().all(|&byte| byte == 0);
        if !is_zero || pages.contains_key(&number) {
            let page = pages.entry(number).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            page[inside..inside + head.len()].copy_from_slice(head);
        }
        at += head.len() as u64;
        bytes = rest;
    }
}
