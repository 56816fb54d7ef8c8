//! The yardstick for fan-out and idle memory: one thread, one epoll set, and one `write` per
//! subscriber. It knows just enough of WebSocket to be connected to, and checks nothing.

use benches::fanout::{FanOut, measure, raise_file_limit};
use clap::Parser;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

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
    /// Measures nothing, but gives every subscriber as many frames as each line of the standard
    /// input says: for a bench that measures several servers the same way.
    #[arg(long)]
    driven: bool,
}

/// Lines read and not yet obeyed.
const LINES_WAITING_MAX: usize = 16;
const WAKER: Token = Token(usize::MAX - 1);
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

    /// Waits for something to happen, and does what that asks for.
    fn step(&mut self, wait: Option<Duration>) -> std::io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let outcome = self.poll.poll(&mut events, wait);
        for event in &events {
            match event.token() {
                LISTENER => self.accept(),
                WAKER => {}
                Token(index) => self.on_socket(index),
            }
        }
        self.events = events;
        outcome
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
            if self.step(Some(left)).is_err() || left.is_zero() {
                return;
            }
        }
    }
}

/// Serves, and publishes what the lines say, until there are none any more.
fn drive(server: &mut Bare) -> std::io::Result<()> {
    let lines = lines(Waker::new(server.poll.registry(), WAKER)?);
    loop {
        server.step(None)?;
        loop {
            match lines.try_recv() {
                Ok(frames) => server.publish(frames),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

/// Reads the standard input on a thread of its own, which wakes the loop for each line.
fn lines(waker: Waker) -> Receiver<usize> {
    let (sender, lines) = sync_channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let frames = line.trim().parse().unwrap_or(0);
            if sender.send(frames).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        let _ = waker.wake();
    });
    lines
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    raise_file_limit();
    let arguments = Arguments::parse();
    let mut server = Bare::new(&arguments)?;
    if arguments.driven {
        return Ok(drive(&mut server)?);
    }
    let report = measure("bare epoll and write", &mut server, arguments.connections);
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
