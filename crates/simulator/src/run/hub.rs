//! The hub in a run: the real node over the driven log, its shard turned by hand. It ends with the
//! process and is started again after the log is open.

use super::consuming::Worker;
use super::following::Follower;
use super::waiting::{Appending, Waiting};
use super::{Broken, Outcome, Run};
use crate::checks::Moment;
use crate::draw::Draw;
use crate::plan::{HubStep, Size};
use crate::platform::{Control, Tee};
use ::hub::{Node, Options, Parts, PresenceSettings, TenantLimits, World};
use eventlog::{Engine, LogError};
use port::{Hub as _, Identity, Refusal, Shard, ShardId};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use stdx::{Clock, Rng};
use tokio::sync::Notify;
use types::TopicId;

pub const SHARD: ShardId = ShardId(0);
/// Turns of a call of the hub at most.
const TURNS_MAX: usize = 400;
/// How long the database's threads are waited for at a time, and how often before everything is
/// looked at again: how slow they are must not change the run.
const BELL_WAIT: Duration = Duration::from_millis(2);
const BELL_WAITS_MAX: usize = 500;
/// How often tasks get their turn at a time.
const TASK_TURNS: usize = 4;
/// Groups before a call: what others wait for is written first.
const COMMITS_MAX: u64 = 64;

/// What stands around the node.
pub struct Desk {
    pub control: Rc<Control>,
    pub running: Option<Running>,
    pub followers: BTreeMap<u64, Follower>,
    pub workers: BTreeMap<u64, Worker>,
}

pub struct Running {
    pub node: Arc<Node>,
    pub shard: Box<dyn Shard>,
    pub who: Identity,
}

/// A call of the hub.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

/// Rings when a call can go on.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Desk {
    pub fn set_up() -> Desk {
        Desk {
            control: Rc::new(Control::open()),
            running: None,
            followers: BTreeMap::new(),
            workers: BTreeMap::new(),
        }
    }

    pub fn topic(&self, number: u64) -> Option<(types::TopicName, TopicId)> {
        let index = (number % self.control.template.topics.len().max(1) as u64) as usize;
        self.control.template.topics.get(index).map(|(name, spec)| (name.clone(), spec.id))
    }
}

impl Run {
    pub(super) fn hub(&mut self, step: &HubStep) -> Outcome {
        match step {
            HubStep::Publish { seed } => self.publish_to_hub(*seed),
            HubStep::Follow { who, seed } => self.follow(*who, *seed),
            HubStep::Take { who, count } => self.take_from(*who, *count),
            HubStep::Leave { who } => self.leave(*who),
            HubStep::Turn { budget } => {
                self.turn(*budget);
                Ok(())
            }
            HubStep::Fetch { consumer, count } => self.fetch(*consumer, *count),
            HubStep::Settle { consumer, seed } => self.settle(*consumer, *seed),
        }
    }

    /// The log is open and looked at: a node stands on it now.
    pub(super) fn start_hub(&mut self) -> Outcome {
        let (Some(desk), Some(live)) = (&mut self.desk, &self.live) else { return Ok(()) };
        let control = Rc::clone(&desk.control);
        let clock: Arc<dyn Clock> = self.machine.clock.clone();
        let rng: Arc<dyn Rng> = self.machine.hub_rng();
        let engine = Tee { log: Arc::clone(&live.log), witness: Arc::clone(&live.witness) };
        let starting = Node::start(Parts {
            engine: Arc::new(engine),
            tenancy: Arc::clone(&control.tenancy),
            authenticator: Arc::clone(&control.authenticator),
            cursor_key: control.secrets.cursor_key(),
            world: World { clock, rng },
            options: Options {
                shards: 1,
                branches: 0,
                auto_create_topics: false,
                reconnect_ms_max: 1_000,
                presence: PresenceSettings::default(),
                tenants: TenantLimits::default(),
            },
        });
        let started = control.runtime.block_on(starting);
        let started = started.and_then(|node| Ok((control.prove(&node)?, node)));
        match started {
            Ok((who, node)) => {
                let shard = node.shard(SHARD);
                desk.running = Some(Running { node, shard, who });
                Ok(())
            }
            Err(refusal) => self.hub_trouble("the hub does not start", &refusal),
        }
    }

    /// The process ends: connections and leases with it.
    pub(super) fn stop_hub(&mut self) {
        let Some(desk) = &mut self.desk else { return };
        desk.followers.values_mut().for_each(Follower::disconnect);
        desk.workers.values_mut().for_each(Worker::forget);
        desk.running = None;
    }

