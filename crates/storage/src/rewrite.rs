//! Extents that the collector writes in place of others: what still counts of them, in an order
//! of its own choosing.
//!
//! ```text
//! NNNN.new: commits, footer, trailer, header with lineage -> flush -> rename -> flush of names
//!                                                                    ^ from here on it counts,
//!                                                                      and what it replaces not
//! ```
//! Until the rename nobody sees the file, and a start removes it. Afterwards a start that finds
//! both frees what was replaced. The writer's own extent, its file and its turn are not touched.

use crate::device::{Blocks, WriteError, is_full};
use crate::extent::{Expiring, Extent, Knowledge, Origin, Phase};
use crate::inner::Inner;
use crate::layout::header::{Header, Use};
use crate::layout::lineage::{Lineage, REPLACED_MAX};
use crate::layout::{BLOCK_BYTES, round_up};
use crate::open::{OpenExtent, commit_bytes};
use crate::pool::Spare;
use crate::prepare::Preparation;
use crate::seal;
use crate::{Entry, ExtentRef, Frame, GROUP_BYTES_MAX, Span, Store, StoreError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Replaced extents whose files may still be there at one time. With more of them nothing is
/// rewritten.
const LEFTOVERS_MAX: usize = REPLACED_MAX / 2;
/// What one rewritten extent stands for at most.
pub const REWRITE_EXTENTS_MAX: usize = REPLACED_MAX - LEFTOVERS_MAX;
/// The part of the space kept free for appends that a rewrite leaves alone: the rest is its
/// reserve, since giving space back takes some first.
const RESERVE_SHARE: u64 = 4;

/// Extents that do not count and whose files are still there: being read, copied by a backup, or
/// not to be removed. Each further rewrite names them too, or a crash could bring them back.
#[derive(Default)]
pub struct Leftovers {
    /// Replaced, and not released yet.
    replaced: Vec<ExtentRef>,
    /// Released, but the file could not be given away.
    stuck: Vec<ExtentRef>,
}

impl Leftovers {
    fn all(&self) -> impl Iterator<Item = ExtentRef> + '_ {
        self.replaced.iter().chain(&self.stuck).copied()
    }

    /// An extent was released; its file is gone or not.
    pub fn released(&mut self, extent: ExtentRef, is_gone: bool) {
        self.replaced.retain(|it| *it != extent);
        self.stuck.retain(|it| *it != extent);
        if !is_gone {
            self.stuck.push(extent);
        }
    }

    #[cfg(test)]
    pub fn stuck(&self) -> usize {
        self.stuck.len()
    }
}

/// A sealed extent, as whoever decides what to rewrite wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedExtent {
    pub extent: ExtentRef,
    /// Its place in the order of age of what extents hold.
    pub order: u64,
    /// When the file began to hold what it does. Milliseconds since 1970.
    pub created: i64,
    pub is_rewritten: bool,
    /// Its footer is written and nothing of it is known to be damaged: it can be rewritten.
    pub is_whole: bool,
    /// Bytes of frames and what is around them.
    pub data_bytes: u64,
    /// Bytes of its footer.
    pub footer_bytes: u64,
    pub file_bytes: u64,
    pub streams: u64,
    pub frames: u64,
    pub expiring: Expiring,
}

/// An extent in the making. Dropping it without `commit` leaves everything as it was.
pub struct Rewrite {
    inner: Arc<Inner>,
    /// `None` once it is committed.
    open: Option<OpenExtent>,
    replaced: Vec<ExtentRef>,
    buffer: Blocks,
    entries: Vec<Entry>,
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrite").field("replaced", &self.replaced).finish_non_exhaustive()
    }
}

/// What now stands for the extents it replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    pub extent: ExtentRef,
    pub spans: Vec<Span>,
    pub file_bytes: u64,
}

impl Store {
    /// The extents that take no more, oldest content first.
    pub fn sealed(&self) -> Vec<SealedExtent> {
        let extents = self.inner.extents.read();
        let mut sealed: Vec<_> = extents.values().filter_map(|extent| describe(extent)).collect();
        sealed.sort_unstable_by_key(|found| (found.order, found.extent.generation));
        sealed
    }

