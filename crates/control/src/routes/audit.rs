//! The audit trail, newest first: of one tenant, or of the whole installation; and what it says of
//! a time, added up.

use crate::Routes;
use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::view::AuditView;
use axum::Json;
use axum::response::Response;
use port::{Code, Refusal};
use rules::Permission;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenancy::{AuditFilter, AuditOutcome};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::schema::ErrorSchema;

/// Bytes of a word that is searched for.
const WORD_BYTES_MAX: usize = 512;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list_audit)).routes(routes!(report_audit))
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditQuery {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) outcome: Option<AuditOutcome>,
    pub(crate) address: Option<String>,
    pub(crate) from: Option<TimestampMs>,
    pub(crate) to: Option<TimestampMs>,
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    pub(crate) records: Vec<AuditView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

impl AuditQuery {
    /// Refuses words that are too long.
    pub(crate) fn filter(&self) -> Result<AuditFilter, Refusal> {
        let words = [
            ("action", &self.action),
            ("actor", &self.actor),
            ("target", &self.target),
            ("address", &self.address),
        ];
        for (field, word) in words {
            if word.as_ref().is_some_and(|word| word.len() > WORD_BYTES_MAX) {
                let message = format!("at most {WORD_BYTES_MAX} bytes");
                return Err(Refusal::new(Code::InvalidRequest, message).field(field));
            }
        }
        Ok(AuditFilter {
            project: self.project,
            action: self.action.clone(),
            actor: self.actor.clone(),
            target: self.target.clone(),
            outcome: self.outcome,
            address: self.address.clone(),
            from: self.from,
            to: self.to,
            before: place(self.cursor.as_deref())?,
        })
    }
}

/// List and search the audit trail
///
/// `action`, `actor` and `target` may end in `*`: then all that begin so are meant.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("action" = Option<String>, Query,
            description = "Only this action, such as `key.revoke` or `key.*`"),
        ("actor" = Option<String>, Query, description = "Only what he did, such as `usr_...*`"),
        ("target" = Option<String>, Query, description = "Only what was done to it"),
        ("outcome" = Option<String>, Query, description = "`done`, `refused` or `failed`"),
        ("address" = Option<String>, Query, description = "Only what was asked for from there"),
        ("from" = Option<i64>, Query, description = "Written then or later (ms since 1970)"),
        ("to" = Option<i64>, Query, description = "Written before then (ms since 1970)"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Records, newest first", body = AuditList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_audit(admin: Admin, StrictQuery(query): StrictQuery<AuditQuery>) -> Response {
    let outcome = async {
        let limit = limit(query.limit)?;
        let (tenant, project) =
            admin.narrowed(Permission::AuditRead, (query.tenant, query.project))?;
        let filter = AuditFilter { project, ..query.filter()? };
        let page = match tenant {
            Some(tenant) => admin.tenancy.audit(tenant, &filter, limit).await?,
            None => admin.tenancy.audit_of_all_tenants(&filter, limit).await?,
        };
        let next_cursor = next_cursor(page.items.last().map(|last| last.id), page.has_more);
        let records = page.items.into_iter().map(AuditView::from).collect();
        Ok(Json(AuditList { records, next_cursor }))
    };
    admin.answer(outcome.await)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReportQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
}

/// How often, by what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditOutcomes)]
#[allow(dead_code, reason = "describes; the value itself is `audit::Outcomes`")]
struct OutcomesSchema {
    done: u64,
    refused: u64,
    failed: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AuditReport)]
struct ReportView {
    from: Option<TimestampMs>,
    to: Option<TimestampMs>,
    /// Some groups were left out: narrow the time.
    is_partial: bool,
    #[serde(flatten)]
    #[schema(inline)]
    sums: SumsSchema,
}

/// What the trail of a time says.
#[derive(Serialize, ToSchema)]
struct SumsSchema {
    #[schema(value_type = OutcomesSchema)]
    total: serde_json::Value,
    /// Sessions opened, and attempts that were refused.
    #[schema(value_type = OutcomesSchema)]
    sign_ins: serde_json::Value,
    suspicious_sign_ins: u64,
    refused_credentials: u64,
    /// By action.
    key_changes: BTreeMap<String, u64>,
    /// By action.
    role_changes: BTreeMap<String, u64>,
    /// By actor, then by action.
    acts: BTreeMap<String, BTreeMap<String, u64>>,
    /// By actor, then by action.
    refused: BTreeMap<String, BTreeMap<String, u64>>,
}

impl From<::audit::Report> for SumsSchema {
    fn from(report: ::audit::Report) -> SumsSchema {
        SumsSchema {
            total: serde_json::json!(report.total),
            sign_ins: serde_json::json!(report.sign_ins),
            suspicious_sign_ins: report.suspicious_sign_ins,
            refused_credentials: report.refused_credentials,
            key_changes: report.key_changes,
            role_changes: report.role_changes,
            acts: report.acts,
            refused: report.refused,
        }
    }
}

/// Add up the audit trail of a time: sign-ins, refusals, changes of keys and roles, who did what
#[utoipa::path(
    get, path = "/v1/audit/report", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("from" = Option<i64>, Query, description = "Written then or later (ms since 1970)"),
        ("to" = Option<i64>, Query, description = "Written before then (ms since 1970)"),
    ),
    responses(
        (status = 200, description = "The sums", body = ReportView),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn report_audit(admin: Admin, StrictQuery(query): StrictQuery<ReportQuery>) -> Response {
    let outcome = async {
        let ReportQuery { tenant, project, from, to } = query;
        let (tenant, project) = admin.narrowed(Permission::AuditRead, (tenant, project))?;
        let filter = AuditFilter { project, from, to, ..AuditFilter::default() };
        let counts = admin.tenancy.audit_counts(tenant, &filter).await?;
        let sums = ::audit::compile(&counts.items).into();
        Ok(Json(ReportView { from, to, is_partial: counts.has_more, sums }))
    };
    admin.answer(outcome.await)
}
