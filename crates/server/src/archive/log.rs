//! `mainstem log`: a log that no server has open, looked at, checked and mended.

use super::commands::{log_target, topics};
use crate::config::{self, Source};
use backup::offline::{Finding, LogDir, Survey};
use backup::{BackupError, contents};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use std::path::PathBuf;
use std::sync::Arc;
use stdx::disk::SystemDisk;
use storage::offline::{Content, End, ExtentFile, Scanned, Used};

#[derive(Subcommand)]
pub enum LogCommand {
    /// Lists extents, and what they hold of which partition.
    Inspect(Where),
    /// Reads everything and checks every checksum, footer and mark.
    Verify {
        #[command(flatten)]
        at: Where,
        /// Prints a hash of each partition's records; equal ones mean equal records.
        #[arg(long)]
        hash: bool,
        /// `topic/partition=offset`: hashes that partition only up to there. May be repeated.
        #[arg(long, requires = "hash")]
        to_offset: Vec<String>,
    },
    /// Says what would be mended, and with `--apply` does it.
    Repair {
        #[command(flatten)]
        at: Where,
        /// Only says what would be done, which is the default.
        #[arg(long, conflicts_with = "apply")]
        dry_run: bool,
        /// Does it; what is changed or taken away is kept in a directory beside the log.
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Args)]
pub struct Where {
    /// The server's data directory; that of the configuration when absent.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The server's configuration.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Where {
    fn config(&self) -> Result<config::Config, String> {
        let source = Source::with_environment(self.config.clone());
        let mut config = config::load(&source).map_err(|error| error.to_string())?;
        config.data_dir = self.data_dir.clone().unwrap_or(config.data_dir);
        Ok(config)
    }

    fn open(&self) -> Result<LogDir, String> {
        LogDir::open(Arc::new(SystemDisk), &self.config()?.data_dir).map_err(text)
    }
}

fn text(error: BackupError) -> String {
    error.to_string()
}

