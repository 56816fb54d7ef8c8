//! Bad input over HTTP: refused with a stable code that names the field, or the connection is
//! closed; the server goes on, and its memory stays bounded.

use crate::stand::admin::{Key, Room};
use crate::stand::got::Sent;
use crate::stand::raw::{Answer, Raw};
use crate::stand::server::{Home, Server};
use crate::stand::shared::{Shared, server};
use crate::stand::{LOOK_EVERY, PATIENCE, within};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// What a burst of abuse may leave in resident memory.
const GROWTH_KIB_MAX: u64 = 150 * 1024;

/// Whether the client says all it began.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whole {
    Complete,
    Broken,
}

struct Site {
    shared: Arc<Shared>,
    room: Room,
    key: Key,
}

impl Site {
    async fn new() -> Site {
        let shared = server();
        let (room, key) = shared.server.admin().furnished().await;
        Site { shared, room, key }
    }

    fn server(&self) -> &Server {
        &self.shared.server
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server().url);
        Client::new().request(method, url).bearer_auth(&self.key.secret)
    }

    /// Says it, and no more when it is half of something; the server must end the connection.
    async fn raw(&self, bytes: &[u8], whole: Whole) -> Option<Answer> {
        let mut raw = Raw::connect(self.server().authority()).await;
        raw.say(bytes).await;
        if whole == Whole::Broken {
            raw.finish().await;
        }
        raw.answer().await
    }
}

/// Served as if nothing had been.
async fn check_healthy(site: &Site) {
    let ready = Client::new().get(format!("{}/readyz", site.server().url)).send().await;
    assert_eq!(ready.expect("an answer").status(), 200);
    let view = Sent::json("after", "key", json!({ "fine": true })).view();
    let answer = site.request(Method::POST, "/v1/events").json(&view).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
}

/// Status, code, field.
async fn refused(request: RequestBuilder) -> (u16, String, String) {
    let answer = within("an answer", request.send()).await.expect("an answer");
    let status = answer.status();
    let request_id = answer.headers().get("x-request-id").cloned();
    let body: Value = answer.json().await.expect("a refusal is JSON");
    let error = &body["error"];
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let id = error["request_id"].as_str().unwrap_or_else(|| panic!("a request id in {body}"));
    assert_eq!(request_id.expect("a request id in the head"), id);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (status.as_u16(), text(&error["code"]), text(&error["details"]["field"]))
}

#[tokio::test]
async fn bad_records_are_refused_by_field() {
    let site = Site::new().await;
    let topic = "a-topic";
    let cases = [
        (json!({"topic": topic, "data": 1, "foo": 2}), 400, "UNKNOWN_FIELD", "foo"),
        (
            json!([{"topic": topic, "data": 1}, {"topic": topic, "data": 1, "dta": 2}]),
            400,
            "UNKNOWN_FIELD",
            "records[1].dta",
        ),
        (json!({"data": 1}), 400, "INVALID_REQUEST", "topic"),
        (json!({"topic": "no spaces", "data": 1}), 400, "INVALID_TOPIC", "topic"),
        (
            json!({"topic": topic, "data": 1, "headers": {"a": 1}}),
            400,
            "INVALID_REQUEST",
            "headers.a",
        ),
        (json!({"topic": topic, "data_base64": "%"}), 400, "INVALID_REQUEST", "data_base64"),
        (json!({"topic": topic, "data": "x".repeat(1 << 20)}), 413, "PAYLOAD_TOO_LARGE", ""),
    ];
    for (body, status, code, field) in cases {
        let found = refused(site.request(Method::POST, "/v1/events").json(&body)).await;
        let short = body.to_string().chars().take(80).collect::<String>();
        assert_eq!((found.0, found.1.as_str()), (status, code), "{short}: {found:?}");
        if !field.is_empty() {
            assert_eq!(found.2, field, "{short}");
        }
    }
    check_healthy(&site).await;
}

