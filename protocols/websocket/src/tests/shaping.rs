//! What shaped subscriptions ask for and are told, in both subprotocols.

use super::stage::World;
use crate::codec::{BinaryCodec, BytesReader, JsonCodec, say_kind, write_bytes, write_varint};
use crate::frame::{Frame, PresenceWish, Say, Shape, Subscribe, Switch, Verb};
use bytes::{Bytes, BytesMut};
use port::delivery::Delta;
use port::{Code, Codec, CursorMint, Delivery, Loss, Origin, Sent};
use serde_json::{Value, json};
use std::sync::Arc;
use types::{Filter, From, Key, Positions, ProjectId, Record, TopicConfig, TopicId, TopicName};

struct Mint;

impl CursorMint for Mint {
    fn mint(&self, _: ProjectId, positions: &Positions) -> String {
        positions.iter().map(|at| format!("c{}", at.next)).collect()
    }
}

fn delivery(offset: u64, value: &str, delta: Option<Delta>) -> Arc<Delivery> {
    let origin = Origin {
        project: "prj_00000000000000000000000000000001".parse().expect("an id"),
        topic: TopicName::parse("t").expect("a name"),
        topic_id: TopicId(7),
        partitions: 1,
        mint: Arc::new(Mint),
    };
    let record = Record {
        key: Some(Key::new("k").expect("a key")),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..Record::default()
    };
    let mut delivery = Delivery::new(Arc::new(origin), 0, offset, 5, record);
    delivery.delta = delta;
    Arc::new(delivery)
}

fn say(codec: &mut impl Codec<Frame = Frame>, say: Say) -> Bytes {
    let mut out = BytesMut::new();
    codec.encode(Frame::Said(say), &mut out);
    out.freeze()
}

fn say_json(say_what: Say) -> Value {
    serde_json::from_slice(&say(&mut JsonCodec::new(4096), say_what)).expect("JSON")
}

fn say_binary(say_what: Say) -> BytesReader {
    BytesReader::new(say(&mut BinaryCodec::new(4096), say_what))
}

fn two() -> Vec<Sent> {
    vec![
        Sent { delivery: delivery(3, "1", None), left_out: 0 },
        Sent { delivery: delivery(9, "2", None), left_out: 4 },
    ]
}

#[test]
fn frames_of_several_records_hold_them_as_they_are_alone() {
    let frame = say_json(Say::Records { sub: 1, records: two() });
    assert_eq!((&frame["type"], &frame["sub"]), (&json!("records"), &json!(1)));
    let alone = two().into_iter().map(|Sent { delivery, left_out }| {
        let mut alone = say_json(Say::Record { sub: 1, left_out, delivery });
        let members = alone.as_object_mut().expect("an object");
        assert_eq!(members.remove("type"), Some(json!("record")));
        assert_eq!(members.remove("sub"), Some(json!(1)));
        alone
    });
    assert_eq!(frame["records"], alone.collect::<Value>());
    assert_eq!(frame["records"][0].get("left_out"), None);
    assert_eq!(frame["records"][1]["left_out"], 4);

    let mut frame = say_binary(Say::Records { sub: 1, records: two() });
    assert_eq!(frame.byte("kind"), Ok(say_kind::RECORDS));
    assert_eq!((frame.varint("sub"), frame.varint("count")), (Ok(1), Ok(2)));
    for (offset, left_out, value) in [(3, 0, "1"), (9, 4, "2")] {
        assert_eq!(frame.varint("left_out"), Ok(left_out));
        assert_eq!(frame.text("topic").as_deref(), Ok("t"));
        assert_eq!((frame.varint("partition"), frame.varint("offset")), (Ok(0), Ok(offset)));
        assert_eq!((frame.signed("time"), frame.byte("flags")), (Ok(5), Ok(3)));
        assert_eq!(frame.text("key").as_deref(), Ok("k"));
        assert_eq!(frame.text("value").as_deref(), Ok(value));
        assert_eq!(frame.varint("headers"), Ok(0));
        assert_eq!(frame.text("cursor"), Ok(format!("c{}", offset + 1)));
    }
    assert!(frame.is_empty());
}

#[test]
fn a_record_that_stands_for_others_says_so() {
    let record = || Say::Record { sub: 2, left_out: 7, delivery: delivery(3, "1", None) };
    assert_eq!(say_json(record())["left_out"], 7);
    let mut frame = say_binary(record());
    assert_eq!(frame.byte("kind"), Ok(say_kind::NEWEST));
    assert_eq!((frame.varint("sub"), frame.varint("left_out")), (Ok(2), Ok(7)));
    assert_eq!(frame.text("topic").as_deref(), Ok("t"));
}

#[test]
fn differences_name_their_base() {
    let whole =
        |delta| Say::Record { sub: 1, left_out: 0, delivery: delivery(8, "{\"a\": 1}", delta) };
    let told = say_json(whole(Some(Delta::Whole)));
    assert_eq!(told["data_text"], "{\"a\": 1}");
    assert_eq!(told.get("data"), None);
    let patched = say_json(whole(Some(Delta::From(5))));
    assert_eq!((&patched["base"], &patched["delta_base64"]), (&json!(5), &json!("eyJhIjogMX0=")));
    let mut frame = say_binary(whole(Some(Delta::From(5))));
    for _ in 0..2 {
        frame.byte("kind, sub").expect("there");
    }
    frame.text("topic").expect("there");
    assert_eq!((frame.varint("partition"), frame.varint("offset")), (Ok(0), Ok(8)));
    assert_eq!((frame.signed("time"), frame.byte("flags")), (Ok(5), Ok(7)));
    assert_eq!(frame.text("key").as_deref(), Ok("k"));
    assert_eq!(frame.text("delta").as_deref(), Ok("{\"a\": 1}"));
    assert_eq!(frame.varint("base"), Ok(5));
}

