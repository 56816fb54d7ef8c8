//! Grants against a plain model: what a filter may be followed for is checked address by address.

use crate::grants::{allows, allows_filter, check_address, check_filter, covers, overlaps};
use port::{Claims, Code};
use proptest::prelude::*;
use types::{
    Access, Effect, Filter, Grant, PrincipalId, ProjectId, Scope, Scopes, TenantId, TopicName,
};

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap()
}

fn grant(text: &str) -> Grant {
    let (effect, rest) = match text.strip_prefix('!') {
        Some(rest) => (Effect::Deny, rest),
        None => (Effect::Allow, text),
    };
    Grant { effect, access: None, filter: filter(rest) }
}

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

#[test]
fn one_address() {
    let check = |grants: &[&str], name: &str, key: Option<&str>, expected: bool| {
        let grants: Vec<Grant> = grants.iter().map(|text| grant(text)).collect();
        let found = allows(Some(&grants), Access::Publish, &topic(name), key.map(str::as_bytes));
        assert_eq!(found, expected, "{grants:?} on {name}/{key:?}");
    };
    check(&[], "orders", None, false);
    check(&["orders"], "orders", None, true);
    check(&["orders"], "orders", Some("a/b"), true);
    check(&["orders"], "others", None, false);
    check(&["orders/a/+"], "orders", Some("a/b"), true);
    check(&["orders/a/+"], "orders", Some("a/b/c"), false);
    check(&["orders/a/+"], "orders", None, false);
    check(&["orders", "!orders/secret/#"], "orders", Some("secret/x"), false);
    check(&["orders", "!orders/secret/#"], "orders", Some("public/x"), true);
    check(&["!orders/secret/#", "orders"], "orders", Some("secret/x"), false);
    check(&["#", "!#"], "orders", None, false);
    check(&["+/a"], "orders", Some("a"), true);
}

#[test]
fn a_whole_filter() {
    let check = |grants: &[&str], wanted: &str, expected: bool| {
        let grants: Vec<Grant> = grants.iter().map(|text| grant(text)).collect();
        let found = allows_filter(Some(&grants), Access::Subscribe, &filter(wanted));
        assert_eq!(found, expected, "{grants:?} on {wanted}");
    };
    check(&["orders"], "orders/a/+", true);
    check(&["orders/a/#"], "orders", false);
    check(&["orders/a/#"], "orders/a/b/#", true);
    check(&["orders/a/#"], "orders/a/+/c", true);
    check(&["orders/a/+"], "orders/a/#", false);
    check(&["orders/+/b"], "orders/a/+", false);
    check(&["#"], "+/a", true);
    check(&["orders", "!orders/secret/+"], "orders", false);
    check(&["orders", "!orders/secret/+"], "orders/+/x", false);
    check(&["orders", "!orders/secret/+"], "orders/public/+", true);
    check(&["orders", "!orders/secret/+"], "orders/+", true);
    check(&["orders/a", "orders/b"], "orders/+", false);
    check(&["orders/+/#"], "orders", false);
}

#[test]
fn access_and_scope_are_told_apart() {
    let claims = |scopes: Scopes, access| Claims {
        tenant: TenantId(Default::default()),
        project: ProjectId(Default::default()),
        principal: PrincipalId("key:x".into()),
        scopes,
        grants: Some(vec![Grant { access, ..grant("orders") }].into()),
        key: None,
        issued_at: None,
        expires_at: None,
        rate_per_second: None,
        origin: None,
        marks: None,
        attributes: None,
    };
    let both: Scopes = [Scope::EventsPublish, Scope::EventsSubscribe].into_iter().collect();
    let reader = claims(both, Some(Access::Subscribe));
    let orders = topic("orders");
    assert!(check_address(&reader, Access::Subscribe, &orders, None).is_ok());
    let refusal = check_address(&reader, Access::Publish, &orders, None).unwrap_err();
    assert_eq!(refusal.code(), Code::AddressForbidden);
    assert!(check_filter(&reader, Access::Subscribe, &filter("orders/+")).is_ok());
    let refusal = check_filter(&reader, Access::Publish, &filter("orders/+")).unwrap_err();
    assert_eq!(refusal.code(), Code::AddressForbidden);
    let nobody = claims(Scopes::NONE, None);
    let refusal = check_address(&nobody, Access::Publish, &orders, None).unwrap_err();
    assert_eq!(refusal.code(), Code::InsufficientScope);
    assert!(refusal.hint_text().unwrap().contains("events:publish"));
}

