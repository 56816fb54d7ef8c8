//! Access lists said in Kafka's words, and changed by them.

use crate::access::{Binding, Draft, Filter, add, bindings, remove};
use crate::messages::create_acls::AclCreation;
use crate::messages::delete_acls::DeleteAclsFilter;
use serde_json::{Value, json};
use types::AccessList;

const KEY: &str = "key_0123456789abcdef0123456789abcdef";

fn list(entries: Value) -> AccessList {
    let list = json!({ "default": "deny", "groups": { "g": ["jwt:x"] }, "entries": entries });
    serde_json::from_value(list).expect("a list")
}

fn entry(id: &str, operations: &[&str], topic: Value, more: Value) -> Value {
    let mut entry = json!({
        "id": id, "effect": "allow", "principals": [format!("key:{KEY}")],
        "operations": operations, "topic": topic,
    });
    let more = more.as_object().expect("fields").clone();
    entry.as_object_mut().expect("fields").extend(more);
    entry
}

/// A binding in a line: `+User:key@* Read =orders`, with `-` for a denial and `^` for a prefix.
fn line(binding: &Binding) -> String {
    const NAMES: [&str; 12] = [
        "Unknown",
        "Any",
        "All",
        "Read",
        "Write",
        "Create",
        "Delete",
        "Alter",
        "Describe",
        "ClusterAction",
        "DescribeConfigs",
        "AlterConfigs",
    ];
    let effect = if binding.permission == 2 { '-' } else { '+' };
    let principal = binding.principal.replace(KEY, "key");
    let name = NAMES[binding.operation as usize];
    let kind = if binding.pattern.kind == 4 { '^' } else { '=' };
    format!("{effect}{principal}@{} {name} {kind}{}", binding.host, binding.pattern.name)
}

fn lines<'a>(found: impl IntoIterator<Item = &'a Binding>) -> Vec<String> {
    found.into_iter().map(line).collect()
}

fn said(entries: Value) -> Vec<String> {
    lines(&bindings(&list(entries)).expect("few"))
}

#[test]
fn what_can_be_said_is_said_and_nothing_else() {
    let orders = json!({ "literal": "orders" });
    let check = |operations: &[&str], topic: &Value, more: Value, expected: &[&str]| {
        let entry = entry("e", operations, topic.clone(), more);
        assert_eq!(said(json!([entry])), expected, "{entry}");
    };
    check(&["read", "subscribe"], &orders, json!({}), &["+User:key@* Read =orders"]);
    check(&["read"], &orders, json!({}), &["+User:key@* Read =orders"]);
    // To follow live is nothing that Kafka has.
    check(&["subscribe", "presence"], &orders, json!({}), &[]);
    check(&["publish"], &json!({ "prefix": "or" }), json!({}), &["+User:key@* Write ^or"]);
    let describe = ["+User:key@* Describe =*", "+User:key@* DescribeConfigs =*"];
    check(&["describe"], &json!({ "filter": "#" }), json!({}), &describe);
    check(&["describe"], &json!({ "filter": "+/#" }), json!({}), &describe);
    check(
        &["all"],
        &json!({ "filter": "orders/#" }),
        json!({ "effect": "deny" }),
        &["-User:key@* All =orders"],
    );
    check(
        &["manage"],
        &orders,
        json!({ "principals": ["*"] }),
        &[
            "+User:*@* Create =orders",
            "+User:*@* Delete =orders",
            "+User:*@* Alter =orders",
            "+User:*@* AlterConfigs =orders",
        ],
    );
    let many = json!({
        "principals": ["group:g", "jwt:shop:7"],
        "when": { "networks": ["10.0.0.0/8", "192.0.2.7", "2001:db8::1"] },
    });
    check(
        &["publish"],
        &orders,
        many,
        &[
            "+Group:g@10.0.0.0/8 Write =orders",
            "+Group:g@192.0.2.7 Write =orders",
            "+Group:g@2001:db8::1 Write =orders",
            "+User:jwt:shop:7@10.0.0.0/8 Write =orders",
            "+User:jwt:shop:7@192.0.2.7 Write =orders",
            "+User:jwt:shop:7@2001:db8::1 Write =orders",
        ],
    );
    for more in [
        json!({ "when": { "tls": true } }),
        json!({ "when": { "times": [{ "from": "07:00", "to": "19:00" }] } }),
        json!({ "when": { "attributes": { "department": ["hr"] } } }),
        json!({ "key": { "prefix": "eu/" } }),
        json!({ "key": { "literal": "eu" } }),
    ] {
        check(&["all"], &orders, more, &[]);
    }
    check(&["all"], &json!({ "filter": "orders/eu/+" }), json!({}), &[]);
}

