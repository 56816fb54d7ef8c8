//! Topics at the target as they are at the source: partitions, and the settings that it has.

use super::Pair;
use super::report::TopicReport;
use kafka_client::admin::{NewTopic, Setting};
use kafka_client::{Error, Topic};
use std::collections::BTreeMap;

/// What says how many copies there are is the cluster's own business.
const OF_THE_CLUSTER: &[&str] = &[
    "min.insync.replicas",
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
    "unclean.leader.election.enable",
];

/// Makes the topic where it is missing.
pub async fn make(pair: &Pair, topic: &Topic, present: Option<&Topic>) -> Result<(), String> {
    let count = topic.partitions.len();
    match present {
        Some(present) if present.partitions.len() == count => Ok(()),
        Some(present) => {
            let there = present.partitions.len();
            Err(format!("it has {count} partitions, and {there} at the target"))
        }
        None => {
            let partitions = i32::try_from(count).unwrap_or(i32::MAX);
            let made = pair.target.create_topic(&NewTopic::new(&topic.name, partitions)).await;
            made.map_err(|error| format!("it cannot be made: {error}"))
        }
    }
}

type Values = BTreeMap<String, Setting>;

async fn settings(admin: &kafka_client::admin::Admin, topic: &str) -> Result<Values, Error> {
    let found = admin.settings(topic).await?;
    Ok(found.into_iter().map(|setting| (setting.name.clone(), setting)).collect())
}

/// Sets at the target what can be set there and is other at the source, defaults of the source
/// included; what remains other is noted.
pub async fn settle(pair: &Pair, topic: &str, report: &mut TopicReport) -> Result<(), String> {
    let told = |error: Error| format!("its settings: {error}");
    let source = settings(&pair.source, topic).await.map_err(told)?;
    let target = settings(&pair.target, topic).await.map_err(told)?;
    for (name, wanted) in differing(&source, &target) {
        let change = [(name.clone(), Some(wanted.clone()))];
        if let Err(error) = pair.target.change_settings(topic, &change).await {
            report.settings.push(format!("{name}={wanted} is not taken: {error}"));
        }
    }
    let target = settings(&pair.target, topic).await.map_err(told)?;
    note_others(&source, &target, report);
    Ok(())
}

/// Compares; what cannot be the same is noted, what could is a problem.
pub async fn compare(pair: &Pair, topic: &str, report: &mut TopicReport) -> Result<(), String> {
    let told = |error: Error| format!("its settings: {error}");
    let source = settings(&pair.source, topic).await.map_err(told)?;
    let target = settings(&pair.target, topic).await.map_err(told)?;
    note_others(&source, &target, report);
    let others = differing(&source, &target);
    if others.is_empty() {
        return Ok(());
    }
    let others: Vec<String> = others
        .iter()
        .map(|(name, wanted)| format!("{name}={wanted}, {} at the target", shown(&target, name)))
        .collect();
    Err(format!("its settings differ: {}", others.join("; ")))
}

/// What the target could have as the source has it.
fn differing(source: &Values, target: &Values) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, there) in target {
        let counts = !OF_THE_CLUSTER.contains(&name.as_str()) && is_in_force(source, name);
        if there.is_read_only || !counts {
            continue;
        }
        let Some(Setting { value: Some(wanted), .. }) = source.get(name) else { continue };
        if !is_same(wanted, there.value.as_deref()) {
            found.push((name.clone(), wanted.clone()));
        }
    }
    found
}

/// What is only compacted is not kept for a time, and the other way round; then a value says
/// nothing.
fn is_in_force(source: &Values, name: &str) -> bool {
    let policy = source.get("cleanup.policy").and_then(|setting| setting.value.as_deref());
    let has = |word| policy.is_none_or(|policy| policy.contains(word));
    match name {
        "retention.ms" | "retention.bytes" => has("delete"),
        "delete.retention.ms" => has("compact"),
        _ => true,
    }
}

/// Lists say the same in any order.
fn is_same(one: &str, other: Option<&str>) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|it| it.trim().to_owned()).collect();
        parts.sort();
        parts
    };
    other.is_some_and(|other| parts(one) == parts(other))
}

fn shown(values: &Values, name: &str) -> String {
    match values.get(name) {
        None => "unknown".to_owned(),
        Some(setting) => setting.value.clone().unwrap_or_else(|| "hidden".to_owned()),
    }
}

/// What was set for the topic at the source and is fixed or unknown at the target.
fn note_others(source: &Values, target: &Values, report: &mut TopicReport) {
    for (name, setting) in source.iter().filter(|(_, setting)| setting.is_own) {
        let Some(wanted) = &setting.value else { continue };
        let there = target.get(name);
        let is_fixed = there.is_none_or(|there| there.is_read_only);
        let value = there.and_then(|there| there.value.as_deref());
        if is_fixed && !is_same(wanted, value) {
            let there = shown(target, name);
            report.settings.push(format!("{name}={wanted} is {there} at the target, always"));
        }
    }
}
