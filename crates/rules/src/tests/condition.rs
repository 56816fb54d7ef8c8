//! Conditions against a plain model that reads the value whole, and what is refused as one.

use crate::Condition;
use crate::condition::{DEPTH_MAX, LITERALS_MAX, TESTS_MAX};
use port::Code;
use proptest::prelude::*;
use serde_json::{Value, json};
use types::{Header, Key, Record};

fn record(value: &Value) -> Record {
    let header = |name: &str, value: &str| Header {
        name: name.to_owned().into(),
        value: value.to_owned().into(),
    };
    Record {
        key: Some(Key::new("eu/7".to_owned()).unwrap()),
        value: Some(value.to_string().into()),
        headers: [header("region", "us"), header("region", "eu"), header("n", "10")]
            .into_iter()
            .collect(),
        timestamp: None,
    }
}

fn order() -> Record {
    record(&json!({
        "price": 12.5, "count": 9_007_199_254_740_993u64, "state": "open", "odd name": null,
        "user": {"name": "ann", "tags": ["a", {"b": true}]}, "is_new": false
    }))
}

#[test]
fn what_holds_of_an_order() {
    let cases = [
        ("header.region = 'eu'", true),
        ("header.region = \"us\"", false),
        ("header.missing = 'eu'", false),
        ("header.missing != 'eu'", false),
        ("not header.missing = 'eu'", true),
        ("header.n > 9.5 and header.n <= 10", true),
        ("header.n = 10", true),
        ("header.n in (1, 10)", true),
        ("header.region < 3", false),
        ("key ^= 'eu/'", true),
        ("key = 'eu/7' AND NOT key = 'x'", true),
        ("data.price > 12", true),
        ("data.price = 12.50", true),
        ("data.price < 12.5", false),
        ("data.price >= 12.5", true),
        ("data.count = 9007199254740993", true),
        ("data.count = 9007199254740992", false),
        ("data.state in ('held', 'open')", true),
        ("data.state ^= 'op'", true),
        ("data.state ^= 'pen'", false),
        ("data.state = 1", false),
        ("data.state != 1", true),
        ("data.is_new = false", true),
        ("exists data.user.tags", true),
        ("exists data.user.tags.1.b", true),
        ("data.user.tags.1.b = true", true),
        ("data.user.tags.0 = 'a'", true),
        ("exists data.user.tags.2", false),
        ("data.'odd name' = null", true),
        ("exists data.nothing", false),
        ("exists data", true),
        ("data.user = 'ann'", false),
        ("data.nothing = 1 or data.user.name = 'ann' and data.price > 100", false),
        ("(data.nothing = 1 or data.user.name = 'ann') and data.price < 100", true),
        ("not (data.price > 1 and data.price < 100)", false),
    ];
    for (text, expected) in cases {
        let condition = Condition::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(condition.holds(&order()), expected, "{text}");
        // Its canonical text means the same, and is its own.
        let again = Condition::parse(&condition.to_string()).unwrap();
        assert_eq!(again.to_string(), condition.to_string());
        assert_eq!(again.holds(&order()), expected, "{condition}");
    }
}

#[test]
fn a_value_that_is_no_json_has_no_fields() {
    let mut plain = order();
    for value in ["", "{\"price\":12.5", "{\"price\":12.5} x", "\u{1}"] {
        plain.value = Some(value.to_owned().into());
        assert!(!Condition::parse("exists data.price").unwrap().holds(&plain), "{value}");
        assert!(Condition::parse("header.region = 'eu'").unwrap().holds(&plain));
    }
    plain.value = None;
    assert!(!Condition::parse("exists data").unwrap().holds(&plain));
    plain.value = Some("7".into());
    assert!(Condition::parse("data = 7").unwrap().holds(&plain));
}

