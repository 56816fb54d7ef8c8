//! How the leader of a classic group gives partitions out: as Java's clients do it, so that members
//! of either kind come to the same.

use std::collections::{BTreeMap, BTreeSet};
use wire_kafka::assignments::Parts;

/// The names under which they are known; the first that all members have is taken.
pub const NAMES: [&str; 2] = [RANGE, ROUND_ROBIN];
const RANGE: &str = "range";
const ROUND_ROBIN: &str = "roundrobin";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    pub id: String,
    pub instance: Option<String>,
    pub topics: BTreeSet<String>,
}

impl Subscriber {
    /// Those with a lasting name come first, in the order of these.
    fn order(&self) -> (bool, &str) {
        match &self.instance {
            Some(instance) => (false, instance),
            None => (true, &self.id),
        }
    }
}

/// Who gets what, by the members' ids; `counts` has the partitions of each topic that is there.
/// `None`: there is no such assignor here.
pub fn assign(
    name: &str,
    mut members: Vec<Subscriber>,
    counts: &BTreeMap<String, i32>,
) -> Option<BTreeMap<String, Parts>> {
    members.sort_by(|one, other| one.order().cmp(&other.order()));
    let mut given: BTreeMap<String, Parts> =
        members.iter().map(|member| (member.id.clone(), Parts::new())).collect();
    match name {
        RANGE => range(&members, counts, &mut given),
        ROUND_ROBIN => round_robin(&members, counts, &mut given),
        _ => return None,
    }
    Some(given)
}

/// Of each topic, neighbouring partitions go to one member; the first get one more.
fn range(
    members: &[Subscriber],
    counts: &BTreeMap<String, i32>,
    given: &mut BTreeMap<String, Parts>,
) {
    for (topic, &count) in counts {
        let readers: Vec<&Subscriber> =
            members.iter().filter(|member| member.topics.contains(topic)).collect();
        let Ok(among @ 1..) = i32::try_from(readers.len()) else { continue };
        let mut next = 0;
        for (index, member) in (0..).zip(readers) {
            let more = i32::from(index < count % among);
            let end = next + count / among + more;
            let parts = (next..end).map(|partition| (topic.clone(), partition));
            given.entry(member.id.clone()).or_default().extend(parts);
            next = end;
        }
    }
}

/// All partitions in their order, to one member after the other.
fn round_robin(
    members: &[Subscriber],
    counts: &BTreeMap<String, i32>,
    given: &mut BTreeMap<String, Parts>,
) {
    let mut turn = 0;
    for (topic, &count) in counts {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in 0..count {
            let behind = members.iter().cycle().enumerate().skip(turn).take(members.len());
            let next = behind.into_iter().find(|(_, member)| member.topics.contains(topic));
            let Some((index, member)) = next else { continue };
            given.entry(member.id.clone()).or_default().insert((topic.clone(), partition));
            turn = (index + 1) % members.len();
        }
    }
}
