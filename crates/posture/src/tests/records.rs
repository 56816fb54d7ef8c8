//! Rows of people, records and processes: one change of what is good, and what is found.

use crate::people::{Person, Role, Standing, findings as of_people};
use crate::records::{Key, List, Records, SigningKey, Webhook, findings as of_records};
use crate::running::{Clocks, Running, findings as of_running};
use crate::{Finding, Severity};
use rules::{BuiltIn, PermissionSet, Place};
use std::collections::HashSet;
use types::{AccessEntry, AccessList, Effect, ProjectId, Scopes, TenantId};
use uuid::Uuid;

const NOW: i64 = 1_795_219_200_000;
const DAY: i64 = 24 * 3_600_000;

fn tenant() -> TenantId {
    TenantId(Uuid::from_u128(1))
}

fn project() -> Place {
    Place::Project(tenant(), ProjectId(Uuid::from_u128(2)))
}

fn role(place: Place, role: BuiltIn) -> Role {
    let permissions = role.permissions();
    Role { place, name: role.name().to_owned(), permissions, is_made: false }
}

fn person(name: &str, roles: Vec<Role>) -> Person {
    Person {
        id: format!("usr_{name}"),
        email: format!("{name}@example.org"),
        standing: Standing::Active,
        created_at: NOW - 400 * DAY,
        signed_in_at: Some(NOW - DAY),
        is_strong: true,
        roles,
    }
}

fn owner(name: &str) -> Person {
    person(name, vec![role(Place::Installation, BuiltIn::Owner)])
}

fn ids(found: &[Finding]) -> Vec<String> {
    found.iter().map(Finding::id).collect()
}

#[test]
fn owners_are_counted_where_all_is_looked_at() {
    let check = |people: &[Person], acts, expected: &[&str]| {
        assert_eq!(ids(&of_people(people, acts, NOW)), expected);
    };
    check(&[owner("a"), owner("b")], Some(10), &[]);
    check(&[owner("a"), owner("b")], Some(11), &["operator-token-used:operator"]);
    check(&[owner("a")], Some(0), &["owner-single:installation"]);
    check(&[owner("a")], None, &[]);
    // Nobody can be told to sign in as himself.
    check(&[], Some(1_000), &["owner-none:installation"]);
    let disabled = Person { standing: Standing::Disabled, ..owner("b") };
    check(
        &[owner("a"), disabled],
        Some(0),
        &["owner-single:installation", "disabled-with-roles:usr_b"],
    );
    let many: Vec<Person> = ["a", "b", "c", "d", "e", "f"].map(owner).into();
    check(&many, Some(0), &["owners-many:installation"]);
    check(&many[1..], Some(0), &[]);
}

#[test]
fn people_are_found_where_they_may_change_something() {
    let check = |person: Person, expected: &[(&str, Severity)]| {
        let found = of_people(&[person], None, NOW);
        let told: Vec<(String, Severity)> = found.iter().map(|it| (it.id(), it.severity)).collect();
        let expected: Vec<(String, Severity)> =
            expected.iter().map(|(id, severity)| ((*id).to_owned(), *severity)).collect();
        assert_eq!(told, expected);
    };
    use Severity::{Critical, Info, Warning};
    let weak = |person: Person| Person { is_strong: false, ..person };
    let here = Place::Tenant(tenant());
    let at = |id: &str| format!("{id}@{}", tenant());
    check(weak(owner("a")), &[("owner-one-factor:usr_a", Critical)]);
    // An owner of a tenant is no owner of all.
    let boss = || person("b", vec![role(here, BuiltIn::Owner)]);
    check(weak(boss()), &[(&at("person-one-factor:usr_b"), Warning)]);
    // Who only looks is not asked for more.
    check(weak(person("c", vec![role(here, BuiltIn::Support)])), &[]);
    check(weak(person("d", Vec::new())), &[]);
    // One finding for each place, whatever number of roles makes it.
    let two = vec![role(here, BuiltIn::Admin), role(here, BuiltIn::Billing)];
    check(weak(person("e", two)), &[(&at("person-one-factor:usr_e"), Warning)]);
    let gone = Person { signed_in_at: Some(NOW - 90 * DAY), ..boss() };
    check(gone, &[(&at("person-absent:usr_b"), Warning)]);
    let never = Person { signed_in_at: None, ..boss() };
    check(never, &[(&at("person-absent:usr_b"), Warning)]);
    let fresh = Person { signed_in_at: None, created_at: NOW, ..boss() };
    check(fresh, &[]);
    let invited =
        Person { standing: Standing::Invited, created_at: NOW - 15 * DAY, ..weak(boss()) };
    check(invited.clone(), &[(&at("invitation-old:usr_b"), Info)]);
    check(Person { created_at: NOW - 14 * DAY, ..invited }, &[]);
    let all = Role {
        place: here,
        name: "king".to_owned(),
        permissions: PermissionSet::all(),
        is_made: true,
    };
    check(person("f", vec![all]), &[(&at("role-everything:king"), Warning)]);
}

fn key() -> Key {
    Key {
        place: project(),
        id: "key_1".to_owned(),
        name: "app".to_owned(),
        scopes: Scopes::default(),
        has_grants: false,
        created_at: NOW - DAY,
        expires_at: Some(NOW + DAY),
    }
}

fn of_key(key: Key) -> Vec<&'static str> {
    let records = Records { now: NOW, keys: vec![key], ..Records::default() };
    of_records(&records).into_iter().map(|it| it.check.id).collect()
}

