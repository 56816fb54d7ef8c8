//! Every bit of a small log flipped, one at a time: before it is opened after a clean end, before
//! it is opened after a crash, and while it is open. What is read afterwards is right or said to be
//! damaged, for every record and key.

use crate::book::{self, Book, Place, Seen};
use crate::live::{now, poll, seen};
use crate::plan::{KEYS, Size};
use eventlog::{EmbeddedLog, Engine, LogError, Options, TopicSpec};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::World;
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{Key, Offset, ProjectId, TopicConfig, TopicId};

const NOW_MS: i64 = 1_795_219_200_000;
/// The unit in which the log writes; a block that was never written has nothing to lose.
const BLOCK_BYTES: usize = 4096;
const READ_BYTES: usize = 1 << 20;
const THREADS: usize = 2;
/// Wrong answers after which nobody needs more.
const WRONG_MAX: usize = 5;

/// Which bits are flipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Bit,
    /// One of so many.
    Nth(u64),
}

/// When the flip happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    AfterStop,
    AfterCrash,
    WhileOpen,
}

/// What came of all flips.
#[derive(Debug, Clone, Default)]
pub struct Bits {
    pub flips: u64,
    /// Nobody reads those bits, or there is a second copy: all answers were right.
    pub harmless: u64,
    /// Some answer said that it is damaged, all others were right.
    pub reported: u64,
    /// The log did not open and named the file.
    pub refused: u64,
    pub wrong: Vec<String>,
}

/// A log with some records in a sealed extent and some in one that is not.
struct Stage {
    disk: Arc<SimDisk>,
    topics: Vec<TopicSpec>,
    options: Options,
    book: Book,
    /// What is in each partition.
    content: BTreeMap<Place, BTreeMap<Offset, u64>>,
}

impl Stage {
    fn set(moment: Moment) -> Stage {
        let mut options = Options::new("/data");
        options.store.extent_bytes = 1 << 20;
        options.store.free_bytes_min = 0;
        options.store.footer_cache_bytes = 0;
        options.tail_bytes_max = 0;
        options.maintain_interval = None;
        let topics = vec![spec(1, 2), spec(2, 1)];
        let disk = SimDisk::shared(1);
        let (book, content) = (Book::default(), BTreeMap::new());
        let mut stage = Stage { disk, topics, options, book, content };
        stage.live(1..4);
        if moment == Moment::AfterCrash {
            let (log, _) = stage.live(4..6);
            stage.disk.crash();
            drop(log);
            stage.disk.restart();
        }
        stage
    }

    /// Opens the log, publishes a little and, after a clean end, leaves sealed what was there.
    fn live(&mut self, seeds: Range<u64>) -> (Arc<EmbeddedLog>, eventlog::Driver) {
        let is_first = seeds.start == 1;
        let (log, mut driver) = self.open(&self.disk.clone()).expect("a good disk opens");
        while driver.seal() || driver.shrink() {}
        for seed in seeds {
            for place in [(TopicId(1), 0), (TopicId(1), 1), (TopicId(2), 0)] {
                let (numbers, records) = self.book.make(place, seed, 2, Size::Small, NOW_MS);
                let mut answer = log.append(place.0, place.1, records);
                driver.commit();
                let appended = poll(&mut answer).expect("is answered").expect("is stored");
                let content = self.content.entry(place).or_default();
                content.extend((appended.base_offset..).zip(numbers));
            }
        }
        if !is_first {
            return (log, driver);
        }
        driver.stop();
        drop(log);
        // Opened and closed once more, what was open is sealed and cut to its content.
        let (log, mut driver) = self.open(&self.disk.clone()).expect("a good disk opens");
        while driver.seal() || driver.shrink() {}
        driver.stop();
        drop(log);
        self.open(&self.disk.fork(1)).expect("a good disk opens")
    }

