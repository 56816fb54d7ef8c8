//! One client process: holds its share of the connections and does what the leading process says,
//! line by line. One thread drives all sockets; another reads the orders.

use crate::Fault;
use crate::dialect::{Dialect, Heard};
use crate::links::{Links, Phase, Route, Turn};
use crate::order::{Answer, Order, Plan, Progress, Report};
use crate::pace::{Pace, now_ns};
use mio::Waker;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

/// Orders come one after the other, so more than a few never wait.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// Between two lines of progress.
const PROGRESS_EVERY_NS: u64 = 2_000_000;
/// Begun and not yet subscribed, at once: the kernel's own queues are not much longer.
const CONNECTING_MAX: usize = 2_048;
/// A connection that is refused comes back after a random part of this, twice as long each time.
const RETRY_NS: u64 = 200_000_000;
const RETRY_DOUBLINGS_MAX: u32 = 4;

/// Makes the dialect that a plan names.
pub type Dialects = fn(&Plan) -> Result<Box<dyn Dialect>, Fault>;

/// Runs until the orders end. Orders come on the standard input, answers go to the standard output.
pub fn run(dialects: Dialects) -> Result<(), Fault> {
    crate::raise_file_limit();
    let links = Links::new(Route::default())?;
    let orders = orders(links.waker()?);
    let mut crew = Crew::new(links, dialects);
    let outcome = crew.work(&orders);
    if let Err(why) = &outcome {
        answer(&Answer::Fault { why: why.clone() });
    }
    outcome
}

fn orders(waker: Arc<Waker>) -> Receiver<Order> {
    let (to, orders) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(order) = serde_json::from_str(&line) else { break };
            if to.send(order).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(to);
        let _ = waker.wake();
    });
    orders
}

fn answer(answer: &Answer) {
    let mut line = serde_json::to_string(answer).unwrap_or_default();
    line.push('\n');
    // Nobody reads any more: the orders end as well.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes());
    let _ = out.flush();
}

struct Crew {
    links: Links,
    dialects: Dialects,
    dialect: Option<Box<dyn Dialect>>,
    plan: Option<Plan>,
    pace: Option<Pace>,
    /// Connections begun of those the pace has made due.
    begun: usize,
    connecting: usize,
    retries: BinaryHeap<Reverse<(u64, usize)>>,
    tries: Vec<u32>,
    paused: usize,
    heard: Heard,
    report: Report,
    progress: Progress,
    told: (u64, Progress),
    random: u64,
}

impl Crew {
    fn new(links: Links, dialects: Dialects) -> Crew {
        Crew {
            links,
            dialects,
            dialect: None,
            plan: None,
            pace: None,
            begun: 0,
            connecting: 0,
            retries: BinaryHeap::new(),
            tries: Vec::new(),
            paused: 0,
            heard: Heard::default(),
            report: Report::default(),
            progress: Progress::default(),
            told: (0, Progress::default()),
            random: now_ns() | 1,
        }
    }