const LEVELS: [&str; 3] = ["a", "b", ""];

/// Every address over a small alphabet, keys of up to three levels, and two odd keys.
fn addresses() -> Vec<(TopicName, Option<Vec<u8>>)> {
    let mut keys: Vec<Option<Vec<u8>>> = vec![None, Some(vec![0xff]), Some(b"+".to_vec())];
    for one in LEVELS {
        keys.push(Some(one.into()));
        for two in LEVELS {
            keys.push(Some(format!("{one}/{two}").into()));
            for three in LEVELS {
                keys.push(Some(format!("{one}/{two}/{three}").into()));
            }
        }
    }
    let topics = [topic("t"), topic("u")];
    topics.iter().flat_map(|t| keys.iter().map(move |key| (t.clone(), key.clone()))).collect()
}

fn filters() -> impl Strategy<Value = Filter> {
    let topics = prop_oneof![Just("t"), Just("u"), Just("+")];
    let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("+")];
    let key = proptest::collection::vec(level, 0..4);
    (topics, key, any::<bool>()).prop_map(|(name, levels, rest)| {
        let mut text = name.to_owned();
        levels.iter().for_each(|level| {
            text.push('/');
            text.push_str(level);
        });
        if rest {
            text.push_str("/#");
        }
        Filter::parse(&text).unwrap()
    })
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let one = (filters(), any::<bool>(), 0..3u8).prop_map(|(filter, is_deny, access)| Grant {
        effect: if is_deny { Effect::Deny } else { Effect::Allow },
        access: [None, Some(Access::Publish), Some(Access::Subscribe)][usize::from(access)],
        filter,
    });
    proptest::collection::vec(one, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Following a filter is never allowed when one of its addresses is not.
    #[test]
    fn a_followed_filter_reaches_nothing_forbidden(grants in grants(), wanted in filters()) {
        for access in [Access::Publish, Access::Subscribe] {
            if !allows_filter(Some(&grants), access, &wanted) {
                continue;
            }
            for (topic, key) in addresses() {
                let key = key.as_deref();
                if wanted.matches(&topic, key) {
                    prop_assert!(allows(Some(&grants), access, &topic, key));
                }
            }
        }
    }

    /// A denying grant wins wherever it stands, and without an allowing one nothing is allowed.
    #[test]
    fn deny_wins(grants in grants()) {
        for (topic, key) in addresses() {
            let key = key.as_deref();
            let applies = |grant: &&Grant| {
                grant.access != Some(Access::Publish) && grant.filter.matches(&topic, key)
            };
            let has = |effect| grants.iter().filter(applies).any(|grant| grant.effect == effect);
            let expected = has(Effect::Allow) && !has(Effect::Deny);
            prop_assert_eq!(allows(Some(&grants), Access::Subscribe, &topic, key), expected);
            prop_assert!(allows(None, Access::Subscribe, &topic, key));
        }
    }

    /// Covering and overlapping are right about every address of the small world.
    #[test]
    fn covers_and_overlaps_are_safe(left in filters(), right in filters()) {
        let both = addresses().into_iter().any(|(topic, key)| {
            left.matches(&topic, key.as_deref()) && right.matches(&topic, key.as_deref())
        });
        prop_assert!(!both || overlaps(&left, &right));
        prop_assert_eq!(overlaps(&left, &right), overlaps(&right, &left));
        prop_assert!(covers(&left, &left));
        if covers(&left, &right) {
            for (topic, key) in addresses() {
                let inner = right.matches(&topic, key.as_deref());
                prop_assert!(!inner || left.matches(&topic, key.as_deref()));
            }
        }
    }
}
