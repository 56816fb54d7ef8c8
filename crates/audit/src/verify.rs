//! Walks the chain from its beginning, or from the anchor that retention left, to its end, and
//! names the first link that does not hold: a record that was changed, is missing or was put in, in
//! the log or in the index. It repairs nothing.

use crate::trail::{Entry, Trail};
use port::Refusal;
use std::time::Duration;
use tenancy::{AuditEnds, AuditHash, AuditMark, AuditRecord, audit_text};
use types::Offset;

/// Records of one read.
const PAGE_RECORDS_MAX: usize = 500;
/// Records of one call; the next one goes on behind them.
pub const CALL_RECORDS_MAX: u64 = 100_000;

/// A record that somebody wrote down elsewhere: it must be in the chain as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub sequence: u64,
    pub hash: AuditHash,
}

/// Where a link is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the log, which is the trail.
    Log,
    /// In the database, by which the trail is searched.
    Index,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Place::Log => "log",
            Place::Index => "index",
        }
    }
}

/// The first link that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The number of the record there, or of the one that should be there.
    pub sequence: u64,
    pub place: Place,
    pub offset: Option<Offset>,
    pub why: String,
}

/// What the walk found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Records looked at.
    pub records: u64,
    pub first: Option<u64>,
    /// The last record that holds, with its hash: worth writing down elsewhere.
    pub last: Option<(u64, AuditHash)>,
    pub broken: Option<Broken>,
    /// Where the next call goes on: the walk did not reach the end.
    pub next: Option<(AuditMark, Offset)>,
}

/// What the check of a part of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartVerdict {
    /// The record before the first that was looked at; number 0 before the very first.
    pub before: AuditMark,
    pub verdict: Verdict,
    /// Records of the part that are not known to be on the log yet.
    pub pending: u64,
    /// There are more than one call looks at.
    pub is_cut: bool,
}

struct Walk {
    verdict: Verdict,
    /// The record before; `None` at the very beginning of what is kept.
    last: Option<AuditMark>,
    ends: AuditEnds,
    expected: Option<Expected>,
    /// The number of the record behind which the walk ends.
    until: u64,
}

fn broken(sequence: u64, place: Place, offset: Option<Offset>, why: impl Into<String>) -> Broken {
    Broken { sequence, place, offset, why: why.into() }
}

impl Trail {
    /// Walks on behind `from`, or from the beginning of what is kept.
    pub async fn verify(
        &self,
        from: Option<(AuditMark, Offset)>,
        expected: Option<Expected>,
    ) -> Result<Verdict, Refusal> {
        let ends = self.tenancy.audit_ends().await?;
        let (last, mut offset) = match from {
            Some((mark, offset)) => (Some(mark), Some(offset)),
            None => (None, None),
        };
        let until = u64::MAX;
        let mut walk = Walk { verdict: Verdict::default(), last, ends, expected, until };
        while !walk.is_over() {
            let entries = match self.read(offset, PAGE_RECORDS_MAX, Duration::ZERO).await {
                Ok(entries) => entries,
                Err(refusal) => {
                    let next = walk.next_number();
                    let found = broken(next, Place::Log, offset, refusal.message());
                    return Ok(walk.end_broken(found));
                }
            };
            let Some(end) = entries.last().map(|entry| entry.offset + 1) else { break };
            offset = Some(end);
            if let Some(found) = self.walk_page(&mut walk, &entries).await? {
                return Ok(walk.end_broken(found));
            }
            if walk.verdict.records >= CALL_RECORDS_MAX {
                walk.verdict.next = walk.last.map(|mark| (mark, end));
                return Ok(walk.verdict);
            }
        }
        let found = walk.missing_at_end();
        Ok(match found {
            Some(found) => walk.end_broken(found),
            None => walk.verdict,
        })
    }

