//! Correctness properties that only hold, or fail, with everything in place: credentials made by
//! the admin API, real sockets, and a tenant's end seen from outside. The others lie in the crates
//! that decide them.

use crate::stand::admin::{EVENT_SCOPES, Key};
use crate::stand::got::Sent;
use crate::stand::shared::{Shared, server};
use crate::stand::sse::Stream;
use crate::stand::token::Signer;
use crate::stand::ws::{
    BINARY, Client, JSON, Socket, closed, dial, dial_with_key, dial_with_query,
};
use crate::stand::{sse, within, ws_binary};
use proptest::prelude::*;
use reqwest::Client as Http;
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What revocation and suspension may take.
const AT_ONCE: Duration = Duration::from_secs(1);

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn config(cases: u32) -> ProptestConfig {
    // Each case takes sockets: one that fails is told as it is, not made smaller.
    ProptestConfig { cases, max_shrink_iters: 0, failure_persistence: None, ..Default::default() }
}

#[derive(Debug, Clone, Copy)]
enum Proof {
    LiveKey,
    TestKey,
    Token,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Bearer,
    ApiKeyHeader,
    Query,
    FirstFrame,
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![Just(Proof::LiveKey), Just(Proof::TestKey), Just(Proof::Token)]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Bearer),
        Just(Place::ApiKeyHeader),
        Just(Place::Query),
        Just(Place::FirstFrame)
    ]
}

fn values() -> impl Strategy<Value = Vec<Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| json!({ "n": n })),
        any::<String>().prop_map(|text| json!(text)),
        prop::collection::vec(any::<bool>(), 0..8).prop_map(|list| json!(list)),
    ];
    prop::collection::vec(value, 1..6)
}

/// A room with every kind of credential.
struct Lobby {
    shared: Arc<Shared>,
    live: Key,
    test: Key,
    signer: Signer,
}

impl Lobby {
    async fn new() -> Lobby {
        let shared = server();
        let admin = shared.server.admin();
        let (room, live) = admin.furnished().await;
        let body = json!({ "name": "test", "mode": "test", "scopes": EVENT_SCOPES });
        let test = admin.key_as(&room, &body).await;
        let signer = Signer::new(&admin, &room).await;
        Lobby { shared, live, test, signer }
    }

    fn secret(&self, proof: Proof) -> String {
        match proof {
            Proof::LiveKey => self.live.secret.clone(),
            Proof::TestKey => self.test.secret.clone(),
            Proof::Token => self.signer.token(Duration::from_secs(600)),
        }
    }

    async fn publish(&self, sent: &[Sent]) {
        let views: Vec<Value> = sent.iter().map(Sent::view).collect();
        let url = format!("{}/v1/events", self.shared.server.url);
        let request = Http::new().post(url).bearer_auth(&self.live.secret).json(&views);
        let answer = within("a publish", request.send()).await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }
}

/// Opens a socket with the credential where it is wanted.
async fn open(url: &str, secret: &str, place: Place) -> Client {
    let mut client = match place {
        Place::Bearer => return Client::open(url, secret).await,
        Place::ApiKeyHeader => Client::over(dial_with_key(url, secret).await),
        Place::Query => Client::over(dial_with_query(url, secret).await),
        Place::FirstFrame => {
            let mut client = Client::over(dial(url, None, JSON).await.expect("a socket"));
            client.done(json!({ "type": "connect", "token": secret })).await;
            return client;
        }
    };
    let connected = client.next().await.expect("the server greets");
    assert_eq!(connected["type"], "connected", "{connected}");
    client
}

fn numbered(topic: &str, key: &str, values: &[Value]) -> Vec<Sent> {
    values.iter().map(|value| Sent::json(topic, key, value.clone())).collect()
}

/// **Feature: realtime-saas-platform, Property 6: valid credentials open a WebSocket that can
/// stream events**
#[test]
fn valid_credentials_open_a_socket_that_streams() {
    let runtime = runtime();
    let lobby = runtime.block_on(Lobby::new());
    let cases = Cell::new(0);
    proptest!(config(120), |(proof in proof(), place in place(), values in values())| {
        cases.set(cases.get() + 1);
        let case = cases.get();
        runtime.block_on(async {
            let url = &lobby.shared.server.url;
            let mut client = open(url, &lobby.secret(proof), place).await;
            let key = format!("case/{case}");
            client.subscribe(1, &format!("streams/{key}"), "latest".into()).await;
            client.publish(&numbered("streams", &key, &values)).await;
            for value in &values {
                let got = client.record().await;
                prop_assert_eq!(got.data(), value.clone());
                prop_assert_eq!(got.key.as_deref(), Some(key.as_bytes()));
            }
            Ok(())
        })?;
    });
}

