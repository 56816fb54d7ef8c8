//! The compliance report through the admin API: what is in it, who gets whose, and that making one
//! is in the trail with its digest.

use super::permissions::BOB;
use super::{Rig, last_part, text};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// Some time later, with everything in its place in the chain.
async fn settle(rig: &Rig) {
    rig.clock.advance(Duration::from_secs(61));
    let told = rig.tenancy.incidents().take(rig.control.clock.now_ms());
    rig.tenancy.note_incidents(&told).await.expect("written");
    rig.clock.advance(Duration::from_secs(1));
    rig.tenancy.seal_audit(1_000).await.expect("places");
}

/// Status, headers by name, body as it is.
async fn fetch(rig: &Rig, token: &str, query: &str) -> (u16, http::HeaderMap, Vec<u8>) {
    let request = Request::get(format!("/v1/audit/compliance?{query}"))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    let response = rig.router.clone().oneshot(request).await.expect("routers do not fail");
    let (parts, body) = response.into_parts();
    let body = wire_http::read_body(body, 4 << 20).await.expect("an answer");
    (parts.status.as_u16(), parts.headers, body.to_vec())
}

async fn report(rig: &Rig, token: &str, query: &str) -> Value {
    let (status, _, body) = fetch(rig, token, query).await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(status, 200, "{body}");
    body
}

fn hex_digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn actions(section: &Value) -> Vec<String> {
    let items = section["items"].as_array().expect("entries");
    items.iter().map(|item| text(&item["action"])).collect()
}

