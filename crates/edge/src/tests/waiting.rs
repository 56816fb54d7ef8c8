//! What waits for a socket: order, overtaking, and frames that stay whole however it is written.

use crate::ws::frame::{Opcode, server_frame_bytes, server_head};
use crate::ws::waiting::Waiting;
use proptest::prelude::*;
use std::io;

/// Takes `room` bytes, then no more.
fn flush(waiting: &mut Waiting, room: usize, out: &mut Vec<u8>) -> bool {
    let mut room = room;
    waiting
        .flush(|slices| {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let count = bytes.len().min(room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            room -= count;
            out.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
        .expect("the socket does not fail")
}

/// The payloads of the frames in `bytes`.
fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = server_frame_bytes(bytes);
        let head = match bytes[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        all.push(bytes[head..length].to_vec());
        bytes = &bytes[length..];
    }
    all
}

#[test]
fn control_overtakes_data_between_frames() {
    let mut waiting = Waiting::default();
    let mut out = Vec::new();
    waiting.push(Opcode::Text, b"data1");
    waiting.push(Opcode::Text, b"data2");
    assert!(!flush(&mut waiting, 3, &mut out));
    waiting.push_control(Opcode::Pong, b"pong1");
    waiting.push_control(Opcode::Text, b"ack");
    waiting.push(Opcode::Text, b"data3");
    waiting.push_control(Opcode::Pong, b"pong2");
    assert!(flush(&mut waiting, usize::MAX, &mut out));
    let expected = [b"data1".to_vec(), b"pong1".into(), b"ack".into(), b"pong2".into()];
    assert_eq!(payloads(&out)[..4], expected);
    assert_eq!(payloads(&out)[4..], [b"data2".to_vec(), b"data3".into()]);
    assert!(waiting.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Data(usize),
    /// As many frames in one shared piece.
    Shared(usize),
    Control(usize),
    Flush(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0usize..5, 120..130usize, 65_530..65_540usize];
    prop_oneof![
        size.prop_map(Step::Data),
        (0usize..5).prop_map(Step::Shared),
        (0usize..100).prop_map(Step::Control),
        (0usize..100_000).prop_map(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn frames_stay_whole_and_each_lane_in_order(steps in prop::collection::vec(step(), 0..60)) {
        let mut waiting = Waiting::default();
        let mut out = Vec::new();
        let (mut data, mut control) = (Vec::new(), Vec::new());
        for (number, step) in steps.iter().enumerate() {
            let payload = |lane: u8, size: usize| {
                let mut payload = vec![lane, number as u8];
                payload.resize(2 + size, 0);
                payload
            };
            match *step {
                Step::Data(size) => {
                    data.push(payload(0, size));
                    waiting.push(Opcode::Binary, &data[data.len() - 1]);
                }
                Step::Shared(frames) => {
                    let mut piece = Vec::new();
                    for size in 0..frames {
                        data.push(payload(0, size * 50));
                        let payload = &data[data.len() - 1];
                        let (head, head_bytes) = server_head(Opcode::Binary, payload.len());
                        piece.extend_from_slice(&head[..head_bytes]);
                        piece.extend_from_slice(payload);
                    }
                    waiting.push_shared(piece.into());
                }
                Step::Control(size) => {
                    control.push(payload(1, size));
                    waiting.push_control(Opcode::Binary, &control[control.len() - 1]);
                }
                Step::Flush(room) => {
                    flush(&mut waiting, room, &mut out);
                }
            }
        }
        flush(&mut waiting, usize::MAX, &mut out);
        let all = payloads(&out);
        let lane = |wanted: u8| -> Vec<Vec<u8>> {
            all.iter().filter(|payload| payload[0] == wanted).cloned().collect()
        };
        prop_assert_eq!(lane(0), data);
        prop_assert_eq!(lane(1), control);
    }
}
