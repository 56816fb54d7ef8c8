//! Roles under conditions, through the real gate: in force or not by where, when and how somebody
//! asks; who may give, loosen and note; what is told and explained; and that it reaches what is
//! open.

use super::people::{DEVICE, PASSWORD};
use super::permissions::BOB;
use super::{Answer, Rig, START_MS, peer, text};
use axum::body::Body;
use futures_util::StreamExt;
use http::Request;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rules::{Circumstances, PersonAttributes, RoleConditions};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;
use tower::ServiceExt;

const EVE: &str = "eve@example.org";

/// An installation with an owner, a tenant, and somebody in it.
struct Town {
    rig: Rig,
    tenant: String,
    path: String,
    bob: String,
    access: String,
}

impl Town {
    async fn new() -> Town {
        let rig = Rig::new().await;
        rig.owner().await;
        let (path, _) = rig.project("acme").await;
        let tenant = super::last_part(&path).to_owned();
        let bob = rig.user(BOB).await;
        let access = rig.access(BOB).await;
        let town = Town { rig, tenant, path, bob, access };
        town.prove(&town.access).await;
        town
    }

    async fn prove(&self, access: &str) {
        let proof = json!({"password": PASSWORD});
        self.rig.call_as(access, "POST", "/v1/auth/elevate", proof).await.ok(200);
    }

    /// The binding by which somebody has a role in the tenant under these conditions.
    async fn give(&self, user: &str, role: &str, conditions: Value) -> String {
        let wish = json!({"user": user, "role": role, "tenant": self.tenant,
            "conditions": conditions});
        let made = self.rig.call("POST", "/v1/role-bindings", wish).await.ok(201);
        format!("/v1/role-bindings/{}", text(&made["id"]))
    }

    async fn bob(&self, method: &str, path: &str, body: Value) -> Answer {
        self.rig.call_as(&self.access, method, path, body).await
    }

    /// From there, over TLS or not.
    async fn from(&self, address: &str, scheme: &str, path: &str) -> Answer {
        let mut peer = peer();
        peer.address = (address.parse::<IpAddr>().unwrap(), 4_000).into();
        peer.is_tls = scheme == "https";
        let request = Request::get(path).header("authorization", format!("Bearer {}", self.access));
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(peer);
        Rig::send(&self.rig.router, request).await
    }

    async fn account(&self) -> Value {
        self.bob("GET", "/v1/account", Value::Null).await.ok(200)
    }
}

#[tokio::test]
async fn a_role_counts_where_its_conditions_hold() {
    let town = Town::new().await;
    let path = town.path.clone();
    let binding = town.give(&town.bob, "support", json!({"networks": ["10.1.0.0/16"]})).await;
    let set = async |conditions: Value| {
        let body = json!({"conditions": conditions});
        town.rig.call("PATCH", &binding, body).await.ok(200)
    };
    town.from("10.1.2.3", "http", &path).await.ok(200);
    let refused = town.from("10.2.2.3", "http", &path).await;
    let hint = text(&refused.body["error"]["details"]["hint"]);
    assert!(hint.contains("not from this network") && !hint.contains("10.1"), "{hint}");
    refused.refused(403, "INSUFFICIENT_SCOPE", "permission");
    // Without the edge in front there is no address.
    town.from("0.0.0.0", "http", &path).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    set(json!({"tls": true})).await;
    town.from("10.2.2.3", "http", &path).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    town.from("10.2.2.3", "https", &path).await.ok(200);
    // It is midnight (UTC) of a Saturday.
    let hours = |day: &str| {
        json!({"hours": {"zone": "Europe/Berlin",
            "windows": [{"days": [day], "from": "01:00", "to": "02:00"}]}})
    };
    set(hours("sun")).await;
    town.bob("GET", &path, Value::Null).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    set(hours("sat")).await;
    town.bob("GET", &path, Value::Null).await.ok(200);
    set(json!({"signed_in_minutes_max": 5})).await;
    town.bob("GET", &path, Value::Null).await.ok(200);
    town.rig.clock.advance(Duration::from_secs(301));
    town.bob("GET", &path, Value::Null).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    town.prove(&town.access).await;
    town.bob("GET", &path, Value::Null).await.ok(200);
    set(json!({"strong_sign_in": true})).await;
    town.bob("GET", &path, Value::Null).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    set(json!({"attributes": {"department": ["ops", "legal"]}})).await;
    town.bob("GET", &path, Value::Null).await.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let book = format!("/v1/users/{}/attributes?tenant={}", town.bob, town.tenant);
    let noted = json!({"attributes": {"department": "ops"}});
    town.rig.call("PUT", &book, noted.clone()).await.ok(200);
    assert_eq!(town.rig.get(&book).await.ok(200), noted);
    town.bob("GET", &path, Value::Null).await.ok(200);
    let told = town.rig.trail("user.attributes").await;
    assert_eq!(told[0]["details"]["after"], json!({"department": "ops"}));
    // And without any it counts always.
    set(json!({})).await;
    assert_eq!(town.rig.get(&binding).await.ok(200)["is_conditional"], false);
    assert!(town.rig.trail("role.condition").await.len() >= 7);
}

