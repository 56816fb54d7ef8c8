//! Brings one subscription from where it stands to live, at the pace of its connection: a bounded
//! read from the log, pushed while there is room, then the next. One pump per lagging
//! subscription; it ends when the subscription is live or gone.

use super::history::History;
use super::index::SubscriptionKey;
use super::mailbox::unpack;
use super::shape::{Item, Offered, Timer, count_left_out};
use super::state::{Lag, Mode, State, rewind};
use crate::branch::Unread;
use port::{Delivery, Event, Loss, Room};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::Instant;
use types::filter::KeyPart;
use types::{Key, Offset, Partition, TopicId};

pub type Pump = Pin<Box<dyn Future<Output = ()>>>;

/// One read of a pump: large enough to make disk reads worth it, small enough that ten thousand
/// lagging readers hold little.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Events pushed between two looks at the rest of the world.
const PUSHES_PER_STEP: usize = 256;

/// A subscription that waits for credits keeps so much of what was read for it; it is cheaper to
/// read the rest again.
const KEPT_BYTES_MAX: usize = 16 * 1024;

enum Step {
    Done,
    /// The connection is full: to be asked again when it has room.
    Again,
    /// Live again, and holding records back.
    Wait(Timer),
    Read {
        topic: TopicId,
        partition: Partition,
        from: Offset,
    },
}

pub async fn run(state: Rc<RefCell<State>>, history: Arc<dyn History>, key: SubscriptionKey) {
    if let Wait::Gone = room(&state, key).await {
        return;
    }
    push_latest(&state, &*history, key).await;
    loop {
        if let Wait::Gone = room(&state, key).await {
            return;
        }
        let step = next_step(&mut state.borrow_mut(), key);
        let (topic, partition, from) = match step {
            Step::Done => return,
            Step::Again => continue,
            Step::Wait(timer) => match window(&state, key, timer).await {
                Window::Closed => return,
                Window::Demoted => continue,
            },
            Step::Read { topic, partition, from } => (topic, partition, from),
        };
        match history.read(topic, partition, from, READ_BYTES_MAX).await {
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
            Err(Unread::Gone { start }) => {
                skip(&mut state.borrow_mut(), key, (topic, partition), start);
            }
            Err(Unread::Refused(why)) => {
                state.borrow_mut().end(key, &why);
                return;
            }
        }
    }
}

/// Flushes what a live subscription holds back, window after window, until nothing came in one.
/// Should the connection be full then, it goes on as a pump.
pub async fn wait(
    state: Rc<RefCell<State>>,
    history: Arc<dyn History>,
    key: SubscriptionKey,
    timer: Timer,
) {
    match window(&state, key, timer).await {
        Window::Closed => {}
        Window::Demoted => run(state, history, key).await,
    }
}

enum Window {
    /// Nothing is held any more, or somebody else sees to it.
    Closed,
    Demoted,
}

async fn window(state: &RefCell<State>, key: SubscriptionKey, mut timer: Timer) -> Window {
    loop {
        tokio::time::sleep_until(timer.at).await;
        let mut state = state.borrow_mut();
        let Some(subscription) = state.get_mut(key) else {
            return Window::Closed;
        };
        let held = subscription.shape.as_deref().and_then(|shape| shape.hold.as_ref());
        if held.and_then(|hold| hold.timer()) != Some(timer) {
            return Window::Closed;
        }
        match subscription.flush(Instant::now()) {
            Offered::Taken => return Window::Closed,
            Offered::Held(next) => timer = next,
            Offered::Stopped(rest) => {
                state.demote(key, &rest);
                state.count_pumped(1);
                return Window::Demoted;
            }
        }
        state.count_pumped(1);
    }
}

/// How a wait for room ended.
enum Wait {
    Ready,
    /// What was held is to be read again, and what was read after it too.
    Rewound,
    Gone,
}

/// Waits for room at the sink and for credits. Nothing is held back meanwhile: who waits, waits in
/// the log.
async fn room(state: &RefCell<State>, key: SubscriptionKey) -> Wait {
    let Some(sink) = state.borrow().get(key).map(|it| Arc::clone(&it.sink)) else {
        return Wait::Gone;
    };
    let mut outcome = Wait::Ready;
    std::future::poll_fn(|cx| {
        let is_ready = sink.poll_room(cx).is_ready();
        let mut state = state.borrow_mut();
        let Some(subscription) = state.get_mut(key) else {
            return Poll::Ready(());
        };
        let Some(shape) = subscription.shape.as_deref_mut() else {
            return if is_ready { Poll::Ready(()) } else { Poll::Pending };
        };
        if is_ready && shape.poll_credits(cx).is_ready() {
            return Poll::Ready(());
        }
        let first = shape.let_go();
        if let Mode::Lagging(lag) = &mut subscription.mode
            && !first.is_empty()
        {
            rewind(lag, &first);
            outcome = Wait::Rewound;
        }
        Poll::Pending
    })
    .await;
    outcome
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
    catch_up(state, key)
}

