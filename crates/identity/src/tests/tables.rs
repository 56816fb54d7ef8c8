//! The bounded tables: records read a while ago, and the switches of sessions.

use crate::cache::Cache;
use crate::liveness::{Holder, HolderKind, LivenessTable};
use std::sync::Arc;
use std::time::Duration;
use types::ProjectId;
use uuid::Uuid;

#[test]
fn a_full_cache_drops_what_was_read_longest_ago() {
    let mut cache = Cache::new(16);
    for n in 0..100u64 {
        cache.insert(n, n, Duration::from_secs(n));
        assert!(cache.iter().count() <= 16);
        assert!(cache.get(&n).is_some());
    }
    assert!(cache.get(&0).is_none() && cache.get(&83).is_none());
    // One that is there already takes no room.
    let held = cache.iter().count();
    cache.insert(99, 1, Duration::from_secs(100));
    assert_eq!(cache.iter().count(), held);
    cache.expire(&99);
    assert_eq!(cache.get(&99).unwrap().age(Duration::from_secs(100)), Duration::MAX);
    // All of one age: still bounded.
    let mut cache = Cache::new(8);
    (0..100).for_each(|n| cache.insert(n, (), Duration::ZERO));
    assert!(cache.iter().count() <= 8);
}

fn holder(n: u128) -> Holder {
    Holder { project: ProjectId(Uuid::from_u128(n)), kind: HolderKind::Operator }
}

#[test]
fn sessions_of_one_holder_share_a_switch() {
    let table = LivenessTable::default();
    let (first, second, other) = (table.get(holder(1)), table.get(holder(1)), table.get(holder(2)));
    assert!(Arc::ptr_eq(&first, &second));
    assert!(table.revoke(&holder(1)));
    assert!(first.is_revoked() && second.is_revoked() && !other.is_revoked());
    assert!(!table.get(holder(1)).is_revoked(), "who comes later has a new one");
    drop((first, second));
    assert!(!table.revoke(&holder(1)), "nobody is there to notice");
}

#[test]
fn switches_nobody_holds_do_not_pile_up() {
    let table = LivenessTable::default();
    let held: Vec<_> = (0..100).map(|n| table.get(holder(n))).collect();
    (1_000..50_000).for_each(|n| drop(table.get(holder(n))));
    assert!(table.entries() <= 1_025, "{}", table.entries());
    assert_eq!(table.in_use().len(), held.len());
}
