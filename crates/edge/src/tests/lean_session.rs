//! A protocol of words, one per text message: enough to make an edge do everything it can do.

use bytes::{Bytes, BytesMut};
use port::hub::Follow;
use port::mounts::{MessageKind, WebSocketMount};
use port::outbox::Then;
use port::{
    Code, Codec, Deadline, Delivery, Driver, Event, Flow, Form, Outbox, Refusal, Session,
    SessionStart, Subscription, Wait,
};
use std::sync::Arc;
use std::time::Duration;
use types::SubscriptionTag;

pub struct Words;

impl Codec for Words {
    type Frame = Bytes;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Refusal> {
        Ok(Some(Bytes::copy_from_slice(&input.split())))
    }

    fn encode(&mut self, frame: Bytes, output: &mut BytesMut) {
        output.extend_from_slice(&frame);
    }
}

/// The delivered value and nothing else.
struct Value;

impl Form for Value {
    fn encode(delivery: &Delivery) -> Bytes {
        delivery.record.value.clone().unwrap_or_default()
    }
}

pub struct LeanSession {
    start: SessionStart,
    subscriptions: Vec<Subscription>,
    lease: Option<port::Lease>,
    deadline: Option<Deadline>,
}

impl LeanSession {
    async fn begin(mut start: SessionStart) -> Result<Box<dyn port::Driven>, Refusal> {
        start.head = None;
        let connection = port::Connection {
            protocol: "lean",
            quota: port::live::Quota::WebSocket,
            address: start.peer.address,
        };
        let lease = match &start.identity {
            Some(who) => Some(start.hub.open(who, connection, Arc::clone(&start.closer)).await?),
            None => None,
        };
        let session = LeanSession { start, subscriptions: Vec::new(), lease, deadline: None };
        Ok(Box::new(Driver::new(session, Words)))
    }

    pub fn mount(path: &'static str, subprotocol: Option<&'static str>) -> WebSocketMount {
        WebSocketMount {
            protocol: "lean",
            path,
            subprotocol,
            kind: MessageKind::Text,
            factory: Arc::new(|start| Box::pin(LeanSession::begin(start))),
        }
    }

    fn follow(&self, out: &mut Outbox<Self>) {
        let Some(who) = self.start.identity.clone() else {
            return;
        };
        let hub = Arc::clone(&self.start.hub);
        let sink = Arc::clone(&self.start.sink);
        let shard = self.start.peer.shard;
        out.defer(Wait::Barrier, async move {
            let follow = Follow {
                tag: SubscriptionTag(1),
                filter: types::Filter::parse("news").expect("a valid filter"),
                from: types::From::Latest,
                latest_first: false,
                exclude_own: false,
                connection: None,
                shaping: None,
            };
            let outcome = hub.follow(&who, follow, shard, sink).await;
            let then: Then<Self> = Box::new(move |session, out| {
                session.subscriptions.push(outcome?);
                out.send(Bytes::from_static(b"following"));
                Ok(Flow::Continue)
            });
            then
        });
    }
}

impl Session for LeanSession {
    type Codec = Words;

    fn on_open(&mut self, out: &mut Outbox<Self>) -> Result<Flow, Refusal> {
        if self.start.identity.is_some() {
            out.send(Bytes::from_static(b"welcome"));
        }
        Ok(Flow::Continue)
    }

    fn on_frame(&mut self, out: &mut Outbox<Self>, frame: Bytes) -> Result<Flow, Refusal> {
        match frame.as_ref() {
            b"follow" => self.follow(out),
            b"refuse" => return Err(Refusal::new(Code::InvalidRequest, "as you wish")),
            b"forbid" => {
                out.close_code(4403);
                return Ok(Flow::Close);
            }
            b"panic" => panic!("as you wish"),
            b"self" => {
                // A hub that pushes from inside a call: the event comes right after it.
                let _ = self.start.sink.push(SubscriptionTag(9), Event::CaughtUp);
                out.send(Bytes::from_static(b"before"));
            }
            b"later" => {
                out.defer(Wait::Barrier, async {
                    tokio::task::yield_now().await;
                    let then: Then<Self> = Box::new(|_, out| {
                        out.send(Bytes::from_static(b"now"));
                        Ok(Flow::Continue)
                    });
                    then
                });
            }
            b"deadline" => self.deadline = Some(Deadline::After(Duration::from_secs(5))),
            b"big" => {
                for _ in 0..64 {
                    out.send(Bytes::from(vec![b'x'; 64 * 1024]));
                }
            }
            _ => out.send(frame),
        }
        Ok(Flow::Continue)
    }

    fn on_event(
        &mut self,
        out: &mut Outbox<Self>,
        _tag: SubscriptionTag,
        event: Event<'_>,
    ) -> Result<Flow, Refusal> {
        match event {
            Event::Delivery(delivery) => out.send(delivery.form::<Value>()),
            Event::CaughtUp => out.send(Bytes::from_static(b"caught up")),
            Event::Records(_) | Event::Progress(_) | Event::Gap { .. } | Event::Ended(_) => {}
        }
        Ok(Flow::Continue)
    }

    fn run_number(&mut self, _tag: SubscriptionTag) -> Option<u32> {
        (!self.subscriptions.is_empty()).then_some(0)
    }

    fn record_frame(_number: u32, delivery: &Arc<Delivery>) -> Option<Bytes> {
        Some(delivery.form::<Value>())
    }

    fn on_refusal(&mut self, out: &mut Outbox<Self>, refusal: Refusal) -> Flow {
        out.control(Bytes::from(format!("refused {}", refusal.code().name())));
        Flow::Continue
    }

    fn on_drain(&mut self, out: &mut Outbox<Self>, wait: Duration) {
        let _ = &self.lease;
        out.control(Bytes::from(format!("come back in {}", wait.as_millis())));
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    fn account(&self) -> Option<u128> {
        self.start.identity.as_ref().map(|who| who.tenant().0.as_u128())
    }

    fn on_deadline(&mut self, out: &mut Outbox<Self>) -> Flow {
        out.send(Bytes::from_static(b"time"));
        Flow::Close
    }
}