    /// Begins an extent that is to stand for these, which are sealed and at most
    /// `REWRITE_EXTENTS_MAX`; it takes at most `bytes_max` with everything. `Full` when the file
    /// system has no room for that, `InUse` when too many files of before could not be removed.
    pub fn rewrite(&self, replaced: Vec<ExtentRef>, bytes_max: u64) -> Result<Rewrite, StoreError> {
        self.remove_leftovers();
        let inner = &self.inner;
        let order = self.order_of(&replaced)?;
        let len = round_up(bytes_max).max(2 * BLOCK_BYTES as u64);
        check_space(inner, len)?;
        let id = inner.pool.next_id();
        let opened = inner.device.open_writing(&inner.device.path_unfinished(id));
        let file = opened.map_err(StoreError::io("making a file to rewrite into"))?;
        let seal = inner.pool.next_seal();
        let created = inner.world.clock.now_ms();
        let origin = Origin { order, created, is_rewritten: true };
        let live = Knowledge::Live { index: Default::default(), phase: Phase::Open };
        let extent = Arc::new(Extent::new(id, seal, len, origin, live));
        let preparation = Arc::new(Preparation::new(len, len));
        let spare = Spare { id, file, preparation, len };
        // Its frames were written at many times before: no moment is a place in it.
        let open = OpenExtent::new(extent, spare, inner.vault.keys().cloned(), 0);
        let buffer = Blocks::new(GROUP_BYTES_MAX + BLOCK_BYTES);
        let rewrite = Rewrite {
            inner: inner.clone(),
            open: Some(open),
            replaced,
            buffer,
            entries: Vec::new(),
        };
        // From here on a failure removes the file again.
        rewrite.allocate(len)?;
        Ok(rewrite)
    }

    /// Where these lie in the order of age: each must be there, sealed and whole.
    fn order_of(&self, replaced: &[ExtentRef]) -> Result<u64, StoreError> {
        let mut order = 0;
        for wanted in replaced {
            let found = self.inner.current(wanted.id);
            let found = found.filter(|it| it.seal.generation == wanted.generation);
            let found = found.ok_or(StoreError::Recycled(wanted.id))?;
            let found = describe(&found).filter(|found| found.is_whole);
            let found = found.ok_or(StoreError::InUse(wanted.id))?;
            order = order.max(found.order);
        }
        match replaced.first() {
            Some(first) if replaced.len() > REWRITE_EXTENTS_MAX => Err(StoreError::InUse(first.id)),
            Some(_) => Ok(order),
            None => Err(StoreError::Format("nothing is to be rewritten".to_owned())),
        }
    }

    /// Tries again to remove the files that should be gone.
    fn remove_leftovers(&self) {
        let stuck = self.inner.leftovers.lock().stuck.clone();
        for left in stuck {
            match self.inner.device.remove(left.id) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(extent = %left.id, %error, "a file is left that should be gone");
                }
                _ => self.inner.leftovers.lock().released(left, true),
            }
        }
    }
}

fn describe(extent: &Extent) -> Option<SealedExtent> {
    let trailer = match &*extent.knowledge.read() {
        Knowledge::Sealed(trailer) => Some(*trailer),
        Knowledge::Live { phase: Phase::Open, .. } => return None,
        Knowledge::Live { .. } => None,
    };
    let shape = extent.shape.get().copied().unwrap_or_default();
    let data_end = trailer.map_or(0, |trailer| trailer.data_end);
    Some(SealedExtent {
        extent: extent.reference(),
        order: extent.origin.order,
        created: extent.origin.created,
        is_rewritten: extent.origin.is_rewritten,
        is_whole: trailer.is_some(),
        data_bytes: data_end.saturating_sub(BLOCK_BYTES as u64),
        footer_bytes: trailer.map_or(0, |trailer| trailer.footer_bytes),
        file_bytes: extent.len.load(Ordering::Relaxed),
        streams: shape.streams,
        frames: shape.frames,
        expiring: extent.expiring.get().copied().unwrap_or_default(),
    })
}

fn check_space(inner: &Inner, len: u64) -> Result<(), StoreError> {
    if inner.leftovers.lock().all().count() > LEFTOVERS_MAX {
        let text = "too many files that should be gone could not be removed";
        return Err(StoreError::Full(text.to_owned()));
    }
    let space = inner.device.space().map_err(StoreError::io("asking for free space"))?;
    let needed = len.saturating_add(inner.options.free_bytes_min / RESERVE_SHARE);
    if space.free_bytes < needed {
        let free_bytes = space.free_bytes;
        let text = format!("{free_bytes} bytes free, {needed} needed to rewrite extents");
        return Err(StoreError::Full(text));
    }
    Ok(())
}

impl Rewrite {
    fn allocate(&self, len: u64) -> Result<(), StoreError> {
        let Some(open) = &self.open else { return Ok(()) };
        open.file.allocate(len).map_err(refused("making room to rewrite extents"))
    }

    pub fn extent(&self) -> Option<ExtentRef> {
        self.open.as_ref().map(|open| open.extent.reference())
    }

