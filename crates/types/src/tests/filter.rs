//! Filters take what they say. Matching is checked against a second, naive reading of the rule.

use crate::filter::{BadFilter, FILTER_BYTES_MAX, FILTER_LEVELS_MAX};
use crate::{Filter, TopicName};
use proptest::prelude::*;

fn topic(text: &str) -> TopicName {
    TopicName::parse(text).expect("a topic name")
}

#[test]
fn what_a_filter_takes() {
    // Filter, topic, key, whether it matches.
    let cases: [(&str, &str, Option<&str>, bool); 29] = [
        ("orders", "orders", None, true),
        ("orders", "orders", Some("a/b"), true),
        ("orders", "order", Some("a"), false),
        ("orders/#", "orders", None, true),
        ("orders/#", "orders", Some(""), true),
        ("orders/a", "orders", Some("a"), true),
        ("orders/a", "orders", Some("a/b"), false),
        ("orders/a", "orders", None, false),
        ("orders/a/#", "orders", Some("a"), true),
        ("orders/a/#", "orders", Some("a/b/c"), true),
        ("orders/a/#", "orders", Some("ab"), false),
        ("orders/+", "orders", Some("a"), true),
        ("orders/+", "orders", Some(""), true),
        ("orders/+", "orders", Some("a/b"), false),
        ("orders/+", "orders", None, false),
        ("orders/+/b", "orders", Some("a/b"), true),
        ("orders/+/b", "orders", Some("a/c"), false),
        ("orders/+/+", "orders", Some("a/"), true),
        ("orders/+/#", "orders", Some("a"), true),
        ("orders/+/#", "orders", Some("a/b"), true),
        ("orders/+/#", "orders", None, false),
        ("+/a", "orders", Some("a"), true),
        ("+/a", "orders", Some("b"), false),
        ("+", "orders", None, true),
        ("#", "orders", None, true),
        ("#", "orders", Some("a"), true),
        ("orders//a", "orders", Some("/a"), true),
        ("orders//+", "orders", Some("/x"), true),
        ("orders/", "orders", Some(""), true),
    ];
    for (text, name, key, want) in cases {
        let filter = Filter::parse(text).expect(text);
        let got = filter.matches(&topic(name), key.map(str::as_bytes));
        assert_eq!(got, want, "{text} against {name} {key:?}");
        let again = Filter::parse(&filter.to_string()).expect("what is shown can be read");
        assert_eq!(again, filter, "{text}");
    }
}

#[test]
fn what_is_no_filter() {
    let long = format!("t/{}", "a".repeat(FILTER_BYTES_MAX));
    let deep = format!("t/+{}", "/+".repeat(FILTER_LEVELS_MAX));
    let cases = [
        ("", Some(BadFilter::Length)),
        (long.as_str(), Some(BadFilter::Length)),
        (deep.as_str(), Some(BadFilter::Length)),
        ("t/a+", Some(BadFilter::Wildcard)),
        ("t/+a", Some(BadFilter::Wildcard)),
        ("t/#/a", Some(BadFilter::Wildcard)),
        ("t/a#", Some(BadFilter::Wildcard)),
        ("a b/c", None),
        ("/a", None),
        ("#/a", None),
    ];
    for (text, want) in cases {
        let error = Filter::parse(text).expect_err(text);
        match want {
            Some(want) => assert_eq!(error, want, "{text}"),
            None => assert!(matches!(error, BadFilter::Topic(_)), "{text}: {error}"),
        }
    }
}

#[test]
fn a_literal_key_takes_wildcards_as_themselves() {
    let filter = Filter::key(topic("t"), "a/+/#");
    assert!(filter.matches(&topic("t"), Some(b"a/+/#")));
    assert!(!filter.matches(&topic("t"), Some(b"a/b/c")));
}

#[test]
fn a_key_that_is_not_text_is_taken_by_the_whole_topic_only() {
    let key = Some(&b"\xff\xfe"[..]);
    assert!(Filter::parse("t").expect("filter").matches(&topic("t"), key));
    assert!(!Filter::parse("t/+").expect("filter").matches(&topic("t"), key));
    assert!(!Filter::parse("t/+/#").expect("filter").matches(&topic("t"), key));
}

/// The rule, read level by level.
fn naive(filter: &[String], key: &[String]) -> bool {
    match (filter.split_first(), key.split_first()) {
        (Some((last, [])), _) if last == "#" => true,
        (None, None) => true,
        (Some((want, filter)), Some((got, key))) => {
            (want == "+" || want == got) && naive(filter, key)
        }
        _ => false,
    }
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), "[a-c]{0,2}"]
}

fn filter_levels() -> impl Strategy<Value = Vec<String>> {
    let level = prop_oneof![2 => level(), 2 => Just("+".to_owned())];
    (prop::collection::vec(level, 1..5), any::<bool>()).prop_map(|(mut levels, rest)| {
        if rest {
            levels.push("#".to_owned());
        }
        levels
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn matching_agrees_with_the_naive_rule(
        levels in filter_levels(),
        key in prop::collection::vec(level(), 1..6),
    ) {
        let filter = Filter::parse(&format!("t/{}", levels.join("/"))).expect("a filter");
        let got = filter.matches(&topic("t"), Some(key.join("/").as_bytes()));
        prop_assert_eq!(got, naive(&levels, &key), "{} against {:?}", filter, key);
        prop_assert!(!filter.matches(&topic("u"), Some(key.join("/").as_bytes())));
    }

    #[test]
    fn no_text_panics_and_what_parses_shows_itself(text in ".{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            let again = Filter::parse(&filter.to_string()).expect("what is shown can be read");
            prop_assert_eq!(again, filter);
        }
    }
}
