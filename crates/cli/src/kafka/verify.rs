//! `mainstem kafka verify`: both sides read to their ends and compared.

use super::compare::{self, Both};
use super::report::{PartitionReport, Report, TopicReport};
use super::{Pair, Sides, groups, topics};
use crate::target::Target;
use kafka_client::Topic;
use kafka_client::admin::{Admin, At};
use std::collections::BTreeMap;

#[derive(clap::Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    sides: Sides,
    /// Leaves groups' offsets alone.
    #[arg(long)]
    without_groups: bool,
}

impl Verify {
    pub async fn run(&self, target: &Target) -> Result<bool, String> {
        let pair = self.sides.connect(target).await?;
        let mut report = Report::default();
        let source = pair.source.topics().await.map_err(|error| format!("the source: {error}"))?;
        let there = pair.target.topics().await.map_err(|error| format!("the target: {error}"))?;
        let there: BTreeMap<&str, &Topic> =
            there.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        for name in &self.sides.topics {
            if !source.iter().any(|topic| topic.name == *name) {
                report.problems.push(format!("topic {name}: the source has none"));
            }
        }
        for topic in &source {
            if topic.is_internal || !self.sides.is_chosen(&topic.name) {
                continue;
            }
            let name = topic.name.clone();
            match there.get(name.as_str()) {
                None => report.problems.push(format!("topic {name}: the target has none")),
                Some(there) if there.partitions.len() != topic.partitions.len() => {
                    let (here, there) = (topic.partitions.len(), there.partitions.len());
                    report.problems.push(format!(
                        "topic {name}: it has {here} partitions, and {there} at the target"
                    ));
                }
                Some(_) => {
                    let compared = of_topic(&pair, topic, &mut report).await;
                    report.topics.insert(name, compared);
                }
            }
        }
        if !self.without_groups {
            groups::compare(&pair, &mut report).await;
        }
        report.print(self.sides.format)?;
        Ok(report.is_well())
    }
}

async fn of_topic(pair: &Pair, topic: &Topic, report: &mut Report) -> TopicReport {
    let mut compared = TopicReport::default();
    let name = topic.name.as_str();
    if let Err(why) = topics::compare(pair, name, &mut compared).await {
        report.problems.push(format!("topic {name}: {why}"));
    }
    let settings = pair.source.settings(name).await.unwrap_or_default();
    let is_compacted = settings.iter().any(|setting| {
        setting.name == "cleanup.policy"
            && setting.value.as_deref().is_some_and(|value| value.contains("compact"))
    });
    for partition in &topic.partitions {
        let index = partition.index;
        let found = match bounds(pair, name, index).await {
            Ok((from, ends)) => {
                let (source, target) = (pair.source.cluster(), pair.target.cluster());
                let both = Both { source, target, from, ends, is_compacted };
                compare::partition(both, name, index).await
            }
            Err(problem) => {
                PartitionReport { problem: Some(problem), ..PartitionReport::default() }
            }
        };
        compared.partitions.insert(index, found);
    }
    compared
}

/// From where both have all that is kept, and where each ends.
async fn bounds(pair: &Pair, topic: &str, index: i32) -> Result<(i64, (i64, i64)), String> {
    let ask = async |admin: &Admin, at| -> Result<i64, String> {
        let found = admin.offset(topic, index, at).await;
        Ok(found.map_err(|error| error.to_string())?.unwrap_or(0))
    };
    let source = (ask(&pair.source, At::Earliest).await?, ask(&pair.source, At::Latest).await?);
    let target = (ask(&pair.target, At::Earliest).await?, ask(&pair.target, At::Latest).await?);
    Ok((source.0.max(target.0), (source.1, target.1)))
}
