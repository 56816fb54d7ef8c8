//! Schemas: what is accepted, what is refused and where, and that hostile ones are cheap.

use crate::schema::json::Json as Schema;
use crate::schema::shape::{SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX, check};
use port::Code;
use proptest::prelude::*;
use serde_json::{Value, json};

fn order() -> Schema {
    Schema::compile(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["id", "items"],
        "additionalProperties": false,
        "properties": {
            "id": {"$ref": "#/$defs/name"},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        },
        "$defs": {
            "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
            "item": {"properties": {"name": {"$ref": "#/$defs/name"}, "n": {"minimum": 1}}},
        },
    }))
    .unwrap()
}

#[test]
fn the_pointer_names_the_part() {
    let check = |value: Value, pointer: &str| {
        let refusal = order().check(&value).unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidEventPayload);
        assert_eq!(refusal.field_name(), Some(pointer), "{value}");
        assert!(refusal.hint_text().unwrap().starts_with("the rule is at `"));
    };
    assert!(order().check(&json!({"id": "abc", "items": [{"name": "x", "n": 1}]})).is_ok());
    check(json!(7), "");
    check(json!({"id": "abc"}), "");
    check(json!({"id": "ABC", "items": []}), "/id");
    check(json!({"id": "abc", "items": [{}, {"n": 0}]}), "/items/1/n");
    check(json!({"id": "abc", "items": [{"name": "a/b"}]}), "/items/0/name");
    check(json!({"id": "abc", "items": [], "extra": 1}), "");
}

#[test]
fn the_message_never_repeats_the_value() {
    let secret = "S3CRET-".repeat(40_000);
    let refusal = order().check(&json!({"id": secret, "items": []})).unwrap_err();
    assert!(!refusal.message().contains("S3CRET") && refusal.message().len() < 1_000);
    let wide = json!({"id": "a", "items": [], secret.as_str(): 1});
    assert!(order().check(&wide).unwrap_err().message().len() < 1_000);
}

#[test]
fn bytes_that_are_not_json_are_told_where() {
    let refusal = order().check_bytes(b"{\"id\": }").unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidEventPayload);
    assert!(refusal.message().contains("column 8"), "{refusal}");
    assert!(order().check_bytes(&[0xff, 0xfe]).is_err());
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    assert!(order().check_bytes(&deep).is_err());
}

