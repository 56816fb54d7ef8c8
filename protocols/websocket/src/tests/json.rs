//! `mainstem.v1.json`, reading: what each text is as a request, or why it is none.

use crate::codec::JsonCodec;
use crate::frame::{Device, Frame, PresenceAction, PresenceWish, Shape, Subscribe, Switch, Verb};
use bytes::BytesMut;
use port::presence::MemberData;
use port::{Code, Codec, Credential};
use types::{Filter, From, Key, TopicName};

fn decode(text: &str) -> Frame {
    let mut codec = JsonCodec::new(4096);
    let frame = codec.decode(&mut BytesMut::from(text));
    frame.expect("only size refuses a message").expect("a whole message is a frame")
}

fn verb(text: &str) -> Verb {
    match decode(text) {
        Frame::Call(call) => call.verb,
        other => panic!("{text} is {other:?}"),
    }
}

/// The number that could be read, the code, the field.
fn check_bad(text: &str, id: Option<u32>, code: Code, field: &str) {
    match decode(text) {
        Frame::Bad { id: found, refusal } => {
            assert_eq!((found, refusal.code()), (id, code), "{text}: {refusal:?}");
            assert_eq!(refusal.field_name(), Some(field), "{text}: {refusal:?}");
        }
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn requests_that_cannot_be_read_name_the_field() {
    use Code::{InvalidFilter, InvalidRequest, InvalidTopic, UnknownField};
    for (text, id, code, field) in [
        ("{", None, InvalidRequest, "body"),
        ("[]", None, InvalidRequest, "body"),
        (r#"{"type":"ping"}"#, None, InvalidRequest, "id"),
        (r#"{"type":"ping","id":-1}"#, None, InvalidRequest, "id"),
        (r#"{"type":"ping","id":4294967296}"#, None, InvalidRequest, "id"),
        (r#"{"type":"ping","id":"1"}"#, None, InvalidRequest, "id"),
        (r#"{"id":1}"#, Some(1), InvalidRequest, "type"),
        (r#"{"type":"fly","id":1}"#, Some(1), InvalidRequest, "type"),
        (r#"{"type":"ping","id":1,"now":1}"#, Some(1), UnknownField, "now"),
        (r#"{"type":"connect","id":1}"#, Some(1), InvalidRequest, "token"),
        (r#"{"type":"connect","id":1,"token":""}"#, Some(1), InvalidRequest, "token"),
        (r#"{"type":"subscribe","id":1}"#, Some(1), InvalidRequest, "filter"),
        (r#"{"type":"subscribe","id":1,"filter":"a/+b"}"#, Some(1), InvalidFilter, "filter"),
        (r#"{"type":"subscribe","id":1,"filter":"a b"}"#, Some(1), InvalidFilter, "filter"),
        (
            r#"{"type":"subscribe","id":1,"filter":"a","from":"offset:x"}"#,
            Some(1),
            InvalidRequest,
            "from",
        ),
        (r#"{"type":"subscribe","id":1,"filter":"a","from":5}"#, Some(1), InvalidRequest, "from"),
        (r#"{"type":"subscribe","id":1,"filter":"a","from":[]}"#, Some(1), InvalidRequest, "from"),
        (r#"{"type":"subscribe","id":1,"filter":"a","sub":-1}"#, Some(1), InvalidRequest, "sub"),
        (r#"{"type":"unsubscribe","id":1}"#, Some(1), InvalidRequest, "sub"),
        (r#"{"type":"publish","id":1}"#, Some(1), InvalidRequest, "topic"),
        (r#"{"type":"publish","id":1,"topic":"a/b","data":1}"#, Some(1), InvalidTopic, "topic"),
        (r#"{"type":"publish","id":1,"topic":"a","dta":1}"#, Some(1), UnknownField, "dta"),
        (r#"{"type":"publish","id":1,"records":[]}"#, Some(1), InvalidRequest, "records"),
        (r#"{"type":"publish","id":1,"records":{}}"#, Some(1), InvalidRequest, "records"),
        (r#"{"type":"publish","id":1,"records":[],"topic":"a"}"#, Some(1), InvalidRequest, "topic"),
        (
            r#"{"type":"publish","id":1,"records":[{"topic":"a","data":1},{"topic":"a","foo":1}]}"#,
            Some(1),
            UnknownField,
            "records[1].foo",
        ),
        (
            r#"{"type":"publish","id":1,"topic":"a","data":1,"record_id":""}"#,
            Some(1),
            InvalidRequest,
            "record_id",
        ),
    ] {
        check_bad(text, id, code, field);
    }
}

#[test]
fn presence_that_cannot_be_read_names_the_field() {
    use Code::InvalidRequest;
    for (text, id, code, field) in [
        (r#"{"type":"presence","id":1,"topic":"a"}"#, Some(1), InvalidRequest, "action"),
        (
            r#"{"type":"presence","id":1,"topic":"a","action":"hide"}"#,
            Some(1),
            InvalidRequest,
            "action",
        ),
        (
            r#"{"type":"presence","id":1,"topic":"a","action":"leave","data":1}"#,
            Some(1),
            InvalidRequest,
            "data",
        ),
        (
            r#"{"type":"presence","id":1,"topic":"a","action":"list","lease_ms":1}"#,
            Some(1),
            InvalidRequest,
            "lease_ms",
        ),
        (
            r#"{"type":"subscribe","id":1,"filter":"a","presence":"some"}"#,
            Some(1),
            InvalidRequest,
            "presence",
        ),
    ] {
        check_bad(text, id, code, field);
    }
}

#[test]
fn depth_is_bounded() {
    let deep = format!(
        r#"{{"type":"publish","id":3,"topic":"a","data":{}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    check_bad(&deep, None, Code::InvalidRequest, "body");
}

#[test]
fn a_longer_frame_than_allowed_ends_the_connection() {
    let mut codec = JsonCodec::new(10);
    let refused = codec.decode(&mut BytesMut::from(r#"{"type":"ping","id":1}"#));
    assert_eq!(refused.expect_err("too long").code(), Code::PayloadTooLarge);
}

#[test]
fn subscribe_reads_every_start() {
    let subscribe = |from| Subscribe {
        sub: 1,
        filter: Filter::parse("orders/+").expect("a filter"),
        from,
        latest: Switch::Off,
        exclude_own: Switch::Off,
        presence: PresenceWish::Nothing,
        shape: Shape::default(),
    };
    for (text, from) in [
        (r#""latest""#, From::Latest),
        (r#""earliest""#, From::Earliest),
        (r#""offset:7""#, From::Offset(7)),
        (r#""time:1000""#, From::Time(1_000)),
        (r#""time:1970-01-01T00:00:01Z""#, From::Time(1_000)),
        (r#""abc""#, From::Cursors(vec!["abc".to_owned()])),
        (r#"["abc","def"]"#, From::Cursors(vec!["abc".to_owned(), "def".to_owned()])),
    ] {
        let frame = format!(r#"{{"type":"subscribe","id":1,"filter":"orders/+","from":{text}}}"#);
        assert_eq!(verb(&frame), Verb::Subscribe(subscribe(from)), "{frame}");
    }
    let all = r#"{"type":"subscribe","id":9,"sub":1,"filter":"orders/+","latest":true,
        "exclude_own":true,"presence":true}"#;
    let (latest, exclude_own, presence) = (Switch::On, Switch::On, PresenceWish::Changes);
    let wanted = Subscribe { latest, exclude_own, presence, ..subscribe(From::Latest) };
    assert_eq!(verb(all), Verb::Subscribe(wanted));
    for (text, presence) in [
        ("false", PresenceWish::Nothing),
        ("null", PresenceWish::Nothing),
        (r#""counts""#, PresenceWish::Counts),
    ] {
        let frame =
            format!(r#"{{"type":"subscribe","id":1,"filter":"orders/+","presence":{text}}}"#);
        let wanted = Subscribe { presence, ..subscribe(From::Latest) };
        assert_eq!(verb(&frame), Verb::Subscribe(wanted), "{frame}");
    }
}

#[test]
fn publish_reads_one_record_or_several() {
    let Verb::Publish(one) = verb(
        r#"{"type":"publish","id":1,"topic":"a","key":"k","data":{"x": 1},"record_id":"r1",
            "headers":{"h":"v"},"timestamp":5,"content_type":"application/json"}"#,
    ) else {
        panic!("a publish");
    };
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].topic, TopicName::parse("a").expect("a topic"));
    assert_eq!(one[0].id(), Some("r1"));
    assert_eq!(one[0].record.key, Some(Key::new("k").expect("a key")));
    assert_eq!(one[0].record.value.as_deref(), Some(&br#"{"x": 1}"#[..]));
    assert_eq!(one[0].record.timestamp, Some(5));
    let Verb::Publish(many) = verb(
        r#"{"type":"publish","id":1,"records":[{"topic":"a","data":1,"id":"x"},
            {"topic":"b","data_base64":"AAE="},{"topic":"b","key":"k","data":null}]}"#,
    ) else {
        panic!("a publish");
    };
    let values: Vec<_> = many.iter().map(|publish| publish.record.value.as_deref()).collect();
    assert_eq!(values, [Some(&b"1"[..]), Some(&[0, 1][..]), None]);
}

#[test]
fn the_other_requests() {
    assert_eq!(verb(r#"{"type":"ping","id":1}"#), Verb::Ping);
    assert_eq!(verb(r#"{"type":"unsubscribe","id":1,"sub":7}"#), Verb::Unsubscribe(7));
    let key = Credential::ApiKey("ms_live_x".to_owned());
    assert_eq!(verb(r#"{"type":"connect","id":1,"token":"ms_live_x"}"#), Verb::Connect(key));
    let token = Credential::Token("eyJ".to_owned());
    assert_eq!(verb(r#"{"type":"refresh","id":1,"token":"eyJ"}"#), Verb::Refresh(token));
    let Verb::Presence(enter) = verb(
        r#"{"type":"presence","id":1,"action":"enter","topic":"a","key":"k","member":"m",
            "data":{}}"#,
    ) else {
        panic!("presence");
    };
    let data = MemberData::Set(Some(serde_json::json!({})));
    let device = Device { member: Some("m".to_owned()), data, ..Device::default() };
    assert_eq!(enter.action, PresenceAction::Enter(device));
    let Verb::Presence(update) = verb(
        r#"{"type":"presence","id":1,"action":"update","topic":"a","device":"d","data":null,
            "lease_ms":5000,"limit":0}"#,
    ) else {
        panic!("presence");
    };
    let data = MemberData::Set(None);
    let device = Some("d".to_owned());
    let device = Device { member: None, device, data, lease_ms: Some(5_000) };
    assert_eq!((update.action, update.limit), (PresenceAction::Update(device), Some(0)));
    let list = r#"{"type":"presence","id":1,"action":"list","topic":"a","after":"m"}"#;
    let Verb::Presence(list) = verb(list) else { panic!("presence") };
    assert_eq!(list.action, PresenceAction::List { after: Some("m".to_owned()) });
}

#[test]
fn every_request_may_carry_a_trace_context() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for frame in [
        r#"{"type":"ping","id":1,"traceparent":"?"}"#,
        r#"{"type":"connect","id":1,"token":"t","traceparent":"?"}"#,
        r#"{"type":"refresh","id":1,"token":"t","traceparent":"?"}"#,
        r#"{"type":"subscribe","id":1,"filter":"a","traceparent":"?"}"#,
        r#"{"type":"unsubscribe","id":1,"sub":1,"traceparent":"?"}"#,
        r#"{"type":"publish","id":1,"topic":"a","data":1,"traceparent":"?"}"#,
        r#"{"type":"presence","id":1,"action":"list","topic":"a","traceparent":"?"}"#,
    ] {
        for (value, wanted) in [(good, Some(good.as_bytes())), ("nonsense", None)] {
            let Frame::Call(call) = decode(&frame.replace('?', value)) else {
                panic!("{frame} is no request");
            };
            assert_eq!(call.traceparent.as_deref(), wanted, "{frame}");
        }
    }
}