    pub(super) fn hub_trouble(&mut self, what: &str, refusal: &Refusal) -> Outcome {
        self.counts.hub_refusals += 1;
        let code = refusal.code();
        self.trace.line(format!("  {what}: {} {}", code.name(), refusal.message()));
        match code {
            port::Code::StorageFailed | port::Code::LogDamaged | port::Code::Internal => {
                self.trouble(what, &LogError::Failed(refusal.message().to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn node(&self) -> Option<(Arc<Node>, Identity)> {
        let running = self.desk.as_ref()?.running.as_ref()?;
        Some((Arc::clone(&running.node), running.who.clone()))
    }

    pub(super) fn turn(&mut self, budget: usize) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        let Some(running) = &mut desk.running else { return false };
        let _entered = desk.control.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        running.shard.poll_turn(&mut context, budget).is_ready()
    }

    /// Writes what others wait for; whether nothing waits any more.
    pub(super) fn is_quiet(&mut self) -> Result<bool, Broken> {
        self.commit(COMMITS_MAX)?;
        let health = self.with_log(Engine::health);
        let is_quiet = health.is_some_and(|health| health.pending_bytes == 0 && health.is_writable);
        Ok(is_quiet && !self.machine.disk.is_crashed())
    }

    /// Works until the call is answered: commits what it appends, turns the shard it asks, waits
    /// for the database. `None` when power went meanwhile.
    pub(super) fn answer<T>(
        &mut self,
        mut call: Call<T>,
    ) -> Result<Option<Result<T, Refusal>>, Broken> {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        for _ in 0..TURNS_MAX {
            let polled = {
                let Some(desk) = &self.desk else { return Ok(None) };
                let _entered = desk.control.runtime.enter();
                call.as_mut().poll(&mut Context::from_waker(&waker))
            };
            if let Poll::Ready(answer) = polled {
                return Ok(Some(answer));
            }
            let before = self.machine.disk.changes();
            self.run_tasks();
            // What waits before the call's own message may be much.
            (0..TURNS_MAX).any(|_| !self.turn(64));
            self.commit(1)?;
            if self.machine.disk.is_crashed() {
                return Ok(None);
            }
            if self.machine.disk.changes() == before {
                self.wait_for(&bell);
            }
        }
        let health = self.with_log(Engine::health);
        let lines = self.trace.lines();
        let last = &lines[lines.len().saturating_sub(6)..];
        let text = format!("a call of the hub is never answered: {health:?}, after {last:?}");
        Err(Broken { checker: "the hub answers", text })
    }

    /// Lets the database's threads go on until the bell rings, or something else is to be done:
    /// what a task of the hub appends, or asks of the shard, rings no bell.
    fn wait_for(&mut self, bell: &Bell) {
        let pending = |run: &Run| run.with_log(|log| log.health().pending_bytes);
        let before = pending(self);
        for _ in 0..BELL_WAITS_MAX {
            let Some(desk) = &self.desk else { return };
            let rings = async { tokio::time::timeout(BELL_WAIT, bell.0.notified()).await.is_ok() };
            if desk.control.runtime.block_on(rings) || pending(self) != before || self.turn(64) {
                return;
            }
        }
    }

    /// Lets tasks of the hub go on that have something to do.
    fn run_tasks(&self) {
        let Some(desk) = &self.desk else { return };
        desk.control.runtime.block_on(async {
            for _ in 0..TASK_TURNS {
                tokio::task::yield_now().await;
            }
        });
    }

    fn publish_to_hub(&mut self, seed: u64) -> Outcome {
        let draw = Draw::new(seed);
        let Some((_, topic)) = self.desk.as_ref().and_then(|desk| desk.topic(draw.below(3))) else {
            return Ok(());
        };
        let partitions = self.machine.spec(topic).map_or(1, |spec| spec.config.partitions);
        let place = (topic, draw.below(u64::from(partitions)) as u32);
        let size = if draw.one_in(12) { Size::Large } else { Size::Small };
        let now = self.machine.clock.now_ms();
        let (numbers, records) = self.book.make(place, seed, draw.between(1, 6), size, now);
        let Some(answer) = self.with_log(|log| log.append(place.0, place.1, records)) else {
            return Ok(());
        };
        self.tell_early(place, &numbers)?;
        self.waiting.push(Waiting::Append(Appending { place, numbers, answer }));
        self.hear(Moment::AtOnce)?;
        self.collect(Moment::AtOnce)
    }

    /// At the end of a run everything is given to everybody.
    pub(super) fn finish_hub(&mut self) -> Outcome {
        if self.desk.as_ref().is_none_or(|desk| desk.running.is_none()) {
            return Ok(());
        }
        self.finish_following()?;
        self.finish_consuming()
    }
}
