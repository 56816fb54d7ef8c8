//! Conditions of roles: what each of them asks, that an unmet one gives nothing, that adding one
//! never gives more, and that nobody hands on under looser ones what he has under stricter ones.

use super::permissions::{places, sets, tenant};
use crate::role_conditions::{PROOF_MINUTES_MAX, PersonAttributes};
use crate::{Circumstances, Dormant, Held, Permission, Place, Rights, RoleConditions, Unmet};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// 2026-11-21T00:00:00Z, a Saturday.
const SATURDAY_MS: i64 = 1_795_219_200_000;
const HOUR_MS: i64 = 3_600_000;

fn read(text: Value) -> RoleConditions {
    serde_json::from_value(text).expect("conditions")
}

fn here() -> Circumstances {
    Circumstances {
        now: SATURDAY_MS,
        address: Some([10, 1, 2, 3].into()),
        is_tls: true,
        is_strong: true,
        proven_at: Some(SATURDAY_MS - 10 * 60_000),
    }
}

fn noted() -> PersonAttributes {
    [("department".to_owned(), "ops".to_owned())].into()
}

#[test]
fn each_condition_asks_what_its_name_says() {
    let no = |unmet: Unmet| vec![unmet];
    let table = [
        (json!({}), vec![]),
        (json!({"networks": ["10.0.0.0/8"]}), vec![]),
        (json!({"networks": ["192.168.0.0/16", "10.1.2.3"]}), vec![]),
        (json!({"networks": ["192.168.0.0/16", "2001:db8::/32"]}), no(Unmet::Networks)),
        (json!({"hours": {"windows": [{"from": "00:00", "to": "00:01"}]}}), vec![]),
        (json!({"hours": {"windows": [{"from": "23:00", "to": "24:00"}]}}), no(Unmet::Hours)),
        // In Berlin it is one in the morning, in New York seven in the evening of Friday.
        (hours("Europe/Berlin", "sat", "01:00", "01:01"), vec![]),
        (hours("America/New_York", "fri", "19:00", "19:01"), vec![]),
        (hours("America/New_York", "sat", "19:00", "19:01"), no(Unmet::Hours)),
        (hours("Nowhere/At_All", "sat", "00:00", "24:00"), no(Unmet::Hours)),
        (json!({"strong_sign_in": true}), vec![]),
        (json!({"signed_in_minutes_max": 10}), vec![]),
        (json!({"signed_in_minutes_max": 9}), no(Unmet::SignedIn)),
        (json!({"tls": true}), vec![]),
        (json!({"attributes": {"department": ["sales", "ops"]}}), vec![]),
        (json!({"attributes": {"department": ["sales"]}}), no(Unmet::Attributes)),
        (json!({"attributes": {"site": ["ops"]}}), no(Unmet::Attributes)),
    ];
    for (text, expected) in table {
        assert_eq!(read(text.clone()).unmet(&here(), &noted()), expected, "{text}");
    }
}

fn hours(zone: &str, day: &str, from: &str, to: &str) -> Value {
    json!({"hours": {"zone": zone, "windows": [{"days": [day], "from": from, "to": to}]}})
}

#[test]
fn what_is_not_known_is_not_fulfilled() {
    let all = read(json!({
        "networks": ["0.0.0.0/0", "::/0"], "strong_sign_in": true, "tls": true,
        "signed_in_minutes_max": PROOF_MINUTES_MAX, "attributes": {"department": ["ops"]},
        "hours": {"windows": [{"from": "00:00", "to": "24:00"}]},
    }));
    assert!(all.unmet(&here(), &noted()).is_empty());
    let unknown = all.unmet(&Circumstances::at(SATURDAY_MS), &PersonAttributes::new());
    let lacking =
        [Unmet::Networks, Unmet::StrongSignIn, Unmet::SignedIn, Unmet::Tls, Unmet::Attributes];
    assert_eq!(unknown, lacking);
    // Of somebody who is not asking, only what holds apart from a request can be told.
    assert_eq!(all.unmet_apart(SATURDAY_MS, &PersonAttributes::new()), [Unmet::Attributes]);
}

#[test]
fn hours_move_with_summer_time() {
    let eight = read(json!({"hours": {"zone": "Europe/Berlin",
        "windows": [{"from": "08:00", "to": "09:00"}]}}));
    let at = |now| eight.unmet(&Circumstances::at(now), &PersonAttributes::new()).is_empty();
    // Eight in Berlin is seven (UTC) in winter and six in July.
    let july = SATURDAY_MS - 128 * 24 * HOUR_MS;
    assert!(at(SATURDAY_MS + 7 * HOUR_MS) && !at(SATURDAY_MS + 6 * HOUR_MS));
    assert!(at(july + 6 * HOUR_MS) && !at(july + 7 * HOUR_MS));
}

