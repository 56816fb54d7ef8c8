//! `mainstem topics export` and `import`: a topic's records in a file, and back. One piece at a
//! time is in memory, and what was done is written beside the file, so that a command that was
//! interrupted goes on where it was.

pub(crate) mod file;
mod lines;

use crate::Outcome;
use crate::target::{Api, Target, refusal, segment};
use bytes::Bytes;
use clap::ValueEnum;
use file::{Progress, Reading, Writing};
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::Value;
use std::path::PathBuf;
use types::{Batch, Offset, Partition};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line: `partition`, `offset`, `timestamp`, `key`, `value`, `headers`.
    Ndjson,
    /// The record batches as they are stored: Kafka's format 2, each behind its partition.
    Batches,
}

#[derive(clap::Args, Debug)]
pub struct Export {
    tenant: String,
    project: String,
    topic: String,
    /// The file to write.
    #[arg(long)]
    to: PathBuf,
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Goes on with a file that an interrupted export left.
    #[arg(long)]
    resume: bool,
}

#[derive(clap::Args, Debug)]
pub struct Import {
    tenant: String,
    project: String,
    topic: String,
    /// The file to read.
    #[arg(long)]
    from: PathBuf,
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// Gives every record the offset it had; the topic must be empty, or end where the file goes
    /// on.
    #[arg(long)]
    keep_offsets: bool,
    /// Goes on where an interrupted import of this file was.
    #[arg(long)]
    resume: bool,
}

#[derive(clap::Subcommand, Debug)]
pub enum Transfer {
    /// Writes a topic's records to a file.
    Export(Export),
    /// Appends a file's records to a topic, past the checks that publishers go through.
    Import(Import),
}

impl Transfer {
    pub async fn run(&self, target: &Target) -> Outcome {
        match self {
            Transfer::Export(export) => export.run(target).await,
            Transfer::Import(import) => import.run(target).await,
        }
    }

    /// The topic that it is about.
    pub fn path(&self) -> String {
        let (Transfer::Export(Export { tenant, project, topic, .. })
        | Transfer::Import(Import { tenant, project, topic, .. })) = self;
        topic_path(tenant, project, topic)
    }
}

fn topic_path(tenant: &str, project: &str, topic: &str) -> String {
    let (tenant, project, topic) = (segment(tenant), segment(project), segment(topic));
    format!("/v1/tenants/{tenant}/projects/{project}/topics/{topic}")
}

/// A topic as the admin API names it.
struct Place {
    api: Api,
    path: String,
}

/// A piece of a partition as the server gives it.
struct Piece {
    batches: Bytes,
    next: Offset,
    end: Offset,
}

impl Place {
    async fn new(
        target: &Target,
        tenant: &str,
        project: &str,
        topic: &str,
    ) -> Result<Place, String> {
        let path = topic_path(tenant, project, topic);
        Ok(Place { api: target.admin().await?, path })
    }

    async fn partitions(&self) -> Result<Partition, String> {
        let shown = self.api.call(self.api.request(Method::GET, &self.path)).await?;
        let count = shown["config"]["partitions"].as_u64().or(shown["partitions"].as_u64());
        let count = count.and_then(|count| Partition::try_from(count).ok());
        count.ok_or_else(|| "the server does not say how many partitions there are".to_owned())
    }

    async fn piece(&self, partition: Partition, from: Option<Offset>) -> Result<Piece, String> {
        let mut path = format!("{}/batches?partition={partition}", self.path);
        if let Some(from) = from {
            path += &format!("&from={from}");
        }
        let answer = self.api.request(Method::GET, &path).send().await;
        let answer =
            answer.map_err(|error| format!("{} does not answer: {error}", self.api.url))?;
        let status = answer.status();
        let number = |name: &str| {
            let value = answer.headers().get(name)?.to_str().ok()?;
            value.parse::<Offset>().ok()
        };
        let (next, end) = (number("mainstem-next-offset"), number("mainstem-end-offset"));
        let batches = answer.bytes().await.map_err(|error| error.to_string())?;
        match (status.is_success(), next, end) {
            (true, Some(next), Some(end)) => Ok(Piece { batches, next, end }),
            _ => {
                let text = String::from_utf8_lossy(&batches);
                if let Some(waiting) = crate::approvals::waiting(&text) {
                    return Err(waiting);
                }
                Err(refusal(&text).unwrap_or_else(|| format!("{status}: {text}")))
            }
        }
    }

