//! The records of one partition, copied to where they lay: batches as they are where that can be,
//! gaps where the source has control batches or what was given up.

use super::Pair;
use super::report::PartitionReport;
use bytes::{Bytes, BytesMut};
use kafka_client::admin::At;
use kafka_client::batches::{self, Builder, Record};
use kafka_client::consumer::{Amount, Asked, Stored, fetch};
use kafka_client::producer::place;
use kafka_client::{Cluster, Error};
use std::time::Duration;
use stdx::backoff::Backoff;

/// Bytes fetched at once.
pub(crate) const AMOUNT: Amount =
    Amount { wait_ms: 0, bytes_max: 8 * 1024 * 1024, partition_bytes_max: 8 * 1024 * 1024 };
/// Records of one batch that every broker takes.
const BATCH_RECORDS_MAX: usize = 10_000;
/// Of one that is made anew.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How often one batch is tried.
const ATTEMPTS_MAX: u32 = 12;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_secs(5) };

fn text(error: Error) -> String {
    error.to_string()
}

/// Copies what the source has and the target does not, up to where the source ends now.
pub async fn partition(pair: &Pair, topic: &str, index: i32) -> PartitionReport {
    let mut report = PartitionReport::default();
    if let Err(problem) = copy(pair, topic, index, &mut report).await {
        report.problem = Some(problem);
    }
    report
}

async fn copy(
    pair: &Pair,
    topic: &str,
    index: i32,
    report: &mut PartitionReport,
) -> Result<(), String> {
    let ask = async |at| -> Result<i64, String> {
        Ok(pair.source.offset(topic, index, at).await.map_err(text)?.unwrap_or(0))
    };
    let (start, end) = (ask(At::Earliest).await?, ask(At::Latest).await?);
    let there = end_of(pair, topic, index).await?;
    (report.source_end, report.target_end) = (end, there);
    check_tail(pair, (topic, index), start, there).await?;
    let mut next = start.max(there);
    while next < end {
        let asked = Asked { topic: topic.to_owned(), partition: index, offset: next };
        let fetched = fetched(pair.source.cluster(), &asked).await?;
        let before = next;
        for stored in &fetched {
            if stored.counts {
                for (at, batch, records) in pieces(stored, next)? {
                    report.target_end = put(pair, (topic, index), batch, at).await?;
                    report.records += records;
                }
            }
            next = next.max(stored.head.next_offset());
        }
        if next == before {
            return Err(format!("nothing can be read at offset {next}"));
        }
    }
    Ok(())
}

/// Fetches, again while that may help.
pub(crate) async fn fetched(cluster: &Cluster, asked: &Asked) -> Result<Vec<Stored>, String> {
    let mut attempt = 0;
    loop {
        match fetch(cluster, asked, AMOUNT).await {
            Ok(fetched) => return Ok(fetched.batches),
            Err(error) if error.is_retriable() && attempt < ATTEMPTS_MAX => {
                tokio::time::sleep(BACKOFF.wait(attempt, &stdx::SystemRng)).await;
                // Somebody else may lead by now; when nobody can be asked, the next try says why.
                let _ = cluster.refresh(&[&asked.topic]).await;
                attempt += 1;
            }
            Err(error) => return Err(text(error)),
        }
    }
}

async fn end_of(pair: &Pair, topic: &str, index: i32) -> Result<i64, String> {
    Ok(pair.target.offset(topic, index, At::Latest).await.map_err(text)?.unwrap_or(0))
}

/// What the target has must be the source's: its last record lies where the source has the same.
async fn check_tail(
    pair: &Pair,
    (topic, index): (&str, i32),
    start: i64,
    there: i64,
) -> Result<(), String> {
    if there == 0 || there <= start {
        return Ok(());
    }
    let at = there - 1;
    let asked = Asked { topic: topic.to_owned(), partition: index, offset: at };
    let here = record_at(pair.target.cluster(), &asked).await?;
    let source = record_at(pair.source.cluster(), &asked).await?;
    // One that the source has compacted away, or that was dropped here, shows nothing.
    if here.is_none() || source.is_none() || here == source {
        return Ok(());
    }
    Err(format!(
        "the target has a record of its own at offset {at}: a copy goes only into partitions that \
         nobody else writes"
    ))
}