#[tokio::test]
async fn ones_own_account_says_what_is_in_force_and_no_secret() {
    let town = Town::new().await;
    let conditions = json!({"networks": ["10.77.0.0/16"], "tls": true});
    town.give(&town.bob, "support", conditions.clone()).await;
    let account = town.account().await;
    let role = &account["roles"][0];
    assert_eq!((&role["in_force"], &role["is_conditional"]), (&json!(false), &json!(true)));
    let unmet: Vec<&str> = role["unmet"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["condition"].as_str().unwrap())
        .collect();
    assert_eq!(unmet, ["networks", "tls"]);
    assert_eq!(account["rights"], json!([]));
    assert!(!account.to_string().contains("10.77"), "{account}");
    // Who looks after him sees them; from where he asks is not known there.
    let seen = town.rig.get(&format!("/v1/users/{}", town.bob)).await.ok(200);
    assert_eq!(seen["roles"][0]["conditions"], conditions);
    assert_eq!(seen["roles"][0]["in_force"], true);
}

#[tokio::test]
async fn conditions_that_mean_nothing_are_told_by_their_field() {
    let town = Town::new().await;
    let binding = town.give(&town.bob, "support", json!({"tls": true})).await;
    let table = [
        (
            json!({"hours": {"zone": "Mars", "windows": [{"from": "08:00", "to": "09:00"}]}}),
            "conditions.hours.zone",
        ),
        (json!({"signed_in_minutes_max": 0}), "conditions.signed_in_minutes_max"),
        (json!({"attributes": {"Department": ["ops"]}}), "conditions.attributes"),
    ];
    for (conditions, field) in table {
        let body = json!({"conditions": conditions});
        let answer = town.rig.call("PATCH", &binding, body).await;
        answer.refused(400, "INVALID_REQUEST", field);
    }
    for conditions in [json!({"networks": ["10.0.0.1/8"]}), json!({"network": []}), Value::Null] {
        let body = json!({"conditions": conditions});
        assert_eq!(town.rig.call("PATCH", &binding, body).await.status.as_u16(), 400);
    }
    // An empty body takes nothing away.
    assert_eq!(town.rig.call("PATCH", &binding, json!({})).await.status.as_u16(), 400);
    let again = json!({"user": town.bob, "role": "support", "tenant": town.tenant});
    let answer = town.rig.call("POST", "/v1/role-bindings", again).await;
    answer.refused(409, "CONFLICT", "conditions");
    let book = format!("/v1/users/{}/attributes?tenant={}", town.bob, town.tenant);
    for (attributes, field) in
        [(json!({"A": "x"}), "attributes"), (json!({"site": ""}), "attributes.site")]
    {
        let answer = town.rig.call("PUT", &book, json!({"attributes": attributes})).await;
        answer.refused(400, "INVALID_REQUEST", field);
    }
    let elsewhere = format!("/v1/users/{}/attributes", town.bob);
    let answer = town.rig.call("PUT", &elsewhere, json!({"attributes": {"a": "x"}})).await;
    answer.refused(409, "CONFLICT", "tenant");
}