/// Two tenants with a key each; Bob, admin of the first; something refused.
async fn furnished(rig: &Rig) -> (String, String, String) {
    rig.owner().await;
    let mut ids = Vec::new();
    for name in ["mine", "theirs"] {
        let (tenant, project) = rig.project(name).await;
        let key = json!({"name": format!("{name} | app"), "scopes": ["events:publish"]});
        rig.call("POST", &format!("{project}/keys"), key).await.ok(201);
        ids.push(last_part(&tenant).to_owned());
    }
    let [mine, theirs] = ids.try_into().expect("two");
    let bob = rig.user(BOB).await;
    let given = json!({"user": bob, "role": "admin", "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let device = "a device of nobody that he was ever seen with";
    let wrong = json!({"email": BOB, "password": "wrong password", "device": device});
    let refused = rig.call_as("", "POST", "/v1/auth/login", wrong).await;
    assert_eq!(refused.status.as_u16(), 401, "{}", refused.body);
    rig.trail_of("session.refuse", 1).await;
    let access = rig.access(BOB).await;
    let path = format!("/v1/tenants/{theirs}");
    rig.call_as(&access, "PATCH", &path, json!({"name": "x"})).await;
    settle(rig).await;
    (mine, theirs, access)
}

#[tokio::test]
async fn the_installations_report_has_everybody_and_everything() {
    let rig = Rig::new().await;
    let (mine, _, _) = furnished(&rig).await;
    let made = report(&rig, super::TOKEN, "from=2026-11-20").await;
    assert_eq!((&made["tenant"], &made["made"]["by"]), (&Value::Null, &json!("operator")));
    assert_eq!(made["period"]["from"], "2026-11-20T00:00:00.000Z");
    assert_eq!(made["period"]["to"], made["made"]["at"]);
    let access = &made["access"];
    let people = access["people"]["items"].as_array().expect("people");
    let bob = people.iter().find(|person| person["email"] == BOB).expect("Bob");
    assert_eq!((&bob["second_factor"], &bob["status"]), (&json!(false), &json!("active")));
    assert!(bob["signed_in_at"].is_string(), "{bob}");
    assert_eq!(bob["roles"][0]["role"], "admin");
    assert_eq!(bob["roles"][0]["tenant"], mine.as_str());
    assert_eq!(access["keys"]["total"], 2);
    assert_eq!(access["keys"]["items"][0]["scopes"], json!(["events:publish"]));
    assert_eq!(access["operator_tokens"]["tokens"], 1);
    let changes = actions(&made["access_changes"]);
    for action in ["key.create", "role.grant"] {
        assert!(changes.iter().any(|it| it == action), "{action} in {changes:?}");
    }
    assert!(actions(&made["configuration_changes"]).contains(&"tenant.create".to_owned()));
    let refused = &made["refused"];
    assert_eq!(refused["totals"]["sign_ins"], 1);
    assert_eq!(refused["totals"]["acts"], 1);
    let accounts = refused["by_account"]["items"].as_array().expect("lines");
    assert!(accounts.iter().any(|line| line["email"] == BOB), "{accounts:?}");
    assert!(made["elevated"]["total"].as_u64().expect("a count") > 4, "by an operator's token");
    let severities = made["findings"]["list"]["items"].as_array().expect("findings");
    assert!(severities.iter().any(|it| it["state"] == "open"), "{severities:?}");
    // Nothing brings this rig's records to a log.
    let chain = &made["chain"];
    assert_eq!((&chain["holds"], &chain["checked"]), (&json!(false), &json!(0)));
    assert!(chain["pending"].as_u64().expect("a count") > 10, "{chain}");
    assert_eq!(chain["head"]["hash"].as_str().expect("a hash").len(), 64);
    assert!(!made.to_string().contains("hash_of") && !made.to_string().contains("argon2"));
}

#[tokio::test]
async fn a_tenants_report_is_its_admins_and_nothing_of_others_is_in_it() {
    let rig = Rig::new().await;
    let (mine, theirs, bob) = furnished(&rig).await;
    // His only tenant need not be named.
    for query in ["from=2026-11-20".to_owned(), format!("from=2026-11-20&tenant={mine}")] {
        let made = report(&rig, &bob, &query).await;
        assert_eq!(
            (&made["tenant"]["id"], &made["tenant"]["name"]),
            (&json!(mine), &json!("mine"))
        );
        assert_eq!(made["access"]["people"]["total"], 1);
        assert_eq!(made["access"]["keys"]["total"], 1);
        assert_eq!(made["access"]["operator_tokens"], Value::Null);
        assert_eq!(made["refused"]["totals"]["sign_ins"], 0);
        let text = made.to_string();
        for other in [theirs.as_str(), "theirs", "ann@example.org", "runs-as-root"] {
            assert!(!text.contains(other), "{other} in {text}");
        }
        let notes = made["notes"].as_array().expect("notes");
        assert!(notes.iter().any(|note| text_of(note).contains("belong to no tenant")));
    }
    let (status, _, _) = fetch(&rig, &bob, &format!("from=2026-11-20&tenant={theirs}")).await;
    assert_eq!(status, 403);
    // The tenant's own trail says that it was made; the owner's of the tenant, too.
    report(&rig, super::TOKEN, &format!("from=2026-11-20&tenant={mine}")).await;
    let list = rig.call_as(&bob, "GET", "/v1/audit?action=audit.report", Value::Null).await.ok(200);
    assert_eq!(list["records"].as_array().expect("records").len(), 3);
    assert_eq!(list["records"][0]["actor"], "operator");
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[tokio::test]
async fn each_part_needs_its_own_permission() {
    let rig = Rig::new().await;
    let (mine, _, _) = furnished(&rig).await;
    let all = ["audit", "users", "keys", "tokens", "providers", "approvals", "security"];
    let reading = |parts: &[&str]| -> Vec<String> {
        parts.iter().map(|part| format!("{part}:read")).collect()
    };
    for (number, missing) in all.iter().enumerate() {
        let parts: Vec<&str> = all.into_iter().filter(|part| part != missing).collect();
        let name = format!("lacks {number}");
        let role = json!({"name": name, "permissions": reading(&parts)});
        let role = rig.call("POST", "/v1/roles", role).await.ok(201);
        let email = format!("auditor{number}@example.org");
        let user = rig.user(&email).await;
        let given = json!({"user": user, "role": role["id"], "tenant": mine});
        rig.call("POST", "/v1/role-bindings", given).await.ok(201);
        let access = rig.access(&email).await;
        let path = format!("/v1/audit/compliance?from=2026-11-20&tenant={mine}");
        let refused = rig.call_as(&access, "GET", &path, Value::Null).await;
        refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
        let why = refused.body["error"]["message"].to_string();
        assert!(why.contains(&format!("{missing}:read")), "{why}");
    }
    // All of them, in one project only: there is no report of its tenant.
    let role = json!({"name": "auditor", "permissions": reading(&all)});
    let role = rig.call("POST", "/v1/roles", role).await.ok(201);
    let projects = rig.get(&format!("/v1/tenants/{mine}/projects")).await.ok(200);
    let user = rig.user("eve@example.org").await;
    let project = &projects["projects"][0]["id"];
    let given = json!({"user": user, "role": role["id"], "tenant": mine, "project": project});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let eve = rig.access("eve@example.org").await;
    let path = "/v1/audit/compliance?from=2026-11-20";
    let refused = rig.call_as(&eve, "GET", path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let given = json!({"user": user, "role": role["id"], "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let tenant = format!("from=2026-11-20&tenant={mine}");
    assert_eq!(report(&rig, &eve, &tenant).await["tenant"]["id"], mine.as_str());
}

#[tokio::test]
async fn a_report_is_a_file_whose_digest_is_in_the_trail() {
    let rig = Rig::new().await;
    let (mine, _, _) = furnished(&rig).await;
    for (format, kind, ending) in
        [("json", "application/json", "json"), ("markdown", "text/markdown; charset=utf-8", "md")]
    {
        let query = format!("from=2026-11-01&to=2026-11-21&tenant={mine}&format={format}");
        let (status, headers, bytes) = fetch(&rig, super::TOKEN, &query).await;
        assert_eq!((status, &headers["content-type"]), (200, &kind.parse().expect("a value")));
        let name = format!("mainstem-report-{mine}-2026-11-01-2026-11-21.{ending}");
        let expected = format!("attachment; filename=\"{name}\"");
        assert_eq!(headers["content-disposition"], expected.as_str());
        let noted = &rig.trail("audit.report").await[0];
        assert_eq!(noted["details"]["sha256"], hex_digest(&bytes).as_str(), "{noted}");
        assert_eq!((&noted["details"]["format"], &noted["tenant"]), (&json!(format), &json!(mine)));
        assert_eq!(noted["details"]["from"], "2026-11-01T00:00:00.000Z");
        let text = String::from_utf8(bytes).expect("text");
        match format {
            "json" => assert!(text.starts_with("{\n"), "{text}"),
            _ => assert!(text.contains("`mine ¦ app`"), "names stay in their cells: {text}"),
        }
    }
    for (query, field) in [
        ("", "from"),
        ("from=soon", "from"),
        ("from=2026-11-20&to=2027-01-01", "to"),
        ("from=2026-11-20&to=2026-11-19", "from"),
        ("from=2020-01-01", "from"),
        ("from=2026-11-20&format=pdf", "format"),
        ("from=2026-11-20&tenant=x", "tenant"),
    ] {
        let path = format!("/v1/audit/compliance?{query}");
        rig.get(&path).await.refused(400, "INVALID_REQUEST", field);
    }
    let nowhere = "tenant=ten_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b&from=2026-11-20";
    let refused = rig.get(&format!("/v1/audit/compliance?{nowhere}")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (404, "NOT_FOUND"));
}
