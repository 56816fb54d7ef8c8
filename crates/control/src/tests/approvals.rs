//! Acts that wait for a second person, through the real router: held, decided, carried out once.

mod every_act;

use super::people::PASSWORD;
use super::{Answer, Rig, TOKEN, text};
use crate::{ApprovalSettings, ApprovalsWorker, Control};
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

/// An installation with two people who may do everything, both of whom proved just now who they
/// are.
struct World {
    rig: Rig,
    worker: ApprovalsWorker,
    ann: String,
    bob: String,
    bob_id: String,
}

impl World {
    async fn new() -> World {
        let rig = Rig::new().await;
        rig.owner().await;
        let bob_id = rig.user(BOB).await;
        let role = json!({"user": bob_id, "role": "owner"});
        rig.call("POST", "/v1/role-bindings", role).await.ok(201);
        let (ann, bob) = (rig.access(ANN).await, rig.access(BOB).await);
        let worker = rig.control.open().1;
        let world = World { rig, worker, ann, bob, bob_id };
        world.prove().await;
        world
    }

    async fn prove(&self) {
        for token in [&self.ann, &self.bob] {
            let proof = json!({"password": PASSWORD});
            self.rig.call_as(token, "POST", "/v1/auth/elevate", proof).await.ok(200);
        }
    }

    async fn mark(&self, act: &str, tenant: Option<&str>) -> Value {
        let place = tenant.map(|tenant| format!("?tenant={tenant}")).unwrap_or_default();
        let path = format!("/v1/approval-rules/{act}{place}");
        self.rig.call("PUT", &path, json!({})).await.ok(200)
    }

    async fn ann(&self, method: &str, path: &str, body: Value) -> Answer {
        self.rig.call_as(&self.ann, method, path, body).await
    }

    async fn bob(&self, method: &str, path: &str, body: Value) -> Answer {
        self.rig.call_as(&self.bob, method, path, body).await
    }

    /// The path of what waits by this answer.
    fn waiting(answer: Answer) -> String {
        assert_eq!(answer.headers["location"].to_str().is_ok(), answer.status == 202);
        let body = answer.ok(202);
        assert_eq!(body["code"], "APPROVAL_REQUIRED");
        assert_eq!(body["approval"]["state"], "pending");
        format!("/v1/approvals/{}", text(&body["approval"]["id"]))
    }

    async fn approve(&self, path: &str) -> Answer {
        self.bob("POST", &format!("{path}/approve"), json!({"comment": "fine"})).await
    }

    async fn seen(&self, path: &str) -> Value {
        self.ann("GET", path, Value::Null).await.ok(200)
    }

    /// With one more header.
    async fn with(
        &self,
        token: &str,
        (method, path): (&str, &str),
        (name, value): (&'static str, &str),
    ) -> Answer {
        let request = Request::builder().method(method).uri(path).header(name, value);
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(axum::body::Body::from("{}")).unwrap();
        Rig::send(&self.rig.router, request).await
    }
}

#[tokio::test]
async fn a_marked_act_waits_and_is_carried_out_once_under_both_names() {
    let mut world = World::new().await;
    let (tenant, _) = world.rig.project("kept").await;
    let marked = world.mark("suspend_tenant", None).await;
    assert_eq!((&marked["approvers"], &marked["rule"]["hours"]), (&json!(2), &json!(24)));
    world.rig.changes();
    let path = format!("{tenant}/suspend");
    let body = json!({"reason": "unpaid"});
    let asked = world.ann("POST", &path, body).await;
    assert_eq!(asked.body["approvers"][0]["email"], BOB);
    assert_eq!(asked.body["approvers"].as_array().unwrap().len(), 1);
    assert_eq!(asked.body["approval"]["reason"], "unpaid");
    let approval = World::waiting(asked);
    // Nothing happened, and it does not by itself.
    assert_eq!(world.worker.turn().await, Ok(0));
    assert_eq!(world.rig.get(&tenant).await.ok(200)["status"], "active");
    assert!(world.rig.changes().is_empty());
    // Who decides sees what would happen to what; who asked may not decide.
    let shown = world.bob("GET", &approval, Value::Null).await.ok(200);
    assert_eq!((&shown["body"]["reason"], &shown["may_decide"]), (&json!("unpaid"), &json!(true)));
    assert_eq!(shown["before"]["name"], "kept");
    let own = world.ann("POST", &format!("{approval}/approve"), json!({})).await;
    own.refused(403, "INSUFFICIENT_SCOPE", "approval");
    world.rig.letters.take(BOB, "An act waits for your approval").await;
    world.approve(&approval).await.ok(200);
    world.approve(&approval).await.refused(409, "CONFLICT", "");
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.worker.turn().await, Ok(0));
    let done = world.seen(&approval).await;
    assert_eq!((&done["state"], &done["status"]), (&json!("done"), &json!(200)));
    assert_eq!(done["answer"]["status"], "suspended");
    assert_eq!(world.rig.get(&tenant).await.ok(200)["status"], "suspended");
    world.rig.letters.take(ANN, "What you asked for is done").await;
    // The act is in the trail as Ann's, found by the approval; the approval names both.
    let act = world.rig.trail("tenant.suspend").await;
    assert_eq!((act.len(), text(&act[0]["actor"]).ends_with(ANN)), (1, true));
    assert!(approval.ends_with(&text(&act[0]["request"])));
    let both = world.rig.trail("approval.execute").await;
    assert!(text(&both[0]["details"]["asker"]).ends_with(ANN));
    assert!(text(&both[0]["details"]["decider"]).ends_with(BOB));
}

