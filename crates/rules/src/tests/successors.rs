//! What may follow a schema: tables of changes, and the one promise that counts, on random schemas
//! and values: what the verdict lets through never refuses a value that was accepted.

use crate::schema::Schema;
use port::{Code, Refusal};
use proptest::prelude::*;
use serde_json::{Value, json};
use types::{Compatibility, SchemaKind};

fn compiled(kind: SchemaKind, schema: &Value) -> Schema {
    Schema::compile(kind, schema).expect("a schema of these tests is valid")
}

fn follows(
    kind: SchemaKind,
    old: &Value,
    new: &Value,
    promise: Compatibility,
) -> Result<(), Refusal> {
    compiled(kind, new).may_follow(&compiled(kind, old), promise)
}

fn json_follows(old: &Value, new: &Value) -> Result<(), Refusal> {
    follows(SchemaKind::JsonSchema, old, new, Compatibility::Backward)
}

#[test]
fn wider_json_schemas_may_follow() {
    let cases = [
        (json!({}), json!({})),
        (json!({"type": "integer"}), json!({"type": "number"})),
        (json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (json!({"type": "string", "maxLength": 5}), json!({"type": "string", "maxLength": 9})),
        (json!({"minimum": 3, "type": "integer"}), json!({"exclusiveMinimum": 2.5})),
        (json!({"multipleOf": 6}), json!({"multipleOf": 3})),
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a", "b", "c"]})),
        (json!({"enum": [1, 2]}), json!({"type": "integer", "maximum": 2})),
        (json!({"const": "a"}), json!({"type": "string"})),
        (json!({"required": ["a", "b"]}), json!({"required": ["b"]})),
        (
            json!({"properties": {"a": {"type": "integer"}}, "additionalProperties": false}),
            json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}),
        ),
        (
            json!({"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}),
            json!({"properties": {"a": {"type": "number"}}}),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!({"items": {"type": "number"}}),
        ),
        (
            json!({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}}),
            json!({"items": {"enum": [1, 2]}}),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"type": ["number", "string"]}),
        ),
        (json!({"type": "string"}), json!({"anyOf": [{"type": "integer"}, {"type": "string"}]})),
        (
            json!({"allOf": [{"type": "string"}, {"maxLength": 3}]}),
            json!({"allOf": [{"maxLength": 3}, {"type": "string"}]}),
        ),
        (
            json!({
                "$defs": {"id": {"type": "integer"}},
                "properties": {"a": {"$ref": "#/$defs/id"}},
            }),
            json!({"properties": {"a": {"type": "number", "title": "A"}}}),
        ),
        (json!(false), json!({"type": "string"})),
        (json!({"type": "string"}), json!({"minimum": 5, "required": ["a"]})),
    ];
    for (old, new) in cases {
        json_follows(&old, &new).unwrap_or_else(|refusal| panic!("{old} -> {new}: {refusal}"));
    }
}

#[test]
fn narrower_json_schemas_are_refused_with_the_place() {
    let cases = [
        (json!({}), json!({"type": "string"}), "schema/type"),
        (json!({"type": "number"}), json!({"type": "integer"}), "schema/type"),
        (json!({"type": "string"}), json!({"type": "string", "maxLength": 5}), "schema/maxLength"),
        (json!({"type": "string"}), json!({"type": "string", "pattern": "a"}), "schema/pattern"),
        (json!({"minimum": 1}), json!({"minimum": 2}), "schema/minimum"),
        (json!({"minimum": 1}), json!({"exclusiveMinimum": 1}), "schema/exclusiveMinimum"),
        (json!({"enum": ["a", "b"]}), json!({"enum": ["a"]}), "schema"),
        (json!({"type": "string"}), json!({"enum": ["a"]}), "schema/enum"),
        (json!({"required": ["a"]}), json!({"required": ["a", "b"]}), "schema/required"),
        (
            json!({"properties": {"a": {}}}),
            json!({"properties": {"a": {"type": "string"}}}),
            "schema/properties/a/type",
        ),
        // An open schema took any `b` before.
        (
            json!({"type": "object"}),
            json!({"properties": {"b": {"type": "string"}}}),
            "schema/properties/b/type",
        ),
        (
            json!({"type": "object"}),
            json!({"additionalProperties": false}),
            "schema/additionalProperties",
        ),
        (
            json!({"properties": {"a": {}}, "additionalProperties": false}),
            json!({"properties": {}, "additionalProperties": false}),
            "schema/additionalProperties",
        ),
        (
            json!({"items": {"type": "integer"}}),
            json!({"items": {"type": "string"}}),
            "schema/items/type",
        ),
        (json!({"type": "string"}), json!({"not": {"const": "a"}}), "schema/not"),
        (
            json!({"type": "object"}),
            json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}}),
            "schema/if",
        ),
        (
            json!({"type": "object"}),
            json!({"unevaluatedProperties": false}),
            "schema/unevaluatedProperties",
        ),
        (json!({"type": "string"}), json!(false), "schema"),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema"}),
            "schema/$schema",
        ),
    ];
    for (old, new, place) in cases {
        let refusal = json_follows(&old, &new).expect_err(&format!("{old} -> {new}"));
        assert_eq!(refusal.code(), Code::SchemaIncompatible);
        assert_eq!(refusal.field_name(), Some(place), "{old} -> {new}: {refusal}");
    }
}

