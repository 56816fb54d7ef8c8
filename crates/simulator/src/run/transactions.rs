//! Transactions in one call, and those of producers who begin, append, end, are replaced, and
//! come back after they were.

use super::waiting::Waiting;
use super::{Outcome, Run};
use crate::book::Place;
use crate::checks::{Event, Fate, Moment};
use crate::draw::Draw;
use crate::plan::{Size, TransactionStep};
use crate::sabotage::Sabotage;
use eventlog::{Appended, End, Engine, LogError, Pending};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stdx::Clock;
use types::Producer;

/// Producers of before that may come back.
const STALE_MAX: usize = 8;
/// Parts of one transaction in one call.
const PARTS_MAX: u64 = 4;

/// What the clients of transactions know.
#[derive(Default)]
pub struct Clients {
    clients: BTreeMap<u64, Client>,
    /// Transactions that may hide something: by group, the partitions.
    hiding: BTreeMap<u64, BTreeSet<Place>>,
    /// Groups that the failed log keeps hidden until it is opened anew.
    lost: BTreeSet<u64>,
    next_group: u64,
}

#[derive(Default, Clone)]
struct Client {
    producer: Option<Producer>,
    /// Its open transaction, and the parts that are stored.
    open: Option<u64>,
    /// When the log may give it up.
    deadline: Duration,
    parts: Vec<(Place, u64, Vec<u64>)>,
    /// Waits for the answer of an end or of taking over.
    is_busy: bool,
    /// Replaced, or of an epoch that is over.
    stale: Vec<Producer>,
}

/// A call about a transaction that has no answer yet.
pub enum Asked {
    Transact { group: u64, parts: Vec<(Place, Vec<u64>)>, answer: Pending<Vec<Appended>> },
    Part { who: u64, group: u64, place: Place, numbers: Vec<u64>, answer: Pending<Appended> },
    End { who: u64, group: u64, of: Producer, end: End, answer: Pending<Producer> },
    TakeOver { who: u64, of: Producer, answer: Pending<Producer> },
}

/// Whether the refusal of a commit says for sure that the transaction is given up.
pub fn is_certain(error: &LogError) -> bool {
    !matches!(error, LogError::Failed(_) | LogError::Closed)
}

impl Clients {
    /// Whether records in the partition may wait for a transaction to end.
    pub fn may_hide(&self, place: Place) -> bool {
        self.hiding.values().any(|places| places.contains(&place))
    }

    /// The failed log keeps something in these hidden until it is opened anew.
    pub fn lose(&mut self, places: BTreeSet<Place>) {
        let group = self.group();
        self.hiding.insert(group, places);
        self.lost.insert(group);
    }

    fn group(&mut self) -> u64 {
        self.next_group += 1;
        self.next_group
    }

    fn client(&mut self, who: u64) -> &mut Client {
        self.clients.entry(who).or_default()
    }

    /// A start gives up what is open and decides what nobody was told.
    pub fn process_ended(&mut self) {
        self.hiding.clear();
        self.lost.clear();
        for client in self.clients.values_mut() {
            client.open = None;
            client.is_busy = false;
            client.parts.clear();
        }
    }
}

impl Client {
    fn retire(&mut self, producer: Producer) {
        if self.stale.len() >= STALE_MAX {
            self.stale.remove(0);
        }
        self.stale.push(producer);
    }
}

impl Run {
    pub(super) fn transaction(&mut self, step: &TransactionStep) -> Outcome {
        match step {
            TransactionStep::Transact { seed } => self.transact(*seed),
            TransactionStep::Begin { who, seed } => self.begin(*who, *seed),
            TransactionStep::Append { who, seed } => self.append_in(*who, *seed),
            TransactionStep::End { who, end } => self.end_transaction(*who, *end),
            TransactionStep::TakeOver { who } => self.take_over(*who),
            TransactionStep::Stale { who, seed } => self.come_back(*who, *seed),
        }
    }

    /// Some partition of some topic.
    fn any_place(&self, draw: &Draw) -> Option<Place> {
        let places = self.places();
        places.get(draw.below(places.len().max(1) as u64) as usize).copied()
    }