#[tokio::test]
async fn two_nodes_carry_an_act_out_once() {
    let world = World::new().await;
    world.mark("create_tenant", None).await;
    let mut first = world.rig.control.open().1;
    let mut second = world.rig.control.open().1;
    for number in 0..10 {
        let body = json!({"name": format!("twin {number}")});
        let approval = World::waiting(world.ann("POST", "/v1/tenants", body).await);
        world.approve(&approval).await.ok(200);
    }
    let (one, two) = tokio::join!(first.turn(), second.turn());
    assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    let tenants = world.rig.get("/v1/tenants").await.ok(200);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 10);
    assert_eq!(world.rig.trail("approval.execute").await.len(), 10);
}

#[tokio::test]
async fn a_repeated_request_waits_once() {
    let world = World::new().await;
    world.mark("create_tenant", None).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut request = Rig::request("POST", "/v1/tenants", json!({"name": "once"}).to_string());
        let bearer = format!("Bearer {}", world.ann).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request.headers_mut().insert("idempotency-key", "the same".parse().unwrap());
        waiting.push(Rig::send(&world.rig.router, request).await.ok(202)["approval"]["id"].clone());
    }
    assert_eq!(waiting[0], waiting[1]);
}

#[tokio::test]
async fn secrets_of_an_answer_are_for_who_asked_once() {
    let mut world = World::new().await;
    let (_, project) = world.rig.project("p").await;
    world.mark("create_key", None).await;
    let body = json!({"name": "k", "scopes": ["events:publish"]});
    let approval = World::waiting(world.ann("POST", &format!("{project}/keys"), body).await);
    world.approve(&approval).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    let done = world.seen(&approval).await;
    assert_eq!((&done["state"], &done["has_secret"]), (&json!("done"), &json!(true)));
    assert!(!done.to_string().contains("ms_live_"), "{done}");
    let take = format!("{approval}/answer");
    world.bob("POST", &take, Value::Null).await.refused(404, "NOT_FOUND", "");
    let taken = world.ann("POST", &take, Value::Null).await.ok(200);
    assert!(taken.to_string().contains("ms_live_"), "{taken}");
    world.ann("POST", &take, Value::Null).await.refused(409, "CONFLICT", "");
}