#[test]
fn what_means_nothing_is_told_by_its_field() {
    let table = [
        (
            json!({"hours": {"zone": "Mars", "windows": [{"from": "08:00", "to": "09:00"}]}}),
            "hours.zone",
        ),
        (json!({"hours": {"windows": []}}), "hours.windows"),
        (json!({"hours": {"windows": [{"from": "08:00", "to": "08:00"}]}}), "hours.windows[0]"),
        (json!({"signed_in_minutes_max": 0}), "signed_in_minutes_max"),
        (json!({"signed_in_minutes_max": PROOF_MINUTES_MAX + 1}), "signed_in_minutes_max"),
        (json!({"attributes": {"Department": ["ops"]}}), "attributes"),
        (json!({"attributes": {"department": []}}), "attributes.department"),
        (json!({"attributes": {"department": ["a\nb"]}}), "attributes.department"),
    ];
    for (text, field) in table {
        let problems = read(text.clone()).problems();
        assert_eq!(problems.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), [field]);
    }
    for text in [json!({"networks": ["10.0.0.1/8"]}), json!({"network": []}), json!({"tls": 1})] {
        assert!(serde_json::from_value::<RoleConditions>(text.clone()).is_err(), "{text}");
    }
    for unmet in Unmet::ALL {
        assert!(!unmet.name().is_empty() && !unmet.meaning().is_empty());
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    of: &'static [T],
    most: usize,
) -> impl Strategy<Value = Vec<T>> {
    prop::sample::subsequence(of, 0..=most)
}

const NETWORKS: &[&str] =
    &["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.168.0.0/16", "::/0", "0.0.0.0/0"];
const WINDOWS: &[(&str, &str, &str)] = &[
    ("mon", "00:00", "24:00"),
    ("sat", "08:00", "18:00"),
    ("sat", "09:00", "12:00"),
    ("fri", "22:00", "06:00"),
    ("sun", "00:00", "03:00"),
];
const VALUES: &[&str] = &["ops", "sales", "legal"];

fn conditions() -> impl Strategy<Value = RoleConditions> {
    let hours = (prop::sample::select(&["UTC", "Europe/Berlin"][..]), some(WINDOWS, 3));
    let attribute = (prop::sample::select(&["department", "site"][..]), some(VALUES, 2));
    (
        some(NETWORKS, 2),
        prop::option::of(hours),
        any::<bool>(),
        prop::option::of(1u32..90),
        any::<bool>(),
        prop::option::of(attribute),
    )
        .prop_map(|(networks, hours, strong, minutes, tls, attribute)| {
            let window = |(day, from, to): &(&str, &str, &str)| {
                json!({"days": [day], "from": from, "to": to})
            };
            let mut made = json!({"networks": networks, "strong_sign_in": strong, "tls": tls});
            if let Some((zone, windows)) = hours.filter(|(_, windows)| !windows.is_empty()) {
                let windows: Vec<Value> = windows.iter().map(window).collect();
                made["hours"] = json!({"zone": zone, "windows": windows});
            }
            if let Some(minutes) = minutes {
                made["signed_in_minutes_max"] = json!(minutes);
            }
            if let Some((name, values)) = attribute.filter(|(_, values)| !values.is_empty()) {
                made["attributes"] = json!({name: values});
            }
            read(made)
        })
}

fn circumstances() -> impl Strategy<Value = (Circumstances, PersonAttributes)> {
    let addresses = &["10.1.2.3", "10.1.9.9", "10.200.0.1", "192.168.7.7", "2001:db8::1"][..];
    let address = prop::option::of(prop::sample::select(addresses));
    let noted = prop::collection::btree_map(
        prop::sample::select(&["department", "site"][..]).prop_map(str::to_owned),
        prop::sample::select(VALUES).prop_map(str::to_owned),
        0..3,
    );
    (0i64..10_080, address, any::<bool>(), any::<bool>(), prop::option::of(0i64..100), noted)
        .prop_map(|(minute, address, is_tls, is_strong, age, noted)| {
            let now = SATURDAY_MS + minute * 60_000;
            let address = address.map(|text| text.parse().expect("an address"));
            let proven_at = age.map(|age| now - age * 60_000);
            (Circumstances { now, address, is_tls, is_strong, proven_at }, noted)
        })
}

