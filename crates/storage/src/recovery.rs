//! Opening a directory: what each file is, what it holds, and what became of what a crash left.
//! Runs before anything is written to an extent.

use crate::device::{Blocks, Device, WriteError};
use crate::extent::{Expiring, Extent, Knowledge, Origin, Phase, Shape};
use crate::layout::header::{Header, Use};
use crate::layout::lineage::Lineage;
use crate::layout::trailer::{Kind, Trailer};
use crate::layout::{BLOCK_BYTES, round_up};
use crate::pool::{Pool, Spare};
use crate::prepare::Preparation;
use crate::read;
use crate::scan::{self, Each, Scan, Target};
use crate::seal::{Report, SealJob};
use crate::{Damage, ExtentId, ExtentRef, Recovery, StoreError};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::File;

/// Everything recovery hands to the store.
#[derive(Default)]
pub struct Recovered {
    pub extents: Vec<Arc<Extent>>,
    pub jobs: Vec<SealJob>,
    pub recovery: Recovery,
}

/// A file of the directory whose header is whole.
struct Candidate {
    id: ExtentId,
    header: Header,
    /// Of an extent the collector wrote.
    lineage: Option<Lineage>,
    len: u64,
}

pub fn recover(device: &Device, pool: &Pool, each: &mut Each<'_>) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut candidates = Vec::new();
    for id in device.list().map_err(StoreError::io("listing the log's directory"))? {
        let candidate = look(device, id)?;
        let generation = candidate.as_ref().map_or(0, |found| found.header.seal.generation);
        pool.saw(id, generation);
        match candidate {
            Some(found) => candidates.push(found),
            None => recovered.recovery.damaged.push(headless(id)),
        }
    }
    let replaced = replaced(&mut candidates);
    candidates.sort_unstable_by_key(|found| (found.order(), found.header.seal.generation));
    for found in candidates {
        match found.header.use_now {
            Use::Free => reuse(device, pool, &found)?,
            _ if replaced.contains(&found.reference()) => free(device, pool, found)?,
            Use::Taken | Use::Rewritten => recovered.extent(device, pool, &found, each)?,
        }
    }
    Ok(recovered)
}

/// The extents that others stand for. What is replaced itself has no say: the newest decides.
fn replaced(candidates: &mut [Candidate]) -> HashSet<ExtentRef> {
    candidates.sort_unstable_by_key(|found| Reverse(found.header.seal.generation));
    let mut replaced = HashSet::new();
    for found in candidates.iter() {
        if let Some(lineage) = &found.lineage
            && !replaced.contains(&found.reference())
        {
            replaced.extend(lineage.replaced.iter().copied());
        }
    }
    replaced
}

/// Gives the file of an extent that does not count back to the pool.
fn free(device: &Device, pool: &Pool, found: Candidate) -> Result<(), StoreError> {
    tracing::info!(extent = %found.id, "an extent was replaced by another one");
    let spare = spare(device, &found, found.header.prepared_bytes)?;
    let seal = found.header.seal;
    pool.write_free(&spare, seal).map_err(StoreError::io("freeing a replaced extent"))?;
    let header = Header { use_now: Use::Free, ..found.header };
    reuse(device, pool, &Candidate { header, ..found })
}

impl Candidate {
    fn reference(&self) -> ExtentRef {
        ExtentRef { id: self.id, generation: self.header.seal.generation }
    }

    /// Its place in the order of age.
    fn order(&self) -> u64 {
        self.lineage.as_ref().map_or(self.header.seal.generation, |lineage| lineage.order)
    }

    fn origin(&self) -> Origin {
        Origin {
            order: self.order(),
            created: self.header.created,
            is_rewritten: self.lineage.is_some(),
        }
    }
}

