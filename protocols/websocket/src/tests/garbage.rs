//! No byte of input makes a codec or a session panic, and whatever is accepted is bounded.

use super::binary::{Request, write_request};
use super::stage::World;
use crate::codec::{BinaryCodec, JsonCodec};
use crate::frame::Frame;
use bytes::BytesMut;
use port::Codec;
use proptest::prelude::*;
use testkit::driven::Received;

const REQUESTS: [&str; 7] = [
    r#"{"type":"connect","id":1,"token":"ms_test_x"}"#,
    r#"{"type":"refresh","id":2,"token":"eyJ"}"#,
    r#"{"type":"subscribe","id":3,"filter":"a/+","from":["x","y"],"latest":true,"presence":true}"#,
    r#"{"type":"unsubscribe","id":4,"sub":3}"#,
    r#"{"type":"publish","id":5,"topic":"a","key":"k","data":{"x":[1,2]},"headers":{"h":"v"}}"#,
    r#"{"type":"publish","id":6,"records":[{"topic":"a","data_base64":"AAE="}]}"#,
    r#"{"type":"presence","id":7,"action":"enter","topic":"a","member":"m","data":1}"#,
];

fn survives<C: Codec<Frame = Frame>>(codec: &mut C, bytes: &[u8]) {
    let mut input = BytesMut::from(bytes);
    let outcome = codec.decode(&mut input);
    assert!(input.is_empty(), "a message is taken whole");
    if let Ok(Some(Frame::Said(_))) = outcome {
        panic!("a client cannot speak for the server");
    }
}

/// A valid message with bytes changed, cut out or put in.
fn mangled(valid: Vec<u8>, changes: Vec<(u16, u8, u8)>) -> Vec<u8> {
    let mut bytes = valid;
    for (place, kind, byte) in changes {
        let at = usize::from(place) % bytes.len().max(1);
        match kind % 3 {
            0 if !bytes.is_empty() => bytes[at] = byte,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at.min(bytes.len()), byte),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(u16, u8, u8)>> {
    prop::collection::vec(any::<(u16, u8, u8)>(), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&mut JsonCodec::new(200), &bytes);
        survives(&mut BinaryCodec::new(200), &bytes);
    }

    #[test]
    fn mangled_json_is_survived(which in 0..REQUESTS.len(), changes in changes()) {
        let bytes = mangled(REQUESTS[which].as_bytes().to_vec(), changes);
        survives(&mut JsonCodec::new(4_096), &bytes);
    }

    #[test]
    fn mangled_binary_is_survived(request in any::<Request>(), changes in changes()) {
        let bytes = mangled(write_request(&request), changes);
        survives(&mut BinaryCodec::new(1 << 20), &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A whole session answers or closes, whatever comes, and serves the next client.
    #[test]
    fn a_session_outlives_or_refuses_any_conversation(
        frames in prop::collection::vec((0..REQUESTS.len(), changes()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let mut client = world.client().await;
            for (which, changes) in frames {
                let bytes = mangled(REQUESTS[which].as_bytes().to_vec(), changes);
                client.send_bytes(bytes).await;
            }
            client.send(r#"{"type":"ping","id":4000000000}"#).await;
            // Everything is answered in the end: by the pong, or by the closing.
            while let Received::Message(bytes) = client.next().await {
                if bytes.windows(10).any(|part| part == b"4000000000") {
                    break;
                }
            }
            world.client().await;
        });
    }
}
