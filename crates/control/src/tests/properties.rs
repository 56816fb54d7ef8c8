//! Roles as properties: whatever somebody holds, wherever, and however it changes under him. One
//! installation and one session for all cases, so that each case is also a change in an open
//! session.

use super::gate::document;
use super::permissions::{BOB, filled};
use super::{Rig, text};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rules::{Permission, PermissionSet, Place, Rights};
use serde_json::{Value, json};
use tenancy::{Actor, NewBinding, RoleId, RolePatch, UserId};
use types::{ProjectId, TenantId};

/// What the cases share.
struct World {
    rig: Rig,
    /// Method, path and description of each route that is not anybody's or one's own.
    routes: Vec<(String, String, Value)>,
    tenants: Vec<(TenantId, ProjectId)>,
    user: UserId,
    role: RoleId,
    /// Two sessions that are open all the while.
    sessions: [String; 2],
}

async fn world() -> World {
    let rig = Rig::new().await;
    rig.owner().await;
    let mut tenants = Vec::new();
    for name in ["mine", "theirs"] {
        let (tenant, project) = rig.project(name).await;
        // A project with a topic is not deleted, whoever asks.
        rig.call("PUT", &format!("{project}/topics/kept"), json!({})).await.ok(201);
        let id = |path: &str| super::last_part(path).to_owned();
        tenants.push((id(&tenant).parse().unwrap(), id(&project).parse().unwrap()));
    }
    let user = rig.user(BOB).await.parse().unwrap();
    let role = json!({"name": "changing", "permissions": ["topics:read"]});
    let role = text(&rig.call("POST", "/v1/roles", role).await.ok(201)["id"]).parse().unwrap();
    let sessions = [rig.access(BOB).await, rig.access(BOB).await];
    let routes = routes(&document(&rig).await);
    World { rig, routes, tenants, user, role, sessions }
}

fn routes(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if Permission::named(operation["x-permission"].as_str().unwrap_or("")).is_some() {
                found.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    assert!(found.len() >= 60, "{}", found.len());
    found
}

impl World {
    fn place(&self, which: usize) -> Place {
        let (tenant, project) = self.tenants[which % 2];
        match which % 5 {
            0 => Place::Installation,
            1 | 2 => Place::Tenant(tenant),
            _ => Place::Project(tenant, project),
        }
    }

    /// The user has these permissions in these places from now on, and no others.
    async fn hold(&self, set: PermissionSet, places: &[Place]) {
        let (store, by) = (&self.rig.tenancy, Actor::system());
        let permissions = set.iter().map(|it| it.name().to_owned()).collect();
        let patch = RolePatch { permissions: Some(permissions), ..RolePatch::default() };
        store.update_role(self.role, patch, &by).await.unwrap();
        for held in store.bindings_of(self.user).await.unwrap() {
            store.unbind_role(held.id, &by).await.unwrap();
        }
        for place in places {
            let new = NewBinding {
                user: self.user,
                role: self.role.to_string(),
                tenant: place.tenant(),
                project: place.project(),
                conditions: None,
            };
            store.bind_role(new, &by).await.unwrap();
        }
    }

    /// Where the route asks for its permission; `None`: anywhere will do.
    fn asked(&self, operation: &Value, path: &str, which: usize) -> Option<Place> {
        let (tenant, project) = self.tenants[which % 2];
        match operation["x-checked"].as_str() {
            Some("handler") => None,
            Some("installation") => Some(Place::Installation),
            _ if path.contains("{project}") => Some(Place::Project(tenant, project)),
            _ if path.contains("{tenant}") => Some(Place::Tenant(tenant)),
            _ => Some(Place::Installation),
        }
    }
}

fn sets() -> impl Strategy<Value = PermissionSet> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(Permission::ALL), 0..12)
            .prop_map(|list| list.into_iter().collect()),
        prop::sample::select(Permission::ALL).prop_map(|one| [one].into_iter().collect()),
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// **Feature: realtime-saas-platform, Property 23: role permissions govern every operation of a
/// user**
///
/// **Feature: realtime-saas-platform, Property 24: admin functions run only after role permission
/// was checked**
#[test]
fn a_route_is_entered_exactly_with_its_permission_in_its_place() {
    let runtime = runtime();
    let world = runtime.block_on(world());
    let case =
        (sets(), prop::collection::vec(0usize..10, 0..3), any::<prop::sample::Index>(), 0usize..2);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let outcome = runner.run(&case, |(set, places, route, which)| {
        runtime.block_on(async {
            let places: Vec<Place> = places.into_iter().map(|it| world.place(it)).collect();
            world.hold(set, &places).await;
            let rights = Rights::new(places.iter().map(|place| (*place, set)));
            let (method, path, operation) = &world.routes[route.index(world.routes.len())];
            let needs = Permission::named(operation["x-permission"].as_str().unwrap()).unwrap();
            let is_allowed = match world.asked(operation, path, which) {
                Some(place) => rights.allow(needs, place),
                None => !places.is_empty() && set.has(needs),
            };
            let (tenant, project) = world.tenants[which];
            let target = filled(path, &(tenant.to_string(), project.to_string()));
            world.rig.changes();
            let answer = world.rig.call_as(&world.sessions[0], method, &target, json!({})).await;
            let is_refused = answer.status == 403 && answer.field() == "permission";
            let is_handled = operation["x-checked"] == "handler";
            // A handler may still refuse what is elsewhere; the gate refuses nothing it allows.
            assert!(is_allowed || is_refused, "{method} {target}: {}", answer.body);
            assert!(!is_allowed || !is_refused || is_handled, "{method} {target}");
            assert!(is_allowed || world.rig.changes().is_empty(), "{method} {target} did it");
        });
        Ok(())
    });
    outcome.unwrap();
}

/// **Feature: realtime-saas-platform, Property 25: a role change takes effect at once in all live
/// sessions**
#[test]
fn a_changed_role_counts_at_once_in_all_sessions() {
    let runtime = runtime();
    let world = runtime.block_on(world());
    let change = (sets(), prop::collection::vec(0usize..10, 0..3));
    let case = prop::collection::vec(change, 1..5);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(100));
    let outcome = runner.run(&case, |changes| {
        runtime.block_on(async {
            for (set, places) in changes {
                let places: Vec<Place> = places.into_iter().map(|it| world.place(it)).collect();
                world.hold(set, &places).await;
                let rights = Rights::new(places.iter().map(|place| (*place, set)));
                for (tenant, project) in &world.tenants {
                    let path = format!("/v1/tenants/{tenant}/projects/{project}/keys");
                    let place = Place::Project(*tenant, *project);
                    let expected =
                        if rights.allow(Permission::KeysRead, place) { 200 } else { 403 };
                    for session in &world.sessions {
                        let answer = world.rig.call_as(session, "GET", &path, Value::Null).await;
                        assert_eq!(answer.status.as_u16(), expected, "{}", answer.body);
                    }
                }
            }
        });
        Ok(())
    });
    outcome.unwrap();
}
