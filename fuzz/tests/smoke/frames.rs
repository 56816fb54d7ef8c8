//! The log's files under any change: opening must not panic, and what is still answered must be
//! what was written, byte for byte. A changed file may lose frames; it must never invent one.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use stdx::Disk;
use stdx::disk::Open;
use storage::{Entry, Frame, Group, Options, Source, Store, StoreError, StreamId, World};
use testkit::clock::ManualClock;
use testkit::disk::SimDisk;
use testkit::rng::SeededRng;
use types::{TenantId, TopicId};

const DIR: &str = "/log";
const EXTENT_BYTES: u32 = 1 << 20;
/// Enough to fill one extent, which is sealed, and to begin a second one, which is not.
const FRAMES: u64 = 160;
const ITERATIONS: usize = 300;

type Key = (StreamId, u64);

struct Written {
    files: Vec<(PathBuf, Vec<u8>)>,
    frames: BTreeMap<Key, Bytes>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Frame>>,
}

impl Source for Queue {
    fn gather(&self, group: &mut Group) {
        let mut waiting = self.waiting.lock();
        // Few frames per commit, so that there are many commits.
        for _ in 0..4 {
            let Some(frame) = waiting.pop_front() else { return };
            if let Err(frame) = group.push(frame) {
                waiting.push_front(frame);
                return;
            }
        }
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        outcome.expect("the simulated disk works");
    }
}

fn open(disk: &Arc<SimDisk>) -> Result<(Arc<Store>, storage::Recovery), StoreError> {
    let (clock, rng) = (ManualClock::shared(0), SeededRng::shared(1));
    let world = World { disk: disk.clone(), clock, rng, keys: None };
    let options = Options { extent_bytes: EXTENT_BYTES, free_bytes_min: 0, ..Options::new(DIR) };
    Store::open(world, options, &mut |_, _, _| {})
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let disk = SimDisk::shared(1);
        let (store, _) = open(&disk).expect("an empty directory opens");
        let queue = Arc::new(Queue::default());
        let mut frames = BTreeMap::new();
        for n in 0..FRAMES {
            let stream = StreamId { topic: TopicId(n % 3), partition: 1 };
            let body = Bytes::from(vec![n as u8; 8_000 + n as usize]);
            frames.insert((stream, n), body.clone());
            let keys = Box::new([n, n + 1]);
            let tenant = TenantId(Default::default());
            let (base_offset, count, max_timestamp) = (n, 1, 0);
            let frame = Frame { tenant, stream, base_offset, count, max_timestamp, keys, body };
            queue.waiting.lock().push_back(frame);
        }
        store.start(queue).stop();
        drop(store);
        let names = disk.list(Path::new(DIR)).expect("lists");
        let paths = names.into_iter().map(|name| Path::new(DIR).join(name));
        let extents = paths.filter(|path| path.extension().is_some_and(|end| end == "extent"));
        let files = extents.map(|path| (path.clone(), disk.bytes(&path).expect("is there")));
        Written { files: files.collect(), frames }
    })
}

/// Puts the files on a disk of their own, opens it and reads everything that is answered.
fn check(files: &[(PathBuf, Vec<u8>)]) {
    let disk = SimDisk::shared(2);
    for (path, bytes) in files {
        let file = disk.open(path, Open::Write).expect("opens");
        file.write_at(bytes, 0).expect("writes");
    }
    let (store, recovery) = match open(&disk) {
        Ok(opened) => opened,
        Err(error) => panic!("damage must not keep the log from opening: {error}"),
    };
    for span in &recovery.spans {
        let Ok(entries) = store.entries(span.extent, span.stream) else { continue };
        let _ = store.keys(span.extent, span.stream);
        for entry in entries.iter() {
            let Ok(body) = store.read(entry.location, span.stream) else { continue };
            let original = written().frames.get(&(span.stream, entry.base_offset));
            assert_eq!(Some(&body), original, "an invented frame");
        }
    }
}

#[test]
fn untouched_files_are_read_back_whole() {
    check(&written().files);
    assert!(written().files.len() >= 2);
}

#[test]
fn changed_bytes_never_invent_a_frame() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u8, u32, u8)>>().for_each(
        |edits: &Vec<(u8, u32, u8)>| {
            let mut files = written().files.clone();
            for &(file, at, mask) in edits {
                let index = usize::from(file) % files.len();
                let bytes = &mut files[index].1;
                let at = at as usize % bytes.len();
                bytes[at] ^= mask;
            }
            check(&files);
        },
    );
}

#[test]
fn changed_structures_never_invent_a_frame() {
    // Edits that fall on what steers the reader: the first 200 bytes of any block.
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u8, u8, u8, u8)>>().for_each(
        |edits: &Vec<(u8, u8, u8, u8)>| {
            let mut files = written().files.clone();
            for &(file, block, at, mask) in edits {
                let index = usize::from(file) % files.len();
                let bytes = &mut files[index].1;
                let at = (usize::from(block) * 4096 + usize::from(at) % 200) % bytes.len();
                bytes[at] ^= mask;
            }
            check(&files);
        },
    );
}

#[test]
fn any_bytes_as_an_extent_are_survived() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let mut files = written().files.clone();
        files.truncate(1);
        let whole = &mut files[0].1;
        // As the file itself, and as the data of an extent whose header is whole.
        let raw = (Path::new(DIR).join("00000009.extent"), bytes.to_vec());
        let end = (4096 + bytes.len()).min(whole.len());
        whole[4096..end].copy_from_slice(&bytes[..end - 4096]);
        files.push(raw);
        check(&files);
    });
}
