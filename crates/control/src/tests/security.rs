//! What the security checks find, through the admin API: who sees what, what is accepted and by
//! whom, and the figures that alerts watch.

use super::people::PASSWORD;
use super::permissions::BOB;
use super::{Rig, START_MS, last_part, text};
use crate::{SecurityWorker, Setup, Telling};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const DAY: i64 = 24 * 3_600_000;

/// A configuration with two faults, and a process that runs as root.
struct RigSetup;

impl Setup for RigSetup {
    fn configuration(&self) -> Telling<'_, posture::Config> {
        let config = posture::Config {
            encryption: posture::Encryption { is_enabled: true, ..Default::default() },
            backup_every_minutes: Some(60),
            address_rate: 0,
            log: "debug".to_owned(),
            audit_days: 400,
            audit_receivers: vec![("siem".to_owned(), false)],
            mail: posture::Mail::Protected,
            password_chars_min: 12,
            password_kib: 20_000,
            password_passes: 2,
            are_alerts_on: true,
            ..posture::Config::default()
        };
        Box::pin(std::future::ready(config))
    }

    fn running(&self) -> Telling<'_, posture::Running> {
        let running = posture::Running {
            is_root: true,
            disk_free: Some(0.5),
            started_at: START_MS,
            ..posture::Running::default()
        };
        Box::pin(std::future::ready(running))
    }
}

pub(super) fn setup() -> Arc<dyn Setup> {
    Arc::new(RigSetup)
}

fn checks(list: &Value) -> Vec<&str> {
    let found = list["findings"].as_array().expect("findings");
    found.iter().map(|finding| finding["check"].as_str().expect("a check")).collect()
}

#[tokio::test]
async fn findings_come_the_worst_first_and_page_by_page() {
    let rig = Rig::new().await;
    let list = rig.get("/v1/security/findings").await.ok(200);
    let expected =
        ["admin-rate-off", "owner-none", "log-detailed", "runs-as-root", "approvals-none"];
    assert_eq!(checks(&list), expected);
    assert_eq!(list["open"], json!({"critical": 2, "warning": 2, "info": 1}));
    assert_eq!((&list["is_partial"], &list["at"]), (&json!(false), &json!(START_MS)));
    let first = &list["findings"][0];
    assert_eq!(first["id"], "admin-rate-off:admin.rate.address_per_second_max");
    for field in ["title", "found", "why", "cure", "docs"] {
        assert!(!text(&first[field]).is_empty(), "{field}");
    }
    let mut seen = Vec::new();
    let mut path = "/v1/security/findings?limit=2".to_owned();
    for _ in 0..4 {
        let page = rig.get(&path).await.ok(200);
        seen.extend(checks(&page).into_iter().map(str::to_owned));
        assert_eq!(page["open"], list["open"]);
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/security/findings?limit=2&cursor={next}");
    }
    assert_eq!(seen, expected);
    let by = async |query: &str| rig.get(&format!("/v1/security/findings?{query}")).await;
    assert_eq!(checks(&by("severity=warning").await.ok(200)), ["log-detailed", "runs-as-root"]);
    assert_eq!(checks(&by("area=running").await.ok(200)), ["runs-as-root"]);
    assert_eq!(checks(&by("check=owner-none").await.ok(200)), ["owner-none"]);
    by("check=x").await.refused(400, "INVALID_REQUEST", "check");
    by("severity=bad").await.refused(400, "INVALID_REQUEST", "severity");
    by("state=bad").await.refused(400, "INVALID_REQUEST", "state");
    let all = rig.get("/v1/security/checks").await.ok(200);
    assert_eq!(all["checks"].as_array().expect("checks").len(), posture::checks().count());
}

