//! What a report adds up.

use crate::compile;
use tenancy::{AuditCount, AuditOutcome};

fn count(actor: &str, action: &str, outcome: AuditOutcome, count: u64) -> AuditCount {
    AuditCount { actor: actor.to_owned(), action: action.to_owned(), outcome, count }
}

#[test]
fn sums_are_by_what_people_ask_for() {
    use AuditOutcome::{Done, Refused};
    let report = compile(&[
        count("usr_1:ann@example.org", "session.open", Done, 3),
        count("system", "session.refuse", Refused, 2),
        count("unknown", "session.refuse", Refused, 5),
        count("system", "session.suspect", Done, 1),
        count("unknown", "credential.check", Refused, 40),
        count("operator", "key.create", Done, 2),
        count("usr_1:ann@example.org", "key.revoke", Done, 1),
        count("operator", "role.create", Done, 1),
        count("usr_2:bob@example.org", "admin.request", Refused, 4),
    ]);
    assert_eq!((report.sign_ins.done, report.sign_ins.refused), (3, 7));
    assert_eq!((report.suspicious_sign_ins, report.refused_credentials), (1, 40));
    assert_eq!(report.key_changes.values().sum::<u64>(), 3);
    assert_eq!(report.role_changes["role.create"], 1);
    assert_eq!(report.acts["usr_1:ann@example.org"].len(), 2);
    assert!(!report.acts.contains_key("system"));
    assert_eq!(report.refused["usr_2:bob@example.org"]["admin.request"], 4);
    assert_eq!((report.total.done, report.total.refused), (8, 51));
}