#[tokio::test]
async fn the_last_owner_owns_whatever_the_circumstances() {
    let town = Town::new().await;
    let ann = town.rig.get("/v1/users").await.ok(200)["users"][0].clone();
    let own = format!("/v1/role-bindings/{}", text(&ann["roles"][0]["id"]));
    let tls = json!({"conditions": {"tls": true}});
    let refused = town.rig.call("PATCH", &own, tls.clone()).await;
    assert!(text(&refused.body["error"]["details"]["hint"]).contains("another active user"));
    refused.refused(409, "CONFLICT", "conditions");
    let other = json!({"user": town.bob, "role": "owner"});
    town.rig.call("POST", "/v1/role-bindings", other).await.ok(201);
    town.rig.call("PATCH", &own, tls).await.ok(200);
}

#[tokio::test]
async fn nobody_hands_on_under_looser_conditions() {
    let town = Town::new().await;
    let eve = town.rig.user(EVE).await;
    let ops = json!({"networks": ["127.0.0.0/8"], "attributes": {"department": ["ops"]}});
    town.give(&town.bob, "support", Value::Null).await;
    let book = |user: &str| format!("/v1/users/{user}/attributes?tenant={}", town.tenant);
    let noted = json!({"attributes": {"department": "ops"}});
    town.rig.call("PUT", &book(&town.bob), noted.clone()).await.ok(200);
    let own = town.give(&town.bob, "admin", ops.clone()).await;
    let give = async |conditions: Value| {
        let wish = json!({"user": eve, "role": "developer", "tenant": town.tenant,
            "conditions": conditions});
        town.bob("POST", "/v1/role-bindings", wish).await
    };
    let looser = [
        Value::Null,
        json!({}),
        json!({"networks": ["127.0.0.1"]}),
        json!({"networks": ["0.0.0.0/0"], "attributes": {"department": ["ops"]}}),
        json!({"networks": ["127.0.0.1"], "attributes": {"department": ["ops", "sales"]}}),
    ];
    for conditions in looser {
        give(conditions).await.refused(403, "INSUFFICIENT_SCOPE", "conditions");
    }
    let given = json!({"networks": ["127.0.0.1"], "attributes": {"department": ["ops"]}});
    let given = give(given).await.ok(201);
    let path = format!("/v1/role-bindings/{}", text(&given["id"]));
    // Stricter is taking; looser is giving; his own he loosens no more than another's.
    let stricter = json!({"conditions": {"networks": ["127.0.0.1"], "tls": true,
        "attributes": {"department": ["ops"]}}});
    town.bob("PATCH", &path, stricter).await.ok(200);
    for binding in [&path, &own] {
        let always = json!({"conditions": {}});
        town.bob("PATCH", binding, always).await.refused(403, "INSUFFICIENT_SCOPE", "conditions");
    }
    // What he holds under conditions he cannot write into a role that others have without any.
    let role = json!({"name": "wide", "permissions": ["keys:read"]});
    let answer = town.bob("POST", "/v1/roles", role).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
    let provider = json!({"name": "Acme", "issuer": "https://id.example", "client_id": "c",
        "tenant": town.tenant,
        "rules": [{"group": "*", "role": "developer", "tenant": town.tenant}]});
    let answer = town.bob("POST", "/v1/identity-providers", provider).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "INSUFFICIENT_SCOPE"),
        "{}",
        answer.body
    );
    // Noting what lets a role count gives it.
    town.bob("PUT", &book(&eve), noted.clone()).await.ok(200);
    town.give(&eve, "owner", json!({"attributes": {"site": ["hq"]}})).await;
    let answer = town.bob("PUT", &book(&eve), json!({"attributes": {"site": "hq"}})).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "role");
    // And when his own are not in force he gives nothing at all.
    town.rig.call("PUT", &book(&town.bob), json!({"attributes": {}})).await.ok(200);
    let answer = give(ops).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "permission");
}

