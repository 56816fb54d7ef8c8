//! Many sockets on one epoll set. An idle one costs its place in a table; the buffers are those of
//! the thread.

use crate::Fault;
use crate::dialect::{Dialect, Heard, Line};
use crate::order::Plan;
use crate::pace::now_ns;
use crate::stream::{Stream, Trust};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const BUFFER_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 1_024;
/// What a connection may have to say and the server does not take.
const OUT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a connection may hold of a message that is not whole.
const TAIL_BYTES_MAX: usize = 128 * 1024 * 1024;
const WAKER: Token = Token(usize::MAX);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Connecting,
    Talking,
    Ready,
    Ended,
}

/// What an event has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    Nothing,
    /// The connection is subscribed, or let in, from now on.
    Ready,
    Ended(String),
}

pub struct Link {
    pub line: Line,
    pub phase: Phase,
    /// When it was to be opened.
    pub due_ns: u64,
    pub is_paused: bool,
    /// There may be something to read that nobody has read.
    is_unread: bool,
    socket: Option<Stream>,
    tail: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// Where to, and as whom.
#[derive(Clone, Default)]
pub struct Route {
    pub server: Option<SocketAddr>,
    pub sources: Vec<IpAddr>,
    pub receive_bytes: u32,
    /// `None` speaks plain text.
    pub trust: Option<Trust>,
}

impl Route {
    pub fn of(plan: &Plan) -> Result<Route, Fault> {
        Ok(Route {
            server: Some(plan.server),
            sources: plan.sources.clone(),
            receive_bytes: plan.receive_bytes,
            trust: plan.tls_name.as_deref().map(Trust::system).transpose()?,
        })
    }
}

pub struct Links {
    pub links: Vec<Link>,
    route: Route,
    poll: Poll,
    buffer: Vec<u8>,
}

impl Links {
    pub fn new(route: Route) -> Result<Links, Fault> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        Ok(Links { links: Vec::new(), route, poll, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Ends a wait from another thread.
    pub fn waker(&self) -> Result<Arc<Waker>, Fault> {
        let waker = Waker::new(self.poll.registry(), WAKER);
        waker.map(Arc::new).map_err(|error| error.to_string())
    }

    pub fn reroute(&mut self, route: Route) {
        self.route = route;
    }

    pub fn add(&mut self, number: u32, stream: u32) {
        self.links.push(Link {
            line: Line { number, stream, ..Line::default() },
            phase: Phase::Idle,
            due_ns: 0,
            is_paused: false,
            is_unread: false,
            socket: None,
            tail: Vec::new(),
            out: Vec::new(),
            sent: 0,
        });
    }

    /// The connections that something happened to.
    pub fn wait(&mut self, limit: Duration, touched: &mut Vec<usize>) -> Result<(), Fault> {
        touched.clear();
        let mut events = Events::with_capacity(EVENTS_MAX);
        match self.poll.poll(&mut events, Some(limit)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
        touched.extend(
            events
                .iter()
                .map(|event| event.token())
                .filter(|&one| one != WAKER)
                .map(|token| token.0),
        );
        Ok(())
    }

    /// Begins a connection.
    pub fn connect(&mut self, index: usize, due_ns: u64) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(index) else { return Ok(()) };
        link.line.begin_again();
        link.tail = Vec::new();
        link.out = Vec::new();
        link.sent = 0;
        link.due_ns = due_ns;
        link.is_unread = false;
        let mut socket = connect(&self.route, link.line.number)
            .map_err(|error| format!("connecting: {error}"))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, Token(index), interest);
        registered.map_err(|error| error.to_string())?;
        link.socket = Some(Stream::new(socket, self.route.trust.as_ref())?);
        link.phase = Phase::Connecting;
        Ok(())
    }

    /// Resets a connection, so that not even its port remains.
    pub fn cut(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if let Some(mut stream) = link.socket.take() {
            let socket = stream.socket();
            let _ = socket2::SockRef::from(&*socket).set_linger(Some(Duration::ZERO));
        }
        link.phase = Phase::Idle;
    }

    /// Serves one connection: goes on writing, and reads all there is.
    pub fn serve(&mut self, index: usize, dialect: &dyn Dialect, heard: &mut Heard) -> Turn {
        let Some(link) = self.links.get_mut(index) else { return Turn::Nothing };
        let outcome = link.serve(dialect, heard, &mut self.buffer);
        match outcome {
            Ok(()) if heard.is_ready && link.phase == Phase::Talking => {
                link.phase = Phase::Ready;
                Turn::Ready
            }
            Ok(()) => Turn::Nothing,
            Err(why) => {
                link.socket = None;
                link.phase = Phase::Ended;
                Turn::Ended(why)
            }
        }
    }

    /// Says something on a connection, as far as the socket takes it.
    pub fn say(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Line, &mut Vec<u8>),
    ) -> Result<(), Fault> {
        let Some(link) = self.links.get_mut(index) else { return Ok(()) };
        act(&mut link.line, &mut link.out);
        if link.out.len() > OUT_BYTES_MAX {
            return Err(format!("the server left {OUT_BYTES_MAX} bytes of one connection unread"));
        }
        link.write().map_err(|error| error.to_string())
    }

