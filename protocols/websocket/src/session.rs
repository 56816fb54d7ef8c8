//! One connection: who it is, what it follows, and what it is told. The same for both
//! subprotocols; it must not know how frames are written, and it never waits.

use crate::config::Config;
use crate::frame::{CallId, Frame, Say, SubId};
use crate::refusal::{SERVICE_RESTART, close_code, ends_session};
use crate::subscriptions::{EARLY_EVENTS_MAX, Kind, State, Subscriptions};
use crate::{WebSocket, verbs};
use port::feed::Fed;
use port::live::{Connection, Quota};
use port::metric;
use port::presence::{COUNTS_HEADER, ToldCounts};
use port::{
    Closer, Code, Codec, Deadline, Delivery, Event, Flow, Hub, Identity, Lease, Outbox, Peer,
    Protocol, Refusal, Sent, Session, SessionStart, Sink, Then, Wait,
};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use types::SubscriptionTag;

/// A codec of this protocol's frames.
pub trait FrameCodec: Codec<Frame = Frame> {}
impl<C: Codec<Frame = Frame>> FrameCodec for C {}

pub(crate) type Out<C> = Outbox<WebSocketSession<C>>;

/// Who the client is.
pub(crate) enum Access {
    /// Has not said; may only connect, within the time allowed.
    Stranger,
    /// Proven and counted.
    Open { identity: Identity, lease: Arc<Lease> },
}

pub struct WebSocketSession<C> {
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) peer: Peer,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) closer: Arc<dyn Closer>,
    pub(crate) config: Arc<Config>,
    pub(crate) access: Access,
    pub(crate) subscriptions: Subscriptions,
    /// Requests begun and not yet answered.
    in_flight: usize,
    /// Frames in a row that could not be read.
    bad_frames: u32,
    codec: PhantomData<fn() -> C>,
}

/// Counts the connection for who has proven to be somebody.
pub(crate) async fn open(
    hub: &dyn Hub,
    peer: &Peer,
    identity: Identity,
    closer: Arc<dyn Closer>,
) -> Result<Access, Refusal> {
    let connection =
        Connection { protocol: WebSocket::NAME, quota: Quota::WebSocket, address: peer.address };
    let lease = hub.open(&identity, connection, closer).await?;
    Ok(Access::Open { identity, lease: Arc::new(lease) })
}

impl<C: FrameCodec> WebSocketSession<C> {
    /// # Errors
    /// What `Hub::open` refuses, when the opening request carried the credential.
    pub async fn begin(start: SessionStart, config: Arc<Config>) -> Result<Self, Refusal> {
        let access = match start.identity {
            Some(identity) => {
                open(start.hub.as_ref(), &start.peer, identity, Arc::clone(&start.closer)).await?
            }
            None => Access::Stranger,
        };
        Ok(WebSocketSession {
            hub: start.hub,
            peer: start.peer,
            sink: start.sink,
            closer: start.closer,
            config,
            access,
            subscriptions: Subscriptions::default(),
            in_flight: 0,
            bad_frames: 0,
            codec: PhantomData,
        })
    }

    /// Who asks, or the refusal that ends a stranger's session.
    pub(crate) fn proven(&self) -> Result<(&Identity, &Arc<Lease>), Refusal> {
        match &self.access {
            Access::Open { identity, lease } => Ok((identity, lease)),
            Access::Stranger => {
                Err(Refusal::new(Code::CredentialMissing, "the connection has no credential yet")
                    .hint("send `connect` first"))
            }
        }
    }

    /// Every frame is a request; a stranger's are few, and bounded in time.
    pub(crate) fn count_request(&self) -> Result<(), Refusal> {
        match &self.access {
            Access::Open { identity, .. } => self.hub.count_request(identity),
            Access::Stranger => Ok(()),
        }
    }