/// What somebody may do with such roles, in such circumstances.
fn rights(
    roles: &[(Place, crate::PermissionSet, RoleConditions)],
    (here, noted): &(Circumstances, PersonAttributes),
) -> Rights {
    let (mut held, mut dormant) = (Vec::new(), Vec::new());
    for (place, set, conditions) in roles {
        let unmet = conditions.unmet(here, noted);
        let under = (!conditions.is_always()).then(|| Arc::new(conditions.clone()));
        match unmet.is_empty() {
            true => held.push(Held { place: *place, set: *set, under }),
            false => dormant.push(Dormant { place: *place, set: *set, unmet }),
        }
    }
    Rights::in_force(held, dormant)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A role with an unmet condition gives nothing, and says what keeps it; one whose conditions
    /// hold gives what it gives without any.
    #[test]
    fn an_unmet_condition_gives_nothing(
        place in places(), set in sets(), conditions in conditions(), at in circumstances(),
        asked in places(),
    ) {
        let unmet = conditions.unmet(&at.0, &at.1);
        let rights = rights(&[(place, set, conditions)], &at);
        for permission in Permission::ALL {
            let would = Rights::new([(place, set)]).allow(*permission, asked);
            prop_assert_eq!(rights.allow(*permission, asked), would && unmet.is_empty());
            let kept = rights.kept_by(*permission, Some(asked));
            prop_assert_eq!(kept.is_some(), would && !unmet.is_empty());
        }
    }

    /// Adding a condition never gives more, to anybody, anywhere.
    #[test]
    fn adding_a_condition_never_gives_more(
        one in conditions(), other in conditions(), at in circumstances(),
    ) {
        let mut both = one.clone();
        if both.networks.is_empty() { both.networks.clone_from(&other.networks); }
        if both.hours.is_none() { both.hours.clone_from(&other.hours); }
        both.strong_sign_in |= other.strong_sign_in;
        both.tls |= other.tls;
        let minutes = [both.signed_in_minutes_max, other.signed_in_minutes_max];
        both.signed_in_minutes_max = minutes.into_iter().flatten().min();
        for (name, values) in &other.attributes {
            both.attributes.entry(name.clone()).or_insert_with(|| values.clone());
        }
        let lacking = both.unmet(&at.0, &at.1);
        for unmet in one.unmet(&at.0, &at.1) {
            prop_assert!(lacking.contains(&unmet));
        }
        prop_assert!(both.is_within(&one));
    }

    /// In which order roles were given, and conditions were written, makes no difference.
    #[test]
    fn order_makes_no_difference(
        roles in prop::collection::vec((places(), sets(), conditions()), 0..4),
        at in circumstances(), asked in places(),
    ) {
        let forwards = rights(&roles, &at);
        let reversed: Vec<_> = roles.into_iter().rev().map(|(place, set, mut conditions)| {
            conditions.networks.reverse();
            if let Some(hours) = &mut conditions.hours { hours.windows.reverse(); }
            conditions.attributes.values_mut().for_each(|values| values.reverse());
            (place, set, conditions)
        }).collect();
        prop_assert_eq!(forwards.at(asked), rights(&reversed, &at).at(asked));
    }

    /// Whatever is handed on allows nobody anything in circumstances in which the giver, noted for
    /// the same, could not have done it himself.
    #[test]
    fn nobody_gives_under_looser_conditions(
        roles in prop::collection::vec((places(), sets(), conditions()), 1..4),
        given in conditions(), there in places(), now in circumstances(),
        later in circumstances(), asked in places(),
    ) {
        let under = (!given.is_always()).then_some(&given);
        let set = rights(&roles, &now).givable(there, under);
        let taker = rights(&[(there, set, given.clone())], &later);
        let giver = rights(&roles, &later);
        for permission in Permission::ALL {
            prop_assert!(!taker.allow(*permission, asked) || giver.allow(*permission, asked));
        }
    }

    /// Narrower means narrower.
    #[test]
    fn what_is_within_holds_nowhere_else(
        one in conditions(), other in conditions(), at in circumstances(),
    ) {
        prop_assert!(one.is_within(&one) && one.is_within(&RoleConditions::default()));
        if one.is_within(&other) && one.unmet(&at.0, &at.1).is_empty() {
            prop_assert!(other.unmet(&at.0, &at.1).is_empty());
        }
    }
}

/// An attribute is noted of somebody in one tenant, and is another's word elsewhere.
#[test]
fn attributes_of_one_book_cover_none_of_another() {
    let ops = read(json!({"attributes": {"department": ["ops"]}}));
    let set: crate::PermissionSet = [Permission::KeysRead].into_iter().collect();
    let at = (here(), noted());
    let of_all = rights(&[(Place::Installation, set, ops.clone())], &at);
    assert!(of_all.may_give(set, Place::Installation, Some(&ops)));
    assert!(!of_all.may_give(set, Place::Tenant(tenant(1)), Some(&ops)));
    let of_one = rights(&[(Place::Tenant(tenant(1)), set, ops.clone())], &at);
    assert!(of_one.may_give(set, Place::Tenant(tenant(1)), Some(&ops)));
    assert!(!of_one.may_give(set, Place::Tenant(tenant(1)), None));
    assert!(of_one.may_take(set, Place::Tenant(tenant(1))));
    assert_eq!(of_one.lasting_at(Place::Tenant(tenant(1))), crate::PermissionSet::NONE);
}
