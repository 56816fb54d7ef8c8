//! The contract that every protocol passes, with the real server as the stage: each way in that
//! publishes against each way out that delivers.

use crate::stand::admin::{Admin, EVENT_SCOPES, Room as AdminRoom};
use crate::stand::shared::{self, Shared};
use crate::stand::{LOOK_EVERY, within};
use std::sync::Arc;
use testkit::conformance::{self, Counted, Face, Room, Scene, Soon, Stage};
use testkit::faces::{PollFace, RestFace, SseFace, WebSocketFace};
use types::{Limits, Scopes};

struct ServerStage {
    running: Arc<Shared>,
}

impl ServerStage {
    fn admin(&self) -> Admin {
        self.running.server.admin()
    }
}

fn admin_room(room: &Room) -> AdminRoom {
    AdminRoom { tenant: room.tenant.clone(), project: room.project.clone() }
}

/// Publishes one record in a room of its own and waits until it is counted: whatever happened
/// before is counted by then.
async fn counting_settles(admin: &Admin, url: &str) {
    let (room, key) = admin.furnished().await;
    let face = RestFace::new(url);
    let record = conformance::Sent {
        topic: "settle".to_owned(),
        data: "1".to_owned(),
        ..conformance::Sent::default()
    };
    face.publish(&key.secret, vec![record]).await.expect("a publish");
    while admin.used(&room, "events_published").await == 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Stage for ServerStage {
    fn room(&self, limits: Limits) -> Soon<'_, Room> {
        Box::pin(async move {
            let limits = serde_json::to_value(&limits).expect("limits are plain data");
            let room = self.admin().room(&limits).await;
            Room { tenant: room.tenant, project: room.project }
        })
    }

    fn key<'a>(&'a self, room: &'a Room, scopes: Scopes) -> Soon<'a, String> {
        Box::pin(async move {
            let names: Vec<&str> = scopes.iter().map(types::Scope::name).collect();
            assert!(names.iter().all(|name| EVENT_SCOPES.contains(name)));
            self.admin().key(&admin_room(room), &names).await.secret
        })
    }

    fn topic<'a>(&'a self, room: &'a Room, name: &'a str, partitions: u32) -> Soon<'a, ()> {
        Box::pin(async move { self.admin().topic(&admin_room(room), name, partitions).await })
    }

    fn counted<'a>(&'a self, room: &'a Room) -> Soon<'a, Counted> {
        Box::pin(async move {
            let (admin, room) = (self.admin(), admin_room(room));
            let url = &self.running.server.url;
            within("the counting", counting_settles(&admin, url)).await;
            Counted {
                published: admin.used(&room, "events_published").await,
                delivered: admin.used(&room, "events_delivered").await,
            }
        })
    }

    fn drain(&self) -> Soon<'_, ()> {
        self.running.server.terminate();
        Box::pin(std::future::ready(()))
    }
}

#[derive(Clone, Copy)]
enum Way {
    Rest,
    Poll,
    Sse,
    WebSocket,
}

fn face(way: Way, url: &str) -> Arc<dyn Face> {
    match way {
        Way::Rest => RestFace::new(url),
        Way::Poll => PollFace::new(url),
        Way::Sse => SseFace::new(url),
        Way::WebSocket => WebSocketFace::new(url),
    }
}

fn scene(running: Arc<Shared>, way_in: Way, way_out: Way) -> Scene {
    let url = running.server.url.clone();
    Scene {
        publisher: face(way_in, &url),
        receiver: face(way_out, &url),
        stage: Arc::new(ServerStage { running }),
    }
}

macro_rules! cases {
    ($way_in:ident $way_out:ident: $($case:ident)+) => {
        $(#[tokio::test]
        async fn $case() {
            conformance::$case(&scene(shared::server(), Way::$way_in, Way::$way_out)).await;
        })+
    };
}
/// One module per pair, one test per case.
macro_rules! contract {
    ($($pair:ident: $way_in:ident to $way_out:ident;)+) => {
        $(mod $pair {
            use super::*;

            cases!($way_in $way_out:
                appended_is_delivered live_follows_history resumes_without_gap_or_duplicate
                stranger_is_refused scope_is_required other_tenant_is_invisible
                foreign_cursor_is_refused oversize_is_refused slow_reader_is_caught_up
                garbage_is_survived connection_quota_is_shown publish_rate_is_shown metered_once
            );

            #[tokio::test]
            async fn drain_is_polite() {
                let scene = scene(shared::own(), Way::$way_in, Way::$way_out);
                conformance::drain_is_polite(&scene).await;
            }
        })+
    };
}

contract! {
    rest_to_poll: Rest to Poll;
    rest_to_sse: Rest to Sse;
    rest_to_websocket: Rest to WebSocket;
    websocket_to_poll: WebSocket to Poll;
    websocket_to_sse: WebSocket to Sse;
    websocket_to_websocket: WebSocket to WebSocket;
}
