//! Which act belongs to which section, what is counted, and what is said of a section that was cut.

use super::rig::{OCTOBER, facts, person, record, refused, report};
use crate::{Collector, DETAILS_BYTES_MAX, ENTRIES_MAX, ElevatedKind, LINES_MAX, Section};
use serde_json::json;
use tenancy::{AuditOutcome, AuditRecord};

#[test]
fn every_act_is_in_the_section_that_it_belongs_to() {
    let cases = [
        ("role.grant", "access"),
        ("role.condition", "access"),
        ("key.create", "access"),
        ("key.revoke", "access"),
        ("acl.update", "access"),
        ("user.invite", "access"),
        ("second_factor.remove", "access"),
        ("token_settings.set", "access"),
        ("provider.create", "access"),
        ("approval.ask", "approvals"),
        ("approval.approve", "approvals"),
        ("approval_rule.put", "approvals"),
        ("config.change", "configuration"),
        ("topic.put", "configuration"),
        ("alert_rule.update", "configuration"),
        ("finding.accept", "configuration"),
        ("key_ring.export", "configuration"),
        ("session.open", "other"),
        ("audit.export", "other"),
        ("of_tomorrow.do", "other"),
    ];
    for (action, expected) in cases {
        let made = report(&[record(1, "ann", action)]);
        let sections = [
            ("access", made.access_changes.total),
            ("approvals", made.approvals.total),
            ("configuration", made.configuration_changes.total),
            ("other", made.other_acts.iter().map(|it| it.count).sum()),
        ];
        for (name, total) in sections {
            assert_eq!(total, u64::from(name == expected), "{action} in {name}");
        }
        assert_eq!((made.refused.list.total, made.records), (0, 1), "{action}");
    }
}

#[test]
fn what_was_refused_is_counted_by_whom_and_from_where() {
    let of_person = "usr_00000000000000000000000000000001";
    let sign_in = |sequence| AuditRecord {
        target: of_person.to_owned(),
        details: json!({"address": "192.0.2.1"}),
        count: 2,
        ..refused(sequence, "system", "session.refuse")
    };
    let credential = AuditRecord {
        address: Some("192.0.2.2".to_owned()),
        count: 50,
        ..refused(3, "unknown", "credential.check")
    };
    let failed =
        AuditRecord { outcome: AuditOutcome::Failed, ..record(5, "operator", "admin.request") };
    let records = [
        sign_in(1),
        sign_in(2),
        credential,
        refused(4, "usr_2:bob@example.org", "admin.request"),
        failed,
        refused(6, "usr_2:bob@example.org", "session.throttle"),
        // Refusing what somebody asked for is no refused act.
        refused(7, "usr_2:bob@example.org", "approval.refuse"),
    ];
    let made = report(&records);
    let totals = made.refused.totals;
    let found = (totals.sign_ins, totals.throttled, totals.credentials, totals.acts, totals.failed);
    assert_eq!(found, (4, 1, 50, 1, 1));
    let lines = |section: &Section<crate::Line>| -> Vec<(String, u64)> {
        section.items.iter().map(|line| (line.name.clone(), line.count)).collect()
    };
    let by_address = lines(&made.refused.by_address);
    assert_eq!(by_address[0], ("192.0.2.2".to_owned(), 50));
    assert_eq!(by_address[1], ("192.0.2.1".to_owned(), 4));
    assert_eq!(by_address[2], ("unknown".to_owned(), 3));
    let by_account = lines(&made.refused.by_account);
    assert_eq!(by_account[0], ("unknown".to_owned(), 50));
    assert_eq!(by_account[1], (of_person.to_owned(), 4));
    assert_eq!(made.refused.by_account.items[1].email.as_deref(), Some("ann@example.org"));
    assert_eq!(made.refused.list.total, 6);
    assert_eq!(made.refused.list.items[0].address.as_deref(), Some("192.0.2.1"));
    assert_eq!(made.approvals.total, 1);
}