/// Some sockets of a tenant, of both subprotocols, some with a subscription.
async fn sockets(url: &str, key: &Key, kinds: &[(bool, bool)]) -> Vec<Socket> {
    let mut open = Vec::new();
    for &(is_binary, is_subscribed) in kinds {
        open.push(match (is_binary, is_subscribed) {
            (true, true) => {
                let mut client = ws_binary::Client::open(url, &key.secret).await;
                client.follow("news").await;
                client.socket
            }
            (false, true) => {
                let mut client = Client::open(url, &key.secret).await;
                client.subscribe(1, "news/#", "latest".into()).await;
                client.socket
            }
            (true, false) => dial(url, Some(&key.secret), BINARY).await.expect("a socket"),
            (false, false) => dial(url, Some(&key.secret), JSON).await.expect("a socket"),
        });
    }
    open
}

/// **Feature: realtime-saas-platform, Property 10: suspending a tenant ends all of its WebSockets
/// at once**
#[test]
fn suspending_a_tenant_ends_its_sockets() {
    let runtime = runtime();
    let shared = server();
    let (url, admin) = (&shared.server.url, shared.server.admin());
    let (_, bystander) = runtime.block_on(admin.furnished());
    let kinds = prop::collection::vec((any::<bool>(), any::<bool>()), 1..6);
    proptest!(config(100), |(kinds in kinds)| {
        runtime.block_on(async {
            let (room, key) = admin.furnished().await;
            let open = sockets(url, &key, &kinds).await;
            let mut other = Client::open(url, &bystander.secret).await;
            admin.suspend(&room).await;
            let suspended = Instant::now();
            for mut socket in open {
                prop_assert_eq!(closed(&mut socket).await, Some(4403));
                prop_assert!(suspended.elapsed() < AT_ONCE, "{:?}", suspended.elapsed());
            }
            // The closing handshake over, the places are given back.
            while !admin.connections(&room).await.is_empty() {
                prop_assert!(suspended.elapsed() < AT_ONCE, "a connection is still listed");
            }
            prop_assert!(dial(url, Some(&key.secret), JSON).await.is_err());
            // Another tenant's sockets know nothing of it.
            let pong = other.done(json!({ "type": "ping" })).await;
            prop_assert_eq!(&pong["type"], "pong");
            Ok(())
        })?;
    });
}

/// **Feature: realtime-saas-platform, Property 11: valid credentials open a lasting SSE stream**
#[test]
fn valid_credentials_open_a_stream_that_lasts() {
    let runtime = runtime();
    let lobby = runtime.block_on(Lobby::new());
    let cases = Cell::new(0);
    let bursts = prop::collection::vec(values(), 1..5);
    proptest!(config(100), |(proof in proof(), place in place(), bursts in bursts)| {
        cases.set(cases.get() + 1);
        let case = cases.get();
        runtime.block_on(async {
            let url = &lobby.shared.server.url;
            let secret = lobby.secret(proof);
            let (topic, key) = ("streams", format!("stream/{case}"));
            let query = format!("filter={topic}/{key}&from=latest");
            let request = match place {
                Place::Bearer => sse::request(url, &secret, &query),
                Place::ApiKeyHeader => {
                    Http::new().get(format!("{url}/v1/sse?{query}")).header("x-api-key", &secret)
                }
                // There is no first frame: a browser puts the credential into the URL.
                Place::Query | Place::FirstFrame => {
                    Http::new().get(format!("{url}/v1/sse?{query}&access_token={secret}"))
                }
            };
            let mut stream = Stream::try_open(request).await.expect("a stream");
            // It goes on from burst to burst, for as long as the client wants it.
            for values in &bursts {
                lobby.publish(&numbered(topic, &key, values)).await;
                for value in values {
                    prop_assert_eq!(stream.record().await.data(), value.clone());
                }
            }
            Ok(())
        })?;
    });
}
