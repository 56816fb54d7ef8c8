//! Tokens taken back end what stands on them over every face and in every process of a node, and
//! stay taken back after a restart; what was not taken back goes on.

use crate::stand::admin::{Admin, Room, text};
use crate::stand::got::Sent;
use crate::stand::server::{Home, Server};
use crate::stand::sse::Stream;
use crate::stand::token::Signer;
use crate::stand::ws::Client;
use crate::stand::{LOOK_EVERY, within};
use reqwest::{Client as Http, Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// So many connections are not all in one of two processes, but once in 30,000 runs.
const CROWD: usize = 16;

/// Status, code and message of a publish with the token.
async fn publish(server: &Server, token: &str) -> (StatusCode, String, String) {
    let view = Sent::json("news", "key", json!(1)).view();
    let request = Http::new().post(format!("{}/v1/events", server.url));
    let answer = request.bearer_auth(token).json(&view).send().await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    let field = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (status, field("code"), field("message"))
}

async fn is_refused(server: &Server, token: &str) {
    let (status, code, message) = publish(server, token).await;
    assert_eq!((status, code.as_str()), (StatusCode::UNAUTHORIZED, "INVALID_TOKEN"));
    assert_eq!(message, "the token was revoked");
}

/// Reads until the end of the socket; answers the message of the error told last, and the code.
async fn last_words(client: &mut Client) -> (String, Option<u16>) {
    let mut message = String::new();
    loop {
        match client.next().await {
            Ok(frame) if frame["type"] == "error" => message = text(&frame["error"]["message"]),
            Ok(_) => {}
            Err(closed) => return (message, closed),
        }
    }
}

/// Reads until the end of the stream; answers the message of the refusal told last.
async fn ended(stream: &mut Stream) -> String {
    let mut message = String::new();
    while let Some(event) = stream.event().await {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        if let Some(found) = data["error"]["message"].as_str() {
            message = found.to_owned();
        }
    }
    message
}

async fn revoke(admin: &Admin, room: &Room, body: &Value) -> Value {
    admin.done(Method::POST, &room.path("token-revocations"), body).await
}

#[tokio::test]
async fn a_revoked_token_ends_in_all_processes_and_stays_so_after_a_restart() {
    let home = Home::new(&json!({ "processes": 2 }));
    let mut server = home.start();
    let admin = server.admin();
    let (room, _) = admin.furnished().await;
    let signer = Signer::new(&admin, &room).await;
    // Alike but for their names, so that nothing else can tell them apart.
    let when = json!({ "jti": "phone", "iat": 1_764_000_000 });
    let mine = signer.token_with("ann", HOUR, &when);
    let when = json!({ "jti": "laptop", "iat": 1_764_000_000 });
    let other = signer.token_with("ann", HOUR, &when);
    let mut sockets = Vec::new();
    for _ in 0..CROWD {
        sockets.push(Client::open(&server.url, &mine).await);
    }
    let mut stream = Stream::open(&server.url, &mine, "topics=news").await;
    let mut bystander = Client::open(&server.url, &other).await;

    let made = revoke(&admin, &room, &json!({ "token": mine, "reason": "lost" })).await;
    let revoked = Instant::now();
    assert_eq!((&made["kind"], &made["value"]), (&json!("jti"), &json!("phone")));
    let gone = "the token was revoked".to_owned();
    for socket in &mut sockets {
        assert_eq!(last_words(socket).await, (gone.clone(), Some(4401)));
    }
    assert_eq!(ended(&mut stream).await, gone);
    assert!(revoked.elapsed() < AT_ONCE, "{:?}", revoked.elapsed());
    is_refused(&server, &mine).await;
    assert_eq!(publish(&server, &other).await.0, StatusCode::OK);
    assert_eq!(bystander.done(json!({ "type": "ping" })).await["type"], "pong");

    server.stop();
    server = home.start();
    let admin = server.admin();
    is_refused(&server, &mine).await;
    assert_eq!(publish(&server, &other).await.0, StatusCode::OK);
    let figures = reqwest::get(format!("{}/metrics", server.admin_url)).await.expect("an answer");
    let figures = figures.text().await.expect("text");
    for name in ["mainstem_token_revocations", "mainstem_revoked_tokens_refused_total"] {
        let line = format!("{name}{{process=\"owner\"}} 1");
        assert!(figures.lines().any(|found| found == line), "{line}:\n{figures}");
    }
    let path = room.path(&format!("token-revocations/{}", text(&made["id"])));
    admin.done(Method::DELETE, &path, &Value::Null).await;
    let again = async {
        while publish(&server, &mine).await.0 != StatusCode::OK {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the token counts again", again).await;
}

#[tokio::test]
async fn a_user_is_signed_out_everywhere_and_a_bearer_signs_himself_out() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let admin = server.admin();
    let (room, _) = admin.furnished().await;
    let signer = Signer::new(&admin, &room).await;
    let [phone, laptop] =
        ["phone", "laptop"].map(|jti| signer.token_with("ann", HOUR, &json!({ "jti": jti })));
    let mut on_phone = Client::open(&server.url, &phone).await;
    let mut on_laptop = Client::open(&server.url, &laptop).await;
    // The phone signs out; whoever does not count is answered alike.
    for token in [phone.as_str(), phone.as_str(), "no.such.token"] {
        let request = Http::new().post(format!("{}/v1/tokens/revoke", server.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(format!("token={token}")).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let gone = "the token was revoked".to_owned();
    assert_eq!(last_words(&mut on_phone).await, (gone.clone(), Some(4401)));
    is_refused(&server, &phone).await;
    assert_eq!(on_laptop.done(json!({ "type": "ping" })).await["type"], "pong");
    // Then everything of hers.
    revoke(&admin, &room, &json!({ "sub": "ann" })).await;
    assert_eq!(last_words(&mut on_laptop).await, (gone, Some(4401)));
    is_refused(&server, &laptop).await;
    let fresh = signer.token_of("ann", HOUR);
    assert_eq!(publish(&server, &fresh).await.0, StatusCode::OK);
    let trail = admin.done(Method::GET, "/v1/audit?action=token.revoke", &Value::Null).await;
    let actors: Vec<&str> = trail["records"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["actor"].as_str())
        .collect();
    assert!(actors.contains(&"jwt:ann") && actors.contains(&"operator"), "{actors:?}");
}
