//! The yardstick for fan-out and idle memory: one thread, one epoll set, and one `write` per
//! subscriber. It knows just enough of WebSocket to be connected to, and checks nothing.

use benches::fanout::{FanOut, measure, raise_file_limit};
use clap::Parser;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:9080")]
    listen: SocketAddr,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    #[arg(long, default_value_t = 128)]
    bytes: usize,
}

const LISTENER: Token = Token(usize::MAX);
/// Our client does not check the accept key.
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
      upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct Bare {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    sockets: Vec<TcpStream>,
    open: usize,
    /// Bytes a socket did not take: part of its stream, sent when it can be written again.
    tails: std::collections::HashMap<usize, Vec<u8>>,
    frame: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bare {
    fn new(arguments: &Arguments) -> std::io::Result<Bare> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(arguments.listen)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let payload = vec![b'x'; arguments.bytes];
        let mut frame = match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => vec![0x81, short],
            _ => {
                let [high, low] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
                vec![0x81, 126, high, low]
            }
        };
        frame.extend_from_slice(&payload);
        Ok(Bare {
            poll,
            events: Events::with_capacity(1_024),
            listener,
            sockets: Vec::new(),
            open: 0,
            tails: Default::default(),
            frame,
            buffer: vec![0; 64 * 1024],
        })
    }

    fn accept(&mut self) {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let _ = socket.set_nodelay(true);
            let token = Token(self.sockets.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut socket, token, interest).is_ok() {
                self.sockets.push(socket);
            }
        }
    }

    fn on_socket(&mut self, index: usize) {
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        while let Ok(count @ 1..) = socket.read(&mut self.buffer) {
            if self.buffer[..count].ends_with(b"\r\n\r\n") && socket.write(SWITCH).is_ok() {
                self.open += 1;
            }
        }
        if let Some(tail) = self.tails.remove(&index) {
            self.write(index, &tail);
        }
    }

    fn write(&mut self, index: usize, mut bytes: &[u8]) {
        if let Some(tail) = self.tails.get_mut(&index) {
            return tail.extend_from_slice(bytes);
        }
        let Some(socket) = self.sockets.get_mut(index) else {
            return;
        };
        while !bytes.is_empty() {
            match socket.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.tails.insert(index, bytes.to_vec());
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

impl FanOut for Bare {
    fn subscribers(&self) -> usize {
        self.open
    }

    fn publish(&mut self, frames: usize) {
        let bytes = self.frame.repeat(frames);
        for index in 0..self.sockets.len() {
            self.write(index, &bytes);
        }
    }

    fn run(&mut self, until: Instant) {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
            let outcome = self.poll.poll(&mut events, Some(left));
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(index) => self.on_socket(index),
                }
            }
            self.events = events;
            if outcome.is_err() || left.is_zero() {
                return;
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    raise_file_limit();
    let arguments = Arguments::parse();
    let mut server = Bare::new(&arguments)?;
    let report = measure("bare epoll and write", &mut server, arguments.connections);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
