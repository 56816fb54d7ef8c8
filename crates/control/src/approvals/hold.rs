//! Holds acts that are marked: the request is kept, sealed, and put before a second person; the
//! answer is 202 `APPROVAL_REQUIRED`. What an operator does with a reason that breaks the glass,
//! and what somebody does with an approved pass, goes through. It must not decide who may.

use super::before;
use super::catalogue::{Act, UNMARK};
use super::decide::{Needs, approvers};
use super::place::{Named, named, path_params};
use super::sealed::{body_digest, seal};
use super::view::{APPROVAL_REQUIRED, ApprovalView, ApproverView, AskedView, told};
use super::{Holding, InTurn};
use crate::admin::{Admitted, Shared, Who};
use crate::gate;
use axum::Json;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use port::{Code, Peer, Refusal, metric};
use serde_json::Value;
use std::sync::Arc;
use tenancy::{Actor, Approval, ApprovalId, ApprovalMode, ApprovalRule, NewApproval, User};
use types::TenantId;
use wire_http::json::JSON_BODY_BYTES_MAX;
use wire_http::{read_body, refusal_response};

/// Why it is asked for.
const REASON: HeaderName = HeaderName::from_static("approval-reason");
/// An approved pass.
const APPROVAL: HeaderName = HeaderName::from_static("approval");
/// An operator's reason to wait for nobody.
const BREAK_GLASS: HeaderName = HeaderName::from_static("break-glass");
const HOUR_MS: i64 = 3_600_000;

pub(crate) async fn hold(
    State(holding): State<Arc<Holding>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let found =
        route.and_then(|route| holding.shared.acts.find(request.method(), route.as_str()).cloned());
    let id = request.extensions().get::<Peer>().map(|peer| peer.request_id.clone());
    let Some(act) = found.filter(|_| request.extensions().get::<InTurn>().is_none()) else {
        return next.run(request).await;
    };
    match judge(&holding, &act, request).await {
        Ok(Outcome::Goes(request)) => next.run(request).await,
        Ok(Outcome::Held(response)) => response,
        Err(refusal) => refusal_response(&refusal, id.as_ref()),
    }
}

enum Outcome {
    Goes(Request),
    Held(Response),
}

/// A request that is an act, taken apart.
struct Asking<'a> {
    act: &'a Act,
    parts: Parts,
    who: Arc<Who>,
    peer: Peer,
    named: Named,
    /// Of whoever asks, to be kept with it.
    circumstances: Option<Value>,
}

async fn judge(holding: &Holding, act: &Act, request: Request) -> Result<Outcome, Refusal> {
    let shared = &holding.shared;
    let (mut parts, body) = request.into_parts();
    let admitted = parts.extensions.get::<Admitted>().cloned();
    let peer = parts.extensions.get::<Peer>().cloned();
    let (Some(Admitted(who)), Some(peer)) = (admitted, peer) else {
        return Err(Refusal::internal(&"an admin request did not pass the gate"));
    };
    // A pass never keeps the body, which may be large.
    let (body, bytes) = match act.mode {
        ApprovalMode::Pass => (body, None),
        ApprovalMode::Once => {
            let bytes = read_body(body, JSON_BODY_BYTES_MAX).await?;
            (Body::from(bytes.clone()), Some(bytes))
        }
    };
    let sent = bytes.as_deref().unwrap_or_default();
    let named = named(shared, act, &mut parts, sent).await?;
    let mut rules = shared.control.tenancy.approval_rules_of(&act.name, &named.tenants).await?;
    if act.name == UNMARK {
        rules.extend(own_mark(shared, &mut parts, &named.tenants).await?);
    }
    let Some(hours) = rules.iter().map(|rule| rule.hours).min() else {
        return Ok(Outcome::Goes(Request::from_parts(parts, body)));
    };
    let circumstances = who.kept_circumstances(shared.control.clock.now_ms());
    let asking = Asking { act, parts, who, peer, named, circumstances };
    if let Some(reason) = text(&asking.parts.headers, &BREAK_GLASS) {
        break_glass(shared, &asking, &reason).await?;
        return Ok(Outcome::Goes(Request::from_parts(asking.parts, body)));
    }
    if let Some(pass) = text(&asking.parts.headers, &APPROVAL) {
        check_pass(shared, &asking, &pass).await?;
        return Ok(Outcome::Goes(Request::from_parts(asking.parts, body)));
    }
    ask(holding, &asking, sent, i64::from(hours) * HOUR_MS).await.map(Outcome::Held)
}

/// Header text that is not empty, as it is.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_owned();
    Some(text)
}

/// Taking a mark away waits as long as there is one to be taken.
async fn own_mark(
    shared: &Shared,
    parts: &mut Parts,
    tenants: &[TenantId],
) -> Result<Option<ApprovalRule>, Refusal> {
    let params = path_params(parts).await;
    let act = params.iter().find(|(name, _)| name == "act").map(|(_, value)| value.as_str());
    let rules = shared.control.tenancy.approval_rules(tenants.first().copied()).await?;
    let is_it = |rule: &ApprovalRule| {
        Some(rule.act.as_str()) == act && rule.tenant == tenants.first().copied()
    };
    Ok(rules.into_iter().find(is_it))
}

fn target(asking: &Asking<'_>) -> (String, String) {
    let path = asking.parts.uri.path_and_query().map_or("", |it| it.as_str());
    (asking.parts.method.to_string(), path.to_owned())
}