    fn make_part(&mut self, draw: &Draw, group: u64) -> Result<Option<Part>, super::Broken> {
        let Some(place) = self.any_place(draw) else { return Ok(None) };
        let size = if draw.one_in(6) { Size::Large } else { Size::Small };
        let now = self.machine.clock.now_ms();
        let (numbers, records) = self.book.make(place, draw.seed(), draw.between(1, 4), size, now);
        self.tell(&Event::Part { group, place, numbers: &numbers })?;
        self.clients.hiding.entry(group).or_default().insert(place);
        Ok(Some((place, numbers, records)))
    }

    fn transact(&mut self, seed: u64) -> Outcome {
        let draw = Draw::new(seed);
        let group = self.clients.group();
        let (mut parts, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..draw.between(2, PARTS_MAX + 1) {
            let Some((place, numbers, records)) = self.make_part(&draw, group)? else { continue };
            parts.push((place, numbers));
            sent.push((place.0, place.1, records));
        }
        self.decided(group, Fate::Ending)?;
        let is_half = self.sabotage == Sabotage::HalfTransaction;
        let answer = self.with_log(|log| -> Pending<Vec<Appended>> {
            if is_half && let Some((topic, partition, records)) = sent.first().cloned() {
                drop(log.append(topic, partition, records));
                return Box::pin(std::future::pending());
            }
            log.transact(sent)
        });
        let Some(answer) = answer else { return Ok(()) };
        self.waiting.push(Waiting::Transaction(Asked::Transact { group, parts, answer }));
        self.hear(Moment::AtOnce)?;
        self.collect(Moment::AtOnce)
    }

    fn begin(&mut self, who: u64, seed: u64) -> Outcome {
        let client = self.clients.client(who).clone();
        if client.is_busy || client.open.is_some() || self.live.is_none() {
            return Ok(());
        }
        let producer = match client.producer {
            Some(producer) => producer,
            None => {
                let Some(given) = self.with_log(Engine::new_producer) else { return Ok(()) };
                let given = self.sabotage.producer(given);
                self.trace.line(format!("  {given:?} is new"));
                self.tell(&Event::Producer { given, of: None, is_stored: true })?;
                given
            }
        };
        let within = Duration::from_secs(Draw::new(seed).pick(&[1, 60, 900]));
        let begun = self.with_log(|log| log.begin(producer, within));
        self.trace.line(format!("  {producer:?} begins: {begun:?}"));
        let begun = begun.unwrap_or(Err(LogError::Closed));
        if begun.is_ok() {
            self.tell(&Event::Began { producer })?;
        }
        let group = self.clients.group();
        let deadline = self.machine.clock.monotonic() + within;
        let client = self.clients.client(who);
        client.deadline = deadline;
        client.parts.clear();
        match begun {
            Ok(()) => (client.producer, client.open) = (Some(producer), Some(group)),
            // What it was is over: it goes on as somebody else.
            Err(_) => client.producer = None,
        }
        Ok(())
    }

    fn append_in(&mut self, who: u64, seed: u64) -> Outcome {
        let client = self.clients.client(who).clone();
        let (Some(producer), Some(group)) = (client.producer, client.open) else { return Ok(()) };
        let draw = Draw::new(seed);
        let Some((place, numbers, records)) = self.make_part(&draw, group)? else { return Ok(()) };
        let leaks = self.sabotage == Sabotage::LeaksOpen;
        let answer = self.with_log(|log| match leaks {
            true => log.append(place.0, place.1, records),
            false => log.append_in(producer, place.0, place.1, records),
        });
        let Some(answer) = answer else { return Ok(()) };
        self.waiting.push(Waiting::Transaction(Asked::Part { who, group, place, numbers, answer }));
        self.hear(Moment::AtOnce)?;
        self.collect(Moment::AtOnce)
    }

    fn end_transaction(&mut self, who: u64, end: End) -> Outcome {
        let client = self.clients.client(who).clone();
        let (Some(of), Some(group)) = (client.producer, client.open) else { return Ok(()) };
        let is_given_up = !self.clients.hiding.contains_key(&group);
        match end {
            // It took too long, or has no parts.
            End::Commit if is_given_up => {}
            End::Commit => self.decided(group, Fate::Ending)?,
            End::Abort => self.decided(group, Fate::Aborted)?,
        }
        let told = if self.sabotage == Sabotage::ShowsAborted { End::Commit } else { end };
        let Some(answer) = self.with_log(|log| log.end(of, told)) else { return Ok(()) };
        let client = self.clients.client(who);
        (client.open, client.is_busy) = (None, true);
        self.waiting.push(Waiting::Transaction(Asked::End { who, group, of, end, answer }));
        self.collect(Moment::AtOnce)?;
        self.hear(Moment::AfterCommit)
    }

    fn take_over(&mut self, who: u64) -> Outcome {
        let client = self.clients.client(who).clone();
        let (Some(of), false) = (client.producer, client.is_busy) else { return Ok(()) };
        if let Some(group) = client.open {
            self.decided(group, Fate::Aborted)?;
        }
        let is_unfenced = self.sabotage == Sabotage::Unfenced;
        let answer = self.with_log(|log| -> Pending<Producer> {
            match is_unfenced {
                true => Box::pin(std::future::ready(Ok(Producer { epoch: of.epoch + 1, ..of }))),
                false => log.take_over(of),
            }
        });
        let Some(answer) = answer else { return Ok(()) };
        let client = self.clients.client(who);
        (client.open, client.is_busy) = (None, true);
        self.waiting.push(Waiting::Transaction(Asked::TakeOver { who, of, answer }));
        self.collect(Moment::AtOnce)?;
        self.hear(Moment::AfterCommit)
    }

    /// Somebody who was replaced tries once more.
    fn come_back(&mut self, who: u64, seed: u64) -> Outcome {
        let draw = Draw::new(seed);
        let client = self.clients.client(who).clone();
        if client.stale.is_empty() || client.open.is_some() || client.is_busy {
            return Ok(());
        }
        let producer = draw.pick(&client.stale);
        let begun = self.with_log(|log| log.begin(producer, Duration::from_secs(60)));
        self.trace.line(format!("  {producer:?} comes back: {begun:?}"));
        if begun == Some(Ok(())) {
            self.tell(&Event::Began { producer })?;
            drop(self.with_log(|log| log.end(producer, End::Abort)));
            // Its epochs are in use again: the client goes on as somebody else.
            *self.clients.client(who) = Client::default();
        }
        Ok(())
    }

    /// Whoever took too long is given up with the next maintenance.
    pub(super) fn give_up_overdue(&mut self) -> Outcome {
        let now = self.machine.clock.monotonic();
        let open = self.clients.clients.values().filter(|client| client.deadline <= now);
        let overdue: Vec<u64> = open.filter_map(|client| client.open).collect();
        overdue.into_iter().try_for_each(|group| self.decided(group, Fate::Aborted))
    }

    pub(super) fn decided(&mut self, group: u64, fate: Fate) -> Outcome {
        let is_over = !matches!(fate, Fate::Ending | Fate::Doubtful);
        if is_over && !self.clients.lost.contains(&group) {
            self.clients.hiding.remove(&group);
        }
        self.tell(&Event::Decided { group, fate })
    }
}

type Part = (Place, Vec<u64>, Vec<types::Record>);

/// Answers.
impl Run {
    pub(super) fn answered_transaction(
        &mut self,
        asked: &mut Asked,
        moment: Moment,
    ) -> Option<Outcome> {
        use crate::live::poll;
        let outcome = match asked {
            Asked::Transact { group, parts, answer } => {
                let answer = poll(answer)?;
                self.transacted(*group, parts, answer, moment)
            }
            Asked::Part { who, group, place, numbers, answer } => {
                let answer = poll(answer)?;
                self.part_stored((*who, *group), *place, numbers, answer)
            }
            Asked::End { who, group, of, end, answer } => {
                let answer = poll(answer)?;
                self.ended((*who, *group), *of, *end, answer)
            }
            Asked::TakeOver { who, of, answer } => {
                let answer = poll(answer)?;
                self.taken_over(*who, *of, answer)
            }
        };
        Some(outcome)
    }