/// `None` when neither copy of the header is whole. Such a file is left as it is: it only gets its
/// name after its header is durable, so it held something once.
fn look(device: &Device, id: ExtentId) -> Result<Option<Candidate>, StoreError> {
    let file = device.open_reading(id).map_err(StoreError::io("opening an extent"))?;
    let len = file.len().map_err(StoreError::io("measuring an extent"))?;
    let mut block = vec![0; BLOCK_BYTES];
    let read = file.read_at(&mut block, 0).map_err(StoreError::io("reading an extent"))?;
    block.truncate(read);
    let header = Header::decode(&block).filter(|header| header.id == id.0);
    Ok(header.and_then(|header| match header.use_now {
        Use::Free | Use::Taken => Some(Candidate { id, header, lineage: None, len }),
        // Without its lineage nobody knows whether others count beside it.
        Use::Rewritten => {
            let lineage = Some(Lineage::decode(&block, header.seal.generation)?);
            Some(Candidate { id, header, lineage, len })
        }
    }))
}

fn headless(extent: ExtentId) -> Damage {
    let reason = "the extent's header is not whole";
    tracing::error!(%extent, reason, "an extent is damaged and was left as it is");
    Damage {
        extent,
        generation: 0,
        from_position: 0,
        to_position: u64::MAX,
        reason,
        ranges: Vec::new(),
    }
}

fn reuse(device: &Device, pool: &Pool, found: &Candidate) -> Result<(), StoreError> {
    let spare = spare(device, found, found.header.prepared_bytes)?;
    if pool.wants(found.len) {
        pool.put(spare);
        return Ok(());
    }
    device.remove(found.id).map_err(StoreError::io("removing a free extent"))
}

fn spare(device: &Device, found: &Candidate, prepared_bytes: u64) -> Result<Spare, StoreError> {
    let file = device.open_existing(found.id);
    let file = file.map_err(StoreError::io("opening an extent for writing"))?;
    let until = prepared_bytes.max(BLOCK_BYTES as u64);
    let preparation = Arc::new(Preparation::new(until, found.len));
    Ok(Spare { id: found.id, file, preparation, len: found.len })
}

impl Recovered {
    fn extent(
        &mut self,
        device: &Device,
        pool: &Pool,
        found: &Candidate,
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        let live = Knowledge::Live { index: Default::default(), phase: Phase::Kept };
        let origin = found.origin();
        let extent = Extent::new(found.id, found.header.seal, found.len, origin, live);
        if let Some(lineage) = &found.lineage {
            let expiring = Expiring { at: lineage.expires_at, bytes: lineage.expiring_bytes };
            // It is new: nobody has set it before.
            let _ = extent.expiring.set(expiring);
        }
        let trailer = find_trailer(device, &extent, found)?;
        let prepared_bytes = trailer.map_or(0, |trailer| trailer.prepared_bytes);
        let prepared_bytes = prepared_bytes.max(found.header.prepared_bytes);
        extent.prepared_bytes.store(prepared_bytes, Ordering::Relaxed);
        if let Some(trailer) = trailer.filter(|trailer| trailer.kind == Kind::Sealed) {
            match read::read_directory(device, &extent, &trailer) {
                Ok(directory) => {
                    let frames = directory.iter().map(|row| u64::from(row.frames)).sum();
                    let _ = extent.shape.set(Shape { streams: directory.len() as u64, frames });
                    self.recovery.spans.extend(read::spans(&extent, &directory));
                    extent.data_end.store(round_up(trailer.data_end), Ordering::Relaxed);
                    *extent.knowledge.write() = Knowledge::Sealed(trailer);
                    self.extents.push(Arc::new(extent));
                    return Ok(());
                }
                Err(StoreError::Damaged { reason, .. }) => {
                    tracing::warn!(extent = %found.id, reason, "a footer is rebuilt by a scan");
                }
                Err(error) => return Err(error),
            }
        }
        let data_end = trailer.map(|trailer| trailer.data_end);
        // All of a rewritten extent counts: its end is never taken for a torn one.
        let data_end = data_end.or(found.lineage.as_ref().map(|lineage| lineage.data_end));
        self.scanned(device, pool, found, Arc::new(extent), data_end, each)
    }

