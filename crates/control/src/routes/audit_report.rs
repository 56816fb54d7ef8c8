//! The compliance report: who may do what now, what a period saw, and how far the trail that says
//! so was checked; as JSON, and as text made of the same value. Who asks must be allowed to see
//! each of its parts for himself. Making one is an act in the trail, with the report's digest.

use crate::Routes;
use crate::admin::Admin;
use crate::report::{Wanted, gather};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use compliance::{Collector, Facts, Period, Report};
use http::header;
use port::{Code, Refusal};
use rules::{Permission, Place};
use serde::Deserialize;
use std::fmt::Write;
use std::time::Duration;
use tokio::sync::Semaphore;
use types::TenantId;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::schema::ErrorSchema;

/// Reports that are made at the same time: each reads many records.
const REPORTS_MAX: usize = 2;
static MAKING: Semaphore = Semaphore::const_new(REPORTS_MAX);
/// What the parts of a report need besides `audit:read`, all in the place that it is of.
const PARTS: &[Permission] = &[
    Permission::UsersRead,
    Permission::KeysRead,
    Permission::TokensRead,
    Permission::ProvidersRead,
    Permission::ApprovalsRead,
    Permission::SecurityRead,
];

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(compliance_report))
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatWord {
    #[default]
    Json,
    Markdown,
}

impl FormatWord {
    fn name(self) -> &'static str {
        match self {
            FormatWord::Json => "json",
            FormatWord::Markdown => "markdown",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            FormatWord::Json => "json",
            FormatWord::Markdown => "md",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            FormatWord::Json => "application/json",
            FormatWord::Markdown => "text/markdown; charset=utf-8",
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReportQuery {
    tenant: Option<TenantId>,
    from: Option<String>,
    to: Option<String>,
    format: FormatWord,
}

/// The place that the report is of: a tenant, or the installation.
fn subject(admin: &Admin, wanted: Option<TenantId>) -> Result<Option<TenantId>, Refusal> {
    let (tenant, _) = admin.narrowed(Permission::AuditRead, (wanted, None))?;
    let there = tenant.map_or(Place::Installation, Place::Tenant);
    // Who may see one project only has no report of its tenant.
    admin.require(Permission::AuditRead, there)?;
    for part in PARTS {
        admin.require(*part, there)?;
    }
    Ok(tenant)
}

/// The bytes that are handed out, and their SHA-256 (FIPS 180-4) in hexadecimal digits.
fn written(
    facts: Facts,
    records: Collector,
    format: FormatWord,
) -> Result<(Vec<u8>, String), Refusal> {
    let report = compliance::assemble(facts, records);
    let bytes = match format {
        FormatWord::Json => {
            serde_json::to_vec_pretty(&report).map_err(|error| Refusal::internal(&error))?
        }
        FormatWord::Markdown => compliance::markdown(&report).into_bytes(),
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    let mut text = String::new();
    for byte in digest.as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok((bytes, text))
}

/// Make a compliance report: access now, and what a period saw
///
/// Who has which access at this moment; changes of access, approvals, elevated acts, failed
/// sign-ins, refused acts and configuration changes of the period; what the security checks find;
/// and the check of the trail's chain over the period. Of a tenant, or of the whole installation.
/// Needs `users:read`, `keys:read`, `tokens:read`, `providers:read`, `approvals:read` and
/// `security:read` there as well. A section has 1000 entries at most and says where the rest is.
/// The report's SHA-256 is in the trail, as `audit.report`.
#[utoipa::path(
    get, path = "/v1/audit/compliance", tag = "audit",
    extensions(("x-permission" = json!("audit:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query,
            description = "Of this tenant; of the installation when absent"),
        ("from" = String, Query,
            description = "The period's begin: RFC 3339, or a day (its begin in UTC)"),
        ("to" = Option<String>, Query,
            description = "Its end, itself not in it; now when absent; 400 days behind `from` at \
                most"),
        ("format" = Option<String>, Query, description = "`json` when absent; `markdown`"),
    ),
    responses(
        (status = 200, description = "The report, as a file to be kept",
            content((Report = "application/json"), (String = "text/markdown"))),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn compliance_report(admin: Admin, StrictQuery(query): StrictQuery<ReportQuery>) -> Response {
    let outcome = async {
        let tenant = subject(&admin, query.tenant)?;
        let from = query.from.as_deref().ok_or_else(|| {
            let why = "name the begin of the period";
            Refusal::new(Code::InvalidRequest, why).field("from").hint("`2026-10-01`")
        })?;
        let period = Period::read(from, query.to.as_deref(), admin.clock.now_ms());
        let period = period.map_err(|bad| {
            Refusal::new(Code::InvalidRequest, bad.rule)
                .field(bad.field)
                .hint("`from` and `to` as RFC 3339 has times, `2026-10-01T00:00:00Z`, or as days")
        })?;
        let _place = MAKING.try_acquire().map_err(|_| {
            Refusal::new(Code::Overloaded, format!("{REPORTS_MAX} reports are being made already"))
                .retry_around(Duration::from_secs(5))
        })?;
        let wanted = Wanted { tenant, period, by: admin.actor().as_str().to_owned() };
        let (facts, records) = gather(&admin, wanted).await?;
        let format = query.format;
        let making = tokio::task::spawn_blocking(move || written(facts, records, format));
        let (bytes, digest) = making.await.map_err(|error| Refusal::internal(&error))??;
        let details = serde_json::json!({
            "from": period.from,
            "to": period.to,
            "format": format.name(),
            "bytes": bytes.len(),
            "sha256": digest,
        });
        admin.tenancy.note_report(tenant, details, &admin.actor()).await?;
        let subject = tenant.map_or_else(|| "installation".to_owned(), |id| id.to_string());
        let (from, to, ending) = (period.from.day(), period.to.day(), format.ending());
        let name = format!("mainstem-report-{subject}-{from}-{to}.{ending}");
        let headers = [
            (header::CONTENT_TYPE, format.content_type().to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        ];
        Ok((headers, Body::from(bytes)).into_response())
    };
    admin.answer(outcome.await)
}