#[test]
fn each_promise_looks_its_own_way() {
    let (narrow, wide) = (json!({"type": "integer"}), json!({"type": "number"}));
    let allowed = |old: &Value, new: &Value| {
        use Compatibility::{Backward, Forward, Full, None};
        [None, Backward, Forward, Full]
            .map(|promise| follows(SchemaKind::JsonSchema, old, new, promise).is_ok())
    };
    assert_eq!(allowed(&narrow, &wide), [true, true, false, false]);
    assert_eq!(allowed(&wide, &narrow), [true, false, true, false]);
    assert_eq!(allowed(&wide, &wide), [true; 4]);
}

#[test]
fn a_schema_of_another_kind_does_not_follow() {
    let json = compiled(SchemaKind::JsonSchema, &json!({"type": "string"}));
    let avro = compiled(SchemaKind::Avro, &json!("string"));
    assert!(avro.may_follow(&json, Compatibility::Backward).is_err());
    assert!(avro.may_follow(&json, Compatibility::None).is_ok());
}

fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "Order", "fields": fields})
}

#[test]
fn avro_schemas_follow_by_the_rules_of_resolution() {
    let id = json!({"name": "id", "type": "long"});
    let note = json!({"name": "note", "type": ["null", "string"], "default": null});
    let bare = json!({"name": "note", "type": "string"});
    let list = json!({"type": "record", "name": "List", "fields": [
        {"name": "head", "type": "int"}, {"name": "tail", "type": ["null", "List"]}]});
    let long_list = json!({"type": "record", "name": "List", "fields": [
        {"name": "head", "type": "long"}, {"name": "tail", "type": ["null", "List"]}]});
    let letters = |symbols: Value| json!({"type": "enum", "name": "Letter", "symbols": symbols});
    let cases = [
        (record(&json!([id])), record(&json!([id, note])), true),
        (record(&json!([id])), record(&json!([id, bare])), false),
        (record(&json!([id, bare])), record(&json!([id])), true),
        (record(&json!([{"name": "id", "type": "int"}])), record(&json!([id])), true),
        (record(&json!([id])), record(&json!([{"name": "id", "type": "int"}])), false),
        (
            record(&json!([id])),
            record(&json!([{"name": "number", "aliases": ["id"], "type": "long"}])),
            true,
        ),
        (list.clone(), long_list.clone(), true),
        (long_list, list, false),
        (letters(json!(["A"])), letters(json!(["A", "B"])), true),
        (letters(json!(["A", "B"])), letters(json!(["A"])), false),
        (json!("string"), json!(["null", "string"]), true),
        (json!(["null", "string"]), json!("string"), false),
        (json!("string"), json!("bytes"), true),
        (
            json!({"type": "fixed", "name": "F", "size": 4}),
            json!({"type": "fixed", "name": "F", "size": 8}),
            false,
        ),
        (
            json!({"type": "record", "name": "A", "fields": []}),
            json!({"type": "record", "name": "B", "fields": []}),
            false,
        ),
        (json!({"type": "int", "logicalType": "date"}), json!("long"), true),
    ];
    for (old, new, fits) in cases {
        let verdict = follows(SchemaKind::Avro, &old, &new, Compatibility::Backward);
        assert_eq!(verdict.is_ok(), fits, "{old} -> {new}: {verdict:?}");
    }
}