#[test]
fn progress_credits_and_losses_are_told() {
    let progress = || Say::Progress { sub: 1, cursor: "c".to_owned() };
    assert_eq!(say_json(progress()), json!({"type":"progress","sub":1,"cursor":"c"}));
    let mut frame = say_binary(progress());
    assert_eq!((frame.byte("kind"), frame.varint("sub")), (Ok(say_kind::PROGRESS), Ok(1)));
    assert_eq!(frame.text("cursor").as_deref(), Ok("c"));
    let credited = || Say::Credited { id: 4, sub: 1, credits: 300 };
    assert_eq!(say_json(credited()), json!({"type":"credited","id":4,"sub":1,"credits":300}));
    let mut frame = say_binary(credited());
    assert_eq!((frame.byte("kind"), frame.varint("id")), (Ok(say_kind::CREDITED), Ok(4)));
    assert_eq!((frame.varint("sub"), frame.varint("credits")), (Ok(1), Ok(300)));
    for (why, name, number) in [
        (Loss::Expired, "expired", 0),
        (Loss::HistoryLost, "history_lost", 1),
        (Loss::TopicGone, "topic_gone", 2),
    ] {
        let gap = || Say::Gap { sub: 1, topic: TopicId(7), partition: 0, from: 3, to: 9, why };
        assert_eq!(say_json(gap())["reason"], name);
        let frame = say(&mut BinaryCodec::new(4096), gap());
        assert_eq!(frame.last(), Some(&number));
    }
}

fn everything() -> Subscribe {
    Subscribe {
        sub: 5,
        filter: Filter::parse("t").expect("a filter"),
        from: From::Latest,
        latest: Switch::Off,
        exclude_own: Switch::Off,
        presence: PresenceWish::Nothing,
        shape: Shape {
            condition: Some("data.n = 1".to_owned()),
            conflate_ms: Some(50),
            batch_ms: Some(20),
            delta: Switch::On,
            credits: Some(1_000),
        },
    }
}

fn verb(codec: &mut impl Codec<Frame = Frame>, message: &[u8]) -> Verb {
    match codec.decode(&mut BytesMut::from(message)) {
        Ok(Some(Frame::Call(call))) => call.verb,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_can_be_asked_for() {
    let text = r#"{"type":"subscribe","id":5,"filter":"t","where":"data.n = 1","conflate_ms":50,
        "batch_ms":20,"delta":true,"credits":1000}"#;
    let json = &mut JsonCodec::new(4096);
    assert_eq!(verb(json, text.as_bytes()), Verb::Subscribe(everything()));
    let batch = br#"{"type":"subscribe","id":5,"filter":"t","batch":true}"#;
    let Verb::Subscribe(read) = verb(json, batch) else { panic!("a subscribe") };
    assert_eq!(read.shape, Shape { batch_ms: Some(0), ..Shape::default() });
    let credit = br#"{"type":"credit","id":5,"sub":1,"add":9}"#;
    assert_eq!(verb(json, credit), Verb::Credit { sub: 1, add: 9 });

    let binary = &mut BinaryCodec::new(4096);
    let mut frame = BytesMut::from(&[3, 1, 5, 8 | 16 | 32 | 64 | 128][..]);
    write_bytes(&mut frame, b"t");
    frame.extend_from_slice(&[0]);
    write_bytes(&mut frame, b"data.n = 1");
    for number in [50, 20, 1_000] {
        write_varint(&mut frame, number);
    }
    assert_eq!(verb(binary, &frame), Verb::Subscribe(everything()));
    assert_eq!(verb(binary, &[8, 5, 1, 9]), Verb::Credit { sub: 1, add: 9 });
}

#[test]
fn who_asks_for_nothing_has_nothing() {
    assert!(Shape::default().shaping().is_none());
    assert!(everything().shape.shaping().is_some());
}

#[tokio::test]
async fn credits_are_for_subscriptions_that_have_them() {
    let world = World::new();
    world.hub.topic(world.place, "t", TopicConfig::default());
    let mut client = world.client().await;
    let none = r#"{"type":"error","id":1,"error":{"code":"NOT_FOUND","details":{"field":"sub"}}}"#;
    client.ask(r#"{"type":"credit","id":1,"sub":9,"add":1}"#, none).await;
    let subscribe = r#"{"type":"subscribe","id":2,"sub":9,"filter":"t"}"#;
    client.ask(subscribe, r#"{"type":"subscribed","id":2}"#).await;
    client.expect(r#"{"type":"caught_up"}"#).await;
    let plain = r#"{"type":"error","id":3,"error":{"code":"CONFLICT"}}"#;
    client.ask(r#"{"type":"credit","id":3,"sub":9,"add":1}"#, plain).await;
    // The hub of these tests shapes nothing, and a refused subscription leaves nothing behind.
    let shaped = r#"{"type":"subscribe","id":4,"sub":8,"filter":"t","credits":1}"#;
    let code = Code::Unsupported.name();
    let refused = json!({"type":"error","id":4,"error":{"code":code}}).to_string();
    client.ask(shaped, &refused).await;
    let gone = r#"{"type":"error","id":5,"error":{"code":"NOT_FOUND"}}"#;
    client.ask(r#"{"type":"credit","id":5,"sub":8,"add":1}"#, gone).await;
}