/// Nothing lags: what is held goes out, the client hears where it stands, and is live.
fn catch_up(state: &mut State, key: SubscriptionKey) -> Step {
    let Some(subscription) = state.get_mut(key) else {
        return Step::Done;
    };
    let mut timer = None;
    if subscription.shape.is_some() {
        match subscription.flush(Instant::now()) {
            Offered::Taken => {}
            Offered::Held(next) => timer = Some(next),
            Offered::Stopped(rest) => {
                subscription.stop_at(&rest);
                state.count_pumped(1);
                return Step::Again;
            }
        }
        if let Mode::Lagging(lag) = &subscription.mode
            && !subscription.is_caught_up_told
        {
            subscription.push_progress(lag);
        }
    }
    let is_live = state.try_go_live(key);
    debug_assert!(is_live, "nothing lags, so the subscription is live");
    if let Some(subscription) = state.get_mut(key)
        && !subscription.is_caught_up_told
    {
        subscription.is_caught_up_told = true;
        let _ = subscription.sink.push(subscription.tag, Event::CaughtUp);
    }
    state.count_pumped(1);
    timer.map_or(Step::Done, Step::Wait)
}

/// Why a step of pushing ended.
enum Pushed {
    /// All records, or all that the shard has seen, are dealt with.
    Done,
    /// The subscription is gone, or live.
    Over,
    /// The connection is full.
    Full,
    /// So is that of a shaped subscription, or it has no credits: the log is read anew from where
    /// it stands, unless what remains is little.
    Stopped,
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
        if !matches!(room(state, key).await, Wait::Ready) {
            return;
        }
        match push_some(&mut state.borrow_mut(), key, at, &mut records) {
            Pushed::Done | Pushed::Over => return,
            // A connection that waits long must not hold much: it is cheaper to read again.
            Pushed::Full if bytes_of(&records) > READ_BYTES_MAX => return,
            Pushed::Stopped if bytes_of(&records) > KEPT_BYTES_MAX => return,
            Pushed::Full | Pushed::Stopped | Pushed::Paused => {}
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
    if state.get(key).is_some_and(|subscription| subscription.shape.is_some()) {
        return push_shaped(state, key, at, (seen, records));
    }
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

/// As `push_some`, for a subscription that chooses, holds back or counts.
fn push_shaped(
    state: &mut State,
    key: SubscriptionKey,
    at: (TopicId, Partition),
    (seen, records): (Offset, &mut VecDeque<Arc<Delivery>>),
) -> Pushed {
    let Some(subscription) = state.get_mut(key) else {
        return Pushed::Over;
    };
    let Some(allowance) = subscription.shape.as_deref().map(|shape| shape.allowance()) else {
        return Pushed::Over;
    };
    let (mut looked, mut left_out) = (0, 0);
    let mut items: Vec<Item> = Vec::new();
    while let Some(delivery) = records.front().filter(|delivery| delivery.offset < seen) {
        if looked >= PUSHES_PER_STEP || items.len() >= allowance {
            break;
        }
        looked += 1;
        let Mode::Lagging(lag) = &mut subscription.mode else {
            return Pushed::Over;
        };
        let Some(next) = lag.get_mut(&at) else {
            return Pushed::Over;
        };
        let is_due = delivery.offset >= *next;
        *next = (*next).max(delivery.offset + 1);
        if is_due {
            let is_chosen = subscription.wants(delivery) && subscription.chooses(delivery);
            if let Some(shape) = subscription.shape.as_deref_mut() {
                shape.pass(delivery);
            }
            left_out += u64::from(!is_chosen && subscription.wants(delivery));
            items.extend(is_chosen.then(|| Item::plain(Arc::clone(delivery))));
        }
        records.pop_front();
    }
    count_left_out("condition", left_out);
    let has_more = records.front().is_some_and(|delivery| delivery.offset < seen);
    let tried = items.clone();
    let outcome = subscription.offer(items, Instant::now());
    let stopped = match outcome {
        Offered::Stopped(rest) => {
            subscription.stop_at(&rest);
            give_back(at, &rest, tried, records)
        }
        Offered::Taken | Offered::Held(_) => {
            subscription.tell_progress();
            None
        }
    };
    if let Some(hold) = subscription.shape.as_deref_mut().and_then(|it| it.hold.as_mut()) {
        hold.compact();
    }
    state.count_pumped(looked);
    match stopped {
        Some(stopped) => stopped,
        None if has_more => Pushed::Paused,
        None => Pushed::Done,
    }
}

/// What could not be sent is to be sent next: from what was read, or, when it was held from longer
/// ago, from the log.
fn give_back(
    at: (TopicId, Partition),
    rest: &Lag,
    tried: Vec<Item>,
    records: &mut VecDeque<Arc<Delivery>>,
) -> Option<Pushed> {
    let first = *rest.get(&at)?;
    let is_here = tried.first().is_some_and(|item| item.delivery.offset <= first);
    if rest.len() > 1 || !is_here {
        return Some(Pushed::Over);
    }
    for item in tried.into_iter().rev().filter(|item| item.delivery.offset >= first) {
        records.push_front(item.delivery);
    }
    Some(Pushed::Stopped)
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
        let gap = Event::Gap { topic: at.0, partition: at.1, from, to: *next, why: Loss::Expired };
        let _ = subscription.sink.push(subscription.tag, gap);
        state.count_pumped(1);
    }
}

/// The newest record of an exact key, when the subscription asked for it first.
async fn push_latest(state: &Rc<RefCell<State>>, history: &dyn History, key: SubscriptionKey) {
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
    let Ok(Some(found)) = history.latest(topic.id, partition, wanted).await else {
        return;
    };
    let mut state = state.borrow_mut();
    let Some(subscription) = state.get_mut(key) else {
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
        let delivery = Arc::new(delivery);
        if subscription.shape.is_none() {
            let _ = subscription.push(&delivery);
        } else if subscription.chooses(&delivery) {
            // There is room, and it is one record: it goes out at once.
            subscription.offer(vec![Item::plain(delivery)], Instant::now());
        }
        state.count_pumped(1);
    }
}