#[tokio::test]
async fn who_is_gone_neither_asks_nor_approves() {
    let mut world = World::new().await;
    world.mark("create_tenant", None).await;
    let eve_id = world.rig.user("eve@example.org").await;
    let role = json!({"user": eve_id, "role": "owner"});
    let given = world.rig.call("POST", "/v1/role-bindings", role).await.ok(201);
    let eve = world.rig.access("eve@example.org").await;
    let ask = async |world: &World, name: &str| {
        let body = json!({"name": name});
        World::waiting(world.rig.call_as(&eve, "POST", "/v1/tenants", body).await)
    };
    let (first, second) = (ask(&world, "first").await, ask(&world, "second").await);
    world.approve(&first).await.ok(200);
    // Her role goes between the approval and the act, and before the other approval.
    let binding = format!("/v1/role-bindings/{}", text(&given["id"]));
    world.rig.call("DELETE", &binding, Value::Null).await.ok(204);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.seen(&first).await["state"], "void");
    world.approve(&second).await.refused(409, "CONFLICT", "approval");
    assert_eq!(world.seen(&second).await["state"], "void");
    // Who approved is gone before it is carried out.
    let body = json!({"name": "third"});
    let third = World::waiting(world.ann("POST", "/v1/tenants", body).await);
    world.approve(&third).await.ok(200);
    let disable = format!("/v1/users/{}/disable", world.bob_id);
    world.rig.call("POST", &disable, Value::Null).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.seen(&third).await["state"], "void");
    let tenants = world.rig.get("/v1/tenants").await.ok(200);
    assert_eq!(tenants["tenants"], json!([]));
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_not_done() {
    let mut world = World::new().await;
    let (tenant, _) = world.rig.project("before").await;
    world.mark("suspend_tenant", None).await;
    let body = json!({"reason": "unpaid"});
    let approval = World::waiting(world.ann("POST", &format!("{tenant}/suspend"), body).await);
    world.rig.call("PATCH", &tenant, json!({"name": "after"})).await.ok(200);
    world.approve(&approval).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    let ended = world.seen(&approval).await;
    assert_eq!(ended["state"], "failed");
    assert!(text(&ended["outcome"]).contains("has changed"), "{ended}");
    assert_eq!(world.rig.get(&tenant).await.ok(200)["status"], "active");
}

#[tokio::test]
async fn an_operator_waits_too_unless_he_breaks_the_glass() {
    let mut world = World::new().await;
    world.mark("create_tenant", None).await;
    let held = world.rig.call("POST", "/v1/tenants", json!({"name": "held"})).await;
    let approval = World::waiting(held);
    // One operator's token is like another.
    let own = world.rig.call("POST", &format!("{approval}/approve"), json!({})).await;
    own.refused(403, "INSUFFICIENT_SCOPE", "approval");
    let at = ("POST", "/v1/tenants");
    let glass = |reason| ("break-glass", reason);
    world.with(TOKEN, at, glass("")).await.refused(400, "INVALID_REQUEST", "break-glass");
    let ann = world.ann.clone();
    world.with(&ann, at, glass("now")).await.refused(403, "INSUFFICIENT_SCOPE", "break-glass");
    // The body is refused by the route itself, so it got there; the trail says why first.
    world.with(TOKEN, at, glass("a fire")).await.refused(400, "INVALID_REQUEST", "name");
    let noted = world.rig.trail("approval.bypass").await;
    assert_eq!((noted.len(), &noted[0]["details"]["reason"]), (1, &json!("a fire")));
    world.approve(&approval).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.seen(&approval).await["state"], "done");
}

#[tokio::test]
async fn an_operator_decides_only_where_it_is_allowed() {
    let world = World::new().await;
    world.mark("create_tenant", None).await;
    let approval = World::waiting(world.ann("POST", "/v1/tenants", json!({"name": "a"})).await);
    let path = format!("{approval}/approve");
    let refused = world.rig.call("POST", &path, json!({})).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "approval");
    let approvals = ApprovalSettings { operator_may_decide: true };
    let (router, mut worker) = Control { approvals, ..world.rig.control.clone() }.open();
    Rig::send(&router, Rig::request("POST", &path, "{}")).await.ok(200);
    assert_eq!(worker.turn().await, Ok(1));
    assert_eq!(world.seen(&approval).await["state"], "done");
}

