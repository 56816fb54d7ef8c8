//! One walk: a run of new records of one topic to everybody live who takes them. Subscribers
//! outside, records inside, so that a subscriber's records of a run lie in one write. A walk may
//! take several turns; who takes part is fixed when it begins, and each is looked up anew by
//! generation, so subscriptions may come and go meanwhile.

use super::delta::Version;
use super::index::SubscriptionKey;
use super::mailbox::{Message, Published};
use super::shape::{Item, Offered, Timer, count_left_out};
use super::state::{Given, Lag, Mode, State, Subscription};
use crate::meter::ProjectMeter;
use port::{Delivery, Room, Run};
use rules::Condition;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;
use types::TopicId;

/// Records of one walk at most, give or take the last batch.
const WALK_RECORDS_MAX: usize = 256;
/// Bytes of records that are pushed at once: so much a connection may be given beyond its mark.
const RUN_BYTES_MAX: usize = 64 * 1024;
/// Sets of records that some takers have in common, kept per walk; further ones are made for each
/// taker.
const COMMON_SETS_MAX: usize = 1_024;

pub struct Walk {
    topic: TopicId,
    records: Vec<Arc<Delivery>>,
    /// Every record, for those who take all of them.
    every: Rc<Cut>,
    /// What takers of single keys have in common.
    common: HashMap<Box<[u32]>, Rc<Cut>>,
    /// Takers of every record, then takers of single ones in order of subscription and record.
    all: Vec<SubscriptionKey>,
    keyed: Vec<(SubscriptionKey, u32)>,
    at_all: usize,
    at_keyed: usize,
    /// What was pushed and is not yet metered: threads share the meter, so it is touched once per
    /// turn and not once per subscriber.
    unmetered: Option<(Arc<ProjectMeter>, u64, u64)>,
    /// Values of the topic may be told as differences.
    has_deltas: bool,
    shared: Shared,
}

/// What is to be done for a subscription after it was fed.
pub enum Next {
    /// It was demoted.
    Pump(SubscriptionKey),
    /// It holds records back.
    Timer(SubscriptionKey, Timer),
}

/// What shaped subscriptions of one walk share: verdicts by condition, and versions of records.
#[derive(Default)]
struct Shared {
    verdicts: HashMap<usize, (Arc<Condition>, Vec<Option<bool>>)>,
    versions: HashMap<usize, Rc<Version>>,
}

/// Numbers of records in order, and the records themselves in runs of bounded size.
struct Cut {
    wanted: Box<[u32]>,
    runs: Vec<Run>,
}

impl Cut {
    fn new(records: &[Arc<Delivery>], wanted: Box<[u32]>) -> Cut {
        let mut runs = Vec::new();
        let mut bytes = 0;
        let mut run: Vec<Arc<Delivery>> = Vec::new();
        for delivery in wanted.iter().filter_map(|&index| records.get(index as usize)) {
            bytes += delivery.record.size();
            if bytes > RUN_BYTES_MAX && !run.is_empty() {
                bytes = delivery.record.size();
                runs.push(Run::new(std::mem::take(&mut run)));
            }
            run.push(Arc::clone(delivery));
        }
        runs.push(Run::new(run));
        Cut { wanted, runs }
    }

    /// The number of the first record that lies behind the first `count` of these.
    fn after(&self, count: usize) -> usize {
        let last = count.checked_sub(1).and_then(|last| self.wanted.get(last));
        last.map_or(0, |&index| index as usize + 1)
    }
}

/// Moves the batches of the same topic that wait right behind into the same run.
pub fn gather(batches: &mut Vec<Arc<Published>>, waiting: &mut VecDeque<Message>) {
    let mut count = batches.iter().map(|batch| batch.deliveries().len()).sum::<usize>();
    while count < WALK_RECORDS_MAX {
        match waiting.front() {
            Some(Message::Published(next)) if next.topic.id == batches[0].topic.id => {
                count += next.deliveries().len();
                batches.push(Arc::clone(next));
                waiting.pop_front();
            }
            _ => return,
        }
    }
}

impl Walk {
    /// Counts the records as seen and notes who takes them. `None` when nobody here does.
    pub fn begin(state: &mut State, batches: &[Arc<Published>]) -> Option<Walk> {
        let topic = batches.first()?.topic.id;
        let followed = state.topics.get_mut(&topic)?;
        let mut records = Vec::new();
        for batch in batches {
            let Some(seen) = followed.seen.get_mut(batch.partition as usize) else {
                continue;
            };
            // Told twice across a leave and a join: what lies before `seen` is the pumps'.
            let fresh = batch.deliveries().iter().filter(|it| it.offset >= *seen);
            records.extend(fresh.cloned());
            *seen = (*seen).max(batch.next_offset());
        }
        let mut keyed = Vec::new();
        if followed.index.has_keyed() {
            for (index, delivery) in (0..).zip(&records) {
                if let Some(key) = &delivery.record.key {
                    followed.index.keyed(key.bytes(), &mut |found| keyed.push((found, index)));
                }
            }
            keyed.sort_unstable();
        }
        let all = followed.index.all().to_vec();
        if records.is_empty() || (all.is_empty() && keyed.is_empty()) {
            return None;
        }
        let every = (0..).take(if all.is_empty() { 0 } else { records.len() }).collect();
        let every = Rc::new(Cut::new(&records, every));
        Some(Walk {
            topic,
            records,
            every,
            common: HashMap::new(),
            all,
            keyed,
            at_all: 0,
            at_keyed: 0,
            unmetered: None,
            has_deltas: followed.topic.definition.load().config.delta,
            shared: Shared::default(),
        })
    }

