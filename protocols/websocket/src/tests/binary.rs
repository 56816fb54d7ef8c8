//! `mainstem.v1.bin`: what a client writes is read as it was meant, and what the server writes can
//! be read by the layout in the README. The client's half is written here, apart from the codec's.

use super::stage::{World, factory};
use crate::codec::{
    BinaryCodec, BytesReader, call_kind, say_kind, write_bytes, write_signed, write_varint,
};
use crate::frame::{Device, Frame, PresenceAction, PresenceWish, Verb};
use bytes::{BufMut, Bytes, BytesMut};
use port::presence::MemberData;
use port::{Code, Codec, Credential};
use proptest::prelude::*;
use testkit::driven::{DrivenClient, Received};
use types::From;

/// A request as the layout sees it.
#[derive(Debug, Clone)]
pub enum Request {
    Secret { kind: u8, token: String },
    Subscribe { sub: u32, flags: u8, filter: String, from: Start },
    Unsubscribe { sub: u32 },
    Publish { records: Vec<Record> },
    Presence { action: u8, topic: String, key: Option<Vec<u8>>, member: Option<String> },
    Ping,
}

#[derive(Debug, Clone)]
pub enum Start {
    Latest,
    Earliest,
    Offset(u64),
    Time(i64),
    Cursors(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct Record {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
    pub id: Option<String>,
    pub timestamp: Option<i64>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Arbitrary for Request {
    type Parameters = ();
    type Strategy = BoxedStrategy<Request>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Request> {
        let text = "[a-z]{1,20}";
        let start = prop_oneof![
            Just(Start::Latest),
            Just(Start::Earliest),
            any::<u64>().prop_map(Start::Offset),
            any::<i64>().prop_map(Start::Time),
            prop::collection::vec(text, 1..5).prop_map(Start::Cursors),
        ];
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let headers = prop::collection::vec(("h[a-z]{0,8}", bytes()), 0..4);
        let record = (
            text,
            prop::option::of(bytes()),
            bytes(),
            prop::option::of(text),
            prop::option::of(any::<i64>()),
            headers,
        );
        let record = record.prop_map(|(topic, key, value, id, timestamp, headers)| Record {
            topic,
            key,
            value,
            id,
            timestamp,
            headers,
        });
        let member = prop::option::of(text);
        prop_oneof![
            (1u8..3, text).prop_map(|(kind, token)| Request::Secret { kind, token }),
            (any::<u32>(), 0u8..8, text, start).prop_map(|(sub, flags, filter, from)| {
                Request::Subscribe { sub, flags, filter, from }
            }),
            any::<u32>().prop_map(|sub| Request::Unsubscribe { sub }),
            prop::collection::vec(record, 1..6).prop_map(|records| Request::Publish { records }),
            (1u8..4, text, prop::option::of(bytes()), member).prop_map(
                |(action, topic, key, member)| Request::Presence { action, topic, key, member }
            ),
            Just(Request::Ping),
        ]
        .boxed()
    }
}

const ID: u32 = 77;

pub fn write_request(request: &Request) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut start = |kind: u8| {
        out.put_u8(kind);
        write_varint(&mut out, u64::from(ID));
    };
    match request {
        Request::Secret { kind, token } => {
            start(*kind);
            write_bytes(&mut out, token.as_bytes());
        }
        Request::Subscribe { sub, flags, filter, from } => {
            start(call_kind::SUBSCRIBE);
            write_varint(&mut out, u64::from(*sub));
            out.put_u8(*flags);
            write_bytes(&mut out, filter.as_bytes());
            write_start(&mut out, from);
        }
        Request::Unsubscribe { sub } => {
            start(call_kind::UNSUBSCRIBE);
            write_varint(&mut out, u64::from(*sub));
        }
        Request::Publish { records } => {
            start(call_kind::PUBLISH);
            write_varint(&mut out, records.len() as u64);
            records.iter().for_each(|record| write_record(&mut out, record));
        }
        Request::Presence { action, topic, key, member } => {
            start(call_kind::PRESENCE);
            out.put_u8(*action);
            write_bytes(&mut out, topic.as_bytes());
            out.put_u8(u8::from(key.is_some()) | u8::from(member.is_some()) << 1);
            for bytes in [key.as_deref(), member.as_deref().map(str::as_bytes)] {
                bytes.into_iter().for_each(|bytes| write_bytes(&mut out, bytes));
            }
        }
        Request::Ping => start(call_kind::PING),
    }
    out.to_vec()
}

fn write_start(out: &mut BytesMut, from: &Start) {
    match from {
        Start::Latest => out.put_u8(0),
        Start::Earliest => out.put_u8(1),
        Start::Offset(offset) => {
            out.put_u8(2);
            write_varint(out, *offset);
        }
        Start::Time(time) => {
            out.put_u8(3);
            write_signed(out, *time);
        }
        Start::Cursors(cursors) => {
            out.put_u8(4);
            write_varint(out, cursors.len() as u64);
            cursors.iter().for_each(|cursor| write_bytes(out, cursor.as_bytes()));
        }
    }
}

fn write_record(out: &mut BytesMut, record: &Record) {
    write_bytes(out, record.topic.as_bytes());
    let has_headers = !record.headers.is_empty();
    out.put_u8(
        u8::from(record.key.is_some())
            | 2
            | u8::from(record.id.is_some()) << 2
            | u8::from(record.timestamp.is_some()) << 4
            | u8::from(has_headers) << 5,
    );
    record.key.iter().for_each(|key| write_bytes(out, key));
    write_bytes(out, &record.value);
    record.id.iter().for_each(|id| write_bytes(out, id.as_bytes()));
    record.timestamp.iter().for_each(|time| write_signed(out, *time));
    if has_headers {
        write_varint(out, record.headers.len() as u64);
        for (name, value) in &record.headers {
            write_bytes(out, name.as_bytes());
            write_bytes(out, value);
        }
    }
}

fn decode(bytes: &[u8]) -> Frame {
    let decoded = BinaryCodec::new(1 << 20).decode(&mut BytesMut::from(bytes));
    decoded.expect("only size refuses a message").expect("a whole message is a frame")
}

fn is_bad(bytes: &[u8]) -> bool {
    matches!(decode(bytes), Frame::Bad { .. })
}

fn check_meant(request: &Request, verb: &Verb) {
    match (request, verb) {
        (Request::Secret { kind, token }, Verb::Connect(read)) => {
            assert_eq!((*kind, &Credential::from_bearer(token)), (call_kind::CONNECT, read));
        }
        (Request::Secret { kind, token }, Verb::Refresh(read)) => {
            assert_eq!((*kind, &Credential::from_bearer(token)), (call_kind::REFRESH, read));
        }
        (Request::Subscribe { sub, flags, filter, from }, Verb::Subscribe(read)) => {
            let presence = read.presence == PresenceWish::Changes;
            let set = [read.latest.is_on(), read.exclude_own.is_on(), presence];
            let bits = set.iter().rev().fold(0, |bits, &is_on| bits << 1 | u8::from(is_on));
            let filter = types::Filter::parse(filter).expect("a filter");
            assert_eq!((*sub, *flags, &filter), (read.sub, bits, &read.filter));
            let from = match from {
                Start::Latest => From::Latest,
                Start::Earliest => From::Earliest,
                Start::Offset(offset) => From::Offset(*offset),
                Start::Time(time) => From::Time(*time),
                Start::Cursors(cursors) => From::Cursors(cursors.clone()),
            };
            assert_eq!(from, read.from);
        }
        (Request::Unsubscribe { sub }, Verb::Unsubscribe(read)) => assert_eq!(sub, read),
        (Request::Publish { records }, Verb::Publish(read)) => {
            assert_eq!(records.len(), read.len());
            for (record, read) in records.iter().zip(read) {
                assert_eq!(record.topic, read.topic.as_str());
                let key = read.record.key.as_ref().map(|key| key.bytes().to_vec());
                assert_eq!(record.key, key);
                assert_eq!(Some(&*record.value), read.record.value.as_deref());
                assert_eq!(record.id.as_deref(), read.id());
                assert_eq!(record.timestamp, read.record.timestamp);
                let own = usize::from(record.id.is_some());
                assert_eq!(record.headers.len() + own, read.record.headers.len());
            }
        }
        (Request::Presence { action, member, .. }, Verb::Presence(read)) => {
            let of =
                |member: &Option<String>| Device { member: member.clone(), ..Device::default() };
            let wanted = match action {
                1 => PresenceAction::Enter(of(member)),
                3 => PresenceAction::Update(of(member)),
                _ => PresenceAction::Leave(of(member)),
            };
            assert_eq!(wanted, read.action);
        }
        (Request::Ping, Verb::Ping) => {}
        (request, verb) => panic!("{request:?} was read as {verb:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What a client writes is read as it was meant, and nothing shorter is read at all.
    #[test]
    fn requests_round_trip(request in any::<Request>(), cut in any::<prop::sample::Index>()) {
        let bytes = write_request(&request);
        match decode(&bytes) {
            Frame::Call(call) => {
                prop_assert_eq!(call.id, ID);
                check_meant(&request, &call.verb);
            }
            other => panic!("{request:?} was read as {other:?}"),
        }
        let shorter = &bytes[..cut.index(bytes.len())];
        if !shorter.is_empty() {
            prop_assert!(is_bad(shorter), "{} bytes are enough", shorter.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(is_bad(&longer), "a byte too many is read");
    }
}

#[test]
fn a_trace_context_may_follow_the_number() {
    let trace = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut out = BytesMut::new();
    out.put_u8(call_kind::PING | call_kind::TRACED);
    write_varint(&mut out, 1);
    write_bytes(&mut out, trace);
    let Frame::Call(call) = decode(&out) else { panic!("a ping") };
    assert_eq!(call.traceparent.as_deref(), Some(&trace[..]));
}

#[test]
fn bad_frames_name_the_field() {
    for (bytes, code, field) in [
        (&[99, 1][..], Code::InvalidRequest, "type"),
        (&[7][..], Code::InvalidRequest, "id"),
        (
            &[7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            Code::InvalidRequest,
            "id",
        ),
        (&[7, 1, 0][..], Code::UnknownField, "frame"),
        (&[3, 1, 1, 0x08, 1, b'a', 0][..], Code::InvalidRequest, "where"),
        (&[3, 1, 1, 0, 1, b'a', 9][..], Code::InvalidRequest, "from"),
        (&[5, 1, 0][..], Code::InvalidRequest, "records"),
        (&[5, 1, 0xff, 0xff, 0xff, 0xff, 0x0f][..], Code::InvalidRequest, "records"),
        (&[5, 1, 1, 1, b'/', 2, 0][..], Code::InvalidTopic, "records[0].topic"),
        (&[5, 1, 1, 1, b'a', 0][..], Code::InvalidRequest, "records[0].key"),
        (&[5, 1, 1, 1, b'a', 0x40][..], Code::UnknownField, "records[0].flags"),
        (&[6, 1, 9, 1, b'a'][..], Code::InvalidRequest, "action"),
        (&[6, 1, 0, 1, b'a', 2][..], Code::UnknownField, "flags"),
    ] {
        match decode(bytes) {
            Frame::Bad { refusal, .. } => {
                let found = (refusal.code(), refusal.field_name());
                assert_eq!(found, (code, Some(field)), "{bytes:?}: {refusal:?}");
            }
            other => panic!("{bytes:?} was read as {other:?}"),
        }
    }
}

/// A conversation in binary, read by hand: a client that is known.
async fn connected() -> (World, DrivenClient) {
    let world = World::new();
    let binary = factory(crate::Config::default(), crate::BINARY_SUBPROTOCOL);
    let mut client = DrivenClient::open(world.hub.shared(), &binary, None).expect("a session");
    let token = world.secret.clone();
    client.send(write_request(&Request::Secret { kind: call_kind::CONNECT, token })).await;
    let mut connected = message(&mut client).await;
    assert_eq!(connected.byte("type"), Ok(say_kind::CONNECTED));
    assert_eq!((connected.byte("has id"), connected.varint("id")), (Ok(1), Ok(u64::from(ID))));
    assert_eq!(connected.text("project"), Ok(world.place.project.to_string()));
    connected.text("principal").expect("a principal");
    assert_eq!(connected.varint("keepalive_ms"), Ok(25_000));
    assert!(connected.is_empty());
    (world, client)
}

#[tokio::test]
async fn the_server_writes_what_the_layout_says() {
    let (_world, mut client) = connected().await;
    let (filter, from) = ("a".to_owned(), Start::Latest);
    client.send(write_request(&Request::Subscribe { sub: 5, flags: 0, filter, from })).await;
    let mut subscribed = message(&mut client).await;
    assert_eq!(subscribed.byte("type"), Ok(say_kind::SUBSCRIBED));
    assert_eq!((subscribed.varint("id"), subscribed.varint("sub")), (Ok(u64::from(ID)), Ok(5)));
    let mut caught_up = message(&mut client).await;
    assert_eq!((caught_up.byte("type"), caught_up.varint("sub")), (Ok(say_kind::CAUGHT_UP), Ok(5)));

    let record = Record {
        topic: "a".to_owned(),
        key: Some(b"k".to_vec()),
        value: b"v".to_vec(),
        id: None,
        timestamp: Some(-5),
        headers: vec![("h".to_owned(), b"x".to_vec())],
    };
    client.send(write_request(&Request::Publish { records: vec![record] })).await;
    let mut both = [message(&mut client).await, message(&mut client).await];
    both.sort_by_key(BytesReader::remaining);
    let [published, record] = &mut both;
    assert_eq!(published.byte("type"), Ok(say_kind::PUBLISHED));
    let numbers: Vec<_> = (0..4).map(|_| published.varint("number")).collect();
    assert_eq!(numbers, [Ok(u64::from(ID)), Ok(1), Ok(0), Ok(0)]);
    assert_eq!((published.signed("timestamp"), published.byte("duplicate")), (Ok(-5), Ok(0)));
    check_record(record);
}

fn check_record(record: &mut BytesReader) {
    assert_eq!((record.byte("type"), record.varint("sub")), (Ok(say_kind::RECORD), Ok(5)));
    assert_eq!(record.text("topic"), Ok("a".to_owned()));
    assert_eq!((record.varint("partition"), record.varint("offset")), (Ok(0), Ok(0)));
    assert_eq!((record.signed("timestamp"), record.byte("flags")), (Ok(-5), Ok(3)));
    let (key, value) = (record.bytes("key"), record.bytes("value"));
    assert_eq!((key, value), (Ok(Bytes::from("k")), Ok(Bytes::from("v"))));
    let count = record.varint("headers").expect("a count");
    let headers: Vec<_> = (0..count).map(|_| (record.text("name"), record.text("value"))).collect();
    assert_eq!(headers[0], (Ok("h".to_owned()), Ok("x".to_owned())));
    assert!(!record.text("cursor").expect("a cursor").is_empty());
    assert!(record.is_empty());
}

#[test]
fn presence_has_all_its_parts() {
    let mut out = BytesMut::new();
    out.put_slice(&[call_kind::PRESENCE, 1, 3]);
    write_bytes(&mut out, b"a");
    out.put_u8(2 | 4 | 8 | 16 | 32);
    for bytes in [&b"ann"[..], b"null", b"phone"] {
        write_bytes(&mut out, bytes);
    }
    write_varint(&mut out, 5_000);
    write_varint(&mut out, 7);
    let Frame::Call(call) = decode(&out) else { panic!("a call") };
    let Verb::Presence(update) = call.verb else { panic!("presence") };
    let device = Device {
        member: Some("ann".to_owned()),
        device: Some("phone".to_owned()),
        data: MemberData::Set(None),
        lease_ms: Some(5_000),
    };
    assert_eq!((update.action, update.limit), (PresenceAction::Update(device), Some(7)));
    let list = [&[call_kind::PRESENCE, 1, 0, 1, b'a', 64, 1, b'm'][..]].concat();
    let Frame::Call(call) = decode(&list) else { panic!("a call") };
    let Verb::Presence(list) = call.verb else { panic!("presence") };
    assert_eq!(list.action, PresenceAction::List { after: Some("m".to_owned()) });
    for (flags, start, wanted) in [
        (0, 0, PresenceWish::Nothing),
        (4, 0, PresenceWish::Changes),
        (4, 0x80, PresenceWish::Counts),
        (0, 0x80, PresenceWish::Nothing),
    ] {
        let frame = [3, 1, 1, flags, 1, b'a', start];
        let Frame::Call(call) = decode(&frame) else { panic!("a call") };
        let Verb::Subscribe(subscribe) = call.verb else { panic!("a subscribe") };
        assert_eq!(subscribe.presence, wanted);
    }
}

#[tokio::test]
async fn presence_is_answered_and_told() {
    let (_world, mut client) = connected().await;
    let subscribe = [&[3, 1, 5, 4, 1, b'a', 0][..]].concat();
    client.send(subscribe).await;
    let mut subscribed = message(&mut client).await;
    assert_eq!(subscribed.byte("type"), Ok(say_kind::SUBSCRIBED));
    assert_eq!(message(&mut client).await.byte("type"), Ok(say_kind::CAUGHT_UP));
    client.send(vec![6, 2, 1, 1, b'a', 2, 1, b'm']).await;
    let (mut present, mut told) = (message(&mut client).await, message(&mut client).await);
    let mut kinds = [present.byte("type"), told.byte("type")];
    if kinds[0] != Ok(say_kind::PRESENCE) {
        std::mem::swap(&mut present, &mut told);
        kinds.reverse();
    }
    assert_eq!(kinds, [Ok(say_kind::PRESENCE), Ok(say_kind::PRESENCE_CHANGES)]);
    assert_eq!(present.varint("id"), Ok(2));
    assert_eq!((present.varint("count"), present.text("member")), (Ok(1), Ok("m".to_owned())));
    assert!(present.text("principal").is_ok() && present.byte("flags") == Ok(0));
    assert!(present.signed("entered_at").is_ok());
    let counts: Vec<_> = (0..3).map(|_| present.varint("counts")).collect();
    assert_eq!(counts, [Ok(1), Ok(1), Ok(1)], "of the member, members, connections");
    assert_eq!((present.byte("flags"), present.is_empty()), (Ok(0), true));
    assert_eq!(told.varint("sub"), Ok(5));
    assert_eq!(told.text("address"), Ok("a".to_owned()));
    let changes: serde_json::Value =
        serde_json::from_str(&told.text("changes").expect("text")).expect("JSON");
    assert_eq!(changes["changes"][0]["action"], "enter", "{changes}");
}

async fn message(client: &mut DrivenClient) -> BytesReader {
    let received = tokio::time::timeout(testkit::conformance::PATIENCE, client.receive()).await;
    match received.expect("the server says something") {
        Received::Message(bytes) => BytesReader::new(bytes),
        Received::Closed(code) => panic!("closed with {code:?}"),
    }
}
