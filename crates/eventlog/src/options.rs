//! The embedded engine's sizes, each with a default that suits a small machine. It must not read
//! any configuration itself.

use std::path::PathBuf;
use std::time::Duration;

/// How often retention is enforced by default.
pub const MAINTAIN_INTERVAL: Duration = Duration::from_secs(5);

/// How what is not needed any more leaves the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectOptions {
    /// Looks for extents worth rewriting this often, on a thread of its own; `None` leaves it to
    /// the owner.
    pub interval: Option<Duration>,
    /// Bytes read and written by it, together.
    pub bytes_per_second: u64,
    /// An extent is rewritten when at least this part of its file is of no use.
    pub dead_percent_min: u64,
    /// Whether cold extents of small, mixed batches are laid in order.
    pub clusters: bool,
    /// How old an extent is before that.
    pub cold_ms: i64,
}

impl Default for CollectOptions {
    fn default() -> CollectOptions {
        CollectOptions {
            interval: Some(Duration::from_secs(10)),
            bytes_per_second: 32 << 20,
            dead_percent_min: 40,
            clusters: true,
            cold_ms: 600_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The log's own directory; created when missing.
    pub dir: PathBuf,
    /// The store below. Its directory is inside `dir`.
    pub store: storage::Options,
    /// Memory for recent batches of all partitions together.
    pub tail_bytes_max: usize,
    /// Appends waiting for the device, all partitions together; beyond it they answer `Busy`.
    pub pending_bytes_max: usize,
    /// Stored records that wait in memory for a transaction to be decided, all together; beyond it
    /// appends behind one answer `Busy`.
    pub held_bytes_max: usize,
    /// Memory for record ids: half for the newest, half for the filters of those in files. When it
    /// is used up the oldest are forgotten before their window is over.
    pub ids_memory_bytes_max: usize,
    /// Bytes stored before what only memory knows is written down: a start after a crash reads
    /// about so much.
    pub snapshot_bytes_max: u64,
    /// A producer that sends nothing for so long is forgotten.
    pub producer_idle_ms_max: u64,
    /// Memory for the key listings of all topics together.
    pub key_directory_bytes_max: usize,
    /// Reads from the device at the same time; further ones wait.
    pub disk_reads_max: usize,
    /// Searches by key and listings of keys that read the device at the same time, beside the
    /// other reads; further ones wait.
    pub disk_scans_max: usize,
    pub collect: CollectOptions,
    /// Runs `EmbeddedLog::maintain` on a thread of its own this often; `None` leaves it to the
    /// owner.
    pub maintain_interval: Option<Duration>,
}

impl Options {
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        let dir = dir.into();
        Options {
            store: storage::Options::new(dir.join("extents")),
            dir,
            tail_bytes_max: 32 << 20,
            pending_bytes_max: 64 << 20,
            held_bytes_max: 64 << 20,
            ids_memory_bytes_max: 64 << 20,
            snapshot_bytes_max: 64 << 20,
            producer_idle_ms_max: 24 * 3_600_000,
            key_directory_bytes_max: 32 << 20,
            disk_reads_max: 16,
            disk_scans_max: 4,
            collect: CollectOptions::default(),
            maintain_interval: Some(MAINTAIN_INTERVAL),
        }
    }
}
