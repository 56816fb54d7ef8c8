//! What one commit gathers, and the source it gathers from. Knows sizes only, nothing of bytes on
//! disk.

use crate::layout::{commit, frame};
use crate::{Entry, Frame, StoreError};

/// A group is closed when it would pass this many bytes, headers included.
pub const GROUP_BYTES_MAX: usize = 512 << 10;
/// A frame of at least this many bytes is a commit of its own: its transfer takes longer than the
/// flush, so that nobody gains by waiting with it.
pub const LONE_FRAME_BYTES_MIN: usize = 256 << 10;

/// The frames of the next commit, in the order in which they will lie on disk.
#[derive(Debug, Default)]
pub struct Group {
    frames: Vec<Frame>,
    bytes: usize,
    /// What sealing adds to each frame.
    tag_bytes: usize,
}

impl Group {
    pub(crate) fn new(tag_bytes: usize) -> Group {
        Group { tag_bytes, ..Group::default() }
    }

    pub(crate) fn tag_bytes(&self) -> usize {
        self.tag_bytes
    }

    /// Takes the frame, or gives it back when the group is full: then it and all that follow wait
    /// for the next call of `gather`. An empty group takes any frame.
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        let bytes = frame::total_bytes(&frame).saturating_add(self.tag_bytes);
        let is_full = match self.frames.len() {
            0 => false,
            _ => {
                bytes >= LONE_FRAME_BYTES_MIN
                    || self.is_lone()
                    || commit::HEADER_BYTES + self.bytes + bytes > GROUP_BYTES_MAX
            }
        };
        if is_full {
            return Err(frame);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.frames.push(frame);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    fn is_lone(&self) -> bool {
        self.bytes >= LONE_FRAME_BYTES_MIN && self.frames.len() == 1
    }
}

/// Where the writer gets its work. Implemented by the event log; called on the writer thread only,
/// strictly in turn: gather, write and flush, settled, gather ...
pub trait Source: Send + Sync + 'static {
    /// Pushes what waits until `Group::push` gives a frame back or nothing waits. Pushing nothing
    /// lets the writer sleep until `Store::wake`. Must not block for long: everybody waits.
    fn gather(&self, group: &mut Group);
    /// The frames of the last `gather` are durable (`Ok`: their entries, in push order) or not.
    /// After `Full` nothing of them was written and later groups may succeed; after `TooLarge` the
    /// one frame of the group was refused; after `NoKey` nothing was written, the frames of the
    /// tenant named are refused, and the others are to be pushed again; after `Failed` every later
    /// group fails the same way.
    /// A panic in here or in `gather` ends the writer: `settled` is then called once more, with
    /// `Failed`, as its last call.
    fn settled(&self, outcome: Result<&[Entry], &StoreError>);
    /// What has come so far; `None` where nobody counts. The writer then never waits for more.
    fn arrivals(&self) -> Option<Arrivals> {
        None
    }
    /// `Store::hurry` is to be called when so many have come.
    fn tell_when(&self, _appends: u64) {}
}

/// Asked by the writer between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals {
    /// Since the beginning.
    pub appends: u64,
    /// Of those that wait now.
    pub bytes: usize,
}
