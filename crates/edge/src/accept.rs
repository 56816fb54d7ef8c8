//! Admission, before anything is read: how fast and how many. One acceptor per listener; what it
//! lets in goes to the shards in turn.

use crate::config::{Accept, ms};
use crate::origins::{Origins, network};
use crate::shard::mailbox::{Mailbox, Message};
use port::{AddressHeld, Addresses, Code, Refusal, metric};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use stdx::Clock;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// After an error of the system (no more file descriptors), accepting rests.
const REST: Duration = Duration::from_millis(50);
/// How often a port in use is tried again at the start of several processes.
const LEAVE_TRIES: u32 = 40;
/// What a client that is turned away should wait at least; twice as long at most.
const AWAY: Duration = Duration::from_secs(5);

/// A socket that was let in.
pub struct Accepted {
    pub socket: TcpStream,
    pub address: SocketAddr,
    /// Which of the faces answers.
    pub face: usize,
    pub permit: Permit,
    /// Where sessions that share this connection find places of their own.
    pub places: Places,
}

/// One of a listener's connections; dropping it makes room for another.
pub struct Permit {
    taken: Arc<AtomicU32>,
    /// Where connections are counted by address.
    _held: Option<AddressHeld>,
}

/// What has no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Listener,
    Address,
}

impl Full {
    /// The setting that says so, as the metric's label.
    pub fn setting(self) -> &'static str {
        match self {
            Full::Listener => "connections_max",
            Full::Address => "connections_per_address_max",
        }
    }

    pub fn refusal(self) -> Refusal {
        let why = match self {
            Full::Listener => "the server has as many connections as it takes",
            Full::Address => "your address has as many connections as it may have",
        };
        Refusal::new(Code::Overloaded, why).retry_around(AWAY)
    }
}

/// The places for connections of one listener, as one client finds them.
#[derive(Clone)]
pub struct Places {
    taken: Arc<AtomicU32>,
    connections_max: u32,
    /// Whose they are counted as, where addresses are bounded.
    client: Option<IpAddr>,
    per_address_max: u32,
    origins: Arc<Origins>,
    /// Who counts addresses instead, where other processes serve the port, too.
    elsewhere: Option<Arc<dyn Addresses>>,
}

impl Places {
    fn new(limits: &Accept, elsewhere: Option<Arc<dyn Addresses>>) -> Places {
        Places {
            taken: Arc::default(),
            connections_max: limits.connections_max,
            client: None,
            per_address_max: limits.connections_per_address_max,
            origins: Arc::default(),
            elsewhere,
        }
    }

    fn of(&self, client: IpAddr) -> Places {
        let client = Some(client).filter(|_| self.per_address_max > 0);
        Places { client, ..self.clone() }
    }

    /// Waits only where addresses are counted by another process.
    pub async fn take(&self) -> Result<Permit, Full> {
        let (Some(elsewhere), Some(client)) = (&self.elsewhere, self.client) else {
            return self.take_here();
        };
        let mut permit = self.seat()?;
        let held = elsewhere.hold(network(client), self.per_address_max).await;
        let held = held.map_err(|refusal| {
            tracing::debug!(%refusal, "whether the address has room is not known");
            Full::Listener
        })?;
        permit._held = Some(held.ok_or(Full::Address)?);
        Ok(permit)
    }

    fn is_counted_elsewhere(&self) -> bool {
        self.elsewhere.is_some() && self.client.is_some()
    }

    fn take_here(&self) -> Result<Permit, Full> {
        let mut permit = self.seat()?;
        if let Some(client) = self.client {
            let held = self.origins.hold(client, self.per_address_max).ok_or(Full::Address)?;
            permit._held = Some(Box::new(held));
        }
        Ok(permit)
    }

