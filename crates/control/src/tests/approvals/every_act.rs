//! Every act that the API's description has, drawn from it so that none can be forgotten: marked,
//! it is held and changes nothing; approved, it comes to what it would have come to at once.

use super::super::gate::document;
use super::super::permissions::filled;
use super::*;
use crate::approvals::catalogue::{NOT_REPEATED, SUGGESTED, UNMARK};
use rules::Permission;

/// What is not an act though it changes something, and why.
const NEVER: &[(&str, &str)] =
    &[("approve_act", "is the second person's"), ("refuse_act", "is the second person's")];

async fn acts(rig: &Rig) -> Vec<Value> {
    let mut acts = rig.get("/v1/approval-acts").await.ok(200)["acts"].as_array().unwrap().clone();
    // What is marked must be so until its own turn has come, and not before.
    let order = |act: &Value| match act["name"].as_str() {
        Some(UNMARK) => 2,
        Some("mark_act") => 1,
        _ => 0,
    };
    acts.sort_by_key(order);
    acts
}

#[tokio::test]
async fn whatever_changes_something_is_in_the_catalogue() {
    let rig = Rig::new().await;
    let acts = acts(&rig).await;
    let is_act = |name: &Value| acts.iter().any(|act| act["name"] == *name);
    let document = document(&rig).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = &operation["operationId"];
            let permission = Permission::named(operation["x-permission"].as_str().unwrap());
            // What belongs to one's own account, or to nobody, needs no permission.
            let Some(permission) = permission else {
                assert!(!is_act(name), "{method} {path}");
                continue;
            };
            let is_pass = operation["x-approval"] == "pass";
            let is_never = NEVER.iter().any(|(never, _)| name == never);
            let changes = method != "get" && !permission.is_reading();
            assert_eq!(is_act(name), (changes || is_pass) && !is_never, "{method} {path}");
        }
    }
    assert!(acts.len() >= 60, "{}", acts.len());
    for named in SUGGESTED.iter().chain(NOT_REPEATED) {
        assert!(is_act(&json!(named)), "there is no `{named}`");
    }
}

/// A world with a tenant and a project, whose identifiers are answered.
async fn furnished() -> (World, (String, String)) {
    let world = World::new().await;
    let (tenant, project) = world.rig.project("kept").await;
    let id = |path: &str| super::super::last_part(path).to_owned();
    let ids = (id(&tenant), id(&project));
    world.rig.changes();
    (world, ids)
}

#[tokio::test]
async fn every_marked_act_is_held_and_comes_to_the_same_after_approval() {
    let (plain, plain_ids) = furnished().await;
    let (mut marked, marked_ids) = furnished().await;
    let acts = acts(&marked.rig).await;
    for act in &acts {
        // The last one would wait for itself; it always does.
        let name = text(&act["name"]);
        if name != "mark_act" {
            marked.mark(&name, None).await;
        }
    }
    marked.mark("mark_act", None).await;
    for act in &acts {
        let (name, method, path) = (text(&act["name"]), text(&act["method"]), text(&act["path"]));
        let (path, twin) = (filled(&path, &marked_ids), filled(&path, &plain_ids));
        marked.rig.changes();
        let held = marked.ann(&method, &path, json!({})).await;
        assert_eq!(held.status, 202, "{name}: {}", held.body);
        let approval = World::waiting(held);
        assert!(marked.rig.changes().is_empty(), "{name} was not held");
        marked.approve(&approval).await.ok(200);
        let ended = marked.worker.turn().await.unwrap();
        let status = match act["mode"] == "pass" {
            true => {
                let id = super::super::last_part(&approval).to_owned();
                let (ann, at) = (marked.ann.clone(), (method.as_str(), path.as_str()));
                marked.with(&ann, at, ("approval", &id)).await.status.as_u16()
            }
            false => {
                assert_eq!(ended, 1, "{name} was not carried out");
                let seen = marked.seen(&approval).await;
                let status = u16::try_from(seen["status"].as_u64().unwrap_or(0)).unwrap();
                let is_done = (200..300).contains(&status);
                assert_eq!(seen["state"] == "done", is_done, "{name}: {seen}");
                status
            }
        };
        if name == UNMARK {
            // Only here is there something to take away.
            assert_eq!(status, 204, "{name}");
            continue;
        }
        let at_once = plain.ann(&method, &twin, json!({})).await;
        assert_eq!(status, at_once.status.as_u16(), "{name}: {}", at_once.body);
    }
}
