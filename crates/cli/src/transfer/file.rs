//! The two kinds of files, written and read one piece at a time, and what was done with them.
//!
//! ```text
//! NDJSON  | a line per record
//! batches | "MSBATCH1" | partition u32, record batch | ...          big endian
//! ```

use super::lines::Line;
use super::{Format, progress_of};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use types::batch::BATCH_BYTES_MAX;
use types::{Batch, Offset, Partition};

const MAGIC: &[u8; 8] = b"MSBATCH1";
/// Partition, and the batch up to the end of its length.
const HEAD_BYTES: usize = 16;
/// Records and bytes sent at once when lines are read.
const RECORDS_PER_PIECE: usize = 5_000;
const BYTES_PER_PIECE: usize = 2 << 20;
/// A longer line is no record.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What was done of a file, as it lies beside it.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Bytes of the file that count.
    pub bytes: u64,
    pub records: u64,
    /// Export: where each partition goes on.
    pub next: BTreeMap<Partition, Offset>,
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

impl Progress {
    fn write(&self, file: &Path) -> Result<(), String> {
        let path = progress_of(file);
        let draft = path.with_extension("progress.new");
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        std::fs::write(&draft, bytes).map_err(failed(&draft))?;
        std::fs::rename(&draft, &path).map_err(failed(&path))
    }
}

pub struct Writing {
    path: PathBuf,
    out: BufWriter<File>,
    format: Format,
    progress: Progress,
}

impl Writing {
    pub fn open(path: &Path, format: Format, resume: bool) -> Result<Writing, String> {
        let progress = if resume { Progress::read(path)? } else { Progress::default() };
        let mut options = OpenOptions::new();
        let file = match resume {
            true => options.write(true).open(path),
            false => options.write(true).create_new(true).open(path),
        };
        let mut file = file.map_err(failed(path))?;
        // What follows was being written when the command ended.
        file.set_len(progress.bytes).map_err(failed(path))?;
        file.seek(SeekFrom::End(0)).map_err(failed(path))?;
        let path = path.to_owned();
        let mut writing = Writing { path, out: BufWriter::new(file), format, progress };
        if format == Format::Batches && writing.progress.bytes == 0 {
            writing.put(MAGIC)?;
        }
        Ok(writing)
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.out.write_all(bytes).map_err(failed(&self.path))?;
        self.progress.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Answers how many records were written. A batch of which only some are wanted is written
    /// whole: whoever imports it has them all.
    pub fn write(
        &mut self,
        partition: Partition,
        batch: &Batch,
        wanted: &Range<Offset>,
    ) -> Result<u64, String> {
        let count = match self.format {
            Format::Batches => {
                self.put(&partition.to_be_bytes())?;
                self.put(batch.bytes())?;
                u64::from(batch.count())
            }
            Format::Ndjson => {
                let mut count = 0;
                for (offset, timestamp, record) in batch.records() {
                    if wanted.contains(&offset) {
                        let line = Line::of(partition, offset, timestamp, &record);
                        let mut text =
                            serde_json::to_vec(&line).map_err(|error| error.to_string())?;
                        text.push(b'\n');
                        self.put(&text)?;
                        count += 1;
                    }
                }
                count
            }
        };
        self.progress.records += count;
        Ok(count)
    }

    pub fn done(&mut self, partition: Partition, next: Offset) -> Result<(), String> {
        self.progress.next.insert(partition, next);
        self.out.flush().map_err(failed(&self.path))?;
        self.out.get_ref().sync_data().map_err(failed(&self.path))?;
        self.progress.write(&self.path)
    }

    pub fn finish(mut self) -> Result<u64, String> {
        self.out.flush().map_err(failed(&self.path))?;
        self.out.get_ref().sync_all().map_err(failed(&self.path))?;
        // Without it, which an empty topic never had, there is nothing to remove.
        let _ = std::fs::remove_file(progress_of(&self.path));
        Ok(self.progress.records)
    }
}

/// Records of one partition, as batches to be sent.
pub struct Piece {
    pub partition: Partition,
    pub batches: Vec<u8>,
    /// Records read for it, those that were left out included.
    pub records: u64,
}

pub struct Reading {
    path: PathBuf,
    input: BufReader<File>,
    format: Format,
    progress: Progress,
    /// How far the file was read, beyond what is done.
    at: u64,
    /// Of the line that was read last.
    line_bytes: u64,
    /// A line of another partition than those before it, and its length.
    waiting: Option<(Line, u64)>,
}

impl Reading {
    pub fn open(path: &Path, format: Format, resume: bool) -> Result<Reading, String> {
        let progress = if resume { Progress::read(path)? } else { Progress::default() };
        let file = File::open(path).map_err(failed(path))?;
        let mut input = BufReader::new(file);
        let mut at = progress.bytes;
        if format == Format::Batches {
            let mut magic = [0; MAGIC.len()];
            let read = input.read_exact(&mut magic);
            if read.is_err() || magic != *MAGIC {
                return Err(format!("{} is no file of record batches", path.display()));
            }
            at = at.max(MAGIC.len() as u64);
        }
        input.seek(SeekFrom::Start(at)).map_err(failed(path))?;
        let path = path.to_owned();
        Ok(Reading { path, input, format, progress, at, line_bytes: 0, waiting: None })
    }

