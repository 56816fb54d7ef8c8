//! The sender against receivers that behave well and badly.

use super::receiver::{Receiver, Reply};
use super::{clock, loopback};
use crate::config::Config;
use crate::judgement::Outcome;
use crate::sender::{Answered, Request, Sender};
use standard_webhooks::SigningKey;
use std::time::Duration;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn send(config: Config, url: &str, timeout_ms: u64) -> Answered {
    let sender = Sender::new(config, clock()).expect("a client");
    let keys = [SigningKey::parse(SECRET).unwrap(), SigningKey::from_private(&[1; 32]).unwrap()];
    let request = Request {
        url,
        message: "msg_1",
        body: bytes::Bytes::from_static(b"{\"type\":\"t\"}"),
        keys: keys.iter().collect(),
        headers: &[("x-shop".parse().unwrap(), "7".parse().unwrap())],
        traceparent: Some("00-aa-bb-01".parse().unwrap()),
        timeout: Duration::from_millis(timeout_ms),
    };
    sender.send(request).await
}

async fn send_to(replies: Vec<Reply>, timeout_ms: u64) -> (Answered, Receiver) {
    let receiver = Receiver::start(replies).await;
    let answered = send(loopback(), &receiver.url(), timeout_ms).await;
    (answered, receiver)
}

#[tokio::test]
async fn a_request_is_signed_and_says_what_it_is() {
    let (answered, receiver) = send_to(vec![], 10_000).await;
    assert_eq!((answered.outcome, answered.status), (Outcome::Delivered, Some(204)));
    let got = &receiver.got()[0];
    let public = SigningKey::from_private(&[1; 32]).unwrap().public_key().unwrap();
    assert!(got.is_signed_with(SECRET) && got.is_signed_with(&public), "{got:?}");
    assert!(!got.is_signed_with("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    assert_eq!(got.body, b"{\"type\":\"t\"}");
    let table = [
        ("content-type", "application/json"),
        ("webhook-id", "msg_1"),
        ("x-shop", "7"),
        ("traceparent", "00-aa-bb-01"),
    ];
    for (name, value) in table {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert!(got.header("user-agent").starts_with("Mainstem-Webhooks/"));
}

#[tokio::test]
async fn what_a_bad_receiver_does_is_bounded_and_named() {
    let redirect = Reply::With(307, "location: http://169.254.169.254/\r\n", String::new());
    let busy = Reply::With(429, "retry-after: 17\r\n", "busy".to_owned());
    let table = [
        (Reply::Status(500), 10_000, Outcome::Failed, Some(500)),
        (Reply::Status(410), 10_000, Outcome::Gone, Some(410)),
        (redirect, 10_000, Outcome::Redirected, Some(307)),
        (busy, 10_000, Outcome::Deferred, Some(429)),
        (Reply::Hang, 300, Outcome::TimedOut, None),
        (Reply::Stall, 300, Outcome::Failed, Some(500)),
        (Reply::Flood, 10_000, Outcome::Failed, Some(500)),
        (Reply::Reset, 10_000, Outcome::Unreachable, None),
        (Reply::Nonsense, 10_000, Outcome::Unreachable, None),
    ];
    for (reply, timeout_ms, outcome, status) in table {
        let what = format!("{reply:?}");
        let (answered, receiver) = send_to(vec![reply], timeout_ms).await;
        assert_eq!((answered.outcome, answered.status), (outcome, status), "{what}");
        assert_eq!(answered.error.is_some(), status.is_none(), "{what}");
        assert!(answered.answer.as_ref().is_none_or(|text| text.len() <= 2_048), "{what}");
        assert!(!answered.reason().is_empty(), "{what}");
        assert_eq!(receiver.got().len(), 1, "nothing is followed or repeated: {what}");
    }
}

#[tokio::test]
async fn an_answer_is_kept_with_its_wish_for_another_time() {
    let busy = Reply::With(503, "retry-after: 17\r\n", "e".repeat(5_000));
    let (answered, _receiver) = send_to(vec![busy], 10_000).await;
    assert_eq!(answered.retry_after, Some(Duration::from_secs(17)));
    assert_eq!(answered.answer.map(|text| text.len()), Some(2_048));
}

#[tokio::test]
async fn no_connection_to_where_none_may_be() {
    let receiver = Receiver::start([]).await;
    let port = receiver.address.port();
    let strict = Config { plain_http_allowed: true, ..Config::default() };
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.0.0.2"] {
        let answered = send(strict.clone(), &format!("http://{host}:{port}/"), 10_000).await;
        assert_eq!(answered.outcome, Outcome::Forbidden, "{host}: {answered:?}");
    }
    // A name that resolves to loopback, met by the resolver: what is listed is another network.
    let elsewhere = Config { allow_networks: vec!["10.0.0.0/8".parse().unwrap()], ..strict };
    let answered = send(elsewhere, &format!("http://localhost:{port}/"), 10_000).await;
    assert_eq!(answered.outcome, Outcome::Forbidden, "{answered:?}");
    assert!(receiver.got().is_empty(), "nobody was called");
    let listed = send(loopback(), &format!("http://localhost:{port}/"), 10_000).await;
    assert_eq!(listed.outcome, Outcome::Delivered, "{listed:?}");
}

#[tokio::test]
async fn nobody_there() {
    let port = Receiver::start([]).await.address.port();
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = closed.local_addr().unwrap().port();
    drop(closed);
    assert_ne!(port, gone);
    let answered = send(loopback(), &format!("http://127.0.0.1:{gone}/key=s3cret"), 10_000).await;
    assert_eq!(answered.outcome, Outcome::Unreachable);
    assert!(!answered.reason().contains("s3cret"), "{}", answered.reason());
}
