//! Access lists through the admin API: written, changed, compared, gone back to, tried, explained;
//! and only by those who may, where they may.

use super::permissions::BOB;
use super::{Rig, text};
use http::StatusCode;
use port::Change;
use serde_json::{Value, json};

fn entry(id: &str, effect: &str, topic: &str) -> Value {
    json!({"id": id, "effect": effect, "principals": ["*"], "operations": ["publish"],
        "topic": {"literal": topic}})
}

/// `/v1/acl` of a project, by its path under `/v1/tenants`.
fn at(project_path: &str, rest: &str) -> String {
    let ids: Vec<&str> = project_path.split('/').skip(3).step_by(2).collect();
    format!("/v1/acl{rest}?tenant={}&project={}", ids[0], ids[1])
}

#[tokio::test]
async fn a_list_is_written_changed_compared_and_gone_back_to() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("acme").await;
    let acl = at(&project, "");
    let none = rig.get(&acl).await.ok(200);
    assert_eq!(none, json!({"version": 0, "list": null, "about": null}));
    rig.changes();
    let body = json!({"list": {"entries": [entry("a", "allow", "orders")]}, "note": "first"});
    let answer = rig.call("PUT", &acl, body).await;
    assert_eq!(answer.headers["etag"], "\"1\"");
    let made = answer.ok(200);
    assert_eq!((&made["version"], &made["note"]), (&json!(1), &json!("first")));
    assert!(matches!(rig.changes()[..], [Change::Project(_)]), "the node is told");

    let patch = json!({"version": 1, "note": "second", "add": [entry("b", "deny", "orders")],
        "replace": [entry("a", "allow", "invoices")], "groups": {"g": ["jwt:ann"]},
        "default": "allow"});
    rig.call("PATCH", &acl, patch.clone()).await.ok(200);
    rig.call("PATCH", &acl, patch).await.refused(409, "CONFLICT", "add[0].id");
    let stale = json!({"version": 1, "remove": ["a"]});
    rig.call("PATCH", &acl, stale).await.refused(409, "CONFLICT", "version");
    let stale = json!({"version": 1, "list": null});
    rig.call("PUT", &acl, stale).await.refused(409, "CONFLICT", "version");
    let gone = json!({"remove": ["zz"]});
    rig.call("PATCH", &acl, gone).await.refused(404, "NOT_FOUND", "remove[0]");
    let now = rig.get(&acl).await.ok(200);
    assert_eq!(now["version"], 2, "what was refused changed nothing");
    assert_eq!(now["list"]["entries"][0]["topic"]["literal"], "invoices");
    assert_eq!(now["list"]["default"], "allow");

    let diff = rig.get(&at(&project, "/diff")).await.ok(200);
    assert_eq!((&diff["from"], &diff["to"]), (&json!(1), &json!(2)));
    assert_eq!(diff["added"][0]["id"], "b");
    assert_eq!(diff["changed"][0]["before"]["topic"]["literal"], "orders");
    assert_eq!(diff["groups"]["g"]["added"], json!(["jwt:ann"]));
    let whole = rig.get(&format!("{}&from=0&to=1", at(&project, "/diff"))).await.ok(200);
    assert_eq!(whole["added"][0]["id"], "a");

    let back = rig.call("POST", &at(&project, "/rollback"), json!({"version": 1})).await.ok(200);
    assert_eq!((&back["version"], &back["note"]), (&json!(3), &json!("back to version 1")));
    assert_eq!(rig.get(&acl).await.ok(200)["list"]["entries"][0]["topic"]["literal"], "orders");
    let versions = rig.get(&format!("{}&limit=2", at(&project, "/versions"))).await.ok(200);
    assert_eq!(versions["versions"][0]["version"], 3);
    let cursor = text(&versions["next_cursor"]);
    let path = format!("{}&limit=2&cursor={cursor}", at(&project, "/versions"));
    assert_eq!(rig.get(&path).await.ok(200)["versions"][0]["version"], 1);
    let trail = rig.trail("acl.update").await;
    assert_eq!(trail.len(), 3);
    assert_eq!(trail[1]["details"]["change"]["added"], json!({"count": 1, "entries": ["b"]}));
    rig.call("PUT", &acl, json!({"list": null})).await.ok(200);
    assert_eq!(rig.get(&acl).await.ok(200)["list"], Value::Null);
    assert_eq!(rig.trail("acl.remove").await.len(), 1);
}

