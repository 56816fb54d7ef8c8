//! The coordinator of transactions: every transactional id of every project that was used, kept in
//! the log, and what its open transaction touches, in memory. The log gives up what is open at a
//! restart; a mark that is kept while a transaction is open that leaves no other trace sees to it
//! that the client hears of that, and does not go on as if its first half were still there.
//!
//! Offsets that are part of a transaction wait here for its end, and enter the log with it.

mod entry;
mod pending;

pub use entry::{Ended, Entry, Lost, Standing, Way};

use crate::call::Call;
use crate::errors;
use crate::groups::At;
use bytes::Bytes;
use parking_lot::Mutex;
use pending::Pending;
use port::{Code, Protocol, Refusal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use types::acl::Named;
use types::{Batch, Operation, Producer, ProjectId, Scope, TimestampMs};

/// Where the adapter keeps them.
pub const SHELF: &str = crate::Kafka::NAME;
/// Behind which come the transactional ids.
const ID: &[u8] = b"t\0";
/// Bytes of a transactional id: it is part of a key.
const ID_BYTES_MAX: usize = 1_000;
/// Ids that are read at the start at least, whatever the limit is now.
const KEPT_IDS_MAX: usize = 100_000;
/// Whoever was not heard of for so long makes room for others.
const IDLE_MS_MAX: TimestampMs = 7 * 24 * 3_600 * 1_000;

type OfProject = BTreeMap<String, Arc<Slot>>;

#[derive(Default)]
pub struct Transactions {
    /// A project is here with all its ids, or not at all.
    projects: Mutex<HashMap<ProjectId, OfProject>>,
    /// Held while a project's ids are read.
    loading: tokio::sync::Mutex<()>,
    pub pending: Pending,
}

/// One transactional id. `None` until its first producer is known.
pub struct Slot {
    pub name: String,
    pub entry: tokio::sync::Mutex<Option<Entry>>,
}

impl Slot {
    fn key(&self) -> Bytes {
        [ID, self.name.as_bytes()].concat().into()
    }

    /// What is to be kept of the entry.
    pub fn kept(&self, entry: &Entry, standing: Standing) -> (Bytes, Option<Bytes>) {
        (self.key(), Some(entry.kept(standing)))
    }

    /// Sees to it that a restart does not forget that a transaction is open.
    pub async fn mark(&self, call: &Call, entry: &mut Entry) -> Result<(), Refusal> {
        if !entry.is_marked {
            let kept = vec![self.kept(entry, Standing::Open)];
            call.batches()?.keep(&call.who, SHELF, kept).await?;
            entry.is_marked = true;
        }
        Ok(())
    }

    /// A transaction that was marked was given up.
    async fn unmark(&self, call: &Call, entry: &mut Entry) -> Result<(), Refusal> {
        if entry.is_marked {
            let kept = vec![self.kept(entry, Standing::GivenUp)];
            call.batches()?.keep(&call.who, SHELF, kept).await?;
            entry.is_marked = false;
        }
        Ok(())
    }
}

/// Who may publish may do it in transactions; nobody else learns which there are.
fn check_scope(call: &Call) -> Result<(), i16> {
    match call.who.claims().scopes.has(Scope::EventsPublish) {
        true => Ok(()),
        false => Err(errors::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    }
}

/// Refuses what the client may not do with the id, as its scopes and access lists say.
pub fn check(call: &Call, id: &str, operation: Operation) -> Result<(), i16> {
    let checked = call.check_name((Named::TransactionalId, id), operation);
    checked.map_err(|refusal| refused(&refusal))
}

fn refused(refusal: &Refusal) -> i16 {
    errors::of_transaction(refusal)
}

impl Transactions {
    /// The id's slot for its producer, made if there is none.
    pub async fn open(&self, call: &Call, name: &str) -> Result<Arc<Slot>, i16> {
        let is_fine = !name.is_empty() && name.len() <= ID_BYTES_MAX && !name.contains('\0');
        if !is_fine {
            return Err(errors::INVALID_REQUEST);
        }
        if let Some(slot) = self.find(call, name, Operation::Publish).await? {
            return Ok(slot);
        }
        let max = call.desk.config.transactional_ids_max;
        let is_full = |projects: &HashMap<ProjectId, OfProject>| {
            projects.get(&call.who.project()).is_some_and(|ids| ids.len() >= max)
        };
        if is_full(&self.projects.lock()) {
            self.forget_idle(call).await.map_err(|it| refused(&it))?;
        }
        let mut projects = self.projects.lock();
        if is_full(&projects) {
            return Err(errors::POLICY_VIOLATION);
        }
        let ids = projects.entry(call.who.project()).or_default();
        let new = || Arc::new(Slot { name: name.to_owned(), entry: tokio::sync::Mutex::default() });
        Ok(Arc::clone(ids.entry(name.to_owned()).or_insert_with(new)))
    }

    /// The id's slot for whom may do this with it.
    pub async fn find(
        &self,
        call: &Call,
        name: &str,
        operation: Operation,
    ) -> Result<Option<Arc<Slot>>, i16> {
        check(call, name, operation)?;
        self.load(call).await.map_err(|it| refused(&it))?;
        let projects = self.projects.lock();
        Ok(projects.get(&call.who.project()).and_then(|ids| ids.get(name)).cloned())
    }

    /// The ids of the project that the client may see, in their order.
    pub async fn list(&self, call: &Call) -> Result<Vec<Arc<Slot>>, i16> {
        check_scope(call)?;
        self.load(call).await.map_err(|it| refused(&it))?;
        let projects = self.projects.lock();
        let ids = projects.get(&call.who.project());
        let all: Vec<_> = ids.into_iter().flat_map(|ids| ids.values().cloned()).collect();
        drop(projects);
        let is_seen = |slot: &Arc<Slot>| check(call, &slot.name, Operation::Describe).is_ok();
        Ok(all.into_iter().filter(is_seen).collect())
    }

    async fn load(&self, call: &Call) -> Result<(), Refusal> {
        let project = call.who.project();
        if self.projects.lock().contains_key(&project) {
            return Ok(());
        }
        let _one_at_a_time = self.loading.lock().await;
        if self.projects.lock().contains_key(&project) {
            return Ok(());
        }
        let batches = call.batches()?;
        // More than the limit, which may have been higher before.
        let max = call.desk.config.transactional_ids_max.max(KEPT_IDS_MAX);
        let kept = batches.kept(&call.who, SHELF, ID, None, max).await?;
        let mut ids = OfProject::new();
        for (key, value) in kept {
            let name = key.get(ID.len()..).and_then(|name| std::str::from_utf8(name).ok());
            let now = |id| batches.producer_now(&call.who, id).ok().flatten();
            match (name, Entry::read(value, now)) {
                (Some(name), Ok(entry)) => {
                    let entry = tokio::sync::Mutex::new(Some(entry));
                    ids.insert(name.to_owned(), Arc::new(Slot { name: name.to_owned(), entry }));
                }
                // Whoever had it is refused and signs in anew.
                _ => tracing::warn!("a transactional id that is kept cannot be read"),
            }
        }
        self.projects.lock().insert(project, ids);
        Ok(())
    }

    /// Ids that nobody used for long are forgotten, here and where they are kept.
    async fn forget_idle(&self, call: &Call) -> Result<(), Refusal> {
        let before = call.clock.now_ms() - IDLE_MS_MAX;
        let is_idle = |slot: &Slot| {
            slot.entry.try_lock().is_ok_and(|entry| {
                entry.as_ref().is_none_or(|entry| entry.open.is_none() && entry.used_ms < before)
            })
        };
        let gone: Vec<Arc<Slot>> = match self.projects.lock().get_mut(&call.who.project()) {
            Some(ids) => ids.extract_if(.., |_, slot| is_idle(slot)).map(|(_, it)| it).collect(),
            None => return Ok(()),
        };
        for some in gone.chunks(500) {
            let entries = some.iter().map(|slot| (slot.key(), None)).collect();
            call.batches()?.keep(&call.who, SHELF, entries).await?;
        }
        Ok(())
    }

    /// Whether this producer may go on with what it has open, or begin anew.
    fn check(
        &self,
        call: &Call,
        (slot, entry): (&Slot, &mut Entry),
        producer: Producer,
        way: Way,
    ) -> Result<(), i16> {
        entry.check(producer, way)?;
        match self.look(call, (slot, entry)) {
            true => Ok(()),
            false => Err(errors::PRODUCER_FENCED),
        }
    }

    /// Whether what is open, if anything, may go on: if it took too long, the log has given it up,
    /// and so does this.
    pub fn look(&self, call: &Call, (slot, entry): (&Slot, &mut Entry)) -> bool {
        let is_overdue = entry.is_overdue(call.clock.monotonic());
        if is_overdue {
            self.pending.clear(call.who.project(), &slot.name);
            entry.expire();
        }
        !is_overdue
    }

    /// Sees to it that the producer's transaction is open.
    ///
    /// # Errors
    /// Kafka's error.
    pub async fn begin(
        &self,
        call: &Call,
        (slot, entry): (&Slot, &mut Entry),
        producer: Producer,
        way: Way,
    ) -> Result<(), i16> {
        self.check(call, (slot, entry), producer, way)?;
        entry.check_not_lost(way)?;
        if entry.open.is_some() {
            return Ok(());
        }
        let now = call.clock.monotonic();
        if way == Way::Explicit {
            slot.mark(call, entry).await.map_err(|it| refused(&it))?;
        }
        let batches = call.batches().map_err(|it| refused(&it))?;
        let begun = batches.begin(&call.who, entry.log, entry.timeout);
        begun.map_err(|it| refused(&it))?;
        entry.begin(now, call.clock.now_ms());
        Ok(())
    }

    /// A batch of the client's transaction, as it enters the log.
    ///
    /// # Errors
    /// Kafka's error.
    pub async fn enter(
        &self,
        call: &Call,
        (id, way): (&str, Way),
        at: &At,
        batch: Batch,
    ) -> Result<Batch, i16> {
        let Some(stamp) = batch.stamp() else { return Ok(batch) };
        let slot = self.find(call, id, Operation::Publish).await?;
        let slot = slot.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        let mut entry = slot.entry.lock().await;
        let entry = entry.as_mut().ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        match way {
            Way::Implicit => self.begin(call, (&slot, entry), stamp.producer, way).await?,
            Way::Explicit => {
                self.check(call, (&slot, entry), stamp.producer, way)?;
                entry.check_not_lost(way)?;
            }
        }
        entry.join(at, way)?;
        let stored = entry.stamp(at, stamp, batch.count());
        Ok(if stored == stamp { batch } else { batch.with_stamp(stored) })
    }

    /// Gives up what the producer has open; nobody with a former epoch can do anything after it.
    pub async fn take_over(
        &self,
        call: &Call,
        (slot, entry): (&Slot, &Entry),
    ) -> Result<Producer, i16> {
        self.pending.clear(call.who.project(), &slot.name);
        let batches = call.batches().map_err(|it| refused(&it))?;
        batches.take_over(&call.who, entry.log).await.map_err(|it| refused(&it))
    }

    /// Ends the producer's transaction; answers the producer as the client goes on.
    ///
    /// # Errors
    /// Kafka's error.
    pub async fn end(
        &self,
        call: &Call,
        id: &str,
        by: Producer,
        (is_commit, way): (bool, Way),
    ) -> Result<Producer, i16> {
        let slot = self.find(call, id, Operation::Publish).await?;
        let slot = slot.ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        let mut entry = slot.entry.lock().await;
        let entry = entry.as_mut().ok_or(errors::INVALID_PRODUCER_ID_MAPPING)?;
        let ended = Ended { by, is_commit };
        if entry.has_ended(ended, way) {
            return Ok(entry.told);
        }
        self.check(call, (&slot, entry), by, way)?;
        let log = match (is_commit, entry.lost) {
            (true, Some(lost)) => self.find_out(call, lost, way).await?,
            (true, None) => self.commit(call, (&slot, entry)).await?,
            (false, None) if entry.open.is_none() && way == Way::Explicit => {
                return Err(errors::INVALID_TXN_STATE);
            }
            (false, _) => self.take_over(call, (&slot, entry)).await?,
        };
        entry.end(ended, log, way);
        slot.unmark(call, entry).await.map_err(|it| refused(&it))?;
        Ok(entry.told)
    }

    async fn commit(
        &self,
        call: &Call,
        (slot, entry): (&Slot, &mut Entry),
    ) -> Result<Producer, i16> {
        let open = entry.open.as_ref().ok_or(errors::INVALID_TXN_STATE)?;
        let mut entries = Vec::new();
        let mut groups = Vec::new();
        for (name, new) in &open.offsets {
            groups.push((call.desk.groups.reopen(call, name).await?, new));
        }
        // In the order of their names, as whoever else takes several.
        let mut held = Vec::new();
        for (group, new) in &groups {
            let mut offsets = group.offsets.lock().await;
            let staged = offsets.entries(call, &group.name, new).await;
            entries.extend(staged.map_err(|it| errors::of_group(&it))?);
            held.push((offsets, *new));
        }
        if entry.is_marked {
            entries.push(slot.kept(entry, Standing::Committed));
        }
        self.pending.end(call.who.project(), &slot.name);
        let batches = call.batches().map_err(|it| refused(&it))?;
        let committed = batches.commit(&call.who, entry.log, SHELF, entries).await;
        match committed {
            Ok(next) => {
                held.iter_mut().for_each(|(offsets, new)| offsets.took(call, new));
                drop(held);
                entry.is_marked = false;
                self.pending.clear(call.who.project(), &slot.name);
                Ok(next)
            }
            // Nothing was done: it can be tried again.
            Err(refusal) if refused(&refusal) == errors::CONCURRENT_TRANSACTIONS => {
                self.pending.go_on(call.who.project(), &slot.name, open.until);
                Err(errors::CONCURRENT_TRANSACTIONS)
            }
            // What became of it is asked the log when the client asks again.
            Err(refusal) => {
                held.iter_mut().for_each(|(offsets, _)| offsets.unload());
                drop(held);
                self.pending.clear(call.who.project(), &slot.name);
                entry.lost = Some(Lost { log: Some(entry.log), is_sure: false });
                entry.open = None;
                if let Ok(Some(now)) = batches.producer_now(&call.who, entry.log.id) {
                    entry.log = now;
                }
                Err(match refusal.code() {
                    Code::TransactionNotOpen | Code::ProducerFenced => errors::PRODUCER_FENCED,
                    _ => refused(&refusal),
                })
            }
        }
    }

    /// Whether a transaction that was being committed when the server stopped was committed.
    async fn find_out(&self, call: &Call, lost: Lost, way: Way) -> Result<Producer, i16> {
        let batches = call.batches().map_err(|it| refused(&it))?;
        if let Some(log) = lost.log
            && let Ok(next) = batches.commit(&call.who, log, SHELF, Vec::new()).await
        {
            return Ok(next);
        }
        Err(match (lost.is_sure, way) {
            (true, Way::Implicit) => errors::TRANSACTION_ABORTABLE,
            (true, Way::Explicit) => errors::INVALID_PRODUCER_ID_MAPPING,
            (false, _) => errors::PRODUCER_FENCED,
        })
    }
}
