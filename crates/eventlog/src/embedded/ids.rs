//! Which record ids were seen, within their topics' windows: the newest in memory, older ones in
//! sorted files. Ids are known by a keyed hash only. It must not know how a record enters its
//! partition.

pub mod entry;
pub mod filter;
pub mod heap;
pub mod run;
pub mod slots;
pub mod table;

use self::entry::{Entry, IdHash, Place};
use self::heap::ID_BYTES;
use self::run::{RUN_IDS_MAX, Run};
use self::table::{Claims, Table};
use super::snapshot::HASH_KEY_BYTES;
use crate::LogError;
use metrics::{Counter, Gauge};
use parking_lot::{Mutex, MutexGuard, RwLock};
use port::metric;
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hasher;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use stdx::Disk;
use types::{TimestampMs, TopicId};

/// Tables, so that publishers of different topics rarely wait for each other.
const TABLES: usize = 16;

pub struct Ids {
    tables: [Shelf; TABLES],
    runs: RwLock<Arc<[Arc<Run>]>>,
    hash_key: [u8; HASH_KEY_BYTES],
    /// About how many the tables hold; counted anew with each run.
    in_memory: AtomicIsize,
    /// So many in memory ask for a run to be written; twice as many are refused.
    in_memory_max: usize,
    memory_bytes_max: usize,
    /// A file could not be read: what it held must be found again at the next start.
    is_damaged: AtomicBool,
    gauges: Gauges,
}

#[derive(Default)]
struct Shelf {
    table: Mutex<Table>,
    /// Numbers of appends that are stored, of which the table still has to be told.
    stored: Mutex<Vec<u64>>,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock();
        let stored = std::mem::take(&mut *self.stored.lock());
        stored.into_iter().for_each(|number| table.forget(number));
        table
    }
}

struct Gauges {
    held: Gauge,
    bytes: Gauge,
    forgotten: Counter,
    duplicates: Counter,
}

impl Ids {
    pub fn new(hash_key: [u8; HASH_KEY_BYTES], memory_bytes_max: usize) -> Ids {
        // Half of it for twice as many as ask for a run.
        let in_memory_max = (memory_bytes_max / 2 / ID_BYTES / 2).clamp(4, RUN_IDS_MAX / 4);
        Ids {
            tables: Default::default(),
            runs: RwLock::new(Arc::default()),
            hash_key,
            in_memory: AtomicIsize::new(0),
            in_memory_max,
            memory_bytes_max,
            is_damaged: AtomicBool::new(false),
            gauges: Gauges {
                held: metrics::gauge!(metric::LOG_IDS),
                bytes: metrics::gauge!(metric::LOG_IDS_BYTES),
                forgotten: metrics::counter!(metric::LOG_IDS_FORGOTTEN),
                duplicates: metrics::counter!(metric::DUPLICATES),
            },
        }
    }

    pub fn hash_key(&self) -> [u8; HASH_KEY_BYTES] {
        self.hash_key
    }

    pub fn hash(&self, topic: TopicId, id: &[u8]) -> IdHash {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        hasher.write(&topic.0.to_le_bytes());
        hasher.write(id);
        hasher.finish128().as_u128()
    }

    /// The number of the table of the topic's newest ids.
    pub fn table_of(topic: TopicId) -> usize {
        (topic.0 % TABLES as u64) as usize
    }

    fn shelf(&self, topic: TopicId) -> &Shelf {
        // The number is a remainder of their count.
        &self.tables[Ids::table_of(topic)]
    }

