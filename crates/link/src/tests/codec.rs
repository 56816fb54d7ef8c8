//! What crosses comes out as it went in, and nothing else makes the reader panic.

use crate::call::{Asker, Call, CallNumber, ConsumerCall, Notice, Place, Who};
use crate::frame::{ToOwner, ToWorker, frame, next};
use crate::wire::{Context, Malformed, decode, encode};
use bytes::{Bytes, BytesMut};
use hub::branch::{News, Prepared};
use port::consumers::ConsumerAddress;
use port::presence::{Entering, MemberData, PresenceAction};
use port::{
    Code, ConnectionId, CursorMint, Follow, PresenceAnswer, PresenceCall, PresenceCounts,
    PresenceMember, RateState, Refusal, Shaping,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use types::{
    ConsumerName, Filter, From, Header, Key, Position, Positions, PrincipalId, ProjectId, Record,
    SubscriptionTag, TopicId, TopicName,
};

struct NoMint;

impl CursorMint for NoMint {
    fn mint(&self, _: ProjectId, _: &Positions) -> String {
        String::new()
    }
}

fn context() -> Context {
    Context { mint: Arc::new(NoMint), protocols: Arc::new(["websocket", "rest"]) }
}

/// Through a frame and back, as the other end's own bytes.
fn there_and_back(sent: &ToOwner) -> ToOwner {
    let bytes = frame(sent).expect("it fits a frame");
    let mut input = BytesMut::from(&bytes[..]);
    let got = next::<ToOwner>(&mut input, &context()).expect("well formed").expect("whole");
    assert!(input.is_empty());
    assert_eq!(encode(&got), bytes[4..], "the same bytes again");
    got
}

fn call(call: Call) -> ToOwner {
    ToOwner::Call { number: CallNumber(300), call: Box::new(call) }
}

fn asker(number: u64) -> Asker {
    Asker { who: Who(number), is_request: number.is_multiple_of(2) }
}

fn record() -> Record {
    Record {
        key: Some(Key::new(&b"eu/42"[..]).expect("short")),
        value: Some(Bytes::from_static(b"{}")),
        headers: [Header { name: "a".into(), value: "b".into() }].into_iter().collect(),
        timestamp: Some(-5),
    }
}

#[test]
fn calls_come_out_as_they_went_in() {
    let topic = TopicName::parse("orders").expect("a name");
    let append = Call::Append { who: asker(7), topic: topic.clone(), records: vec![record()] };
    let ToOwner::Call { number, call: got } = there_and_back(&call(append)) else {
        panic!("a call");
    };
    let Call::Append { who, topic: named, records } = *got else {
        panic!("an append");
    };
    assert_eq!((number, who, named), (CallNumber(300), asker(7), topic));
    assert_eq!(records, [record()]);
    for filter in ["orders", "+/a/+/#", "orders/eu/42"] {
        let follow = Follow {
            tag: SubscriptionTag(9),
            filter: Filter::parse(filter).expect("a filter"),
            from: From::Cursors(vec!["c".to_owned()]),
            latest_first: true,
            exclude_own: false,
            connection: None,
            shaping: None,
        };
        there_and_back(&call(Call::Follow { who: asker(1), follow: Box::new(follow) }));
    }
    let presence = Filter::topic(TopicName::presence());
    let decoded: Filter = decode(Bytes::from(encode(&presence)), &context()).expect("a filter");
    assert_eq!(decoded, presence);
    there_and_back(&ToOwner::Notice(Notice::Forgotten(vec![(Who(1), 2), (Who(3), 4)])));
}

#[test]
fn what_few_ask_for_crosses_too() {
    let topic = TopicName::parse("orders").expect("a name");
    let shaping = Shaping {
        condition: Some("value.n > 3".to_owned()),
        conflate: Some(Duration::from_millis(50)),
        batch: Some(Duration::ZERO),
        delta: true,
        // Used up where they are: the owner needs not know them.
        credits: None,
    };
    let consumer = ConsumerName::parse("billing").expect("a name");
    let follow = Follow {
        tag: SubscriptionTag(9),
        filter: Filter::topic(TopicName::occupancy()),
        from: From::Consumer(consumer.clone()),
        latest_first: false,
        exclude_own: true,
        connection: Some(ConnectionId(70_000)),
        shaping: Some(Box::new(shaping)),
    };
    there_and_back(&call(Call::Follow { who: asker(2), follow: Box::new(follow) }));
    let entering = Entering {
        member: "ann".to_owned(),
        device: Some("phone".to_owned()),
        data: MemberData::Set(Some(serde_json::json!({ "is": "here" }))),
        lease: Some(Duration::from_secs(30)),
    };
    let entering = PresenceCall { action: PresenceAction::Update(entering), limit: 0 };
    there_and_back(&call(Call::Presence {
        who: asker(3),
        connection: None,
        topic: topic.clone(),
        key: Some(Key::new(&b"eu"[..]).expect("short")),
        call: Box::new(entering),
    }));
    let at = ConsumerAddress { topic, name: consumer };
    let commit = Box::new(ConsumerCall::Commit { at, cursors: vec!["c".to_owned()] });
    there_and_back(&call(Call::Consumers { who: asker(4), call: commit }));
    let address = "2001:db8::".parse().expect("an address");
    there_and_back(&call(Call::Address { address, count_max: 9, place: Place(1) }));
    there_and_back(&ToOwner::Notice(Notice::Requested(vec![(Who(1), 200)])));
    let answer = PresenceAnswer {
        members: vec![PresenceMember {
            member: "ann".to_owned(),
            principal: PrincipalId("key:1".into()),
            data: None,
            entered_at: 5,
            connections: 2,
        }],
        next: Some("ann".to_owned()),
        counts: PresenceCounts { members: 1, connections: 2 },
        lease: Some(Duration::from_secs(1)),
    };
    let decoded: PresenceAnswer =
        decode(Bytes::from(encode(&answer)), &context()).expect("an answer");
    assert_eq!(decoded, answer);
}

#[test]
fn refusals_keep_all_they_say() {
    let refusal = Refusal::new(Code::RateLimitExceeded, "too fast")
        .field("records[3]")
        .hint("slower")
        .retry_after(Duration::from_millis(1_500))
        .rate(RateState { limit: 5, remaining: 0, reset: Duration::from_secs(1) });
    let close = ToWorker::Close { place: Place(4), why: refusal.clone() };
    let mut input = BytesMut::from(&frame(&close).expect("it fits")[..]);
    match next::<ToWorker>(&mut input, &context()) {
        Ok(Some(ToWorker::Close { place, why })) => assert_eq!((place, why), (Place(4), refusal)),
        _ => panic!("a close"),
    }
}

#[test]
fn news_come_out_as_they_went_in() {
    let at = Position { topic: TopicId(u64::MAX), partition: 3, next: 9 };
    let positions: Positions = [at].into_iter().collect();
    let outcome =
        Ok(Prepared { topics: vec![TopicId(1)], positions: positions.clone(), lost: Vec::new() });
    let told = ToWorker::News(News::Followed { call: 8, outcome });
    let mut input = BytesMut::from(&frame(&told).expect("it fits")[..]);
    match next::<ToWorker>(&mut input, &context()) {
        Ok(Some(ToWorker::News(News::Followed { call: 8, outcome: Ok(prepared) }))) => {
            assert_eq!((prepared.topics, prepared.positions), (vec![TopicId(1)], positions));
        }
        _ => panic!("an answered follow"),
    }
}

#[test]
fn half_frames_wait_and_long_ones_are_refused() {
    let whole = frame(&ToOwner::Cancel(CallNumber(1))).expect("it fits");
    for cut in 0..whole.len() {
        let mut input = BytesMut::from(&whole[..cut]);
        assert!(matches!(next::<ToOwner>(&mut input, &context()), Ok(None)), "{cut} bytes");
    }
    let mut input = BytesMut::from(&[0xff, 0xff, 0xff, 0x7f, 0][..]);
    assert!(next::<ToOwner>(&mut input, &context()).is_err());
    let protocol = [1, 0, 1, 1, 0, 3, b'f', b'o', b'o'];
    let unknown = decode::<ToOwner>(Bytes::copy_from_slice(&protocol), &context());
    assert_eq!(unknown.err(), Some(Malformed("no such protocol")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let bytes = Bytes::from(bytes);
        let _ = decode::<ToOwner>(bytes.clone(), &context());
        let _ = decode::<ToWorker>(bytes.clone(), &context());
        for tag in 0..8u8 {
            let mut tagged = vec![tag];
            tagged.extend_from_slice(&bytes);
            let _ = decode::<ToOwner>(Bytes::from(tagged.clone()), &context());
            let _ = decode::<ToWorker>(Bytes::from(tagged), &context());
        }
    }
}
