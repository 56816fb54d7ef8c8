//! The socket while hyper has it. It stays ours: hyper reads and writes through a handle, and when
//! hyper gives up, or the connection becomes a WebSocket, we take the socket back.

use super::bare::Bare;
use crate::accept::Permit;
use crate::ws::transport::Transport;
use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub fn into_transport(self) -> Transport {
        match self {
            Stream::Plain(socket) => Transport::Plain(socket),
            Stream::Tls(stream) => {
                let (socket, connection) = stream.into_inner();
                Transport::tls(socket, connection)
            }
        }
    }
}

/// How much is known of what the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Nothing,
    /// HTTP/1 as far as seen, since the last answer.
    Http1,
    /// The preface of HTTP/2 has begun; words of HTTP/1 would not be understood.
    Http2,
}

struct Held {
    stream: Option<Stream>,
    permit: Option<Permit>,
    spoken: Spoken,
    /// hyper's own answer, which was not written: ours will be.
    bare: Option<Bare>,
}

/// A handle; clones share the socket. Everything happens on one thread, so the lock never waits.
#[derive(Clone)]
pub struct IoHandle(Arc<Mutex<Held>>);

impl IoHandle {
    pub fn new(stream: Stream, permit: Permit) -> IoHandle {
        let (stream, permit) = (Some(stream), Some(permit));
        IoHandle(Arc::new(Mutex::new(Held { stream, permit, spoken: Spoken::Nothing, bare: None })))
    }

    /// Takes the socket away from hyper.
    pub fn take(&self) -> Option<(Stream, Permit)> {
        let mut held = self.0.lock();
        held.stream.take().zip(held.permit.take())
    }

    pub fn spoken(&self) -> Spoken {
        self.0.lock().spoken
    }

    pub fn bare(&self) -> Option<Bare> {
        self.0.lock().bare
    }

    fn with<T>(
        &self,
        act: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.0.lock().stream {
            Some(stream) => act(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncRead for IoHandle {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.with(|stream| stream.poll_read(cx, buffer));
        let new = buffer.filled().get(before..).unwrap_or_default();
        if let Some(&first) = new.first() {
            let mut held = self.0.lock();
            // No method of HTTP/1 that we serve begins as the preface does (RFC 9113 section 3.4).
            if held.spoken == Spoken::Nothing {
                let is_preface = first == b'P' && !matches!(new.get(1), Some(b'O' | b'U' | b'A'));
                held.spoken = if is_preface { Spoken::Http2 } else { Spoken::Http1 };
            }
        }
        poll
    }
}

impl AsyncWrite for IoHandle {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        {
            let mut held = self.0.lock();
            if let Some(bare) = Bare::find(bytes) {
                held.bare = Some(bare);
                return Poll::Ready(Ok(bytes.len()));
            }
            if held.spoken == Spoken::Http1 {
                held.spoken = Spoken::Nothing;
            }
        }
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bare().is_some() {
            return Poll::Ready(Ok(()));
        }
        self.with(|stream| stream.poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0.lock().stream {
            Some(Stream::Plain(socket)) => socket.is_write_vectored(),
            Some(Stream::Tls(stream)) => stream.is_write_vectored(),
            None => false,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices.iter().filter(|slice| !slice.is_empty()).count() {
            0 | 1 => {
                let only = slices.iter().find(|slice| !slice.is_empty());
                self.poll_write(cx, only.map_or(&[], |slice| slice))
            }
            _ => {
                let mut held = self.0.lock();
                if held.spoken == Spoken::Http1 {
                    held.spoken = Spoken::Nothing;
                }
                drop(held);
                self.with(|stream| stream.poll_write_vectored(cx, slices))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, slices),
        }
    }
}