#[test]
fn keys_are_narrow_young_and_end() {
    assert_eq!(of_key(key()), [""; 0]);
    assert_eq!(of_key(Key { scopes: Scopes::all(), ..key() }), ["key-everything"]);
    assert_eq!(of_key(Key { scopes: Scopes::all(), has_grants: true, ..key() }), [""; 0]);
    assert_eq!(of_key(Key { expires_at: None, ..key() }), ["key-endless"]);
    let old = Key { created_at: NOW - 366 * DAY, ..key() };
    assert_eq!(of_key(old.clone()), ["key-old"]);
    // One finding is enough: who replaces the key gives the next one an end.
    assert_eq!(of_key(Key { expires_at: None, ..old.clone() }), ["key-old"]);
    assert_eq!(of_key(Key { created_at: NOW - 365 * DAY, ..old }), [""; 0]);
    let signing = |days| SigningKey {
        place: project(),
        id: "sgk_1".to_owned(),
        kid: "k".to_owned(),
        created_at: NOW - days * DAY,
    };
    let signing_keys = vec![signing(365), signing(366)];
    let found = of_records(&Records { now: NOW, signing_keys, ..Records::default() });
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].check.id, found[0].place), ("signing-key-old", project()));
}

fn list(text: &str) -> AccessList {
    let entries: Vec<AccessEntry> = match text {
        "" => Vec::new(),
        text => vec![serde_json::from_str(text).expect("an entry")],
    };
    AccessList { entries, ..AccessList::default() }
}

#[test]
fn lists_that_say_nothing_are_found() {
    let check = |list: AccessList, expected: &[&str]| {
        let lists = vec![List { place: project(), list }];
        let found = of_records(&Records { now: NOW, lists, ..Records::default() });
        let told: Vec<&str> = found.iter().map(|it| it.check.id).collect();
        assert_eq!(told, expected);
    };
    let open = r##"{"id":"e","effect":"allow","principals":["*"],"operations":["all"],
        "topic":{"filter":"#"}}"##;
    check(list(""), &[]);
    check(list(open), &["list-open"]);
    check(list(&open.replace("allow", "deny")), &[]);
    check(list(&open.replace("\"*\"", "\"key:k\"")), &[]);
    check(list(&open.replace("all\"]", "read\"]")), &[]);
    check(list(&open.replace("\"#\"", "\"orders/#\"")), &[]);
    let when = r#","when":{"tls":true}}"#;
    check(list(&open.replace("}}", &format!("}}{when}"))), &[]);
    check(AccessList { default: Some(Effect::Allow), ..list("") }, &["list-default-allow"]);
    check(AccessList { default: Some(Effect::Deny), ..list("") }, &[]);
}

#[test]
fn webhooks_and_approvals() {
    let webhook = |url: &str, is_enabled| Webhook {
        place: project(),
        id: "whk_1".to_owned(),
        url: url.to_owned(),
        is_enabled,
    };
    let webhooks = vec![
        webhook("https://a.example", true),
        webhook("http://b.example", false),
        webhook("http://c.example/in?token=hush", true),
    ];
    let without_approvals = vec![Place::Tenant(tenant())];
    let records = Records { now: NOW, webhooks, without_approvals, ..Records::default() };
    let found = of_records(&records);
    let told: Vec<&str> = found.iter().map(|it| it.check.id).collect();
    assert_eq!(told, ["webhook-plain", "approvals-none"]);
    assert!(found[0].found.contains("c.example") && !found[0].found.contains("hush"));
}

#[test]
fn a_process_and_its_machine() {
    let good = || Running {
        now: NOW,
        disk_free: Some(0.5),
        backup_at: Some(NOW - 3_600_000),
        backup_every_minutes: Some(60),
        started_at: NOW - 30 * DAY,
        ..Running::default()
    };
    let check = |running: Running, expected: &[(&str, Severity)]| {
        let found = of_running(&running);
        let told: Vec<_> = found.iter().map(|it| (it.check.id, it.severity)).collect();
        assert_eq!(told, expected);
    };
    use Severity::{Critical, Info, Warning};
    check(good(), &[]);
    check(Running { is_root: true, ..good() }, &[("runs-as-root", Warning)]);
    check(Running { disk_free: Some(0.14), ..good() }, &[("disk-low", Warning)]);
    check(Running { disk_free: Some(0.04), ..good() }, &[("disk-low", Critical)]);
    check(Running { disk_free: None, ..good() }, &[]);
    check(Running { clock_jump_ms: 2_000, ..good() }, &[]);
    check(Running { clock_jump_ms: -2_001, ..good() }, &[("clock-jumped", Warning)]);
    let failed = Some("read-only".to_owned());
    check(Running { key_ring_failure: failed, ..good() }, &[("key-ring-failed", Critical)]);
    let waiting = vec!["edge.listen".to_owned()];
    check(Running { waiting, ..good() }, &[("changes-wait", Info)]);
    let late = NOW - 3 * 3_600_000 - 1;
    check(Running { backup_at: Some(late), ..good() }, &[("backup-old", Warning)]);
    // Made by hand, once a week is enough; and a fresh process is given the time.
    check(Running { backup_at: Some(late), backup_every_minutes: None, ..good() }, &[]);
    check(Running { backup_at: None, ..good() }, &[("backup-none", Warning)]);
    check(Running { backup_at: None, started_at: NOW, ..good() }, &[]);
    let clocks = Clocks { wall_ms: [1_000, 7_000], passed_ms: [50, 1_050] };
    assert_eq!(clocks.jump_ms(), 5_000);
}

#[test]
fn every_check_of_records_and_processes_is_tried_here() {
    let text = include_str!("records.rs");
    let mut seen = HashSet::new();
    let parts = [crate::people::ALL, crate::records::ALL, crate::running::ALL];
    for check in parts.into_iter().flatten() {
        assert!(text.contains(&format!("\"{}", check.id)), "{} is not tried", check.id);
        seen.insert(check.id);
    }
    assert!(seen.len() >= 20);
}
