//! What assignors give out, and that all of it is given out once.

use super::assignors::{NAMES, Subscriber, assign};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn member(id: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
    Subscriber {
        id: id.to_owned(),
        instance: instance.map(str::to_owned),
        topics: topics.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn counts(topics: &[(&str, i32)]) -> BTreeMap<String, i32> {
    topics.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// As `m1: a0 a1, m2: b0`.
fn told(name: &str, members: Vec<Subscriber>, topics: &[(&str, i32)]) -> String {
    let given = assign(name, members, &counts(topics)).expect("an assignor");
    let told = given.iter().map(|(id, parts)| {
        let parts: Vec<String> = parts.iter().map(|(topic, it)| format!("{topic}{it}")).collect();
        format!("{id}: {}", parts.join(" "))
    });
    told.collect::<Vec<String>>().join(", ")
}

#[test]
fn partitions_are_given_out_as_javas_clients_do_it() {
    let two = || vec![member("m1", None, &["a", "b"]), member("m2", None, &["a", "b"])];
    let topics = [("a", 3), ("b", 3)];
    assert_eq!(told("range", two(), &topics), "m1: a0 a1 b0 b1, m2: a2 b2");
    assert_eq!(told("roundrobin", two(), &topics), "m1: a0 a2 b1, m2: a1 b0 b2");
    // Lasting names go before others, in their own order.
    let named = vec![
        member("m1", None, &["a"]),
        member("m2", Some("z"), &["a"]),
        member("m3", Some("y"), &["a"]),
    ];
    assert_eq!(told("range", named.clone(), &[("a", 4)]), "m1: a3, m2: a2, m3: a0 a1");
    assert_eq!(told("roundrobin", named, &[("a", 4)]), "m1: a2, m2: a1, m3: a0 a3");
    // More members than partitions, and topics that not all read.
    let mixed = vec![member("m1", None, &["a"]), member("m2", None, &["b"])];
    assert_eq!(told("range", mixed.clone(), &[("a", 1), ("b", 1)]), "m1: a0, m2: b0");
    assert_eq!(told("roundrobin", mixed, &[("a", 2), ("b", 1), ("c", 9)]), "m1: a0 a1, m2: b0");
    assert_eq!(assign("sticky", two(), &counts(&topics)), None);
}

proptest! {
    #[test]
    fn every_partition_is_given_to_one_who_reads_it(
        members in prop::collection::vec(prop::collection::btree_set(0..4usize, 0..4), 0..6),
        sizes in prop::collection::vec(0..7i32, 4),
    ) {
        let topics: BTreeMap<String, i32> =
            (0..).zip(&sizes).map(|(index, size)| (format!("t{index}"), *size)).collect();
        let members: Vec<Subscriber> = (0..).zip(members).map(|(index, topics)| Subscriber {
            id: format!("m{index}"),
            instance: (index % 2 == 0).then(|| format!("i{}", 9 - index)),
            topics: topics.iter().map(|topic| format!("t{topic}")).collect(),
        }).collect();
        let wanted: BTreeSet<(String, i32)> = topics
            .iter()
            .filter(|(topic, _)| members.iter().any(|member| member.topics.contains(*topic)))
            .flat_map(|(topic, &size)| (0..size).map(move |index| (topic.clone(), index)))
            .collect();
        for name in NAMES {
            let given = assign(name, members.clone(), &topics).expect("an assignor");
            let count: usize = given.values().map(BTreeSet::len).sum();
            prop_assert_eq!(count, wanted.len(), "{}: each once", name);
            for member in &members {
                let reads_it = |(topic, _): &(String, i32)| member.topics.contains(topic);
                prop_assert!(given[&member.id].iter().all(reads_it));
            }
            let all: BTreeSet<_> = given.into_values().flatten().collect();
            prop_assert_eq!(&all, &wanted);
        }
    }
}
