//! The yardstick of `peers`: one thread, one epoll set, one `write` per subscriber and turn. It
//! speaks the little protocol of `rivals/plain.rs` and knows just enough of WebSocket for it: the
//! load masks with zero, and nothing is checked, stored or answered for.

use benches::fanout::raise_file_limit;
use clap::Parser;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4_096;
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
      upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
}

#[derive(Default)]
struct Peer {
    socket: Option<TcpStream>,
    is_upgraded: bool,
    input: Vec<u8>,
    /// What the socket did not take.
    tail: Vec<u8>,
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Peer>,
    rooms: HashMap<Vec<u8>, Vec<usize>>,
    /// Frames of this turn, by room.
    turn: HashMap<Vec<u8>, Vec<u8>>,
    buffer: Vec<u8>,
}

impl Relay {
    fn new(listen: SocketAddr) -> std::io::Result<Relay> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(listen),
            socket2::Type::STREAM,
            None,
        )?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (peers, rooms, turn) = Default::default();
        Ok(Relay { poll, listener, peers, rooms, turn, buffer: vec![0; 256 * 1024] })
    }

    fn run(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(index) => self.on_peer(index),
                }
            }
            for (room, frames) in std::mem::take(&mut self.turn) {
                for place in 0..self.rooms.get(&room).map_or(0, Vec::len) {
                    if let Some(&index) = self.rooms.get(&room).and_then(|room| room.get(place)) {
                        self.write(index, &frames);
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let _ = socket.set_nodelay(true);
            let token = Token(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut socket, token, interest).is_ok() {
                self.peers.push(Peer { socket: Some(socket), ..Peer::default() });
            }
        }
    }

    fn on_peer(&mut self, index: usize) {
        let tail = self.peers.get_mut(index).map(|peer| std::mem::take(&mut peer.tail));
        if let Some(tail) = tail.filter(|tail| !tail.is_empty()) {
            self.write(index, &tail);
        }
        loop {
            let Some(peer) = self.peers.get_mut(index) else { return };
            let Some(socket) = &mut peer.socket else { return };
            match socket.read(&mut self.buffer) {
                Ok(count @ 1..) => {
                    peer.input.extend_from_slice(self.buffer.get(..count).unwrap_or_default());
                    self.hear(index);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    peer.socket = None;
                    return;
                }
            }
        }
    }

    fn hear(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if !peer.is_upgraded {
            let Some(end) = memchr::memmem::find(&peer.input, b"\r\n\r\n") else { return };
            peer.input.drain(..end + 4);
            peer.is_upgraded = true;
            self.write(index, SWITCH);
        }
        let Some(peer) = self.peers.get_mut(index) else { return };
        let input = std::mem::take(&mut peer.input);
        let mut taken = 0;
        while let Some((head, bytes)) = client_frame(input.get(taken..).unwrap_or_default()) {
            let text = input.get(taken + head..taken + head + bytes).unwrap_or_default();
            taken += head + bytes;
            self.on_text(index, text);
        }
        if let Some(peer) = self.peers.get_mut(index) {
            peer.input = input.get(taken..).unwrap_or_default().to_vec();
        }
    }

    fn on_text(&mut self, index: usize, text: &[u8]) {
        if let Some(room) = text.strip_prefix(b"+") {
            self.rooms.entry(room.to_vec()).or_default().push(index);
            self.write(index, &[0x81, 2, b'o', b'k']);
        } else if let Some(space) = memchr::memchr(b' ', text) {
            let (room, value) = text.split_at(space);
            let frames = self.turn.entry(room.to_vec()).or_default();
            let value = value.get(1..).unwrap_or_default();
            match u8::try_from(value.len()) {
                Ok(short @ 0..126) => frames.extend_from_slice(&[0x81, short]),
                _ => {
                    frames.extend_from_slice(&[0x81, 126]);
                    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
                    frames.extend_from_slice(&length.to_be_bytes());
                }
            }
            frames.extend_from_slice(value);
        }
    }

    fn write(&mut self, index: usize, mut bytes: &[u8]) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        if !peer.tail.is_empty() {
            return peer.tail.extend_from_slice(bytes);
        }
        let Some(socket) = &mut peer.socket else { return };
        while !bytes.is_empty() {
            match socket.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    peer.tail = bytes.to_vec();
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

/// Head and payload length of a client's frame, if it is all there.
fn client_frame(input: &[u8]) -> Option<(usize, usize)> {
    let (head, bytes) = match (input.get(1)? & 0x7F, input) {
        (short @ 0..126, _) => (6, usize::from(short)),
        (126, [_, _, high, low, ..]) => (8, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return None,
    };
    (input.len() >= head + bytes).then_some((head, bytes))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    raise_file_limit();
    Ok(Relay::new(Arguments::parse().listen)?.run()?)
}
