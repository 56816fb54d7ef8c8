//! What a connection has to send and the socket has not taken yet: whole frames in one buffer,
//! allocated when there is something and given back when all is sent. Control frames overtake
//! data, between frames. Pure: the writing itself is a closure.

use super::frame::{Opcode, server_frame_bytes, server_head};
use std::io;

/// Room for a few small frames, so that a burst of them does not begin with moving them about.
const FIRST_BYTES: usize = 512;
/// Sent bytes are cut off the front of a buffer that never empties, once they are so many.
const CUT_BYTES_MIN: usize = 64 * 1024;

#[derive(Debug, Default)]
pub struct Waiting {
    bytes: Vec<u8>,
    /// Everything before is written.
    sent: usize,
    /// A place where a frame begins, at or before the first place after `sent` where one does.
    frame_at: usize,
    /// Where the control frames that have overtaken end.
    control_end: usize,
}

impl Waiting {
    /// Bytes not yet taken by the socket.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Behind everything that waits.
    pub fn push(&mut self, opcode: Opcode, payload: &[u8]) {
        let (head, head_bytes) = server_head(opcode, payload.len());
        let wanted = head_bytes + payload.len();
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(wanted.max(FIRST_BYTES));
        }
        self.bytes.reserve(wanted);
        self.bytes.extend_from_slice(&head[..head_bytes]);
        self.bytes.extend_from_slice(payload);
    }

    /// Before the data that waits, behind the frame that is half written and behind the control
    /// frames that wait.
    pub fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.is_empty() {
            self.push(opcode, payload);
            self.control_end = self.bytes.len();
            return;
        }
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
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent = (self.sent + count).min(self.bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.cut();
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        *self = Waiting::default();
        Ok(true)
    }

    /// Gives everything up.
    pub fn clear(&mut self) {
        *self = Waiting::default();
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