/// A role that was made may be somebody's under no conditions: who has his own under some widens it
/// not.
#[tokio::test]
async fn what_is_held_under_conditions_is_not_written_into_roles() {
    let town = Town::new().await;
    let role = json!({"name": "keeper", "permissions": ["keys:read"]});
    let role = text(&town.rig.call("POST", "/v1/roles", role).await.ok(201)["id"]);
    let path = format!("/v1/roles/{role}");
    let wish = json!({"user": town.bob, "role": "admin",
        "conditions": {"networks": ["127.0.0.0/8"]}});
    town.rig.call("POST", "/v1/role-bindings", wish).await.ok(201);
    let wider = json!({"permissions": ["keys:read", "keys:write"]});
    let answer = town.bob("PATCH", &path, wider.clone()).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "conditions");
    // Nor does he invite anybody under looser ones.
    let invite = json!({"email": EVE, "role": "support"});
    let answer = town.bob("POST", "/v1/users/invite", invite).await;
    answer.refused(403, "INSUFFICIENT_SCOPE", "conditions");
    let invite = json!({"email": EVE, "role": "support",
        "conditions": {"networks": ["127.0.0.1"], "tls": true}});
    let invited = town.bob("POST", "/v1/users/invite", invite).await.ok(201);
    assert_eq!(invited["role"]["is_conditional"], true);
    town.rig.call("PATCH", &path, wider).await.ok(200);
}

#[tokio::test]
async fn the_question_is_answered_with_what_decides() {
    let town = Town::new().await;
    let office = json!({"networks": ["10.1.0.0/16"], "strong_sign_in": true,
        "hours": {"zone": "Europe/Berlin",
            "windows": [{"days": ["mon"], "from": "08:00", "to": "18:00"}]}});
    let binding = town.give(&town.bob, "developer", office).await;
    let path = format!("/v1/users/{}/explain", town.bob);
    let ask = async |more: Value| {
        let mut body = json!({"permission": "keys:write", "tenant": town.tenant});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        town.rig.call("POST", &path, body).await
    };
    // Monday morning, nine in Berlin.
    let at = START_MS + (2 * 24 + 8) * 3_600_000;
    let inside = json!({"address": "10.1.9.9", "at": at, "strong_sign_in": true});
    let yes = ask(inside.clone()).await.ok(200);
    assert_eq!((&yes["is_allowed"], &yes["is_complete"]), (&json!(true), &json!(true)));
    assert_eq!(text(&yes["decided_by"]), super::last_part(&binding));
    let no = ask(json!({"address": "10.2.9.9", "at": at})).await.ok(200);
    assert_eq!((&no["is_allowed"], &no["decided_by"]), (&json!(false), &Value::Null));
    let lacking = no["considered"][0]["role"]["unmet"].as_array().unwrap();
    let lacking: Vec<&Value> = lacking.iter().map(|it| &it["condition"]).collect();
    assert_eq!(lacking, ["networks", "strong_sign_in"]);
    assert!(text(&no["reason"]).contains("not from this network"), "{no}");
    let other = ask(json!({"permission": "tenants:delete"})).await.ok(200);
    assert_eq!(other["considered"][0]["lacks"], "permission");
    assert_eq!(other["reason"], "no role allows it there");
    ask(json!({"permission": "keys:eat"})).await.refused(400, "INVALID_REQUEST", "permission");
    town.rig.call("POST", &format!("/v1/users/{}/disable", town.bob), Value::Null).await.ok(200);
    assert_eq!(ask(inside).await.ok(200)["reason"], "the user is disabled");
    // Somebody of another tenant is not there; somebody of this one sees no roles elsewhere.
    let eve = town.rig.user(EVE).await;
    town.give(&eve, "admin", Value::Null).await;
    let everywhere = json!({"user": eve, "role": "support"});
    town.rig.call("POST", "/v1/role-bindings", everywhere).await.ok(201);
    let fay = town.rig.user("fay@example.org").await;
    town.give(&fay, "admin", Value::Null).await;
    let access = town.rig.access("fay@example.org").await;
    let body = json!({"permission": "audit:read", "tenant": town.tenant});
    let of_eve = format!("/v1/users/{eve}/explain");
    let seen = town.rig.call_as(&access, "POST", &of_eve, body.clone()).await.ok(200);
    assert_eq!(seen["considered"].as_array().unwrap().len(), 1);
    assert_eq!(seen["is_complete"], false);
    let ann = text(&town.rig.get("/v1/users").await.ok(200)["users"][0]["id"]);
    let of_ann = format!("/v1/users/{ann}/explain");
    let answer = town.rig.call_as(&access, "POST", &of_ann, body).await;
    answer.refused(404, "NOT_FOUND", "");
}