    /// Writes the frames as one commit and answers where they lie. Frames of a stream come in
    /// rising order, and neighbours lie together, so a caller brings one stream after the other.
    /// `TooLarge` when they do not fit any more.
    pub fn append(&mut self, frames: &[Frame]) -> Result<&[Entry], StoreError> {
        self.entries.clear();
        let Rewrite { inner, open: Some(open), buffer, entries, .. } = self else {
            return Ok(&[]);
        };
        if frames.is_empty() {
            return Ok(&[]);
        }
        if !open.fits(frames) {
            let (bytes, bytes_max) = (commit_bytes(frames), open.len - open.position);
            return Err(StoreError::TooLarge { bytes, bytes_max });
        }
        let size = open.plan(frames)?;
        let mut large = None;
        let buffer = if size.padded > buffer.len() as u64 {
            large.insert(Blocks::new(size.padded as usize))
        } else {
            buffer
        };
        let bytes = buffer.first_mut(size.padded as usize);
        let encoded = open.encode(frames, size, 0, bytes, entries);
        let written = encoded.and_then(|()| {
            let written = inner.device.write(&*open.file, bytes, open.position);
            written.map_err(WriteError::into_io).map_err(refused("rewriting extents"))
        });
        written.inspect_err(|_| open.refuse())?;
        open.advance(frames, entries, size);
        Ok(entries)
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.position)
    }

    /// From its return on the new extent counts and those it replaces do not, also after a crash.
    /// They stay readable until they are released. After an error they count as before.
    pub fn commit(mut self, expiring: Expiring) -> Result<Rewritten, StoreError> {
        let Some(open) = self.open.take() else {
            return Err(StoreError::Format("a rewrite is committed once".to_owned()));
        };
        let (extent, file) = (open.extent.clone(), open.file.clone());
        let outcome = self.finish(open, expiring);
        let spans = match outcome {
            Ok(spans) => spans,
            Err(error) => {
                drop(self.inner.device.remove_unfinished(extent.id));
                return Err(error);
            }
        };
        drop(file);
        if let Err(error) = self.inner.device.rename_finished(extent.id) {
            // Nobody knows which name a crash would find: whatever is rewritten next says that
            // this one does not count.
            self.inner.leftovers.lock().released(extent.reference(), false);
            drop(self.inner.device.remove(extent.id));
            return Err(StoreError::io("naming a rewritten extent")(error));
        }
        self.inner.leftovers.lock().replaced.extend_from_slice(&self.replaced);
        self.inner.extents.write().insert(extent.id, extent.clone());
        let file_bytes = extent.len.load(Ordering::Relaxed);
        Ok(Rewritten { extent: extent.reference(), spans, file_bytes })
    }

    /// Everything but the name, durably.
    fn finish(&self, open: OpenExtent, expiring: Expiring) -> Result<Vec<Span>, StoreError> {
        let (extent, file, data_end) = (open.extent.clone(), open.file.clone(), open.data_end);
        let footer = match &*extent.knowledge.read() {
            Knowledge::Live { index, .. } => index.size().bytes(),
            Knowledge::Sealed(_) => 0,
        };
        let len = round_up(data_end) + footer;
        file.set_len(len).map_err(StoreError::io("cutting a rewritten extent"))?;
        extent.len.store(len, Ordering::Relaxed);
        let spans = seal::seal(&self.inner.device, &open.into_job());
        if !matches!(&*extent.knowledge.read(), Knowledge::Sealed(_)) {
            let text = "the footer of a rewritten extent could not be written";
            return Err(StoreError::Format(text.to_owned()));
        }
        // Set once: this is the only place, and it comes here once.
        let _ = extent.expiring.set(expiring);
        let mut replaced = self.replaced.clone();
        replaced.extend(self.inner.leftovers.lock().all());
        if replaced.len() > REPLACED_MAX {
            let text = "too many replaced extents are still there";
            return Err(StoreError::Full(text.to_owned()));
        }
        let lineage = Lineage {
            generation: extent.seal.generation,
            order: extent.origin.order,
            data_end,
            expires_at: expiring.at,
            expiring_bytes: expiring.bytes,
            replaced,
        };
        let header = Header {
            id: extent.id.0,
            use_now: Use::Rewritten,
            seal: extent.seal,
            prepared_bytes: len,
            created: extent.origin.created,
        };
        let mut block = [0; BLOCK_BYTES];
        header.encode(&mut block);
        lineage.encode(&mut block);
        let written = self.inner.device.write_padded(&*file, &block, 0);
        written.map_err(refused("writing the header of a rewritten extent"))?;
        file.flush().map_err(StoreError::io("flushing a rewritten extent"))?;
        Ok(spans)
    }
}

impl Drop for Rewrite {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            // What stays is removed at the next start.
            drop(self.inner.device.remove_unfinished(open.extent.id));
        }
    }
}

fn refused(operation: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| match is_full(&error) {
        true => StoreError::Full(error.to_string()),
        false => StoreError::io(operation)(error),
    }
}