#[test]
fn the_last_of_two_members_counts() {
    let mut twice = order();
    twice.value = Some(r#"{"a":{"b":1},"a":{"c":2}}"#.into());
    assert!(!Condition::parse("exists data.a.b").unwrap().holds(&twice));
    assert!(Condition::parse("data.a.c = 2").unwrap().holds(&twice));
}

#[test]
fn what_is_refused() {
    let deep = format!("{}key = ''{}", "(".repeat(DEPTH_MAX), ")".repeat(DEPTH_MAX));
    let many = vec!["exists key"; TESTS_MAX + 1].join(" or ");
    let list = format!("key in ({})", vec!["1"; LITERALS_MAX + 1].join(","));
    let long = format!("key = '{}'", "x".repeat(2_048));
    let path = format!("exists data{}", ".a".repeat(17));
    let cases = [
        "",
        "key",
        "key =",
        "key = x",
        "key == 1",
        "= 1",
        "header = 1",
        "header. = 1",
        "data. = 1",
        "key = 'x",
        "key = 'x\\",
        "key = 1 and",
        "key = 1 key = 2",
        "key < 'x'",
        "key ^= 1",
        "key in ()",
        "key in (1",
        "key = +1",
        "key = 1e999",
        "not",
        "(key = 1",
        "key = 1)",
        "keyx = 1",
        "exists",
        "key = -",
        &deep,
        &many,
        &list,
        &long,
        &path,
    ];
    for text in cases {
        let refused = Condition::parse(text).expect_err(text);
        assert_eq!((refused.code(), refused.field_name()), (Code::InvalidFilter, Some("where")));
    }
}

/// A test of one field against a number, and how the model judges it.
fn tests() -> impl Strategy<Value = Model> {
    let leaf = ("[abc](\\.[abc01]){0,2}", 0usize..8, -3i64..4)
        .prop_map(|(path, sign, number)| Model::Test(path, SIGNS[sign], number));
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Model::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Model::Any),
            inner.prop_map(|model| Model::Not(Box::new(model))),
        ]
    })
}

const SIGNS: [&str; 8] = ["=", "!=", "<", "<=", ">", ">=", "in", "exists"];

#[derive(Debug, Clone)]
enum Model {
    All(Vec<Model>),
    Any(Vec<Model>),
    Not(Box<Model>),
    Test(String, &'static str, i64),
}

impl Model {
    fn text(&self) -> String {
        let joined = |models: &[Model], word: &str| {
            let parts: Vec<String> = models.iter().map(Model::text).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Model::All(models) => joined(models, " and "),
            Model::Any(models) => joined(models, " or "),
            Model::Not(model) => format!("not {}", model.text()),
            Model::Test(path, "exists", _) => format!("exists data.{path}"),
            Model::Test(path, "in", number) => format!("data.{path} in ({number}, 'x')"),
            Model::Test(path, sign, number) => format!("data.{path} {sign} {number}"),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Model::All(models) => models.iter().all(|model| model.holds(value)),
            Model::Any(models) => models.iter().any(|model| model.holds(value)),
            Model::Not(model) => !model.holds(value),
            Model::Test(path, sign, number) => {
                let found = path.split('.').try_fold(value, |value, step| match value {
                    Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                    value => value.get(step),
                });
                let Some(found) = found else { return false };
                let held = found.as_i64();
                match *sign {
                    "exists" => true,
                    "=" => held == Some(*number),
                    "!=" => held != Some(*number),
                    "<" => held.is_some_and(|held| held < *number),
                    "<=" => held.is_some_and(|held| held <= *number),
                    ">" => held.is_some_and(|held| held > *number),
                    ">=" => held.is_some_and(|held| held >= *number),
                    _ => held == Some(*number) || found.as_str() == Some("x"),
                }
            }
        }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-3i64..4).prop_map(Value::from),
        Just(Value::Null),
        Just(json!("x")),
        Just(json!(true)),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::btree_map("[abc01]", inner.clone(), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn a_condition_judges_as_its_model(model in tests(), value in values()) {
        let text = model.text();
        let Ok(condition) = Condition::parse(&text) else {
            // Only for its size.
            prop_assume!(false);
            return Ok(());
        };
        prop_assert_eq!(condition.holds(&record(&value)), model.holds(&value), "{}", text);
        let again = Condition::parse(&condition.to_string());
        if let Ok(again) = again {
            prop_assert_eq!(again.holds(&record(&value)), model.holds(&value), "{}", again);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z.= ()'\"^!<>0-9\\\\é]{0,80}", value in ".{0,40}") {
        if let Ok(condition) = Condition::parse(&text) {
            let mut record = order();
            record.value = Some(value.into());
            condition.holds(&record);
        }
    }
}
