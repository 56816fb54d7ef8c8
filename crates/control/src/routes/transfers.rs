//! A topic's records as they are stored, for export and import: pieces of record batches, past the
//! checks that publishers go through. Operators only; the first piece of each is in the trail.

use crate::Routes;
use crate::admin::Admin;
use crate::path::ProjectPath;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{IntoResponse, Response};
use backup::transfer::{Offsets, PIECE_BYTES_MAX, Transfers};
use port::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use types::batch::BATCH_BYTES_MAX;
use types::{Offset, Partition, TopicId, TopicName};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::schema::ErrorSchema;

/// One batch may be larger than a piece.
const BODY_BYTES_MAX: usize = PIECE_BYTES_MAX + BATCH_BYTES_MAX;

pub(crate) fn routes() -> Routes {
    let limit = DefaultBodyLimit::max(BODY_BYTES_MAX);
    Routes::new().routes(routes!(export_batches, import_batches)).layer(limit)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportQuery {
    partition: Partition,
    from: Option<Offset>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportQuery {
    partition: Partition,
    offsets: Option<OffsetsQuery>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum OffsetsQuery {
    Keep,
    New,
}

#[derive(Serialize, ToSchema)]
struct Imported {
    /// The offset after the partition's newest record.
    end: Offset,
}

/// The topic that the path names, and what works on its records.
async fn find(
    admin: &Admin,
    at: ProjectPath,
    path: &HashMap<String, String>,
    partition: Partition,
) -> Result<(Transfers, TopicId), Refusal> {
    let transfers = admin.transfers.clone().ok_or_else(|| {
        Refusal::new(Code::Unsupported, "this node's log is not its own to export")
    })?;
    let name = path.get("topic").map(String::as_str).unwrap_or_default();
    let unknown = || Refusal::new(Code::TopicNotFound, "there is no such topic").field("topic");
    let name = TopicName::parse(name).map_err(|_| unknown())?;
    let topic = admin.tenancy.topic(at.tenant, at.project, &name).await?;
    if partition >= topic.config.partitions {
        let message = format!("the topic has {} partitions", topic.config.partitions);
        return Err(Refusal::new(Code::InvalidRequest, message).field("partition"));
    }
    Ok((transfers, topic.id))
}

/// Read a piece of a partition as record batches
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}/batches", tag = "topics",
    extensions(("x-permission" = json!("records:export")), ("x-approval" = json!("pass"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic's name"),
        ("partition" = u32, Query, description = "Which partition"),
        ("from" = Option<u64>, Query, description = "`mainstem-next-offset` of the piece before"),
    ),
    responses(
        (status = 200, description = "Record batches (format 2), one behind the other; none at the \
            end. The headers `mainstem-next-offset`, `mainstem-start-offset` and \
            `mainstem-end-offset` say where it stands", content_type = "application/octet-stream"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn export_batches(
    admin: Admin,
    at: ProjectPath,
    Path(path): Path<HashMap<String, String>>,
    StrictQuery(query): StrictQuery<ExportQuery>,
) -> Response {
    let outcome = async {
        let (transfers, topic) = find(&admin, at, &path, query.partition).await?;
        if query.from.is_none() {
            note(&admin, "topic.export", at, &path, query.partition).await?;
        }
        let piece = transfers.export(topic, query.partition, query.from).await?;
        let headers = [
            ("content-type", "application/octet-stream".to_owned()),
            ("mainstem-next-offset", piece.next.to_string()),
            ("mainstem-start-offset", piece.start.to_string()),
            ("mainstem-end-offset", piece.end.to_string()),
        ];
        Ok((headers, piece.batches).into_response())
    };
    admin.answer(outcome.await)
}

/// Append record batches to a partition
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/projects/{project}/topics/{topic}/batches", tag = "topics",
    extensions(("x-permission" = json!("records:import")), ("x-approval" = json!("pass"))),
    params(
        ("tenant" = String, Path, description = "The tenant's id"),
        ("project" = String, Path, description = "The project's id"),
        ("topic" = String, Path, description = "The topic's name"),
        ("partition" = u32, Query, description = "Which partition"),
        ("offsets" = Option<String>, Query, description = "`new` when absent; `keep` gives every \
            record the offset it had, in a partition that holds nothing from there on"),
    ),
    request_body(content_type = "application/octet-stream",
        description = "Record batches (format 2), one behind the other"),
    responses(
        (status = 200, description = "Appended, with the times they had", body = Imported),
        (status = "default", description = "Refused; of several batches earlier ones may be in",
            body = ErrorSchema),
    ),
)]
async fn import_batches(
    admin: Admin,
    at: ProjectPath,
    Path(path): Path<HashMap<String, String>>,
    StrictQuery(query): StrictQuery<ImportQuery>,
    body: Bytes,
) -> Response {
    let outcome = async {
        let (transfers, topic) = find(&admin, at, &path, query.partition).await?;
        note(&admin, "topic.import", at, &path, query.partition).await?;
        let offsets = match query.offsets {
            Some(OffsetsQuery::Keep) => Offsets::Keep,
            Some(OffsetsQuery::New) | None => Offsets::New,
        };
        let end = transfers.import(topic, query.partition, body, offsets).await?;
        Ok(Json(Imported { end }))
    };
    admin.answer(outcome.await)
}

async fn note(
    admin: &Admin,
    action: &'static str,
    at: ProjectPath,
    path: &HashMap<String, String>,
    partition: Partition,
) -> Result<(), Refusal> {
    let name = path.get("topic").map(String::as_str).unwrap_or_default();
    let details = serde_json::json!({
        "tenant": at.tenant.to_string(),
        "project": at.project.to_string(),
        "partition": partition,
    });
    Ok(admin.tenancy.note(action, name, details, &admin.actor()).await?)
}
