//! Runs: worded once for all who are told the same, record by record for everybody else.

use super::feed::delivery;
use crate::{
    Code, Codec, Delivery, Driven, Driver, Event, Flow, Outbox, Refusal, Run, Session, Wire,
};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use types::SubscriptionTag;

/// Writes a frame's text and counts how often it did.
struct Words(Arc<AtomicUsize>);

impl Codec for Words {
    type Frame = String;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<String>, Refusal> {
        input.clear();
        Err(Refusal::new(Code::Unsupported, "it only writes"))
    }

    fn encode(&mut self, frame: String, output: &mut BytesMut) {
        self.0.fetch_add(1, Ordering::Relaxed);
        output.extend_from_slice(frame.as_bytes());
    }
}

/// Tells tags below 100 under their own number, the others one by one.
struct Teller;

impl Session for Teller {
    type Codec = Words;

    fn on_frame(&mut self, _: &mut Outbox<Self>, _: String) -> Result<Flow, Refusal> {
        Ok(Flow::Continue)
    }

    fn on_event(
        &mut self,
        out: &mut Outbox<Self>,
        tag: SubscriptionTag,
        _: Event<'_>,
    ) -> Result<Flow, Refusal> {
        out.send(format!("{} alone", tag.0));
        Ok(if tag.0 == 999 { Flow::Close } else { Flow::Continue })
    }

    fn run_number(&mut self, tag: SubscriptionTag) -> Option<u32> {
        (tag.0 < 100).then_some(tag.0)
    }

    fn record_frame(number: u32, delivery: &Arc<Delivery>) -> Option<String> {
        Some(format!("{number} has {}", delivery.record.size()))
    }

    fn on_refusal(&mut self, _: &mut Outbox<Self>, _: Refusal) -> Flow {
        Flow::Close
    }
}

fn tell(driver: &mut Driver<Teller>, tag: u32, run: &Run) -> (Wire, Flow) {
    let mut wire = Wire::default();
    let cx = &mut Context::from_waker(Waker::noop());
    let flow = driver.on_run(cx, SubscriptionTag(tag), run, &mut wire);
    (wire, flow)
}

#[test]
fn the_same_number_shares_the_bytes() {
    let encoded = Arc::new(AtomicUsize::new(0));
    let mut drivers: Vec<_> =
        (0..3).map(|_| Driver::new(Teller, Words(Arc::clone(&encoded)))).collect();
    let run = Run::new(vec![delivery(1), delivery(2)]);
    let mut shared = Vec::new();
    for driver in &mut drivers {
        let (wire, flow) = tell(driver, 7, &run);
        assert_eq!(flow, Flow::Continue);
        assert!(wire.data.is_empty() && wire.control.is_empty());
        shared.push(wire.shared.expect("the run is shared"));
    }
    assert_eq!(encoded.load(Ordering::Relaxed), 2);
    assert!(shared.iter().all(|other| Arc::ptr_eq(other, &shared[0])));
    let frames: Vec<_> = shared[0].lane().frames().map(String::from_utf8_lossy).collect();
    assert_eq!(frames, ["7 has 1", "7 has 2"]);
    // Another number is another wording, and each transport's framing is made once.
    let (wire, _) = tell(&mut drivers[0], 8, &run);
    assert!(!Arc::ptr_eq(&wire.shared.expect("the run is shared"), &shared[0]));
    let framed = |text: &'static str| shared[0].framed(1, |_| Bytes::from_static(text.as_bytes()));
    assert_eq!(framed("first"), "first");
    assert_eq!(framed("second"), "first");
}

#[test]
fn wordings_are_bounded_and_others_are_told_one_by_one() {
    let mut driver = Driver::new(Teller, Words(Arc::default()));
    let run = Run::new(vec![delivery(1), delivery(2)]);
    let mut kept = 0;
    for tag in 0..20 {
        let (wire, _) = tell(&mut driver, tag, &run);
        match wire.shared {
            Some(_) => kept += 1,
            None => assert_eq!(wire.data.frames().count(), 2),
        }
    }
    assert_eq!(kept, 8);
    let (wire, flow) = tell(&mut driver, 100, &run);
    assert_eq!(wire.data.frames().collect::<Vec<_>>(), [b"100 alone", b"100 alone"]);
    assert_eq!((wire.shared.is_none(), flow), (true, Flow::Continue));
    let (wire, flow) = tell(&mut driver, 999, &run);
    assert_eq!((wire.data.frames().count(), flow), (1, Flow::Close));
}
