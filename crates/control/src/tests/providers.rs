//! Who may set up which provider, and what is shown of it.

use super::people::PASSWORD;
use super::provider_sign_in::set_up;
use super::rig_provider::{CLIENT, FakeProvider, SECRET};
use super::{Rig, START_MS, text};
use serde_json::{Value, json};

const LIST: &str = "/v1/identity-providers";

/// A user with this role in this tenant, signed in and elevated.
async fn member(rig: &Rig, email: &str, role: &str, tenant: &str) -> String {
    let user = rig.user(email).await;
    let given = json!({"user": user, "role": role, "tenant": tenant});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let access = rig.access(email).await;
    let proof = json!({"password": PASSWORD});
    rig.call_as(&access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    access
}

fn wish(fake: &FakeProvider, tenant: &str) -> Value {
    json!({
        "tenant": tenant, "name": "Acme", "issuer": fake.issuer, "client_id": CLIENT,
        "client_secret": SECRET, "admits_unknown": true, "groups_claim": "groups",
    })
}

#[tokio::test]
async fn a_tenant_sees_and_sets_up_its_own_only() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let (mine, theirs) = (rig.tenant("mine").await, rig.tenant("theirs").await);
    let access = member(&rig, "bob@mine.example", "admin", &mine).await;
    let own = rig.call_as(&access, "POST", LIST, wish(&fake, &mine)).await.ok(201);
    let other = set_up(&rig, &fake, json!({"tenant": theirs})).await;
    let general = set_up(&rig, &fake, json!({})).await;
    let refused = rig.call_as(&access, "POST", LIST, wish(&fake, &theirs)).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let mut everywhere = wish(&fake, &mine);
    everywhere.as_object_mut().unwrap().remove("tenant");
    let refused = rig.call_as(&access, "POST", LIST, everywhere).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let listed = rig.call_as(&access, "GET", LIST, Value::Null).await.ok(200);
    assert_eq!(listed["identity_providers"].as_array().unwrap().len(), 1);
    assert_eq!(listed["identity_providers"][0]["id"], own["id"]);
    for hidden in [&other, &general] {
        let path = format!("{LIST}/{}", text(&hidden["id"]));
        let test = format!("{path}/test");
        for (method, path) in [("GET", &path), ("PATCH", &path), ("DELETE", &path), ("POST", &test)]
        {
            let body = if method == "PATCH" { json!({"name": "x"}) } else { Value::Null };
            rig.call_as(&access, method, path, body).await.refused(404, "NOT_FOUND", "");
        }
    }
    // Support sees it and changes nothing.
    let eve = member(&rig, "eve@mine.example", "support", &mine).await;
    let path = format!("{LIST}/{}", text(&own["id"]));
    rig.call_as(&eve, "GET", &path, Value::Null).await.ok(200);
    rig.call_as(&eve, "DELETE", &path, Value::Null).await.refused(
        403,
        "INSUFFICIENT_SCOPE",
        "permission",
    );
    let pages = rig.get(&format!("{LIST}?limit=2")).await.ok(200);
    let cursor = text(&pages["next_cursor"]);
    let rest = rig.get(&format!("{LIST}?limit=2&cursor={cursor}")).await.ok(200);
    assert_eq!(rest["identity_providers"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    // With its tenant it goes.
    let trail = rig.trail("provider.create").await;
    assert!(trail.iter().all(|record| !record.to_string().contains("s3cret")));
}

#[tokio::test]
async fn rules_give_what_their_writer_could_give_and_in_his_tenant() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let (mine, theirs) = (rig.tenant("mine").await, rig.tenant("theirs").await);
    let access = member(&rig, "bob@mine.example", "admin", &mine).await;
    let with = |rules: Value| {
        let mut wish = wish(&fake, &mine);
        wish["rules"] = rules;
        wish
    };
    let try_rule =
        async |rule: Value| rig.call_as(&access, "POST", LIST, with(json!([rule]))).await;
    let refused = try_rule(json!({"group": "g", "role": "owner"})).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "rules[0].role");
    let refused = try_rule(json!({"group": "g", "role": "support", "tenant": theirs})).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "rules[0].role");
    let refused = try_rule(json!({"group": "g", "role": "king"})).await;
    refused.refused(400, "INVALID_REQUEST", "rules[0].role");
    let made = try_rule(json!({"group": "g", "role": "admin"})).await.ok(201);
    assert!(made["ceiling"].is_array());
    // An operator who writes it may give rules, yet of the tenant's provider in the tenant only.
    let body = with(json!([{"group": "g", "role": "support", "tenant": theirs}]));
    rig.call("POST", LIST, body).await.refused(400, "INVALID_REQUEST", "rules");
    let mut owners = with(json!([{"group": "g", "role": "owner"}]));
    owners.as_object_mut().unwrap().remove("tenant");
    rig.call("POST", LIST, owners).await.refused(400, "INVALID_REQUEST", "rules");
    // The admin's provider opens no owner's account, and gives nobody what an owner may.
    let carol = rig.user("carol@mine.example").await;
    let given = json!({"user": carol, "role": "owner", "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    fake.vouch("s-1", "carol@mine.example", &[]);
    rig.come_by(&fake, &made).await.refused(401, "INVALID_TOKEN", "account");
    fake.vouch("s-2", "dan@mine.example", &["g"]);
    let dan = rig.access_by(&fake, &made).await;
    let user = rig.account(&dan).await["user"]["id"].clone();
    let given = json!({"user": user, "role": "owner", "tenant": mine});
    rig.call("POST", "/v1/role-bindings", given).await.ok(201);
    let account = rig.account(&dan).await;
    let may: Vec<&Value> =
        account["rights"].as_array().unwrap().iter().map(|held| &held["permissions"]).collect();
    assert!(!may.is_empty());
    assert!(may.iter().all(|set| !set.to_string().contains("tenants:delete")), "{may:?}");
    // To be offered for a domain the installation has to agree, and to each change of domains.
    let path = format!("{LIST}/{}", text(&made["id"]));
    let offered = json!({"is_offered": true, "domains": ["mine.example"]});
    let refused = rig.call_as(&access, "PATCH", &path, offered.clone()).await;
    refused.refused(403, "INSUFFICIENT_SCOPE", "is_offered");
    assert_eq!(rig.call("PATCH", &path, offered).await.ok(200)["is_offered"], true);
    let renamed = rig.call_as(&access, "PATCH", &path, json!({"name": "Mine"})).await.ok(200);
    assert_eq!((&renamed["is_offered"], &renamed["name"]), (&json!(true), &json!("Mine")));
    let wider = json!({"domains": ["mine.example", "theirs.example"]});
    let changed = rig.call_as(&access, "PATCH", &path, wider).await.ok(200);
    assert_eq!(changed["is_offered"], false);
}

#[tokio::test]
async fn what_is_offered_tells_nobody_who_has_an_account() {
    let rig = Rig::new().await;
    rig.owner().await;
    let fake = FakeProvider::start(START_MS).await;
    let tenant = rig.tenant("acme").await;
    let more = json!({"tenant": tenant, "domains": ["acme.example"], "is_offered": true});
    let own = set_up(&rig, &fake, more).await;
    let general = set_up(&rig, &fake, json!({"name": "House"})).await;
    set_up(&rig, &fake, json!({"name": "Off", "is_enabled": false})).await;
    rig.user("bob@acme.example").await;
    let offers = async |query: &str| {
        let path = format!("/v1/auth/providers{query}");
        let offers = rig.call_as("", "GET", &path, Value::Null).await.ok(200);
        let ids = offers["providers"].as_array().unwrap().iter().map(|it| it["id"].clone());
        ids.collect::<Vec<Value>>()
    };
    let house = vec![general["id"].clone()];
    let both = vec![general["id"].clone(), own["id"].clone()];
    assert_eq!(offers("").await, house);
    assert_eq!(offers("?email=ann@example.org").await, house);
    assert_eq!(offers("?email=nobody@example.org").await, house);
    assert_eq!(offers("?email=rubbish").await, house);
    assert_eq!(offers("?email=bob@ACME.example").await, both);
    assert_eq!(offers("?email=nobody@acme.example").await, both);
    assert_eq!(offers(&format!("?tenant={tenant}")).await, both);
}

#[tokio::test]
async fn what_is_set_up_is_checked_and_tried_out() {
    let rig = Rig::new().await;
    let fake = FakeProvider::start(START_MS).await;
    let tenant = rig.tenant("acme").await;
    let bad = [
        ("issuer", json!("ftp://login.example.org"), "issuer"),
        ("issuer", json!("http://login.example.org"), "issuer"),
        ("issuer", json!("https://10.1.2.3"), "issuer"),
        ("issuer", json!("https://login.example.org/?x=1"), "issuer"),
        ("client_id", json!(""), "client_id"),
        ("client_secret", json!(""), "client_secret"),
        ("domains", json!(["no domain"]), "domains"),
        ("scopes", json!(["two words"]), "scopes"),
        ("name", json!(""), "name"),
        ("groups_claim", json!(""), "groups_claim"),
        ("wrong", json!(1), "wrong"),
    ];
    for (name, value, field) in bad {
        let mut body = wish(&fake, &tenant);
        body[name] = value.clone();
        let answer = rig.call("POST", LIST, body).await;
        assert_eq!((answer.status.as_u16(), answer.field()), (400, field), "{}", answer.body);
    }
    let mut ungrouped = wish(&fake, &tenant);
    ungrouped["rules"] = json!([{"group": "g", "role": "support"}]);
    ungrouped["groups_claim"] = Value::Null;
    rig.call("POST", LIST, ungrouped).await.refused(400, "INVALID_REQUEST", "groups_claim");
    let made = rig.call("POST", LIST, wish(&fake, &tenant)).await.ok(201);
    let path = format!("{LIST}/{}", text(&made["id"]));
    let test = async || rig.call("POST", &format!("{path}/test"), Value::Null).await.ok(200);
    let tried = test().await;
    assert_eq!(tried["is_good"], true, "{tried}");
    let what: Vec<&Value> =
        tried["steps"].as_array().unwrap().iter().map(|step| &step["what"]).collect();
    assert_eq!(what, ["discovery", "keys", "client"]);
    rig.call("PATCH", &path, json!({"client_secret": "another"})).await.ok(200);
    let tried = test().await;
    assert_eq!((&tried["is_good"], &tried["steps"][2]["is_good"]), (&json!(false), &json!(false)));
    // A secret goes with its client and nowhere else.
    let moved = rig.call("PATCH", &path, json!({"client_id": "other"})).await;
    moved.refused(400, "INVALID_REQUEST", "client_secret");
    let moved = json!({"client_id": "other", "client_secret": null});
    assert_eq!(rig.call("PATCH", &path, moved).await.ok(200)["has_client_secret"], false);
    let issuer = rig.call("PATCH", &path, json!({"issuer": "https://other.example"})).await;
    issuer.refused(400, "UNKNOWN_FIELD", "issuer");
}