    fn table(&self, topic: TopicId) -> MutexGuard<'_, Table> {
        self.shelf(topic).lock()
    }

    /// The tables of these topics, each with its number, all locked.
    pub fn tables(
        &self,
        topics: impl Iterator<Item = TopicId>,
    ) -> SmallVec<[(usize, MutexGuard<'_, Table>); 1]> {
        let mut numbers: SmallVec<[usize; 4]> = topics.map(Ids::table_of).collect();
        // Always in the same order, so that no two wait for each other.
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| (number, self.tables[number].lock())).collect()
    }

    /// Whether so many more may enter the tables.
    pub fn may_claim(&self, count: usize) -> bool {
        let held = self.held();
        held == 0 || held + count <= 2 * self.in_memory_max
    }

    /// The table is the topic's.
    pub fn claim(&self, table: &mut Table, claims: &Arc<Claims>) {
        self.in_memory.fetch_add(claims.count() as isize, Ordering::Relaxed);
        table.claim(claims);
    }

    /// An append that claimed ids is stored. Called by the writer, which waits for no publisher.
    pub fn stored(&self, claims: &Claims) {
        let (number, waiting) = claims.store();
        if let Some(number) = number {
            self.shelf(claims.topic).stored.lock().push(number);
        }
        for tell in waiting {
            let _ = tell.send(Ok(()));
        }
    }

    /// An append that claimed ids is not stored, and never will be.
    pub fn refused(&self, claims: &Claims, why: &LogError) {
        let waiting = self.table(claims.topic).refuse(claims);
        self.in_memory.fetch_sub(claims.count() as isize, Ordering::Relaxed);
        for tell in waiting {
            let _ = tell.send(Err(why.clone()));
        }
    }

    /// An id found while the log is opened.
    pub fn restore(&self, topic: TopicId, entry: &Entry) {
        self.in_memory.fetch_add(1, Ordering::Relaxed);
        self.table(topic).add(entry);
    }

    fn held(&self) -> usize {
        usize::try_from(self.in_memory.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub fn wants_run(&self) -> bool {
        self.held() >= self.in_memory_max
    }

    pub fn runs(&self) -> Arc<[Arc<Run>]> {
        Arc::clone(&self.runs.read())
    }

    pub fn set_runs(&self, runs: Vec<Arc<Run>>) {
        *self.runs.write() = runs.into();
    }

    /// Looks into the files that may hold the id, newest first. Blocks.
    ///
    /// # Errors
    /// The device did not answer: nobody knows whether the id was seen.
    pub fn look_up(&self, hash: IdHash) -> io::Result<Option<Place>> {
        let runs = self.runs();
        for run in runs.iter().rev().filter(|run| run.may_hold(hash)) {
            match run.find(hash) {
                Ok(Some(place)) => return Ok(Some(place)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.report(run, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A file that cannot be read is not asked again; the next start makes it anew from the log.
    fn report(&self, bad: &Run, error: &io::Error) {
        tracing::error!(%error, run = bad.number, ids = bad.count,
            "record ids cannot be read: their duplicates are taken until the next start");
        self.gauges.forgotten.increment(bad.count as u64);
        self.is_damaged.store(true, Ordering::Release);
        let mut runs = self.runs.write();
        *runs = runs.iter().filter(|run| run.number != bad.number).cloned().collect();
    }

    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Acquire)
    }

    pub fn count_duplicates(&self, count: usize) {
        self.gauges.duplicates.increment(count as u64);
    }

    /// All that is stored leaves the tables for a run; `claimed` is told of each offset whose id
    /// stays because its record is not stored yet. Ended by `end_leaving`, or begun again.
    pub fn begin_leaving(
        &self,
        mut claimed: impl FnMut(TopicId, types::Partition, types::Offset),
    ) -> Vec<Entry> {
        let mut leaving = Vec::new();
        for table in &self.tables {
            let mut table = table.lock();
            leaving.extend(table.begin_leaving());
            for (topic, partition, offset) in table.claimed_offsets() {
                claimed(topic, partition, offset);
            }
        }
        leaving
    }

    /// What left has arrived.
    pub fn end_leaving(&self) {
        let mut left = 0;
        for table in &self.tables {
            let mut table = table.lock();
            table.end_leaving();
            left += table.len() as isize;
        }
        self.in_memory.store(left, Ordering::Relaxed);
    }

    /// Ids held and the bytes they take in memory.
    pub fn measure(&self) -> (usize, usize) {
        let runs = self.runs();
        let (mut ids, mut bytes) = (0, 0);
        for run in runs.iter() {
            ids += run.count;
            bytes += run.memory_bytes();
        }
        for table in &self.tables {
            let table = table.lock();
            ids += table.len();
            bytes += table.memory_bytes();
        }
        self.gauges.held.set(ids as f64);
        self.gauges.bytes.set(bytes as f64);
        (ids, bytes)
    }

    /// The runs to keep with the new ids in them: the newest run is made anew while it is small,
    /// runs whose window is over go, and the oldest go when there is no room. Nothing is removed
    /// from the directory yet. Blocks.
    pub fn plan_runs(
        &self,
        (disk, dir): (&dyn Disk, &Path),
        next_number: u64,
        mut fresh: Vec<Entry>,
        expired_before: TimestampMs,
    ) -> io::Result<Vec<Arc<Run>>> {
        let mut runs = self.runs().to_vec();
        runs.retain(|run| run.newest >= expired_before);
        fresh.retain(|entry| entry.place.time >= expired_before);
        if !fresh.is_empty() {
            if let Some(small) = runs.pop_if(|run| run.count + fresh.len() <= RUN_IDS_MAX / 2) {
                match small.entries() {
                    Ok(mut older) => {
                        older.retain(|entry| entry.place.time >= expired_before);
                        fresh.extend(older);
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        self.report(&small, &error);
                    }
                    Err(error) => return Err(error),
                }
            }
            // Several sorted parts, which this sort finds and merges.
            // Newer places come first and win; an id may come twice only after its window.
            fresh.sort_by_key(|entry| (entry.hash, std::cmp::Reverse(entry.place.time)));
            fresh.dedup_by_key(|entry| entry.hash);
            for (number, entries) in (next_number..).zip(fresh.chunks(RUN_IDS_MAX)) {
                runs.push(Arc::new(Run::write(disk, dir, number, entries)?));
            }
        }
        let runs_bytes_max = self.memory_bytes_max / 2;
        while runs.iter().map(|run| run.memory_bytes()).sum::<usize>() > runs_bytes_max
            && runs.len() > 1
        {
            let oldest = runs.remove(0);
            self.gauges.forgotten.increment(oldest.count as u64);
            tracing::warn!(
                ids = oldest.count,
                oldest = oldest.oldest,
                newest = oldest.newest,
                memory_bytes_max = self.memory_bytes_max,
                "record ids are forgotten before their window is over, for want of memory"
            );
        }
        Ok(runs)
    }
}
