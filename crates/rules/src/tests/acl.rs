//! Access lists: what they decide, against a plain evaluator; filters; conditions; what is wrong
//! with a list and what is odd.

use crate::acl::{
    AccessRules, Asking, CompiledList, Groups, Ruling, Tier, What, advise, difference, explain,
    subject,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use types::acl::{Attributes, Facts, Named, Origin};
use types::{AccessList, Effect, Filter, Operation, PrincipalId, TopicName};

/// 2026-11-21T12:00:00Z, a Saturday.
const NOON: i64 = 1_795_262_400_000;

fn list(value: Value) -> AccessList {
    serde_json::from_value(value).expect("a list")
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

fn nothing_known() -> Facts<'static> {
    Facts { origin: None, attributes: None, now: NOON }
}

/// Compiled as a node does it: each with the groups of those above.
fn rules(lists: &[(Tier, &AccessList)]) -> AccessRules {
    let mut groups = Groups::new();
    let mut compiled = Vec::new();
    for (tier, list) in lists {
        let one = Arc::new(CompiledList::new(*tier, list, &groups));
        groups = one.groups().clone();
        compiled.push(one);
    }
    AccessRules::new(compiled)
}

/// Whether a project's list lets a subject do something, `topic` or `topic/key`.
fn may(list: &AccessList, who: &str, operation: Operation, address: &str) -> bool {
    may_when(list, who, operation, address, &nothing_known())
}

fn may_when(
    list: &AccessList,
    who: &str,
    operation: Operation,
    address: &str,
    facts: &Facts<'_>,
) -> bool {
    let (name, key) = match address.split_once('/') {
        Some((name, key)) => (topic(name), Some(key.as_bytes())),
        None => (topic(address), None),
    };
    let rules = rules(&[(Tier::Project, list)]);
    let first = rules.decide(who, operation, &name, key, facts);
    // What is remembered says the same.
    assert_eq!(rules.decide(who, operation, &name, key, facts).ruling, first.ruling);
    first.ruling == Ruling::Allowed
}

#[test]
fn entries_decide_by_principal_operation_and_address() {
    let list = list(json!({
        "groups": {"writers": ["jwt:ann", "key:key_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b"]},
        "entries": [
            {"id": "w", "effect": "allow", "principals": ["group:writers"],
             "operations": ["publish"], "topic": {"prefix": "order"}},
            {"id": "r", "effect": "allow", "principals": ["*"], "operations": ["read", "subscribe"],
             "topic": {"literal": "orders"}, "key": {"prefix": "eu/"}},
            {"id": "f", "effect": "allow", "principals": ["jwt:bob"], "operations": ["all"],
             "topic": {"filter": "+/shared/#"}},
            {"id": "no", "effect": "deny", "principals": ["jwt:ann"], "operations": ["publish"],
             "topic": {"literal": "orders"}, "key": {"filter": "+/secret"}},
        ],
    }));
    let key = "key:key_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b";
    let table = [
        ("jwt:ann", Operation::Publish, "orders", true),
        ("jwt:ann", Operation::Publish, "orders/eu/7", true),
        ("jwt:ann", Operation::Publish, "orders/eu/secret", false),
        ("jwt:ann", Operation::Publish, "orderly/eu/secret", true),
        ("jwt:ann", Operation::Publish, "ord", false),
        (key, Operation::Publish, "orders/eu/secret", true),
        ("jwt:eve", Operation::Publish, "orders", false),
        ("jwt:eve", Operation::Read, "orders/eu/7", true),
        ("jwt:eve", Operation::Subscribe, "orders/eu/", true),
        ("jwt:eve", Operation::Read, "orders/us/7", false),
        ("jwt:eve", Operation::Read, "orders", false),
        ("jwt:bob", Operation::Presence, "any/shared/x/y", true),
        ("jwt:bob", Operation::Publish, "any/other", false),
        // Whoever may do something with a topic may know that it is there.
        ("jwt:eve", Operation::Describe, "orders", true),
        ("jwt:bob", Operation::Describe, "any", true),
        ("jwt:eve", Operation::Describe, "others", false),
        // But what is about a topic as a whole needs an entry on the whole topic.
        ("jwt:bob", Operation::Manage, "any", false),
        // Users do by their roles what nothing denies.
        ("user:usr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b", Operation::Manage, "orders", true),
    ];
    for (who, operation, address, expected) in table {
        assert_eq!(may(&list, who, operation, address), expected, "{who} {operation} {address}");
    }
}

#[test]
fn names_belong_to_whom_entries_give_them_and_else_to_everybody() {
    use Named::{ConsumerGroup, TransactionalId};
    let list = list(json!({"entries": [
        {"id": "a", "effect": "allow", "principals": ["jwt:ann"], "operations": ["read"],
         "consumer_group": {"prefix": "bill"}},
        {"id": "b", "effect": "allow", "principals": ["jwt:bob"], "operations": ["all"],
         "consumer_group": {"literal": "billing"}},
        {"id": "no", "effect": "deny", "principals": ["jwt:eve"], "operations": ["describe"],
         "consumer_group": {"prefix": ""}},
        {"id": "t", "effect": "allow", "principals": ["jwt:ann"], "operations": ["publish"],
         "transactional_id": {"literal": "pay"}, "when": {"tls": true}},
        {"id": "u", "effect": "allow", "principals": ["*"], "operations": ["all"],
         "topic": {"filter": "#"}},
    ]}));
    assert_eq!(list.problems(&HashSet::new()), []);
    let table = [
        ("jwt:ann", Operation::Read, ConsumerGroup, "bills", true),
        ("jwt:ann", Operation::Describe, ConsumerGroup, "bills", true),
        ("jwt:ann", Operation::Manage, ConsumerGroup, "bills", false),
        ("jwt:bob", Operation::Manage, ConsumerGroup, "billing", true),
        ("jwt:bob", Operation::Read, ConsumerGroup, "bills", false),
        ("jwt:zoe", Operation::Read, ConsumerGroup, "billing", false),
        (
            "user:usr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b",
            Operation::Manage,
            ConsumerGroup,
            "billing",
            true,
        ),
        // Nobody is given these: a denial alone shuts out whom it names.
        ("jwt:zoe", Operation::Manage, ConsumerGroup, "orders", true),
        ("jwt:eve", Operation::Read, ConsumerGroup, "orders", true),
        ("jwt:eve", Operation::Describe, ConsumerGroup, "orders", false),
        // The same name is another thing elsewhere.
        ("jwt:zoe", Operation::Publish, TransactionalId, "billing", true),
        // Given to her, though not as she comes.
        ("jwt:ann", Operation::Publish, TransactionalId, "pay", false),
        ("jwt:zoe", Operation::Publish, TransactionalId, "pay", false),
    ];
    let lists = [(Tier::Project, &list)];
    for (subject, operation, named, name, expected) in table {
        let facts = nothing_known();
        let ruling = rules(&lists).decide_name(subject, operation, (named, name), &facts);
        assert_eq!(ruling == Ruling::Allowed, expected, "{subject} {operation} {name}");
        let asking = Asking { subject, operation, what: What::Name(named, name), facts };
        let told = explain(&lists, &asking);
        assert_eq!(told.allowed, expected, "{told:?}");
        assert!(told.considered.iter().all(|it| it.entry != "u"), "{told:?}");
    }
}

#[test]
fn an_entry_speaks_of_one_kind_of_thing() {
    let problems = |more: Value| {
        let mut entry = json!({"id": "e", "effect": "allow", "principals": ["*"],
            "operations": ["read"]});
        entry.as_object_mut().expect("it").extend(more.as_object().expect("fields").clone());
        let list = list(json!({"entries": [entry]}));
        // What cannot be read denies everything, and allows nothing.
        let problems = list.problems(&HashSet::new());
        if !problems.is_empty() {
            assert!(!may(&list, "jwt:a", Operation::Read, "t"));
        }
        problems.into_iter().map(|it| it.field).collect::<Vec<_>>()
    };
    let (topic, name) = (json!({"literal": "t"}), json!({"literal": "g"}));
    assert_eq!(problems(json!({"topic": topic})), Vec::<String>::new());
    assert_eq!(problems(json!({"consumer_group": name})), Vec::<String>::new());
    assert_eq!(problems(json!({})), ["entries[0].topic"]);
    assert_eq!(problems(json!({"topic": topic, "consumer_group": name})), ["entries[0].topic"]);
    assert_eq!(
        problems(json!({"transactional_id": name, "consumer_group": name})),
        ["entries[0].topic"]
    );
    assert_eq!(problems(json!({"consumer_group": name, "key": topic})), ["entries[0].key"]);
    assert_eq!(problems(json!({"consumer_group": {"literal": ""}})), ["entries[0].consumer_group"]);
    assert_eq!(
        problems(json!({"transactional_id": {"prefix": "a\u{7}"}})),
        ["entries[0].transactional_id"]
    );
    assert_eq!(problems(json!({"transactional_id": name})), ["entries[0].operations"]);
    assert_eq!(
        problems(json!({"consumer_group": name, "operations": ["publish"]})),
        ["entries[0].operations"]
    );
}

#[test]
fn keys_that_are_no_text_are_met_by_whole_topics_and_prefixes_only() {
    let list = list(json!({"entries": [
        {"id": "p", "effect": "allow", "principals": ["*"], "operations": ["read"],
         "topic": {"literal": "a"}, "key": {"prefix": "x"}},
        {"id": "l", "effect": "allow", "principals": ["*"], "operations": ["publish"],
         "topic": {"literal": "a"}, "key": {"filter": "+"}},
    ]}));
    let rules = rules(&[(Tier::Project, &list)]);
    let key: &[u8] = b"x\xff";
    let ask = |operation| {
        rules.decide("jwt:a", operation, &topic("a"), Some(key), &nothing_known()).ruling
    };
    assert_eq!(ask(Operation::Read), Ruling::Allowed);
    assert_eq!(ask(Operation::Publish), Ruling::Unspoken);
}

#[test]
fn lists_above_count_and_the_nearest_default_does() {
    let above = list(json!({"default": "allow", "groups": {"staff": ["jwt:ann"]}, "entries": [
        {"id": "no", "effect": "deny", "principals": ["*"], "operations": ["publish"],
         "topic": {"literal": "ledger"}},
    ]}));
    let own = list(json!({"groups": {}, "entries": [
        {"id": "yes", "effect": "allow", "principals": ["group:staff"], "operations": ["publish"],
         "topic": {"filter": "#"}},
    ]}));
    let both = [(Tier::Tenant, &above), (Tier::Project, &own)];
    let ask = |lists: &[(Tier, &AccessList)], who: &str, name: &str| {
        let rules = rules(lists);
        let ruling = rules.decide(who, Operation::Publish, &topic(name), None, &nothing_known());
        match ruling.ruling {
            Ruling::Allowed => "allowed".to_owned(),
            Ruling::Unspoken => "unspoken".to_owned(),
            Ruling::Denied(place) => {
                let name = rules.name_of(place).expect("an entry");
                format!("{} {}", name.tier.name(), name.id)
            }
        }
    };
    // The group is the tenant's; its denial cannot be overruled.
    assert_eq!(ask(&both, "jwt:ann", "orders"), "allowed");
    assert_eq!(ask(&both, "jwt:ann", "ledger"), "tenant no");
    assert_eq!(
        ask(&both, "jwt:bob", "orders"),
        "allowed",
        "the tenant's default, as ours is silent"
    );
    let strict = AccessList { default: Some(Effect::Deny), ..own.clone() };
    let both = [(Tier::Tenant, &above), (Tier::Project, &strict)];
    assert_eq!(ask(&both, "jwt:bob", "orders"), "unspoken");
    // A project's group of the same name is its own entries' only.
    let own = list(json!({"groups": {"staff": ["jwt:eve"]}, "entries": own.entries}));
    let above = list(json!({"default": "deny", "groups": {"staff": ["jwt:ann"]}, "entries": [
        {"id": "t", "effect": "allow", "principals": ["group:staff"], "operations": ["publish"],
         "topic": {"literal": "ledger"}},
    ]}));
    let both = [(Tier::Tenant, &above), (Tier::Project, &own)];
    assert_eq!(ask(&both, "jwt:eve", "orders"), "allowed");
    assert_eq!(ask(&both, "jwt:ann", "orders"), "unspoken");
    assert_eq!(ask(&both, "jwt:ann", "ledger"), "allowed");
}

#[test]
fn a_group_that_is_gone_denies_everybody_and_allows_nobody() {
    let of = |effect: &str| {
        list(json!({"default": "allow", "entries": [
            {"id": "x", "effect": effect, "principals": ["group:gone"], "operations": ["all"],
             "topic": {"filter": "#"}},
        ]}))
    };
    assert!(!may(&of("deny"), "jwt:a", Operation::Read, "t"));
    let mut allowing = of("allow");
    allowing.default = None;
    assert!(!may(&allowing, "jwt:a", Operation::Read, "t"));
}

#[test]
fn conditions_hold_or_the_entry_does_not_count() {
    let with = |when: Value| {
        list(json!({"entries": [
            {"id": "x", "effect": "allow", "principals": ["*"], "operations": ["read"],
             "topic": {"filter": "#"}, "when": when},
        ]}))
    };
    let attributes: Attributes =
        [("department".into(), vec!["sales".into(), "ops".into()])].into_iter().collect();
    let at = |address: &str, is_tls: bool, now: i64| Facts {
        origin: Some(Origin { address: address.parse().unwrap(), is_tls }),
        attributes: Some(&attributes),
        now,
    };
    let hour = 3_600_000;
    let table = [
        (json!({"networks": ["10.0.0.0/8"]}), at("10.200.3.4", true, NOON), true),
        (json!({"networks": ["10.0.0.0/8"]}), at("11.0.0.1", true, NOON), false),
        (json!({"networks": ["0.0.0.0/0"]}), at("203.0.113.9", true, NOON), true),
        (json!({"networks": ["0.0.0.0/0"]}), at("2001:db8::1", true, NOON), false),
        (json!({"networks": ["10.0.0.0/8"]}), at("::ffff:10.0.0.1", true, NOON), true),
        (json!({"networks": ["2001:db8::/32", "::1"]}), at("2001:db8:7::1", true, NOON), true),
        (json!({"networks": ["2001:db8::/32"]}), at("2001:db9::1", true, NOON), false),
        (json!({"tls": true}), at("10.0.0.1", false, NOON), false),
        (json!({"tls": false}), at("10.0.0.1", false, NOON), true),
        (json!({"times": [{"from": "08:00", "to": "18:00"}]}), at("::1", true, NOON), true),
        (json!({"times": [{"from": "08:00", "to": "12:00"}]}), at("::1", true, NOON), false),
        (
            json!({"times": [{"days": ["sat"], "from": "12:00", "to": "12:01"}]}),
            at("::1", true, NOON),
            true,
        ),
        (
            json!({"times": [{"days": ["mon", "fri"], "from": "00:00", "to": "24:00"}]}),
            at("::1", true, NOON),
            false,
        ),
        // Over midnight: it belongs to the day it begins on.
        (
            json!({"times": [{"days": ["sat"], "from": "22:00", "to": "06:00"}]}),
            at("::1", true, NOON + 14 * hour),
            true,
        ),
        (
            json!({"times": [{"days": ["sun"], "from": "22:00", "to": "06:00"}]}),
            at("::1", true, NOON + 14 * hour),
            false,
        ),
        (json!({"attributes": {"department": ["ops"]}}), at("::1", true, NOON), true),
        (json!({"attributes": {"department": ["hr"]}}), at("::1", true, NOON), false),
        (
            json!({"attributes": {"department": ["ops"], "level": ["1"]}}),
            at("::1", true, NOON),
            false,
        ),
        (json!({"tls": true, "networks": ["::1"]}), at("::1", true, NOON), true),
    ];
    for (when, facts, expected) in table {
        let list = with(when.clone());
        assert!(list.problems(&HashSet::new()).is_empty(), "{when}");
        let found = may_when(&list, "jwt:a", Operation::Read, "t", &facts);
        assert_eq!(found, expected, "{when} {facts:?}");
        // What is not known is not fulfilled.
        let unknown = Facts { origin: None, attributes: None, now: facts.now };
        if list.entries[0].when.times.is_empty() {
            assert!(!may_when(&list, "jwt:a", Operation::Read, "t", &unknown), "{when}");
        }
    }
}

#[test]
fn what_depends_on_circumstances_is_not_remembered() {
    let list = list(json!({"entries": [
        {"id": "x", "effect": "allow", "principals": ["*"], "operations": ["read"],
         "topic": {"literal": "t"}, "when": {"times": [{"from": "08:00", "to": "13:00"}]}},
        {"id": "y", "effect": "allow", "principals": ["*"], "operations": ["read"],
         "topic": {"literal": "u"}},
    ]}));
    let rules = rules(&[(Tier::Project, &list)]);
    let ask = |name: &str, now: i64| {
        let facts = Facts { now, ..nothing_known() };
        rules.decide("jwt:a", Operation::Read, &topic(name), None, &facts)
    };
    assert_eq!(ask("t", NOON).ruling, Ruling::Allowed);
    assert_eq!(ask("t", NOON + 2 * 3_600_000).ruling, Ruling::Unspoken);
    assert!(!ask("t", NOON).is_cached);
    assert!(!ask("u", NOON).is_cached);
    assert!(ask("u", NOON).is_cached);
    assert!(rules.has_times());
}

#[test]
fn a_filter_needs_one_entry_that_covers_it_and_none_that_denies_part_of_it() {
    let list = list(json!({"entries": [
        {"id": "a", "effect": "allow", "principals": ["*"], "operations": ["subscribe"],
         "topic": {"literal": "orders"}, "key": {"filter": "eu/#"}},
        {"id": "b", "effect": "allow", "principals": ["*"], "operations": ["subscribe"],
         "topic": {"prefix": "log"}},
        {"id": "c", "effect": "allow", "principals": ["jwt:root"], "operations": ["subscribe"],
         "topic": {"filter": "#"}},
        {"id": "d", "effect": "deny", "principals": ["*"], "operations": ["subscribe"],
         "topic": {"literal": "orders"}, "key": {"literal": "eu/secret"}},
        {"id": "e", "effect": "deny", "principals": ["*"], "operations": ["subscribe"],
         "topic": {"prefix": "logs.private"}},
        {"id": "f", "effect": "allow", "principals": ["*"], "operations": ["subscribe"],
         "topic": {"literal": "mail"}, "key": {"prefix": "in/"}},
    ]}));
    let rules = rules(&[(Tier::Project, &list)]);
    let table = [
        ("jwt:x", "orders/eu/7", true),
        ("jwt:x", "orders/eu/secret", false),
        ("jwt:x", "orders/eu/+", false),
        ("jwt:x", "orders/eu/+/lines", true),
        ("jwt:x", "orders/us/+", false),
        ("jwt:x", "orders", false),
        ("jwt:x", "logs", true),
        ("jwt:x", "logs.private.a", false),
        ("jwt:x", "+", false),
        ("jwt:root", "+", false),
        ("jwt:root", "+/us/7", false),
        ("jwt:root", "invoices", true),
        ("jwt:x", "mail/in/+", true),
        ("jwt:x", "mail/+/+", false),
        ("jwt:x", "mail/in/box", true),
    ];
    for (who, filter, expected) in table {
        let parsed = Filter::parse(filter).unwrap();
        let ruling = rules.decide_filter(who, Operation::Subscribe, &parsed, &nothing_known());
        assert_eq!(ruling == Ruling::Allowed, expected, "{who} {filter}");
    }
}

#[test]
fn who_asks_is_named_as_lists_name_him() {
    let named = |text: &str| subject(&PrincipalId(text.into())).map(|name| name.into_owned());
    assert_eq!(named("operator"), None);
    assert_eq!(named("system"), None);
    assert_eq!(named("jwt:ann"), Some("jwt:ann".to_owned()));
    assert_eq!(named("key:key_1"), Some("key:key_1".to_owned()));
    assert_eq!(named("usr_7:ann@example.org"), Some("user:usr_7".to_owned()));
}

#[test]
fn what_cannot_be_meant_is_refused_by_field() {
    let entry = |change: Value| {
        let mut entry = json!({"id": "a", "effect": "allow", "principals": ["*"],
            "operations": ["read"], "topic": {"literal": "t"}});
        for (name, value) in change.as_object().unwrap() {
            entry[name] = value.clone();
        }
        json!({"entries": [entry]})
    };
    let table = [
        (entry(json!({"id": "a b"})), "entries[0].id"),
        (entry(json!({"operations": []})), "entries[0].operations"),
        (entry(json!({"principals": []})), "entries[0].principals"),
        (entry(json!({"principals": ["ann"]})), "entries[0].principals[0]"),
        (entry(json!({"principals": ["*", "key:1"]})), "entries[0].principals[1]"),
        (entry(json!({"principals": ["group:none"]})), "entries[0].principals[0]"),
        (entry(json!({"topic": {"literal": "a b"}})), "entries[0].topic.literal"),
        (entry(json!({"topic": {"prefix": ""}})), "entries[0].topic.prefix"),
        (entry(json!({"topic": {"filter": "a/#/b"}})), "entries[0].topic.filter"),
        (entry(json!({"key": {"filter": "a+"}})), "entries[0].key.filter"),
        (entry(json!({"topic": {"filter": "a/+"}, "key": {"literal": "x"}})), "entries[0].key"),
        (
            entry(json!({"when": {"times": [{"from": "08:00", "to": "08:00"}]}})),
            "entries[0].when.times[0]",
        ),
        (entry(json!({"when": {"attributes": {"a": []}}})), "entries[0].when.attributes.a"),
        (json!({"groups": {"g": ["group:h"]}}), "groups.g[0]"),
        (json!({"groups": {"g h": []}}), "groups.g h"),
    ];
    for (value, field) in table {
        let problems = list(value.clone()).problems(&HashSet::new());
        assert_eq!(problems.first().map(|it| it.field.as_str()), Some(field), "{value}");
    }
    let twice = json!({"entries": [
        entry(json!({}))["entries"][0].clone(), entry(json!({}))["entries"][0].clone(),
    ]});
    assert_eq!(list(twice).problems(&HashSet::new())[0].field, "entries[1].id");
    let unknown = [
        json!({"entries": [], "more": 1}),
        entry(json!({"when": {"networks": ["10.0.0.1/8"]}})),
        entry(json!({"when": {"networks": ["nowhere"]}})),
        entry(json!({"when": {"times": [{"from": "8:00", "to": "9:00"}]}})),
        entry(json!({"operations": ["write"]})),
        entry(json!({"topic": "t"})),
    ];
    for value in unknown {
        assert!(serde_json::from_value::<AccessList>(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn lists_are_written_as_they_are_read() {
    let value = json!({
        "default": "deny",
        "groups": {"g": ["jwt:a"]},
        "entries": [{
            "id": "a", "effect": "deny", "principals": ["group:g"], "operations": ["all"],
            "topic": {"prefix": "t"}, "key": {"filter": "+/x"},
            "when": {"networks": ["10.0.0.0/8"], "tls": true,
                "times": [{"days": ["mon"], "from": "08:00", "to": "24:00"}],
                "attributes": {"a": ["b"]}},
            "note": "why",
        }],
    });
    assert_eq!(serde_json::to_value(list(value.clone())).unwrap(), value);
}

#[test]
fn what_is_odd_is_told() {
    let list = list(json!({
        "groups": {"empty": []},
        "entries": [
            {"id": "wide", "effect": "deny", "principals": ["*"], "operations": ["all"],
             "topic": {"prefix": "private"}},
            {"id": "idle", "effect": "allow", "principals": ["jwt:a"], "operations": ["read"],
             "topic": {"literal": "private.x"}},
            {"id": "one", "effect": "allow", "principals": ["jwt:a"], "operations": ["read"],
             "topic": {"literal": "t"}},
            {"id": "twin", "effect": "allow", "principals": ["jwt:a"], "operations": ["read"],
             "topic": {"literal": "t"}, "note": "again"},
            {"id": "key", "effect": "deny", "operations": ["manage"],
             "principals": ["user:usr_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b"],
             "topic": {"literal": "t"}, "key": {"literal": "k"},
             "when": {"attributes": {"a": ["b"]}}},
            {"id": "fine", "effect": "allow", "principals": ["jwt:b"], "operations": ["read"],
             "topic": {"literal": "t"}, "when": {"tls": true}},
        ],
    }));
    assert!(list.problems(&HashSet::new()).is_empty());
    let told: Vec<(String, bool)> = advise(&list)
        .into_iter()
        .map(|warning| (warning.field, warning.message.contains("never counts")))
        .collect();
    let expected = [
        ("groups.empty", false),
        ("entries[4].operations", false),
        ("entries[4].when.attributes", false),
        ("entries[1]", true),
        ("entries[3]", false),
    ];
    assert_eq!(told, expected.map(|(field, never)| (field.to_owned(), never)));
}

#[test]
fn differences_name_what_came_went_and_changed() {
    let entry = |id: &str, note: &str| {
        json!({"id": id, "effect": "allow", "principals": ["*"], "operations": ["read"],
            "topic": {"literal": "t"}, "note": note})
    };
    let before = list(json!({
        "groups": {"g": ["jwt:a", "jwt:b"], "gone": []},
        "entries": [entry("same", ""), entry("other", "1"), entry("gone", "")],
    }));
    let after = list(json!({
        "default": "allow", "groups": {"g": ["jwt:b", "jwt:c"]},
        "entries": [entry("new", ""), entry("other", "2"), entry("same", "")],
    }));
    let found = serde_json::to_value(difference(&before, &after)).unwrap();
    assert_eq!(found["default"], json!([null, "allow"]));
    assert_eq!(found["groups"]["g"], json!({"added": ["jwt:c"], "removed": ["jwt:a"]}));
    assert_eq!(found["groups"]["gone"], json!({"added": [], "removed": []}));
    assert_eq!(found["added"][0]["id"], "new");
    assert_eq!(found["removed"][0]["id"], "gone");
    assert_eq!(found["changed"][0]["after"]["note"], "2");
    assert_eq!(found["changed"].as_array().unwrap().len(), 1);
    assert!(difference(&before, &before).is_none());
}

mod properties;
