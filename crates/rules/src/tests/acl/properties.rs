//! The tables against the plain evaluator, over lists drawn at random from few names, so that
//! entries meet.

use super::*;
use prop::collection::vec;
use prop::sample::{select, subsequence};

const SUBJECTS: [&str; 4] = [
    "jwt:a",
    "jwt:b",
    "key:key_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b",
    "user:usr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b",
];
const TOPICS: [&str; 6] = ["a", "ab", "abc", "b", "ba", "$changes"];
const NAMES: [&str; 3] = ["g", "gh", "h"];
const KEYS: [&str; 7] = ["x", "x/y", "x/y/z", "xy", "y", "y/x", "x/"];

fn topic_match() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&TOPICS[..]).prop_map(|name| json!({"literal": name})),
        select(&["a", "ab", "b", "$"][..]).prop_map(|text| json!({"prefix": text})),
        select(&["#", "+", "a", "+/x", "a/x/+", "b/#"][..])
            .prop_map(|text| json!({"filter": text})),
    ]
}

fn key_match() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(Value::Null),
        1 => select(&KEYS[..]).prop_map(|key| json!({"literal": key})),
        1 => select(&["x", "x/", "x/y", "y"][..]).prop_map(|text| json!({"prefix": text})),
        2 => select(&["+", "x/+", "+/y", "x/#", "+/+/#", "#"][..])
            .prop_map(|text| json!({"filter": text})),
    ]
}

/// Of some entries, which speak of no topic then.
fn name_match() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let names = prop_oneof![
        select(&NAMES[..]).prop_map(|name| json!({"literal": name})),
        select(&["", "g", "gh"][..]).prop_map(|text| json!({"prefix": text})),
    ];
    let field = select(&["consumer_group", "transactional_id"][..]);
    prop::option::weighted(0.3, (field, names))
}

fn when() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => Just(json!({})),
        1 => Just(json!({"networks": ["10.0.0.0/8"]})),
        1 => Just(json!({"tls": true})),
        1 => Just(json!({"times": [{"days": ["sat"], "from": "11:00", "to": "13:00"}]})),
        1 => Just(json!({"attributes": {"team": ["red", "blue"]}})),
    ]
}

prop_compose! {
    fn entry()(
        effect in select(&["allow", "allow", "deny"][..]),
        principals in subsequence(vec!["*", "jwt:a", "jwt:b", "group:g", "group:none",
            "key:key_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b",
            "user:usr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b"], 1..3),
        operations in subsequence(vec!["publish", "read", "subscribe", "presence", "describe",
            "manage"], 1..4),
        topic in topic_match(),
        name in name_match(),
        key in key_match(),
        when in when(),
    ) -> Value {
        let mut entry = json!({"id": "", "effect": effect, "principals": principals,
            "operations": operations, "when": when});
        if let Some((field, name)) = name {
            entry[field] = name;
            return entry;
        }
        entry["topic"] = topic;
        let of_filter = entry["topic"]["filter"].as_str().is_some_and(|text| text.contains('/'));
        if !key.is_null() && !of_filter {
            entry["key"] = key;
        }
        entry
    }
}

prop_compose! {
    fn any_list()(
        default in select(&["", "allow", "deny"][..]),
        members in prop::option::of(subsequence(SUBJECTS.to_vec(), 0..3)),
        entries in vec(entry(), 0..12),
    ) -> AccessList {
        let mut value = json!({"entries": entries});
        for (index, entry) in value["entries"].as_array_mut().unwrap().iter_mut().enumerate() {
            entry["id"] = json!(format!("e{index}"));
        }
        if !default.is_empty() {
            value["default"] = json!(default);
        }
        if let Some(members) = members {
            value["groups"] = json!({"g": members});
        }
        list(value)
    }
}

#[derive(Debug, Clone)]
struct Known {
    origin: Option<Origin>,
    attributes: Option<Attributes>,
    now: i64,
}

fn known() -> impl Strategy<Value = Known> {
    let origin = prop::option::of((select(&["10.1.2.3", "192.0.2.1"][..]), any::<bool>()));
    let teams = prop::option::of(select(&["red", "green"][..]));
    (origin, teams, select(&[0, 3 * 3_600_000, 86_400_000][..])).prop_map(
        |(origin, team, later)| Known {
            origin: origin
                .map(|(address, is_tls)| Origin { address: address.parse().unwrap(), is_tls }),
            attributes: team.map(|team| [("team".into(), vec![team.into()])].into()),
            now: NOON + later,
        },
    )
}

fn lists_of(all: &[Option<AccessList>; 3]) -> Vec<(Tier, &AccessList)> {
    let tiers = [Tier::Installation, Tier::Tenant, Tier::Project];
    tiers.into_iter().zip(all).filter_map(|(tier, list)| Some((tier, list.as_ref()?))).collect()
}

fn three() -> impl Strategy<Value = [Option<AccessList>; 3]> {
    let maybe = || prop::option::of(any_list());
    (maybe(), maybe(), any_list()).prop_map(|(first, second, third)| [first, second, Some(third)])
}