/// What was asked for inside the hours is carried out after them, as in those circumstances; what a
/// role outside of them would have given is not.
#[tokio::test]
async fn an_approved_act_is_carried_out_as_it_was_asked_for() {
    let town = Town::new().await;
    let mut worker = town.rig.control.open().1;
    let eve = town.rig.user(EVE).await;
    let role = json!({"name": "giver", "permissions": ["roles:write"]});
    let role = text(&town.rig.call("POST", "/v1/roles", role).await.ok(201)["id"]);
    let minute = json!({"hours": {"windows": [{"from": "00:00", "to": "00:02"}]}});
    town.give(&town.bob, &role, Value::Null).await;
    let own = town.give(&town.bob, "support", minute.clone()).await;
    let mark = format!("/v1/approval-rules/give_role?tenant={}", town.tenant);
    town.rig.call("PUT", &mark, json!({})).await.ok(200);
    let ann = town.rig.access("ann@example.org").await;
    town.prove(&ann).await;
    let wish = json!({"user": eve, "role": "support", "tenant": town.tenant,
        "conditions": minute});
    let ask = async || {
        let asked = town.bob("POST", "/v1/role-bindings", wish.clone()).await.ok(202);
        format!("/v1/approvals/{}", text(&asked["approval"]["id"]))
    };
    let inside = ask().await;
    town.rig.clock.advance(Duration::from_secs(121));
    let outside = ask().await;
    for approval in [&inside, &outside] {
        let approve = format!("{approval}/approve");
        town.rig.call_as(&ann, "POST", &approve, json!({"comment": ""})).await.ok(200);
    }
    worker.turn().await.unwrap();
    let state = async |path: &String| town.rig.get(path).await.ok(200)["state"].clone();
    assert_eq!(state(&inside).await, "done");
    assert_eq!(state(&outside).await, "failed");
    town.rig.call("DELETE", &own, Value::Null).await.ok(204);
}

#[tokio::test]
async fn an_open_stream_ends_within_a_second_of_its_role() {
    let town = Town::new().await;
    let wish = json!({"user": town.bob, "role": "support",
        "conditions": {"hours": {"windows": [{"from": "00:00", "to": "00:05"}]}}});
    town.rig.call("POST", "/v1/role-bindings", wish).await.ok(201);
    let path = "/v1/logs/stream";
    let request = Request::get(path).header("authorization", format!("Bearer {}", town.access));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(peer());
    let response = town.rig.router.clone().oneshot(request).await.expect("routers do not fail");
    assert_eq!(response.status().as_u16(), 200);
    let mut body = response.into_body().into_data_stream();
    // Nobody touches the role: its hours end.
    town.rig.clock.advance(Duration::from_secs(300));
    let began = std::time::Instant::now();
    let over = async { while body.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), over).await.expect("an end");
    // A generous reading of a second: the machine may be busy.
    assert!(began.elapsed() < Duration::from_secs(5));
}

fn drawn() -> impl Strategy<Value = Value> {
    let networks = prop::sample::subsequence(vec!["127.0.0.0/8", "10.0.0.0/8"], 0..=2);
    let hours = prop::option::of(prop::sample::select(vec!["00:00", "12:00"]));
    let minutes = prop::option::of(1u32..30);
    let sites = prop::option::of(prop::sample::subsequence(vec!["hq", "lab"], 1..=2));
    (networks, hours, any::<bool>(), minutes, any::<bool>(), sites).prop_map(
        |(networks, hours, strong, minutes, tls, sites)| {
            let mut made = json!({"networks": networks, "tls": tls, "strong_sign_in": strong});
            if let Some(from) = hours {
                made["hours"] = json!({"windows": [{"from": from, "to": "12:01"}]});
            }
            if let Some(minutes) = minutes {
                made["signed_in_minutes_max"] = json!(minutes);
            }
            if let Some(sites) = sites {
                made["attributes"] = json!({"site": sites});
            }
            made
        },
    )
}

