//! Two partitions side by side, record by record: counts, digests, and where they first differ.

use super::copy::fetched;
use super::report::PartitionReport;
use aws_lc_rs::digest::{self, Context};
use bytes::Bytes;
use kafka_client::Cluster;
use kafka_client::batches::{self, Record};
use kafka_client::consumer::Asked;
use std::collections::{HashMap, VecDeque};

/// Keys of records that only one side has, remembered until a later record explains it.
const UNEXPLAINED_MAX: usize = 1_000_000;

/// Reads the records that count, up to an offset.
struct Side<'a> {
    cluster: &'a Cluster,
    asked: Asked,
    until: i64,
    waiting: VecDeque<(i64, Record)>,
    context: Context,
    count: u64,
}

impl<'a> Side<'a> {
    fn new(cluster: &'a Cluster, asked: Asked, until: i64) -> Side<'a> {
        let context = Context::new(&digest::SHA256);
        Side { cluster, asked, until, waiting: VecDeque::new(), context, count: 0 }
    }

    /// The offset of the next record, read ahead.
    async fn peek(&mut self) -> Result<Option<i64>, String> {
        while self.waiting.is_empty() && self.asked.offset < self.until {
            let before = self.asked.offset;
            for stored in fetched(self.cluster, &self.asked).await? {
                let from = self.asked.offset;
                self.asked.offset = from.max(stored.head.next_offset());
                if stored.counts {
                    let found = batches::records(&stored.bytes);
                    let found = found.map_err(|error| error.to_string())?.into_iter();
                    let until = self.until;
                    self.waiting.extend(found.filter(|(at, _)| *at >= from && *at < until));
                }
            }
            if self.asked.offset == before {
                return Err(format!("nothing can be read at offset {before}"));
            }
        }
        Ok(self.waiting.front().map(|(offset, _)| *offset))
    }

    fn take(&mut self) -> Option<(i64, Record)> {
        let (offset, record) = self.waiting.pop_front()?;
        self.count += 1;
        take_in(&mut self.context, offset, &record);
        Some((offset, record))
    }

    fn finish(self) -> (u64, String) {
        let bytes = self.context.finish();
        let digest = bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.count, digest)
    }
}

/// Every field behind its length, so that no two records look the same.
fn take_in(context: &mut Context, offset: i64, record: &Record) {
    let mut field = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(-1, |bytes| bytes.len() as i64);
        context.update(&length.to_be_bytes());
        context.update(bytes.unwrap_or_default());
    };
    field(Some(&offset.to_be_bytes()));
    field(Some(&record.timestamp_ms.unwrap_or(-1).to_be_bytes()));
    field(record.key.as_deref());
    field(record.value.as_deref());
    for header in &record.headers {
        field(Some(header.name.as_bytes()));
        field(header.value.as_deref());
    }
}

/// What only one side has of a compacted partition: fine where a later record of the key is there,
/// or it says that the key is gone.
#[derive(Default)]
pub(crate) struct Unexplained {
    keys: HashMap<Bytes, i64>,
    is_too_many: bool,
}

impl Unexplained {
    pub fn alone(&mut self, offset: i64, record: Record) {
        let Record { key: Some(key), value, .. } = record else {
            self.is_too_many = true;
            return;
        };
        if value.is_none() {
            self.keys.remove(&key);
        } else if self.keys.len() < UNEXPLAINED_MAX {
            self.keys.insert(key, offset);
        } else {
            self.is_too_many = true;
        }
    }

    pub fn both(&mut self, record: &Record) {
        if let Some(key) = &record.key {
            self.keys.remove(key);
        }
    }

    pub fn problem(self) -> Option<String> {
        if self.is_too_many {
            return Some("too many records are on one side only".to_owned());
        }
        let first = self.keys.values().min()?;
        let count = self.keys.len();
        Some(format!("{count} keys are on one side only, the first at offset {first}"))
    }
}

pub struct Both<'a> {
    pub source: &'a Cluster,
    pub target: &'a Cluster,
    pub from: i64,
    pub ends: (i64, i64),
    pub is_compacted: bool,
}

/// Compares what lies from `from` on, up to where the source ended when it was asked.
pub async fn partition(both: Both<'_>, topic: &str, index: i32) -> PartitionReport {
    let (source_end, target_end) = both.ends;
    let mut report = PartitionReport { source_end, target_end, ..PartitionReport::default() };
    if let Err(problem) = compare(both, topic, index, &mut report).await {
        report.problem = Some(problem);
    }
    report
}

async fn compare(
    both: Both<'_>,
    topic: &str,
    index: i32,
    report: &mut PartitionReport,
) -> Result<(), String> {
    let asked = Asked { topic: topic.to_owned(), partition: index, offset: both.from };
    let (source_end, target_end) = both.ends;
    let mut source = Side::new(both.source, asked.clone(), source_end);
    let mut target = Side::new(both.target, asked, target_end.min(source_end));
    let mut unexplained = Unexplained::default();
    let mut first = None;
    loop {
        let (here, there) = (source.peek().await?, target.peek().await?);
        let (at, side) = match (here, there) {
            (None, None) => break,
            (Some(here), Some(there)) if here == there => {
                let (one, other) = (source.take(), target.take());
                if one != other {
                    first.get_or_insert(format!("the records at offset {here} differ"));
                }
                if let Some((_, record)) = &one {
                    unexplained.both(record);
                }
                continue;
            }
            (Some(here), Some(there)) if there < here => (there, "target"),
            (Some(here), _) => (here, "source"),
            (None, Some(there)) => (there, "target"),
        };
        let taken = if side == "source" { source.take() } else { target.take() };
        match taken {
            Some((offset, record)) if both.is_compacted => unexplained.alone(offset, record),
            _ => drop(first.get_or_insert(format!("only the {side} has a record at offset {at}"))),
        }
    }
    let (source, target) = (source.finish(), target.finish());
    report.records = source.0;
    report.target_records = Some(target.0);
    (report.source_digest, report.target_digest) = (Some(source.1), Some(target.1));
    report.problem = first.or_else(|| unexplained.problem());
    if target_end > source_end && report.problem.is_none() {
        report.problem =
            Some(format!("the target goes on to {target_end}, the source to {source_end}"));
    }
    Ok(())
}