    /// Walks from one number to another, both within, but over no more records than one call looks
    /// at: all that `verify` checks, of these. Records that are too new to be on the log are
    /// counted, not missed.
    pub async fn verify_between(&self, first: u64, last: u64) -> Result<PartVerdict, Refusal> {
        let ends = self.tenancy.audit_ends().await?;
        let first = first.max(ends.anchor.sequence + 1);
        let until = last.min(first.saturating_add(CALL_RECORDS_MAX - 1));
        let published = ends.published.min(until);
        let before = self.mark_before(first, &ends).await?;
        let mut part = PartVerdict {
            before: before.unwrap_or(AuditMark { sequence: first - 1, hash: AuditHash::NONE }),
            verdict: Verdict::default(),
            pending: (until + 1).saturating_sub(first.max(published + 1)),
            is_cut: until < last,
        };
        let offset = self.tenancy.audit_offset(first).await?;
        let gone = |sequence, why| Some(broken(sequence, Place::Index, None, why));
        match (before, offset) {
            _ if published < first => return Ok(part),
            (None, _) => {
                part.verdict.broken = gone(first - 1, "the index does not have the record");
            }
            (_, None) => {
                let why = "the index does not know where the record lies";
                part.verdict.broken = gone(first, why);
            }
            (Some(last), Some(offset)) => {
                let (verdict, last) = (Verdict::default(), Some(last));
                let walk = Walk { verdict, last, ends, expected: None, until: published };
                part.verdict = self.walk_part(walk, offset).await?;
            }
        }
        Ok(part)
    }

    async fn walk_part(&self, mut walk: Walk, from: Offset) -> Result<Verdict, Refusal> {
        let mut offset = from;
        while !walk.is_over() {
            let read = self.read(Some(offset), PAGE_RECORDS_MAX, Duration::ZERO).await;
            let entries = match read {
                Ok(entries) => entries,
                Err(refusal) => {
                    let next = walk.next_number();
                    let found = broken(next, Place::Log, Some(offset), refusal.message());
                    return Ok(walk.end_broken(found));
                }
            };
            let Some(end) = entries.last().map(|entry| entry.offset + 1) else {
                let found = walk.missing_at_end();
                return Ok(found.map_or(walk.verdict.clone(), |found| walk.end_broken(found)));
            };
            offset = end;
            if let Some(found) = self.walk_page(&mut walk, &entries).await? {
                return Ok(walk.end_broken(found));
            }
        }
        Ok(walk.verdict)
    }

    /// The record before this number, as the store has it.
    async fn mark_before(
        &self,
        first: u64,
        ends: &AuditEnds,
    ) -> Result<Option<AuditMark>, Refusal> {
        if ends.anchor.sequence + 1 == first {
            return Ok(Some(ends.anchor));
        }
        let rows = self.tenancy.audit_links(first - 1, first - 1, 1).await?;
        let link = rows.first().and_then(|row| row.link);
        Ok(link.map(|link| AuditMark { sequence: link.sequence, hash: link.hash }))
    }

    async fn walk_page(
        &self,
        walk: &mut Walk,
        entries: &[Entry],
    ) -> Result<Option<Broken>, Refusal> {
        let mut held: Vec<(&Entry, &AuditRecord, u64)> = Vec::with_capacity(entries.len());
        for entry in entries {
            if walk.is_over() {
                break;
            }
            let before = match (&walk.last, &entry.record) {
                (None, Ok(record)) => self.before(walk, record).await?,
                _ => None,
            };
            match walk.step(entry, before) {
                Ok(Some((record, sequence))) => held.push((entry, record, sequence)),
                Ok(None) => {}
                Err(found) => return Ok(Some(found)),
            }
        }
        let (Some((_, _, first)), Some((_, _, last))) = (held.first(), held.last()) else {
            return Ok(None);
        };
        let known = self.tenancy.audit_links(*first, *last, PAGE_RECORDS_MAX).await?;
        Ok(held.iter().find_map(|(entry, _, sequence)| {
            // Retention takes the index's records before the log's.
            if *sequence <= walk.ends.anchor.sequence {
                return None;
            }
            let row =
                known.iter().find(|row| row.link.is_some_and(|link| link.sequence == *sequence));
            let why = match row {
                None => "the index does not have the record",
                Some(row) => match row.link.map(|link| audit_text(row, &link)) {
                    Some(text) if text == entry.text => return None,
                    _ => "the index's record is not the one in the log",
                },
            };
            Some(broken(*sequence, Place::Index, Some(entry.offset), why))
        }))
    }