/// Two tenants with a key that may do everything in each, and an admin of the first.
async fn furnished(rig: &Rig) -> (String, String, String) {
    rig.owner().await;
    let mut ids = Vec::new();
    for name in ["mine", "theirs"] {
        let (tenant, project) = rig.project(name).await;
        let all: Vec<&str> = types::Scope::ALL.into_iter().map(|scope| scope.name()).collect();
        let key = json!({"name": format!("{name} app"), "scopes": all});
        rig.call("POST", &format!("{project}/keys"), key).await.ok(201);
        ids.push(last_part(&tenant).to_owned());
    }
    let [mine, theirs] = ids.try_into().expect("two");
    let bob = rig.user(BOB).await;
    let given = json!({"user": bob, "role": "admin", "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    (mine, theirs, rig.access(BOB).await)
}

#[tokio::test]
async fn a_tenants_admin_sees_and_accepts_his_own_only() {
    let rig = Rig::new().await;
    let (mine, theirs, access) = furnished(&rig).await;
    let get = async |path: &str| rig.call_as(&access, "GET", path, Value::Null).await;
    let list = get("/v1/security/findings").await.ok(200);
    let own = ["key-everything", "person-one-factor", "approvals-none", "key-endless"];
    assert_eq!(checks(&list), own);
    for finding in list["findings"].as_array().expect("findings") {
        assert_eq!(finding["tenant"], mine.as_str(), "{finding}");
    }
    let path = format!("/v1/security/findings?tenant={theirs}");
    get(&path).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    // The installation's people see both, and the node's.
    let all = rig.get("/v1/security/findings?check=key-everything").await.ok(200);
    assert_eq!(checks(&all).len(), 2);
    let of_others = all["findings"].as_array().expect("findings");
    let others = of_others.iter().find(|it| it["tenant"] == theirs.as_str()).expect("theirs");
    let accept =
        async |body: Value| rig.call_as(&access, "POST", "/v1/security/acceptances", body).await;
    let until = START_MS + 7 * DAY;
    let body = json!({"finding": others["id"], "until": until, "reason": "not mine"});
    accept(body.clone()).await.refused(404, "NOT_FOUND", "finding");
    let mut named = body;
    named["tenant"] = json!(theirs);
    accept(named).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let node = json!({"finding": "runs-as-root:process", "until": until, "reason": "x"});
    accept(node).await.refused(404, "NOT_FOUND", "finding");
    // What another accepted is not there for him.
    let body = json!({"finding": others["id"], "until": until, "reason": "a demo"});
    let made = rig.call("POST", "/v1/security/acceptances", body).await.ok(201);
    let path = format!("/v1/security/acceptances/{}", text(&made["id"]));
    let gone = rig.call_as(&access, "DELETE", &path, Value::Null).await;
    gone.refused(404, "NOT_FOUND", "");
    // His own he accepts, and takes back.
    let body = json!({"finding": list["findings"][0]["id"], "until": until, "reason": "until May"});
    let made = accept(body).await.ok(201);
    let path = format!("/v1/security/acceptances/{}", text(&made["id"]));
    rig.call_as(&access, "DELETE", &path, Value::Null).await.ok(204);
    rig.call_as(&access, "DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
    // Who only looks accepts nothing; a developer does not even look.
    let reader = rig.user("eve@example.org").await;
    let given = json!({"user": reader, "role": "support", "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let eve = rig.access("eve@example.org").await;
    rig.call_as(&eve, "GET", "/v1/security/findings", Value::Null).await.ok(200);
    let body = json!({"finding": list["findings"][0]["id"], "until": until, "reason": "x"});
    let refused = rig.call_as(&eve, "POST", "/v1/security/acceptances", body).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
}

#[tokio::test]
async fn what_is_accepted_counts_again_when_its_day_is_over() {
    let rig = Rig::new().await;
    let accept = async |body: Value| rig.call("POST", "/v1/security/acceptances", body).await;
    let finding = "runs-as-root:process";
    let body =
        |until: i64, reason: &str| json!({"finding": finding, "until": until, "reason": reason});
    accept(body(START_MS, "x")).await.refused(400, "INVALID_REQUEST", "until");
    accept(body(START_MS + 367 * DAY, "x")).await.refused(400, "INVALID_REQUEST", "until");
    accept(body(START_MS + DAY, " ")).await.refused(400, "INVALID_REQUEST", "reason");
    accept(body(START_MS + DAY, "a\nb")).await.refused(400, "INVALID_REQUEST", "reason");
    let made = accept(body(START_MS + DAY, "a container of its own")).await.ok(201);
    // Said again, it replaces what was said before.
    let again = accept(body(START_MS + 2 * DAY, "as before")).await.ok(201);
    assert_ne!(made["id"], again["id"]);
    let list = rig.get("/v1/security/findings?state=accepted").await.ok(200);
    assert_eq!(checks(&list), ["runs-as-root"]);
    assert_eq!((&list["accepted"], &list["open"]["warning"]), (&json!(1), &json!(1)));
    let said = &list["findings"][0]["acceptance"];
    assert_eq!(
        (text(&said["reason"]), text(&said["actor"])),
        ("as before".into(), "operator".into())
    );
    let open = rig.get("/v1/security/findings").await.ok(200);
    assert!(!checks(&open).contains(&"runs-as-root"));
    rig.clock.advance(Duration::from_millis(u64::try_from(2 * DAY).expect("positive")));
    let open = rig.get("/v1/security/findings").await.ok(200);
    assert!(checks(&open).contains(&"runs-as-root"));
    let trail = rig.trail("finding.accept").await;
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[0]["target"], finding);
    assert_eq!(trail[0]["details"]["reason"], "as before");
}

#[tokio::test]
async fn an_owner_with_a_second_factor_is_found_no_more() {
    let rig = Rig::new().await;
    rig.owner().await;
    let weak = rig.get("/v1/security/findings?check=owner-one-factor").await.ok(200);
    assert_eq!(checks(&weak), ["owner-one-factor"]);
    assert_eq!(weak["findings"][0]["severity"], "critical");
    let access = rig.access("ann@example.org").await;
    let proof = json!({"password": PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    let started =
        rig.call_as(&access, "POST", "/v1/account/second-factor", Value::Null).await.ok(200);
    let code = super::people::telephone(&text(&started["secret"]), rig.control.clock.now_ms());
    let confirm = json!({"code": code});
    rig.call_as(&access, "POST", "/v1/account/second-factor/confirm", confirm).await.ok(200);
    let strong = rig.get("/v1/security/findings?check=owner-one-factor").await.ok(200);
    assert_eq!(checks(&strong), [""; 0]);
}

#[tokio::test]
async fn the_nodes_own_look_drops_what_is_long_over() {
    let rig = Rig::new().await;
    let worker = SecurityWorker::new(&rig.control);
    let body = json!({"finding": "runs-as-root:process", "until": START_MS + DAY, "reason": "x"});
    rig.call("POST", "/v1/security/acceptances", body).await.ok(201);
    worker.turn().await.expect("a look");
    assert_eq!(rig.tenancy.acceptances(START_MS).await.expect("some").len(), 1);
    rig.clock.advance(Duration::from_secs(32 * 86_400));
    worker.turn().await.expect("a look");
    assert_eq!(rig.tenancy.acceptances(START_MS).await.expect("none").len(), 0);
}

/// Writes down what was refused, as the node's worker does.
async fn settle(rig: &Rig) {
    rig.clock.advance(Duration::from_secs(61));
    let told = rig.tenancy.incidents().take(rig.control.clock.now_ms());
    rig.tenancy.note_incidents(&told).await.expect("written");
}

async fn deletions(rig: &Rig, project: &str, number: usize) {
    for index in 0..number {
        let key = json!({"name": format!("k{index}"), "scopes": ["events:publish"]});
        let key = rig.call("POST", &format!("{project}/keys"), key).await.ok(201);
        let path = format!("{project}/keys/{}/revoke", text(&key["key"]["id"]));
        rig.call("POST", &path, Value::Null).await.ok(200);
    }
}

#[tokio::test]
async fn what_happens_is_counted_and_told_apart_by_tenant() {
    let rig = Rig::new().await;
    let (mine, theirs, access) = furnished(&rig).await;
    rig.call_as("wrong-token-of-nobody-at-all", "GET", "/v1/tenants", Value::Null).await;
    settle(&rig).await;
    let all = rig.get("/v1/security/activity?hours=1").await.ok(200);
    let totals = &all["totals"];
    assert_eq!((&totals["sign_ins"], &totals["credentials_refused"]), (&json!(1), &json!(1)));
    assert_eq!(all["credentials_refused_by_address"][0]["name"], "127.0.0.1");
    assert_eq!((&all["is_partial"], &all["anomalies"]), (&json!(false), &json!([])));
    // His own trail has neither sign-ins nor strangers.
    let own = rig.call_as(&access, "GET", "/v1/security/activity", Value::Null).await.ok(200);
    assert_eq!(own["totals"]["credentials_refused"], 0);
    assert!(own["totals"]["records"].as_u64() < totals["records"].as_u64());
    let path = format!("/v1/security/activity?tenant={mine}");
    rig.call_as(&access, "GET", &path, Value::Null).await.ok(200);
    let path = format!("/v1/security/activity?tenant={theirs}");
    let refused = rig.call_as(&access, "GET", &path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
    rig.get("/v1/security/activity?hours=0").await.refused(400, "INVALID_REQUEST", "hours");
    rig.get("/v1/security/activity?hours=169").await.refused(400, "INVALID_REQUEST", "hours");
}

#[tokio::test]
async fn what_is_odd_is_shown_and_written_down_once() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("p").await;
    deletions(&rig, &project, 10).await;
    let seen = rig.get("/v1/security/activity?hours=1").await.ok(200);
    let odd = &seen["anomalies"][0];
    assert_eq!((&odd["rule"], &odd["count"]), (&json!("deletion_burst"), &json!(10)));
    assert_eq!((&odd["subject"], &odd["severity"]), (&json!("operator"), &json!("critical")));
    assert!(text(&odd["why"]).contains("ten minutes") && !text(&odd["advice"]).is_empty());
    let worker = SecurityWorker::new(&rig.control);
    for _ in 0..2 {
        worker.turn().await.expect("a look");
    }
    let told = rig.trail("anomaly.deletion_burst").await;
    assert_eq!((told.len(), &told[0]["target"]), (1, &json!("operator")));
    assert_eq!(told[0]["details"]["count"], 10);
    // It goes on: told again after a while.
    rig.clock.advance(Duration::from_secs(6 * 3_600 + 1));
    deletions(&rig, &project, 10).await;
    worker.turn().await.expect("a look");
    assert_eq!(rig.trail("anomaly.deletion_burst").await.len(), 2);
}

#[tokio::test]
async fn sessions_in_force_are_shown_with_the_last_act_and_ended() {
    let rig = Rig::new().await;
    let (mine, _, bob) = furnished(&rig).await;
    let ann = rig.access("ann@example.org").await;
    rig.call_as(&ann, "POST", "/v1/tenants", json!({"name": "made"})).await.ok(201);
    let list = rig.call_as(&ann, "GET", "/v1/security/sessions", Value::Null).await.ok(200);
    let sessions = list["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2);
    let of = |email: &str| sessions.iter().find(|it| it["email"] == email).expect(email);
    let (own, his) = (of("ann@example.org"), of(BOB));
    assert_eq!((&own["is_current"], &his["is_current"]), (&json!(true), &json!(false)));
    assert_eq!(own["last_act"]["action"], "tenant.create");
    assert_eq!(own["last_act"]["address"], "127.0.0.1");
    // An admin of a tenant sees those of its people, and ends none of somebody who may do more.
    let seen = rig.call_as(&bob, "GET", "/v1/security/sessions", Value::Null).await.ok(200);
    assert_eq!(seen["sessions"].as_array().expect("sessions").len(), 1);
    assert_eq!(seen["sessions"][0]["email"], BOB);
    let path = |session: &Value| {
        format!("/v1/users/{}/sessions/{}", text(&session["user"]), text(&session["id"]))
    };
    let refused = rig.call_as(&bob, "DELETE", &path(own), Value::Null).await;
    refused.refused(404, "NOT_FOUND", "");
    // A session is ended as its user's only.
    let crossed = format!("/v1/users/{}/sessions/{}", text(&own["user"]), text(&his["id"]));
    rig.call_as(&ann, "DELETE", &crossed, Value::Null).await.refused(404, "NOT_FOUND", "");
    rig.call_as(&ann, "DELETE", &path(his), Value::Null).await.ok(204);
    let gone = rig.call_as(&bob, "GET", "/v1/account", Value::Null).await;
    assert_eq!(gone.status.as_u16(), 401);
    let left = rig.get(&format!("/v1/security/sessions?tenant={mine}")).await.ok(200);
    assert_eq!(left["sessions"], json!([]));
    rig.get("/v1/security/sessions?limit=201").await.refused(400, "INVALID_REQUEST", "limit");
}