    async fn append(
        &self,
        partition: Partition,
        batches: Vec<u8>,
        offsets: &str,
    ) -> Result<(), String> {
        let path = format!("{}/batches?partition={partition}&offsets={offsets}", self.path);
        let request = self.api.request(Method::POST, &path).body(batches);
        let request = request.header("content-type", "application/octet-stream");
        let answer: Value = self.api.call(request).await?;
        answer["end"].as_u64().map(|_| ()).ok_or_else(|| "the answer lacks an end".to_owned())
    }
}

impl Export {
    pub async fn run(&self, target: &Target) -> Outcome {
        let place = Place::new(target, &self.tenant, &self.project, &self.topic).await?;
        let partitions = place.partitions().await?;
        let mut out = Writing::open(&self.to, self.format, self.resume)?;
        let bar = crate::publish::progress();
        for partition in 0..partitions {
            self.partition(&place, partition, &mut out, &bar).await?;
        }
        bar.finish();
        let records = out.finish()?;
        println!("{records} records of {partitions} partitions in {}", self.to.display());
        Ok(())
    }

    /// Up to where the partition ended when it was begun: the export ends although others publish.
    async fn partition(
        &self,
        place: &Place,
        partition: Partition,
        out: &mut Writing,
        bar: &ProgressBar,
    ) -> Outcome {
        let mut from = out.progress().next.get(&partition).copied();
        let mut until = None;
        loop {
            let piece = place.piece(partition, from).await?;
            let until = *until.get_or_insert(piece.end);
            if piece.batches.is_empty() {
                return Ok(());
            }
            let first = from.unwrap_or(0);
            for batch in split(piece.batches)? {
                let wanted = first..until;
                bar.inc(out.write(partition, &batch, &wanted)?);
            }
            out.done(partition, piece.next)?;
            from = Some(piece.next);
            if piece.next >= until {
                return Ok(());
            }
        }
    }
}

impl Import {
    pub async fn run(&self, target: &Target) -> Outcome {
        let place = Place::new(target, &self.tenant, &self.project, &self.topic).await?;
        let partitions = place.partitions().await?;
        let mut input = Reading::open(&self.from, self.format, self.resume)?;
        let offsets = if self.keep_offsets { "keep" } else { "new" };
        let mut ends = Vec::new();
        for partition in 0..partitions {
            // What lies behind the last one kept was written, though nobody wrote that down.
            let end = place.piece(partition, Some(Offset::MAX >> 1)).await?.end;
            ends.push(if self.keep_offsets && self.resume { end } else { 0 });
        }
        let bar = crate::publish::progress();
        while let Some(piece) = input.next(&ends)? {
            if piece.partition >= partitions {
                let partition = piece.partition;
                return Err(format!("the file has partition {partition}, the topic {partitions}"));
            }
            if !piece.batches.is_empty() {
                place.append(piece.partition, piece.batches, offsets).await?;
            }
            bar.inc(piece.records);
            input.done(piece.records)?;
        }
        bar.finish();
        println!("{} records from {}", input.finish()?, self.from.display());
        Ok(())
    }
}

/// Batches one behind the other, as an answer brings them.
pub(crate) fn split(mut bytes: Bytes) -> Result<Vec<Batch>, String> {
    /// Bytes up to the end of the field that says how long the rest is.
    const LENGTH_END: usize = 12;
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let field = bytes.get(LENGTH_END - 4..LENGTH_END).and_then(|field| field.try_into().ok());
        let length = field.map(u32::from_be_bytes).ok_or("a record batch is cut short")?;
        let end = LENGTH_END.saturating_add(length as usize);
        if end > bytes.len() {
            return Err("a record batch is cut short".to_owned());
        }
        batches.push(Batch::parse(bytes.split_to(end)).map_err(|bad| bad.to_string())?);
    }
    Ok(batches)
}

/// Written and read by both directions.
pub(crate) fn progress_of(file: &std::path::Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".progress");
    PathBuf::from(name)
}

impl Progress {
    fn read(file: &std::path::Path) -> Result<Progress, String> {
        let path = progress_of(file);
        let bytes = std::fs::read(&path)
            .map_err(|error| format!("{}: {error}; leave --resume out", path.display()))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }
}