    /// The hash that the first record of what is kept must follow, where it is known.
    async fn before(&self, walk: &Walk, first: &AuditRecord) -> Result<Option<AuditHash>, Refusal> {
        let Some(sequence) = first.link.map(|link| link.sequence) else { return Ok(None) };
        if sequence == 1 {
            return Ok(Some(AuditHash::NONE));
        }
        if walk.ends.anchor.sequence + 1 == sequence {
            return Ok(Some(walk.ends.anchor.hash));
        }
        // The log's retention went further than the index's.
        let rows = self.tenancy.audit_links(sequence - 1, sequence - 1, 1).await?;
        Ok(rows.first().and_then(|row| row.link).map(|link| link.hash))
    }
}

impl Walk {
    fn next_number(&self) -> u64 {
        self.last.map_or(1, |last| last.sequence + 1)
    }

    fn is_over(&self) -> bool {
        self.last.is_some_and(|last| last.sequence >= self.until)
    }

    fn end_broken(mut self, found: Broken) -> Verdict {
        self.verdict.broken = Some(found);
        self.verdict
    }

    /// One record: `Ok(None)` for one that was there before.
    fn step<'a>(
        &mut self,
        entry: &'a Entry,
        before: Option<AuditHash>,
    ) -> Result<Option<(&'a AuditRecord, u64)>, Broken> {
        let wanted = self.next_number();
        let at = Some(entry.offset);
        let wrong = |sequence, why: String| Err(broken(sequence, Place::Log, at, why));
        let record = match &entry.record {
            Ok(record) => record,
            Err(error) => return wrong(wanted, error.to_string()),
        };
        let Some(link) = record.link else { return wrong(wanted, "it has no place".to_owned()) };
        match self.last {
            Some(last) if link.sequence == last.sequence && link.hash == last.hash => {
                return Ok(None);
            }
            Some(last) if link.sequence != last.sequence + 1 => {
                let why = format!("record {wanted} is missing: {} follows", link.sequence);
                return wrong(wanted, why);
            }
            Some(last) if link.previous != last.hash => {
                return wrong(wanted, format!("it does not follow record {}", last.sequence));
            }
            None if before.is_some_and(|before| link.previous != before) => {
                return wrong(link.sequence, "it does not follow what was before it".to_owned());
            }
            None if before.is_none() && link.sequence > self.ends.anchor.sequence + 1 => {
                let first = self.ends.anchor.sequence + 1;
                let why = format!("record {first} is missing: {} is the first", link.sequence);
                return wrong(first, why);
            }
            _ => {}
        }
        let anchor = self.ends.anchor;
        if link.sequence == anchor.sequence && link.hash != anchor.hash {
            return wrong(link.sequence, "it is not the record that the anchor was made of".into());
        }
        if let Some(expected) = self.expected
            && expected.sequence == link.sequence
            && expected.hash != link.hash
        {
            return wrong(link.sequence, "its hash is not the one that was expected".to_owned());
        }
        self.last = Some(AuditMark { sequence: link.sequence, hash: link.hash });
        self.verdict.records += 1;
        self.verdict.first = self.verdict.first.or(Some(link.sequence));
        self.verdict.last = Some((link.sequence, link.hash));
        Ok(Some((record, link.sequence)))
    }

    /// What the store knows to be in the log, and is not.
    fn missing_at_end(&self) -> Option<Broken> {
        let next = match self.last {
            Some(last) => last.sequence + 1,
            None => self.ends.anchor.sequence + 1,
        };
        if self.ends.published >= next {
            let why = format!("records {next} to {} are missing", self.ends.published);
            return Some(broken(next, Place::Log, None, why));
        }
        match self.expected {
            Some(expected) if expected.sequence >= next => {
                let why = "the trail ends before the record that was expected";
                Some(broken(expected.sequence, Place::Log, None, why))
            }
            _ => None,
        }
    }
}
