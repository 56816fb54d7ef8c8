//! The publishers: records sent when they are due, whether or not earlier ones were answered; or,
//! at full rate, so many ahead of the subscribers and no more.

use crate::Fault;
use crate::dialect::{Dialect, Heard};
use crate::latency::Latencies;
use crate::links::{Links, Phase, Route, Turn};
use crate::order::Plan;
use crate::pace::{Pace, now_ns};
use crate::stamp::{Stamp, value};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long all publishers may take to be let in.
const OPEN_NS_MAX: u64 = 60_000_000_000;
/// Begun and not let in, at once.
const OPENING_MAX: usize = 512;
/// Calls without an answer on one connection at full rate. A server that takes fewer at a time
/// leaves the rest in the socket.
const CALLS_MAX: usize = 1_024;
/// How long answers are awaited after the last record.
const ANSWER_NS_MAX: u64 = 10_000_000_000;
const STEP: Duration = Duration::from_millis(1);
const STEP_NS: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Records per second, open loop.
    Even { per_second: f64 },
    /// As many as the server takes, but so many per stream ahead of the mean subscriber.
    Full { ahead_max: f64 },
    /// Each connection for itself: its next call follows an answer. Streams must be as many as
    /// connections.
    Closed,
}

#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub rate: Rate,
    /// Records go to each stream in turn.
    pub streams: u32,
    pub bytes: usize,
    /// Records of one call, all of one stream.
    pub batch: usize,
    pub seconds: f64,
    /// Ends earlier, once so many were published; 0 is no limit.
    pub records_max: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Pressed {
    pub records: u64,
    pub calls: u64,
    pub answered: u64,
    pub refused: u64,
    pub refusal: Option<String>,
    /// From when a call was due to its answer.
    pub latencies: Latencies,
    pub seconds: f64,
}

/// What the rest of the load tells the publishers.
pub struct Signals<'a> {
    /// How many records of a stream its mean subscriber has got since the beginning of the work.
    pub received: &'a dyn Fn() -> f64,
    pub stop: &'a AtomicBool,
}

pub struct Press {
    links: Links,
    dialect: Box<dyn Dialect>,
    heard: Heard,
    /// The next number of each stream; they go on over several works.
    numbers: Vec<u32>,
    /// When the calls without an answer were due, by connection.
    waiting: Vec<VecDeque<u64>>,
    calls_max: usize,
    touched: Vec<usize>,
}

impl Press {
    /// Connects all of the plan's connections and waits until they are let in.
    pub fn open(plan: &Plan, dialect: Box<dyn Dialect>) -> Result<Press, Fault> {
        let mut links = Links::new(Route::of(plan)?)?;
        for number in plan.first..plan.first.saturating_add(plan.count.max(1)) {
            links.add(number, 0);
        }
        let waiting = vec![VecDeque::new(); links.links.len()];
        let heard = Heard::default();
        let mut press = Press {
            links,
            dialect,
            heard,
            numbers: vec![0; plan.streams.max(1) as usize],
            waiting,
            calls_max: CALLS_MAX,
            touched: Vec::new(),
        };
        press.connect()?;
        Ok(press)
    }

    /// Opens all connections anew, as after a start of the server; numbers go on.
    pub fn reconnect(&mut self) -> Result<(), Fault> {
        (0..self.links.links.len()).for_each(|index| self.links.cut(index));
        self.waiting.iter_mut().for_each(VecDeque::clear);
        self.connect()
    }

    /// Calls without an answer on each connection at full rate.
    pub fn limit_calls(&mut self, calls_max: usize) {
        self.calls_max = calls_max.clamp(1, CALLS_MAX);
    }

    fn connect(&mut self) -> Result<(), Fault> {
        let begin = now_ns();
        let (mut begun, mut ready, count) = (0, 0, self.links.links.len());
        while ready < count {
            if now_ns() - begin > OPEN_NS_MAX {
                return Err(format!("{ready} of {count} publishers were let in in time"));
            }
            while begun < count && begun - ready < OPENING_MAX {
                self.links.connect(begun, now_ns())?;
                begun += 1;
            }
            self.links.wait(STEP, &mut self.touched)?;
            for index in std::mem::take(&mut self.touched) {
                match self.links.serve(index, self.dialect.as_ref(), &mut self.heard) {
                    Turn::Nothing => {}
                    Turn::Ready => ready += 1,
                    Turn::Ended(why) => return Err(format!("a publisher was not let in: {why}")),
                }
            }
            if let Some(why) = self.heard.refusal.take() {
                return Err(format!("a publisher was refused: {why}"));
            }
        }
        Ok(())
    }

