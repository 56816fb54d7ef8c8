//! Metered usage against the log: every range of offsets that a window was made of is counted
//! again. What retention or compaction took of cannot be told any more and is said to be so.

use crate::Routes;
use crate::admin::Admin;
use crate::path::TenantPath;
use axum::Json;
use axum::response::Response;
use port::{Change, Code, Recount, Refusal};
use serde::{Deserialize, Serialize};
use tenancy::{Correction, PAGE_ITEMS_MAX, UsageFilter, UsageRange};
use types::{ProjectId, TenantId, TimestampMs};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;
use wire_http::{StrictJson, StrictQuery};

/// Ranges of one request: one for each partition and hour.
const RANGES_MAX: usize = 200_000;
/// Differences that an answer lists; all are counted.
const LISTED_MAX: usize = 100;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(recompute_usage))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Verify,
    Repair,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Recompute {
    /// `verify` when absent: nothing is changed. `repair` sets windows to what the log says.
    #[schema(value_type = Option<String>)]
    mode: Mode,
    /// Only this project's.
    #[schema(value_type = Option<String>)]
    project: Option<ProjectId>,
    /// Windows that begin then or later (ms).
    from: Option<TimestampMs>,
    /// Windows that begin before then (ms).
    to: Option<TimestampMs>,
}

#[derive(Serialize, ToSchema, Default)]
struct Recomputed {
    /// Ranges looked at: one for each partition and hour in which something was published.
    ranges: u64,
    /// Metered records of ranges that the log still has whole, and what the log says of them.
    metered_records: u64,
    log_records: u64,
    metered_bytes: u64,
    log_bytes: u64,
    /// Records of ranges that retention, compaction or deletion took of: they were metered, and
    /// the log cannot tell them again.
    unverifiable_records: u64,
    /// Ranges that differ.
    differing: u64,
    /// The first hundred of them.
    differences: Vec<Difference>,
    /// Ranges that were set to what the log says.
    repaired: u64,
}

#[derive(Serialize, ToSchema)]
struct Difference {
    project: String,
    window_start: TimestampMs,
    topic_id: u64,
    partition: u32,
    from_offset: u64,
    to_offset: u64,
    metered_records: u64,
    log_records: u64,
    metered_bytes: u64,
    log_bytes: u64,
}

impl Recomputed {
    fn take(&mut self, counted: &UsageRange, again: Recount) -> Option<Correction> {
        self.ranges += 1;
        let Recount::Whole { records, bytes } = again else {
            self.unverifiable_records += counted.records;
            return None;
        };
        self.metered_records += counted.records;
        self.metered_bytes += counted.bytes;
        self.log_records += records;
        self.log_bytes += bytes;
        if (records, bytes) == (counted.records, counted.bytes) {
            return None;
        }
        self.differing += 1;
        if self.differences.len() < LISTED_MAX {
            self.differences.push(Difference {
                project: counted.project.to_string(),
                window_start: counted.window_start,
                topic_id: counted.range.topic.0,
                partition: counted.range.partition,
                from_offset: counted.range.from,
                to_offset: counted.range.to,
                metered_records: counted.records,
                log_records: records,
                metered_bytes: counted.bytes,
                log_bytes: bytes,
            });
        }
        Some(Correction { counted: *counted, records, bytes })
    }
}

/// Count the log again and compare with what was metered
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/usage/recompute", tag = "usage",
    extensions(
        ("x-permission" = json!("billing:write")),
        ("x-checked" = json!("installation"))
    ),
    params(("tenant" = String, Path, description = "The tenant's id")),
    request_body = Recompute,
    responses(
        (status = 200, description = "What was found", body = Recomputed),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn recompute_usage(
    admin: Admin,
    TenantPath(tenant): TenantPath,
    _: StrictQuery<NoQuery>,
    StrictJson(body): StrictJson<Recompute>,
) -> Response {
    admin.answer(recompute(&admin, tenant, &body).await.map(Json))
}

async fn recompute(
    admin: &Admin,
    tenant: TenantId,
    body: &Recompute,
) -> Result<Recomputed, Refusal> {
    admin.tenancy.tenant(tenant).await?;
    let filter = UsageFilter {
        project: body.project,
        from: body.from,
        to: body.to,
        ..UsageFilter::default()
    };
    let mut found = Recomputed::default();
    let mut after = None;
    while (found.ranges as usize) < RANGES_MAX {
        let page = admin.tenancy.usage_ranges(tenant, &filter, after, PAGE_ITEMS_MAX).await?;
        let ranges = page.items.iter().map(|counted| counted.range).collect();
        let again = admin.live.recount(ranges).await?;
        let all = page.items.iter().zip(again);
        let wrong: Vec<Correction> =
            all.filter_map(|(counted, again)| found.take(counted, again)).collect();
        if body.mode == Mode::Repair && !wrong.is_empty() {
            let by = admin.actor();
            found.repaired += admin.tenancy.correct_usage(tenant, &wrong, &by).await? as u64;
            admin.changed(Change::Tenant(tenant));
        }
        after = page.items.last().map(UsageRange::key);
        if !page.has_more {
            return Ok(found);
        }
    }
    Err(Refusal::new(Code::PayloadTooLarge, "there is too much to count in one request")
        .field("from")
        .hint("ask for fewer hours with `from` and `to`"))
}