/// Notes first, then lets through: what is done at once is never without its reason in the trail.
async fn break_glass(shared: &Shared, asking: &Asking<'_>, reason: &str) -> Result<(), Refusal> {
    if !matches!(*asking.who, Who::Operator) {
        let why = "only an operator's token may act without a second person";
        return Err(Refusal::new(Code::InsufficientScope, why)
            .field("break-glass")
            .hint("leave the header out: the act then waits for somebody to approve it"));
    }
    if reason.is_empty() {
        return Err(Refusal::new(Code::InvalidRequest, "say why nobody can be waited for")
            .field("break-glass")
            .hint("`Break-Glass: <reason>`; it is written to the audit trail"));
    }
    let (method, path) = target(asking);
    let what = format!("{} {method} {path}", asking.act.name);
    let by = actor(asking);
    shared.control.tenancy.note_bypass(asking.named.place, &what, reason, &by).await?;
    metrics::counter!(metric::APPROVALS, "outcome" => "bypassed").increment(1);
    Ok(())
}

fn actor(asking: &Asking<'_>) -> Actor {
    let by = asking.who.actor().from_address(asking.peer.address.ip());
    by.by_request(&asking.peer.request_id.0).in_circumstances(asking.circumstances.clone())
}

/// Lets who asked do what was approved of, for a while.
async fn check_pass(shared: &Shared, asking: &Asking<'_>, pass: &str) -> Result<(), Refusal> {
    let worthless = |why: &str| {
        Err(Refusal::new(Code::Conflict, why)
            .field("approval")
            .hint("leave the header out to ask anew"))
    };
    if asking.act.mode == ApprovalMode::Once {
        return worthless("the platform itself carries this out once it is approved");
    }
    let Ok(id) = pass.parse::<ApprovalId>() else {
        return worthless("the header `Approval` names no approval");
    };
    let found = shared.control.tenancy.approval(id).await?;
    let (method, path) = target(asking);
    let is_same = found.act == asking.act.name
        && found.method == method
        && found.path.split('?').next() == path.split('?').next();
    if !is_same {
        return worthless("the approval is of something else");
    }
    if !super::decide::still_approved(shared, &found).await? {
        return worthless("who approved it may not any more, or nobody did");
    }
    shared.control.tenancy.use_approval_pass(id, &actor(asking)).await?;
    Ok(())
}

/// Puts the act before a second person.
async fn ask(
    holding: &Holding,
    asking: &Asking<'_>,
    body: &[u8],
    wait_ms: i64,
) -> Result<Response, Refusal> {
    let (shared, act, who) = (&holding.shared, asking.act, &asking.who);
    let needs = Needs::new(act.permission, &asking.named.place);
    // Where the handler would have looked, nobody has yet.
    gate::require(who, needs.permission, needs.place)?;
    let approvers = approvers(shared, needs, who.user()).await?;
    let operator_may = shared.control.approvals.operator_may_decide && who.user().is_some();
    if approvers.is_empty() && !operator_may {
        let why = "this needs a second person, and there is nobody else who could approve it";
        return Err(Refusal::new(Code::Conflict, why).field("approval").hint(
            "give somebody `approvals:decide` and the permission itself there; an operator's \
             token may act at once with `Break-Glass: <reason>`",
        ));
    }
    let (method, path) = target(asking);
    let before = before::read(holding, act, &path, who, &asking.peer).await?;
    let address = asking.peer.address.ip();
    let new = NewApproval {
        place: asking.named.place,
        mode: act.mode,
        act: act.name.clone(),
        method,
        path,
        permission: act.permission.name().to_owned(),
        digest: body_digest(body),
        sealed: seal(shared, &asking.parts.headers, body)?,
        before: before.shown,
        before_digest: before.digest,
        asker: who.user(),
        address: Some(address).filter(|it| !it.is_unspecified()).map(|it| it.to_string()),
        reason: reason(&asking.parts.headers, body),
        wait_ms,
    };
    let made = shared.control.tenancy.ask_approval(new, &actor(asking)).await?;
    metrics::counter!(metric::APPROVALS, "outcome" => "asked").increment(1);
    write_letters(shared, act, &made, &approvers);
    Ok(answer(shared, act, who, &made, &approvers))
}

/// From the header, else from the body where it has one.
fn reason(headers: &HeaderMap, body: &[u8]) -> String {
    let in_body = || {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        ["reason", "note"].iter().find_map(|name| body[*name].as_str().map(str::to_owned))
    };
    text(headers, &REASON).or_else(in_body).unwrap_or_default()
}

fn write_letters(shared: &Shared, act: &Act, made: &Approval, approvers: &[User]) {
    let people = &shared.control.people;
    for approver in approvers {
        let text = format!(
            "{} asks to do this at Mainstem, which needs a second person:\n\n{}\n{} {}\n\nReason: \
             {}\n\nApprove or refuse it here:\n{}\n\nor with `mainstem approvals show {}`.\n",
            made.asker,
            act.summary,
            made.method,
            made.path,
            if made.reason.is_empty() { "none given" } else { &made.reason },
            people.page("approvals"),
            made.id,
        );
        people.tell(approver, "An act waits for your approval", text);
    }
}

fn answer(shared: &Shared, act: &Act, who: &Who, made: &Approval, approvers: &[User]) -> Response {
    let body = AskedView {
        code: APPROVAL_REQUIRED,
        message: told(act, made),
        approval: ApprovalView::new(shared, who, made),
        approvers: approvers.iter().map(ApproverView::from).collect(),
    };
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(place) = HeaderValue::try_from(format!("/v1/approvals/{}", made.id)) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}
