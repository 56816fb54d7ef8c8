//! The subscriptions of one edge thread. Live ones are fed from the append itself by walking the
//! index; the others are *pumped* from the log until they have caught up, and join the live ones
//! in the same step, so that no record falls between the two and none is in both.
//!
//! ```text
//! append -> mailbox -> walk: record x matching live subscriptions -> Sink::push
//!                        |  Full: leave the index, remember the position
//!                        v
//!                      pump: Sink::poll_room -> Engine::read -> push up to `seen` -> live again
//! ```
//! `seen` is, per partition, the first offset the shard has not walked yet. A pump never passes
//! it, and a walk never starts before it: whoever stands at `seen` in every partition is live.

mod delta;
pub mod history;
mod hold;
mod index;
pub mod mailbox;
mod pump;
pub mod shape;
mod state;
mod walk;

#[cfg(test)]
pub use index::KeyIndex;
pub use index::SubscriptionKey;

use futures_util::stream::{FuturesUnordered, StreamExt};
use history::History;
use mailbox::{Mailbox, Message};
use metrics::Histogram;
use port::ShardId;
use pump::Pump;
use state::State;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stdx::Clock;
use walk::Walk;

/// Takers served in a turn when no other walk waits. Nothing more would gather for them, and what
/// is written right after it was pushed is still in the processor's cache.
const ALONE_TAKERS_MAX: usize = 128;

pub struct HubShard {
    mailbox: Arc<Mailbox>,
    history: Arc<dyn History>,
    state: Rc<RefCell<State>>,
    pumps: FuturesUnordered<Pump>,
    waiting: VecDeque<Message>,
    /// The walk under way, and when the oldest of its records was acknowledged.
    walk: Option<(Walk, Duration)>,
    clock: Arc<dyn Clock>,
    delivery_seconds: Histogram,
}

impl HubShard {
    pub fn new(
        id: ShardId,
        mailbox: Arc<Mailbox>,
        history: Arc<dyn History>,
        clock: Arc<dyn Clock>,
    ) -> HubShard {
        HubShard {
            mailbox,
            history,
            state: Rc::new(RefCell::new(State::new(id))),
            pumps: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            walk: None,
            clock,
            delivery_seconds: metrics::histogram!(port::metric::DELIVERY_SECONDS),
        }
    }

    /// What a walk leaves to be done for a subscription.
    fn follow_up(&mut self, next: walk::Next) {
        match next {
            walk::Next::Pump(key) => self.start_pump(key),
            walk::Next::Timer(key, timer) => {
                let (state, history) = (Rc::clone(&self.state), Arc::clone(&self.history));
                self.pumps.push(Box::pin(pump::wait(state, history, key, timer)));
            }
        }
    }

    fn start_pump(&mut self, key: SubscriptionKey) {
        let state = Rc::clone(&self.state);
        let history = Arc::clone(&self.history);
        self.pumps.push(Box::pin(pump::run(state, history, key)));
    }

    /// Answers how many events the pumps pushed. One call polls a bounded number of them.
    fn poll_pumps(&mut self, cx: &mut Context<'_>) -> usize {
        while let Poll::Ready(Some(())) = self.pumps.poll_next_unpin(cx) {}
        self.state.borrow_mut().take_pumped()
    }

    /// Handles one message; a walk it begins is worked off by the caller.
    fn handle(&mut self, message: Message) {
        match message {
            Message::Published(first) => {
                let mut batches = vec![first];
                walk::gather(&mut batches, &mut self.waiting);
                let at = batches[0].at;
                let walk = Walk::begin(&mut self.state.borrow_mut(), &batches);
                self.walk = walk.map(|walk| (walk, at));
            }
            Message::Attach(mut attach) => {
                let lost = std::mem::take(&mut attach.lost);
                let key = self.state.borrow_mut().attach(*attach);
                if let Some(key) = key {
                    self.state.borrow_mut().tell_lost(key, &lost);
                    self.start_pump(key);
                }
            }
            Message::Missed { topic, partition, next } => {
                let lagging = self.state.borrow_mut().missed(topic, partition, next);
                lagging.into_iter().for_each(|key| self.start_pump(key));
            }
            Message::Detach(key) => self.state.borrow_mut().detach(key),
            Message::TopicCreated(topic) => {
                let woken = self.state.borrow_mut().topic_created(&topic);
                woken.into_iter().for_each(|key| self.start_pump(key));
            }
            Message::Forbidden(which, why) => self.state.borrow_mut().forbid(&which, &why),
            Message::TopicEnded(id, why) => self.state.borrow_mut().topic_ended(id, &why),
            // For branches, which are not shards.
            Message::News(_) => {}
        }
    }
}

impl port::Shard for HubShard {
    fn poll_turn(&mut self, cx: &mut Context<'_>, budget: usize) -> Poll<()> {
        let mut pushed = 0;
        loop {
            if let Some((walk, at)) = &mut self.walk {
                let budget = match self.waiting.is_empty() && self.mailbox.is_empty() {
                    true => budget.min(ALONE_TAKERS_MAX * walk.len().max(1)),
                    false => budget,
                };
                let next = walk.advance(&mut self.state.borrow_mut(), &mut pushed, budget);
                if walk.is_done() {
                    let took = self.clock.monotonic().saturating_sub(*at);
                    self.delivery_seconds.record(took.as_secs_f64());
                    self.walk = None;
                }
                next.into_iter().for_each(|next| self.follow_up(next));
                if pushed >= budget {
                    // Those who lag get their share of a busy thread too.
                    self.poll_pumps(cx);
                    return Poll::Ready(());
                }
                continue;
            }
            if let Some(message) = self.waiting.pop_front() {
                self.handle(message);
                continue;
            }
            match self.mailbox.poll_take(cx) {
                Poll::Ready(messages) => {
                    self.waiting.extend(messages);
                    continue;
                }
                Poll::Pending => {}
            }
            break;
        }
        // Pumps last: those who keep up go before those who lag.
        let fed = self.poll_pumps(cx);
        if pushed + fed > 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
