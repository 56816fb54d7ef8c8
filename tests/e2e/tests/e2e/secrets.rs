//! No secret is ever logged, at any level: keys, tokens, the shared secrets that sign them, the
//! operator's token, and what was tried in vain.

use crate::stand::admin::EVENT_SCOPES;
use crate::stand::got::Sent;
use crate::stand::server::Home;
use crate::stand::sse::{self, Stream};
use crate::stand::token::Signer;
use crate::stand::ws::{Client, JSON, closed, dial, dial_with_key, dial_with_query};
use reqwest::{Client as Http, Method, StatusCode, Version};
use serde_json::{Value, json};
use std::time::Duration;

/// Looks like a key, and is none.
const WRONG_KEY: &str = "ms_live_wrongwrongwrongwrongwrongwrongwrongwrongwrongwrong";
const WRONG_OPERATOR: &str = "wrong-operator-token-wrong-operator-token";

/// Every way in which a client shows its secret.
async fn show(url: &str, secret: &str) {
    let view = Sent::json("t", "key", json!({ "n": 1 })).view();
    let post = |http: &Http| http.post(format!("{url}/v1/events")).json(&view);
    let http = Http::new();
    let second = Http::builder().http2_prior_knowledge().build().expect("a client");
    for request in [
        post(&http).bearer_auth(secret),
        post(&http).header("x-api-key", secret),
        post(&second).bearer_auth(secret),
        post(&second).header("x-api-key", secret),
        // Not a place for a credential, but people try.
        post(&http).query_token(secret),
    ] {
        request.send().await.expect("an answer").text().await.expect("a whole answer");
    }
    let query = format!("topics=t&access_token={secret}");
    let in_query = Http::new().get(format!("{url}/v1/sse?{query}"));
    for request in [in_query, sse::request(url, secret, "topics=t")] {
        // A wrong one is refused, which is as good here.
        drop(Stream::try_open(request).await);
    }
    if let Ok(socket) = dial(url, Some(secret), JSON).await {
        drop(socket);
        drop(dial_with_key(url, secret).await);
        drop(dial_with_query(url, secret).await);
    }
    let mut client = Client::over(dial(url, None, JSON).await.expect("a socket"));
    let connected = client.call(json!({ "type": "connect", "token": secret })).await;
    if connected.is_ok_and(|answer| answer["type"] == "connected") {
        client.done(json!({ "type": "refresh", "token": secret })).await;
    } else {
        closed(&mut client.socket).await;
    }
}

trait QueryToken {
    fn query_token(self, secret: &str) -> Self;
}

impl QueryToken for reqwest::RequestBuilder {
    fn query_token(self, secret: &str) -> Self {
        let (client, request) = self.build_split();
        let mut request = request.expect("a request");
        request.url_mut().set_query(Some(&format!("access_token={secret}")));
        reqwest::RequestBuilder::from_parts(client, request)
    }
}

#[tokio::test]
async fn no_secret_is_logged_even_at_trace() {
    let home = Home::new(&json!({ "telemetry": { "log": "trace" } }));
    let mut server = home.start();
    let (url, admin) = (server.url.clone(), server.admin());
    let (room, key) = admin.furnished().await;
    let signer = Signer::new(&admin, &room).await;
    let token = signer.token(Duration::from_secs(600));
    let rotated_path = room.path(&format!("keys/{}/rotate", key.id));
    for secret in [&key.secret, &token, WRONG_KEY] {
        show(&url, secret).await;
    }
    let rotated = admin.done(Method::POST, &rotated_path, &json!({ "grace_ms": 1 })).await;
    let rotated = rotated["secret"].as_str().expect("a secret").to_owned();
    show(&url, &rotated).await;
    let doomed = admin.key(&room, EVENT_SCOPES).await;
    let revoke = room.path(&format!("keys/{}/revoke", doomed.id));
    admin.done(Method::POST, &revoke, &Value::Null).await;
    let wrong = Http::new().get(format!("{}/v1/tenants", server.admin_url));
    let wrong = wrong.bearer_auth(WRONG_OPERATOR).version(Version::HTTP_11).send().await;
    assert_eq!(wrong.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    server.stop();
    let output = server.output();
    assert!(output.contains("TRACE") && output.contains("stopped"), "it logs everything");
    let signature = token.rsplit('.').next().expect("a signature");
    let secrets = [
        ("key", key.secret.as_str()),
        ("token", token.as_str()),
        ("signature", signature),
        ("signing secret", signer.secret_base64.as_str()),
        ("rotated key", rotated.as_str()),
        ("revoked key", doomed.secret.as_str()),
        ("operator's token", home.admin_token.as_str()),
        ("wrong key", WRONG_KEY),
        ("wrong operator's token", WRONG_OPERATOR),
    ];
    for (what, secret) in secrets {
        if let Some(line) = output.lines().find(|line| line.contains(secret)) {
            panic!("the {what} is logged: {line}");
        }
    }
}