#[tokio::test]
async fn the_tag_of_what_was_read_guards_a_change() {
    let rig = Rig::new().await;
    let put = |tag: &str| {
        let mut request = Rig::request("PUT", "/v1/acl", "{\"list\": {\"entries\": []}}");
        request.headers_mut().insert("if-match", tag.parse().expect("a header"));
        Rig::send(&rig.router, request)
    };
    put("\"0\"").await.ok(200);
    put("\"0\"").await.refused(409, "CONFLICT", "version");
    put("\"1\"").await.ok(200);
    put("*").await.ok(200);
    put("W/x").await.refused(400, "INVALID_REQUEST", "if-match");
}

#[tokio::test]
async fn what_is_wrong_is_told_by_field_and_what_is_odd_by_trying() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("acme").await;
    let acl = at(&project, "");
    let bad = |list: Value| json!({"list": list});
    let table = [
        (bad(json!({"entries": [entry("a b", "allow", "t")]})), "entries[0].id"),
        (bad(json!({"entries": [entry("a", "allow", "t t")]})), "entries[0].topic.literal"),
    ];
    for (body, field) in table {
        rig.call("PUT", &acl, body).await.refused(400, "INVALID_REQUEST", field);
    }
    let left_out = rig.call("PUT", &acl, json!({"note": "x"})).await;
    assert_eq!(left_out.status, StatusCode::BAD_REQUEST, "a list is not removed by accident");
    let half = format!("/v1/acl?project={}", acl.rsplit_once('=').expect("a query").1);
    rig.get(&half).await.refused(400, "INVALID_REQUEST", "tenant");
    rig.call("POST", &format!("{project}/keys"), json!({"name": "k", "scopes": ["admin:read"]}))
        .await
        .ok(201);
    let mut odd = entry("odd", "allow", "nowhere");
    odd["principals"] = json!(["key:key_0190a5c3b1f27d8e9a6b4c2d1e0f3a5b"]);
    let wide = json!({"id": "wide", "effect": "deny", "principals": ["*"], "operations": ["all"],
        "topic": {"filter": "#"}});
    let list = json!({"entries": [odd, wide, entry("same", "allow", "bad topic")]});
    let found = rig.call("POST", &at(&project, "/validate"), json!({"list": list})).await.ok(200);
    assert_eq!(found["is_valid"], false);
    assert_eq!(found["problems"][0]["field"], "entries[2].topic.literal");
    let fields: Vec<&str> = found["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["entries[0]", "entries[0].topic", "entries[0].principals[0]", "entries[2].topic"]
    );
    assert_eq!(found["changes"]["added"].as_array().unwrap().len(), 3);
    assert_eq!(rig.get(&acl).await.ok(200)["version"], 0, "nothing was changed");
}

