//! The HTTP face: routing, names, headers, the one shape of error, TLS, and the end.

use super::harness::{PATIENCE, Running, config, read_all};
use crate::accept::Bucket;
use crate::config::Tls;
use crate::http::bare::Bare;
use crate::http::request::is_sane;
use crate::openapi;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

fn get(path: &str, headers: &str) -> Vec<u8> {
    request("GET", path, headers)
}

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
        .into_bytes()
}

#[track_caller]
fn check(answer: &str, words: &[&str]) {
    for word in words {
        assert!(answer.contains(word), "no {word:?} in {answer}");
    }
}

#[tokio::test]
async fn routes_answer_with_the_usual_headers() {
    let edge = Running::start(config());
    let answer = edge.raw(&get("/v1/thing", "")).await;
    check(
        &answer,
        &["HTTP/1.1 200 ", "a thing", "x-request-id: ", "nosniff", "no-referrer", "DENY"],
    );
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    check(&edge.raw(&get("/healthz", "")).await, &["200 OK", "\r\n\r\nok"]);
    let answer = edge.raw(&get("/v1/peer", "x-request-id: mine-1\r\n")).await;
    check(&answer, &["x-request-id: mine-1", "\r\n\r\nmine-1 false"]);
    let answer = edge.raw(&get("/v1/peer", "x-request-id: {bad}\r\n")).await;
    assert!(!answer.contains("{bad}"), "{answer}");
    let answer = edge.raw(&get("/openapi.json", "")).await;
    check(&answer, &["application/json", "\"openapi\":\"3.1.0\"", "/v1/thing"]);
    edge.end().await;
}

#[tokio::test]
async fn errors_have_one_shape() {
    let edge = Running::start(config());
    let answer = edge.raw(&get("/nothing", "")).await;
    check(&answer, &["404 Not Found", "application/json", "NOT_FOUND", "\"request_id\":\""]);
    let answer = edge.raw(&request("DELETE", "/v1/thing", "")).await;
    check(&answer, &["405 Method", "allow: GET", "UNSUPPORTED"]);
    let answer = edge.raw(&get("/v1/ws", "")).await;
    check(&answer, &["426 Upgrade", "upgrade: websocket", "sec-websocket-version: 13"]);
    edge.end().await;
}

#[tokio::test]
async fn browsers_are_told_who_may_come() {
    let mut settings = config();
    settings.cors.origins = vec!["https://app.example.com".into()];
    let edge = Running::start(settings);
    let preflight = |origin: &str| {
        let headers = format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization\r\n"
        );
        request("OPTIONS", "/v1/echo", &headers)
    };
    let answer = edge.raw(&preflight("https://app.example.com")).await;
    check(&answer, &["200 OK", "access-control-allow-origin: https://app.example.com"]);
    check(&answer, &["access-control-allow-headers: authorization", "access-control-max-age"]);
    let answer = edge.raw(&preflight("https://evil.example.com")).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    let answer = edge.raw(&get("/nothing", "origin: https://app.example.com\r\n")).await;
    check(&answer, &["404", "access-control-allow-origin", "access-control-expose-headers"]);
    edge.end().await;
}

#[tokio::test]
async fn the_admin_port_has_its_own_router() {
    let edge = Running::start(config());
    let ask = async |address, path| {
        let mut socket = tokio::net::TcpStream::connect(address).await.expect("it accepts");
        socket.write_all(&get(path, "")).await.expect("sent");
        read_all(&mut socket).await
    };
    check(&ask(edge.admin, "/admin").await, &["200 OK", "admin"]);
    check(&ask(edge.admin, "/v1/thing").await, &["404 Not Found", "NOT_FOUND"]);
    check(&ask(edge.public, "/admin").await, &["404 Not Found"]);
    edge.end().await;
}