/// **Feature: realtime-saas-platform, Property 25: a role change takes effect at once in all live
/// sessions**
#[test]
fn changed_conditions_count_at_once_in_all_sessions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (town, second, binding) = runtime.block_on(async {
        let town = Town::new().await;
        let binding = town.give(&town.bob, "support", Value::Null).await;
        let book = format!("/v1/users/{}/attributes?tenant={}", town.bob, town.tenant);
        town.rig.call("PUT", &book, json!({"attributes": {"site": "hq"}})).await.ok(200);
        let second = town.rig.log_in(BOB, DEVICE).await.ok(200);
        let second = text(&second["access_token"]);
        (town, second, binding)
    });
    let noted: PersonAttributes = [("site".to_owned(), "hq".to_owned())].into();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let case = prop::collection::vec(drawn(), 1..4);
    let outcome = runner.run(&case, |changes| {
        runtime.block_on(async {
            for conditions in changes {
                let body = json!({"conditions": conditions.clone()});
                town.rig.call("PATCH", &binding, body).await.ok(200);
                let read: RoleConditions = serde_json::from_value(conditions).unwrap();
                let here = Circumstances {
                    now: START_MS,
                    address: Some([127, 0, 0, 1].into()),
                    is_tls: false,
                    is_strong: false,
                    proven_at: Some(START_MS),
                };
                let unmet = read.unmet(&here, &noted);
                let expected = if unmet.is_empty() { 200 } else { 403 };
                for session in [&town.access, &second] {
                    let answer = town.rig.call_as(session, "GET", &town.path, Value::Null).await;
                    assert_eq!(answer.status.as_u16(), expected, "{}", answer.body);
                }
                let role = &town.account().await["roles"][0];
                let told = role["unmet"].as_array().unwrap().iter();
                let told: Vec<&str> = told.map(|it| it["condition"].as_str().unwrap()).collect();
                assert_eq!(told, unmet.iter().map(|it| it.name()).collect::<Vec<_>>());
            }
        });
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn who_changes_conditions_may_say_which_he_saw() {
    let town = Town::new().await;
    let first = json!({"networks": ["10.1.0.0/16"], "tls": true});
    let binding = town.give(&town.bob, "support", first).await;
    let patch = async |tag: Option<&str>, body: Value| {
        let mut request = Rig::request("PATCH", &binding, body.to_string());
        if let Some(tag) = tag {
            request.headers_mut().insert("if-match", tag.parse().expect("a value"));
        }
        Rig::send(&town.rig.router, request).await
    };
    let read = async || {
        let answer = town.rig.get(&binding).await;
        let tag = answer.headers["etag"].to_str().expect("text").to_owned();
        assert_eq!(tag, format!("\"{}\"", text(&answer.body["version"])));
        tag
    };
    let tls = || json!({"conditions": {"tls": true}});
    let before = read().await;
    let answer = patch(Some(&before), tls()).await;
    assert_eq!(answer.headers["etag"], read().await.as_str());
    let made = answer.ok(200);
    assert_ne!(text(&made["version"]), before.trim_matches('"'));
    // Who saw the conditions before that is told, by header and by body.
    for (tag, version) in [(Some(before.as_str()), None), (None, Some(before.trim_matches('"')))] {
        let late = json!({"conditions": {}, "version": version});
        patch(tag, late).await.refused(409, "CONFLICT", "if-match");
    }
    assert_eq!(town.rig.get(&binding).await.ok(200)["conditions"], json!({"tls": true}));
    // The list of users tells the same version, and the header goes before the body.
    let user = town.rig.get(&format!("/v1/users/{}", town.bob)).await.ok(200);
    let roles = user["roles"].as_array().expect("roles");
    let role = roles.iter().find(|role| binding.ends_with(&text(&role["id"]))).expect("it");
    assert_eq!(role["version"], made["version"]);
    let own = json!({"conditions": {}, "version": role["version"]});
    patch(Some(&before), own.clone()).await.refused(409, "CONFLICT", "if-match");
    assert_eq!(text(&patch(Some("*"), own).await.ok(200)["version"]), "always");
    // Without a version whoever comes last wins, as before.
    patch(None, tls()).await.ok(200);
}