    /// Publishes until the time is over, or `signals` say that it is enough.
    pub fn run(&mut self, work: &Work, signals: &Signals<'_>) -> Result<Pressed, Fault> {
        let begin = now_ns();
        let end = begin + (work.seconds * 1e9) as u64;
        let batch = work.batch.max(1);
        let mut turn = Turning { pressed: Pressed::default(), values: vec![Vec::new(); batch] };
        let mut call = 0u64;
        loop {
            let now = now_ns();
            if now >= end || turn.is_all(work) || signals.stop.load(Ordering::Relaxed) {
                break;
            }
            let wait = match work.rate {
                Rate::Even { per_second } => {
                    let pace = Pace { begin_ns: begin, per_second: per_second / batch as f64 };
                    // What is due now, and no more: the clock goes on meanwhile.
                    let due = pace.due_by(now);
                    while call < due {
                        if turn.is_all(work) {
                            break;
                        }
                        self.call(work, call, pace.due_ns(call), &mut turn)?;
                        call += 1;
                    }
                    sleep_until(pace.due_ns(call))
                }
                Rate::Full { ahead_max } => {
                    self.press_ahead(work, ahead_max, signals, &mut call, &mut turn)?
                }
                Rate::Closed => {
                    for index in 0..self.waiting.len() {
                        while self.has_room(index) {
                            self.call(work, index as u64, now_ns(), &mut turn)?;
                        }
                    }
                    STEP
                }
            };
            self.listen(wait, &mut turn.pressed)?;
        }
        turn.pressed.seconds = (now_ns() - begin) as f64 / 1e9;
        self.finish(&mut turn.pressed)?;
        Ok(turn.pressed)
    }

    /// Publishes for a moment, until the mean subscriber is too far behind; answers how long to
    /// wait.
    fn press_ahead(
        &mut self,
        work: &Work,
        ahead_max: f64,
        signals: &Signals<'_>,
        call: &mut u64,
        turn: &mut Turning,
    ) -> Result<Duration, Fault> {
        let begin = now_ns();
        while now_ns() - begin < STEP_NS {
            let each = turn.pressed.records as f64 / f64::from(work.streams.max(1));
            let has_room = !turn.is_all(work)
                && each - (signals.received)() < ahead_max
                && self.has_room(*call as usize % self.waiting.len());
            if !has_room {
                return Ok(STEP);
            }
            self.call(work, *call, now_ns(), turn)?;
            *call += 1;
        }
        Ok(Duration::ZERO)
    }

    fn has_room(&self, index: usize) -> bool {
        self.waiting.get(index).is_some_and(|waiting| waiting.len() < self.calls_max)
    }

    /// A stream has one connection, so that its records keep their order.
    fn call(
        &mut self,
        work: &Work,
        call: u64,
        due_ns: u64,
        turn: &mut Turning,
    ) -> Result<(), Fault> {
        let stream = (call % u64::from(work.streams.max(1))) as u32;
        let index = stream as usize % self.links.links.len();
        let Some(number) = self.numbers.get_mut(stream as usize) else {
            return Err("the work has more streams than the plan".to_owned());
        };
        for value_of_one in &mut turn.values {
            value(Stamp { due_ns, number: *number }, work.bytes, value_of_one);
            *number = number.wrapping_add(1);
        }
        let (dialect, values) = (self.dialect.as_ref(), &turn.values);
        self.links.say(index, |line, out| dialect.publish(line, stream, values, out))?;
        turn.pressed.records += turn.values.len() as u64;
        turn.pressed.calls += 1;
        if dialect.answers()
            && let Some(waiting) = self.waiting.get_mut(index)
        {
            waiting.push_back(due_ns);
        }
        Ok(())
    }

    fn listen(&mut self, wait: Duration, pressed: &mut Pressed) -> Result<(), Fault> {
        self.links.wait(wait, &mut self.touched)?;
        for index in std::mem::take(&mut self.touched) {
            let turn = self.links.serve(index, self.dialect.as_ref(), &mut self.heard);
            let (answered, refused) =
                (std::mem::take(&mut self.heard.answered), std::mem::take(&mut self.heard.refused));
            let now = now_ns();
            if let Some(waiting) = self.waiting.get_mut(index) {
                for number in 0..answered + refused {
                    let due_ns = waiting.pop_front().unwrap_or(now);
                    if number < answered {
                        pressed.latencies.add_ns(now.saturating_sub(due_ns));
                    }
                }
            }
            pressed.answered += u64::from(answered);
            pressed.refused += u64::from(refused);
            if let Some(why) = self.heard.refusal.take() {
                pressed.refusal.get_or_insert(why);
            }
            if let Turn::Ended(why) = turn {
                return Err(format!("a publisher's connection ended: {why}"));
            }
        }
        Ok(())
    }

    /// Waits for the answers that are still out.
    fn finish(&mut self, pressed: &mut Pressed) -> Result<(), Fault> {
        let until = now_ns() + ANSWER_NS_MAX;
        while self.waiting.iter().any(|waiting| !waiting.is_empty()) && now_ns() < until {
            self.listen(STEP, pressed)?;
        }
        Ok(())
    }

    pub fn is_open(&self) -> bool {
        self.links.links.iter().all(|link| link.phase == Phase::Ready)
    }
}

struct Turning {
    pressed: Pressed,
    values: Vec<Vec<u8>>,
}

impl Turning {
    fn is_all(&self, work: &Work) -> bool {
        work.records_max > 0 && self.pressed.records >= work.records_max
    }
}

/// The kernel waits for sockets in whole milliseconds, so the rest is slept.
fn sleep_until(due_ns: u64) -> Duration {
    let left = due_ns.saturating_sub(now_ns());
    if left >= STEP_NS {
        return Duration::from_millis((left / STEP_NS).min(10));
    }
    std::thread::sleep(Duration::from_nanos(left));
    Duration::ZERO
}