#[tokio::test]
async fn entries_are_found_by_what_they_speak_of() {
    let rig = Rig::new().await;
    let mut named = entry("named", "allow", "a");
    named["principals"] = json!(["group:g"]);
    named["note"] = json!("for the Shops");
    let list = json!({"groups": {"g": ["jwt:ann"]},
        "entries": [entry("one", "allow", "a"), named, entry("two", "deny", "b")]});
    rig.call("PUT", "/v1/acl", json!({"list": list})).await.ok(200);
    let table = [
        ("", vec!["one", "named", "two"]),
        ("?effect=deny", vec!["two"]),
        ("?topic=a", vec!["one", "named"]),
        ("?principal=jwt:ann", vec!["one", "named", "two"]),
        ("?principal=jwt:bob", vec!["one", "two"]),
        ("?operation=read", vec![]),
        ("?text=shops", vec!["named"]),
    ];
    for (query, expected) in table {
        let found = rig.get(&format!("/v1/acl/entries{query}")).await.ok(200);
        let ids: Vec<&str> = found["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
        assert_eq!(found["total"], expected.len());
    }
    let first = rig.get("/v1/acl/entries?limit=2").await.ok(200);
    let next = format!("/v1/acl/entries?limit=2&cursor={}", text(&first["next_cursor"]));
    let rest = rig.get(&next).await.ok(200);
    assert_eq!((&rest["entries"][0]["id"], &rest["next_cursor"]), (&json!("two"), &Value::Null));
    rig.get("/v1/acl/entries?efect=deny").await.refused(400, "UNKNOWN_FIELD", "efect");
}

#[tokio::test]
async fn a_decision_is_explained() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("acme").await;
    let made = json!({"name": "k", "scopes": ["events:subscribe"]});
    let key = rig.call("POST", &format!("{project}/keys"), made).await.ok(201);
    let tenant = project.split('/').nth(3).expect("a tenant");
    let deny = json!({"id": "guard", "effect": "deny", "principals": ["*"],
        "operations": ["publish"], "topic": {"literal": "orders"}, "key": {"prefix": "secret/"}});
    let of_tenant = format!("/v1/acl?tenant={tenant}");
    rig.call("PUT", &of_tenant, json!({"list": {"entries": [deny]}})).await.ok(200);
    let mut by_day = entry("by-day", "allow", "orders");
    by_day["when"] = json!({"tls": true, "attributes": {"team": ["red"]}});
    rig.call("PUT", &at(&project, ""), json!({"list": {"entries": [by_day]}})).await.ok(200);
    let explain = at(&project, "/explain");
    let asked = json!({"principal": "jwt:ann", "operation": "publish", "topic": "orders",
        "key": "secret/1", "address": "10.0.0.1", "tls": true, "attributes": {"team": ["red"]}});
    let found = rig.call("POST", &explain, asked.clone()).await.ok(200);
    assert_eq!((&found["is_allowed"], &found["credential"]), (&json!(false), &json!("unknown")));
    assert_eq!(found["decided_by"]["entry"], "guard");
    assert_eq!(found["decided_by"]["list"], "tenant");
    let mut other = asked.clone();
    other["key"] = json!("open/1");
    assert_eq!(rig.call("POST", &explain, other.clone()).await.ok(200)["is_allowed"], true);
    other["attributes"] = json!({});
    let found = rig.call("POST", &explain, other).await.ok(200);
    assert_eq!(found["reason"], "no entry allows it");
    assert_eq!(found["considered"][0]["lacks"], "key");
    assert_eq!(found["considered"][1]["lacks"], "attributes");
    // Of a key its own scopes are known; a draft is asked in place of the list.
    let mut of_key = asked;
    of_key["principal"] = json!(format!("key:{}", text(&key["key"]["id"])));
    of_key["key"] = Value::Null;
    of_key["list"] = json!({"entries": [entry("draft", "allow", "orders")]});
    let found = rig.call("POST", &explain, of_key.clone()).await.ok(200);
    assert_eq!((&found["lists_allow"], &found["is_allowed"]), (&json!(true), &json!(false)));
    assert_eq!(found["credential"], "refused");
    assert!(text(&found["reason"]).contains("events:publish"), "{found}");
    of_key["list"] = json!({"entries": [entry("x y", "allow", "orders")]});
    rig.call("POST", &explain, of_key).await.refused(400, "INVALID_REQUEST", "list.entries[0].id");
}