#[test]
fn avro_values_are_judged_byte_by_byte() {
    let schema = compiled(
        SchemaKind::Avro,
        &record(&json!([
            {"name": "id", "type": "int"},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "note", "type": ["null", "string"]}
        ])),
    );
    let whole: &[u8] = &[0x54, 0x02, 0x02, b'x', 0x00, 0x02, 0x02, 0x02, b'y'];
    schema.check_bytes(whole).expect("every part is there");
    let by_size: &[u8] = &[0x54, 0x01, 0x04, 0x02, b'x', 0x00, 0x00, 0x00];
    schema.check_bytes(by_size).expect("a block may tell its size");
    for cut in 0..whole.len() {
        let refusal = schema.check_bytes(&whole[..cut]).expect_err("cut short");
        assert_eq!(refusal.code(), Code::InvalidEventPayload);
    }
    let wrong: [(&[u8], &str); 5] = [
        (&[0x54, 0x00, 0x04, 0x00], "/kind"),
        (&[0x54, 0x00, 0x02, 0x04], "/note"),
        (&[0x54, 0x00, 0x02, 0x00, 0x00], ""),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "/id"),
        (&[0x54, 0x02, 0x02, 0xff, 0x00, 0x00, 0x00], "/tags"),
    ];
    for (bytes, place) in wrong {
        let refusal = schema.check_bytes(bytes).expect_err("not of the schema");
        assert_eq!(refusal.field_name(), Some(place), "{bytes:?}: {refusal}");
    }
}

/// Four bytes that promise 2^60 nulls, and a list nested a million deep: neither takes memory,
/// time or stack beyond the bounds.
#[test]
fn hostile_avro_values_end_early() {
    let nulls = compiled(SchemaKind::Avro, &json!({"type": "array", "items": "null"}));
    let mut bytes = vec![0xfe; 9];
    bytes.push(0x01);
    nulls.check_bytes(&bytes).expect_err("too many parts");
    let list = json!({"type": "record", "name": "List", "fields": [
        {"name": "tail", "type": ["null", "List"]}]});
    let list = compiled(SchemaKind::Avro, &list);
    let deep = vec![0x02; 1 << 20];
    list.check_bytes(&deep).expect_err("nested too deeply");
    let mut fine = vec![0x02; 100];
    fine.push(0x00);
    list.check_bytes(&fine).expect("a list of a hundred");
}