#[tokio::test]
async fn text_that_is_no_json_is_refused() {
    let site = Site::new().await;
    let deep =
        format!("{{\"topic\":\"t\",\"data\":{}1{}}}", "[".repeat(90_000), "]".repeat(90_000));
    let wrong_utf8 = b"{\"topic\":\"t\",\"data\":\"\xff\xfe\"}".to_vec();
    let half = b"{\"topic\":\"t\",\"data\":".to_vec();
    for body in [deep.into_bytes(), wrong_utf8, half, b"\0\0\0".to_vec(), Vec::new()] {
        let request = site.request(Method::POST, "/v1/events");
        let request = request.header("content-type", "application/json").body(body);
        let (status, code, _) = refused(request).await;
        assert_eq!((status, code.as_str()), (400, "INVALID_REQUEST"));
    }
    let (status, code, _) =
        refused(site.request(Method::GET, "/v1/topics/t/records?form=earliest")).await;
    assert_eq!((status, code.as_str()), (400, "UNKNOWN_FIELD"));
    check_healthy(&site).await;
    let (status, code, field) =
        refused(site.request(Method::GET, "/v1/topics/after/records?from=yesterday")).await;
    assert_eq!((status, code.as_str(), field.as_str()), (400, "INVALID_CURSOR", "from"));
}

#[tokio::test]
async fn cursors_of_others_and_forged_ones_are_refused() {
    let site = Site::new().await;
    let (_, stranger) = site.server().admin().furnished().await;
    let view = Sent::json("t", "key", json!(1)).view();
    let published = site.request(Method::POST, "/v1/events").json(&view).send().await;
    assert_eq!(published.expect("an answer").status(), 200);
    let page = site.request(Method::GET, "/v1/topics/t/records?from=earliest").send().await;
    let page: Value = page.expect("an answer").json().await.expect("JSON");
    let cursor = page["next_cursor"].as_str().expect("a cursor").to_owned();
    // Theirs: a topic of the same name, another project's cursor.
    let url = format!("{}/v1/events", site.server().url);
    let own = Client::new().post(url).bearer_auth(&stranger.secret).json(&view).send().await;
    assert_eq!(own.expect("an answer").status(), 200);
    let path = format!("/v1/topics/t/records?from={cursor}");
    let theirs = Client::new().get(format!("{}{path}", site.server().url));
    let found = refused(theirs.bearer_auth(&stranger.secret)).await;
    assert_eq!((found.0, found.1.as_str()), (400, "INVALID_CURSOR"));
    // Ours, with any one letter changed.
    for at in 0..cursor.len() {
        let mut forged = cursor.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("letters");
        let path = format!("/v1/topics/t/records?from={forged}");
        let answer = site.request(Method::GET, &path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "letter {at} of {cursor}");
    }
    let good = site.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(good.status(), StatusCode::OK);
    assert!(!site.room.project.is_empty());
}

/// What is wrong with it, the bytes, and the statuses that may answer it.
type Broken = (&'static str, Vec<u8>, &'static [u16]);

fn broken_heads() -> Vec<Broken> {
    let noise = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let get = |path: &str, rest: &str| format!("GET /{path} HTTP/1.1\r\nhost: a\r\n{rest}");
    vec![
        ("garbage", (0..4_096).map(noise).collect(), &[400]),
        ("nothing", Vec::new(), &[]),
        ("half a head", get("v1/topics", "x-").into_bytes(), &[400, 408]),
        ("no version", b"GET /\r\n\r\n".to_vec(), &[400]),
        ("10,000 headers", get("", &format!("{many}\r\n")).into_bytes(), &[431]),
        ("a long path", get(&"x".repeat(100_000), "\r\n").into_bytes(), &[414, 431]),
    ]
}