#[test]
fn what_is_too_much_is_not_told() {
    let principals: Vec<String> = (0..1_000).map(|number| format!("jwt:{number}")).collect();
    let networks: Vec<String> = (0..51).map(|number| format!("10.0.0.{number}")).collect();
    let more = json!({ "principals": principals, "when": { "networks": networks } });
    let list = list(json!([entry("e", &["publish"], json!({ "literal": "t" }), more)]));
    assert!(bindings(&list).is_err());
}

fn filter(change: impl FnOnce(&mut DeleteAclsFilter)) -> Filter {
    let mut filter = DeleteAclsFilter {
        resource_type_filter: 1,
        pattern_type_filter: 1,
        operation: 1,
        permission_type: 1,
        ..DeleteAclsFilter::default()
    };
    change(&mut filter);
    filter.into()
}

/// The example of KIP-290: `MATCH` takes whatever would decide about the name.
#[test]
fn filters_match_as_in_kafka() {
    let entries = [
        entry("1", &["publish"], json!({ "literal": "payments.received" }), json!({})),
        entry("2", &["publish"], json!({ "prefix": "payments." }), json!({})),
        entry("3", &["publish"], json!({ "prefix": "pay" }), json!({ "effect": "deny" })),
        entry("4", &["publish"], json!({ "filter": "#" }), json!({})),
        entry("5", &["publish"], json!({ "literal": "payments." }), json!({})),
    ];
    let all = bindings(&list(json!(entries))).expect("few");
    let check = |kind: i8, name: Option<&str>, expected: &[&str]| {
        let filter = filter(|it| {
            it.pattern_type_filter = kind;
            it.resource_name_filter = name.map(str::to_owned);
        });
        assert_eq!(filter.check(), Ok(()));
        let found = all.iter().filter(|binding| filter.matches(binding));
        let found: Vec<String> = lines(found)
            .iter()
            .map(|line| line.split(' ').next_back().expect("one").into())
            .collect();
        assert_eq!(found, expected, "{kind} {name:?}");
    };
    check(1, None, &["=*", "^pay", "=payments.", "^payments.", "=payments.received"]);
    check(1, Some("payments."), &["=payments.", "^payments."]);
    check(2, Some("payments.received"), &["=*", "^pay", "^payments.", "=payments.received"]);
    check(2, Some("pa"), &["=*"]);
    check(2, None, &["=*", "^pay", "=payments.", "^payments.", "=payments.received"]);
    check(3, Some("payments.received"), &["=payments.received"]);
    check(3, Some("*"), &["=*"]);
    check(3, None, &["=*", "=payments.", "=payments.received"]);
    check(4, Some("payments."), &["^payments."]);
    check(4, None, &["^pay", "^payments."]);
    let count = |filter: Filter| all.iter().filter(|binding| filter.matches(binding)).count();
    assert_eq!(count(filter(|it| it.permission_type = 2)), 1);
    assert_eq!(count(filter(|it| it.operation = 4)), 5);
    assert_eq!(count(filter(|it| it.operation = 2)), 0, "All is an operation of its own");
    assert_eq!(count(filter(|it| it.resource_type_filter = 3)), 0);
    assert_eq!(count(filter(|it| it.host_filter = Some("*".to_owned()))), 5);
    assert_eq!(count(filter(|it| it.host_filter = Some("10.0.0.1".to_owned()))), 0);
    let named = |name: String| filter(|it| it.principal_filter = Some(name));
    assert_eq!(count(named(format!("User:{KEY}"))), 5);
    assert_eq!(count(named(format!("User:key:{KEY}"))), 5);
    assert_eq!(count(named("User:*".to_owned())), 0);
    for bad in [
        filter(|it| it.resource_type_filter = 0),
        filter(|it| it.pattern_type_filter = 5),
        filter(|it| it.operation = 16),
        filter(|it| it.permission_type = 0),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}

fn creation(operation: i8, name: &str) -> AclCreation {
    AclCreation {
        resource_type: 2,
        resource_name: name.to_owned(),
        resource_pattern_type: 3,
        principal: format!("User:{KEY}"),
        host: "*".to_owned(),
        operation,
        permission_type: 3,
    }
}

fn draft(creation: AclCreation) -> Draft {
    creation.try_into().expect("a draft")
}

#[test]
fn what_is_added_is_said_after_it() {
    let mut list = list(json!([entry("kafka-7", &["read"], json!({ "literal": "t" }), json!({}))]));
    // What kafka-acls --producer asks for, and what is there already.
    let producer = [creation(4, "t"), creation(8, "t"), creation(5, "t"), creation(3, "t")];
    let mut drafts: Vec<Draft> = producer.map(draft).into();
    drafts.push(draft(AclCreation {
        principal: "User:*".to_owned(),
        host: "192.0.2.7".to_owned(),
        operation: 2,
        permission_type: 2,
        resource_name: "*".to_owned(),
        ..creation(0, "")
    }));
    drafts.push(draft(AclCreation { resource_pattern_type: 4, ..creation(11, "t-") }));
    assert_eq!(add(&mut list, &drafts), Ok(true));
    assert_eq!(list.problems(&Default::default()), []);
    let made: Vec<(&str, Value)> = list.entries[1..]
        .iter()
        .map(|entry| (&*entry.id, serde_json::to_value(entry.operations).expect("a value")))
        .collect();
    assert_eq!(
        made,
        [
            ("kafka-8", json!(["publish", "describe", "manage"])),
            ("kafka-9", json!(["all"])),
            ("kafka-10", json!(["manage"])),
        ]
    );
    let known = bindings(&list).expect("few");
    assert!(drafts.iter().all(|draft| known.contains(&draft.binding)));
    assert!(lines(&known).contains(&"-User:*@192.0.2.7 All =*".to_owned()));
    // A second time nothing is new.
    assert_eq!(add(&mut list, &drafts), Ok(false));
    assert_eq!(list.entries.len(), 4);
}

#[test]
fn what_cannot_be_meant_is_told_why() {
    let check = |creation: AclCreation, why: &str| {
        let told = Draft::try_from(creation).map(|_| ()).expect_err(why);
        assert!(told.contains(why), "{told}");
    };
    let plain = || creation(3, "t");
    check(AclCreation { resource_type: 3, ..creation(4, "g") }, "groups have");
    check(AclCreation { resource_type: 3, resource_pattern_type: 4, ..creation(3, "") }, "1 to");
    check(AclCreation { resource_type: 4, ..plain() }, "admin:write");
    check(AclCreation { resource_type: 5, ..plain() }, "transactional ids have");
    check(AclCreation { resource_type: 6, ..plain() }, "delegation");
    check(AclCreation { resource_type: 7, ..plain() }, "only topics");
    check(AclCreation { resource_pattern_type: 2, ..plain() }, "prefix");
    check(AclCreation { principal: "User:alice".to_owned(), ..plain() }, "`User:alice`");
    check(AclCreation { principal: KEY.to_owned(), ..plain() }, "names nobody");
    check(AclCreation { principal: "Role:x".to_owned(), ..plain() }, "names nobody");
    check(AclCreation { host: "example.com".to_owned(), ..plain() }, "host");
    check(AclCreation { host: "10.0.0.1/8".to_owned(), ..plain() }, "beyond");
    check(AclCreation { operation: 9, ..plain() }, "operations");
    check(AclCreation { operation: 1, ..plain() }, "operations");
    check(AclCreation { permission_type: 1, ..plain() }, "allows or denies");
    check(AclCreation { resource_name: "a/b".to_owned(), ..plain() }, "topic");
}

/// What `kafka-acls --consumer` and `--producer` ask for besides topics.
#[test]
fn groups_and_transactional_ids_are_said_added_and_taken_away() {
    let of = |resource_type, kind, creation| AclCreation {
        resource_type,
        resource_pattern_type: kind,
        ..creation
    };
    let mut list = list(json!([]));
    let drafts = [
        of(3, 3, creation(3, "billing")),
        of(3, 3, creation(6, "billing")),
        of(3, 4, creation(8, "bill")),
        of(5, 3, creation(4, "*")),
        of(5, 3, creation(8, "*")),
        of(2, 3, creation(3, "billing")),
    ];
    let drafts: Vec<Draft> = drafts.map(draft).into();
    assert_eq!(add(&mut list, &drafts), Ok(true));
    assert_eq!(list.problems(&Default::default()), []);
    let text = serde_json::to_value(&list.entries).expect("a value");
    let made = text.as_array().expect("entries").iter().map(|it| {
        json!([it["operations"], it["topic"], it["consumer_group"], it["transactional_id"]])
    });
    assert_eq!(
        made.collect::<Vec<_>>(),
        [
            json!([["read", "manage"], null, { "literal": "billing" }, null]),
            json!([["describe"], null, { "prefix": "bill" }, null]),
            json!([["publish", "describe"], null, null, { "prefix": "" }]),
            json!([["read", "subscribe"], { "literal": "billing" }, null, null]),
        ]
    );
    let known = bindings(&list).expect("few");
    assert!(drafts.iter().all(|draft| known.contains(&draft.binding)), "{known:?}");
    assert_eq!(add(&mut list, &drafts), Ok(false), "a second time nothing is new");
    // In the order of resources: topics, groups, ids.
    let kinds: Vec<i8> = known.iter().map(|binding| binding.pattern.resource).collect();
    assert!(kinds.is_sorted() && kinds.first() == Some(&2) && kinds.last() == Some(&5));
    // A filter for groups takes away of groups alone.
    let gone = remove(&mut list, &[filter(|it| it.resource_type_filter = 3)]).expect("few");
    assert!(gone[0].iter().all(|binding| binding.pattern.resource == 3), "{gone:?}");
    assert_eq!(list.entries.len(), 2);
}

/// Removes by one filter; answers what went, and what the list says then.
fn removed(entries: Value, filter: Filter) -> (Vec<String>, Vec<String>, AccessList) {
    let mut list = list(entries);
    let gone = remove(&mut list, &[filter]).expect("few");
    assert_eq!(list.problems(&Default::default()), []);
    (lines(&gone[0]), lines(&bindings(&list).expect("few")), list)
}

#[test]
fn only_what_is_matched_is_taken_away() {
    let orders = json!({ "literal": "orders" });
    let two = json!({
        "principals": ["jwt:a", "jwt:b", "jwt:c"], "note": "why",
        "when": { "networks": ["10.0.0.0/8", "192.0.2.7"] },
    });
    let wide = entry("wide", &["publish", "read", "subscribe"], orders.clone(), two);
    let one = filter(|it| {
        it.principal_filter = Some("User:jwt:b".to_owned());
        it.host_filter = Some("192.0.2.7/32".to_owned());
        it.operation = 3;
    });
    let before = said(json!([wide]));
    let (gone, after, list) = removed(json!([wide]), one);
    assert_eq!(gone, ["+User:jwt:b@192.0.2.7 Read =orders"]);
    assert_eq!(before.len(), after.len() + 1);
    assert!(after.iter().all(|line| before.contains(line) && !gone.contains(line)));
    let ids: Vec<&str> = list.entries.iter().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["wide", "kafka-1", "kafka-2"]);
    assert!(list.entries.iter().all(|entry| entry.note == "why"));
    // An entry of which nothing is left goes.
    let (gone, after, list) = removed(json!([wide]), filter(|_| {}));
    assert_eq!((gone.len(), after.len(), list.entries.len()), (12, 0, 0));
    // Not so one that has more than can be said.
    let more = entry("more", &["read", "presence"], orders.clone(), json!({}));
    let (gone, _, list) = removed(json!([more]), filter(|_| {}));
    assert_eq!(gone, ["+User:key@* Read =orders"]);
    assert_eq!(serde_json::to_value(list.entries[0].operations).expect("it"), json!(["presence"]));
    // Nor what cannot be said at all.
    let timed = json!({ "when": { "times": [{ "from": "07:00", "to": "19:00" }] } });
    let timed = entry("timed", &["all"], orders.clone(), timed);
    let (gone, _, list) = removed(json!([timed]), filter(|_| {}));
    assert_eq!((gone.len(), list.entries.len()), (0, 1));
    // What is one right here goes together, and is told.
    let manage = entry("m", &["manage", "publish"], orders, json!({}));
    let (gone, after, _) = removed(json!([manage]), filter(|it| it.operation = 5));
    assert_eq!(gone.len(), 4);
    assert_eq!(after, ["+User:key@* Write =orders"]);
}

/// In one network only: nothing that is left may come to mean everywhere.
#[test]
fn a_network_less_is_not_everywhere() {
    let topic = json!({ "literal": "t" });
    let more = json!({ "when": { "networks": ["10.0.0.1", "10.0.0.2"] } });
    let narrow = entry("n", &["publish"], topic, more);
    let by_host = |host: &str| filter(|it| it.host_filter = Some(host.to_owned()));
    let (_, after, list) = removed(json!([narrow]), by_host("10.0.0.1"));
    assert_eq!(after, ["+User:key@10.0.0.2 Write =t"]);
    assert_eq!(list.entries.len(), 1);
    assert_eq!(list.entries[0].when.networks.len(), 1);
    let (gone, after, _) = removed(json!([narrow]), by_host("*"));
    assert_eq!((gone.len(), after.len()), (0, 2));
}