#[tokio::test]
async fn a_tenants_mark_concerns_the_tenant_only_and_so_does_what_one_sees() {
    let mut world = World::new().await;
    let (mine, _) = world.rig.project("mine").await;
    let (theirs, _) = world.rig.project("theirs").await;
    let (mine, theirs) = (super::last_part(&mine).to_owned(), super::last_part(&theirs).to_owned());
    world.mark("give_role", Some(&mine)).await;
    let of_installation = world.rig.call("PUT", "/v1/approval-rules/set_config", json!({})).await;
    of_installation.ok(200);
    let path = format!("/v1/approval-rules/set_config?tenant={mine}");
    world.rig.call("PUT", &path, json!({})).await.refused(400, "INVALID_REQUEST", "tenant");
    let eve = world.rig.user("eve@example.org").await;
    let give = |tenant: &str| json!({"user": eve, "role": "owner", "tenant": tenant});
    world.ann("POST", "/v1/role-bindings", give(&theirs)).await.ok(201);
    let approval = World::waiting(world.ann("POST", "/v1/role-bindings", give(&mine)).await);
    let shown = world.seen(&approval).await;
    assert_eq!(shown["tenant"], mine.as_str());
    // Eve has nothing to do with this tenant yet, and sees nothing of it.
    let stranger = world.rig.access("eve@example.org").await;
    let list = world.rig.call_as(&stranger, "GET", "/v1/approvals", Value::Null).await.ok(200);
    assert_eq!(list["approvals"], json!([]));
    let answer = world.rig.call_as(&stranger, "GET", &approval, Value::Null).await;
    answer.refused(404, "NOT_FOUND", "");
    world.approve(&approval).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.seen(&approval).await["state"], "done");
    let list = world.rig.call_as(&stranger, "GET", "/v1/approvals", Value::Null).await.ok(200);
    assert_eq!(list["approvals"].as_array().unwrap().len(), 1);
    // Taking a role away there is not marked; taking the mark away is, as long as it is there.
    let path = format!("/v1/approval-rules/give_role?tenant={mine}");
    let unmark = World::waiting(world.ann("DELETE", &path, Value::Null).await);
    world.approve(&unmark).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.seen(&unmark).await["status"], 204);
    world.ann("DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn nobody_is_asked_where_nobody_else_could_approve() {
    let rig = Rig::new().await;
    rig.owner().await;
    let ann = rig.access(ANN).await;
    let marked = rig.call("PUT", "/v1/approval-rules/create_tenant", json!({})).await.ok(200);
    assert_eq!(marked["approvers"], 1);
    let body = json!({"name": "alone"});
    let refused = rig.call_as(&ann, "POST", "/v1/tenants", body).await;
    refused.refused(409, "CONFLICT", "approval");
}

#[tokio::test]
async fn what_is_not_decided_in_time_expires_and_what_is_withdrawn_is_not_done() {
    let mut world = World::new().await;
    world.mark("create_tenant", None).await;
    let ask = async |world: &World, name: &str| {
        World::waiting(world.ann("POST", "/v1/tenants", json!({"name": name})).await)
    };
    let gone = ask(&world, "gone").await;
    let withdraw = format!("{gone}/withdraw");
    world.bob("POST", &withdraw, Value::Null).await.refused(404, "NOT_FOUND", "");
    world.ann("POST", &withdraw, Value::Null).await.ok(200);
    world.approve(&gone).await.refused(409, "CONFLICT", "");
    let refused = ask(&world, "refused").await;
    let no = json!({"comment": "not now"});
    world.bob("POST", &format!("{refused}/refuse"), no).await.ok(200);
    world.rig.letters.take(ANN, "What you asked for is refused").await;
    let late = ask(&world, "late").await;
    let list = world.bob("GET", "/v1/approvals?state=pending&show=others", Value::Null).await;
    assert_eq!(list.ok(200)["approvals"].as_array().unwrap().len(), 1);
    world.rig.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(world.worker.turn().await, Ok(1));
    let seen = world.rig.get(&late).await.ok(200);
    assert_eq!(seen["state"], "expired");
    let states = world.rig.get("/v1/approvals?state=expired,refused,withdrawn").await.ok(200);
    assert_eq!(states["approvals"].as_array().unwrap().len(), 3);
    let bad = world.rig.get("/v1/approvals?state=sleeping").await;
    bad.refused(400, "INVALID_REQUEST", "state");
    assert_eq!(world.rig.get("/v1/tenants").await.ok(200)["tenants"], json!([]));
}

#[tokio::test]
async fn a_pass_lets_who_asked_read_for_an_hour() {
    let mut world = World::new().await;
    world.mark("export_audit", None).await;
    let at = ("GET", "/v1/audit/export");
    let held = world.ann("GET", at.1, Value::Null).await;
    let approval = World::waiting(held);
    let id = super::last_part(&approval).to_owned();
    let (ann, bob) = (world.ann.clone(), world.bob.clone());
    let pass = ("approval", id.as_str());
    world.with(&ann, at, pass).await.refused(409, "CONFLICT", "approval");
    world.approve(&approval).await.ok(200);
    assert_eq!(world.worker.turn().await, Ok(0));
    for _ in 0..2 {
        assert_eq!(world.with(&ann, at, pass).await.status, 200);
    }
    assert_eq!(world.with(&bob, at, pass).await.status, 409);
    assert_eq!(world.rig.trail("approval.execute").await.len(), 1);
    world.rig.clock.advance(Duration::from_secs(3_600));
    let ann = world.rig.access(ANN).await;
    assert_eq!(world.with(&ann, at, pass).await.status, 409);
    assert_eq!(world.worker.turn().await, Ok(1));
    assert_eq!(world.rig.get(&approval).await.ok(200)["state"], "done");
}
