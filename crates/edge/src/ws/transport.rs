//! What is under a WebSocket, as non-blocking reads and writes: a socket, plain or TLS, or one
//! stream of an HTTP/2 connection (RFC 8441). The rustls connection is owned here and not behind a
//! stream type, so that what is sealed but not yet written is bounded and known. An own epoll set
//! could take this place without other changes.

use crate::http::carrier::Seat;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls::ServerConnection;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Sealed bytes waiting for the socket; more plain text is not taken.
const SEALED_BYTES_MAX: usize = 64 * 1024;

/// What one write gives to an HTTP/2 stream at most. hyper holds two writes, and what the client's
/// window refuses of a third, outside of what we count as waiting.
const STREAM_WRITE_BYTES_MAX: usize = 16 * 1024;

pub enum Transport {
    Plain(TcpStream),
    Tls(Box<Tls>),
    Stream(Box<Stream>),
}

/// A stream of an HTTP/2 connection that hyper drives. Unlike a socket it tells nobody that it is
/// ready: who was refused is woken.
pub struct Stream {
    io: TokioIo<Upgraded>,
    _seat: Seat,
}

pub struct Tls {
    socket: TcpStream,
    connection: ServerConnection,
}

/// rustls reads and writes through std's traits.
struct NonBlocking<'a>(&'a TcpStream);

impl Read for NonBlocking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for NonBlocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport {
    pub fn tls(socket: TcpStream, mut connection: ServerConnection) -> Transport {
        connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Transport::Tls(Box::new(Tls { socket, connection }))
    }

    pub fn stream(upgraded: Upgraded, seat: Seat) -> Transport {
        Transport::Stream(Box::new(Stream { io: TokioIo::new(upgraded), _seat: seat }))
    }

    fn socket(&self) -> Option<&TcpStream> {
        match self {
            Transport::Plain(socket) => Some(socket),
            Transport::Tls(tls) => Some(&tls.socket),
            Transport::Stream(_) => None,
        }
    }

    /// Some bytes, 0 at the end of the stream, or `WouldBlock`. On a stream without a socket
    /// `waker` then hears when there is something.
    pub fn try_read(&mut self, waker: &Waker, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.try_read(buffer),
            Transport::Tls(tls) => tls.read(buffer),
            Transport::Stream(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                let cx = &mut Context::from_waker(waker);
                let read = Pin::new(&mut stream.io).poll_read(cx, &mut buffer);
                at_once(read).map(|()| buffer.filled().len())
            }
        }
    }

    /// Takes some bytes, or answers `WouldBlock`. On a stream without a socket `waker` then hears
    /// when there is room.
    pub fn try_write(&mut self, waker: &Waker, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (_, []) => Ok(0),
            (Transport::Stream(stream), [bytes, ..]) => {
                let bytes = &bytes[..bytes.len().min(STREAM_WRITE_BYTES_MAX)];
                let cx = &mut Context::from_waker(waker);
                at_once(Pin::new(&mut stream.io).poll_write(cx, bytes))
            }
            (Transport::Plain(socket), [bytes]) => socket.try_write(bytes),
            (Transport::Plain(socket), slices) => socket.try_write_vectored(slices),
            (Transport::Tls(tls), slices) => tls.write(slices),
        }
    }

    /// Whether bytes that were taken wait inside; `flush` moves them on.
    pub fn is_holding(&self) -> bool {
        match self {
            Transport::Plain(_) | Transport::Stream(_) => false,
            Transport::Tls(tls) => tls.connection.wants_write(),
        }
    }

    /// `true` when nothing taken is held any more.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Transport::Plain(_) | Transport::Stream(_) => Ok(true),
            Transport::Tls(tls) => tls.flush(),
        }
    }

    /// After a read that would block.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().map_or(Poll::Pending, |socket| socket.poll_read_ready(cx))
    }

    /// After a write that would block.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().map_or(Poll::Pending, |socket| socket.poll_write_ready(cx))
    }

    /// Nothing will be written any more; the peer reads the end of the stream.
    pub fn finish(&mut self, waker: &Waker) {
        match self {
            Transport::Plain(_) => {}
            Transport::Tls(tls) => {
                tls.connection.send_close_notify();
                let _ = tls.flush();
            }
            // What hyper still holds is sent before the end.
            Transport::Stream(stream) => {
                let cx = &mut Context::from_waker(waker);
                let _ = Pin::new(&mut stream.io).poll_shutdown(cx);
            }
        }
        if let Some(socket) = self.socket() {
            let _ = socket2::SockRef::from(socket).shutdown(Shutdown::Write);
        }
    }
}

fn at_once<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A stream cut without the closing alert ends all the same: messages are framed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                outcome => return outcome,
            }
            if self.connection.read_tls(&mut NonBlocking(&self.socket))? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.connection.process_new_packets() {
                // The alert that tells the peer why.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.connection.wants_write() && !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write_vectored(slices)?;
        self.flush()?;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut NonBlocking(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
