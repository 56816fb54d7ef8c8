//! Appending records that may have ids: what was seen within the topic's window is answered with
//! its first place, everything else enters its partition, all or nothing.
//!
//! Ids are claimed in memory before their records are durable, under the lock of their table, so
//! of two calls with one id the second always finds the first. Only an id that a file may hold
//! costs a look at the device; calls with ids that come meanwhile wait in line behind that one.

use super::append::Entered;
use super::core::Core;
use super::disk::{Reading, Trouble};
use super::ids::Ids;
use super::ids::entry::{Entry, IdHash, IdMap, Place};
use super::ids::run::Run;
use super::ids::table::{Claims, Entries, Recent, Table, Told};
use super::topic::Shared;
use super::transaction::Ended;
use crate::{Appended, LogError, Pending, Placement, Together};
use parking_lot::MutexGuard;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::collections::hash_map::Entry as Slot;
use std::future::ready;
use std::io;
use std::sync::Arc;
use tokio::sync::{OwnedMutexGuard, oneshot};
use types::{Durability, Partition, Record, TimestampMs, TopicId, record};

/// How often one call looks at the device because new files came meanwhile.
const LOOKS_MAX: usize = 8;

struct Call {
    /// Ascending by number.
    topics: Vec<Target>,
    /// With the place of their topic in `topics`.
    records: Vec<(usize, Partition, Record)>,
    /// None at all when no record has an id that counts.
    hashes: Vec<Option<IdHash>>,
    /// What the files say of ids they may hold.
    known: IdMap<Option<Place>>,
    together: Together,
}

/// One topic of a call.
struct Target {
    id: TopicId,
    shared: Arc<Shared>,
    /// Ids that came before count no more.
    oldest: TimestampMs,
}

/// Whoever looks at the device holds those of its topics.
type Gates = SmallVec<[OwnedMutexGuard<()>; 1]>;

/// The tables of a call's topics.
struct Tables<'a>(SmallVec<[(usize, MutexGuard<'a, Table>); 1]>);

impl Tables<'_> {
    fn get(&mut self, topic: TopicId) -> Option<&mut Table> {
        let wanted = Ids::table_of(topic);
        let found = self.0.iter_mut().find(|(number, _)| *number == wanted);
        found.map(|(_, table)| &mut **table)
    }
}

/// What of a call entered one partition.
struct Part {
    partition: Partition,
    /// The records' places in the call.
    indexes: Vec<usize>,
    appended: Appended,
    claims: Arc<Claims>,
    is_acknowledged: bool,
}

/// The records of one partition with their places in the call.
type Shares = BTreeMap<(usize, Partition), (Vec<usize>, Vec<Record>)>;

enum Step {
    Entered(Entering),
    /// Files may hold these.
    LookUp(Vec<IdHash>),
}

/// What is to come of one record.
enum Fate {
    New,
    /// Stored before.
    Old(Place),
    /// On its way to the device for another call.
    Waits(Place, Told),
    /// The same as an earlier one of this call.
    Same(usize),
}

/// A call whose records are in their partitions.
struct Entering {
    placements: Vec<Placement>,
    waits: Vec<Told>,
    new: Waiting,
}

/// Whom the call waits for.
enum Waiting {
    Nobody,
    Appends(Vec<oneshot::Receiver<Result<Appended, LogError>>>),
    Decision(Ended),
    /// A part was refused while others had entered.
    Refused(LogError),
}

impl Entering {
    async fn answer(self) -> Result<Vec<Placement>, LogError> {
        match self.new {
            Waiting::Nobody => {}
            Waiting::Appends(appends) => {
                for append in appends {
                    append.await.unwrap_or(Err(LogError::Closed))?;
                }
            }
            Waiting::Refused(error) => return Err(error),
            Waiting::Decision(ended) => ended.await.unwrap_or(Err(LogError::Closed))?,
        }
        for told in self.waits {
            told.await.unwrap_or(Err(LogError::Closed))?;
        }
        Ok(self.placements)
    }
}

