//! What groups have committed, as the source has it. Where the records end earlier at the target,
//! since what is behind them does not count, so does a group.

use super::Pair;
use super::report::Report;
use kafka_client::admin::{Committed, Offsets};

/// The protocol type of consumers; empty where nobody is a member.
const CONSUMERS: &[&str] = &["", "consumer"];

/// Groups of consumers with what they have committed for the topics of the report.
async fn committed(pair: &Pair, report: &mut Report) -> Vec<(String, Offsets)> {
    let groups = match pair.source.groups().await {
        Ok(groups) => groups,
        Err(error) => {
            report.problems.push(format!("the source's groups: {error}"));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for group in groups {
        if !CONSUMERS.contains(&group.protocol_type.as_str()) {
            let (name, kind) = (&group.name, &group.protocol_type);
            let notice = format!("group {name} is of {kind}, not of consumers");
            if !report.notices.contains(&notice) {
                report.notices.push(notice);
            }
            continue;
        }
        match pair.source.committed(&group.name).await {
            Ok(mut offsets) => {
                offsets.retain(|(topic, _), _| report.topics.contains_key(topic));
                found.push((group.name, offsets));
            }
            Err(error) => report.problems.push(format!("group {}: {error}", group.name)),
        }
    }
    found
}

/// As the target should have them; partitions that are not whole there are left out.
fn wanted(offsets: Offsets, report: &Report) -> Offsets {
    let whole = |(topic, partition): &(String, i32)| {
        let partition = report.topics.get(topic)?.partitions.get(partition)?;
        partition.problem.is_none().then_some(partition.target_end)
    };
    offsets
        .into_iter()
        .filter_map(|(place, committed)| {
            let offset = committed.offset.min(whole(&place)?);
            // Epochs are the source's; the target counts its own.
            Some((place, Committed { offset, leader_epoch: -1, ..committed }))
        })
        .collect()
}

fn differing(wanted: &Offsets, there: &Offsets) -> Offsets {
    let is_other = |place: &(String, i32), committed: &Committed| {
        there
            .get(place)
            .is_none_or(|it| (it.offset, &it.metadata) != (committed.offset, &committed.metadata))
    };
    let others = wanted.iter().filter(|(place, committed)| is_other(place, committed));
    others.map(|(place, committed)| (place.clone(), committed.clone())).collect()
}

pub async fn copy(pair: &Pair, report: &mut Report) {
    for (group, offsets) in committed(pair, report).await {
        let wanted = wanted(offsets, report);
        if wanted.is_empty() {
            continue;
        }
        let there = pair.target.committed(&group).await.unwrap_or_default();
        let others = differing(&wanted, &there);
        match pair.target.commit(&group, &others).await {
            Ok(()) => drop(report.groups.insert(group, wanted.len())),
            Err(_) if others.is_empty() => drop(report.groups.insert(group, wanted.len())),
            Err(error) => {
                report.problems.push(format!("group {group} is not moved at the target: {error}"));
            }
        }
    }
}

pub async fn compare(pair: &Pair, report: &mut Report) {
    for (group, offsets) in committed(pair, report).await {
        let wanted = wanted(offsets, report);
        match pair.target.committed(&group).await {
            Ok(there) => {
                let others = differing(&wanted, &there);
                for ((topic, partition), committed) in &others {
                    let offset = committed.offset;
                    let it = there.get(&(topic.clone(), *partition));
                    let it = it.map_or_else(|| "nothing".to_owned(), |it| it.offset.to_string());
                    report.problems.push(format!(
                        "group {group} has committed {offset} of {topic}/{partition}, and {it} at \
                         the target"
                    ));
                }
                if !wanted.is_empty() {
                    report.groups.insert(group, wanted.len() - others.len());
                }
            }
            Err(error) => report.problems.push(format!("group {group} at the target: {error}")),
        }
    }
}