#[test]
fn the_head_of_a_registry_is_looked_behind() {
    let head = [0, 0, 0, 1, 44];
    let json = json!({"type": "object", "required": ["id"]});
    let json = Schema::compile(SchemaKind::JsonSchema, &json).expect("a schema");
    json.check_bytes(&[&head[..], br#"{"id":1}"#].concat()).expect("with a head");
    json.check_bytes(br#"{"id":1}"#).expect("without");
    json.check_bytes(&[&head[..], b"{}"].concat()).expect_err("of another shape");
    json.check_bytes(&head).expect_err("only a head");
    json.check_bytes(&head[..4]).expect_err("not even that");
    let number = Schema::compile(SchemaKind::Avro, &json!("long")).expect("a schema");
    number.check_bytes(&[&head[..], &[2]].concat()).expect("with a head");
    number.check_bytes(&[0]).expect("a zero by itself");
    number.check_bytes(&head).expect_err("more than one");
}

#[test]
fn avro_schemas_that_are_none_are_refused() {
    let cases = [
        json!({"type": "record", "name": "A"}),
        json!("unknown"),
        json!({"type": "record", "name": "A", "fields": [{"name": "a", "type": "A"}]}),
        json!({"type": "enum", "name": "E", "symbols": ["A", "A"]}),
        json!(7),
        json!({"type": "string", "doc": "x".repeat(70_000)}),
    ];
    for schema in cases {
        let refusal = Schema::compile(SchemaKind::Avro, &schema).expect_err("not a schema");
        assert_eq!(refusal.code(), Code::InvalidRequest);
        assert_eq!(refusal.field_name(), Some("schema"));
    }
}

fn a_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..8).prop_map(Value::from),
        (-3_i64..8).prop_map(|n| json!(n as f64 + 0.5)),
        "[ab]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}

fn a_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        Just(json!(true)),
        Just(json!(false)),
        prop::sample::select(vec!["null", "integer", "number", "string", "array", "object"])
            .prop_map(|kind| json!({"type": kind})),
        (0_i64..5).prop_map(|n| json!({"type": "integer", "minimum": n})),
        (0_i64..5).prop_map(|n| json!({"exclusiveMaximum": n})),
        (1_i64..5).prop_map(|n| json!({"multipleOf": n})),
        (0_u8..4).prop_map(|n| json!({"maxLength": n, "minItems": n})),
        prop::collection::vec(a_value(), 1..3).prop_map(|values| json!({"enum": values})),
        a_value().prop_map(|value| json!({"const": value})),
        Just(json!({"required": ["a"]})),
        Just(json!({"pattern": "^a"})),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(a, b)| json!({"anyOf": [a, b]})),
            two.clone().prop_map(|(a, b)| json!({"oneOf": [a, b]})),
            two.clone().prop_map(|(a, b)| json!({"allOf": [a, b]})),
            two.clone().prop_map(|(a, b)| json!({"properties": {"a": a, "b": b}})),
            two.clone()
                .prop_map(|(a, b)| json!({"properties": {"a": a}, "additionalProperties": b})),
            two.clone().prop_map(|(a, b)| json!({"prefixItems": [a], "items": b})),
            two.prop_map(|(a, b)| json!({"$defs": {"d": a}, "$ref": "#/$defs/d", "anyOf": [b]})),
            inner.clone().prop_map(|a| json!({"not": a})),
            inner.prop_map(|a| json!({"items": a, "patternProperties": {"^b": a}})),
        ]
    })
}

/// Two schemas that are often related, or nothing could be shown of them.
fn a_change() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        (a_schema(), a_schema()),
        (a_schema(), a_schema()).prop_map(|(a, b)| (a.clone(), json!({"anyOf": [a, b]}))),
        (a_schema(), a_schema()).prop_map(|(a, b)| (json!({"allOf": [a, b]}), a)),
        (a_schema(), a_schema()).prop_map(|(a, b)| {
            let old = json!({"properties": {"a": a, "b": b}, "additionalProperties": false});
            (old, json!({"properties": {"a": a}}))
        }),
        (a_schema(), a_schema(), a_schema()).prop_map(|(a, b, c)| {
            let old = json!({"oneOf": [a, b], "type": "object"});
            (old, json!({"anyOf": [b, a, c]}))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_may_follow_accepts_all_that_was_accepted(
        (old, new) in a_change(),
        values in prop::collection::vec(a_value(), 30),
    ) {
        let (old, new) = (
            Schema::compile(SchemaKind::JsonSchema, &old),
            Schema::compile(SchemaKind::JsonSchema, &new),
        );
        // An inner `$defs` is not at the root, so some of these have a reference to nothing.
        let (Ok(old), Ok(new)) = (old, new) else { return Ok(()) };
        if new.may_follow(&old, Compatibility::Backward).is_err() {
            return Ok(());
        }
        for value in values {
            let bytes = value.to_string();
            if old.check_bytes(bytes.as_bytes()).is_ok() {
                prop_assert!(new.check_bytes(bytes.as_bytes()).is_ok(), "{}", value);
            }
        }
    }

    #[test]
    fn no_bytes_break_the_walk_of_an_avro_value(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let schema = json!({"type": "record", "name": "Node", "fields": [
            {"name": "value", "type": ["null", "long", "double", "string", "bytes"]},
            {"name": "children", "type": {"type": "array", "items": "Node"}},
            {"name": "named", "type": {"type": "map", "values": "Node"}}]});
        let _ = compiled(SchemaKind::Avro, &schema).check_bytes(&bytes);
    }
}
