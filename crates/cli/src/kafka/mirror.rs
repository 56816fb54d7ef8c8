//! `mainstem kafka mirror`: one pass over everything, or pass after pass.

use super::report::{Report, TopicReport};
use super::{Format, Pair, Sides, access, copy, groups, topics};
use crate::target::Target;
use futures_util::StreamExt;
use futures_util::stream;
use kafka_client::Topic;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(clap::Args, Debug)]
pub struct Mirror {
    #[command(flatten)]
    sides: Sides,
    /// Goes on copying what comes until it is interrupted.
    #[arg(long)]
    follow: bool,
    /// With `--follow`: how long it waits between two looks, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    every_ms: u64,
    /// Partitions that are copied at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Leaves groups' offsets alone.
    #[arg(long)]
    without_groups: bool,
    /// Leaves access lists alone.
    #[arg(long)]
    without_access: bool,
}

impl Mirror {
    pub async fn run(&self, target: &Target) -> Result<bool, String> {
        let pair = self.sides.connect(target).await?;
        let mut report = Report::default();
        if !self.without_access {
            access::copy(&pair, &mut report).await;
        }
        if self.follow {
            tokio::select! {
                done = self.follow(&pair, &mut report) => done?,
                _ = tokio::signal::ctrl_c() => {}
            }
        } else {
            self.pass(&pair, &mut report).await?;
        }
        report.print(self.sides.format)?;
        Ok(report.is_well())
    }

    /// Ends when something is wrong that waiting does not cure.
    async fn follow(&self, pair: &Pair, report: &mut Report) -> Result<(), String> {
        loop {
            let before = records(report);
            self.pass(pair, report).await?;
            if !report.is_well() {
                return Ok(());
            }
            let copied = records(report) - before;
            if copied > 0 && self.sides.format == Format::Text {
                println!("{copied} records copied");
            }
            tokio::time::sleep(Duration::from_millis(self.every_ms)).await;
        }
    }

    /// Brings the target to where the source is now.
    async fn pass(&self, pair: &Pair, report: &mut Report) -> Result<(), String> {
        let source = pair.source.topics().await.map_err(|error| format!("the source: {error}"))?;
        let target = pair.target.topics().await.map_err(|error| format!("the target: {error}"))?;
        let target: BTreeMap<&str, &Topic> =
            target.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        for missing in
            self.sides.topics.iter().filter(|name| !source.iter().any(|topic| topic.name == **name))
        {
            report.problems.push(format!("topic {missing}: the source has none"));
        }
        let mut places = Vec::new();
        for topic in source.iter().filter(|topic| self.sides.is_chosen(&topic.name)) {
            if topic.is_internal {
                continue;
            }
            let name = topic.name.as_str();
            if let Err(why) = topics::make(pair, topic, target.get(name).copied()).await {
                report.problems.push(format!("topic {name}: {why}"));
                continue;
            }
            let known = report.topics.remove(name).unwrap_or_default();
            let mut fresh = TopicReport { partitions: known.partitions, settings: Vec::new() };
            if let Err(why) = topics::settle(pair, name, &mut fresh).await {
                report.problems.push(format!("topic {name}: {why}"));
            }
            report.topics.insert(name.to_owned(), fresh);
            places.extend(topic.partitions.iter().map(|it| (name.to_owned(), it.index)));
        }
        let mut copies = stream::iter(places)
            .map(|(topic, index)| async move {
                let done = copy::partition(pair, &topic, index).await;
                (topic, index, done)
            })
            .buffer_unordered(usize::from(self.parallel));
        while let Some((topic, index, mut done)) = copies.next().await {
            let partitions = &mut report.topics.entry(topic).or_default().partitions;
            done.records += partitions.get(&index).map_or(0, |before| before.records);
            partitions.insert(index, done);
        }
        if !self.without_groups {
            groups::copy(pair, report).await;
        }
        Ok(())
    }
}

fn records(report: &Report) -> u64 {
    let partitions = report.topics.values().flat_map(|topic| topic.partitions.values());
    partitions.map(|partition| partition.records).sum()
}
