//! Holds many WebSockets and counts what comes. One thread and one epoll set; it checks no accept
//! key and speaks no protocol: what is to be said after the upgrade is given as text.

use benches::Fault;
use benches::fanout::{cpu, raise_file_limit, rss_bytes};
use benches::pipe::{Pipe, trusting};
use benches::ws::{Counter, Seen, frame};
use clap::Parser;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Path and query, with `access_token` where one is needed.
    #[arg(long, default_value = "/v1/ws")]
    path: String,
    #[arg(long)]
    subprotocol: Option<String>,
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// New connections per second.
    #[arg(long, default_value_t = 2_000)]
    connect_rate: usize,
    /// Connects over TLS, whatever certificate the server has.
    #[arg(long)]
    tls: bool,
    /// Text messages to send after the upgrade, in order.
    #[arg(long)]
    send: Vec<String>,
    /// Ends after so many seconds, or when the server has ended all connections.
    #[arg(long, default_value_t = 3_600)]
    seconds: u64,
    /// Prints what came so far every so many milliseconds, a line each; 0 only at the end.
    #[arg(long, default_value_t = 0)]
    report_ms: u64,
}

#[derive(Debug, Default, Clone, Serialize)]
struct Report {
    connected: usize,
    refused: usize,
    ended: usize,
    connect_seconds: f64,
    messages: u64,
    payload_bytes: u64,
    pings: u64,
    cpu_seconds: f64,
    rss_bytes: u64,
}

struct Connection {
    socket: TcpStream,
    pipe: Pipe,
    state: State,
}

enum State {
    Connecting,
    /// Waits for the end of the answer's head; what has come of it.
    Asked(Vec<u8>),
    Open(Counter),
    Ended,
}

struct Load {
    arguments: Arguments,
    poll: Poll,
    connections: Vec<Connection>,
    request: Vec<u8>,
    words: Vec<u8>,
    seen: Seen,
    report: Report,
    buffer: Vec<u8>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Load {
    fn new(arguments: Arguments) -> Result<Load, Fault> {
        let subprotocol = match &arguments.subprotocol {
            Some(name) => format!("sec-websocket-protocol: {name}\r\n"),
            None => String::new(),
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {subprotocol}\r\n",
            arguments.path, arguments.address,
        );
        let words = arguments.send.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
        Ok(Load {
            request: request.into_bytes(),
            words,
            connections: Vec::with_capacity(arguments.connections),
            tls: if arguments.tls { Some(trusting()?) } else { None },
            arguments,
            poll: Poll::new()?,
            seen: Seen::default(),
            report: Report::default(),
            buffer: vec![0; 256 * 1024],
        })
    }

    fn connect(&mut self) -> Result<(), Fault> {
        let mut socket = TcpStream::connect(self.arguments.address)?;
        let token = Token(self.connections.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, token, interest)?;
        let pipe = self.tls.as_ref().map_or(Ok(Pipe::Plain), Pipe::tls)?;
        self.connections.push(Connection { socket, pipe, state: State::Connecting });
        Ok(())
    }

    fn run(&mut self) -> Result<(), Fault> {
        let mut events = Events::with_capacity(4_096);
        let every = Some(self.arguments.report_ms).filter(|ms| *ms > 0).map(Duration::from_millis);
        let begin = Instant::now();
        let mut told = begin;
        let end = begin + Duration::from_secs(self.arguments.seconds);
        while Instant::now() < end {
            let due = begin.elapsed().as_secs_f64() * self.arguments.connect_rate as f64;
            let due = (due as usize + 1).min(self.arguments.connections);
            while self.connections.len() < due {
                self.connect()?;
            }
            let is_growing = due < self.arguments.connections;
            let wait = Duration::from_millis(if is_growing { 1 } else { 1_000 });
            self.poll.poll(&mut events, Some(wait.min(every.unwrap_or(wait))))?;
            if every.is_some_and(|every| told.elapsed() >= every) {
                told = Instant::now();
                println!("{}", serde_json::to_string(&self.report_now())?);
            }
            for event in &events {
                self.on_event(event.token().0);
            }
            let through = self.report.connected + self.report.refused;
            if through == self.arguments.connections && self.report.connect_seconds == 0.0 {
                self.report.connect_seconds = begin.elapsed().as_secs_f64();
                eprintln!("{} connected, {} refused", self.report.connected, self.report.refused);
            }
            if self.report.ended == self.arguments.connections {
                break;
            }
        }
        Ok(())
    }

    fn report_now(&self) -> Report {
        Report {
            messages: self.seen.messages,
            payload_bytes: self.seen.payload_bytes,
            pings: self.seen.pings,
            cpu_seconds: cpu().as_secs_f64(),
            rss_bytes: rss_bytes(),
            ..self.report.clone()
        }
    }

    fn on_event(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if matches!(connection.state, State::Connecting) {
            let is_through = connection.socket.peer_addr().is_ok()
                && connection.pipe.write(&mut connection.socket, &self.request).is_ok();
            if is_through {
                let _ = connection.socket.set_nodelay(true);
                connection.state = State::Asked(Vec::new());
            } else if connection.socket.take_error().ok().flatten().is_some() {
                self.end(index);
                return;
            }
        }
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return;
            };
            match connection.pipe.read(&mut connection.socket, &mut self.buffer) {
                Ok(0) => return self.end(index),
                Ok(count) => self.on_bytes(index, count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::NotConnected => return,
                Err(_) => return self.end(index),
            }
        }
    }

    fn on_bytes(&mut self, index: usize, count: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let bytes = &self.buffer[..count];
        match &mut connection.state {
            State::Open(counter) => {
                let pings = self.seen.pings;
                counter.take(bytes, &mut self.seen);
                for _ in pings..self.seen.pings {
                    let _ = connection.pipe.write(&mut connection.socket, &frame(0x8A, b""));
                }
            }
            State::Asked(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return;
                };
                if !head.starts_with(b"HTTP/1.1 101 ") {
                    if self.report.refused == 0 {
                        eprintln!("{}", String::from_utf8_lossy(head));
                    }
                    self.report.refused += 1;
                    return self.end(index);
                }
                let mut counter = Counter::default();
                counter.take(&head[end + 4..], &mut self.seen);
                let _ = connection.pipe.write(&mut connection.socket, &self.words);
                connection.state = State::Open(counter);
                self.report.connected += 1;
            }
            State::Connecting | State::Ended => {}
        }
    }

    fn end(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if !matches!(connection.state, State::Ended) {
            connection.state = State::Ended;
            let _ = self.poll.registry().deregister(&mut connection.socket);
            self.report.ended += 1;
        }
    }
}

fn main() -> Result<(), Fault> {
    raise_file_limit();
    let mut load = Load::new(Arguments::parse())?;
    load.run()?;
    println!("{}", serde_json::to_string(&load.report_now())?);
    Ok(())
}