/// Publishes whose bodies are not what their heads say.
fn broken_bodies(secret: &str) -> Vec<Broken> {
    let post = |headers: &str, body: &str| {
        let start = "POST /v1/events HTTP/1.1\r\nhost: a";
        format!("{start}\r\nauthorization: Bearer {secret}\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let two = "content-length: 3\r\ncontent-length: 4";
    let both = "content-length: 3\r\ntransfer-encoding: chunked";
    vec![
        ("a length that is none", post("content-length: -1", ""), &[400]),
        ("two lengths", post(two, "abcd"), &[400]),
        ("length and chunks", post(both, "zz\r\n"), &[400]),
        ("chunks that are none", post("transfer-encoding: chunked", "zz\r\n"), &[400]),
        ("half a body", post("content-length: 1000", "{"), &[400]),
        ("a length beyond the limit", post("content-length: 999999999999", ""), &[413]),
    ]
}

#[tokio::test]
async fn requests_that_are_none_are_refused_or_closed() {
    let site = Site::new().await;
    let bodies = broken_bodies(&site.key.secret);
    for (what, bytes, statuses) in broken_heads().into_iter().chain(bodies) {
        let is_half = what.starts_with("half") || what == "nothing";
        let whole = if is_half { Whole::Broken } else { Whole::Complete };
        // `nothing` has no answer.
        if let Some(answer) = site.raw(&bytes, whole).await {
            assert!(statuses.contains(&answer.status), "{what}: {answer:?}");
            assert!(answer.body["error"]["code"].is_string(), "{what}: {answer:?}");
        }
    }
    check_healthy(&site).await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read_to_its_end() {
    let site = Site::new().await;
    let mut raw = Raw::connect(site.server().authority()).await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         transfer-encoding: chunked\r\n\r\n",
        site.key.secret
    );
    assert!(raw.say(head.as_bytes()).await);
    let mut chunk = b"100000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10_0000, b' ');
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    // A hundred MiB would be taken by nobody.
    while sent < 100 && raw.say(&chunk).await {
        sent += 1;
    }
    assert!(sent < 100, "an endless body is cut off");
    check_healthy(&site).await;
}

/// A server with little patience.
fn impatient() -> Home {
    Home::new(&json!({ "edge": { "http": { "head_ms_max": 300, "body_gap_ms_max": 300 } } }))
}

#[tokio::test]
async fn slow_heads_and_bodies_end() {
    let home = impatient();
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Raw::connect(server.authority()).await);
    }
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-length: 100\r\n\r\n{{",
        key.secret
    );
    let mut slow = Raw::connect(server.authority()).await;
    let mut stuck = Raw::connect(server.authority()).await;
    assert!(stuck.say(head.as_bytes()).await);
    let began = Instant::now();
    // A letter now and then keeps nothing open.
    let mut letters = b"GET / HTTP/1.1\r\nx-slow: ".iter().chain(std::iter::repeat(&b'a'));
    while let Some(letter) = letters.next()
        && slow.say(&[*letter]).await
    {
        assert!(began.elapsed() < PATIENCE, "a slow head is never ended");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let answer = stuck.answer().await.expect("a body that stops is told so");
    assert_eq!(answer.status, 408, "{answer:?}");
    for mut one in silent {
        one.rest().await;
    }
    let ready = Client::new().get(format!("{}/readyz", server.url)).send().await;
    assert_eq!(ready.expect("an answer").status(), 200);
}

#[tokio::test]
async fn memory_stays_bounded_under_abuse() {
    let home = Home::new(&json!({}));
    let server = home.start();
    let (_, key) = server.admin().furnished().await;
    let before = server.resident_kib();
    let announced = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-length: 8000000\r\n\r\n",
        key.secret
    );
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(server.authority()).await;
        raw.say(announced.as_bytes()).await;
        raw.say(&vec![b' '; 60_000]).await;
        open.push(raw);
        let mut raw = Raw::connect(server.authority()).await;
        raw.say(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(30_000)).as_bytes()).await;
        open.push(raw);
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB for 200 half requests");
    drop(open);
    let ready = Client::new().get(format!("{}/readyz", server.url)).send().await;
    assert_eq!(ready.expect("an answer").status(), 200);
}
