//! Reading as clients do: from an offset, a time, of a key, the keys.

use super::{Outcome, Run};
use crate::book::{self, Place, Seen};
use crate::checks::Event;
use crate::draw::Draw;
use crate::live::{now, seen};
use eventlog::{Engine, LogError};
use stdx::Clock;
use types::Offset;

/// What a read found, and where the next one begins: behind the last batch, whose last records
/// compaction may have taken. `None` at the end.
pub struct Found {
    pub seen: Vec<Seen>,
    pub next: Option<Offset>,
}

impl Run {
    pub(super) fn read(&mut self, slot: u64, partition: u64, seed: u64) -> Outcome {
        let Some(place) = self.place(slot, partition) else { return Ok(()) };
        let Some(bounds) = self.bounds(place) else { return Ok(()) };
        let draw = Draw::new(seed);
        let from = draw.between(bounds.start, bounds.end + 2);
        let bytes_max = draw.pick(&[1, 2_000, 300_000]);
        match self.read_from(place, from, bytes_max)? {
            Ok(found) => self.tell(&Event::Read { place, from, seen: &found.seen }),
            Err(error) => self.trouble("a read", &error),
        }
    }

    pub(super) fn read_from(
        &mut self,
        place: Place,
        from: u64,
        bytes_max: usize,
    ) -> Result<Result<Found, LogError>, super::Broken> {
        let answer = self.with_log(|log| now(log.read(place.0, place.1, from, bytes_max)));
        let batches = match answer.unwrap_or(Err(LogError::Closed)) {
            Ok(batches) => batches,
            Err(error) => return Ok(Err(error)),
        };
        let mut found: Vec<Seen> = batches.iter().flat_map(|batch| seen(batch)).collect();
        self.sabotage.read(&mut found);
        let last = found.last().map(|it| it.offset);
        self.trace.line(format!("  read {place:?} {from}: {} to {last:?}", found.len()));
        let next = batches.last().map(|batch| batch.next_offset());
        if next.is_some_and(|next| next <= from) {
            let text = format!("{place:?}: what is read from {from} on ends at {next:?}");
            return Err(super::Broken { checker: "a read goes on", text });
        }
        Ok(Ok(Found { seen: found, next }))
    }

    pub(super) fn read_time(&mut self, slot: u64, partition: u64, seed: u64) -> Outcome {
        let Some(place) = self.place(slot, partition) else { return Ok(()) };
        let time = self.machine.clock.now_ms() - 60_000 + Draw::new(seed).below(70_000) as i64;
        let answer = self.with_log(|log| now(log.offset_at(place.0, place.1, time)));
        match answer {
            None => Ok(()),
            Some(Err(error)) => self.trouble("a read by time", &error),
            Some(Ok(offset)) => {
                self.trace.line(format!("  time {time} is at {offset}"));
                self.tell(&Event::ByTime { place, time, offset })
            }
        }
    }

    pub(super) fn read_key(
        &mut self,
        slot: u64,
        partition: u64,
        number: u64,
        count: usize,
    ) -> Outcome {
        let Some(place) = self.place(slot, partition) else { return Ok(()) };
        let key = book::key(number);
        let of_key = key.clone();
        let answer = self.with_log(|log| now(log.last_of_key(place.0, place.1, of_key, count)));
        match answer {
            None => Ok(()),
            Some(Err(error)) => self.trouble("a read by key", &error),
            Some(Ok(found)) => {
                let of = |it: eventlog::Found| Seen::new(it.offset, it.timestamp, it.record);
                let mut found: Vec<Seen> = found.into_iter().map(of).collect();
                self.sabotage.of_key(&mut found);
                self.trace.line(format!("  {} of {key:?}", found.len()));
                self.tell(&Event::OfKey { place, key: &key, count, found: &found })
            }
        }
    }

    pub(super) fn keys(&mut self, slot: u64) -> Outcome {
        let Some(place) = self.place(slot, 0) else { return Ok(()) };
        let is_single = self.machine.topics.get(&slot).is_some_and(|it| it.config.partitions == 1);
        match self.with_log(|log| now(log.keys(place.0, None, 1_000))) {
            None => Ok(()),
            Some(Err(error)) => self.trouble("a listing of keys", &error),
            Some(Ok((keys, _))) => {
                self.trace.line(format!("  {} keys", keys.len()));
                if is_single { self.tell(&Event::Keys { place, keys: &keys }) } else { Ok(()) }
            }
        }
    }
}
