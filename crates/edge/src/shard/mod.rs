//! One edge thread: its connections, its buffers, its timers. Everything in here stays on the
//! thread; others reach it through the mailbox.

pub mod mailbox;
pub mod run;
pub mod slots;

use crate::accounts::Accounts;
use crate::edge::World;
use crate::face::Face;
use crate::ws::connection::{Connection, Parts, tidy_wire};
use crate::ws::deflate::{Deflater, Inflater};
use crate::{Config, config::ms};
use bytes::BytesMut;
use mailbox::Mailbox;
use port::{Hub, ShardId, Wire};
use slots::{SlotId, Slots};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stdx::wheel::Wheel;
use tokio::sync::watch;

/// One read takes so much at most. The buffer is the shard's, not the connection's.
const CHUNK_BYTES: usize = 64 * 1024;
const WHEEL_SLOTS: usize = 512;
const TICK_MS_MIN: u64 = 5;
const TICK_MS_MAX: u64 = 250;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Shard>>> = const { RefCell::new(None) };
}

/// The shard of this thread, if it is an edge thread.
pub fn current() -> Option<Rc<Shard>> {
    CURRENT.with_borrow(Clone::clone)
}

pub struct Shard {
    pub id: ShardId,
    pub config: Arc<Config>,
    pub hub: Arc<dyn Hub>,
    pub world: World,
    pub mailbox: Arc<Mailbox>,
    pub faces: Arc<[Face]>,
    pub accounts: Arc<Accounts>,
    pub wheel: RefCell<Wheel<SlotId>>,
    /// Becomes `true` when the node goes down.
    pub draining: watch::Sender<bool>,
    /// Connections that are served and are not WebSockets.
    pub served: Cell<usize>,
    slots: RefCell<Slots>,
    dirty: RefCell<VecDeque<Rc<Connection>>>,
    /// Places given up whose connections are not buried yet.
    graves: RefCell<VecDeque<SlotId>>,
    waiting_bytes: Cell<usize>,
    /// Writes of this turn: what threads share is touched once per turn, not once per write.
    written: Cell<u64>,
    /// Writes to the WebSockets of the whole edge.
    writes: Arc<AtomicU64>,
    writes_metric: metrics::Counter,
    wire: Cell<Wire>,
    chunk: Cell<Vec<u8>>,
    message: Cell<BytesMut>,
    deflater: Cell<Option<Deflater>>,
    inflater: Cell<Option<Inflater>>,
    request_seed: Cell<u64>,
}

/// What a shard is made of.
pub struct Seed {
    pub id: ShardId,
    pub config: Arc<Config>,
    pub hub: Arc<dyn Hub>,
    pub world: World,
    pub mailbox: Arc<Mailbox>,
    pub faces: Arc<[Face]>,
    pub accounts: Arc<Accounts>,
    pub writes: Arc<AtomicU64>,
}

/// How often the wheel is turned: fine enough for the keepalive, and never so fine that an idle
/// server is kept awake.
pub fn tick(config: &Config) -> Duration {
    ms((config.web_socket.keepalive_ms / 64).clamp(TICK_MS_MIN, TICK_MS_MAX))
}

