//! What was done and found, for people and as JSON.

use super::Format;
use serde::Serialize;
use std::collections::BTreeMap;

/// Of one topic.
#[derive(Debug, Default, Serialize)]
pub struct TopicReport {
    pub partitions: BTreeMap<i32, PartitionReport>,
    /// Settings that are other than the source's, and why.
    pub settings: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct PartitionReport {
    /// Records that were copied now, or that the source has.
    pub records: u64,
    /// Where the source ends.
    pub source_end: i64,
    /// Where the target ends.
    pub target_end: i64,
    /// Records that the target has, where both were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_records: Option<u64>,
    /// SHA-256 over offsets, timestamps, keys, values and headers of each side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_digest: Option<String>,
    /// Why it is not whole, or where it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub topics: BTreeMap<String, TopicReport>,
    /// Partitions whose offsets are committed as they are at the source, by group.
    pub groups: BTreeMap<String, usize>,
    pub access_rules: usize,
    /// Good to know; nothing is lost by it that could be copied.
    pub notices: Vec<String>,
    /// What is not as it should be.
    pub problems: Vec<String>,
}

impl Report {
    pub fn is_well(&self) -> bool {
        let mut partitions = self.topics.values().flat_map(|topic| topic.partitions.values());
        self.problems.is_empty() && partitions.all(|partition| partition.problem.is_none())
    }

    pub fn print(&self, format: Format) -> Result<(), String> {
        match format {
            Format::Json => {
                let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
                println!("{text}");
            }
            Format::Text => print!("{}", self.text()),
        }
        Ok(())
    }

    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for (name, topic) in &self.topics {
            let records: u64 = topic.partitions.values().map(|it| it.records).sum();
            let count = topic.partitions.len();
            lines.push(format!("topic {name}: {records} records in {count} partitions"));
            for (index, partition) in &topic.partitions {
                if let Some(problem) = &partition.problem {
                    lines.push(format!("  PROBLEM in partition {index}: {problem}"));
                }
            }
            lines.extend(topic.settings.iter().map(|setting| format!("  setting {setting}")));
        }
        for (name, count) in &self.groups {
            lines.push(format!("group {name}: offsets of {count} partitions"));
        }
        if self.access_rules > 0 {
            lines.push(format!("access rules: {}", self.access_rules));
        }
        lines.extend(self.notices.iter().map(|notice| format!("note: {notice}")));
        lines.extend(self.problems.iter().map(|problem| format!("PROBLEM: {problem}")));
        lines.push(if self.is_well() { "all is well".into() } else { "not all is well".into() });
        lines.join("\n") + "\n"
    }
}
