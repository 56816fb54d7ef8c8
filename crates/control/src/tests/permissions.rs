//! Every route says what it needs, and nobody gets further than his roles allow: walked through
//! from the API's own description, so that no route can be forgotten.

use super::gate::document;
use super::{Rig, TOKEN, text};
use rules::Permission;
use serde_json::{Value, json};

#[tokio::test]
async fn every_route_declares_what_it_needs() {
    let rig = Rig::new().await;
    let document = document(&rig).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needs = operation["x-permission"].as_str();
            let needs = needs.unwrap_or_else(|| panic!("{method} {path} declares no permission"));
            let is_known = Permission::named(needs).is_some();
            let is_word = matches!(needs, "none" | "session" | "operator");
            assert!(is_known || is_word, "{method} {path} needs `{needs}`, which is nothing");
            if needs == "none" {
                let is_sign_in = path.starts_with("/v1/auth/") || path == "/v1/setup";
                assert!(is_sign_in, "{method} {path} is open to anybody");
            }
            if let Some(checked) = operation["x-checked"].as_str() {
                assert!(matches!(checked, "handler" | "installation"), "{method} {path}");
            }
        }
    }
    // Operators are let in everywhere.
    rig.call_as(TOKEN, "GET", "/v1/tenants", Value::Null).await.ok(200);
}

