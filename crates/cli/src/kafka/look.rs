//! `mainstem kafka groups`: which groups there are, who reads what and how far behind; putting one
//! elsewhere and forgetting one while nobody is in it.

use super::{Brokers, Format};
use crate::Outcome;
use crate::target::Target;
use kafka_client::admin::{Admin, At, Committed, Described, GroupKind, Offsets};
use serde::Serialize;
use std::collections::BTreeMap;
use types::consumer::Start;

#[derive(clap::Subcommand, Debug)]
pub enum Groups {
    /// All groups and their states.
    List {
        #[command(flatten)]
        brokers: Brokers,
    },
    /// A group: its members, and what it has still to read of each partition.
    Describe {
        group: String,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Puts a group without members elsewhere.
    Reset {
        group: String,
        /// `earliest`, `latest`, `offset:N` or `time:<milliseconds since 1970>`.
        #[arg(long, value_parser = start)]
        to: Start,
        /// Only this topic; without it all that the group has committed something of.
        #[arg(long)]
        topic: Option<String>,
        /// Only this partition of the topic; may be given several times.
        #[arg(long = "partition", requires = "topic")]
        partitions: Vec<i32>,
        /// Only says what would be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Forgets a group without members, and what it has committed.
    Delete {
        group: String,
        #[command(flatten)]
        brokers: Brokers,
    },
}

fn start(text: &str) -> Result<Start, String> {
    let hint = "expected earliest, latest, offset:N or time:<milliseconds since 1970>";
    text.parse().map_err(|_| hint.to_owned())
}

#[derive(Serialize)]
struct Shown {
    name: String,
    kind: &'static str,
    state: String,
    assignor: String,
    members: Vec<ShownMember>,
    partitions: Vec<ShownPartition>,
}

#[derive(Serialize)]
struct ShownMember {
    id: String,
    instance: Option<String>,
    client: String,
    host: String,
    partitions: usize,
}

#[derive(Serialize)]
struct ShownPartition {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    end: i64,
    lag: Option<i64>,
    member: Option<String>,
}

#[derive(Serialize)]
struct ShownMove {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

fn told(error: kafka_client::Error) -> String {
    error.to_string()
}

fn json(value: &impl Serialize) -> Outcome {
    println!("{}", serde_json::to_string_pretty(value).map_err(|error| error.to_string())?);
    Ok(())
}

impl Groups {
    pub async fn run(&self, target: &Target) -> Outcome {
        match self {
            Groups::List { brokers } => list(&brokers.connect(target).await?, brokers.format).await,
            Groups::Describe { group, brokers } => {
                let admin = brokers.connect(target).await?;
                describe(&admin, group, brokers.format).await
            }
            Groups::Reset { group, to, topic, partitions, dry_run, brokers } => {
                let admin = brokers.connect(target).await?;
                let moves = moves(&admin, group, *to, (topic.as_deref(), partitions)).await?;
                if !dry_run {
                    let new = moves.iter().map(|it| {
                        let committed =
                            Committed { offset: it.to, leader_epoch: -1, metadata: String::new() };
                        ((it.topic.clone(), it.partition), committed)
                    });
                    let new: Offsets = new.collect();
                    admin.commit(group, &new).await.map_err(told)?;
                }
                print_moves(&moves, brokers.format)
            }
            Groups::Delete { group, brokers } => {
                brokers.connect(target).await?.delete_group(group).await.map_err(told)?;
                match brokers.format {
                    Format::Text => println!("deleted {group}"),
                    Format::Json => json(&serde_json::json!({ "deleted": group }))?,
                }
                Ok(())
            }
        }
    }
}

async fn list(admin: &Admin, format: Format) -> Outcome {
    let groups = admin.groups().await.map_err(told)?;
    if format == Format::Json {
        let shown = groups.iter().map(|group| {
            serde_json::json!({
                "name": group.name,
                "state": group.state,
                "protocol_type": group.protocol_type,
            })
        });
        return json(&shown.collect::<Vec<_>>());
    }
    for group in groups {
        println!("{}\t{}", group.name, group.state);
    }
    Ok(())
}

async fn find(admin: &Admin, group: &str) -> Result<Described, String> {
    let found = admin.describe_group(group).await.map_err(told)?;
    found.ok_or_else(|| format!("there is no group `{group}`"))
}

async fn describe(admin: &Admin, group: &str, format: Format) -> Outcome {
    let shown = shown(admin, group).await?;
    if format == Format::Json {
        return json(&shown);
    }
    println!("{} ({}): {} {}", shown.name, shown.kind, shown.state, shown.assignor);
    for member in &shown.members {
        let ShownMember { id, client, host, partitions, .. } = member;
        println!("member {id} of {client} at {host}: {partitions} partitions");
    }
    println!("topic\tpartition\tcommitted\tend\tlag\tmember");
    let or_dash = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |it| it.to_string());
    for it in &shown.partitions {
        let (committed, lag) = (or_dash(it.committed), or_dash(it.lag));
        let member = it.member.as_deref().unwrap_or("-");
        println!("{}\t{}\t{committed}\t{}\t{lag}\t{member}", it.topic, it.partition, it.end);
    }
    Ok(())
}

async fn shown(admin: &Admin, group: &str) -> Result<Shown, String> {
    let described = find(admin, group).await?;
    let committed = admin.committed(group).await.map_err(told)?;
    let mut places: BTreeMap<(String, i32), Option<String>> =
        committed.keys().map(|place| (place.clone(), None)).collect();
    for member in &described.members {
        for part in &member.parts {
            places.insert(part.clone(), Some(member.id.clone()));
        }
    }
    let mut partitions = Vec::with_capacity(places.len());
    for ((topic, partition), member) in places {
        let end = admin.offset(&topic, partition, At::Latest).await.map_err(told)?.unwrap_or(0);
        let start = admin.offset(&topic, partition, At::Earliest).await.map_err(told)?;
        let offset = committed.get(&(topic.clone(), partition)).map(|it| it.offset);
        // What retention has taken is not there to be read.
        let lag = offset.map(|offset| (end - offset.max(start.unwrap_or(0))).max(0));
        partitions.push(ShownPartition { topic, partition, committed: offset, end, lag, member });
    }
    let members = described.members.into_iter().map(|it| ShownMember {
        partitions: it.parts.len(),
        id: it.id,
        instance: it.instance,
        client: it.client,
        host: it.host.trim_start_matches('/').to_owned(),
    });
    Ok(Shown {
        name: described.name,
        kind: match described.kind {
            GroupKind::Classic => "classic",
            GroupKind::Consumer => "consumer",
        },
        state: described.state,
        assignor: described.assignor,
        members: members.collect(),
        partitions,
    })
}

async fn moves(
    admin: &Admin,
    group: &str,
    to: Start,
    (topic, partitions): (Option<&str>, &[i32]),
) -> Result<Vec<ShownMove>, String> {
    let described = find(admin, group).await?;
    if !described.members.is_empty() {
        let count = described.members.len();
        return Err(format!("the group has members ({count}): stop them first"));
    }
    let committed = admin.committed(group).await.map_err(told)?;
    let places: Vec<(String, i32)> = match topic {
        None => committed.keys().cloned().collect(),
        Some(topic) => {
            let known = admin.cluster().topic(topic).await.map_err(told)?;
            let there: Vec<i32> = known.partitions.iter().map(|it| it.index).collect();
            if let Some(missing) = partitions.iter().find(|index| !there.contains(index)) {
                return Err(format!("topic {topic} has no partition {missing}"));
            }
            let chosen = if partitions.is_empty() { &*there } else { partitions };
            chosen.iter().map(|&index| (topic.to_owned(), index)).collect()
        }
    };
    let mut moves = Vec::with_capacity(places.len());
    for (topic, partition) in places {
        let ask = async |at| admin.offset(&topic, partition, at).await.map_err(told);
        let start = ask(At::Earliest).await?.unwrap_or(0);
        let end = ask(At::Latest).await?.unwrap_or(start);
        let wanted = match to {
            Start::Earliest => start,
            Start::Latest => end,
            Start::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX),
            Start::Time(time) => ask(At::Time(time)).await?.unwrap_or(end),
        };
        let from = committed.get(&(topic.clone(), partition)).map(|it| it.offset);
        let to = wanted.min(end).max(start);
        moves.push(ShownMove { topic, partition, from, to });
    }
    Ok(moves)
}

fn print_moves(moves: &[ShownMove], format: Format) -> Outcome {
    if format == Format::Json {
        return json(&moves);
    }
    for it in moves {
        let from = it.from.map_or_else(|| "-".to_owned(), |from| from.to_string());
        println!("{}\t{}\t{from}\t{}", it.topic, it.partition, it.to);
    }
    Ok(())
}