    pub(crate) fn has_in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// Begins work for a request; `then` hears what came of it, on the session, in the order of
    /// the requests.
    pub(crate) fn defer<T: Send + 'static>(
        &mut self,
        out: &mut Out<C>,
        wait: Wait,
        work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
        then: impl FnOnce(&mut Self, &mut Out<C>, Result<T, Refusal>) -> Flow + Send + 'static,
    ) {
        self.in_flight += 1;
        out.defer(wait, async move {
            let outcome = work.await;
            let then: Then<Self> = Box::new(move |session, out| {
                session.in_flight = session.in_flight.saturating_sub(1);
                Ok(then(session, out, outcome))
            });
            then
        });
    }

    /// Tells a refused request; ends the session if nothing else makes sense.
    pub(crate) fn refuse(&mut self, out: &mut Out<C>, id: CallId, refusal: Refusal) -> Flow {
        if ends_session(&refusal) {
            return self.end(out, Some(id), refusal);
        }
        self.say_error(out, Some(id), refusal);
        Flow::Continue
    }

    /// Tells a refusal and ends the session with its close code.
    pub(crate) fn end(&mut self, out: &mut Out<C>, id: Option<CallId>, refusal: Refusal) -> Flow {
        out.close_code(close_code(&refusal));
        self.say_error(out, id, refusal);
        Flow::Close
    }

    pub(crate) fn say_error(&self, out: &mut Out<C>, id: Option<CallId>, refusal: Refusal) {
        out.send(self.error_frame(id, refusal));
    }

    /// Every refusal that a client is told of is counted here.
    fn error_frame(&self, id: Option<CallId>, refusal: Refusal) -> Frame {
        metrics::counter!(metric::REFUSALS, "code" => refusal.code().name()).increment(1);
        Frame::Said(Say::Error { id, refusal, request: self.peer.request_id.clone() })
    }

    fn on_bad_frame(&mut self, out: &mut Out<C>, id: Option<CallId>, refusal: Refusal) -> Flow {
        self.bad_frames += 1;
        let is_stranger = matches!(self.access, Access::Stranger);
        if is_stranger || self.bad_frames >= self.config.bad_frames_max {
            return self.end(out, id, refusal);
        }
        self.say_error(out, id, refusal);
        Flow::Continue
    }

    /// Says what a subscription brings.
    pub(crate) fn say_event(&mut self, out: &mut Out<C>, sub: SubId, kind: Kind, event: Event<'_>) {
        let say = match (kind, event) {
            (Kind::Records, Event::Delivery(delivery)) => {
                Say::Record { sub, left_out: 0, delivery: Arc::clone(delivery) }
            }
            (Kind::Records, Event::Records(records)) => {
                let extras = self.subscriptions.extras(sub).flatten();
                if extras.is_some_and(|extras| extras.is_batched) {
                    Say::Records { sub, records: records.to_vec() }
                } else {
                    for sent in records {
                        let Sent { left_out, delivery } = sent.clone();
                        out.send(Frame::Said(Say::Record { sub, left_out, delivery }));
                    }
                    return;
                }
            }
            (Kind::Records, Event::Progress(progress)) => {
                Say::Progress { sub, cursor: progress.cursor.clone() }
            }
            (Kind::Presence | Kind::PresenceCounts, Event::Delivery(delivery)) => {
                let Some(say) = presence_told(sub, kind, delivery) else { return };
                say
            }
            (Kind::Records, Event::CaughtUp) => Say::CaughtUp { sub },
            (Kind::Records, Event::Gap { topic, partition, from, to, why }) => {
                Say::Gap { sub, topic, partition, from, to, why }
            }
            // Presence is of the moment: it has no history to be caught up with or to lose, and
            // nothing of it is shaped.
            (
                Kind::Presence | Kind::PresenceCounts,
                Event::CaughtUp | Event::Gap { .. } | Event::Records(_) | Event::Progress(_),
            ) => return,
            (_, Event::Ended(why)) => {
                // The client is told that its number is over, so nothing of it may follow.
                self.subscriptions.remove_all(sub);
                let request = self.peer.request_id.clone();
                Say::Ended { sub, refusal: why.clone(), request }
            }
        };
        out.send(Frame::Said(say));
    }
}

/// What one record of changes is to this subscription, if it is anything.
fn presence_told(sub: SubId, kind: Kind, delivery: &Arc<Delivery>) -> Option<Say> {
    let told = delivery.record.header(COUNTS_HEADER).and_then(|it| ToldCounts::parse(it))?;
    if kind == Kind::Presence {
        let delivery = Arc::clone(delivery);
        return told.has_changes.then_some(Say::PresenceChanges { sub, delivery });
    }
    let address = delivery.record.key.as_ref().map(|key| key.bytes().clone());
    let address = address.unwrap_or_default();
    Some(Say::PresenceCounts { sub, address, counts: told.counts })
}

