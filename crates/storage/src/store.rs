//! The store's public face: opening, reading and releasing. Appending is the writer's alone.

use crate::device::{Device, LOCK_NAME};
use crate::extent::{Extent, Knowledge, Phase};
use crate::inner::Inner;
use crate::layout::trailer::Trailer;
use crate::pool::{Pool, Spare};
use crate::prepare::Preparation;
use crate::read::{self, Live};
use crate::unseal::LastKey;
use crate::writer::Writer;
use crate::{
    Entry, ExtentId, Location, Options, Pin, Recovery, Source, Span, Stats, StoreError, StreamId,
    World, recovery,
};
use bytes::Bytes;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use types::Offset;

/// One directory of extents, held by one process.
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.options.dir).finish_non_exhaustive()
    }
}

impl Store {
    /// Locks the directory (`Locked` when another process has it), recovers, and answers what is
    /// there. `each` sees every whole frame of extents that had no footer, oldest extent first, its
    /// body as it lies there: sealed, unless the log is a plain one. No key is asked for.
    pub fn open(
        world: World,
        options: Options,
        each: &mut dyn FnMut(&Entry, StreamId, &Bytes),
    ) -> Result<(Arc<Store>, Recovery), StoreError> {
        options.check()?;
        let dir = &options.dir;
        world.disk.create_dir(dir).map_err(StoreError::io("making the log's directory"))?;
        let lock = world.disk.lock(&dir.join(LOCK_NAME)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::Locked,
            _ => StoreError::io("locking the log's directory")(error),
        })?;
        world.disk.flush_dir(dir).map_err(StoreError::io("flushing the log's directory"))?;
        let device = Arc::new(Device::new(world.disk.clone(), dir));
        let pool = Pool::new(device.clone(), world.clone(), options.clone());
        let found = recovery::recover(&device, &pool, each)?;
        tracing::info!(
            extents = found.extents.len(),
            scanned = found.recovery.scanned_extents,
            tail_cut_bytes = found.recovery.tail_cut_bytes,
            damaged = found.recovery.damaged.len(),
            is_direct = device.is_direct(),
            "the log is open"
        );
        let inner = Arc::new(Inner::new(world, options, device, pool, lock));
        inner.extents.write().extend(found.extents.into_iter().map(|extent| (extent.id, extent)));
        let extents: Vec<_> = inner.extents.read().values().cloned().collect();
        extents.iter().for_each(|extent| inner.enqueue_shrink(extent));
        inner.shrink_backlog();
        found.jobs.into_iter().for_each(|job| inner.enqueue_seal(job));
        inner.set_gauges();
        Ok((Arc::new(Store { inner }), found.recovery))
    }

    /// Starts the writer and the background threads. Once per store: a second call panics, as does
    /// a machine that cannot start a thread.
    pub fn start(self: &Arc<Self>, source: Arc<dyn Source>) -> Writer {
        Writer::start(self.inner.clone(), source)
    }

    /// There is something to gather. Cheap, callable from anywhere.
    pub fn wake(&self) {
        self.inner.bell.ring();
    }

    /// As many have come as `Source::tell_when` was told.
    pub fn hurry(&self) {
        self.inner.bell.hurry();
    }

    /// The largest frame taken, with header (96 bytes), key hashes (8 bytes each) and, where frames
    /// are sealed, the tag (16 bytes).
    pub fn frame_bytes_max(&self) -> u64 {
        self.inner.frame_bytes_max()
    }

    /// The frame's plain body. Blocking. Verifies header, generation, stream, checksum and, of a
    /// sealed frame, the tag. `NoKey` when there is no key for it (any more).
    pub fn read(&self, location: Location, stream: StreamId) -> Result<Bytes, StoreError> {
        let extent = self.find(location)?;
        let read = || {
            let mut bytes = self.fetch(&extent, location.position, u64::from(location.len))?;
            let mut last = LastKey::default();
            let body = self.body(&extent, stream, location.position, &mut bytes, &mut last)?;
            Ok(Bytes::from(bytes).slice(body))
        };
        read().map_err(|error| self.explain(&extent, error))
    }

    /// The bodies of the entries, in their order, with one read for neighbours. Blocking. A bad
    /// frame ends the answer early and is an error only when it is the first.
    pub fn read_range(
        &self,
        entries: &[Entry],
        stream: StreamId,
    ) -> Result<Vec<Bytes>, StoreError> {
        let mut bodies = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while let Some((count, len)) = read::run(rest) {
            let (run, after) = rest.split_at(count);
            match self.read_run(run, len, stream, &mut bodies) {
                Ok(()) => rest = after,
                Err(error) if bodies.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(bodies)
    }

    fn read_run(
        &self,
        run: &[Entry],
        len: u64,
        stream: StreamId,
        bodies: &mut Vec<Bytes>,
    ) -> Result<(), StoreError> {
        let Some(first) = run.first() else { return Ok(()) };
        let extent = self.find(first.location)?;
        let start = first.location.position;
        let bytes = self.fetch(&extent, start, len);
        let mut bytes = bytes.map_err(|error| self.explain(&extent, error))?;
        let wanted: u64 = run.iter().map(|entry| u64::from(entry.location.len)).sum();
        // A slice keeps the whole run in memory: not for a few frames between many others.
        let is_sparse = wanted < len / 2;
        let mut last = LastKey::default();
        let mut opened = Vec::with_capacity(run.len());
        let mut open = |entry: &Entry| {
            // `run` found the entries in rising order inside of `len`.
            let from = (entry.location.position - start) as usize;
            let frame = &mut bytes[from..from + entry.location.len as usize];
            let body = self.body(&extent, stream, entry.location.position, frame, &mut last)?;
            opened.push(from + body.start..from + body.end);
            Ok(())
        };
        let outcome = run.iter().try_for_each(&mut open);
        let bytes = Bytes::from(bytes);
        let body = |range: Range<usize>| match is_sparse {
            true => Bytes::copy_from_slice(&bytes[range]),
            false => bytes.slice(range),
        };
        bodies.extend(opened.into_iter().map(body));
        outcome.map_err(|error| self.explain(&extent, error))
    }

    /// The stream's frames in that extent, by offset. Blocking when the footer is not cached.
    pub fn entries(&self, extent: ExtentId, stream: StreamId) -> Result<Arc<[Entry]>, StoreError> {
        let found = self.inner.current(extent).ok_or(StoreError::NotFound(extent))?;
        match read::live_entries(&found, stream) {
            Live::Here(entries) => Ok(entries),
            Live::Nothing => Err(StoreError::NotFound(extent)),
            Live::OnDisk(trailer) => {
                self.section(&found, &trailer, stream).map(|(entries, _)| entries)
            }
        }
    }

    /// Sorted key hashes with the base offset of the newest frame in that extent that has the key.
    /// Blocking when the footer is not cached.
    pub fn keys(
        &self,
        extent: ExtentId,
        stream: StreamId,
    ) -> Result<Arc<[(u64, Offset)]>, StoreError> {
        let found = self.inner.current(extent).ok_or(StoreError::NotFound(extent))?;
        match read::live_keys(&found, stream) {
            Live::Here(keys) => Ok(keys),
            Live::Nothing => Err(StoreError::NotFound(extent)),
            Live::OnDisk(trailer) => self.section(&found, &trailer, stream).map(|(_, keys)| keys),
        }
    }

    /// A footer is a hint: where it is not whole, the frames themselves are asked.
    fn section(
        &self,
        extent: &Extent,
        trailer: &Trailer,
        stream: StreamId,
    ) -> Result<read::Section, StoreError> {
        let (device, footers) = (&self.inner.device, &self.inner.footers);
        let section = match footers.section(device, extent, trailer, stream) {
            Err(StoreError::Damaged { position, reason, .. }) => {
                let flaw = extent.damaged(position, reason);
                read::rebuilt_section(device, extent, trailer, stream, flaw)
            }
            section => section,
        };
        section.map_err(|error| self.explain(extent, error))
    }

    /// What the extents sealed since the last call hold.
    pub fn take_sealed(&self) -> Vec<Span> {
        self.inner.take_sealed()
    }

    /// Holds every extent in place until the pin's `cut`, and from then on those of the cut. The
    /// lease is how long the holder may be without progress; see `Pin::renew`.
    pub fn pin(&self, lease: Duration) -> Result<Pin, StoreError> {
        Pin::all(Arc::clone(&self.inner), lease)
    }

    /// No stream needs the extent any more: its file goes back to the pool, or away when the pool
    /// is full. Blocking. `InUse` while it is open, being sealed or pinned, `Recycled` when that
    /// generation is gone. After an `Io` error it may be there again at the next start.
    pub fn release(&self, extent: ExtentId, generation: u64) -> Result<(), StoreError> {
        let found = self.remove_from_map(extent, generation)?;
        let freed = self.give_away(&found);
        self.inner.leftovers.lock().released(found.reference(), freed.is_ok());
        self.inner.set_gauges();
        freed
    }

    fn give_away(&self, found: &Extent) -> Result<(), StoreError> {
        let extent = found.id;
        // Whoever is cutting the file ends first: afterwards nobody begins to.
        let _file = found.file_lock.lock();
        let len = found.len.load(Ordering::Relaxed);
        let device = &self.inner.device;
        if self.inner.pool.wants(len) {
            let file = device.open_existing(extent);
            let file = file.map_err(StoreError::io("opening a released extent"))?;
            let until = found.prepared_bytes.load(Ordering::Relaxed);
            let preparation = Arc::new(Preparation::new(until, len));
            let spare = Spare { id: extent, file, preparation, len };
            let freed = self.inner.pool.write_free(&spare, found.seal);
            freed.map_err(StoreError::io("freeing an extent"))?;
            self.inner.pool.put(spare);
        } else {
            device.remove(extent).map_err(StoreError::io("removing an extent"))?;
        }
        Ok(())
    }

    fn remove_from_map(&self, id: ExtentId, generation: u64) -> Result<Arc<Extent>, StoreError> {
        let mut extents = self.inner.extents.write();
        let found = extents.get(&id).ok_or(StoreError::NotFound(id))?;
        if found.seal.generation != generation {
            return Err(StoreError::Recycled(id));
        }
        if let Knowledge::Live { phase: Phase::Open | Phase::Sealing, .. } =
            &*found.knowledge.read()
        {
            return Err(StoreError::InUse(id));
        }
        if self.inner.pins.hold(&self.inner, id, generation) {
            return Err(StoreError::InUse(id));
        }
        extents.remove(&id).ok_or(StoreError::NotFound(id))
    }

    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    fn find(&self, location: Location) -> Result<Arc<Extent>, StoreError> {
        let id = location.extent;
        let found = self.inner.current(id).ok_or(StoreError::Recycled(id))?;
        if found.seal.generation != location.generation {
            return Err(StoreError::Recycled(id));
        }
        Ok(found)
    }

    fn fetch(&self, extent: &Extent, position: u32, len: u64) -> Result<Vec<u8>, StoreError> {
        let end = u64::from(position).saturating_add(len);
        if end > extent.len.load(Ordering::Relaxed) {
            return Err(extent.damaged(u64::from(position), "a frame beyond the end of its file"));
        }
        extent.read_exact(&self.inner.device, len as usize, u64::from(position))
    }

    /// Bytes that do not fit are damage only while the extent is still what it was.
    fn explain(&self, extent: &Extent, error: StoreError) -> StoreError {
        let now = self.inner.current(extent.id);
        let is_current = now.is_some_and(|now| now.seal == extent.seal);
        match error {
            StoreError::Damaged { .. } if !is_current => StoreError::Recycled(extent.id),
            error => error,
        }
    }
}