/// Every question that the few names allow.
fn questions() -> impl Iterator<Item = (&'static str, Operation, TopicName, Option<&'static str>)> {
    let keys = || std::iter::once(None).chain(KEYS.map(Some));
    SUBJECTS.into_iter().flat_map(move |who| {
        Operation::ALL.into_iter().flat_map(move |operation| {
            TOPICS
                .into_iter()
                .flat_map(move |name| keys().map(move |key| (who, operation, topic(name), key)))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// **Feature: realtime-saas-platform, access lists: the compiled tables decide every question
    /// as a plain walk over the entries does, the first time and from memory**
    #[test]
    fn tables_decide_as_a_plain_walk_does(all in three(), known in known()) {
        let lists = lists_of(&all);
        let rules = rules(&lists);
        let facts =
            Facts { origin: known.origin, attributes: known.attributes.as_ref(), now: known.now };
        for (who, operation, name, key) in questions() {
            let key = key.map(str::as_bytes);
            let what = What::Address { topic: &name, key };
            let asking = Asking { subject: who, operation, what, facts };
            let plain = explain(&lists, &asking);
            for _ in 0..2 {
                let found = rules.decide(who, operation, &name, key, &facts);
                prop_assert_eq!(
                    found.ruling == Ruling::Allowed, plain.allowed,
                    "{} {} {} {:?}: {:?}", who, operation, name, key, plain
                );
                if let Ruling::Denied(place) = found.ruling {
                    let named = rules.name_of(place).expect("an entry");
                    let is_it = |it: &&crate::acl::Considered| {
                        it.list == named.tier && it.entry == named.id
                    };
                    let considered = plain.considered.iter().find(is_it).expect("considered");
                    prop_assert!(considered.applies && considered.effect == Effect::Deny);
                }
            }
        }
    }

    /// **Feature: realtime-saas-platform, access lists: of names the tables decide as a plain walk
    /// does, too**
    #[test]
    fn tables_decide_of_names_as_a_plain_walk_does(all in three(), known in known()) {
        let lists = lists_of(&all);
        let rules = rules(&lists);
        let facts =
            Facts { origin: known.origin, attributes: known.attributes.as_ref(), now: known.now };
        let of = |subject| Operation::ALL.into_iter().map(move |operation| (subject, operation));
        for (subject, operation) in SUBJECTS.into_iter().flat_map(of) {
            for (named, name) in NAMES.into_iter().flat_map(|it| Named::ALL.map(|of| (of, it))) {
                let what = What::Name(named, name);
                let plain = explain(&lists, &Asking { subject, operation, what, facts });
                let found = rules.decide_name(subject, operation, (named, name), &facts);
                prop_assert_eq!(
                    found == Ruling::Allowed, plain.allowed,
                    "{} {} {}: {:?}", subject, operation, name, plain
                );
            }
        }
    }

    /// **Feature: realtime-saas-platform, access lists: whatever else there is, on whatever level,
    /// an entry that denies wins**
    #[test]
    fn a_denial_wins(all in three(), level in 0usize..3, place in 0usize..12) {
        let mut all = all;
        let deny = json!({"id": "deny", "effect": "deny", "principals": ["jwt:a"],
            "operations": ["all"], "topic": {"prefix": "a"}});
        let list = all[level].get_or_insert_default();
        let place = place.min(list.entries.len());
        list.entries.insert(place, serde_json::from_value(deny).unwrap());
        let rules = rules(&lists_of(&all));
        for (who, operation, name, key) in questions() {
            if who != "jwt:a" || !name.as_str().starts_with('a') {
                continue;
            }
            let key = key.map(str::as_bytes);
            let found = rules.decide(who, operation, &name, key, &nothing_known());
            prop_assert!(matches!(found.ruling, Ruling::Denied(_)), "{operation} {name} {key:?}");
        }
    }

    /// **Feature: realtime-saas-platform, access lists: a list above takes with its denials and
    /// gives with its other entries, and changes nothing else**
    #[test]
    fn a_list_above_takes_by_denials_only(above in any_list(), own in any_list()) {
        let above = AccessList { default: None, groups: Default::default(), ..above };
        let alone = rules(&[(Tier::Project, &own)]);
        let both = rules(&[(Tier::Tenant, &above), (Tier::Project, &own)]);
        for (who, operation, name, key) in questions() {
            let key = key.map(str::as_bytes);
            let what = What::Address { topic: &name, key };
            let asking = Asking { subject: who, operation, what, facts: nothing_known() };
            let of_above = explain(&[(Tier::Tenant, &above)], &asking).decided_by;
            let before = alone.decide(who, operation, &name, key, &nothing_known()).ruling;
            let after = both.decide(who, operation, &name, key, &nothing_known()).ruling;
            let expected = match of_above.map(|it| it.effect) {
                Some(Effect::Deny) => false,
                Some(Effect::Allow) => !matches!(before, Ruling::Denied(_)),
                None => before == Ruling::Allowed,
            };
            prop_assert_eq!(after == Ruling::Allowed, expected, "{} {} {}", who, operation, name);
        }
    }

    /// **Feature: realtime-saas-platform, access lists: a filter that may be followed reaches no
    /// address that may not**
    #[test]
    fn a_followed_filter_reaches_only_what_is_allowed(
        all in three(),
        filter in select(&["#", "+", "+/x", "+/x/+", "+/+/y", "a", "a/x", "a/x/+", "a/+", "ab/x/#",
            "b/#", "b/+/+", "abc"][..]),
    ) {
        let rules = rules(&lists_of(&all));
        let parsed = Filter::parse(filter).unwrap();
        for who in SUBJECTS {
            let ruling =
                rules.decide_filter(who, Operation::Subscribe, &parsed, &nothing_known());
            if ruling != Ruling::Allowed {
                continue;
            }
            for (asker, operation, name, key) in questions() {
                let key = key.map(str::as_bytes);
                if asker != who
                    || operation != Operation::Subscribe
                    || !parsed.matches(&name, key)
                {
                    continue;
                }
                let found = rules.decide(who, operation, &name, key, &nothing_known());
                prop_assert_eq!(found.ruling, Ruling::Allowed, "{} {} {:?}", filter, name, key);
            }
        }
    }
}