impl<C: FrameCodec> Session for WebSocketSession<C> {
    type Codec = C;

    fn on_open(&mut self, out: &mut Out<C>) -> Result<Flow, Refusal> {
        if let Access::Open { identity, .. } = &self.access {
            out.send(Frame::Said(verbs::connect::connected(None, identity, &self.config)));
        }
        Ok(Flow::Continue)
    }

    fn on_frame(&mut self, out: &mut Out<C>, frame: Frame) -> Result<Flow, Refusal> {
        let call = match frame {
            Frame::Call(call) => *call,
            Frame::Bad { id, refusal } => return Ok(self.on_bad_frame(out, id, refusal)),
            Frame::Said(_) => return Err(Refusal::internal(&"a codec read a server's frame")),
        };
        self.bad_frames = 0;
        Ok(verbs::apply(self, out, call))
    }

    fn on_event(
        &mut self,
        out: &mut Out<C>,
        tag: SubscriptionTag,
        event: Event<'_>,
    ) -> Result<Flow, Refusal> {
        let Some(entry) = self.subscriptions.get(tag) else {
            return Ok(Flow::Continue);
        };
        let (sub, kind) = (entry.sub, entry.kind);
        match &mut entry.state {
            State::Open(_) => self.say_event(out, sub, kind, event),
            State::Starting(early) if early.len() < EARLY_EVENTS_MAX => {
                early.push(Fed::keep(tag, event));
            }
            State::Starting(_) => {
                return Err(Refusal::new(Code::Overloaded, "the subscription began too slowly")
                    .hint("connect again and resume from your cursors"));
            }
        }
        Ok(Flow::Continue)
    }

    fn run_number(&mut self, tag: SubscriptionTag) -> Option<u32> {
        let entry = self.subscriptions.get(tag)?;
        let is_plain = entry.kind == Kind::Records && matches!(entry.state, State::Open(_));
        is_plain.then_some(entry.sub)
    }

    fn record_frame(sub: u32, delivery: &Arc<Delivery>) -> Option<Frame> {
        Some(Frame::Said(Say::Record { sub, left_out: 0, delivery: Arc::clone(delivery) }))
    }

    fn on_refusal(&mut self, out: &mut Out<C>, refusal: Refusal) -> Flow {
        if let (Code::Draining, Some(wait)) = (refusal.code(), refusal.wait()) {
            self.on_drain(out, wait);
            return Flow::Close;
        }
        out.close_code(close_code(&refusal));
        // Ahead of waiting data: a slow client should learn why before the connection is cut.
        out.control(self.error_frame(None, refusal));
        Flow::Close
    }

    fn on_drain(&mut self, out: &mut Out<C>, wait: Duration) {
        let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        out.control(Frame::Said(Say::Reconnect { after_ms }));
        out.close_code(SERVICE_RESTART);
    }

    fn deadline(&self) -> Option<Deadline> {
        match &self.access {
            Access::Stranger => Some(Deadline::After(self.config.connect_timeout())),
            Access::Open { identity, .. } => identity.claims().expires_at.map(Deadline::At),
        }
    }

    fn account(&self) -> Option<u128> {
        match &self.access {
            Access::Stranger => None,
            Access::Open { identity, .. } => Some(identity.tenant().0.as_u128()),
        }
    }

    fn on_deadline(&mut self, out: &mut Out<C>) -> Flow {
        let refusal = match &self.access {
            Access::Stranger => {
                Refusal::new(Code::CredentialMissing, "`connect` did not come in time")
                    .hint("send it as the first frame, or the credential with the upgrade")
            }
            Access::Open { identity, .. } => {
                let claims = identity.claims();
                if claims.expires_at.is_none() {
                    return Flow::Continue;
                }
                let code =
                    if claims.key.is_some() { Code::ExpiredApiKey } else { Code::ExpiredToken };
                Refusal::new(code, "the credential of the connection has expired")
                    .hint("send `refresh` in time, or connect again with a new one")
            }
        };
        self.on_refusal(out, refusal)
    }
}
