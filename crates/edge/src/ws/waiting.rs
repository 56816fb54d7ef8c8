//! What a connection has to send and the socket has not taken yet, allocated when there is
//! something and given back when all is sent. Control frames overtake data, between frames. Pure:
//! the writing itself is a closure.
//!
//! Frames that many connections are sent are held as they are, shared, until the socket has been
//! tried: a client that keeps up costs no copy. What the socket refuses, and whatever must be put
//! in order with it, is moved to the connection's own buffer.

use super::frame::{Opcode, deflated_head, server_frame_bytes, server_head};
use bytes::Bytes;
use smallvec::SmallVec;
use std::io::{self, IoSlice};

/// Room for a few small frames, so that a burst of them does not begin with moving them about.
const FIRST_BYTES: usize = 512;
/// Sent bytes are cut off the front of a buffer that never empties, once they are so many.
const CUT_BYTES_MIN: usize = 64 * 1024;
/// Shared pieces that one system call writes; beyond them, pieces are moved to the own buffer.
const SHARED_MAX: usize = 16;

#[derive(Debug, Default)]
pub struct Waiting {
    bytes: Vec<u8>,
    /// Everything before is written.
    sent: usize,
    /// A place where a frame begins, at or before the first place after `sent` where one does.
    frame_at: usize,
    /// Where the control frames that have overtaken end.
    control_end: usize,
    /// Whole frames that the socket has not been tried with. While there are any, `bytes` is
    /// empty.
    shared: SmallVec<[Bytes; 1]>,
}

impl Waiting {
    /// Bytes not yet taken by the socket.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent + self.shared.iter().map(Bytes::len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Behind everything that waits.
    pub fn push(&mut self, opcode: Opcode, payload: &[u8]) {
        let (head, head_bytes) = server_head(opcode, payload.len());
        self.push_parts(&head[..head_bytes], payload);
    }

    /// The same for a compressed payload.
    pub fn push_deflated(&mut self, opcode: Opcode, payload: &[u8]) {
        let (head, head_bytes) = deflated_head(opcode, payload.len());
        self.push_parts(&head[..head_bytes], payload);
    }

    /// Behind everything that waits: whole frames of ours, in a buffer that others are sent too.
    pub fn push_shared(&mut self, frames: Bytes) {
        if frames.is_empty() {
            return;
        }
        if self.shared.len() >= SHARED_MAX {
            self.own(0);
        }
        if self.bytes.is_empty() {
            self.shared.push(frames);
        } else {
            self.bytes.extend_from_slice(&frames);
        }
    }

    /// Before the data that waits, behind the frame that is half written and behind the control
    /// frames that wait.
    pub fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.is_empty() {
            self.push(opcode, payload);
            self.control_end = self.bytes.len();
            return;
        }
        self.own(0);
        while self.frame_at < self.sent {
            self.frame_at += server_frame_bytes(&self.bytes[self.frame_at..]);
        }
        let place = self.frame_at.max(self.control_end).min(self.bytes.len());
        let (head, head_bytes) = server_head(opcode, payload.len());
        let frame = head[..head_bytes].iter().chain(payload).copied();
        self.bytes.splice(place..place, frame);
        self.control_end = place + head_bytes + payload.len();
    }

    /// Writes until all is sent (`true`) or the socket takes no more (`false`).
    pub fn flush(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let mut shared_sent = 0;
        loop {
            let outcome = match self.slices(shared_sent) {
                Some(slices) => write(&slices),
                None => break,
            };
            match outcome {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) if self.shared.is_empty() => {
                    self.sent = (self.sent + count).min(self.bytes.len());
                }
                Ok(count) => shared_sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.own(shared_sent);
                    self.cut();
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.clear();
        Ok(true)
    }

    /// Gives everything up.
    pub fn clear(&mut self) {
        *self = Waiting::default();
    }

    /// What is to be written next; of the shared pieces, so many bytes are written.
    fn slices(&self, shared_sent: usize) -> Option<SmallVec<[IoSlice<'_>; 2]>> {
        let own = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty());
        let mut slices: SmallVec<[IoSlice<'_>; 2]> = own.map(IoSlice::new).into_iter().collect();
        let mut skip = shared_sent;
        for piece in &self.shared {
            match piece.get(skip..) {
                Some(rest) if !rest.is_empty() => {
                    slices.push(IoSlice::new(rest));
                    skip = 0;
                }
                _ => skip -= piece.len().min(skip),
            }
        }
        (!slices.is_empty()).then_some(slices)
    }

    fn push_parts(&mut self, head: &[u8], payload: &[u8]) {
        self.own(0);
        let wanted = head.len() + payload.len();
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(wanted.max(FIRST_BYTES));
        }
        self.bytes.reserve(wanted);
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(payload);
    }

    /// Moves the shared pieces, of which so many bytes are written, to the own buffer: from the
    /// frame on that is written in part, so that it is known where frames begin.
    fn own(&mut self, shared_sent: usize) {
        if self.shared.is_empty() {
            return;
        }
        let mut skip = shared_sent;
        let shared = std::mem::take(&mut self.shared);
        self.bytes.reserve_exact(shared.iter().map(Bytes::len).sum::<usize>() - shared_sent);
        for piece in shared {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let mut start = 0;
            while skip > 0 {
                let frame = server_frame_bytes(&piece[start..]).max(1);
                if frame > skip {
                    self.sent = skip;
                    break;
                }
                skip -= frame;
                start += frame;
            }
            skip = 0;
            self.bytes.extend_from_slice(&piece[start..]);
        }
    }

    fn cut(&mut self) {
        while self.frame_at < self.sent {
            let next = self.frame_at + server_frame_bytes(&self.bytes[self.frame_at..]);
            if next > self.sent {
                break;
            }
            self.frame_at = next;
        }
        // Past `sent` when a control frame was placed behind a half written one.
        let cut = self.frame_at;
        if cut >= CUT_BYTES_MIN && cut > self.bytes.len() / 2 && cut <= self.sent {
            self.bytes.drain(..cut);
            self.bytes.shrink_to(self.bytes.len() * 2);
            self.sent -= cut;
            self.control_end = self.control_end.saturating_sub(cut);
            self.frame_at = 0;
        }
    }
}