    fn transacted(
        &mut self,
        group: u64,
        parts: &[(Place, Vec<u64>)],
        answer: Result<Vec<Appended>, LogError>,
        moment: Moment,
    ) -> Outcome {
        self.trace.line(format!("  transaction {group}: {answer:?}"));
        match answer {
            Ok(appended) => {
                self.decided(group, Fate::Committed)?;
                for ((place, numbers), appended) in parts.iter().zip(appended) {
                    self.acknowledged_part(*place, appended.base_offset, numbers, moment)?;
                }
                Ok(())
            }
            Err(error) => self.given_up(group, &error),
        }
    }

    fn acknowledged_part(
        &mut self,
        place: Place,
        offset: u64,
        numbers: &[u64],
        moment: Moment,
    ) -> Outcome {
        self.counts.acknowledged += numbers.len() as u64;
        self.tell(&Event::Acknowledged { place, offset, numbers, moment })
    }

    fn given_up(&mut self, group: u64, error: &LogError) -> Outcome {
        if is_certain(error) {
            self.decided(group, Fate::Aborted)?;
        }
        match error {
            LogError::Failed(_) => self.trouble("a transaction failed", error),
            _ => Ok(()),
        }
    }

    fn part_stored(
        &mut self,
        (who, group): (u64, u64),
        place: Place,
        numbers: &[u64],
        answer: Result<Appended, LogError>,
    ) -> Outcome {
        self.trace.line(format!("  part {numbers:?} of {group} in {place:?}: {answer:?}"));
        match answer {
            Ok(appended) => {
                let client = self.clients.client(who);
                client.parts.push((place, appended.base_offset, numbers.to_vec()));
                Ok(())
            }
            Err(LogError::Fenced | LogError::TransactionUnknown) => {
                let client = self.clients.client(who);
                if client.open == Some(group) {
                    client.open = None;
                    return self.decided(group, Fate::Aborted);
                }
                Ok(())
            }
            Err(error) => {
                self.tell(&Event::Refused { numbers, error: &error })?;
                if self.clients.client(who).open == Some(group) {
                    self.decided(group, Fate::Doubtful)?;
                }
                if is_certain(&error) {
                    return Ok(());
                }
                self.clients.lost.insert(group);
                match error {
                    LogError::Failed(_) => self.trouble("a part failed", &error),
                    _ => Ok(()),
                }
            }
        }
    }

