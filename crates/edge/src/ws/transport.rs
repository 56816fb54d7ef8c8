//! The socket under a WebSocket, plain or TLS, as non-blocking reads and writes. The rustls
//! connection is owned here and not behind a stream type, so that what is sealed but not yet
//! written is bounded and known. An own epoll set could take this place without other changes.

use rustls::ServerConnection;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Sealed bytes waiting for the socket; more plain text is not taken.
const SEALED_BYTES_MAX: usize = 64 * 1024;

pub enum Transport {
    Plain(TcpStream),
    Tls(Box<Tls>),
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

    fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => &tls.socket,
        }
    }

    /// Some bytes, 0 at the end of the stream, or `WouldBlock`.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.try_read(buffer),
            Transport::Tls(tls) => tls.read(buffer),
        }
    }

    /// Takes some bytes, or answers `WouldBlock`.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.try_write(bytes),
            Transport::Tls(tls) => tls.write(bytes),
        }
    }

    /// Whether bytes that were taken wait inside; `flush` moves them on.
    pub fn is_holding(&self) -> bool {
        match self {
            Transport::Plain(_) => false,
            Transport::Tls(tls) => tls.connection.wants_write(),
        }
    }

    /// `true` when nothing taken is held any more.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Transport::Plain(_) => Ok(true),
            Transport::Tls(tls) => tls.flush(),
        }
    }

    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_read_ready(cx)
    }

    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(cx)
    }

    /// Nothing will be written any more; the peer reads the end of the stream.
    pub fn finish(&mut self) {
        if let Transport::Tls(tls) = self {
            tls.connection.send_close_notify();
            let _ = tls.flush();
        }
        let _ = socket2::SockRef::from(self.socket()).shutdown(Shutdown::Write);
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

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.connection.wants_write() && !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.connection.writer().write(bytes)?;
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