    fn open(&self, disk: &Arc<SimDisk>) -> Result<(Arc<EmbeddedLog>, eventlog::Driver), LogError> {
        let world = World {
            disk: disk.clone(),
            clock: ManualClock::shared(NOW_MS),
            rng: SeededRng::shared(3),
            keys: None,
        };
        let topics = self.topics.clone();
        let (log, driver, _) = EmbeddedLog::open_driven(world, self.options.clone(), topics)?;
        Ok((log, driver))
    }

    /// Every bit of every block that was ever written.
    fn places(&self, every: Every) -> Vec<(PathBuf, u64, u8)> {
        let step = match every {
            Every::Bit => 1,
            Every::Nth(step) => step.max(1) as usize,
        };
        let mut bits = Vec::new();
        for (path, _) in self.disk.files() {
            let bytes = self.disk.bytes(&path).unwrap_or_default();
            for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
                if block.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let start = number * BLOCK_BYTES;
                let of_byte = |at| (0..8).map(move |bit| (at as u64, 1u8 << bit));
                let all = (start..start + block.len()).flat_map(of_byte);
                bits.extend(all.map(|(at, mask)| (path.clone(), at, mask)));
            }
        }
        bits.into_iter().step_by(step).collect()
    }

    fn flip(&self, moment: Moment, (path, at, mask): (&Path, u64, u8)) -> Flip {
        let disk = self.disk.fork(7);
        if moment != Moment::WhileOpen {
            disk.flip_bits(path, at, mask);
        }
        let (log, driver) = match self.open(&disk) {
            Ok(open) => open,
            Err(error) => {
                let is_clear = crate::run::names_a_file(&error);
                return if is_clear { Flip::Refused } else { Flip::Wrong(error.to_string()) };
            }
        };
        if moment == Moment::WhileOpen {
            disk.flip_bits(path, at, mask);
        }
        let mut has_report = false;
        for (place, content) in &self.content {
            match self.look(&log, *place, content) {
                Ok(is_reported) => has_report |= is_reported,
                Err(wrong) => return Flip::Wrong(format!("{place:?}: {wrong}")),
            }
        }
        disk.halt();
        drop((log, driver));
        if has_report { Flip::Reported } else { Flip::Harmless }
    }

    /// Whether damage was reported; an error when an answer is wrong.
    fn look(
        &self,
        log: &EmbeddedLog,
        place: Place,
        content: &BTreeMap<Offset, u64>,
    ) -> Result<bool, String> {
        let (found, damaged) = read_all(log, place)?;
        for it in &found {
            self.check(it, content)?;
        }
        let is_told = |offset: &Offset| damaged.iter().any(|range| range.contains(offset));
        let has = |offset: &Offset| found.iter().any(|it| it.offset == *offset);
        if let Some(lost) = content.keys().find(|offset| !has(offset) && !is_told(offset)) {
            return Err(format!("offset {lost} is missing without a word"));
        }
        let mut is_reported = !damaged.is_empty();
        for key in (0..KEYS).map(book::key) {
            match now(log.last_of_key(place.0, place.1, key.clone(), 2)) {
                Ok(newest) => self.check_key(&key, &newest, content)?,
                Err(LogError::Damaged { .. } | LogError::Failed(_)) => is_reported = true,
                Err(other) => return Err(other.to_string()),
            }
        }
        Ok(is_reported)
    }

    fn check(&self, it: &Seen, content: &BTreeMap<Offset, u64>) -> Result<(), String> {
        let wanted = content.get(&it.offset).and_then(|number| self.book.get(*number));
        let wanted = wanted.ok_or_else(|| format!("offset {} was never given", it.offset))?;
        let is_same = it.record.key == wanted.record.key
            && it.record.value == wanted.record.value
            && it.record.headers == wanted.record.headers
            && it.timestamp == wanted.record.timestamp.unwrap_or(NOW_MS);
        if is_same { Ok(()) } else { Err(format!("offset {} is another record", it.offset)) }
    }

    fn check_key(
        &self,
        key: &Key,
        found: &[eventlog::Found],
        content: &BTreeMap<Offset, u64>,
    ) -> Result<(), String> {
        let has_key = |number: &u64| {
            self.book.get(*number).is_some_and(|made| made.record.key.as_ref() == Some(key))
        };
        let newest = content.iter().rev().filter(|(_, number)| has_key(number));
        let mut wanted: Vec<Offset> = newest.map(|(offset, _)| *offset).take(2).collect();
        wanted.reverse();
        let found: Vec<Offset> = found.iter().map(|it| it.offset).collect();
        if found == wanted {
            return Ok(());
        }
        Err(format!("{key:?} is at {found:?} instead of {wanted:?}"))
    }
}