#[test]
fn schemas_that_are_refused() {
    let check = |schema: Value, field: &str| {
        let refusal = Schema::compile(&schema).unwrap_err();
        assert_eq!(refusal.code(), Code::InvalidRequest);
        assert_eq!(refusal.field_name(), Some(field), "{schema} {refusal}");
        assert!(refusal.hint_text().is_some());
    };
    check(json!({"type": "text"}), "schema/type");
    check(json!({"$ref": "https://example.com/other.json"}), "schema");
    check(json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "schema/properties/a");
    check(json!({"$ref": "#"}), "schema/$ref");
    check(json!({"properties": {"child": {"$ref": "#"}}}), "schema/properties/child/$ref");
    check(json!({"$ref": "#/$defs/none"}), "schema");
    check(json!({"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}}), "schema");
    check(json!({"$defs": {"a": {"$anchor": "name"}}}), "schema/$defs/a");
    check(json!({"$dynamicRef": "#x"}), "schema");
    check(json!({"items": {"$id": "https://a.example/b"}}), "schema/items");
    check(json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "schema/$schema");
    check(json!({"$schema": 7}), "schema/$schema");
    check(json!({"pattern": "(?=look)ahead"}), "schema/pattern");
    check(json!({"pattern": "(a{1000}){1000}"}), "schema/pattern");
    check(json!({"enum": ["x".repeat(70_000)]}), "schema");
    let patterns: serde_json::Map<String, Value> =
        (0..65).map(|n| (format!("^{n}"), json!({}))).collect();
    check(json!({"patternProperties": patterns}), "schema");
}

#[test]
fn words_of_the_language_may_be_property_names() {
    let schema = Schema::compile(&json!({
        "properties": {"$ref": {"type": "string"}, "$id": {"type": "string"},
            "$anchor": {"type": "object"}, "pattern": {"type": "string"}}
    }));
    assert!(schema.unwrap().check(&json!({"$ref": 7})).is_err());
    assert!(Schema::compile(&json!(true)).unwrap().check(&json!([])).is_ok());
    assert!(Schema::compile(&json!(false)).unwrap().check(&json!([])).is_err());
}

#[test]
fn circles_through_several_references_are_found() {
    let schema = json!({
        "$ref": "#/$defs/a",
        "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}},
    });
    let refusal = check(&schema).unwrap_err();
    assert!(refusal.message().contains("refers to itself"), "{refusal}");
}

#[test]
fn doubling_references_are_counted_written_out() {
    let mut defs = serde_json::Map::new();
    for n in 0..12 {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        defs.insert(format!("d{n}"), json!({"allOf": [next, next]}));
    }
    defs.insert("d12".to_owned(), json!({"type": "string"}));
    let refusal = check(&json!({"$ref": "#/$defs/d0", "$defs": defs})).unwrap_err();
    assert!(refusal.message().contains(&SCHEMA_NODES_MAX.to_string()), "{refusal}");
}

#[test]
fn a_chain_of_references_counts_as_depth() {
    let mut defs = serde_json::Map::new();
    for n in 0..SCHEMA_DEPTH_MAX {
        let next = format!("#/$defs/d{}", n + 1);
        defs.insert(format!("d{n}"), json!({"items": {"$ref": next}}));
    }
    defs.insert(format!("d{SCHEMA_DEPTH_MAX}"), json!({}));
    let refusal = check(&json!({"$ref": "#/$defs/d0", "$defs": defs})).unwrap_err();
    assert!(refusal.message().contains("levels"), "{refusal}");
}

/// Any JSON, of the size a client might send.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("$ref".to_owned()),
        Just("type".to_owned()),
        Just("properties".to_owned()),
        Just("allOf".to_owned()),
        Just("items".to_owned()),
        Just("#".to_owned()),
        Just("#/properties/a".to_owned()),
        Just("a".to_owned()),
        "[a-z~/%#$]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((words.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A schema of the plain kind and whether a number satisfies it, computed by hand.
fn number_rule() -> impl Strategy<Value = (i32, i32)> {
    (-100i32..100, 0i32..100).prop_map(|(minimum, span)| (minimum, minimum + span))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No schema and no value makes compiling or judging panic or run away.
    #[test]
    fn any_schema_and_value(schema in any_json(), value in any_json()) {
        if let Ok(schema) = Schema::compile(&schema) {
            let by_value = schema.check(&value);
            let by_bytes = schema.check_bytes(value.to_string().as_bytes());
            prop_assert_eq!(by_value, by_bytes);
        }
    }

    /// A verdict is the one computed by hand, and the pointer leads to the offending number.
    #[test]
    fn verdicts_agree_with_the_rule(
        (minimum, maximum) in number_rule(),
        numbers in proptest::collection::vec(-200i32..200, 0..8),
    ) {
        let schema = Schema::compile(&json!({
            "properties": {"n": {"items": {"minimum": minimum, "maximum": maximum}}}
        })).unwrap();
        let bad = numbers.iter().position(|n| !(minimum..=maximum).contains(n));
        match (schema.check(&json!({"n": numbers})), bad) {
            (Ok(()), None) => {}
            (Err(refusal), Some(index)) => {
                let pointer = format!("/n/{index}");
                prop_assert_eq!(refusal.field_name(), Some(pointer.as_str()));
            }
            (verdict, bad) => prop_assert!(false, "{verdict:?} {bad:?}"),
        }
    }
}
