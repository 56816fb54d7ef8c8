//! Writes footers, off the acknowledged path. A footer that cannot be written loses nothing: the
//! index stays in memory, and the next start scans.

use crate::Span;
use crate::device::Device;
use crate::extent::{Extent, Knowledge, Phase, Shape};
use crate::layout::footer::{self, EncodedFooter};
use crate::layout::trailer::{Kind, Trailer};
use crate::layout::{BLOCK_BYTES, round_up};
use crate::prepare::Preparation;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stdx::File;

/// One extent that takes no more frames.
pub struct SealJob {
    pub extent: Arc<Extent>,
    pub file: Arc<dyn File>,
    pub preparation: Arc<Preparation>,
    pub data_end: u64,
    /// Whether the event log is to be told; what recovery reported already is not told again.
    pub report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Sealed,
    AlreadyReported,
}

/// A file less full than one part in this is cut to its content, so that a log that is often
/// restarted does not take a whole extent each time.
const SHRINK_BELOW_SHARE: u64 = 2;

/// Where a sealed file could end, when that is worth while.
pub fn shrunk_len(extent: &Extent) -> Option<(Trailer, u64)> {
    let Knowledge::Sealed(trailer) = *extent.knowledge.read() else { return None };
    let len = round_up(trailer.footer_at + trailer.footer_bytes) + BLOCK_BYTES as u64;
    (len < extent.len.load(Ordering::Relaxed) / SHRINK_BELOW_SHARE).then_some((trailer, len))
}

/// Cuts a sealed file to its content. The caller holds the extent's `file_lock`. Giving blocks back
/// can hold the file system's journal up for half a second, so nobody may be waiting for a file to
/// be made.
pub fn shrink(device: &Device, extent: &Extent) -> io::Result<()> {
    let Some((trailer, len)) = shrunk_len(extent) else { return Ok(()) };
    let file = device.open_existing(extent.id)?;
    // The trailer counts only as the last block: a crash finds the old one or the new one there.
    write_trailer(device, &*file, &trailer, len - BLOCK_BYTES as u64)?;
    file.set_len(len)?;
    file.flush()?;
    extent.len.store(len, Ordering::Relaxed);
    extent.prepared_bytes.store(len, Ordering::Relaxed);
    Ok(())
}

/// Writes the footer and answers what the extent holds.
pub fn seal(device: &Device, job: &SealJob) -> Vec<Span> {
    let extent = &job.extent;
    let len = extent.len.load(Ordering::Relaxed);
    // From here on no zeros are written to the file.
    let prepared_bytes = job.preparation.until();
    job.preparation.claim(len);
    extent.prepared_bytes.store(prepared_bytes, Ordering::Relaxed);
    let (footer, spans) = match &*extent.knowledge.read() {
        Knowledge::Live { index, .. } => {
            let spans = index.spans(extent.id, extent.seal.generation);
            let size = index.size();
            // An extent is sealed once.
            let _ = extent.shape.set(Shape { streams: size.streams, frames: size.entries });
            (footer::encode(index, extent.seal.salt), spans)
        }
        Knowledge::Sealed(_) => return Vec::new(),
    };
    let outcome = write(device, job, &footer, len, prepared_bytes);
    let mut knowledge = extent.knowledge.write();
    match (outcome, &mut *knowledge) {
        (Ok(trailer), knowledge) => *knowledge = Knowledge::Sealed(trailer),
        (Err(error), Knowledge::Live { phase, .. }) => {
            tracing::error!(extent = %extent.id, %error, "a footer could not be written; \
                the extent's index stays in memory and is rebuilt by a scan at the next start");
            *phase = Phase::Kept;
        }
        (Err(_), Knowledge::Sealed(_)) => {}
    }
    spans
}

fn write(
    device: &Device,
    job: &SealJob,
    footer: &EncodedFooter,
    len: u64,
    prepared_bytes: u64,
) -> io::Result<Trailer> {
    let footer_at = round_up(job.data_end);
    let footer_end = footer_at + round_up(footer.bytes.len() as u64);
    let trailer_at = len - BLOCK_BYTES as u64;
    if footer_end > trailer_at {
        return Err(io::Error::other("the footer does not fit behind the data"));
    }
    let trailer = Trailer {
        kind: Kind::Sealed,
        seal: job.extent.seal,
        data_end: job.data_end,
        footer_at,
        footer_bytes: footer.bytes.len() as u64,
        streams: footer.directory.len() as u32,
        directory_crc: footer.directory_crc,
        prepared_bytes,
    };
    device.write_padded(&*job.file, &footer.bytes, footer_at)?;
    write_trailer(device, &*job.file, &trailer, trailer_at)?;
    Ok(trailer)
}

pub fn write_trailer(
    device: &Device,
    file: &dyn File,
    trailer: &Trailer,
    at: u64,
) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    trailer.encode(&mut block);
    device.write_padded(file, &block, at)
}
