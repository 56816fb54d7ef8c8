//! From the socket to the session: reads into the shard's one buffer, takes frames, hands messages
//! over, and stops reading while the session is blocked or its client does not read.

use super::connection::{Inner, Phase};
use super::frame::Opcode;
use super::reader::{Incoming, Payload, check_text};
use super::{Violation, close};
use crate::shard::Shard;
use bytes::{Buf, BytesMut};
use port::mounts::MessageKind;
use port::{Code, Refusal, metric};
use std::io;

/// A message buffer that one large message has grown is given back.
const MESSAGE_SCRATCH_BYTES_MAX: usize = 64 * 1024;

/// How a read went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be more.
    Some,
    /// The socket has nothing now.
    Empty,
    /// Nothing is taken now: work in flight, a client that does not read, or the end.
    Paused,
}

impl Inner {
    /// Whether the session can take another frame.
    pub(super) fn is_taking(&self, shard: &Shard) -> bool {
        self.phase == Phase::Open
            && self.held.is_empty()
            && self.waiting.len() <= shard.config.web_socket.waiting_bytes_high
            && !self.is_blocked()
    }

    /// Work in flight bars further frames.
    pub(super) fn is_blocked(&self) -> bool {
        self.driven.as_ref().is_none_or(|driven| driven.is_blocked())
    }

    /// What was held back while the session was blocked.
    pub(super) fn resume(&mut self, shard: &Shard) {
        if self.phase == Phase::Open && !self.held.is_empty() && !self.is_blocked() {
            let held = std::mem::take(&mut self.held);
            self.hand_over(shard, held);
        }
        if !self.raw.is_empty() && self.is_taking(shard) {
            self.take_raw(shard);
        }
    }

    /// One read and the frames in it.
    pub(super) fn read(&mut self, shard: &Shard) -> Progress {
        self.is_choked = self.waiting.len() > shard.config.web_socket.waiting_bytes_high;
        if !self.is_taking(shard) {
            return Progress::Paused;
        }
        let Some(transport) = &mut self.transport else {
            return Progress::Paused;
        };
        let mut chunk = shard.take_chunk();
        let outcome = transport.try_read(&self.waker, &mut chunk);
        let progress = match outcome {
            Ok(0) => {
                self.kill();
                Progress::Paused
            }
            Ok(count) => {
                self.times.heard(shard.world.clock.monotonic());
                self.take_chunk(shard, &mut chunk[..count]);
                Progress::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Progress::Empty,
            Err(_) => {
                self.kill();
                Progress::Paused
            }
        };
        shard.put_chunk(chunk);
        progress
    }

    /// After the closing word: what still comes is dropped, until the peer's end.
    pub(super) fn discard(&mut self, shard: &Shard) -> Progress {
        let Some(transport) = &mut self.transport else {
            return Progress::Paused;
        };
        let mut chunk = shard.take_chunk();
        let outcome = transport.try_read(&self.waker, &mut chunk);
        shard.put_chunk(chunk);
        match outcome {
            Ok(count) if count > 0 => Progress::Some,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Progress::Empty,
            _ => {
                self.kill();
                Progress::Paused
            }
        }
    }

    fn take_chunk(&mut self, shard: &Shard, chunk: &mut [u8]) {
        if self.raw.is_empty() {
            let taken = self.take_frames(shard, chunk);
            if self.phase == Phase::Open {
                self.raw.extend_from_slice(&chunk[taken..]);
            }
        } else {
            self.raw.extend_from_slice(chunk);
            self.take_raw(shard);
        }
    }

    fn take_raw(&mut self, shard: &Shard) {
        let mut raw = std::mem::take(&mut self.raw);
        let taken = self.take_frames(shard, &mut raw);
        raw.advance(taken);
        if !raw.is_empty() && self.phase == Phase::Open {
            self.raw = raw;
        }
    }

    /// Takes whole frames from the start of `input`; how many bytes they were.
    fn take_frames(&mut self, shard: &Shard, input: &mut [u8]) -> usize {
        let mut taken = 0;
        while self.is_taking(shard) && taken < input.len() {
            // Borrowed apart, because what comes out borrows the input while the session is called.
            let step = self.reader.step(&mut input[taken..]);
            match step {
                Ok(None) => break,
                Ok(Some((bytes, incoming))) => {
                    taken += bytes;
                    self.on_incoming(shard, incoming);
                }
                Err(violation) => {
                    self.violate(shard, violation);
                    break;
                }
            }
        }
        taken
    }

    fn on_incoming(&mut self, shard: &Shard, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Message(kind, payload) => self.on_message(shard, kind, payload),
            Incoming::Deflated(kind, payload) => self.on_deflated(shard, kind, payload.bytes()),
            Incoming::Ping(payload) => self.waiting.push_control(Opcode::Pong, payload),
            Incoming::Pong | Incoming::Fragment => {}
            Incoming::Close(code) => {
                self.begin_close(shard, code.unwrap_or(close::NORMAL), "");
            }
        }
    }

    /// The inflated message is bounded as every other one is.
    fn on_deflated(&mut self, shard: &Shard, kind: MessageKind, payload: &[u8]) {
        let mut inflater = shard.take_inflater();
        let outcome = inflater
            .inflate(payload, shard.config.web_socket.message_bytes_max)
            .and_then(|message| check_text(kind, message).map(|()| message));
        match outcome {
            Ok(message) => self.on_message(shard, kind, Payload::Whole(message)),
            Err(violation) => self.violate(shard, violation),
        }
        shard.put_inflater(inflater);
    }

    fn on_message(&mut self, shard: &Shard, kind: MessageKind, payload: Payload<'_>) {
        if kind != self.kind {
            return self.violate(shard, Violation::Kind);
        }
        let message = match payload {
            Payload::Joined(bytes) => bytes,
            Payload::Whole(bytes) => {
                let mut message = shard.take_message();
                message.extend_from_slice(bytes);
                message
            }
        };
        if message.is_empty() {
            let refusal = Refusal::new(Code::InvalidRequest, "the message is empty");
            return self.call(shard, |driven, _, wire| driven.on_refusal(refusal, wire));
        }
        self.hand_over(shard, message);
    }

    fn hand_over(&mut self, shard: &Shard, mut message: BytesMut) {
        self.call(shard, |driven, cx, wire| driven.on_input(cx, &mut message, wire));
        if message.is_empty() {
            if message.capacity() <= MESSAGE_SCRATCH_BYTES_MAX {
                shard.put_message(message);
            }
        } else if self.is_blocked() {
            self.held = message;
        } else {
            let refusal = Refusal::new(Code::InvalidRequest, "the message ends too early");
            self.call(shard, |driven, _, wire| driven.on_refusal(refusal, wire));
        }
    }

    pub(super) fn violate(&mut self, shard: &Shard, violation: Violation) {
        metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => violation.label()).increment(1);
        tracing::debug!(reason = violation.reason(), "a client broke the WebSocket framing");
        self.begin_close(shard, violation.close_code(), violation.reason());
    }
}