#[test]
fn elevated_is_what_follows_a_proof_and_what_operators_do() {
    let at = |ms: i64, record: AuditRecord| AuditRecord { at: OCTOBER + ms, ..record };
    let records = [
        at(0, record(1, "ann", "role.grant")),
        at(1_000, record(2, "ann", "session.elevate")),
        at(2_000, record(3, "ann", "role.take")),
        at(2_500, record(4, "bob", "key.create")),
        at(3_000, record(5, "ann", "session.end")),
        at(61_000, record(6, "ann", "key.revoke")),
        at(61_001, record(7, "ann", "key.revoke")),
        at(70_000, record(8, "operator", "tenant.create")),
        at(80_000, record(9, "operator", "approval.bypass")),
        at(90_000, refused(10, "operator", "admin.request")),
    ];
    let made = report(&records);
    let found: Vec<(u64, ElevatedKind)> =
        made.elevated.items.iter().map(|it| (it.act.sequence, it.kind)).collect();
    let expected = [
        (2, ElevatedKind::Proof),
        (3, ElevatedKind::AfterProof),
        (6, ElevatedKind::AfterProof),
        (8, ElevatedKind::Operator),
        (9, ElevatedKind::Bypass),
    ];
    assert_eq!(found, expected);
    let operators = made.access.operator_tokens.expect("the installation's");
    assert_eq!((operators.tokens, operators.acts), (2, 2));
    assert_eq!(operators.last_act_at.expect("one").0, OCTOBER + 80_000);
}

#[test]
fn a_full_section_keeps_the_oldest_and_says_where_the_rest_is() {
    let count = ENTRIES_MAX as u64 + 5;
    // Refused ones come after what was done, whatever their numbers.
    let mut records: Vec<_> = (1..=count).map(|it| record(2 * it, "ann", "key.create")).collect();
    records.push(refused(1, "ann", "approval.refuse"));
    let made = report(&records);
    let section = &made.access_changes;
    assert_eq!((section.items.len(), section.total, section.is_cut), (ENTRIES_MAX, count, true));
    assert_eq!(section.items[0].sequence, 2);
    let last = section.items.last().expect("entries").at;
    assert_eq!(section.rest.as_deref(), Some(format!("a report from {last} on").as_str()));
    assert!(!made.approvals.is_cut && made.approvals.rest.is_none());
}

#[test]
fn a_trail_that_was_not_read_to_its_end_cuts_the_sections_made_of_it() {
    let records = |outcome: AuditOutcome| {
        let mut collector = Collector::new(0);
        collector.push(&record(1, "ann", "key.create"));
        collector.cut(outcome, OCTOBER + 9_000);
        collector.cut(outcome, OCTOBER + 12_000);
        crate::assemble(facts(Vec::new()), collector)
    };
    let made = records(AuditOutcome::Done);
    let cut = |made: &crate::Report| {
        [
            made.access_changes.is_cut,
            made.approvals.is_cut,
            made.elevated.is_cut,
            made.configuration_changes.is_cut,
            made.refused.list.is_cut,
        ]
    };
    assert_eq!(cut(&made), [true, true, true, true, false]);
    let rest = "a report from 2026-10-01T00:00:09.000Z on";
    assert_eq!(made.access_changes.rest.as_deref(), Some(rest));
    assert!(made.notes.iter().any(|note| note.contains("00:00:09")), "{:?}", made.notes);
    assert_eq!(cut(&records(AuditOutcome::Failed)), [false, true, false, false, true]);
}

#[test]
fn counts_and_details_have_bounds() {
    let mut records: Vec<_> = (1..=LINES_MAX as u64 + 3)
        .map(|it| refused(it, &format!("key:{it}"), "record.publish"))
        .collect();
    let large = json!({"text": "x".repeat(DETAILS_BYTES_MAX)});
    records.push(AuditRecord { details: large.clone(), ..record(999, "ann", "role.grant") });
    let made = report(&records);
    let section = &made.refused.by_account;
    assert_eq!((section.items.len(), section.total), (LINES_MAX, LINES_MAX as u64 + 3));
    assert!(section.is_cut && section.rest.is_some());
    let details = &made.access_changes.items[0].details;
    assert_eq!(*details, json!({"omitted_bytes": large.to_string().len()}));
}

#[test]
fn access_names_roles_and_says_what_was_left_out() {
    let conditions = json!({"strong_sign_in": true});
    let mut facts = facts(vec![person(1, "ann@example.org", Some(conditions.clone()))]);
    facts.people.has_more = true;
    let made = crate::assemble(facts, Collector::new(0));
    let people = &made.access.people;
    assert!(people.is_cut && people.rest.as_deref().is_some_and(|it| it.contains("/v1/users")));
    let role = &people.items[0].roles[0];
    assert_eq!((role.role.as_str(), role.conditions.clone()), ("auditor", Some(conditions)));
    assert_eq!(people.items[0].signed_in_at, None);
    assert!(!made.access.keys.is_cut);
    let value = serde_json::to_value(&made).expect("a value");
    assert_eq!(value["period"]["from"], "2026-10-01T00:00:00.000Z");
    assert_eq!(value["made"]["at"], "2026-11-01T00:00:00.000Z");
    assert_eq!(value["chain"]["head"]["sequence"], 9);
}
