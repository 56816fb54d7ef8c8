//! Who gets in, and what is said before: versions, signing in, broken requests.

use super::Stand;
use super::client::{Kafka, fetch};
use crate::stand::server::Home;
use bytes::{Buf, BufMut, BytesMut};
use kafka::messages::Api;
use kafka::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use kafka::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use kafka::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use serde_json::json;

const SASL_AUTHENTICATION_FAILED: i16 = 58;
const UNSUPPORTED_VERSION: i16 = 35;

/// Gotcha 1 of the field: the answer to a version that we do not know is in the oldest form.
#[tokio::test]
async fn an_unknown_version_of_the_first_question_is_answered_in_the_oldest_form() {
    let stand = Stand::new().await;
    let mut stranger = Kafka::stranger(&stand.server.kafka).await;
    let mut frame = BytesMut::new();
    frame.put_i16(Api::ApiVersions.key());
    frame.put_i16(99);
    frame.put_i32(7);
    frame.put_slice(b"whatever a client of the future has to say");
    stranger.send(&frame).await;
    let mut answer = stranger.frame().await.expect("an answer");
    assert_eq!((answer.get_i32(), answer.get_i16()), (7, UNSUPPORTED_VERSION));
    let keys: Vec<[i16; 3]> = (0..answer.get_i32())
        .map(|_| [answer.get_i16(), answer.get_i16(), answer.get_i16()])
        .collect();
    assert!(keys.contains(&[18, 0, 4]), "{keys:?}");
    // And the connection goes on.
    let told: ApiVersionsResponse =
        stranger.call(Api::ApiVersions, 3, &ApiVersionsRequest::default()).await;
    assert_eq!(told.error_code, 0);
}

/// Gotcha 2: old librdkafka compresses only for brokers that know the first Produce.
#[tokio::test]
async fn produce_is_advertised_from_its_first_version() {
    let stand = Stand::new().await;
    let mut stranger = Kafka::stranger(&stand.server.kafka).await;
    let told: ApiVersionsResponse =
        stranger.call(Api::ApiVersions, 0, &ApiVersionsRequest::default()).await;
    let produce = told.api_keys.iter().find(|api| api.api_key == 0).expect("it is there");
    assert_eq!(produce.min_version, 0);
}

#[tokio::test]
async fn strangers_and_wrong_keys_get_nothing() {
    let stand = Stand::new().await;
    let mut stranger = Kafka::stranger(&stand.server.kafka).await;
    stranger.ask(Api::Metadata, 9, &MetadataRequest::default()).await;
    assert_eq!(stranger.frame().await, None, "the connection ends");
    let mut guesser = Kafka::stranger(&stand.server.kafka).await;
    let told = guesser.sign_in(&stand.key.id, "ms_live_guessed").await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
    assert_eq!(guesser.frame().await, None);
    // The right secret under another's name is a mistake worth telling.
    let mut mistaken = Kafka::stranger(&stand.server.kafka).await;
    let told = mistaken.sign_in("key_00000000000000000000000000000000", &stand.key.secret).await;
    assert_eq!(told.error_code, SASL_AUTHENTICATION_FAILED);
    assert!(told.error_message.unwrap_or_default().contains("id of the key"));
    let mut other = Kafka::stranger(&stand.server.kafka).await;
    let gssapi = SaslHandshakeRequest { mechanism: "GSSAPI".to_owned() };
    let told: SaslHandshakeResponse = other.call(Api::SaslHandshake, 1, &gssapi).await;
    assert_eq!(
        (told.error_code, told.mechanisms.join(" ")),
        (33, "PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER".to_owned())
    );
}

/// The build that most have knows no tickets: who asks for them is told at the start, and not by
/// clients that are not let in.
#[tokio::test]
async fn kerberos_is_refused_by_a_build_without_it() {
    let kerberos = json!({ "projects": ["prj_0123456789abcdef0123456789abcdef"] });
    let mechanisms = ["SCRAM-SHA-512", "GSSAPI"];
    let listen = "127.0.0.1:0";
    for listener in [
        json!({ "listen": listen, "mechanisms": mechanisms, "kerberos": kerberos }),
        json!({ "listen": listen, "mechanisms": mechanisms }),
    ] {
        let settings = json!({ "protocols": { "kafka": { "listeners": [listener] } } });
        let output = Home::new(&settings).refused();
        assert!(output.contains("built without Kerberos"), "{output}");
        assert!(output.contains("--features gssapi"), "{output}");
    }
}