    /// The first `count` stop reading, or all go on.
    pub fn pause(&mut self, count: usize) {
        for link in self.links.iter_mut().take(count) {
            link.is_paused = true;
        }
    }

    pub fn resume(&mut self) -> Vec<usize> {
        let mut unread = Vec::new();
        for (index, link) in self.links.iter_mut().enumerate() {
            if std::mem::take(&mut link.is_paused) && link.is_unread {
                unread.push(index);
            }
        }
        unread
    }
}

impl Link {
    fn serve(
        &mut self,
        dialect: &dyn Dialect,
        heard: &mut Heard,
        buffer: &mut [u8],
    ) -> Result<(), String> {
        heard.is_ready = false;
        let Some(stream) = &mut self.socket else { return Ok(()) };
        if self.phase == Phase::Connecting {
            let socket = stream.socket();
            if let Ok(Some(error)) = socket.take_error() {
                return Err(error.to_string());
            }
            if socket.peer_addr().is_err() {
                return Ok(());
            }
            let _ = socket.set_nodelay(true);
            self.phase = Phase::Talking;
            dialect.begin(&mut self.line, &mut self.out);
        }
        self.write().map_err(|error| error.to_string())?;
        if self.is_paused {
            self.is_unread = true;
            return Ok(());
        }
        self.is_unread = false;
        loop {
            let Some(socket) = &mut self.socket else { return Ok(()) };
            match socket.read(buffer) {
                Ok(0) => return Err("the server ended the connection".to_owned()),
                Ok(count) => {
                    heard.now_ns = now_ns();
                    heard.tally.bytes += count as u64;
                    self.hear(dialect, heard, buffer.get(..count).unwrap_or_default())?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        self.write().map_err(|error| error.to_string())
    }

    fn hear(
        &mut self,
        dialect: &dyn Dialect,
        heard: &mut Heard,
        bytes: &[u8],
    ) -> Result<(), String> {
        if self.tail.is_empty() {
            let taken = dialect.hear(&mut self.line, bytes, heard, &mut self.out)?;
            self.tail.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            return Ok(());
        }
        self.tail.extend_from_slice(bytes);
        let taken = dialect.hear(&mut self.line, &self.tail, heard, &mut self.out)?;
        if taken >= self.tail.len() {
            self.tail = Vec::new();
        } else {
            self.tail.drain(..taken);
        }
        if self.tail.len() > TAIL_BYTES_MAX {
            return Err("a message does not end".to_owned());
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        while let Some(left @ [_, ..]) = self.out.get(self.sent..) {
            match socket.write(left) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        socket.flush()?;
        self.sent = 0;
        if self.phase == Phase::Ready {
            self.out.clear();
        } else {
            self.out = Vec::new();
        }
        Ok(())
    }
}

fn connect(route: &Route, number: u32) -> io::Result<TcpStream> {
    let server = route.server.ok_or(ErrorKind::NotConnected)?;
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if route.receive_bytes > 0 {
        socket.set_recv_buffer_size(route.receive_bytes as usize)?;
    }
    let turn = number as usize % route.sources.len().max(1);
    if let Some(source) = route.sources.get(turn) {
        socket.bind(&SockAddr::from(SocketAddr::new(*source, 0)))?;
    }
    match socket.connect(&SockAddr::from(server)) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