    fn work(&mut self, orders: &Receiver<Order>) -> Result<(), Fault> {
        let mut touched = Vec::new();
        loop {
            loop {
                match orders.try_recv() {
                    Ok(order) => self.obey(order)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.open_due()?;
            self.links.wait(self.wait(), &mut touched)?;
            for &index in &touched {
                self.serve(index);
            }
            self.tell();
        }
    }

    fn obey(&mut self, order: Order) -> Result<(), Fault> {
        match order {
            Order::Open(plan) => self.open(*plan)?,
            Order::Measure => {
                self.report = Report::default();
                self.progress.deliveries = 0;
                self.progress.deliveries_slow = 0;
            }
            Order::Report => {
                self.report.cpu_seconds = cpu_seconds();
                self.report.refusal.clone_from(&self.heard.refusal);
                answer(&Answer::Report(Box::new(self.report.clone())));
            }
            Order::Cut => {
                for index in 0..self.links.links.len() {
                    self.links.cut(index);
                }
                self.progress.ready = 0;
                self.connecting = 0;
                self.pace = None;
                self.retries.clear();
            }
            Order::Reopen { per_second } => self.begin(per_second),
            Order::Pause { count } => {
                self.paused = count as usize;
                self.links.pause(self.paused);
            }
            Order::Resume => {
                for index in self.links.resume() {
                    self.serve(index);
                }
            }
        }
        answer(&Answer::Done);
        Ok(())
    }

    fn open(&mut self, plan: Plan) -> Result<(), Fault> {
        self.dialect = Some((self.dialects)(&plan)?);
        self.heard.keeps_cursors = plan.keeps_cursors;
        self.links.reroute(Route::of(&plan)?);
        for number in plan.first..plan.first.saturating_add(plan.count) {
            self.links.add(number, number % plan.streams.max(1));
        }
        let per_second = plan.per_second;
        self.plan = Some(plan);
        self.begin(per_second);
        Ok(())
    }

    fn begin(&mut self, per_second: f64) {
        let per_second = if per_second > 0.0 { per_second } else { f64::MAX };
        self.pace = Some(Pace { begin_ns: now_ns(), per_second });
        self.begun = 0;
        self.tries = vec![0; self.links.links.len()];
        self.retries.clear();
    }

    /// Begins what is due, as long as not too many are under way.
    fn open_due(&mut self) -> Result<(), Fault> {
        let Some(pace) = self.pace else { return Ok(()) };
        let now = now_ns();
        let due = (pace.due_by(now) as usize).min(self.links.links.len());
        while self.begun < due && self.connecting < CONNECTING_MAX {
            let due_ns = pace.due_ns(self.begun as u64);
            self.connect(self.begun, due_ns)?;
            self.begun += 1;
        }
        while self.connecting < CONNECTING_MAX {
            match self.retries.peek() {
                Some(&Reverse((at, index))) if at <= now => {
                    self.retries.pop();
                    let due_ns = self.links.links.get(index).map_or(at, |link| link.due_ns);
                    self.connect(index, due_ns)?;
                }
                _ => break,
            }
        }
        Ok(())
    }

    fn connect(&mut self, index: usize, due_ns: u64) -> Result<(), Fault> {
        self.links.connect(index, due_ns)?;
        self.connecting += 1;
        Ok(())
    }

    fn wait(&self) -> Duration {
        let now = now_ns();
        let next = self.pace.filter(|_| self.begun < self.links.links.len());
        let next = next.map(|pace| pace.due_ns(self.begun as u64));
        let retry = self.retries.peek().map(|&Reverse((at, _))| at);
        let until = [next, retry].into_iter().flatten().min();
        let is_full = self.connecting >= CONNECTING_MAX;
        match until {
            Some(at) if !is_full => Duration::from_nanos(at.saturating_sub(now)).min(WAIT_MAX),
            _ => WAIT_MAX,
        }
    }

    fn serve(&mut self, index: usize) {
        let Some(dialect) = self.dialect.as_deref() else { return };
        let Some(before) = self.links.links.get(index).map(|link| link.phase) else { return };
        // What is heard goes where the connection is counted; moving it there and back is cheap.
        let is_slow = index < self.paused;
        let tally = if is_slow { &mut self.report.slow } else { &mut self.report.all };
        std::mem::swap(&mut self.heard.tally, tally);
        let turn = self.links.serve(index, dialect, &mut self.heard);
        let tally = if is_slow { &mut self.report.slow } else { &mut self.report.all };
        std::mem::swap(&mut self.heard.tally, tally);
        self.progress.deliveries = self.report.all.deliveries;
        self.progress.deliveries_slow = self.report.slow.deliveries;
        match turn {
            Turn::Nothing => {}
            Turn::Ready => {
                self.connecting = self.connecting.saturating_sub(1);
                self.progress.ready += 1;
                let due_ns = self.links.links.get(index).map_or(0, |link| link.due_ns);
                self.report.open.add_ns(now_ns().saturating_sub(due_ns));
            }
            Turn::Ended(why) => self.ended(index, before, &why),
        }
    }

    fn ended(&mut self, index: usize, before: Phase, why: &str) {
        if before == Phase::Ready {
            self.progress.ready = self.progress.ready.saturating_sub(1);
            self.progress.ended += 1;
            self.report.ended += 1;
        } else {
            self.connecting = self.connecting.saturating_sub(1);
        }
        self.heard.refusal.get_or_insert_with(|| why.to_owned());
        let tries_max = self.plan.as_ref().map_or(0, |plan| plan.retries_max);
        let tries = self.tries.get(index).copied().unwrap_or(tries_max);
        if tries < tries_max {
            if let Some(tried) = self.tries.get_mut(index) {
                *tried += 1;
            }
            let longest = RETRY_NS << tries.min(RETRY_DOUBLINGS_MAX);
            let at = now_ns() + self.random() % longest;
            self.retries.push(Reverse((at, index)));
            self.progress.retried += 1;
            self.report.retried += 1;
        } else if before != Phase::Ready {
            self.progress.refused += 1;
            self.report.refused += 1;
        }
    }

    /// Spreads retries, nothing else (xorshift64, Marsaglia 2003).
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn tell(&mut self) {
        let now = now_ns();
        if now.saturating_sub(self.told.0) >= PROGRESS_EVERY_NS {
            self.told.0 = now;
            answer(&Answer::Progress(self.progress));
        }
    }
}

/// CPU time of this process, all threads, user and system.
fn cpu_seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
