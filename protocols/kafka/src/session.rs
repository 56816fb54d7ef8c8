//! One connection: signs in, takes requests apart and answers them in their order. Requests are
//! begun as they come, so that a producer's batches follow each other into the log without waiting
//! for the disk in between.

use crate::apis;
use crate::call::{Call, Desk};
use crate::codec::{self, Frame, FrameLimit, KafkaCodec};
use crate::config::{Endpoint, SecurityAccess};
use crate::coordination::{Coordination, coordination};
use crate::errors;
use crate::kerberos::Tickets;
use crate::messages::Api;
use crate::messages::sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use crate::messages::sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
use crate::sasl::Mechanism;
use crate::sign_in::{self, Asked, Means, Step, Stranger, Tokens, Voucher};
use crate::wire::{Form, Input, Malformed, Wire, read_request, write_unsigned};
use bytes::{BufMut, Bytes};
use port::live::{Connection, Quota};
use port::outbox::{Then, Wait};
use port::{
    Closer, Code, Deadline, Event, Flow, Hub, Identity, Kind, Lease, Outbox, Peer, Protocol,
    Refusal, Session, StreamStart, Vouched, metric,
};
use std::sync::Arc;
use std::time::Duration;
use types::SubscriptionTag;

/// A client is asked to rest for so long at most at a time.
const THROTTLE_MAX: Duration = Duration::from_secs(30);
/// Room for an ordinary answer.
const ANSWER_BYTES: usize = 256;
/// Kafka's own has no bound; this one is kept with members of groups.
const CLIENT_ID_BYTES_MAX: usize = 4_096;

/// How far a client has come.
enum Stage {
    Stranger,
    /// It has chosen a mechanism; in the old form its messages come without a head.
    Choosing {
        mechanism: Mechanism,
        is_raw: bool,
    },
    Known {
        who: Identity,
        means: Means,
        lease: Arc<Lease>,
        /// `None`: it came by a certificate.
        mechanism: Option<Mechanism>,
    },
}

/// What the listener says to all who come in by it.
pub struct Door {
    pub advertised: Endpoint,
    pub mechanisms: Arc<[Mechanism]>,
    /// Whom certificates stand for, if they may.
    pub voucher: Option<Arc<Voucher>>,
    /// The tickets that count, if any do.
    pub tickets: Option<Arc<Tickets>>,
    pub security: SecurityAccess,
}

/// What a client's message has led to.
enum Proven {
    Asked(Asked, Bytes),
    Known { who: Identity, means: Means, lease: Arc<Lease>, last: Bytes },
}

pub struct KafkaSession {
    desk: Arc<Desk>,
    start: StreamStart,
    door: Door,
    limit: FrameLimit,
    stage: Stage,
    /// What the client was asked and has not answered yet.
    asked: Option<Asked>,
    turnstile: Arc<tokio::sync::Mutex<()>>,
    /// Held while a coordinator does what one request asks, so that those behind it come behind.
    coordinator: Arc<tokio::sync::Mutex<()>>,
}

/// The head of a request (the protocol guide, "Request Header").
struct Head {
    api: Api,
    version: i16,
    correlation: i32,
    client_id: String,
}

impl Head {
    fn form(&self) -> Form {
        Form { version: self.version, is_flexible: self.api.is_flexible(self.version) }
    }
}

/// What a request turns out to be before its body is looked at.
enum Read {
    Request(Head, Input),
    /// A version of ApiVersions that we do not know: the answer is in its oldest form (KIP-511).
    Unversioned(i32),
}

