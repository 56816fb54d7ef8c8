//! The payloads of permessage-deflate (RFC 7692 section 7.2): compressed and inflated message by
//! message, each from an empty window. One compressor and one inflater serve all connections of
//! an edge thread. Pure; no byte of input makes it panic or take more than it may.

use super::Violation;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What every compressed message ends with and none carries (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// Output grows by so much at a time, so that a small message that claims to be large has not
/// taken more when it is found out.
const STEP_BYTES: usize = 16 * 1024;
/// Output buffers that one large message has grown are given back.
const SCRATCH_BYTES_MAX: usize = 256 * 1024;
/// Blocks that end a stream within one message; only a client that means harm sends many.
const STREAMS_MAX: usize = 1_024;

/// Compresses messages; made at the first one.
pub struct Deflater {
    state: Option<Compress>,
    level: u32,
    output: Vec<u8>,
}

impl Deflater {
    /// `level` is zlib's, from 1, fast, to 9, small.
    pub fn new(level: u32) -> Deflater {
        Deflater { state: None, level, output: Vec::new() }
    }

    /// The compressed form, or `None` when it would not be shorter.
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        let state = self
            .state
            .get_or_insert_with(|| Compress::new(Compression::new(self.level.clamp(1, 9)), false));
        state.reset();
        if self.output.capacity() > SCRATCH_BYTES_MAX {
            self.output = Vec::new();
        }
        self.output.clear();
        // What does not fit into the message's own length is of no use.
        self.output.reserve(message.len() + TAIL.len());
        state.compress_vec(message, &mut self.output, FlushCompress::Sync).ok()?;
        let is_through = state.total_in() == message.len() as u64
            && self.output.len() < self.output.capacity()
            && self.output.ends_with(&TAIL);
        if !is_through {
            return None;
        }
        let bytes = self.output.len().checked_sub(TAIL.len())?;
        (bytes < message.len()).then(|| self.output.get(..bytes)).flatten()
    }
}

/// Inflates messages; made at the first one.
#[derive(Default)]
pub struct Inflater {
    state: Option<Decompress>,
    output: Vec<u8>,
}

impl Inflater {
    /// The message that `payload` stands for.
    ///
    /// # Errors
    /// `TooBig` as soon as it is longer than `bytes_max`; `Deflate` when it is not what section
    /// 7.2.2 asks for.
    pub fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<&[u8], Violation> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        if self.output.capacity() > SCRATCH_BYTES_MAX {
            self.output = Vec::new();
        }
        self.output.clear();
        let mut streams = 1;
        for part in [payload, &TAIL[..]] {
            let mut rest = part;
            loop {
                let before = (state.total_in(), state.total_out());
                if self.output.len() == self.output.capacity() {
                    let room = (bytes_max + 1).saturating_sub(self.output.len());
                    self.output.reserve_exact(room.min(STEP_BYTES));
                }
                let status = state
                    .decompress_vec(rest, &mut self.output, FlushDecompress::Sync)
                    .map_err(|_| Violation::Deflate)?;
                let taken = usize::try_from(state.total_in() - before.0).unwrap_or(usize::MAX);
                rest = rest.get(taken..).unwrap_or_default();
                if self.output.len() > bytes_max {
                    return Err(Violation::TooBig);
                }
                let is_full = self.output.len() == self.output.capacity();
                if status == Status::StreamEnd {
                    // A final block (section 7.2.3.4); what follows begins anew.
                    streams += 1;
                    if streams > STREAMS_MAX {
                        return Err(Violation::Deflate);
                    }
                    state.reset(false);
                } else if rest.is_empty() && !is_full {
                    break;
                } else if taken == 0 && state.total_out() == before.1 && !is_full {
                    return Err(Violation::Deflate);
                }
                if rest.is_empty() && status == Status::StreamEnd {
                    break;
                }
            }
        }
        Ok(&self.output)
    }
}