/// Clients from before 2018 send the proof in a frame of its own.
#[tokio::test]
async fn the_old_form_of_signing_in_is_taken() {
    let stand = Stand::new().await;
    let mut client = Kafka::stranger(&stand.server.kafka).await;
    let plain = SaslHandshakeRequest { mechanism: "PLAIN".to_owned() };
    let told: SaslHandshakeResponse = client.call(Api::SaslHandshake, 0, &plain).await;
    assert_eq!(told.error_code, 0);
    client.send(format!("\0{}\0{}", stand.key.id, stand.key.secret).as_bytes()).await;
    assert_eq!(client.frame().await.expect("an answer"), "");
    let told: MetadataResponse = client.call(Api::Metadata, 1, &MetadataRequest::default()).await;
    assert_eq!(told.brokers.len(), 1);
}

#[tokio::test]
async fn who_does_not_sign_in_in_time_or_sends_garbage_is_cut() {
    let stand = Stand::with(json!({ "sign_in_ms_max": 300 })).await;
    let mut silent = Kafka::stranger(&stand.server.kafka).await;
    assert_eq!(silent.frame().await, None);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 40], &[0; 3], b"\0\x03\0\x09\0\0\0\x01"]
    {
        let mut client = Kafka::stranger(&stand.server.kafka).await;
        client.send(garbage).await;
        assert_eq!(client.frame().await, None, "{garbage:?}");
    }
    // A frame too long for somebody unknown is cut at its length.
    let mut huge = Kafka::stranger(&stand.server.kafka).await;
    huge.send(&vec![0; 100_000]).await;
    assert_eq!(huge.frame().await, None);
    assert!(stand.client().await.fetch("nowhere", 0, 0).await.error_code != 0, "it serves on");
}

#[tokio::test]
async fn a_revoked_key_ends_its_connections() {
    let stand = Stand::new().await;
    let mut client = stand.client().await;
    let path = stand.room.path(&format!("keys/{}/revoke", stand.key.id));
    stand.server.admin().done(reqwest::Method::POST, &path, &json!({})).await;
    // It ends within a second, or at the latest with the next request.
    client.ask(Api::Fetch, 12, &fetch("t", 0, 0, 20_000)).await;
    while client.frame().await.is_some() {}
}

/// Gotcha 15: clients are told to connect to where they came in, or to what the operator says.
#[tokio::test]
async fn clients_are_told_where_to_connect() {
    let stand = Stand::new().await;
    let told: MetadataResponse =
        stand.client().await.call(Api::Metadata, 9, &MetadataRequest::default()).await;
    let broker = &told.brokers[0];
    assert_eq!(format!("{}:{}", broker.host, broker.port), stand.server.kafka);
    let listener = json!({ "listen": "127.0.0.1:0", "advertised": "kafka.example.com:443" });
    let stand = Stand::with(json!({ "listeners": [listener] })).await;
    let told: MetadataResponse =
        stand.client().await.call(Api::Metadata, 9, &MetadataRequest::default()).await;
    assert_eq!((&*told.brokers[0].host, told.brokers[0].port), ("kafka.example.com", 443));
    assert!(stand.server.output().contains("a name that this machine does not know"));
}

#[tokio::test]
async fn another_tenants_topics_are_not_there() {
    let stand = Stand::new().await;
    stand.topic("secret", 1).await;
    let (_, stranger) = stand.server.admin().furnished().await;
    let mut stranger = Kafka::signed_in(&stand.server.kafka, &stranger).await;
    let all: MetadataResponse = stranger.call(Api::Metadata, 1, &MetadataRequest::default()).await;
    assert!(all.topics.is_empty());
    assert_eq!(stranger.fetch("secret", 0, 0).await.error_code, 3);
    // Neither by the number that the topic has.
    let mut own = stand.client().await;
    let named = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("secret".to_owned()),
            ..Default::default()
        }]),
        ..MetadataRequest::default()
    };
    let told: MetadataResponse = own.call(Api::Metadata, 12, &named).await;
    let topic_id = told.topics[0].topic_id;
    let by_number = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id, name: None }]),
        ..MetadataRequest::default()
    };
    let told: MetadataResponse = own.call(Api::Metadata, 12, &by_number).await;
    assert_eq!(told.topics[0].name.as_deref(), Some("secret"));
    let told: MetadataResponse = stranger.call(Api::Metadata, 12, &by_number).await;
    assert_eq!((told.topics[0].error_code, &told.topics[0].name), (100, &None));
}
