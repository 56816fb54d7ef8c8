//! Who is to read what: the server's assignors, `uniform` and `range` (KIP-848). Pure; from who is
//! subscribed to what, and from what each had, to what each is to have.

use std::collections::{BTreeMap, BTreeSet};
use types::{Partition, TopicId};

/// One partition of a topic.
pub type Part = (TopicId, Partition);
pub type Parts = BTreeSet<Part>;

/// Rounds of moving partitions from members with many to members with few at most: each ends with
/// less to move, and what is left after so many is still an assignment.
const ROUNDS_MAX: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// All as many as can be, each what it had.
    Uniform,
    /// Of each topic neighbouring partitions, so that topics with as many partitions are read
    /// side by side.
    Range,
}

impl Assignor {
    /// The first is that of groups whose members want none in particular.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn named(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }
}

/// One member, as an assignor sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// What it is called in the order of members: its lasting name, if it has one.
    pub order: String,
    pub topics: BTreeSet<TopicId>,
    /// What it was to have.
    pub had: Parts,
}

/// Every partition of a topic that somebody is subscribed to goes to one of its subscribers.
/// Subscribers are known by any names; `counts` are the partitions of each topic.
pub fn assign(
    assignor: Assignor,
    subscribers: &BTreeMap<String, Subscriber>,
    counts: &BTreeMap<TopicId, u32>,
) -> BTreeMap<String, Parts> {
    let mut members: Vec<(&String, &Subscriber)> = subscribers.iter().collect();
    members.sort_by(|a, b| (&a.1.order, a.0).cmp(&(&b.1.order, b.0)));
    let given = match assignor {
        Assignor::Uniform => Shares::new(&members, counts).level(),
        Assignor::Range => range(&members, counts),
    };
    members.into_iter().map(|(name, _)| name.clone()).zip(given).collect()
}

fn range(members: &[(&String, &Subscriber)], counts: &BTreeMap<TopicId, u32>) -> Vec<Parts> {
    let mut given = vec![Parts::new(); members.len()];
    for (&topic, &count) in counts {
        let subscribed = members.iter().zip(&mut given);
        let subscribed = subscribed.filter(|((_, it), _)| it.topics.contains(&topic));
        let mut subscribed: Vec<&mut Parts> = subscribed.map(|(_, parts)| parts).collect();
        let among = u32::try_from(subscribed.len()).unwrap_or(u32::MAX);
        if among == 0 {
            continue;
        }
        let (each, more) = (count / among, count % among);
        let mut next = 0;
        for (index, parts) in subscribed.iter_mut().enumerate() {
            let share = each + u32::from((index as u32) < more);
            parts.extend((next..next + share).map(|partition| (topic, partition)));
            next += share;
        }
    }
    given
}

/// Shares that are made level.
struct Shares<'a> {
    members: &'a [(&'a String, &'a Subscriber)],
    given: Vec<Parts>,
    /// Members by how much they have.
    by_load: BTreeSet<(usize, usize)>,
}

impl<'a> Shares<'a> {
    /// Everybody has what it had, and what is left goes to whoever has least.
    fn new(
        members: &'a [(&'a String, &'a Subscriber)],
        counts: &BTreeMap<TopicId, u32>,
    ) -> Shares<'a> {
        let mut free: Parts = counts
            .iter()
            .flat_map(|(&topic, &count)| (0..count).map(move |partition| (topic, partition)))
            .collect();
        let mut given = Vec::with_capacity(members.len());
        for (_, member) in members {
            let stays = |part: &&Part| member.topics.contains(&part.0) && free.contains(*part);
            let stays: Parts = member.had.iter().filter(stays).copied().collect();
            free.retain(|part| !stays.contains(part));
            given.push(stays);
        }
        let by_load = given.iter().enumerate().map(|(index, parts)| (parts.len(), index)).collect();
        let mut shares = Shares { members, given, by_load };
        for part in free {
            if let Some((_, least)) = shares.least(part.0) {
                shares.give(part, least);
            }
        }
        shares
    }

    /// The subscriber of the topic that has least, with how much that is.
    fn least(&self, topic: TopicId) -> Option<(usize, usize)> {
        let is_subscribed = |index: usize| {
            self.members.get(index).is_some_and(|(_, member)| member.topics.contains(&topic))
        };
        self.by_load.iter().copied().find(|(_, index)| is_subscribed(*index))
    }

    fn give(&mut self, part: Part, to: usize) {
        self.change(to, |parts| parts.extend([part]));
    }

    fn change(&mut self, index: usize, change: impl FnOnce(&mut Parts)) {
        let Some(parts) = self.given.get_mut(index) else { return };
        self.by_load.remove(&(parts.len(), index));
        change(parts);
        self.by_load.insert((parts.len(), index));
    }

    /// Moves single partitions until no move makes the shares more level.
    fn level(mut self) -> Vec<Parts> {
        for _ in 0..ROUNDS_MAX {
            let fullest: Vec<usize> = self.by_load.iter().rev().map(|(_, index)| *index).collect();
            let mut has_moved = false;
            for from in fullest {
                has_moved |= self.relieve(from);
            }
            if !has_moved {
                break;
            }
        }
        self.given
    }

    /// Gives away what others have less than; answers whether there was something.
    fn relieve(&mut self, from: usize) -> bool {
        let mut has_moved = false;
        // The last ones go, so that what it has longest stays.
        let parts: Vec<Part> = self.given.get(from).into_iter().flatten().rev().copied().collect();
        for part in parts {
            let load = self.given.get(from).map_or(0, Parts::len);
            let Some((least, to)) = self.least(part.0) else { continue };
            if least + 1 >= load {
                continue;
            }
            self.change(from, |parts| {
                parts.remove(&part);
            });
            self.give(part, to);
            has_moved = true;
        }
        has_moved
    }
}