/// A client of the given TLS settings that trusts everybody: this is about the edge.
fn trusting(alpn: &[&[u8]]) -> tokio_rustls::TlsConnector {
    #[derive(Debug)]
    struct Trusting;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    impl ServerCertVerifier for Trusting {
        fn verify_server_cert(
            &self,
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &[rustls_pki_types::CertificateDer<'_>],
            _: &rustls_pki_types::ServerName<'_>,
            _: &[u8],
            _: rustls_pki_types::UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &rustls_pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("known versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config).into()
}

pub type TlsClient = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

pub async fn tls(edge: &Running, alpn: &[&[u8]]) -> TlsClient {
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    trusting(alpn).connect(name, edge.socket().await).await.expect("a handshake")
}

pub fn self_signed() -> crate::Config {
    crate::Config { tls: Some(Tls::SelfSigned { names: vec!["localhost".into()] }), ..config() }
}

#[tokio::test]
async fn tls_serves_both_versions_of_http() {
    let edge = Running::start(self_signed());
    let mut stream = tls(&edge, &[b"http/1.1"]).await;
    stream.write_all(&get("/v1/peer", "")).await.expect("sent");
    check(&read_all(&mut stream).await, &["200 OK", " true"]);
    let stream = tls(&edge, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let client =
        reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client");
    for path in ["/v1/thing", "/nothing"] {
        let url = format!("https://localhost:{}{path}", edge.public.port());
        let answer = client.get(url).send().await.expect("an answer");
        assert_eq!(answer.version(), http::Version::HTTP_2);
        assert!(answer.headers().contains_key("x-request-id"));
        assert_eq!(answer.status().is_success(), path == "/v1/thing");
    }
    drop((client, stream));
    edge.end().await;
}

#[tokio::test]
async fn web_sockets_work_over_tls() {
    let edge = Running::start(self_signed());
    let stream = tls(&edge, &[b"http/1.1"]).await;
    let (socket, _) =
        tokio_tungstenite::client_async("wss://localhost/v1/ws", stream).await.expect("an upgrade");
    let mut client = super::harness::Talk(socket);
    client.say("hello").await;
    assert_eq!(client.hear().await, "hello");
    let long = "x".repeat(1_000_000);
    client.say(&long).await;
    assert_eq!(client.hear().await, long);
    client.say("big").await;
    client.say("forbid").await;
    for _ in 0..64 {
        assert_eq!(client.hear().await.len(), 64 * 1024);
    }
    assert_eq!(client.closed().await, 4403);
    edge.end().await;
}

#[tokio::test]
async fn certificates_are_exchanged_while_serving() {
    let folder = std::env::temp_dir().join(format!("edge-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (certificate, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let make = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        made.cert.der().to_vec()
    };
    let served = |stream: &TlsClient| {
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|c| c.to_vec())
    };
    let first = make("one.example");
    let tls_files = Tls::Files { certificate: certificate.clone(), key: key.clone() };
    let edge = Running::start(crate::Config { tls: Some(tls_files), ..config() });
    let mut stream = tls(&edge, &[]).await;
    assert_eq!(served(&stream), Some(first.clone()));
    std::fs::write(&key, "not a key").expect("written");
    assert!(edge.certificate.reload().is_err());
    assert_eq!(served(&tls(&edge, &[]).await), Some(first));
    let second = make("two.example");
    edge.certificate.reload().expect("a good certificate");
    assert_eq!(served(&tls(&edge, &[]).await), Some(second));
    // Who was connected stays so, and is told to insist on TLS.
    stream.write_all(&get("/v1/thing", "")).await.expect("sent");
    check(&read_all(&mut stream).await, &["200 OK", "strict-transport-security: max-age=31536000"]);
    edge.end().await;
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test]
async fn draining_ends_kept_connections() {
    let mut edge = Running::start(config());
    let mut socket = edge.socket().await;
    socket.write_all(b"GET /v1/thing HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut chunk = [0; 4096];
    let read = tokio::io::AsyncReadExt::read(&mut socket, &mut chunk);
    let count = tokio::time::timeout(PATIENCE, read).await.expect("in time").expect("an answer");
    assert!(count > 0);
    edge.begin_drain();
    read_all(&mut socket).await;
    edge.end().await;
}

#[test]
fn a_bucket_lets_a_burst_in_and_then_its_rate() {
    let mut bucket = Bucket::new(10, 3);
    let at = Duration::from_millis;
    let taken = |bucket: &mut Bucket, now| bucket.take(now).is_ok();
    assert!((0..3).all(|_| taken(&mut bucket, at(1_000))));
    assert_eq!(bucket.take(at(1_000)), Err(at(100)));
    assert_eq!(bucket.take(at(1_050)), Err(at(50)));
    assert!(taken(&mut bucket, at(1_100)));
    assert!(!taken(&mut bucket, at(1_100)));
    assert!((0..3).all(|_| taken(&mut bucket, at(9_000))));
    assert!(!taken(&mut bucket, at(9_000)));
}

#[test]
fn only_sane_request_ids_are_taken() {
    for good in ["a", "4bf92f35-77b3.x_1:2", &"a".repeat(128)] {
        assert!(is_sane(good), "{good}");
    }
    for bad in ["", "a b", "a\"b", "ü", "{}", &"a".repeat(129)] {
        assert!(!is_sane(bad), "{bad}");
    }
}

#[test]
fn only_bare_answers_are_taken_for_bare_ones() {
    let bare = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    let find = |text: String| Bare::find(text.as_bytes());
    assert_eq!(find(bare("431 Request Header Fields Too Large", "")), Some(Bare::HeadTooLarge));
    assert_eq!(find(bare("400 Bad Request", "")), Some(Bare::BadRequest));
    assert_eq!(find(bare("404 Not Found", "")), None);
    assert_eq!(find(bare("400 Bad Request", "x-request-id: 1\r\n")), None);
    assert_eq!(find(format!("{}more", bare("400 Bad Request", ""))), None);
}

#[test]
fn descriptions_merge_or_clash() {
    let one = json!({ "info": { "title": "x" }, "paths": { "/a": { "get": {} } }, "tags": [1] });
    let two = json!({ "paths": { "/a": { "post": {} }, "/b": {} }, "tags": [1, 2] });
    let merged = openapi::merge(&[one.clone(), json!(null), two]).expect("no clash");
    assert_eq!(merged["paths"], json!({ "/a": { "get": {}, "post": {} }, "/b": {} }));
    assert_eq!((&merged["tags"], &merged["openapi"]), (&json!([1, 2]), &json!("3.1.0")));
    let clash = json!({ "paths": { "/a": { "get": 1 } } });
    let error = openapi::merge(&[one, clash]).expect_err("a clash").to_string();
    assert!(error.contains("paths./a.get"), "{error}");
}

#[test]
fn settings_are_checked() {
    let wrong: &[fn(&mut crate::Config)] = &[
        |config| config.shards = 65,
        |config| config.http.head_bytes_max = 100,
        |config| config.accept.connections_max = 0,
        |config| config.web_socket.keepalive_ms = 1,
        |config| config.web_socket.waiting_bytes_low = usize::MAX,
    ];
    for spoil in wrong {
        let mut config = crate::Config::default();
        config.check().expect("the defaults agree with each other");
        spoil(&mut config);
        assert!(config.check().is_err(), "{config:?}");
    }
    let automatic = crate::Config { shards: 0, ..crate::Config::default() };
    assert!((1..=64).contains(&automatic.shard_count()));
    let unknown = serde_json::from_str::<crate::Config>(r#"{"listn":"127.0.0.1:1"}"#);
    assert!(unknown.expect_err("an unknown key").to_string().contains("listn"));
}
