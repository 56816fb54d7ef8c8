//! Publishing: shapes in and out, several topics, raw bodies, trace context.

use super::Stage;
use port::{Code, Refusal};
use serde_json::json;
use testkit::memory_hub::Call;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn one_record_is_answered_with_an_object() {
    let stage = Stage::new();
    let body = json!({"topic": "orders", "key": "k", "data": {"n": 1}, "timestamp": 77});
    let answer = stage.publish(&body).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "topic": "orders", "partition": 0, "offset": 0, "id": "orders:0:0", "timestamp": 77,
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-request-id"], "req-1");
    let stored = stage.stored("orders").await;
    assert_eq!(stored[0].record.value.as_ref().unwrap(), r#"{"n":1}"#);
}

#[tokio::test]
async fn several_topics_are_answered_in_the_order_of_the_request() {
    let stage = Stage::new();
    let body = json!([
        {"topic": "a", "data": 1, "id": "x"}, {"topic": "b", "data": 2}, {"topic": "a", "data": 3},
        {"topic": "a", "data": 4, "id": "x"},
    ]);
    let answer = stage.publish(&body).await;
    assert_eq!(answer.status, 200);
    let places: Vec<_> = answer.body.as_array().unwrap().iter().map(|at| &at["id"]).collect();
    assert_eq!(places, ["x", "b:0:0", "a:0:1", "x"]);
    assert_eq!(answer.body[3]["duplicate"], true);
    assert_eq!(answer.body[3]["offset"], 0);
    assert_eq!(stage.hub.append_count(), 2, "one append per topic");
}

#[tokio::test]
async fn lines_are_a_list() {
    let stage = Stage::new();
    for media in ["application/x-ndjson", "application/x-ndjson; charset=utf-8"] {
        let headers = [("x-api-key", stage.key.as_str()), ("content-type", media)];
        let body = "{\"topic\":\"t\",\"data\":1}\n{\"topic\":\"t\",\"data\":2}\n";
        let answer = stage.ask_with("POST", "/v1/events", &headers, body).await;
        assert_eq!(answer.body.as_array().unwrap().len(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn one_topic_may_refuse_while_another_takes() {
    let stage = Stage::new();
    let full = Refusal::new(Code::InvalidEventPayload, "no").field("records[1].data");
    stage.hub.refuse_next(Call::Append, full.clone());
    let body = json!([
        {"topic": "a", "data": 1}, {"topic": "b", "data": 2}, {"topic": "a", "data": 3},
    ]);
    let answer = stage.publish(&body).await;
    assert_eq!(answer.status, 207);
    assert_eq!(answer.body[0]["error"]["code"], "INVALID_EVENT_PAYLOAD");
    assert_eq!(answer.body[0]["topic"], "a");
    assert_eq!(answer.body[1]["offset"], 0);
    // The second record of the append is the third of the request.
    assert_eq!(answer.body[2]["error"]["details"]["field"], "records[2].data");
    assert!(stage.stored("a").await.is_empty());
    stage.hub.refuse_next(Call::Append, full.clone());
    stage.hub.refuse_next(Call::Append, full);
    stage.publish(&body).await.check(400, "INVALID_EVENT_PAYLOAD", Some("records[2].data"));
}

#[tokio::test]
async fn a_request_names_a_bounded_number_of_topics() {
    let stage = Stage::new();
    let body = |count: usize| {
        let one = |n: usize| json!({"topic": format!("t{}", n % count), "data": n});
        serde_json::Value::Array((0..300).map(one).collect())
    };
    assert_eq!(stage.publish(&body(256)).await.status, 200);
    let answer = stage.publish(&body(257)).await;
    answer.check(400, "INVALID_REQUEST", Some("records[256].topic"));
    assert_eq!(stage.hub.append_count(), 256, "nothing of the second request");
}

#[tokio::test]
async fn a_refusal_of_a_single_record_names_its_field() {
    let stage = Stage::new();
    for (field, told) in [("records[0].headers.x", "headers.x"), ("records[0]", "data")] {
        let refusal = Refusal::new(Code::InvalidEventPayload, "no").field(field);
        stage.hub.refuse_next(Call::Append, refusal);
        let answer = stage.publish(&json!({"topic": "a", "data": 1})).await;
        answer.check(400, "INVALID_EVENT_PAYLOAD", Some(told));
    }
}

#[tokio::test]
async fn the_trace_of_the_request_travels_with_its_records() {
    let stage = Stage::new();
    let own = "00-11111111111111111111111111111111-2222222222222222-00";
    let body = json!([
        {"topic": "t", "data": 1}, {"topic": "t", "data": 2, "headers": {"traceparent": own}},
    ]);
    let headers = [("x-api-key", stage.key.as_str()), ("traceparent", TRACE)];
    stage.ask_with("POST", "/v1/events", &headers, body.to_string()).await;
    let headers = [("x-api-key", stage.key.as_str()), ("traceparent", "broken")];
    stage.ask_with("POST", "/v1/topics/t/records", &headers, "raw").await;
    let stored = stage.stored("t").await;
    let traces: Vec<_> =
        stored.iter().map(|found| found.record.header("traceparent").cloned()).collect();
    assert_eq!(traces, [Some(TRACE.into()), Some(own.into()), None]);
}

#[tokio::test]
async fn a_raw_body_is_the_value() {
    let stage = Stage::new();
    let headers = [
        ("x-api-key", stage.key.as_str()),
        ("content-type", "image/png"),
        ("ms-id", "mine"),
        ("ms-header-colour", "red"),
        ("user-agent", "test"),
    ];
    let path = "/v1/topics/pictures/records?key=a%2Fb&timestamp=5";
    let answer = stage.ask_with("POST", path, &headers, vec![0xff, 0, 0x0a]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.body["id"], &answer.body["timestamp"]), (&json!("mine"), &json!(5)));
    let stored = stage.stored("pictures").await;
    let record = &stored[0].record;
    assert_eq!(record.value.as_ref().unwrap()[..], [0xff, 0, 0x0a]);
    assert_eq!(record.key.as_ref().unwrap().as_str(), Some("a/b"));
    assert_eq!(record.header("content-type").unwrap(), "image/png");
    assert_eq!(record.header("colour").unwrap(), "red");
    assert_eq!(record.header("user-agent"), None);
}

#[tokio::test]
async fn curl_without_a_content_type_means_none() {
    let stage = Stage::new();
    let form = "application/x-www-form-urlencoded";
    let headers = [("x-api-key", stage.key.as_str()), ("content-type", form)];
    let body = r#"{"topic":"t","data":1}"#;
    assert_eq!(stage.ask_with("POST", "/v1/events", &headers, body).await.status, 200);
    stage.ask_with("POST", "/v1/topics/t/records", &headers, "2").await;
    assert_eq!(stage.stored("t").await[1].record.header("content-type"), None);
}
