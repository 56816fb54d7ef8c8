//! Which moment is restored: for each partition the offset at which it ends. A moment in time is a
//! place in the log's own order: what was written until then is in, and from the first record that
//! was not, nothing is.

use super::LogTarget;
use crate::BackupError;
use crate::manifest::Manifest;
use eventlog::TopicSpec;
use std::collections::HashMap;
use storage::{StreamId, offline};
use types::{Offset, Partition, TimestampMs};

/// Where to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Point {
    /// With the backup.
    End,
    /// With what was acknowledged at this time.
    Time(TimestampMs),
    /// At these offsets; partitions that are not named end with the backup.
    Places(Vec<Place>),
}

/// `topic/partition=offset`: the first offset that is not restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A topic's name, or `project/name` where several projects have it.
    pub topic: String,
    pub partition: Partition,
    pub end: Offset,
}

/// Reads `topic/partition=offset`, each.
pub fn parse_places(texts: &[String]) -> Result<Vec<Place>, BackupError> {
    let parse = |text: &String| {
        let (place, end) = text.split_once('=')?;
        let (topic, partition) = place.rsplit_once('/')?;
        let is_named = !topic.is_empty();
        let place = Place {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            end: end.parse().ok()?,
        };
        is_named.then_some(place)
    };
    let bad = |text: &String| {
        let what = format!("`{text}` is no place in the log");
        BackupError::refused(what, "write `topic/partition=offset`, for instance `orders/0=1200`")
    };
    texts.iter().map(|text| parse(text).ok_or_else(|| bad(text))).collect()
}

/// Whether the backup holds everything up to the point.
pub fn reaches(manifest: &Manifest, point: &Point) -> Result<(), BackupError> {
    match point {
        Point::Time(time) if manifest.cut_ms < *time => {
            let what = format!("backup {} was made before the time that is wanted", manifest.id);
            let advice = "name an earlier time, or leave it out to restore all of the backup";
            Err(BackupError::refused(what, advice))
        }
        _ => Ok(()),
    }
}

/// The end of every partition: that of the backup, or an earlier one.
pub fn ends(
    manifest: &Manifest,
    point: &Point,
    into: &LogTarget,
    topics: &[(TopicSpec, String)],
) -> Result<HashMap<StreamId, Offset>, BackupError> {
    let mut ends: HashMap<StreamId, Offset> =
        manifest.streams.iter().map(|stream| (stream.mark().stream, stream.stored)).collect();
    match point {
        Point::End => {}
        Point::Time(time) => until(manifest, *time, into, &mut ends)?,
        Point::Places(places) => {
            for place in places {
                let stream = resolve(place, topics)?;
                let found = manifest.streams.iter().find(|found| found.mark().stream == stream);
                let found =
                    found.ok_or_else(|| unknown(place, "the topic has no such partition"))?;
                if !(found.start..=found.stored).contains(&place.end) {
                    let (start, end) = (found.start, found.stored);
                    let why = format!("the backup holds offsets {start} to {end}");
                    return Err(unknown(place, &why));
                }
                ends.insert(stream, place.end);
            }
        }
    }
    Ok(ends)
}

fn unknown(place: &Place, why: &str) -> BackupError {
    let Place { topic, partition, end } = place;
    let what = format!("`{topic}/{partition}={end}` cannot be restored: {why}");
    BackupError::refused(what, "name an offset that the backup holds")
}

fn resolve(place: &Place, topics: &[(TopicSpec, String)]) -> Result<StreamId, BackupError> {
    let is_meant = |(spec, name): &&(TopicSpec, String)| {
        let name: &str = name;
        name == place.topic || format!("{}/{name}", spec.project) == place.topic
    };
    let mut found = topics.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some((spec, _)), None) => Ok(StreamId { topic: spec.id, partition: place.partition }),
        (None, _) => Err(unknown(place, "the backup has no such topic")),
        (Some((one, name)), Some((other, _))) => {
            let why = format!(
                "several projects have it; write `{}/{name}` or `{}/{name}`",
                one.project, other.project
            );
            Err(unknown(place, &why))
        }
    }
}

/// Each partition ends at its first record that came after the time.
fn until(
    manifest: &Manifest,
    time: TimestampMs,
    into: &LogTarget,
    ends: &mut HashMap<StreamId, Offset>,
) -> Result<(), BackupError> {
    let dir = &into.options.store.dir;
    for extent in &manifest.extents {
        let cut = extent.cut();
        offline::walk(&*into.world.disk, dir, cut.extent, cut.data_end, &mut |frame| {
            // Where frames were moved since, or come from an older version, the records' own
            // times are the best there is.
            let at = frame.written_at.unwrap_or(frame.max_timestamp);
            if at > time
                && let Some(end) = ends.get_mut(&frame.stream)
            {
                *end = (*end).min(frame.base_offset);
            }
        })?;
    }
    Ok(())
}
