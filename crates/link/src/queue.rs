//! What waits to be written to the other process. Whoever sends writes at once when nothing waits;
//! what the socket does not take is written by one task. Control frames go before records.

use crate::wire::bounds::{NEWS_BYTES_HIGH, QUEUED_BYTES_MAX};
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::Notify;

/// Frames of one write at most.
const SLICES_MAX: usize = 64;

/// Whether a frame goes before records that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Control,
    Records,
}

#[derive(Default)]
struct State {
    control: VecDeque<Bytes>,
    records: VecDeque<Bytes>,
    /// The rest of a frame that is half written: it goes first.
    begun: Option<Bytes>,
    bytes: usize,
    is_broken: bool,
}

impl State {
    fn next(&mut self) -> Option<Bytes> {
        let waiting = self.begun.take().or_else(|| self.control.pop_front());
        waiting.or_else(|| self.records.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

pub struct Queue {
    socket: Arc<UnixStream>,
    state: Mutex<State>,
    /// Something waits.
    filled: Notify,
    /// Less waits than before.
    drained: Notify,
}

impl Queue {
    pub fn new(socket: Arc<UnixStream>) -> Arc<Queue> {
        Arc::new(Queue {
            socket,
            state: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
        })
    }

    /// Frames of one lane go out in the order of the calls. What is sent after the connection
    /// broke is dropped: whoever waits for an answer learns of the end.
    pub fn send(&self, lane: Lane, frame: Bytes) {
        let mut state = self.state.lock();
        if state.is_broken {
            return;
        }
        let mut frame = frame;
        if state.is_empty() {
            // An error shows again to the task that writes, which ends the connection.
            let written = self.socket.try_write(&frame).unwrap_or(0);
            frame.advance(written);
            if frame.is_empty() {
                return;
            }
            state.bytes += frame.len();
            state.begun = Some(frame);
        } else {
            state.bytes += frame.len();
            match lane {
                Lane::Control => state.control.push_back(frame),
                Lane::Records => state.records.push_back(frame),
            }
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Nothing waits that is more than this; on a broken connection nothing waits.
    fn has_at_most(&self, bytes: usize) -> bool {
        let state = self.state.lock();
        state.bytes <= bytes || state.is_broken
    }

    /// Waits until there is room for more of the lane.
    pub async fn room(&self, lane: Lane) {
        let high = match lane {
            Lane::Control => QUEUED_BYTES_MAX,
            Lane::Records => NEWS_BYTES_HIGH,
        };
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            // Registered before looking, so that no wake-up is missed.
            drained.as_mut().enable();
            if self.has_at_most(high - 1) {
                return;
            }
            drained.await;
        }
    }

    /// Waits until nothing waits to be written.
    pub async fn empty(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.has_at_most(0) {
                return;
            }
            drained.await;
        }
    }

    /// Writes what waits, until the connection breaks.
    pub async fn run(&self) -> io::Error {
        let error = self.write_all().await;
        *self.state.lock() = State { is_broken: true, ..State::default() };
        self.drained.notify_waiters();
        error
    }

    async fn write_all(&self) -> io::Error {
        loop {
            if self.state.lock().is_empty() {
                self.filled.notified().await;
                continue;
            }
            if let Err(error) = self.socket.writable().await {
                return error;
            }
            match self.write_some() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
            self.drained.notify_waiters();
        }
    }

    /// Under the lock, so that no sender writes in between.
    fn write_some(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut frames: Vec<Bytes> = Vec::new();
        while frames.len() < SLICES_MAX {
            match state.next() {
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        let slices: Vec<io::IoSlice<'_>> = frames.iter().map(|it| io::IoSlice::new(it)).collect();
        let outcome = self.socket.try_write_vectored(&slices);
        let mut written = *outcome.as_ref().unwrap_or(&0);
        state.bytes -= written;
        // What was not written goes back to the front, in its order.
        let mut rest: VecDeque<Bytes> = VecDeque::new();
        for mut frame in frames {
            let taken = written.min(frame.len());
            written -= taken;
            frame.advance(taken);
            if !frame.is_empty() {
                rest.push_back(frame);
            }
        }
        state.begun = rest.pop_front();
        while let Some(frame) = rest.pop_back() {
            state.control.push_front(frame);
        }
        outcome.map(|_| ())
    }
}
