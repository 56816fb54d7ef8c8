//! `Idempotency-Key`: the same request under the same key is answered with the first answer and
//! not carried out again. Answers are kept in memory, for a time and within bounds, per project.
//! What holds over a restart, and after the answer is forgotten, are the ids that the key gives to
//! records without one of their own: the log stores each once. It must not know what a request
//! does.
//!
//! A first request runs on a task of its own: the client that times out and asks again is just the
//! one that needs the answer. Refusals are told to who waits and not kept, so that a retry tries.

use crate::Config;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use port::{Code, Identity, Refusal};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stdx::Clock;
use tokio::sync::watch;
use types::limits::HEADERS_MAX;
use types::record::header;
use types::{PrincipalId, ProjectId};
use wire_http::publish::{Publish, make_header};
use wire_http::refusal::JSON;

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;
/// Begins the ids that follow from a key.
const DERIVED: &str = "idempotency-key:";
/// Projects with kept answers; one more and the one that was idle longest is forgotten.
const PROJECTS_MAX: usize = 10_000;
/// Told with an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The answer of a publish, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    pub is_replay: bool,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(CONTENT_TYPE, JSON)], self.body).into_response();
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// The request's idempotency key.
///
/// # Errors
/// `INVALID_REQUEST` when it is empty, too long or not printable ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.is_empty() && text.len() <= KEY_BYTES_MAX => Ok(Some(text.to_owned())),
        _ => Err(Refusal::new(Code::InvalidRequest, "the idempotency key cannot be used")
            .field("Idempotency-Key")
            .hint("1 to 255 printable ASCII characters, such as a UUID")),
    }
}

/// Gives records without an id one that follows from the key and their place in the request, so
/// that the log takes the same request for what it is, whenever it comes again.
pub fn derive_ids(who: &Identity, key: Option<&str>, records: &mut [Publish]) {
    let Some(key) = key else { return };
    for (place, one) in records.iter_mut().enumerate() {
        let record = &mut one.record;
        if record.header(header::ID).is_none() && record.headers.len() < HEADERS_MAX {
            let mut hasher = SipHasher13::new();
            // Principals and keys hold no zero byte.
            hasher.write(who.principal().0.as_bytes());
            hasher.write(&[0]);
            hasher.write(key.as_bytes());
            hasher.write(&[0]);
            hasher.write(&(place as u64).to_le_bytes());
            let id = format!("{DERIVED}{:032x}", hasher.finish128().as_u128());
            record.headers.push(make_header(header::ID, id.into()));
        }
    }
}

/// Another principal's key is another key: an answer is never told to who might not have got it.
type Name = (PrincipalId, String);
type Outcome = Result<Answer, Refusal>;
type Told = watch::Receiver<Option<Outcome>>;

struct Slot {
    fingerprint: u64,
    /// Tells this entry from an earlier one of the same name.
    number: u64,
    bytes: usize,
    told: Told,
}

#[derive(Default)]
struct Project {
    slots: HashMap<Name, Slot>,
    /// Oldest first; entries whose slot is gone are skipped.
    order: VecDeque<(Duration, u64, Name)>,
    bytes: usize,
    used_at: Duration,
}

#[derive(Default)]
struct State {
    projects: HashMap<ProjectId, Project>,
    next_number: u64,
}

pub struct Window {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    hash: RandomState,
    keep: Duration,
    keys_max: usize,
    bytes_max: usize,
}

/// What a request under a key has to do.
enum Claim {
    /// Carry it out; the claim's number names the slot.
    First(watch::Sender<Option<Outcome>>, u64, Told),
    /// Wait for the first one's answer.
    Again(Told),
}

impl Window {
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Arc<Window> {
        Arc::new(Window {
            state: Mutex::default(),
            clock,
            hash: RandomState::new(),
            keep: Duration::from_millis(config.idempotency_ms),
            keys_max: config.idempotency_keys_max,
            bytes_max: config.idempotency_bytes_max,
        })
    }

