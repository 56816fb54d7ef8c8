//! Brings one subscription from where it stands to live, at the pace of its connection: a bounded
//! read from the log, pushed while there is room, then the next. One pump per lagging
//! subscription; it ends when the subscription is live or gone.

use super::index::SubscriptionKey;
use super::mailbox::unpack;
use super::state::{Mode, State};
use crate::refusal::refusal_of;
use eventlog::{Engine, LogError};
use port::{Delivery, Event, Room};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use types::filter::KeyPart;
use types::{Key, Offset, Partition, TopicId};

pub type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// One read of a pump: large enough to make disk reads worth it, small enough that ten thousand
/// lagging readers hold little.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Events pushed between two looks at the rest of the world.
const PUSHES_PER_STEP: usize = 256;

enum Step {
    Done,
    Read { topic: TopicId, partition: Partition, from: Offset },
}

pub async fn run(state: Rc<RefCell<State>>, engine: Arc<dyn Engine>, key: SubscriptionKey) {
    push_latest(&state, &*engine, key).await;
    loop {
        if !room(&state, key).await {
            return;
        }
        let step = next_step(&mut state.borrow_mut(), key);
        let (topic, partition, from) = match step {
            Step::Done => return,
            Step::Read { topic, partition, from } => (topic, partition, from),
        };
        match engine.read(topic, partition, from, READ_BYTES_MAX).await {
            Ok(batches) => {
                let mut records = VecDeque::new();
                if let Some(followed) = state.borrow().topics.get(&topic) {
                    for batch in &batches {
                        records.extend(unpack(&followed.topic, partition, batch));
                    }
                }
                let end = batches.last().map_or(from, |batch| batch.next_offset());
                if batches.is_empty() {
                    // What lies before `seen` belongs to transactions that were given up.
                    pass(&mut state.borrow_mut(), key, (topic, partition));
                    continue;
                }
                drop(batches);
                if records.is_empty() {
                    let mut state = state.borrow_mut();
                    let to = state.seen(topic, partition).unwrap_or(end).max(end);
                    skip(&mut state, key, (topic, partition), to);
                    continue;
                }
                push_all(&state, key, (topic, partition), records).await;
            }
            Err(LogError::OffsetGone { start }) => {
                skip(&mut state.borrow_mut(), key, (topic, partition), start);
            }
            Err(error) => {
                let why = refusal_of(error);
                state.borrow_mut().end(key, &why);
                return;
            }
        }
    }
}

/// Waits for room at the sink; `false` when the subscription is gone.
async fn room(state: &RefCell<State>, key: SubscriptionKey) -> bool {
    let Some(sink) = state.borrow().get(key).map(|it| Arc::clone(&it.sink)) else {
        return false;
    };
    std::future::poll_fn(|cx| sink.poll_room(cx)).await;
    true
}

/// The partition that lags furthest comes first; one that lags nowhere goes live.
fn next_step(state: &mut State, key: SubscriptionKey) -> Step {
    let Some(Mode::Lagging(lag)) = state.get(key).map(|it| &it.mode) else {
        return Step::Done;
    };
    let furthest = lag
        .iter()
        .filter_map(|(&(topic, partition), &next)| {
            let behind = state.seen(topic, partition)?.checked_sub(next)?;
            (behind > 0).then_some((behind, topic, partition, next))
        })
        .max_by_key(|&(behind, ..)| behind);
    if let Some((_, topic, partition, from)) = furthest {
        return Step::Read { topic, partition, from };
    }
    let is_live = state.try_go_live(key);
    debug_assert!(is_live, "nothing lags, so the subscription is live");
    if let Some(subscription) = state.get_mut(key)
        && !subscription.is_caught_up_told
    {
        subscription.is_caught_up_told = true;
        let _ = subscription.sink.push(subscription.tag, Event::CaughtUp);
        state.count_pumped(1);
    }
    Step::Done
}

/// Why a step of pushing ended.
enum Pushed {
    /// All records, or all that the shard has seen, are dealt with.
    Done,
    /// The subscription is gone, or live.
    Over,
    /// The connection is full.
    Full,
    /// It was others' turn.
    Paused,
}

