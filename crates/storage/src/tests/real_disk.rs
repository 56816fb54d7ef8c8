//! The real disk and the real threads, in a directory of their own.

use super::*;
use std::sync::mpsc;
use stdx::disk::{File, Lock, Open, Space};
use stdx::{Disk, SystemClock, SystemDisk, SystemRng};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("storage-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a scratch directory can be made");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The machine's disk as if it could not write directly.
struct Buffered(SystemDisk);

impl Disk for Buffered {
    fn open(&self, path: &Path, how: Open) -> std::io::Result<Arc<dyn File>> {
        self.0.open(path, how)
    }
    fn list(&self, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.create_dir(dir)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.0.remove(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn flush_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.flush_dir(dir)
    }
    fn space(&self, dir: &Path) -> std::io::Result<Space> {
        self.0.space(dir)
    }
    fn direct_align(&self, _dir: &Path) -> Option<usize> {
        None
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }
}

/// Passes on what is settled; the test awaits it.
struct Channel {
    script: Script,
    settled: Mutex<mpsc::Sender<usize>>,
}

impl Source for Channel {
    fn gather(&self, group: &mut Group) {
        self.script.gather(group);
    }

    fn settled(&self, outcome: Result<&[Entry], &StoreError>) {
        let count = outcome.expect("the scratch disk works").len();
        self.script.settled(outcome);
        // The test may have given up waiting.
        let _ = self.settled.lock().send(count);
    }
}

fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Arc<Store>, Recovery), StoreError> {
    let world = World { disk, clock: SystemClock::shared(), rng: SystemRng::shared(), keys: None };
    let options =
        Options { extent_bytes: 4 << 20, pool_extents: 2, free_bytes_min: 0, ..Options::new(dir) };
    Store::open(world, options, &mut |_, _, _| {})
}

fn write_restart_read(name: &str, disk: &dyn Fn() -> Arc<dyn Disk>) {
    let scratch = Scratch::new(name);
    let total = 3_000;
    let (store, _) = open(&scratch.0, disk()).expect("opens");
    let (sender, receiver) = mpsc::channel();
    let script = Script::default();
    let source = Arc::new(Channel { script, settled: Mutex::new(sender) });
    let writer = store.start(source.clone());
    assert_eq!(open(&scratch.0, disk()).err(), Some(StoreError::Locked));
    for n in 0..total {
        source.script.push(frame(n % 5, n, 4_000));
        store.wake();
    }
    let mut settled = 0;
    while settled < total as usize {
        settled += receiver.recv_timeout(std::time::Duration::from_secs(60)).expect("settles");
    }
    let done = source.script.acknowledged();
    for (frame, entry) in done.iter().step_by(97) {
        assert_eq!(store.read(entry.location, frame.stream), Ok(frame.body.clone()));
    }
    writer.stop();
    assert!(store.stats().extents_sealed >= 2);
    assert!(!store.take_sealed().is_empty());
    drop((store, source));
    let (store, recovery) = open(&scratch.0, disk()).expect("opens");
    assert_eq!(recovery.spans.iter().map(|span| u64::from(span.frames)).sum::<u64>(), total);
    assert_eq!((recovery.tail_cut_bytes, recovery.damaged.len()), (0, 0));
    assert_eq!(recovery.scanned_extents, 1, "the one that was open");
    for (frame, entry) in &done {
        assert_eq!(store.read(entry.location, frame.stream), Ok(frame.body.clone()));
    }
}

#[test]
fn written_directly_where_the_disk_can() {
    write_restart_read("direct", &SystemDisk::shared);
}

#[test]
fn written_through_the_cache_elsewhere() {
    write_restart_read("buffered", &|| Arc::new(Buffered(SystemDisk)));
}

#[test]
fn a_writer_without_work_stops_at_once() {
    let scratch = Scratch::new("idle");
    let (store, recovery) = open(&scratch.0, SystemDisk::shared()).expect("opens");
    assert_eq!(recovery, Recovery::default());
    let writer = store.start(Arc::new(Script::default()));
    drop(writer);
}
