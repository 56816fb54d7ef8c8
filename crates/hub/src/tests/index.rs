//! The index finds exactly the subscriptions whose filters match.

use crate::shard::{KeyIndex, SubscriptionKey};
use proptest::prelude::*;
use types::Filter;

fn filters() -> impl Strategy<Value = String> {
    let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just("")];
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_map(|(levels, rest)| {
        let mut text = "t".to_owned();
        for level in levels {
            text = text + "/" + level;
        }
        if rest { text + "/#" } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn found_is_what_matches(
        texts in prop::collection::vec(filters(), 0..20),
        gone in prop::collection::vec(any::<bool>(), 20),
        key in "[ab]?(/[ab]?){0,3}",
    ) {
        let parsed = texts.iter().filter_map(|text| Filter::parse(text).ok());
        let filters: Vec<Filter> = parsed.collect();
        let mut index = KeyIndex::default();
        let at = |slot: usize| SubscriptionKey { slot: slot as u32, generation: 0 };
        for (slot, filter) in filters.iter().enumerate() {
            index.insert(&filter.key, at(slot));
        }
        for (slot, filter) in filters.iter().enumerate().filter(|(slot, _)| gone[*slot]) {
            index.remove(&filter.key, at(slot));
        }
        let mut found: Vec<SubscriptionKey> = index.all().to_vec();
        index.keyed(key.as_bytes(), &mut |key| found.push(key));
        found.sort_unstable();
        let wanted: Vec<SubscriptionKey> = (0..filters.len())
            .filter(|&slot| !gone[slot] && filters[slot].key.matches(Some(key.as_bytes())))
            .map(at)
            .collect();
        prop_assert_eq!(found, wanted);
    }
}

#[test]
fn an_emptied_index_holds_nothing() {
    let mut index = KeyIndex::default();
    let key = SubscriptionKey { slot: 0, generation: 0 };
    for text in ["t/a", "t/a/+/b", "t/+/#"] {
        let filter = Filter::parse(text).expect("a filter");
        index.insert(&filter.key, key);
        assert!(index.has_keyed());
        index.remove(&filter.key, key);
        assert!(!index.has_keyed(), "{text} left something behind");
    }
}