/// Pushes what the subscription wants of these records, up to what the shard has seen.
async fn push_all(
    state: &Rc<RefCell<State>>,
    key: SubscriptionKey,
    at: (TopicId, Partition),
    mut records: VecDeque<Arc<Delivery>>,
) {
    loop {
        if !room(state, key).await {
            return;
        }
        match push_some(&mut state.borrow_mut(), key, at, &mut records) {
            Pushed::Done | Pushed::Over => return,
            // A connection that waits long must not hold much: it is cheaper to read again.
            Pushed::Full if bytes_of(&records) > READ_BYTES_MAX => return,
            Pushed::Full | Pushed::Paused => {}
        }
        // Others on this thread get their turn between two steps.
        tokio::task::yield_now().await;
    }
}

fn bytes_of(records: &VecDeque<Arc<Delivery>>) -> usize {
    records.iter().map(|delivery| delivery.record.size()).sum()
}

fn push_some(
    state: &mut State,
    key: SubscriptionKey,
    at: (TopicId, Partition),
    records: &mut VecDeque<Arc<Delivery>>,
) -> Pushed {
    let Some(seen) = state.seen(at.0, at.1) else {
        return Pushed::Over;
    };
    let mut pushed = 0;
    let outcome = loop {
        let Some(delivery) = records.front().filter(|delivery| delivery.offset < seen) else {
            break Pushed::Done;
        };
        if pushed >= PUSHES_PER_STEP {
            break Pushed::Paused;
        }
        let Some(subscription) = state.get_mut(key) else {
            break Pushed::Over;
        };
        let Mode::Lagging(lag) = &mut subscription.mode else {
            break Pushed::Over;
        };
        let Some(next) = lag.get_mut(&at) else {
            break Pushed::Over;
        };
        let is_due = delivery.offset >= *next;
        *next = (*next).max(delivery.offset + 1);
        let mut room = Room::Free;
        if is_due && subscription.wants(delivery) {
            pushed += 1;
            room = subscription.push(delivery);
        }
        records.pop_front();
        if room == Room::Full {
            break Pushed::Full;
        }
    };
    state.count_pumped(pushed);
    outcome
}

/// Moves over offsets that no record has, up to what the shard has seen.
fn pass(state: &mut State, key: SubscriptionKey, at: (TopicId, Partition)) {
    let Some(seen) = state.seen(at.0, at.1) else {
        return;
    };
    if let Some(subscription) = state.get_mut(key)
        && let Mode::Lagging(lag) = &mut subscription.mode
        && let Some(next) = lag.get_mut(&at)
    {
        *next = (*next).max(seen);
    }
}

/// Moves over records that are gone, and says so.
fn skip(state: &mut State, key: SubscriptionKey, at: (TopicId, Partition), to: Offset) {
    let Some(subscription) = state.get_mut(key) else {
        return;
    };
    let Mode::Lagging(lag) = &mut subscription.mode else {
        return;
    };
    let Some(next) = lag.get_mut(&at) else {
        return;
    };
    let from = *next;
    *next = to.max(from + 1);
    // Nobody who asked for the earliest record there is misses those before it.
    if from > 0 || subscription.is_caught_up_told {
        let gap = Event::Gap { topic: at.0, partition: at.1, from, to: *next };
        let _ = subscription.sink.push(subscription.tag, gap);
        state.count_pumped(1);
    }
}

/// The newest record of an exact key, when the subscription asked for it first.
async fn push_latest(state: &Rc<RefCell<State>>, engine: &dyn Engine, key: SubscriptionKey) {
    let wanted = {
        let state = state.borrow();
        let Some(subscription) = state.get(key) else {
            return;
        };
        let (true, KeyPart::Exact(exact)) = (subscription.latest_first, &subscription.filter.key)
        else {
            return;
        };
        let Ok(wanted) = Key::new(exact.as_bytes().to_vec()) else {
            return;
        };
        let [topic] = subscription.topics[..] else {
            return;
        };
        state.topics.get(&topic).map(|followed| (Arc::clone(&followed.topic), wanted))
    };
    let Some((topic, wanted)) = wanted else {
        return;
    };
    let partition = eventlog::partition_of(Some(&wanted), topic.partitions(), 0);
    let Ok(Some(found)) = engine.latest(topic.id, partition, wanted).await else {
        return;
    };
    let mut state = state.borrow_mut();
    let Some(subscription) = state.get(key) else {
        return;
    };
    // What lies at or after its position comes by itself.
    let Mode::Lagging(lag) = &subscription.mode else {
        return;
    };
    if lag.get(&(topic.id, partition)).is_some_and(|&next| found.offset < next) {
        let origin = Arc::clone(&topic.origin);
        let delivery =
            Delivery::new(origin, partition, found.offset, found.timestamp, found.record);
        let _ = subscription.push(&Arc::new(delivery));
        state.count_pumped(1);
    }
}
