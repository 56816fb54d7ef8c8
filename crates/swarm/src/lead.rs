//! The leading process: starts crews, tells them what to do, and adds up what they saw.

use crate::Fault;
use crate::order::{Answer, Order, Plan, Progress, Report};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a crew may take to obey.
const OBEY_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(1);

struct Crew {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<Answer>,
    progress: Arc<Mutex<Progress>>,
    deliveries: Arc<AtomicU64>,
}

/// All crews together. They end with this value.
pub struct Lead {
    crews: Vec<Crew>,
    pub connections: u32,
}

/// What all subscribers have got since `measure`, from any thread.
#[derive(Clone)]
pub struct Deliveries(Vec<Arc<AtomicU64>>);

impl Deliveries {
    pub fn count(&self) -> u64 {
        self.0.iter().map(|one| one.load(Ordering::Relaxed)).sum()
    }
}

impl Lead {
    /// Starts `count` crews; `command` makes the command of one.
    pub fn start(
        count: usize,
        command: &dyn Fn() -> Result<Command, Fault>,
    ) -> Result<Lead, Fault> {
        let crews = (0..count.max(1)).map(|_| Crew::start(command()?)).collect::<Result<_, _>>()?;
        Ok(Lead { crews, connections: 0 })
    }

    /// Client processes.
    pub fn crews(&self) -> usize {
        self.crews.len()
    }

    /// Gives each crew its share of the plan's connections; they begin to open them.
    pub fn open(&mut self, plan: &Plan) -> Result<(), Fault> {
        let crews = self.crews.len() as u32;
        let (mut first, mut left) = (plan.first, plan.count);
        for (index, crew) in self.crews.iter_mut().enumerate() {
            let count = left / (crews - index as u32);
            let share = Plan {
                first,
                count,
                per_second: plan.per_second / f64::from(crews),
                ..plan.clone()
            };
            first += count;
            left -= count;
            crew.say(&Order::Open(Box::new(share)))?;
        }
        self.connections += plan.count;
        self.await_done()
    }

    /// Waits until all connections are subscribed or have given up; answers what is.
    pub fn settle(&mut self, limit: Duration, tell: &dyn Fn(&Progress)) -> Result<Progress, Fault> {
        let begin = Instant::now();
        let wanted = u64::from(self.connections);
        loop {
            let now = self.progress()?;
            tell(&now);
            if now.ready + now.refused >= wanted || begin.elapsed() > limit {
                return Ok(now);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What all crews have told last.
    pub fn progress(&mut self) -> Result<Progress, Fault> {
        let mut sum = Progress::default();
        for crew in &mut self.crews {
            let one = *crew.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            sum.ready += one.ready;
            sum.refused += one.refused;
            sum.retried += one.retried;
            sum.ended += one.ended;
            sum.deliveries += one.deliveries;
            sum.deliveries_slow += one.deliveries_slow;
            if let Ok(Some(status)) = crew.child.try_wait() {
                return Err(format!("a client process ended: {status}"));
            }
        }
        Ok(sum)
    }

    pub fn deliveries(&self) -> Deliveries {
        Deliveries(self.crews.iter().map(|crew| Arc::clone(&crew.deliveries)).collect())
    }

    /// Everything is counted from here.
    pub fn measure(&mut self) -> Result<(), Fault> {
        self.obey(&Order::Measure)?;
        for crew in &self.crews {
            crew.deliveries.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn cut(&mut self) -> Result<(), Fault> {
        self.obey(&Order::Cut)
    }

    pub fn reopen(&mut self, per_second: f64) -> Result<(), Fault> {
        let each = per_second / self.crews.len() as f64;
        self.obey(&Order::Reopen { per_second: each })
    }

    /// In each process the first so many stop reading, `count` of all together.
    pub fn pause(&mut self, count: u32) -> Result<(), Fault> {
        let crews = self.crews.len() as u32;
        self.obey(&Order::Pause { count: count.div_ceil(crews) })
    }

    pub fn resume(&mut self) -> Result<(), Fault> {
        self.obey(&Order::Resume)
    }

    pub fn report(&mut self) -> Result<Report, Fault> {
        for crew in &mut self.crews {
            crew.say(&Order::Report)?;
        }
        let mut sum = Report::default();
        for crew in &mut self.crews {
            loop {
                match crew.hear()? {
                    Answer::Report(report) => sum.merge(&report),
                    Answer::Done => break,
                    Answer::Progress(_) => {}
                    Answer::Fault { why } => return Err(why),
                }
            }
        }
        Ok(sum)
    }

    fn obey(&mut self, order: &Order) -> Result<(), Fault> {
        for crew in &mut self.crews {
            crew.say(order)?;
        }
        self.await_done()
    }

    fn await_done(&mut self) -> Result<(), Fault> {
        for crew in &mut self.crews {
            loop {
                match crew.hear()? {
                    Answer::Done => break,
                    Answer::Fault { why } => return Err(why),
                    Answer::Progress(_) | Answer::Report(_) => {}
                }
            }
        }
        Ok(())
    }
}

impl Crew {
    fn start(mut command: Command) -> Result<Crew, Fault> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| format!("a client process: {error}"))?;
        let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a client process has no pipes".to_owned());
        };
        let progress = Arc::new(Mutex::new(Progress::default()));
        let deliveries = Arc::new(AtomicU64::new(0));
        let (to, answers) = channel();
        let (latest, count) = (Arc::clone(&progress), Arc::clone(&deliveries));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(Answer::Progress(now)) => {
                        count.store(now.deliveries + now.deliveries_slow, Ordering::Relaxed);
                        *latest.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = now;
                    }
                    Ok(answer) => {
                        if to.send(answer).is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        });
        Ok(Crew { child, orders, answers, progress, deliveries })
    }

    fn say(&mut self, order: &Order) -> Result<(), Fault> {
        let mut line = serde_json::to_string(order).map_err(|error| error.to_string())?;
        line.push('\n');
        let said = self.orders.write_all(line.as_bytes()).and_then(|()| self.orders.flush());
        said.map_err(|error| format!("a client process does not listen: {error}"))
    }

    fn hear(&mut self) -> Result<Answer, Fault> {
        let heard = self.answers.recv_timeout(OBEY_MAX);
        heard.map_err(|_| "a client process does not answer".to_owned())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