    /// The next records of one partition, without those in front of that partition's end in
    /// `ends`.
    pub fn next(&mut self, ends: &[Offset]) -> Result<Option<Piece>, String> {
        match self.format {
            Format::Ndjson => self.next_lines(ends),
            Format::Batches => self.next_batches(ends),
        }
    }

    fn bad(&self, why: &str) -> String {
        format!("{}, byte {}: {why}", self.path.display(), self.at)
    }

    fn next_batches(&mut self, ends: &[Offset]) -> Result<Option<Piece>, String> {
        let mut head = [0; HEAD_BYTES];
        let mut read = 0;
        while let Some(rest) = head.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest).map_err(failed(&self.path))? {
                0 if read == 0 => return Ok(None),
                0 => return Err(self.bad("the file ends within a record batch")),
                count => read += count,
            }
        }
        let [p0, p1, p2, p3, .., l0, l1, l2, l3] = head;
        let partition = Partition::from_be_bytes([p0, p1, p2, p3]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > BATCH_BYTES_MAX {
            return Err(self.bad("a record batch is too large"));
        }
        let mut batch = head[4..].to_vec();
        batch.resize(batch.len() + length, 0);
        let rest = batch.get_mut(HEAD_BYTES - 4..).unwrap_or_default();
        let read = self.input.read_exact(rest);
        read.map_err(|_| self.bad("the file ends within a record batch"))?;
        let parsed = Batch::parse(Bytes::from(batch.clone()));
        let parsed = parsed.map_err(|bad| self.bad(&bad.to_string()))?;
        self.at += (batch.len() + 4) as u64;
        let end = ends.get(partition as usize).copied().unwrap_or(0);
        let records = u64::from(parsed.count());
        let is_there = parsed.next_offset() <= end;
        let batches = if is_there { Vec::new() } else { batch };
        Ok(Some(Piece { partition, batches, records }))
    }

    fn next_lines(&mut self, ends: &[Offset]) -> Result<Option<Piece>, String> {
        let Some(first) = self.line()? else { return Ok(None) };
        let partition = first.partition;
        let end = ends.get(partition as usize).copied().unwrap_or(0);
        let mut pieces = Piece { partition, batches: Vec::new(), records: 0 };
        let mut builder: Option<types::BatchBuilder> = None;
        let mut next = Some(first);
        while let Some(line) = next.take() {
            let (offset, timestamp) = (line.offset, line.timestamp);
            let record = line.record().map_err(|why| self.bad(&why))?;
            pieces.records += 1;
            if offset >= end {
                let is_next = builder.as_ref().is_some_and(|open| open.next_offset() == offset);
                if !is_next {
                    finish(builder.take(), &mut pieces.batches);
                }
                let open = builder.get_or_insert_with(|| types::BatchBuilder::new(offset, 0));
                open.push(&record, timestamp).map_err(|_| self.bad("the record is too large"))?;
            }
            let bytes = pieces.batches.len() + builder.as_ref().map_or(0, |open| open.len());
            if pieces.records as usize >= RECORDS_PER_PIECE || bytes >= BYTES_PER_PIECE {
                break;
            }
            match self.line()? {
                Some(line) if line.partition == partition => next = Some(line),
                Some(line) => self.waiting = Some((line, self.line_bytes)),
                None => {}
            }
        }
        finish(builder, &mut pieces.batches);
        Ok(Some(pieces))
    }

    fn line(&mut self) -> Result<Option<Line>, String> {
        if let Some((line, _)) = self.waiting.take() {
            return Ok(Some(line));
        }
        let mut text = Vec::new();
        let read = (&mut self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
        let read = read.map_err(failed(&self.path))?;
        if read == 0 {
            return Ok(None);
        }
        let line = serde_json::from_slice(&text).map_err(|error| self.bad(&error.to_string()))?;
        self.line_bytes = read as u64;
        self.at += self.line_bytes;
        Ok(Some(line))
    }

    /// The piece that was read last is in the log.
    pub fn done(&mut self, records: u64) -> Result<(), String> {
        self.progress.records += records;
        let ahead = self.waiting.as_ref().map_or(0, |(_, bytes)| *bytes);
        self.progress.bytes = self.at - ahead;
        self.progress.write(&self.path)
    }

    pub fn finish(self) -> Result<u64, String> {
        let _ = std::fs::remove_file(progress_of(&self.path));
        Ok(self.progress.records)
    }
}

fn finish(builder: Option<types::BatchBuilder>, out: &mut Vec<u8>) {
    if let Some(batch) = builder.and_then(types::BatchBuilder::finish) {
        out.extend_from_slice(batch.bytes());
    }
}