enum Flip {
    Harmless,
    Reported,
    Refused,
    Wrong(String),
}

/// All of a partition, and what is said to be damaged.
fn read_all(log: &EmbeddedLog, place: Place) -> Result<(Vec<Seen>, Vec<Range<Offset>>), String> {
    let bounds = log.bounds(place.0, place.1).map_err(|error| error.to_string())?;
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    let mut from = bounds.start;
    while from < bounds.end {
        match now(log.read(place.0, place.1, from, READ_BYTES)) {
            Ok(batches) => {
                let Some(last) = batches.last() else { break };
                from = last.next_offset();
                found.extend(batches.iter().flat_map(|batch| seen(batch)));
            }
            Err(LogError::Damaged { from: first, to }) => {
                damaged.push(first..to);
                from = to.max(from + 1);
            }
            Err(LogError::Failed(_)) => {
                damaged.push(from..bounds.end);
                break;
            }
            Err(other) => return Err(other.to_string()),
        }
    }
    Ok((found, damaged))
}

fn spec(number: u64, partitions: u32) -> TopicSpec {
    TopicSpec {
        id: TopicId(number),
        tenant: crate::world::tenant(number),
        project: ProjectId(uuid::Uuid::from_u128(u128::from(number))),
        config: TopicConfig { partitions, ..TopicConfig::default() },
    }
}

impl Bits {
    /// Flips them all.
    pub fn flip(every: Every) -> Bits {
        let mut all = Bits::default();
        for moment in [Moment::AfterStop, Moment::AfterCrash, Moment::WhileOpen] {
            let stage = Stage::set(moment);
            let places = stage.places(every);
            let next = AtomicUsize::new(0);
            let work = || {
                let mut bits = Bits::default();
                while let Some((path, at, mask)) = places.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let came = stage.flip(moment, (path, *at, *mask));
                    bits.count(came, || {
                        format!("{moment:?}, {} byte {at} bit {mask:#x}", path.display())
                    });
                    if bits.wrong.len() >= WRONG_MAX {
                        break;
                    }
                }
                bits
            };
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
                for thread in threads {
                    match thread.join() {
                        Ok(bits) => all.add(bits),
                        Err(_) => all.wrong.push(format!("{moment:?}: a flip made it panic")),
                    }
                }
            });
        }
        all
    }

    fn count(&mut self, came: Flip, place: impl Fn() -> String) {
        self.flips += 1;
        match came {
            Flip::Harmless => self.harmless += 1,
            Flip::Reported => self.reported += 1,
            Flip::Refused => self.refused += 1,
            Flip::Wrong(text) => self.wrong.push(format!("{}: {text}", place())),
        }
    }

    fn add(&mut self, other: Bits) {
        self.flips += other.flips;
        self.harmless += other.harmless;
        self.reported += other.reported;
        self.refused += other.refused;
        self.wrong.extend(other.wrong);
    }

    /// Prints what came of it.
    pub fn tell(&self) -> ExitCode {
        self.wrong.iter().for_each(|wrong| println!("{wrong}"));
        println!(
            "{} bits flipped: {} harmless, {} reported, {} kept the log from opening, {} wrong",
            self.flips,
            self.harmless,
            self.reported,
            self.refused,
            self.wrong.len()
        );
        if self.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
