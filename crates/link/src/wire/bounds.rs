//! What one frame and one queue between the processes hold at most.

/// Bytes of one frame: the largest batch, the largest answer of a read, a request's body.
pub const FRAME_BYTES_MAX: usize = 48 * 1024 * 1024;
const _: () = assert!(FRAME_BYTES_MAX > types::batch::BATCH_BYTES_MAX + 1024 * 1024);

/// Bytes of a request passed on whole to the owner, and of its answer. Routes of protocols are
/// answered where they come in and may be larger.
pub const HTTP_BYTES_MAX: usize = 16 * 1024 * 1024;
const _: () = assert!(HTTP_BYTES_MAX < FRAME_BYTES_MAX);

/// Calls of one process that wait for an answer: more than it can have connections, each of which
/// may wait for records.
pub const CALLS_MAX: usize = 65_536;

/// Bytes that wait to be written until calls wait in turn.
pub const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of records that wait to be written until the hub's line to the process fills up instead:
/// what it cannot hold is read from the log.
pub const NEWS_BYTES_HIGH: usize = 1024 * 1024;

/// Reads from the log for lagging subscriptions at the same time.
pub const READS_MAX: usize = 32;

/// Capacity set aside for a list before its items have come.
pub const LIST_AHEAD_MAX: usize = 1_024;