#[tokio::test]
async fn the_owner_does_what_operators_do() {
    let rig = Rig::new().await;
    let ann = rig.owner().await;
    let access = rig.access("ann@example.org").await;
    let tenant = rig.call_as(&access, "POST", "/v1/tenants", json!({"name": "acme"})).await.ok(201);
    let by = format!("{}:ann@example.org", text(&ann["id"]));
    assert_eq!(rig.trail("tenant.create").await[0]["actor"], by);
    // A deletion needs a fresh proof.
    let path = format!("/v1/tenants/{}", text(&tenant["id"]));
    let refused = rig.call_as(&access, "DELETE", &path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
    let wrong = json!({"password": "wrong password"});
    let refused = rig.call_as(&access, "POST", "/v1/auth/elevate", wrong).await;
    refused.refused(401, "INVALID_TOKEN", "password");
    let proof = json!({"password": super::people::PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    rig.call_as(&access, "DELETE", &path, Value::Null).await.ok(204);
    // And the proof has its time.
    rig.clock.advance(std::time::Duration::from_secs(301));
    let refused = rig.call_as(&access, "DELETE", &path, Value::Null).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "elevated");
}

/// Two tenants with a project each, and a user of the first with this role in it, signed in just
/// now: the tenants' and projects' identifiers and the access token.
struct Neighbours {
    mine: (String, String),
    theirs: (String, String),
    access: String,
    user: String,
}

pub(super) const BOB: &str = "bob@example.org";

async fn neighbours(rig: &Rig, role: &str) -> Neighbours {
    rig.owner().await;
    let ids = |(_, project): (String, String)| {
        let mut parts = project.split('/').skip(3).step_by(2).map(str::to_owned);
        (parts.next().unwrap(), parts.next().unwrap())
    };
    let mine = ids(rig.project("mine").await);
    let theirs = ids(rig.project("theirs").await);
    let user = rig.user(BOB).await;
    let given = json!({"user": user, "role": role, "tenant": mine.0});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let access = rig.access(BOB).await;
    let proof = json!({"password": super::people::PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    Neighbours { mine, theirs, access, user }
}

/// A path of the description with these identifiers in it, and others where it names more.
pub(super) fn filled(path: &str, (tenant, project): &(String, String)) -> String {
    let id = "0190a5c3b1f27d8e9a6b4c2d1e0f3a5b";
    let path = path.replace("{tenant}", tenant).replace("{project}", project);
    let prefixes = [
        ("key", "key"),
        ("signing_key", "sgk"),
        ("revocation", "rev"),
        ("webhook", "whk"),
        ("session", "ses"),
        ("user", "usr"),
        ("passkey", "pky"),
        ("role", "rol"),
        ("binding", "bnd"),
        ("budget", "bud"),
        ("alert_rule", "alr"),
        ("alert_channel", "alc"),
        ("alert_silence", "als"),
        ("approval", "apr"),
        ("acceptance", "acp"),
    ];
    let path = prefixes.iter().fold(path, |path, (name, prefix)| {
        path.replace(&format!("{{{name}}}"), &format!("{prefix}_{id}"))
    });
    let path = path.replace("{plan}", "gold").replace("{act}", "delete_tenant");
    path.replace("{topic}", "orders").replace("{group}", "workers").replace("{connection}", "7")
}

/// Every route of the description that names a tenant, asked by the owner of another one.
#[tokio::test]
async fn another_tenants_owner_is_refused_on_every_route() {
    let rig = Rig::new().await;
    let at = neighbours(&rig, "owner").await;
    let document = document(&rig).await;
    let (mut tenants, mut installation) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let is_own = matches!(operation["x-permission"].as_str(), Some("none" | "session"));
            if is_own || operation["x-checked"] == "handler" {
                continue;
            }
            let path = filled(path, &at.theirs);
            let answer = rig.call_as(&at.access, &method.to_uppercase(), &path, json!({})).await;
            answer.refused(403, "INSUFFICIENT_SCOPE", answer.field());
            if path.contains(&at.theirs.0) { tenants += 1 } else { installation += 1 }
        }
    }
    assert!(tenants >= 35 && installation >= 15, "{tenants} {installation}");
    assert!(rig.changes().is_empty());
}

/// What the handlers themselves check: lists hold only what is one's own, the rest is not there.
#[tokio::test]
async fn lists_hold_only_ones_own_tenant() {
    let rig = Rig::new().await;
    let at = neighbours(&rig, "owner").await;
    let get = async |path: String| rig.call_as(&at.access, "GET", &path, Value::Null).await;
    let tenants = get("/v1/tenants".to_owned()).await.ok(200);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 1);
    assert_eq!(tenants["tenants"][0]["id"], at.mine.0.as_str());
    for path in ["/v1/audit", "/v1/connections", "/v1/users"] {
        get(path.to_owned()).await.ok(200);
        get(format!("{path}?tenant={}", at.mine.0)).await.ok(200);
        let theirs = get(format!("{path}?tenant={}", at.theirs.0)).await;
        theirs.refused(403, "INSUFFICIENT_SCOPE", "permission");
    }
    let trail = get("/v1/audit".to_owned()).await.ok(200);
    for record in trail["records"].as_array().unwrap() {
        assert_eq!(record["tenant"], at.mine.0.as_str());
    }
    let users = get("/v1/users".to_owned()).await.ok(200);
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
    let ann = text(&rig.get("/v1/users").await.ok(200)["users"][0]["id"]);
    get(format!("/v1/users/{ann}")).await.refused(404, "NOT_FOUND", "");
    get(format!("/v1/users/{ann}/sessions")).await.refused(404, "NOT_FOUND", "");
    for verb in ["disable", "enable", "sessions/revoke"] {
        let path = format!("/v1/users/{ann}/{verb}");
        let answer = rig.call_as(&at.access, "POST", &path, Value::Null).await;
        answer.refused(404, "NOT_FOUND", "");
    }
    let gone = rig.call_as(&at.access, "DELETE", &format!("/v1/users/{ann}"), Value::Null).await;
    gone.refused(404, "NOT_FOUND", "");
    let bound = rig.get(&format!("/v1/users/{ann}")).await.ok(200);
    let path = format!("/v1/role-bindings/{}", text(&bound["roles"][0]["id"]));
    rig.call_as(&at.access, "DELETE", &path, Value::Null).await.refused(404, "NOT_FOUND", "");
}

#[tokio::test]
async fn nobody_gives_what_he_does_not_have() {
    let rig = Rig::new().await;
    let at = neighbours(&rig, "admin").await;
    let give = async |body: Value| rig.call_as(&at.access, "POST", "/v1/role-bindings", body).await;
    let eve = rig.user("eve@example.org").await;
    let tenant = at.mine.0.as_str();
    give(json!({"user": eve, "role": "support", "tenant": tenant})).await.ok(201);
    give(json!({"user": eve, "role": "developer", "tenant": tenant, "project": at.mine.1}))
        .await
        .ok(201);
    // Not an owner in his own tenant, nothing elsewhere, and nothing for himself.
    let refused = [
        json!({"user": eve, "role": "owner", "tenant": tenant}),
        json!({"user": at.user, "role": "owner", "tenant": tenant}),
        json!({"user": eve, "role": "support"}),
        json!({"user": at.user, "role": "support"}),
        json!({"user": eve, "role": "support", "tenant": at.theirs.0}),
        json!({"user": eve, "role": "support", "tenant": at.theirs.0, "project": at.theirs.1}),
    ];
    for body in refused {
        let answer = give(body).await;
        answer.refused(403, "INSUFFICIENT_SCOPE", answer.field());
    }
    give(json!({"user": eve, "role": "king", "tenant": tenant})).await.refused(
        400,
        "INVALID_REQUEST",
        "role",
    );
    // Nor does he touch an owner of his tenant.
    let given = json!({"user": eve, "role": "owner", "tenant": tenant});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let path = format!("/v1/users/{eve}/disable");
    let answer = rig.call_as(&at.access, "POST", &path, Value::Null).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
    // The installation's limits are not the tenant's to set.
    let path = format!("/v1/tenants/{tenant}/projects/{}", at.mine.1);
    let limits = json!({"limits": {"connections_max": 1}});
    let answer = rig.call_as(&at.access, "PATCH", &path, limits).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
    rig.call_as(&at.access, "PATCH", &path, json!({"name": "renamed"})).await.ok(200);
}

/// By way of the API itself; `properties` has the many cases.
#[tokio::test]
async fn a_changed_role_counts_with_the_next_request() {
    let rig = Rig::new().await;
    let at = neighbours(&rig, "support").await;
    let path = format!("/v1/tenants/{}/projects", at.mine.0);
    let try_all = async |expected: (u16, u16)| {
        let read = rig.call_as(&at.access, "GET", &path, Value::Null).await.status.as_u16();
        let body = json!({"name": uuid::Uuid::now_v7().to_string()});
        let write = rig.call_as(&at.access, "POST", &path, body).await.status.as_u16();
        assert_eq!((read, write), expected);
    };
    try_all((200, 403)).await;
    let role = json!({"name": "builder", "permissions": ["projects:write"]});
    let role = text(&rig.call("POST", "/v1/roles", role).await.ok(201)["id"]);
    let given = json!({"user": at.user, "role": role, "tenant": at.mine.0});
    let given = rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    try_all((200, 201)).await;
    let narrower = json!({"permissions": ["keys:read"]});
    rig.call("PATCH", &format!("/v1/roles/{role}"), narrower).await.ok(200);
    try_all((200, 403)).await;
    let wider = json!({"permissions": ["projects:write"]});
    rig.call("PATCH", &format!("/v1/roles/{role}"), wider).await.ok(200);
    rig.call("DELETE", &format!("/v1/roles/{role}"), Value::Null)
        .await
        .refused(409, "CONFLICT", "");
    let binding = format!("/v1/role-bindings/{}", text(&given["id"]));
    rig.call("DELETE", &binding, Value::Null).await.ok(204);
    try_all((200, 403)).await;
    rig.call("POST", &format!("/v1/users/{}/disable", at.user), Value::Null).await.ok(200);
    try_all((401, 401)).await;
    rig.call("POST", &format!("/v1/users/{}/enable", at.user), Value::Null).await.ok(200);
    try_all((401, 401)).await;
    rig.access(BOB).await;
}

#[tokio::test]
async fn roles_are_listed_and_checked() {
    let rig = Rig::new().await;
    let list = rig.get("/v1/roles").await.ok(200);
    let names: Vec<String> =
        list["roles"].as_array().unwrap().iter().map(|r| text(&r["name"])).collect();
    assert_eq!(names, ["owner", "admin", "developer", "billing", "support"]);
    let all = rig.get("/v1/permissions").await.ok(200);
    assert_eq!(all["permissions"].as_array().unwrap().len(), Permission::ALL.len());
    let none = json!({"name": "x", "permissions": []});
    rig.call("POST", "/v1/roles", none).await.refused(400, "INVALID_REQUEST", "permissions");
    let unknown = json!({"name": "x", "permissions": ["topics:eat"]});
    rig.call("POST", "/v1/roles", unknown).await.refused(400, "INVALID_REQUEST", "permissions");
    let taken = json!({"name": "Owner", "permissions": ["topics:read"]});
    rig.call("POST", "/v1/roles", taken).await.refused(409, "CONFLICT", "name");
}

#[test]
fn the_reference_names_every_permission_and_route() {
    let page = crate::permissions_reference();
    for permission in Permission::ALL {
        assert!(page.contains(&format!("| `{}` |", permission.name())), "{permission:?}");
    }
    assert!(page.contains("| `DELETE /v1/tenants/{tenant}` | `tenants:delete` | tenant, after"));
    assert!(page.contains("| `GET /v1/tenants` | `tenants:read` | where it is held |"));
}
