//! Connections open on this node at this moment: list, close.

use crate::admin::Admin;
use crate::page::{limit, next_cursor, place};
use crate::path::ConnectionPath;
use crate::view::ConnectionView;
use crate::{Control, Routes};
use axum::Json;
use axum::response::Response;
use http::StatusCode;
use port::{Code, ConnectionFilter, ConnectionId, ConnectionState, Live, Refusal};
use rules::{Permission, Place};
use serde::{Deserialize, Serialize};
use tenancy::Actor;
use types::{ProjectId, TenantId};
use utoipa::ToSchema;
use utoipa_axum::routes;
use wire_http::StrictQuery;
use wire_http::query::NoQuery;
use wire_http::schema::ErrorSchema;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(list_connections)).routes(routes!(close_connection))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConnectionQuery {
    tenant: Option<TenantId>,
    project: Option<ProjectId>,
    protocol: Option<String>,
    principal: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectionList {
    pub(crate) connections: Vec<ConnectionView>,
    /// For the next page; `null` on the last.
    pub(crate) next_cursor: Option<String>,
}

/// List open connections
#[utoipa::path(
    get, path = "/v1/connections", tag = "connections",
    extensions(("x-permission" = json!("connections:read")), ("x-checked" = json!("handler"))),
    params(
        ("tenant" = Option<String>, Query, description = "Only this tenant's"),
        ("project" = Option<String>, Query, description = "Only this project's"),
        ("protocol" = Option<String>, Query, description = "Only of this protocol"),
        ("principal" = Option<String>, Query, description = "Only this principal's"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when absent"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "Connections of this node in the order they were opened",
            body = ConnectionList),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn list_connections(
    admin: Admin,
    StrictQuery(query): StrictQuery<ConnectionQuery>,
) -> Response {
    let outcome = || {
        let wanted = (query.tenant, query.project);
        let (tenant, project) = admin.narrowed(Permission::ConnectionsRead, wanted)?;
        let filter = ConnectionFilter {
            tenant,
            project,
            protocol: query.protocol,
            principal: query.principal,
            after: place(query.cursor.as_deref())?.map(ConnectionId),
        };
        let (connections, has_more) = list(admin.live.as_ref(), &filter, limit(query.limit)?);
        let next_cursor = next_cursor(connections.last().map(|open| open.id), has_more);
        Ok(Json(ConnectionList { connections, next_cursor }))
    };
    admin.answer(outcome())
}

/// At most `limit`, and whether there are more.
pub(crate) fn list(
    live: &dyn Live,
    filter: &ConnectionFilter,
    limit: usize,
) -> (Vec<ConnectionView>, bool) {
    // One more than asked for tells whether there is a next page.
    let mut found = live.connections(filter, limit + 1);
    let has_more = found.len() > limit;
    found.truncate(limit);
    (found.into_iter().map(ConnectionView::from).collect(), has_more)
}

/// Close a connection
#[utoipa::path(
    delete, path = "/v1/connections/{connection}", tag = "connections",
    extensions(("x-permission" = json!("connections:write")), ("x-checked" = json!("handler"))),
    params(("connection" = u64, Path, description = "The connection's id")),
    responses(
        (status = 204, description = "Closing"),
        (status = "default", description = "Refused", body = ErrorSchema),
    ),
)]
async fn close_connection(
    admin: Admin,
    ConnectionPath(connection): ConnectionPath,
    _: StrictQuery<NoQuery>,
) -> Response {
    let outcome = async {
        let rights = admin.rights();
        // Who may not close it is not told that it is there.
        find(admin.live.as_ref(), &ConnectionFilter::default(), connection)
            .map(|open| Place::Project(open.tenant, open.project))
            .filter(|place| rights.allow(Permission::ConnectionsWrite, *place))
            .ok_or_else(missing)?;
        close(&admin, ConnectionFilter::default(), connection, &admin.actor()).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    admin.answer(outcome.await)
}

fn missing() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such connection").hint("it may have ended by itself")
}

fn find(
    live: &dyn Live,
    filter: &ConnectionFilter,
    connection: ConnectionId,
) -> Option<ConnectionState> {
    // The first one after its predecessor is the one, if it is open.
    let after = connection.0.checked_sub(1).map(ConnectionId);
    let found = live.connections(&ConnectionFilter { after, ..filter.clone() }, 1);
    found.into_iter().find(|open| open.id == connection)
}

/// The project of an open connection.
pub(crate) fn open_at(live: &dyn Live, connection: ConnectionId) -> Option<Place> {
    let open = find(live, &ConnectionFilter::default(), connection)?;
    Some(Place::Project(open.tenant, open.project))
}

/// Closes a connection that the filter takes, and notes it in the trail of its tenant.
pub(crate) async fn close(
    control: &Control,
    filter: ConnectionFilter,
    connection: ConnectionId,
    by: &Actor,
) -> Result<(), Refusal> {
    let open = find(control.live.as_ref(), &filter, connection);
    let closed = open.filter(|_| control.live.close(connection)).ok_or_else(missing)?;
    let details = serde_json::json!({
        "principal": closed.principal,
        "protocol": closed.protocol,
        "address": closed.address.to_string(),
    });
    let (tenant, project) = (closed.tenant, closed.project);
    let trail = &control.tenancy;
    trail.note_connection_closed(tenant, project, connection.0, details, by).await?;
    Ok(())
}