    fn seat(&self) -> Result<Permit, Full> {
        let before = self.taken.fetch_add(1, Ordering::AcqRel);
        let permit = Permit { taken: Arc::clone(&self.taken), _held: None };
        if before >= self.connections_max { Err(Full::Listener) } else { Ok(permit) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A token bucket in its GCRA form (ITU-T I.371): one number, no timer.
#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    burst: Duration,
    /// When the bucket is full again.
    full_at: Duration,
}

impl Bucket {
    pub fn new(per_second: u32, burst: u32) -> Bucket {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Bucket { interval, burst: interval * burst.max(1), full_at: Duration::ZERO }
    }

    /// Takes a token, or tells how long there is none.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let next = self.full_at.max(now) + self.interval;
        let ahead = next - now;
        if ahead > self.burst {
            return Err(ahead - self.burst);
        }
        self.full_at = next;
        Ok(())
    }
}

/// Binds and listens, so that clients can connect before anybody accepts.
pub fn bind(address: SocketAddr, backlog_max: u32, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(address, sharing)?;
    socket.listen(i32::try_from(backlog_max).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whether other processes listen at the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    Alone,
    Shared,
}

fn bound(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old connections' last packets.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Looks whether the address is free, and holds it for processes that will share it. Nobody can
/// connect to what is only held.
pub fn hold(address: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    // A listener that shares would be let in beside another server that shares.
    let alone = bind(address, 1, Sharing::Alone);
    let free = match alone {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => wait_for(address)?,
        other => other?,
    };
    let address = free.local_addr()?;
    drop(free);
    Ok((bound(address, Sharing::Shared)?, address))
}

/// Processes of a server that was killed see its end at once, and leave the port a moment later.
fn wait_for(address: SocketAddr) -> io::Result<TcpListener> {
    for _ in 0..LEAVE_TRIES {
        std::thread::sleep(REST);
        match bind(address, 1, Sharing::Alone) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    bind(address, 1, Sharing::Alone)
}

pub struct Acceptor {
    pub name: &'static str,
    pub face: usize,
    pub limits: Accept,
    pub per_second_max: u32,
    pub clock: Arc<dyn Clock>,
    pub shards: Arc<[Arc<Mailbox>]>,
    /// Whoever is turned away can be told so in plain HTTP.
    pub is_plain_http: bool,
    /// Who counts the connections of addresses, if others serve the port, too.
    pub addresses: Option<Arc<dyn Addresses>>,
}

impl Acceptor {
    /// Accepts until `stop` becomes true.
    pub async fn run(
        self,
        listener: TcpListener,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut bucket = Bucket::new(self.per_second_max, self.limits.burst_max);
        let places = Places::new(&self.limits, self.addresses.clone());
        let acceptor = Arc::new(self);
        let mut turn = 0;
        // Sockets of which it is asked whether they have a place: no more than there are places.
        let mut asking = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted.and_then(|(socket, address)| Ok((socket.into_std()?, address))) {
                Ok((socket, address)) => {
                    turn = (turn + 1) % acceptor.shards.len().max(1);
                    let places = places.of(address.ip());
                    acceptor.admit(socket, address, places, turn, &mut asking);
                }
                Err(error) if is_of_peer(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, listener = acceptor.name, "cannot accept");
                    refused("accept_error");
                    tokio::time::sleep(REST).await;
                }
            }
            while asking.try_join_next().is_some() {}
            while let Err(wait) = bucket.take(acceptor.clock.monotonic()) {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return Ok(()),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    fn admit(
        self: &Arc<Self>,
        socket: TcpStream,
        address: SocketAddr,
        places: Places,
        shard: usize,
        asking: &mut JoinSet<()>,
    ) {
        metrics::counter!(metric::CONNECTIONS_ACCEPTED, "listener" => self.name).increment(1);
        if !places.is_counted_elsewhere() {
            let taken = places.take_here();
            return self.let_in(socket, address, places, taken, shard);
        }
        let acceptor = Arc::clone(self);
        asking.spawn(async move {
            let taken = places.take().await;
            acceptor.let_in(socket, address, places, taken, shard);
        });
    }

    fn let_in(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        places: Places,
        taken: Result<Permit, Full>,
        shard: usize,
    ) {
        let permit = match taken {
            Ok(permit) => permit,
            Err(full) => {
                refused(full.setting());
                return turn_away(socket, self.is_plain_http, &full.refusal());
            }
        };
        // Small messages must not wait for the peer's acknowledgements (RFC 896).
        let _ = socket.set_nodelay(true);
        // A peer that is gone, or has closed its window for good, is found by the kernel.
        let stall = ms(self.limits.stall_ms_max);
        let _ = socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(stall));
        if let Some(shard) = self.shards.get(shard) {
            let face = self.face;
            shard.post(Message::Socket(Accepted { socket, address, face, permit, places }));
        }
    }
}

pub fn refused(reason: &'static str) {
    metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => reason).increment(1);
}

/// The client was gone before it was accepted; nothing is wrong with us.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// One attempt to say why: nobody here waits for a client that is not let in.
fn turn_away(mut socket: TcpStream, is_plain_http: bool, refusal: &Refusal) {
    if !is_plain_http {
        return;
    }
    let _ = socket.write(&crate::http::bare::answer(503, refusal, None));
    let _ = socket.shutdown(std::net::Shutdown::Write);
}