    fn ended(
        &mut self,
        (who, group): (u64, u64),
        of: Producer,
        end: End,
        answer: Result<Producer, LogError>,
    ) -> Outcome {
        self.trace.line(format!("  {of:?} ends {group} with {end:?}: {answer:?}"));
        let client = self.clients.client(who);
        client.is_busy = false;
        let parts = std::mem::take(&mut client.parts);
        client.retire(of);
        match answer {
            Ok(next) => {
                client.producer = Some(next);
                let is_stored = end == End::Commit && !parts.is_empty();
                self.tell(&Event::Producer { given: next, of: Some(of), is_stored })?;
                if end == End::Abort {
                    return Ok(());
                }
                self.decided(group, Fate::Committed)?;
                for (place, offset, numbers) in parts {
                    self.acknowledged_part(place, offset, &numbers, Moment::AfterCommit)?;
                }
                Ok(())
            }
            Err(error) => {
                client.producer = None;
                if end == End::Commit { self.given_up(group, &error) } else { Ok(()) }
            }
        }
    }

    fn taken_over(
        &mut self,
        who: u64,
        of: Producer,
        answer: Result<Producer, LogError>,
    ) -> Outcome {
        self.trace.line(format!("  {of:?} is replaced: {answer:?}"));
        let client = self.clients.client(who);
        client.is_busy = false;
        client.retire(of);
        client.producer = answer.clone().ok();
        match answer {
            Ok(given) => self.tell(&Event::Producer { given, of: Some(of), is_stored: true }),
            Err(_) => Ok(()),
        }
    }
}