    // A panic while the lock is held cannot leave more than a slot that expires.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands for everything that makes the request what it is.
    pub fn fingerprint(&self, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> u64 {
        // Without a key nobody asks for it.
        if !headers.contains_key(HEADER) {
            return 0;
        }
        let mut hasher = self.hash.build_hasher();
        uri.hash(&mut hasher);
        for (name, value) in headers {
            if *name == CONTENT_TYPE || name.as_str().starts_with("ms-") {
                (name, value).hash(&mut hasher);
            }
        }
        hasher.write(body);
        hasher.finish()
    }

    /// Runs `work` at most once per key; without a key it just runs.
    ///
    /// # Errors
    /// What `work` is refused with, and `IDEMPOTENCY_KEY_REUSED` when the key came with another
    /// request before.
    pub async fn run(
        self: &Arc<Window>,
        who: &Identity,
        key: Option<String>,
        fingerprint: u64,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        let Some(key) = key else { return work.await };
        let name = (who.principal().clone(), key);
        match self.claim(who.project(), &name, fingerprint)? {
            Claim::Again(told) => {
                let answer = heard(told).await?;
                Ok(Answer { is_replay: true, ..answer })
            }
            Claim::First(tell, number, told) => {
                let window = Arc::clone(self);
                let project = who.project();
                // Ends with the append it makes, whether or not anybody still waits.
                tokio::spawn(async move {
                    let mut unsettled =
                        Unsettled { window: &window, project, name, number, is_kept: false };
                    let outcome = work.await;
                    if let Ok(answer) = &outcome {
                        unsettled.keep(answer);
                    }
                    // A refused key is free again before anybody hears of the refusal.
                    drop(unsettled);
                    tell.send_replace(Some(outcome));
                });
                heard(told).await
            }
        }
    }

    fn claim(&self, project: ProjectId, name: &Name, fingerprint: u64) -> Result<Claim, Refusal> {
        let now = self.clock.monotonic();
        let mut guard = self.state();
        let state = &mut *guard;
        state.next_number += 1;
        let number = state.next_number;
        if !state.projects.contains_key(&project) && state.projects.len() >= PROJECTS_MAX {
            let idle = state.projects.iter().min_by_key(|(_, project)| project.used_at);
            if let Some(idle) = idle.map(|(&id, _)| id) {
                state.projects.remove(&idle);
            }
        }
        let found = state.projects.entry(project).or_default();
        found.used_at = now;
        found.shrink(now, self.keys_max, self.bytes_max);
        match found.slots.entry(name.clone()) {
            Entry::Occupied(slot) if slot.get().fingerprint == fingerprint => {
                Ok(Claim::Again(slot.get().told.clone()))
            }
            Entry::Occupied(_) => {
                let message = "the idempotency key was used with another request";
                Err(Refusal::new(Code::IdempotencyKeyReused, message)
                    .field("Idempotency-Key")
                    .hint("use a new key for each new request"))
            }
            Entry::Vacant(place) => {
                let (tell, told) = watch::channel(None);
                place.insert(Slot { fingerprint, number, bytes: 0, told: told.clone() });
                found.order.push_back((now + self.keep, number, name.clone()));
                Ok(Claim::First(tell, number, told))
            }
        }
    }
}

impl Project {
    /// Forgets what is too old, and the oldest while there is no room for one more.
    fn shrink(&mut self, now: Duration, keys_max: usize, bytes_max: usize) {
        while let Some((expires, number, name)) = self.order.front() {
            let is_full = self.slots.len() >= keys_max || self.bytes > bytes_max;
            if *expires > now && !is_full {
                break;
            }
            let (number, name) = (*number, name.clone());
            self.order.pop_front();
            self.forget(&name, number);
        }
        // Refused requests leave their place in the order behind; it must not outgrow the slots.
        if self.order.len() > 2 * keys_max {
            let slots = &self.slots;
            self.order
                .retain(|(_, number, name)| slots.get(name).is_some_and(|s| s.number == *number));
        }
    }

    fn forget(&mut self, name: &Name, number: u64) {
        if self.slots.get(name).is_some_and(|slot| slot.number == number)
            && let Some(slot) = self.slots.remove(name)
        {
            self.bytes -= slot.bytes;
        }
    }
}

/// A claim that is being carried out. Dropped without an answer (it was refused, or the work
/// panicked) it gives the key up.
struct Unsettled<'a> {
    window: &'a Window,
    project: ProjectId,
    name: Name,
    number: u64,
    is_kept: bool,
}

impl Unsettled<'_> {
    /// Keeps the slot of an answer, and counts it.
    fn keep(&mut self, answer: &Answer) {
        self.is_kept = true;
        let mut state = self.window.state();
        let Some(project) = state.projects.get_mut(&self.project) else { return };
        let Some(slot) = project.slots.get_mut(&self.name) else { return };
        if slot.number == self.number {
            slot.bytes = answer.body.len();
            project.bytes += answer.body.len();
        }
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mut state = self.window.state();
        if let Some(project) = state.projects.get_mut(&self.project) {
            project.forget(&self.name, self.number);
        }
    }
}

async fn heard(mut told: Told) -> Outcome {
    let heard = told.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    heard.unwrap_or_else(|| Err(Refusal::internal(&"a publish ended without an outcome")))
}