    /// Reads all of it, and makes what is there durable before anybody is told of it.
    fn scanned(
        &mut self,
        device: &Device,
        pool: &Pool,
        found: &Candidate,
        extent: Arc<Extent>,
        data_end: Option<u64>,
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        let prepared_bytes = extent.prepared_bytes.load(Ordering::Relaxed);
        let spare = spare(device, found, prepared_bytes)?;
        let reader = device.open_reading(found.id).map_err(StoreError::io("opening an extent"))?;
        let (seal, limit) = (found.header.seal, found.len.saturating_sub(BLOCK_BYTES as u64));
        let target = Target { extent: found.id, seal, limit, data_end };
        let scan = scan::scan(&*reader, target, each);
        let scan = scan.map_err(StoreError::io("scanning an extent"))?;
        let last_commit = scan.last_commit.clone();
        let settled = last_commit.map_or(Ok(()), |at| settle(device, &*reader, &*spare.file, at));
        settled.map_err(StoreError::io("making an extent's last commit durable"))?;
        self.recovery.scanned_extents += 1;
        self.recovery.tail_cut_bytes += scan.cut_bytes;
        log_scan(found.id, &scan);
        if scan.index.is_empty() && scan.damage.is_empty() {
            pool.write_free(&spare, seal).map_err(StoreError::io("freeing an empty extent"))?;
            let header = Header { use_now: Use::Free, ..found.header };
            let found = Candidate { id: found.id, header, lineage: None, len: found.len };
            return reuse(device, pool, &found);
        }
        spare.preparation.claim(round_up(scan.data_end));
        extent.data_end.store(round_up(scan.data_end), Ordering::Relaxed);
        self.recovery.spans.extend(scan.index.spans(found.id, seal.generation));
        // A footer would hide the damage from the next start, so there is none.
        let is_whole = scan.damage.is_empty();
        let phase = if is_whole { Phase::Sealing } else { Phase::Kept };
        *extent.knowledge.write() = Knowledge::Live { index: scan.index, phase };
        if is_whole {
            let (file, preparation) = (spare.file, spare.preparation);
            let report = Report::AlreadyReported;
            let data_end = scan.data_end;
            let extent = extent.clone();
            self.jobs.push(SealJob { extent, file, preparation, data_end, report });
        }
        self.recovery.damaged.extend(scan.damage);
        self.extents.push(extent);
        Ok(())
    }
}

/// Writes the last commit once more. When its flush failed and only the process ended, the kernel
/// may show it and call it clean although it never reached the device, so that no flush would bring
/// it there: whoever was told of it now would find it gone after the next loss of power. All
/// commits before it were flushed before it was written.
fn settle(device: &Device, reader: &dyn File, file: &dyn File, at: Range<u64>) -> io::Result<()> {
    file.flush()?;
    // At most the largest commit.
    let mut blocks = Blocks::new((at.end - at.start) as usize);
    let len = blocks.len();
    let bytes = blocks.first_mut(len);
    let read = reader.read_at(bytes, at.start)?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    device.write(file, bytes, at.start).map_err(WriteError::into_io)
}

fn find_trailer(
    device: &Device,
    extent: &Extent,
    found: &Candidate,
) -> Result<Option<Trailer>, StoreError> {
    let Some(at) = found.len.checked_sub(BLOCK_BYTES as u64) else { return Ok(None) };
    let block = extent.read_exact(device, BLOCK_BYTES, at)?;
    let trailer = Trailer::decode(&block, found.header.seal);
    Ok(trailer.filter(|trailer| {
        let footer_end = trailer.footer_at.saturating_add(trailer.footer_bytes);
        trailer.data_end <= at && footer_end <= at
    }))
}

fn log_scan(extent: ExtentId, scan: &Scan) {
    if scan.cut_bytes > 0 {
        tracing::warn!(%extent, cut_bytes = scan.cut_bytes, data_end = scan.data_end,
            "cut {} bytes of an unacknowledged commit off the log's tail", scan.cut_bytes);
    }
    for damage in &scan.damage {
        tracing::error!(%extent, from = damage.from_position, to = damage.to_position,
            reason = damage.reason, ranges = ?damage.ranges,
            "acknowledged records are damaged; reading them answers an error");
    }
}
