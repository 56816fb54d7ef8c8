//! Records and facts by hand.

use crate::{ChainMark, ChainPart, Collector, Facts, Moment, Period};
use serde_json::{Value, json};
use std::collections::HashMap;
use tenancy::{
    AuditHash, AuditId, AuditLink, AuditOutcome, AuditRecord, Binding, BindingId, Page,
    SurveyedPerson, User, UserId, UserStatus,
};
use types::TenantId;
use uuid::Uuid;

/// 2026-10-01T00:00:00Z.
pub(super) const OCTOBER: i64 = 1_790_812_800_000;
/// 2026-11-01T00:00:00Z.
pub(super) const NOVEMBER: i64 = OCTOBER + 31 * 24 * 3_600_000;

pub(super) fn record(sequence: u64, actor: &str, action: &str) -> AuditRecord {
    AuditRecord {
        id: AuditId(Uuid::from_u128(u128::from(sequence))),
        tenant: None,
        project: None,
        actor: actor.to_owned(),
        action: action.to_owned(),
        target: "it".to_owned(),
        details: json!({}),
        at: OCTOBER + i64::try_from(sequence).expect("small") * 1_000,
        outcome: AuditOutcome::Done,
        address: None,
        request: None,
        count: 1,
        link: Some(AuditLink { sequence, previous: AuditHash::NONE, hash: AuditHash::NONE }),
    }
}

pub(super) fn refused(sequence: u64, actor: &str, action: &str) -> AuditRecord {
    AuditRecord { outcome: AuditOutcome::Refused, ..record(sequence, actor, action) }
}

pub(super) fn person(number: u128, email: &str, conditions: Option<Value>) -> SurveyedPerson {
    let id = UserId(Uuid::from_u128(number));
    SurveyedPerson {
        user: User {
            id,
            email: email.to_owned(),
            name: "Ann".to_owned(),
            status: UserStatus::Active,
            created_at: OCTOBER,
            password_changed_at: None,
            signed_in_at: None,
        },
        is_strong: false,
        bindings: vec![Binding {
            id: BindingId(Uuid::from_u128(number)),
            user: id,
            role: "rol_made".to_owned(),
            tenant: Some(TenantId(Uuid::from_u128(7))),
            project: None,
            created_at: OCTOBER,
            provider: None,
            conditions,
        }],
    }
}

fn none<T>() -> Page<T> {
    Page { items: Vec::new(), has_more: false }
}

pub(super) fn facts(people: Vec<SurveyedPerson>) -> Facts {
    Facts {
        made_by: "usr_1:eve@example.org".to_owned(),
        made_at: NOVEMBER,
        tenant: None,
        period: Period { from: Moment(OCTOBER), to: Moment(NOVEMBER) },
        people: Page { items: people, has_more: false },
        role_names: HashMap::from([("rol_made".to_owned(), "auditor".to_owned())]),
        keys: none(),
        signing_keys: none(),
        operator_tokens: Some(2),
        providers: none(),
        findings: Vec::new(),
        are_findings_cut: false,
        chain: ChainPart {
            holds: true,
            checked: 3,
            from: Some(ChainMark::new(0, &AuditHash::NONE)),
            to: Some(ChainMark::new(3, &AuditHash::NONE)),
            head: Some(ChainMark::new(9, &AuditHash::NONE)),
            ..ChainPart::default()
        },
    }
}

/// What these records come to.
pub(super) fn report(records: &[AuditRecord]) -> crate::Report {
    let mut collector = Collector::new(60_000);
    records.iter().for_each(|record| collector.push(record));
    crate::assemble(facts(vec![person(1, "ann@example.org", None)]), collector)
}