impl Core {
    pub fn publish(
        self: &Arc<Self>,
        records: Vec<(TopicId, Partition, Record)>,
        together: Together,
    ) -> Pending<Vec<Placement>> {
        let mut call = match self.call(records, together) {
            Ok(call) => call,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        if call.hashes.is_empty() {
            return match self.enter_new(&mut call, None, Vec::new()) {
                Ok(entering) => Box::pin(entering.answer()),
                Err(error) => Box::pin(ready(Err(error))),
            };
        }
        // Two calls that only look at memory do not wait for each other here.
        if call.topics.iter().any(|topic| topic.shared.gate.try_lock().is_err()) {
            return Box::pin(Arc::clone(self).publish_in_line(call, Vec::new()));
        }
        match self.try_publish(&mut call) {
            Ok(Step::Entered(entering)) => Box::pin(entering.answer()),
            Ok(Step::LookUp(hashes)) => {
                // Before this returns, so that whoever publishes next finds them closed.
                let gates = call.topics.iter();
                let gates = gates.map(|topic| Arc::clone(&topic.shared.gate).try_lock_owned());
                match gates.collect::<Result<Gates, _>>() {
                    Ok(gates) => Box::pin(Arc::clone(self).publish_slowly(call, hashes, gates)),
                    Err(_) => Box::pin(Arc::clone(self).publish_in_line(call, hashes)),
                }
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    /// After those that look at the device already.
    async fn publish_in_line(
        self: Arc<Self>,
        call: Call,
        hashes: Vec<IdHash>,
    ) -> Result<Vec<Placement>, LogError> {
        let mut gates = Gates::new();
        // In the order of topics' numbers, so that no two calls wait for each other.
        for topic in &call.topics {
            gates.push(Arc::clone(&topic.shared.gate).lock_owned().await);
        }
        self.publish_slowly(call, hashes, gates).await
    }

    fn call(
        &self,
        records: Vec<(TopicId, Partition, Record)>,
        together: Together,
    ) -> Result<Call, LogError> {
        let now = self.world.clock.now_ms();
        let mut topics: Vec<Target> = Vec::with_capacity(1);
        for (id, _, _) in &records {
            let Err(at) = topics.binary_search_by_key(id, |topic| topic.id) else { continue };
            let shared = Arc::clone(&self.topics.get(*id)?.shared);
            let window = i64::try_from(shared.idempotency_window_ms()).unwrap_or(i64::MAX);
            topics.insert(at, Target { id: *id, shared, oldest: now.saturating_sub(window) });
        }
        let mut call = Call {
            topics,
            records: Vec::new(),
            hashes: Vec::new(),
            known: IdMap::default(),
            together,
        };
        let counts = |id: &TopicId, record: &Record| {
            let at = call.topics.binary_search_by_key(id, |topic| topic.id).unwrap_or(0);
            let topic = call.topics.get(at).filter(|it| it.shared.idempotency_window_ms() > 0);
            let id = record.header(record::header::ID);
            (at, topic.zip(id).map(|(topic, id)| self.ids.hash(topic.id, id)))
        };
        let mut hashes = Vec::with_capacity(records.len());
        let mut placed = Vec::with_capacity(records.len());
        for (id, partition, record) in records {
            let (at, hash) = counts(&id, &record);
            hashes.push(hash);
            placed.push((at, partition, record));
        }
        call.records = placed;
        if hashes.iter().any(Option::is_some) {
            call.hashes = hashes;
        }
        Ok(call)
    }

    /// Looks at the device first; those behind wait at the gates.
    async fn publish_slowly(
        self: Arc<Self>,
        mut call: Call,
        mut hashes: Vec<IdHash>,
        gates: Gates,
    ) -> Result<Vec<Placement>, LogError> {
        for _ in 0..LOOKS_MAX {
            if !hashes.is_empty() {
                let look = move |core: &Core| {
                    let look = |&hash: &IdHash| Ok((hash, core.ids.look_up(hash)?));
                    let found: io::Result<_> = hashes.iter().map(look).collect();
                    found.map_err(|error| {
                        let text = format!("record ids cannot be read: {error}");
                        Trouble::Log(LogError::Failed(text))
                    })
                };
                let found: Vec<(IdHash, Option<Place>)> =
                    self.blocking(Reading::Piece, look).await?;
                call.known.extend(found);
            }
            match self.try_publish(&mut call)? {
                Step::Entered(entering) => {
                    drop(gates);
                    return entering.answer().await;
                }
                Step::LookUp(more) => hashes = more,
            }
        }
        Err(LogError::Busy)
    }

    fn try_publish(&self, call: &mut Call) -> Result<Step, LogError> {
        let mut tables = Tables(self.ids.tables(call.topics.iter().map(|topic| topic.id)));
        // Files are made durable before what is in them leaves the tables, so these are not older.
        let runs = self.ids.runs();
        let mut missing = Vec::new();
        self.touch(call, &mut tables, &runs);
        // One id alone has no other like it.
        let several = if call.hashes.len() > 1 { call.hashes.len() } else { 0 };
        let mut first: IdMap<usize> = IdMap::with_capacity_and_hasher(several, Default::default());
        let mut fates = Vec::with_capacity(call.hashes.len());
        for (index, hash) in call.hashes.iter().enumerate() {
            fates.push(match hash {
                None => Fate::New,
                Some(hash) if several == 0 => {
                    self.fate(call, (&mut tables, &runs), index, *hash, &mut missing)
                }
                Some(hash) => match first.entry(*hash) {
                    Slot::Occupied(first) => Fate::Same(*first.get()),
                    Slot::Vacant(slot) => {
                        slot.insert(index);
                        self.fate(call, (&mut tables, &runs), index, *hash, &mut missing)
                    }
                },
            });
        }
        if !missing.is_empty() {
            return Ok(Step::LookUp(missing));
        }
        let new = fates.iter().zip(&call.hashes);
        let new = new.filter(|(fate, hash)| matches!(fate, Fate::New) && hash.is_some()).count();
        if !self.ids.may_claim(new) {
            self.nudge.work();
            return Err(LogError::Busy);
        }
        let entering = self.enter_new(call, Some(&mut tables), fates)?;
        drop(tables);
        if self.ids.wants_run() {
            self.nudge.work();
        }
        Ok(Step::Entered(entering))
    }

    /// Brings what will be asked for all ids closer, at once: asked one after the other, memory
    /// would be waited for as often.
    fn touch(&self, call: &Call, tables: &mut Tables<'_>, runs: &[Arc<Run>]) {
        if call.hashes.len() <= 1 {
            return;
        }
        let mut seen = 0;
        for ((at, ..), hash) in call.records.iter().zip(&call.hashes) {
            let (Some(topic), Some(hash)) = (call.topics.get(*at), *hash) else { continue };
            seen ^= tables.get(topic.id).map_or(0, |table| table.touch(hash));
            seen ^= runs.iter().fold(0, |seen, run| seen ^ run.touch(hash));
        }
        std::hint::black_box(seen);
    }

    fn fate(
        &self,
        call: &Call,
        (tables, runs): (&mut Tables<'_>, &[Arc<Run>]),
        index: usize,
        hash: IdHash,
        missing: &mut Vec<IdHash>,
    ) -> Fate {
        let topic = call.records.get(index).and_then(|(at, _, _)| call.topics.get(*at));
        let Some(topic) = topic else { return Fate::New };
        match tables.get(topic.id).and_then(|table| table.find(hash)) {
            Some(Recent::Waits(place, told)) => return Fate::Waits(place, told),
            Some(Recent::Stored(place)) if place.time >= topic.oldest => return Fate::Old(place),
            Some(Recent::Stored(_)) => return Fate::New,
            None => {}
        }
        match call.known.get(&hash) {
            Some(Some(place)) if place.time >= topic.oldest => return Fate::Old(*place),
            Some(_) => {}
            None if runs.iter().any(|run| run.may_hold(hash)) => missing.push(hash),
            None => {}
        }
        Fate::New
    }

    /// The new records enter their partitions. Without tables no record has an id, and `fates` is
    /// empty.
    fn enter_new(
        &self,
        call: &mut Call,
        tables: Option<&mut Tables<'_>>,
        fates: Vec<Fate>,
    ) -> Result<Entering, LogError> {
        let mut shares = Shares::new();
        let records = std::mem::take(&mut call.records);
        let is_new = |index: usize| fates.get(index).is_none_or(|it| matches!(it, Fate::New));
        let count = records.len();
        for (index, (topic, partition, record)) in records.into_iter().enumerate() {
            if is_new(index) {
                let share = shares.entry((topic, partition)).or_default();
                share.0.push(index);
                share.1.push(record);
            }
        }
        let (parts, new) = self.enter_shares(call, shares)?;
        if let Some(tables) = tables {
            self.claim(call, tables, &parts);
        }
        if let Waiting::Refused(error) = new {
            return Err(error);
        }
        let mut placed: Vec<Option<Placement>> = vec![None; count];
        for Part { partition, indexes, appended, .. } in parts {
            let timestamp = appended.timestamp;
            for (offset, index) in (appended.base_offset..).zip(indexes) {
                let placement = Placement { partition, offset, timestamp, is_duplicate: false };
                if let Some(slot) = placed.get_mut(index) {
                    *slot = Some(placement);
                }
            }
        }
        let (waits, duplicates) = fill(&mut placed, fates);
        if duplicates > 0 {
            self.ids.count_duplicates(duplicates);
        }
        // Every record is new, or its fate filled its place.
        Ok(Entering { placements: placed.into_iter().flatten().collect(), waits, new })
    }

    /// The ids of what has just entered; the tables are still locked, so nobody came between.
    fn claim(&self, call: &Call, tables: &mut Tables<'_>, parts: &[Part]) {
        for part in parts {
            let hashes = part.indexes.iter().map(|&index| call.hashes.get(index)?.as_ref());
            let hashes = hashes.zip(part.appended.base_offset..);
            let entries = hashes.filter_map(|(hash, offset)| {
                let place = Place::new(part.partition, offset, part.appended.timestamp);
                hash.map(|&hash| Entry { hash, place })
            });
            let entries = entries.collect::<Entries>();
            let table = tables.get(part.claims.topic).filter(|_| !entries.is_empty());
            let Some(table) = table else { continue };
            part.claims.fill(entries);
            if part.is_acknowledged {
                // Nobody could wait for it yet.
                drop(part.claims.store());
            }
            self.ids.claim(table, &part.claims);
        }
    }

    fn enter_shares(&self, call: &Call, shares: Shares) -> Result<(Vec<Part>, Waiting), LogError> {
        let is_durable = |topic: &Target| topic.shared.durability() == Durability::Durable;
        let is_together = match (&call.topics[..], call.together) {
            ([topic], Together::IfStored) => is_durable(topic),
            _ => true,
        };
        if shares.len() > 1 && is_together {
            return self.enter_together(call, shares);
        }
        let (mut parts, mut waiting) = (Vec::new(), Vec::new());
        for ((at, partition), (indexes, records)) in shares {
            // Of topics that promise no storage each partition is for itself.
            let Some(topic) = call.topics.get(at) else { continue };
            let claims = Claims::new(topic.id);
            let kept = (!call.hashes.is_empty()).then(|| Arc::clone(&claims));
            let (appended, is_acknowledged) = match self.enter(topic.id, partition, &records, kept)
            {
                Ok(Entered::Done(appended)) => (appended, true),
                Ok(Entered::Waits(appended, told)) => {
                    waiting.push(told);
                    (appended, false)
                }
                // What has entered stays; its ids must be known when the call comes again.
                Err(error) => return Ok((parts, Waiting::Refused(error))),
            };
            parts.push(Part { partition, indexes, appended, claims, is_acknowledged });
        }
        let waiting = if waiting.is_empty() { Waiting::Nobody } else { Waiting::Appends(waiting) };
        Ok((parts, waiting))
    }

    fn enter_together(
        &self,
        call: &Call,
        shares: Shares,
    ) -> Result<(Vec<Part>, Waiting), LogError> {
        let (mut appends, mut places) = (Vec::new(), Vec::new());
        for ((at, partition), (indexes, records)) in shares {
            let Some(topic) = call.topics.get(at) else { continue };
            appends.push((topic.id, partition, records));
            places.push((partition, indexes, Claims::new(topic.id)));
        }
        let kept = places.iter().filter(|_| !call.hashes.is_empty());
        let kept = kept.map(|(_, _, claims)| Arc::clone(claims)).collect();
        let (appended, ended) = self.enter_parts(&appends, kept)?;
        let parts = places.into_iter().zip(appended);
        let parts = parts.map(|((partition, indexes, claims), appended)| Part {
            partition,
            indexes,
            appended,
            claims,
            is_acknowledged: false,
        });
        Ok((parts.collect(), Waiting::Decision(ended)))
    }
}

/// Puts the places of what is not new where they belong; answers whom to wait for, and how many
/// there are.
fn fill(placed: &mut [Option<Placement>], fates: Vec<Fate>) -> (Vec<Told>, usize) {
    let (mut waits, mut count) = (Vec::new(), 0);
    for (index, fate) in fates.into_iter().enumerate() {
        let found = match fate {
            Fate::New => continue,
            Fate::Old(place) => Some(duplicate(place)),
            Fate::Waits(place, told) => {
                waits.push(told);
                Some(duplicate(place))
            }
            // The first one comes before, so its place is known.
            Fate::Same(first) => placed.get(first).copied().flatten(),
        };
        count += 1;
        if let Some(slot) = placed.get_mut(index) {
            *slot = found.map(|found| Placement { is_duplicate: true, ..found });
        }
    }
    (waits, count)
}

fn duplicate(place: Place) -> Placement {
    Placement {
        partition: place.partition(),
        offset: place.offset(),
        timestamp: place.time,
        is_duplicate: true,
    }
}