impl Shard {
    fn new(seed: Seed) -> Shard {
        let now = seed.world.clock.monotonic();
        Shard {
            wheel: RefCell::new(Wheel::new(tick(&seed.config), WHEEL_SLOTS, now)),
            request_seed: Cell::new(seed.world.rng.next_u64()),
            id: seed.id,
            config: seed.config,
            hub: seed.hub,
            world: seed.world,
            mailbox: seed.mailbox,
            faces: seed.faces,
            accounts: seed.accounts,
            written: Cell::new(0),
            writes: seed.writes,
            writes_metric: metrics::counter!(port::metric::WEB_SOCKET_WRITES),
            draining: watch::Sender::new(false),
            served: Cell::new(0),
            slots: RefCell::default(),
            dirty: RefCell::default(),
            graves: RefCell::default(),
            waiting_bytes: Cell::new(0),
            wire: Cell::default(),
            chunk: Cell::default(),
            message: Cell::default(),
            deflater: Cell::default(),
            inflater: Cell::default(),
        }
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// A place for a connection whose upgrade is not through yet.
    pub fn reserve(&self, parts: Option<Parts>) -> Option<Rc<Connection>> {
        self.slots.borrow_mut().insert(|slot| Connection::new(self, slot, parts))
    }

    pub fn connection(&self, slot: SlotId) -> Option<Rc<Connection>> {
        self.slots.borrow().get(slot)
    }

    /// Gives a place up. What is there is dropped in one of the next turns.
    pub fn remove(&self, slot: SlotId) {
        self.graves.borrow_mut().push_back(slot);
        self.mailbox.wake();
    }

    /// Drops up to so many of those who gave their places up; `false` when none is left. To close
    /// a socket and to end what its session follows takes longer than most messages do: when
    /// thousands are cut at once, those who are still there are served in between.
    fn bury(&self, count: usize) -> bool {
        for _ in 0..count {
            let Some(slot) = self.graves.borrow_mut().pop_front() else {
                return false;
            };
            let removed = self.slots.borrow_mut().remove(slot);
            if let Some(connection) = removed {
                let corpse = connection.bury(self);
                drop(corpse);
            }
        }
        !self.graves.borrow().is_empty()
    }

    pub fn web_sockets(&self) -> usize {
        self.slots.borrow().len()
    }

    fn all(&self) -> Vec<Rc<Connection>> {
        self.slots.borrow().all()
    }

    pub fn mark_dirty(&self, connection: Rc<Connection>) {
        self.dirty.borrow_mut().push_back(connection);
    }

    /// Writes what up to `count` touched connections have gathered; `false` when none is left.
    fn flush_dirty(&self, count: usize) -> bool {
        for _ in 0..count {
            let Some(connection) = self.dirty.borrow_mut().pop_front() else {
                return false;
            };
            connection.flush(self);
        }
        !self.dirty.borrow().is_empty()
    }

    /// Whether anything was gathered that is not written.
    fn has_dirty(&self) -> bool {
        !self.dirty.borrow().is_empty()
    }

    pub fn count_writes(&self, writes: u32) {
        self.written.set(self.written.get() + u64::from(writes));
    }

    /// The end of a turn, or of what a connection did by itself.
    pub fn tell_writes(&self) {
        let written = self.written.take();
        if written > 0 {
            self.writes.fetch_add(written, Ordering::Relaxed);
            self.writes_metric.increment(written);
        }
    }

    /// Counts a change of one connection's waiting bytes into the total, which it answers.
    pub fn recount(&self, before: usize, after: usize) -> usize {
        let total = (self.waiting_bytes.get() + after).saturating_sub(before);
        self.waiting_bytes.set(total);
        total
    }

    /// The scratch buffers are taken out while they are used, so that a call inside a call finds
    /// an empty one instead of a borrowed one.
    pub fn take_wire(&self) -> Wire {
        self.wire.take()
    }

    pub fn put_wire(&self, wire: Wire) {
        self.wire.set(tidy_wire(wire));
    }

    pub fn take_chunk(&self) -> Vec<u8> {
        let mut chunk = self.chunk.take();
        chunk.resize(CHUNK_BYTES, 0);
        chunk
    }

    pub fn put_chunk(&self, chunk: Vec<u8>) {
        self.chunk.set(chunk);
    }

    pub fn take_message(&self) -> BytesMut {
        let mut message = self.message.take();
        message.clear();
        message
    }

    pub fn put_message(&self, message: BytesMut) {
        self.message.set(message);
    }

    pub fn take_deflater(&self) -> Deflater {
        let level = || self.config.web_socket.compression.as_ref().map_or(1, |it| it.level);
        self.deflater.take().unwrap_or_else(|| Deflater::new(level()))
    }

    pub fn put_deflater(&self, deflater: Deflater) {
        self.deflater.set(Some(deflater));
    }

    pub fn take_inflater(&self) -> Inflater {
        self.inflater.take().unwrap_or_default()
    }

    pub fn put_inflater(&self, inflater: Inflater) {
        self.inflater.set(Some(inflater));
    }

    /// A number no other request of this process has, and hardly one of another process.
    pub fn request_number(&self) -> u64 {
        let next = self.request_seed.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.request_seed.set(next);
        // The finalizer of splitmix64 (Steele, Lea and Flood, 2014): a bijection, so that
        // consecutive numbers look unlike each other and still never repeat.
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
