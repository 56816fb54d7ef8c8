//! Counts of a window, and each rule of what is odd at its bounds.

use crate::activity::*;
use std::collections::HashMap;

const NOW: i64 = 1_795_219_200_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const ANN: &str = "usr_1:ann@example.org";

fn event(at: i64, actor: &str, action: &str, target: &str) -> Event {
    Event {
        at: NOW + at,
        tenant: None,
        actor: actor.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: Outcome::Done,
        address: None,
        reason: String::new(),
        count: 1,
    }
}

/// A sign-in to an account, refused.
fn refused(at: i64, address: &str, account: &str) -> Event {
    let outcome = Outcome::Refused;
    let address = Some(address.to_owned());
    Event { outcome, address, ..event(at, "system", "session.refuse", account) }
}

fn told(events: &[Event], past: &HashMap<String, Past>) -> Vec<(&'static str, String)> {
    anomalies(events, past).into_iter().map(|it| (it.rule.id, it.subject)).collect()
}

fn check(events: &[Event], expected: &[(&str, &str)]) {
    let expected: Vec<(&str, String)> =
        expected.iter().map(|(rule, subject)| (*rule, (*subject).to_owned())).collect();
    assert_eq!(told(events, &HashMap::new()), expected);
}

#[test]
fn a_window_is_counted() {
    let credential = Event {
        outcome: Outcome::Refused,
        address: Some("9.9.9.9".to_owned()),
        reason: "EXPIRED_API_KEY".to_owned(),
        count: 7,
        ..event(2, "unknown", "credential.check", "credential")
    };
    let elevation = Event {
        outcome: Outcome::Refused,
        ..event(3, ANN, "admin.request", "POST /v1/auth/elevate")
    };
    let events = [
        event(0, ANN, "session.open", "usr_1"),
        refused(1, "1.1.1.1", "usr_1"),
        Event { count: 3, ..refused(2, "1.1.1.1", "unknown") },
        event(2, "system", "session.throttle", "usr_1"),
        event(2, "system", "session.suspect", "usr_2"),
        credential,
        elevation,
        event(4, ANN, "key.revoke", "key_1"),
        event(5, ANN, "tenant.delete", "ten_1"),
    ];
    let found = activity(&events);
    let expected = Totals {
        records: 17,
        sign_ins: 1,
        sign_ins_refused: 4,
        throttled: 1,
        suspicious: 1,
        credentials_refused: 7,
        ended_credentials_tried: 7,
        calls_refused: 1,
        elevations_refused: 1,
        deletions: 2,
    };
    assert_eq!(found.totals, expected);
    let line =
        |name: &str, count, at: i64| Line { name: name.to_owned(), count, last_at: NOW + at };
    assert_eq!(found.sign_ins_refused_by_address, [line("1.1.1.1", 4, 2)]);
    assert_eq!(found.sign_ins_refused_by_account, [line("unknown", 3, 2), line("usr_1", 1, 1)]);
    assert_eq!(found.throttled_accounts, [line("usr_1", 1, 2)]);
    assert_eq!(found.new_devices, [line("usr_2", 1, 2)]);
    assert_eq!(found.credentials_refused_by_address, [line("9.9.9.9", 7, 2)]);
    assert_eq!(found.ended_credentials_by_actor, [line("unknown", 7, 2)]);
    assert_eq!(found.calls_refused_by_actor, [line(ANN, 1, 3)]);
    assert_eq!(found.elevations_refused_by_actor, [line(ANN, 1, 3)]);
    assert_eq!(found.deletions_by_actor, [line(ANN, 2, 5)]);
    let many: Vec<Event> =
        (0..50).map(|number| refused(number, &format!("10.0.0.{number}"), "usr_1")).collect();
    assert_eq!(activity(&many).sign_ins_refused_by_address.len(), LIST_MAX);
}

#[test]
fn many_failures_from_one_address_within_a_quarter_of_an_hour() {
    let rule = |gap: i64, number: i64| -> Vec<Event> {
        (0..number).map(|it| refused(it * gap, "1.1.1.1", "usr_1")).collect()
    };
    check(&rule(1_000, 19), &[]);
    check(&rule(1_000, 20), &[("failures_from_address", "1.1.1.1")]);
    // Twenty, but never within fifteen minutes.
    check(&rule(MINUTE, 20), &[]);
    // Told together they count as often as they happened.
    let gathered = [Event { count: 20, ..refused(0, "1.1.1.1", "usr_1") }];
    check(&gathered, &[("failures_from_address", "1.1.1.1")]);
    let spread: Vec<Event> =
        (0..20).map(|it| refused(it, &format!("1.1.1.{it}"), "usr_1")).collect();
    check(&spread, &[]);
    let found = anomalies(&rule(1_000, 30), &HashMap::new());
    assert_eq!((found[0].at, found[0].count), (NOW + 19_000, 30));
}