#[tokio::test]
async fn entries_about_what_kafkas_clients_name_are_checked_and_explained() {
    let rig = Rig::new().await;
    let (_, project) = rig.project("acme").await;
    let made = json!({"name": "k", "scopes": ["events:publish"]});
    let key = rig.call("POST", &format!("{project}/keys"), made).await.ok(201);
    let entry = |more: Value| {
        let mut entry = json!({"id": "e", "effect": "allow", "principals": ["jwt:ann"],
            "operations": ["read"]});
        entry.as_object_mut().expect("it").extend(more.as_object().expect("fields").clone());
        json!({"list": {"entries": [entry]}})
    };
    let (put, name) = (at(&project, ""), json!({"prefix": "bill"}));
    for (bad, field) in [
        (json!({}), "topic"),
        (json!({"consumer_group": name, "topic": {"literal": "t"}}), "topic"),
        (json!({"consumer_group": name, "operations": ["publish"]}), "operations"),
        (json!({"transactional_id": {"literal": ""}}), "transactional_id"),
    ] {
        let answer = rig.call("PUT", &put, entry(bad)).await;
        answer.refused(400, "INVALID_REQUEST", &format!("entries[0].{field}"));
    }
    rig.call("PUT", &put, entry(json!({"consumer_group": name}))).await.ok(200);
    let list = rig.get(&put).await.ok(200);
    assert_eq!(list["list"]["entries"][0]["consumer_group"], name);
    assert_eq!(list["list"]["entries"][0].get("topic"), None);
    let explain = at(&project, "/explain");
    let ask = async |principal: &str, more: Value| {
        let mut asked = json!({"principal": principal, "operation": "read"});
        asked.as_object_mut().expect("it").extend(more.as_object().expect("fields").clone());
        rig.call("POST", &explain, asked).await
    };
    let billing = json!({"consumer_group": "billing"});
    let found = ask("jwt:ann", billing.clone()).await.ok(200);
    assert_eq!((&found["is_allowed"], &found["decided_by"]["entry"]), (&json!(true), &json!("e")));
    let found = ask("jwt:bob", billing.clone()).await.ok(200);
    assert_eq!(
        (&found["is_allowed"], &found["considered"][0]["lacks"]),
        (&json!(false), &json!("principals"))
    );
    let found = ask("jwt:bob", json!({"consumer_group": "orders"})).await.ok(200);
    assert_eq!(found["is_allowed"], true, "nobody was given it: {found}");
    // Whoever may only publish is in no group.
    let key = format!("key:{}", text(&key["key"]["id"]));
    let found = ask(&key, json!({"consumer_group": "orders"})).await.ok(200);
    assert_eq!((&found["lists_allow"], &found["credential"]), (&json!(true), &json!("refused")));
    for bad in [
        json!({}),
        json!({"topic": "t", "consumer_group": "g"}),
        json!({"consumer_group": "g", "key": "k"}),
    ] {
        ask("jwt:ann", bad).await.refused(400, "INVALID_REQUEST", "topic");
    }
}

/// Every request about lists, asked by the owner of another tenant and by somebody who may only
/// look.
#[tokio::test]
async fn lists_are_seen_and_changed_only_where_one_may() {
    let rig = Rig::new().await;
    rig.owner().await;
    let (_, mine) = rig.project("mine").await;
    let (_, theirs) = rig.project("theirs").await;
    let tenant = |path: &str| path.split('/').nth(3).expect("a tenant").to_owned();
    let user = rig.user(BOB).await;
    let give = json!({"user": user, "role": "support", "tenant": tenant(&mine)});
    rig.call("POST", "/v1/role-bindings", give).await.ok(201);
    let access = rig.access(BOB).await;
    let entries = json!({"entries": []});
    let requests = [
        ("GET", "", Value::Null),
        ("PUT", "", json!({"list": entries})),
        ("PATCH", "", json!({"remove": []})),
        ("GET", "/entries", Value::Null),
        ("GET", "/versions", Value::Null),
        ("GET", "/diff", Value::Null),
        ("POST", "/rollback", json!({"version": 1})),
        ("POST", "/validate", json!({"list": entries})),
        ("POST", "/explain", json!({"principal": "jwt:a", "operation": "read", "topic": "t"})),
    ];
    for (method, rest, body) in requests {
        let writes = matches!((method, rest), ("PUT" | "PATCH", _) | (_, "/rollback"));
        let elsewhere = [
            at(&theirs, rest),
            format!("/v1/acl{rest}?tenant={}", tenant(&theirs)),
            format!("/v1/acl{rest}"),
        ];
        for path in elsewhere {
            let answer = rig.call_as(&access, method, &path, body.clone()).await;
            answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
        }
        // Another tenant's project under one's own tenant is no project.
        let (own, other) = (tenant(&mine), theirs.rsplit('/').next().expect("a project"));
        let path = format!("/v1/acl{rest}?tenant={own}&project={other}");
        let answer = rig.call_as(&access, method, &path, body.clone()).await;
        let expected = if writes { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status, expected, "{method} {path}");
        let answer = rig.call_as(&access, method, &at(&mine, rest), body).await;
        let expected = if writes { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(answer.status, expected, "{method} {rest}: {}", answer.body);
    }
}