fn read_head(frame: Bytes) -> Result<Read, Refusal> {
    let mut input = Input::new(frame);
    let short = |bad: Malformed| Refusal::new(Code::InvalidRequest, bad.to_string());
    let (key, version) = (input.i16().map_err(short)?, input.i16().map_err(short)?);
    let correlation = input.i32().map_err(short)?;
    let api = Api::from_key(key).ok_or_else(|| {
        Refusal::new(Code::Unsupported, format!("requests of the kind {key} are not answered"))
    })?;
    if !api.versions().contains(&version) {
        if api == Api::ApiVersions {
            return Ok(Read::Unversioned(correlation));
        }
        let message = format!("version {version} of {} is not answered", api.name());
        return Err(Refusal::new(Code::Unsupported, message));
    }
    // The client's name is in the old form in all versions.
    let old = Form { version, is_flexible: false };
    let client_id = Option::<String>::read(&mut input, old).map_err(short)?.unwrap_or_default();
    if api.is_flexible(version) {
        input.tags(|_, _| Ok(())).map_err(short)?;
    }
    if client_id.len() > CLIENT_ID_BYTES_MAX {
        let message = format!("a client's id has at most {CLIENT_ID_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::PayloadTooLarge, message));
    }
    Ok(Read::Request(Head { api, version, correlation, client_id }, input))
}

/// An answer with its head. That of ApiVersions is in the old form in all versions, since the
/// client does not know yet what we understand.
pub fn encode(correlation: i32, api: Api, form: Form, body: &impl Wire) -> Frame {
    encode_large(correlation, api, form, body, ANSWER_BYTES)
}

/// The same with room for so many bytes made at once.
pub fn encode_large(
    correlation: i32,
    api: Api,
    form: Form,
    body: &impl Wire,
    bytes: usize,
) -> Frame {
    let mut output = codec::begin(bytes);
    output.put_i32(correlation);
    if form.is_flexible && api != Api::ApiVersions {
        write_unsigned(&mut output, 0);
    }
    body.write(&mut output, form);
    codec::finish(output)
}

impl KafkaSession {
    pub fn new(desk: Arc<Desk>, start: StreamStart, door: Door, limit: FrameLimit) -> KafkaSession {
        let (turnstile, coordinator) = Default::default();
        let (stage, asked) = (Stage::Stranger, None);
        KafkaSession { desk, start, door, limit, stage, asked, turnstile, coordinator }
    }

    fn request(&mut self, out: &mut Outbox<Self>, head: Head, mut body: Input) {
        metrics::counter!(metric::KAFKA_REQUESTS, "api" => head.api.name()).increment(1);
        let form = head.form();
        match (&self.stage, head.api) {
            (_, Api::ApiVersions) => {
                // Whatever stands in it, it can be answered.
                let answer = apis::api_versions::answer(errors::NONE);
                reply(out, encode(head.correlation, head.api, form, &answer));
            }
            (_, Api::SaslHandshake) => match read_request(&mut body, form) {
                Ok(request) => self.handshake(out, &head, &request),
                Err(bad) => refuse(out, malformed(&head, bad)),
            },
            (_, Api::SaslAuthenticate) => match read_request(&mut body, form) {
                Ok(request) => self.authenticate(out, head, request),
                Err(bad) => refuse(out, malformed(&head, bad)),
            },
            (Stage::Known { who, means, .. }, _) => {
                let known = (who.clone(), *means);
                self.serve(out, known, head, body);
            }
            (Stage::Stranger | Stage::Choosing { .. }, _) => {
                if let Some(vouched) = self.vouched() {
                    return self.certified(out, vouched, head, body);
                }
                let refusal = Refusal::new(Code::CredentialMissing, "the client has not signed in")
                    .hint("set security.protocol to SASL_PLAINTEXT or SASL_SSL");
                refuse(out, refusal);
            }
        }
    }

    /// As whom the client may come in without SASL, if its certificate stands for somebody.
    fn vouched(&self) -> Option<Vouched> {
        let (voucher, certificate) = (&self.door.voucher, &self.start.certificate);
        voucher.as_ref()?.vouched(certificate.as_deref()?)
    }

    /// Lets a client in by its certificate, and answers what it has asked.
    fn certified(&self, out: &mut Outbox<Self>, vouched: Vouched, head: Head, body: Input) {
        let (hub, peer) = (Arc::clone(&self.start.hub), self.start.peer.clone());
        let closer = Arc::clone(&self.start.closer);
        out.defer(Wait::Barrier, async move {
            let entered = async {
                let who = sign_in::by_voucher(&*hub, &peer, &vouched).await?;
                let lease = Arc::new(open(&*hub, &peer, &who, closer).await?);
                let means = Means::Credential;
                Ok(Proven::Known { who, means, lease, last: Bytes::new() })
            };
            let entered: Result<Proven, Refusal> = entered.await;
            let then: Then<Self> = Box::new(move |session, out| {
                session.enter(None, entered?);
                if let Stage::Known { who, means, .. } = &session.stage {
                    session.serve(out, (who.clone(), *means), head, body);
                }
                Ok(Flow::Continue)
            });
            then
        });
    }

    fn serve(
        &self,
        out: &mut Outbox<Self>,
        (who, means): (Identity, Means),
        head: Head,
        body: Input,
    ) {
        let throttle = throttle(&*self.start.hub, &who);
        let call = Call {
            desk: Arc::clone(&self.desk),
            hub: Arc::clone(&self.start.hub),
            who,
            means,
            clock: Arc::clone(&self.start.clock),
            version: head.version,
            client_id: head.client_id.clone(),
            client_host: format!("/{}", self.start.peer.address.ip()),
            advertised: self.door.advertised.clone(),
            security: self.door.security,
            turnstile: Arc::clone(&self.turnstile),
        };
        // The answer may be large: the next one is made when this one is on its way.
        let wait = if head.api == Api::Fetch { Wait::Barrier } else { Wait::Pipelined };
        let coordinator = Arc::clone(&self.coordinator);
        out.defer(wait, async move {
            let (api, correlation) = (head.api, head.correlation);
            let answer = match coordination(api) {
                Coordination::None => apis::answer(&call, api, correlation, body, throttle).await,
                // It waits for other members: nobody waits for it meanwhile.
                Coordination::Round => {
                    drop(coordinator.lock().await);
                    apis::answer(&call, api, correlation, body, throttle).await
                }
                // To its end, whether the client stays or not: what is kept and what is in memory
                // must not part.
                Coordination::Step => {
                    let turn = coordinator.lock_owned().await;
                    let step = tokio::spawn(async move {
                        let answer = apis::answer(&call, api, correlation, body, throttle).await;
                        drop(turn);
                        answer
                    });
                    step.await.unwrap_or_else(|error| Err(Refusal::internal(&error)))
                }
            };
            let then: Then<Self> = Box::new(move |_, out| match answer {
                Ok(Some(frame)) => {
                    out.send(frame);
                    Ok(Flow::Continue)
                }
                Ok(None) => Ok(Flow::Continue),
                Err(refusal) => Err(refusal),
            });
            then
        });
        // Answered at once, and then not heard for a while (KIP-219).
        if !throttle.is_zero() {
            metrics::counter!(metric::KAFKA_THROTTLED).increment(1);
            out.defer(Wait::Barrier, async move {
                tokio::time::sleep(throttle).await;
                let then: Then<Self> = Box::new(|_, _| Ok(Flow::Continue));
                then
            });
        }
    }

    fn handshake(&mut self, out: &mut Outbox<Self>, head: &Head, request: &SaslHandshakeRequest) {
        let mechanism = Mechanism::named(&request.mechanism)
            .filter(|wanted| self.door.mechanisms.contains(wanted));
        self.asked = None;
        let is_other = matches!(&self.stage, Stage::Known { mechanism: now, .. }
            if mechanism.is_some() && mechanism != *now);
        let error_code = match mechanism {
            None => errors::UNSUPPORTED_SASL_MECHANISM,
            // Who signs in again does it as before (KIP-368).
            Some(_) if is_other => errors::ILLEGAL_SASL_STATE,
            Some(_) => errors::NONE,
        };
        if let (Some(mechanism), Stage::Stranger | Stage::Choosing { .. }) =
            (mechanism, &self.stage)
        {
            self.stage = Stage::Choosing { mechanism, is_raw: head.version == 0 };
        }
        let mechanisms = self.door.mechanisms.iter().map(|it| it.name().to_owned()).collect();
        let answer = SaslHandshakeResponse { error_code, mechanisms };
        reply(out, encode(head.correlation, head.api, head.form(), &answer));
    }

    fn authenticate(
        &mut self,
        out: &mut Outbox<Self>,
        head: Head,
        request: SaslAuthenticateRequest,
    ) {
        let (mechanism, known) = match &self.stage {
            Stage::Choosing { mechanism, is_raw: false } => (*mechanism, None),
            Stage::Known { who, lease, mechanism: Some(mechanism), .. } => {
                (*mechanism, Some((who.clone(), Arc::clone(lease))))
            }
            Stage::Stranger | Stage::Choosing { .. } | Stage::Known { .. } => {
                let answer = SaslAuthenticateResponse {
                    error_code: errors::ILLEGAL_SASL_STATE,
                    error_message: Some("choose a mechanism first".to_owned()),
                    ..SaslAuthenticateResponse::default()
                };
                return reply(out, encode(head.correlation, head.api, head.form(), &answer));
            }
        };
        let proof = self.prove(mechanism, request.auth_bytes, known);
        out.defer(Wait::Barrier, async move {
            let proven = proof.await;
            let then: Then<Self> = Box::new(move |session, out| {
                let outcome = proven.map(|proven| session.enter(Some(mechanism), proven));
                let (answer, flow) = match outcome {
                    Ok((auth_bytes, session_lifetime_ms)) => {
                        let answer = SaslAuthenticateResponse {
                            auth_bytes,
                            session_lifetime_ms,
                            ..SaslAuthenticateResponse::default()
                        };
                        (answer, Flow::Continue)
                    }
                    Err(refusal) => {
                        let answer = SaslAuthenticateResponse {
                            error_code: errors::SASL_AUTHENTICATION_FAILED,
                            error_message: Some(refusal.message().to_owned()),
                            ..SaslAuthenticateResponse::default()
                        };
                        (answer, Flow::Close)
                    }
                };
                out.send(encode(head.correlation, head.api, head.form(), &answer));
                Ok(flow)
            });
            then
        });
    }

    /// The old form: the client's message is a frame of its own, and so is ours.
    fn authenticate_raw(&mut self, out: &mut Outbox<Self>, mechanism: Mechanism, message: Bytes) {
        let proof = self.prove(mechanism, message, None);
        out.defer(Wait::Barrier, async move {
            let proven = proof.await;
            let then: Then<Self> = Box::new(move |session, out| {
                // There is no way to say why: the connection ends.
                let (message, _) = session.enter(Some(mechanism), proven?);
                // Nothing is left to be said in this mechanism, and Kafka's brokers say nothing.
                if mechanism == Mechanism::Gssapi && message.is_empty() {
                    return Ok(Flow::Continue);
                }
                let mut output = codec::begin(message.len());
                output.put_bytes(&message);
                out.send(codec::finish(output));
                Ok(Flow::Continue)
            });
            then
        });
    }

    /// Takes what a client shows, and opens the connection under it, or goes on with it under what
    /// is shown now.
    fn prove(
        &mut self,
        mechanism: Mechanism,
        message: Bytes,
        known: Option<(Identity, Arc<Lease>)>,
    ) -> impl Future<Output = Result<Proven, Refusal>> + Send + use<> {
        let asked = self.asked.take();
        let hub = Arc::clone(&self.start.hub);
        let peer = self.start.peer.clone();
        let closer = Arc::clone(&self.start.closer);
        let tokens = match self.desk.config.delegation_token_ms_max {
            0 => Tokens::DoNot,
            _ => Tokens::Count,
        };
        let (tickets, now) = (self.door.tickets.clone(), self.start.clock.now_ms());
        async move {
            let tickets = tickets.as_deref();
            let stranger = Stranger { hub: &*hub, peer: &peer, tokens, tickets, now };
            let step = sign_in::step(&stranger, mechanism, asked, &message).await?;
            let (who, means, last) = match step {
                Step::Asked(asked, question) => return Ok(Proven::Asked(asked, question)),
                Step::Known(who, means, last) => (who, means, last),
            };
            if let Some((before, lease)) = known {
                if (before.tenant(), before.project()) != (who.tenant(), who.project()) {
                    let message = "a connection stays with the project it began with";
                    return Err(Refusal::new(Code::InvalidToken, message));
                }
                hub.renew(&who, &lease).await?;
                return Ok(Proven::Known { who, means, lease, last });
            }
            let lease = open(&*hub, &peer, &who, closer).await?;
            Ok(Proven::Known { who, means, lease: Arc::new(lease), last })
        }
    }

    /// Answers what the client is told, and for how many milliseconds it may stay until it signs in
    /// again; 0: for ever.
    fn enter(&mut self, mechanism: Option<Mechanism>, proven: Proven) -> (Bytes, i64) {
        let (who, means, lease, last) = match proven {
            Proven::Known { who, means, lease, last } => (who, means, lease, last),
            Proven::Asked(asked, question) => {
                self.asked = Some(asked);
                return (question, 0);
            }
        };
        let ends_at = who.claims().expires_at;
        self.stage = Stage::Known { who, means, lease, mechanism };
        self.limit.set(self.desk.config.request_bytes_max);
        (last, ends_at.map_or(0, |end| (end - self.start.clock.now_ms()).max(1)))
    }
}

async fn open(
    hub: &dyn Hub,
    peer: &Peer,
    who: &Identity,
    closer: Arc<dyn Closer>,
) -> Result<Lease, Refusal> {
    let (protocol, address) = (crate::Kafka::NAME, peer.address);
    hub.open(who, Connection { protocol, quota: Quota::Other, address }, closer).await
}

/// How long the client must rest, because its requests come too fast.
fn throttle(hub: &dyn Hub, who: &Identity) -> Duration {
    match hub.count_request(who) {
        Err(refusal) if refusal.kind() == Kind::RateLimited => {
            refusal.wait().unwrap_or_default().min(THROTTLE_MAX)
        }
        // What else is wrong is told with the answer.
        _ => Duration::ZERO,
    }
}

fn malformed(head: &Head, bad: Malformed) -> Refusal {
    let message = format!("{} version {}: {bad}", head.api.name(), head.version);
    Refusal::new(Code::InvalidRequest, message)
}

/// Behind the answers to what was asked before.
fn reply(out: &mut Outbox<KafkaSession>, frame: Frame) {
    out.defer(Wait::Pipelined, async move {
        let then: Then<KafkaSession> = Box::new(move |_, out| {
            out.send(frame);
            Ok(Flow::Continue)
        });
        then
    });
}

fn refuse(out: &mut Outbox<KafkaSession>, refusal: Refusal) {
    out.defer(Wait::Barrier, async move {
        let then: Then<KafkaSession> = Box::new(move |_, _| Err(refusal));
        then
    });
}

impl Session for KafkaSession {
    type Codec = KafkaCodec;

    fn on_frame(&mut self, out: &mut Outbox<Self>, frame: Frame) -> Result<Flow, Refusal> {
        let Frame::Request(frame) = frame else { return Ok(Flow::Continue) };
        if let Stage::Choosing { mechanism, is_raw: true } = self.stage {
            self.authenticate_raw(out, mechanism, frame);
            return Ok(Flow::Continue);
        }
        match read_head(frame) {
            Ok(Read::Request(head, body)) => self.request(out, head, body),
            Ok(Read::Unversioned(correlation)) => {
                let answer = apis::api_versions::answer(errors::UNSUPPORTED_VERSION);
                let oldest = Form { version: 0, is_flexible: false };
                reply(out, encode(correlation, Api::ApiVersions, oldest, &answer));
            }
            Err(refusal) => refuse(out, refusal),
        }
        Ok(Flow::Continue)
    }

    fn on_event(
        &mut self,
        _out: &mut Outbox<Self>,
        _tag: SubscriptionTag,
        _event: Event<'_>,
    ) -> Result<Flow, Refusal> {
        // Consumers ask; nothing is followed on their behalf.
        Ok(Flow::Continue)
    }

    /// The protocol has no word for a client's fault beyond closing: the reason is in the log.
    fn on_refusal(&mut self, _out: &mut Outbox<Self>, refusal: Refusal) -> Flow {
        let peer = self.start.peer.address;
        tracing::info!(%peer, %refusal, "a Kafka connection ends");
        metrics::counter!(metric::CONNECTIONS_REFUSED, "reason" => "kafka").increment(1);
        Flow::Close
    }

    fn deadline(&self) -> Option<Deadline> {
        match &self.stage {
            Stage::Known { who, .. } => who.claims().expires_at.map(Deadline::At),
            _ => Some(Deadline::After(Duration::from_millis(self.desk.config.sign_in_ms_max))),
        }
    }

    fn on_deadline(&mut self, out: &mut Outbox<Self>) -> Flow {
        let refusal = match &self.stage {
            Stage::Known { .. } => Refusal::new(Code::ExpiredToken, "the credential has ended"),
            _ => Refusal::new(Code::CredentialMissing, "the client did not sign in in time"),
        };
        self.on_refusal(out, refusal)
    }
}
