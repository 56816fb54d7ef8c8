//! Aggregates by key and session: records of a key that are no further apart than a gap belong
//! together. A record between two sessions makes one of them.

use super::store::{Store, measured, ordered, unordered};
use super::windows::Late;
use crate::Result;
use bytes::{BufMut, Bytes, BytesMut};

/// The first and the last moment of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    pub first_ms: i64,
    pub last_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Sessions {
    space: String,
    /// By their ends, to find those that are over.
    ends: String,
    gap_ms: i64,
    grace_ms: i64,
}

impl Sessions {
    /// `name` tells them from others in the store.
    pub fn new(name: &str, gap_ms: u32) -> Sessions {
        let (space, ends) = (format!("{name}.sessions"), format!("{name}.ends"));
        Sessions { space, ends, gap_ms: i64::from(gap_ms), grace_ms: 0 }
    }

    /// How much later than a session's end its records may come.
    pub fn with_grace(self, grace_ms: u32) -> Sessions {
        Sessions { grace_ms: i64::from(grace_ms), ..self }
    }

    fn is_closed(&self, last_ms: i64, time_ms: i64) -> bool {
        last_ms.saturating_add(self.gap_ms).saturating_add(self.grace_ms) < time_ms
    }

    /// Takes a record into its session: `merge` makes one aggregate of two, the earlier session's
    /// first; `one` is that of the record alone. Answers the session that it is in now.
    ///
    /// # Errors
    /// When the store is full.
    pub fn fold(
        &self,
        store: &mut Store,
        (key, at_ms): (&[u8], i64),
        one: Bytes,
        mut merge: impl FnMut(&Bytes, &Bytes) -> Bytes,
    ) -> Result<std::result::Result<(Session, Bytes), Late>> {
        store.advance(at_ms)?;
        let mut session = Session { first_ms: at_ms, last_ms: at_ms };
        let touching = self.touching(store, key, at_ms);
        if touching.is_empty() && self.is_closed(at_ms, store.time_ms()) {
            return Ok(Err(Late));
        }
        let (before, behind): (Vec<_>, Vec<_>) =
            touching.iter().partition(|(other, _)| other.first_ms <= at_ms);
        let mut aggregate = one;
        for (_, other) in before.iter().rev() {
            aggregate = merge(other, &aggregate);
        }
        for (_, other) in &behind {
            aggregate = merge(&aggregate, other);
        }
        for (other, _) in &touching {
            session.first_ms = session.first_ms.min(other.first_ms);
            session.last_ms = session.last_ms.max(other.last_ms);
            self.forget(store, key, other);
        }
        let mut value = BytesMut::with_capacity(8 + aggregate.len());
        value.put_i64(session.last_ms);
        value.put_slice(&aggregate);
        store.put(&self.space, &place(key, session.first_ms), value.freeze())?;
        store.put(&self.ends, &end(key, &session), Bytes::new())?;
        Ok(Ok((session, aggregate)))
    }

    /// The sessions of a key that a moment touches, in their order.
    fn touching(&self, store: &Store, key: &[u8], at_ms: i64) -> Vec<(Session, Bytes)> {
        let mut found = Vec::new();
        let prefix = measured(key);
        for (place, value) in store.scan(&self.space, &prefix, b"") {
            let start = place.get(prefix.len()..).and_then(|rest| rest.first_chunk::<8>());
            let (Some(start), Some((last, _))) = (start, value.split_first_chunk::<8>()) else {
                continue;
            };
            let session =
                Session { first_ms: unordered(*start), last_ms: i64::from_be_bytes(*last) };
            if session.first_ms > at_ms.saturating_add(self.gap_ms) {
                break;
            }
            let is_near = at_ms <= session.last_ms.saturating_add(self.gap_ms);
            if is_near && !self.is_closed(session.last_ms, store.time_ms()) {
                found.push((session, value.slice(8..)));
            }
        }
        found
    }

    fn forget(&self, store: &mut Store, key: &[u8], session: &Session) -> Option<Bytes> {
        store.remove(&self.ends, &end(key, session));
        store.remove(&self.space, &place(key, session.first_ms)).map(|value| value.slice(8..))
    }

    /// Takes the sessions that are over out of the store: their aggregates are final. Who ended
    /// first comes first.
    pub fn close(&self, store: &mut Store) -> Vec<(Bytes, Session, Bytes)> {
        let time_ms = store.time_ms();
        let mut over = Vec::new();
        for (place, _) in store.scan(&self.ends, b"", b"") {
            let Some((last, rest)) = place.split_first_chunk::<8>() else { continue };
            let Some((first, key)) = rest.split_first_chunk::<8>() else { continue };
            let session = Session { first_ms: unordered(*first), last_ms: unordered(*last) };
            if !self.is_closed(session.last_ms, time_ms) {
                break;
            }
            over.push((Bytes::copy_from_slice(key), session));
        }
        let closed = over.into_iter().map(|(key, session)| {
            let aggregate = self.forget(store, &key, &session).unwrap_or_default();
            (key, session, aggregate)
        });
        closed.collect()
    }
}

/// By key first, so that a key's sessions are found.
fn place(key: &[u8], first_ms: i64) -> Bytes {
    let mut bytes = measured(key);
    bytes.put_slice(&ordered(first_ms));
    bytes.freeze()
}

/// By end first, so that what is over stands in front.
fn end(key: &[u8], session: &Session) -> Bytes {
    let mut bytes = BytesMut::with_capacity(16 + key.len());
    bytes.put_slice(&ordered(session.last_ms));
    bytes.put_slice(&ordered(session.first_ms));
    bytes.put_slice(key);
    bytes.freeze()
}