async fn record_at(cluster: &Cluster, asked: &Asked) -> Result<Option<Record>, String> {
    for stored in fetched(cluster, asked).await? {
        if stored.head.next_offset() <= asked.offset {
            continue;
        }
        if !stored.counts {
            return Ok(None);
        }
        let records = batches::records(&stored.bytes).map_err(text)?;
        return Ok(records
            .into_iter()
            .find(|(offset, _)| *offset == asked.offset)
            .map(|(_, record)| record));
    }
    Ok(None)
}

/// The batch as it is, or in pieces: where only a part of it is wanted, it has too many records, or
/// its records are dated by the broker, which the target would do anew.
pub(crate) fn pieces(stored: &Stored, from: i64) -> Result<Vec<(i64, Bytes, u64)>, String> {
    let head = &stored.head;
    let count = u64::try_from(head.count).unwrap_or(0);
    let is_whole = head.base_offset >= from && !head.is_dated_by_broker();
    if is_whole && count <= BATCH_RECORDS_MAX as u64 {
        let mut batch = BytesMut::from(&stored.bytes[..]);
        // Whose it was, and in which transaction, is settled.
        batches::write_stamp(&mut batch, None);
        return Ok(vec![(head.base_offset, batch.freeze(), count)]);
    }
    let packing = head.packing().map_err(text)?;
    let records = batches::records(&stored.bytes).map_err(text)?;
    let mut wanted = records.into_iter().filter(|(offset, _)| *offset >= from).peekable();
    let mut pieces = Vec::new();
    while let Some(&(base, _)) = wanted.peek() {
        let mut builder = Builder::new();
        let mut count = 0;
        while let Some((offset, record)) = wanted.next_if(|(_, record)| {
            count < BATCH_RECORDS_MAX
                && (count == 0 || builder.size() + record.size_max() <= BATCH_BYTES_MAX)
        }) {
            let delta = i32::try_from(offset - base).map_err(|error| error.to_string())?;
            // All records of a stored batch are dated.
            builder.push_at(delta, &record, 0);
            count += 1;
        }
        let batch = builder.finish(packing, None).map_err(text)?;
        pieces.push((base, batch.freeze(), count as u64));
    }
    Ok(pieces)
}

/// Puts a batch where it was; answers where the target ends then. Whether a try that was not
/// answered has gone well is seen from the end.
async fn put(
    pair: &Pair,
    (topic, index): (&str, i32),
    batch: Bytes,
    at: i64,
) -> Result<i64, String> {
    let head = batches::Head::read(&batch).map_err(text)?;
    let end = at + i64::from(head.last_delta) + 1;
    let mut attempt = 0;
    loop {
        let error = match place(pair.target.cluster(), (topic, index), batch.clone(), at).await {
            Ok(placed) if placed.base_offset == at => return Ok(end),
            Ok(placed) => {
                return Err(format!(
                    "the target put offset {at} at {}: it does not keep offsets, or somebody else \
                     writes there. Delete the topic before it is copied again",
                    placed.base_offset
                ));
            }
            Err(error) => error,
        };
        if !error.is_retriable() || attempt >= ATTEMPTS_MAX {
            return Err(format!("at offset {at}: {error}"));
        }
        tokio::time::sleep(BACKOFF.wait(attempt, &stdx::SystemRng)).await;
        // When nobody can be asked who leads, the next try says why.
        let _ = pair.target.cluster().refresh(&[topic]).await;
        if end_of(pair, topic, index).await? >= end {
            return Ok(end);
        }
        attempt += 1;
    }
}
