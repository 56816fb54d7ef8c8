//! The publishers' pattern, the same for every server: so many connections on one thread, each
//! sends a batch, waits until all of it is acknowledged, and sends the next. It knows no server;
//! what travels is a `Dialect`'s business. One thread and no copy per record, so that the load is
//! not what is measured.

use crate::Fault;
use crate::report::Series;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 256 * 1024;

/// One connection's side of a protocol.
pub trait Dialect {
    /// Makes the connection ready to publish; called once, while it still blocks.
    fn open(&mut self, socket: &mut std::net::TcpStream) -> Result<(), Fault>;
    /// Called before each batch, for those that do not always send the same.
    fn make_next(&mut self) {}
    /// A whole batch as it travels.
    fn batch(&self) -> &[u8];
    /// Takes what the server sent; returns how many records of the batch it acknowledged.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault>;
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Run {
    pub records: u64,
    pub seconds: f64,
    /// From the first byte of a batch to its last acknowledgement; also of batches that were under
    /// way at the end, since leaving out the slow ones would flatter.
    pub latency_ms: Series,
}

impl Run {
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds.max(1e-9)
    }
}

struct Publisher<D> {
    socket: TcpStream,
    dialect: D,
    written: usize,
    acknowledged: usize,
    begun: Instant,
}

/// Open connections, ready to publish.
pub struct ClosedLoop<D> {
    poll: Poll,
    publishers: Vec<Publisher<D>>,
    records_per_batch: usize,
    buffer: Vec<u8>,
    acknowledged: u64,
}

impl<D: Dialect> ClosedLoop<D> {
    pub fn open(
        address: SocketAddr,
        dialects: Vec<D>,
        records_per_batch: usize,
    ) -> Result<ClosedLoop<D>, Fault> {
        let poll = Poll::new()?;
        let mut publishers = Vec::with_capacity(dialects.len());
        for (index, mut dialect) in dialects.into_iter().enumerate() {
            let mut socket = std::net::TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(ANSWER_MAX))?;
            dialect.open(&mut socket)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut socket, Token(index), interest)?;
            let begun = Instant::now();
            publishers.push(Publisher { socket, dialect, written: 0, acknowledged: 0, begun });
        }
        let buffer = vec![0; READ_BYTES];
        Ok(ClosedLoop { poll, publishers, records_per_batch, buffer, acknowledged: 0 })
    }

    /// Records acknowledged by all runs so far, counted or not, also by one that failed.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Publishes for `length`, or until `records_max` were acknowledged. Batches under way at the
    /// end are waited for; what is acknowledged of them then does not count.
    pub fn run(&mut self, length: Duration, records_max: u64) -> Result<Run, Fault> {
        let begin = Instant::now();
        let end = begin + length;
        let mut run = Run::default();
        let mut active = self.publishers.len();
        for index in 0..self.publishers.len() {
            self.start(index)?;
        }
        let mut events = Events::with_capacity(1_024);
        let mut counted_until = begin;
        while active > 0 {
            self.poll.poll(&mut events, Some(ANSWER_MAX))?;
            if events.is_empty() {
                return Err("a batch was not acknowledged in time".into());
            }
            for event in &events {
                let index = event.token().0;
                self.write(index)?;
                let (count, is_whole) = self.read(index)?;
                if count == 0 {
                    continue;
                }
                let now = Instant::now();
                let is_over = now >= end || run.records >= records_max;
                if !is_over {
                    run.records += count;
                    counted_until = now;
                }
                if !is_whole {
                    continue;
                }
                self.measure(index, now, &mut run);
                match is_over {
                    true => active -= 1,
                    false => self.start(index)?,
                }
            }
        }
        run.seconds = (counted_until - begin).as_secs_f64();
        Ok(run)
    }

    fn measure(&self, index: usize, now: Instant, run: &mut Run) {
        if let Some(publisher) = self.publishers.get(index) {
            run.latency_ms.add((now - publisher.begun).as_secs_f64() * 1e3);
        }
    }

    fn start(&mut self, index: usize) -> Result<(), Fault> {
        if let Some(publisher) = self.publishers.get_mut(index) {
            publisher.dialect.make_next();
            publisher.written = 0;
            publisher.acknowledged = 0;
            publisher.begun = Instant::now();
        }
        self.write(index)
    }

    fn write(&mut self, index: usize) -> Result<(), Fault> {
        let Some(publisher) = self.publishers.get_mut(index) else {
            return Ok(());
        };
        while let Some(rest @ [_, ..]) = publisher.dialect.batch().get(publisher.written..) {
            match publisher.socket.write(rest) {
                Ok(count) => publisher.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How many records were acknowledged, and whether these were the last of the batch.
    fn read(&mut self, index: usize) -> Result<(u64, bool), Fault> {
        let Some(publisher) = self.publishers.get_mut(index) else {
            return Ok((0, false));
        };
        let before = publisher.acknowledged;
        loop {
            match publisher.socket.read(&mut self.buffer) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    publisher.acknowledged += publisher.dialect.take(bytes)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let count = (publisher.acknowledged - before) as u64;
        self.acknowledged += count;
        Ok((count, publisher.acknowledged >= self.records_per_batch))
    }
}