impl LogCommand {
    pub fn run(self) -> Result<(), String> {
        match self {
            LogCommand::Inspect(at) => {
                let survey = at.open()?.survey(&mut print_extent).map_err(text)?;
                print_survey(&survey);
                Ok(())
            }
            LogCommand::Verify { at, hash, to_offset } => {
                let survey = at.open()?.survey(&mut |_, _| {}).map_err(text)?;
                let (frames, extents) = (survey.frames, survey.extents);
                println!("{frames} frames in {extents} extents read, {} bytes", survey.bytes);
                survey.findings.iter().for_each(|finding| println!("{finding}"));
                if hash {
                    print_hashes(&at, &to_offset)?;
                }
                let losses = survey.findings.iter().filter(|finding| finding.is_loss()).count();
                match losses {
                    0 => Ok(()),
                    _ => Err(format!("acknowledged records are affected: {losses} findings")),
                }
            }
            LogCommand::Repair { at, apply, dry_run: _ } => repair(&at, apply.into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Say,
    Do,
}

impl From<bool> for Mode {
    fn from(is_wanted: bool) -> Mode {
        if is_wanted { Mode::Do } else { Mode::Say }
    }
}

fn repair(at: &Where, mode: Mode) -> Result<(), String> {
    let log = at.open()?;
    let survey = log.survey(&mut |_, _| {}).map_err(text)?;
    let actions = log.plan(&survey).map_err(text)?;
    if actions.is_empty() {
        println!("nothing to mend");
    }
    actions.iter().for_each(|action| println!("{action}"));
    if mode == Mode::Do && !actions.is_empty() {
        let now = stdx::SystemClock::shared().now_ms();
        let repaired = log.apply(&survey, &actions, now).map_err(text)?;
        let copies = repaired.copies.unwrap_or_else(|| "nowhere: nothing was changed".to_owned());
        println!("{} done; what was there before is in {copies}", repaired.done);
    } else if !actions.is_empty() {
        println!("nothing was changed; `--apply` does it");
    }
    Ok(())
}

fn print_extent(file: &ExtentFile, scanned: Option<&Scanned>) {
    let (extent, bytes) = (file.extent, file.file_bytes);
    match (&file.content, scanned) {
        (Content::Used(used), Some(scanned)) => {
            println!(
                "{extent}  {}  generation {}  {} of {bytes} bytes  {} frames",
                state(used),
                used.generation,
                scanned.data_end,
                scanned.frames
            );
            for span in &scanned.spans {
                println!(
                    "    topic {} partition {}  offsets {}..{}  {} frames  {} bytes",
                    span.stream.topic.0,
                    span.stream.partition,
                    span.first_offset,
                    span.next_offset,
                    span.frames,
                    span.bytes
                );
            }
        }
        (Content::Free { generation }, _) => {
            println!("{extent}  free  generation {generation}  {bytes} bytes");
        }
        _ => println!("{extent}  unreadable  {bytes} bytes"),
    }
}

fn state(used: &Used) -> &'static str {
    match (used.end, used.is_rewritten) {
        (End::Sealed { .. }, true) => "sealed, rewritten",
        (End::Sealed { .. }, false) => "sealed",
        (End::Closed { .. }, _) => "closed",
        (End::Unknown, _) => "open",
    }
}

fn print_survey(survey: &Survey) {
    println!();
    for (stream, held) in &survey.streams {
        let mark = survey.marks.iter().find(|mark| mark.stream == *stream);
        let kept = mark.map(|mark| format!("  kept from {}", mark.start.max(held.first_offset)));
        println!(
            "topic {} partition {}  offsets {}..{}  {} frames  {} bytes in {} extents{}",
            stream.topic.0,
            stream.partition,
            held.first_offset,
            held.next_offset,
            held.frames,
            held.bytes,
            held.extents,
            kept.unwrap_or_default()
        );
    }
    let end = match survey.last_end {
        Some(eventlog::LastEnd::InOrder) => "closed in order",
        Some(eventlog::LastEnd::Crashed) => "not closed in order",
        None => "without a checkpoint",
    };
    let (extents, free) = (survey.extents, survey.free_extents);
    println!("{extents} extents, {free} free; the log was {end}");
    survey.findings.iter().for_each(|finding: &Finding| println!("{finding}"));
}

/// Opens the log as a server would, reads everything as a reader would.
fn print_hashes(at: &Where, to_offset: &[String]) -> Result<(), String> {
    let places = backup::restore::parse_places(to_offset).map_err(text)?;
    let config = at.config()?;
    let runtime = crate::commands::runtime()?;
    let database = match &config.database.url {
        Some(url) => tenancy::Options::new(url.expose_secret()),
        None => tenancy::Options::sqlite(&config.data_dir.join("metadata.sqlite")),
    };
    let named = runtime.block_on(topics(&database)).map_err(text)?;
    let specs: Vec<_> = named.iter().map(|(spec, _)| spec.clone()).collect();
    let into = log_target(&config, &runtime).map_err(text)?;
    let mut options = into.options;
    options.maintain_interval = None;
    let opened = eventlog::EmbeddedLog::open(into.world, options, specs.clone());
    let (log, _) = opened.map_err(|error| error.to_string())?;
    let name_of = |id| {
        let found = named.iter().find(|(spec, _)| spec.id == id);
        found.map_or_else(String::new, |(spec, name)| format!("{}/{name}", spec.project))
    };
    let end = |topic, partition| {
        let name = name_of(topic);
        let is_meant = |place: &&backup::restore::Place| {
            place.partition == partition
                && (name == place.topic || name.ends_with(&format!("/{}", place.topic)))
        };
        places.iter().find(is_meant).map(|place| place.end)
    };
    let found = runtime.block_on(contents(&log, &specs, &end));
    runtime.block_on(log.close());
    for content in found.map_err(text)? {
        println!(
            "{}  {}/{}  offsets {}..{}  {} records",
            content.sha256,
            name_of(content.topic),
            content.partition,
            content.first_offset,
            content.end,
            content.records
        );
    }
    Ok(())
}