#[test]
fn many_accounts_from_one_address_within_an_hour() {
    let rule = |gap: i64, number: i64| -> Vec<Event> {
        (0..number).map(|it| refused(it * gap, "1.1.1.1", &format!("usr_{it}"))).collect()
    };
    check(&rule(MINUTE, 4), &[]);
    check(&rule(MINUTE, 5), &[("accounts_from_address", "1.1.1.1")]);
    check(&rule(15 * MINUTE, 5), &[]);
    // One account again and again is another rule's.
    let same: Vec<Event> = (0..10).map(|it| refused(it, "1.1.1.1", "usr_1")).collect();
    check(&same, &[]);
    // Accounts that do not exist have no names to tell them apart.
    let unknown = [Event { count: 5, ..refused(0, "1.1.1.1", "unknown") }];
    check(&unknown, &[("accounts_from_address", "1.1.1.1")]);
}

#[test]
fn much_is_deleted_at_once() {
    let rule = |actor: &str, action: &str, number: i64| -> Vec<Event> {
        (0..number).map(|it| event(it * 1_000, actor, action, &format!("t{it}"))).collect()
    };
    check(&rule(ANN, "key.revoke", 9), &[]);
    check(&rule(ANN, "key.revoke", 10), &[("deletion_burst", ANN)]);
    check(&rule(ANN, "key.create", 10), &[]);
    check(&rule("system", "key.delete", 10), &[]);
    let refused: Vec<Event> = rule(ANN, "key.revoke", 10)
        .into_iter()
        .map(|it| Event { outcome: Outcome::Refused, ..it })
        .collect();
    check(&refused, &[]);
}

fn known(acts: &[(&str, u64)], hours: &[(usize, u64)]) -> HashMap<String, Past> {
    let acts = acts.iter().map(|(action, count)| ((*action).to_owned(), *count)).collect();
    let mut past = Past { acts, ..Past::default() };
    for (hour, count) in hours {
        past.hours[*hour] = *count;
    }
    HashMap::from([(ANN.to_owned(), past)])
}

#[test]
fn somebody_known_does_something_new() {
    let past = known(&[("key.create", 20)], &[]);
    let of = |events: &[Event]| told(events, &past);
    let first = ("first_use", format!("{ANN} role.grant"));
    let grant = || event(0, ANN, "role.grant", "usr_2");
    assert_eq!(of(&[grant(), grant()]), [first]);
    assert_eq!(of(&[event(0, ANN, "key.create", "k")]), []);
    // His own account, what was refused, who is too new, and whom nobody knows.
    assert_eq!(of(&[event(0, ANN, "passkey.register", "usr_1")]), []);
    assert_eq!(of(&[Event { outcome: Outcome::Refused, ..grant() }]), []);
    assert_eq!(told(&[grant()], &known(&[("key.create", 19)], &[])), []);
    assert_eq!(of(&[event(0, "usr_9:eve@example.org", "role.grant", "x")]), []);
}

#[test]
fn somebody_known_acts_when_he_never_does() {
    // The window begins at midnight UTC.
    let past = known(&[], &[(9, 20), (16, 20)]);
    let of = |at: i64| told(&[event(at, ANN, "session.open", "usr_1")], &past);
    assert_eq!(of(9 * HOUR), []);
    assert_eq!(of(10 * HOUR), []);
    assert_eq!(of(8 * HOUR), []);
    assert_eq!(of(3 * HOUR), [("unusual_hour", format!("{ANN} 03"))]);
    assert_eq!(of(-HOUR), [("unusual_hour", format!("{ANN} 23"))]);
    let few = known(&[], &[(9, 39)]);
    assert_eq!(told(&[event(3 * HOUR, ANN, "session.open", "usr_1")], &few), []);
    // Midnight lies between eleven and one.
    let late = known(&[], &[(23, 40)]);
    assert_eq!(told(&[event(0, ANN, "session.open", "usr_1")], &late), []);
}

#[test]
fn rules_have_names_of_their_own() {
    for it in RULES {
        assert_eq!(rule(it.id), Some(*it));
        assert_eq!(it.action, format!("anomaly.{}", it.id));
        assert!(!it.rule.contains("  ") && !it.advice.contains("  "), "{}", it.id);
    }
    assert_eq!(rule("x"), None);
}