    pub fn is_done(&self) -> bool {
        self.at_all >= self.all.len() && self.at_keyed >= self.keyed.len()
    }

    /// Pushes until the budget is used up or everybody is served; answers what is to be done next.
    pub fn advance(&mut self, state: &mut State, pushed: &mut usize, budget: usize) -> Vec<Next> {
        let mut next = Vec::new();
        let every = Rc::clone(&self.every);
        while *pushed < budget && self.at_all < self.all.len() {
            let key = self.all[self.at_all];
            self.at_all += 1;
            next.extend(self.feed(state, key, &every, pushed));
        }
        while *pushed < budget && self.at_keyed < self.keyed.len() {
            let key = self.keyed[self.at_keyed].0;
            let run = self.keyed[self.at_keyed..].iter().take_while(|(other, _)| *other == key);
            let wanted: Box<[u32]> = run.map(|&(_, index)| index).collect();
            self.at_keyed += wanted.len();
            let cut = self.cut(wanted);
            next.extend(self.feed(state, key, &cut, pushed));
        }
        self.meter();
        next
    }

    /// Records of this walk.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    fn count(&mut self, meter: &Arc<ProjectMeter>, given: &Given) {
        let pushed = given.pushed as u64;
        match &mut self.unmetered {
            Some((same, count, bytes)) if Arc::ptr_eq(same, meter) => {
                *count += pushed;
                *bytes += given.bytes;
            }
            _ => {
                self.meter();
                self.unmetered = Some((Arc::clone(meter), pushed, given.bytes));
            }
        }
    }

    fn meter(&mut self) {
        if let Some((meter, count, bytes)) = self.unmetered.take() {
            meter.delivered(count, bytes);
        }
    }

    /// These records, shared with the others who take the same ones.
    fn cut(&mut self, wanted: Box<[u32]>) -> Rc<Cut> {
        if let Some(known) = self.common.get(&wanted) {
            return Rc::clone(known);
        }
        let cut = Rc::new(Cut::new(&self.records, wanted.clone()));
        if self.common.len() < COMMON_SETS_MAX {
            self.common.insert(wanted, Rc::clone(&cut));
        }
        cut
    }

    /// Pushes the records of a cut, in order.
    fn feed(
        &mut self,
        state: &mut State,
        key: SubscriptionKey,
        cut: &Cut,
        pushed: &mut usize,
    ) -> Option<Next> {
        let subscription = state.get(key)?;
        if !matches!(subscription.mode, Mode::Live) {
            return None;
        }
        if subscription.shape.is_some() {
            return self.feed_shaped(state, key, &cut.wanted, pushed);
        }
        let mut done = 0;
        for run in &cut.runs {
            let given = subscription.push_run(run);
            done += given.passed;
            *pushed += given.pushed;
            self.count(&subscription.meter, &given);
            if given.room == Room::Full {
                let rest = self.rest(cut.after(done));
                state.demote(key, &rest);
                return Some(Next::Pump(key));
            }
        }
        None
    }

    fn feed_shaped(
        &mut self,
        state: &mut State,
        key: SubscriptionKey,
        wanted: &[u32],
        pushed: &mut usize,
    ) -> Option<Next> {
        let subscription = state.get_mut(key)?;
        let mut items = Vec::new();
        for index in wanted.iter().map(|&index| index as usize) {
            // Numbers of this walk's own records.
            let delivery = &self.records[index];
            let is_chosen = self.shared.chooses(subscription, index, delivery);
            let shape = subscription.shape.as_deref_mut()?;
            shape.pass(delivery);
            if is_chosen {
                let has_version = self.has_deltas && shape.wants_delta();
                let version = has_version.then(|| self.shared.version(index, delivery));
                items.push(Item { version, ..Item::plain(Arc::clone(delivery)) });
            }
        }
        count_left_out("condition", (wanted.len() - items.len()) as u64);
        // Looking through much for little is work too.
        *pushed += items.len().max(1);
        let next = match subscription.offer(items, Instant::now()) {
            Offered::Taken => None,
            Offered::Held(timer) => Some(Next::Timer(key, timer)),
            Offered::Stopped(rest) => {
                state.demote(key, &rest);
                return Some(Next::Pump(key));
            }
        };
        subscription.tell_progress();
        next
    }

    /// The next offsets of a subscription that got everything before record `index`.
    fn rest(&self, index: usize) -> Lag {
        let mut lag = Lag::new();
        // Backwards, so that the first record of each partition is what remains.
        for delivery in self.records[index..].iter().rev() {
            lag.insert((self.topic, delivery.partition), delivery.offset);
        }
        lag
    }
}

impl Shared {
    fn chooses(
        &mut self,
        subscription: &Subscription,
        index: usize,
        delivery: &Arc<Delivery>,
    ) -> bool {
        if subscription.is_own(delivery) {
            return false;
        }
        let Some(condition) = subscription.shape.as_deref().and_then(|it| it.condition.as_ref())
        else {
            return true;
        };
        // Subscriptions that write alike share one condition; held here, it keeps its place.
        let place = Arc::as_ptr(condition) as usize;
        let (_, verdicts) =
            self.verdicts.entry(place).or_insert_with(|| (Arc::clone(condition), Vec::new()));
        if verdicts.len() <= index {
            verdicts.resize(index + 1, None);
        }
        *verdicts[index].get_or_insert_with(|| condition.holds(&delivery.record))
    }

    fn version(&mut self, index: usize, delivery: &Arc<Delivery>) -> Rc<Version> {
        let make = || Rc::new(Version::new(Arc::clone(delivery)));
        Rc::clone(self.versions.entry(index).or_insert_with(make))
    }
}
