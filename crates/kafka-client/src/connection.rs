//! One connection to a broker: secured, signed in, its versions known. Requests go out one behind
//! the other and are worked on together; answers come in their order. Two tasks own the socket's
//! halves and end with the connection.

use crate::security::{self, Proof, SignIn};
use crate::settings::{Sasl, Settings};
use crate::{Error, Result};
use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wire_kafka::errors as codes;
use wire_kafka::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use wire_kafka::messages::sasl_authenticate::SaslAuthenticateRequest;
use wire_kafka::messages::sasl_handshake::SaslHandshakeRequest;
use wire_kafka::messages::{Api, Request};
use wire_kafka::wire::{Form, Input, Output, Wire, read_whole, write_unsigned};

/// Questions of a broker while signing in.
const SIGN_IN_STEPS_MAX: usize = 4;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// What waits for an answer, in the order of the requests.
struct Waiting {
    correlation: i32,
    answer: oneshot::Sender<Result<Bytes>>,
    _place: OwnedSemaphorePermit,
}

struct Outgoing {
    frame: Bytes,
    waiting: Waiting,
}

/// What the tasks and the callers share.
struct Shared {
    waiting: Mutex<VecDeque<Waiting>>,
    is_closed: AtomicBool,
}

impl Shared {
    /// Everybody who waits hears why; who asks from now on, too.
    fn close(&self, why: &Error) {
        self.is_closed.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for one in waiting {
            // Who no longer listens need not hear it.
            let _ = one.answer.send(Err(why.clone()));
        }
    }
}

/// Cloned by an `Arc`; closed when the last one goes.
pub struct Connection {
    pub address: String,
    requests: mpsc::UnboundedSender<Outgoing>,
    /// Bounds what is in `requests` and not answered yet.
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
    correlation: Mutex<i32>,
    client_id: String,
    request_time_max: Duration,
    versions: HashMap<i16, RangeInclusive<i16>>,
    features: HashMap<String, i16>,
    /// When we have to have signed in again (KIP-368): by then there is another connection.
    stale_at: Option<Instant>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.shared.close(&Error::Closed(self.address.clone()));
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.address)
    }
}

/// The newest version of a request that is spoken here: later ones name topics by number only.
fn spoken(api: Api) -> RangeInclusive<i16> {
    let versions = api.versions();
    let newest = match api {
        Api::Produce | Api::Fetch => 12,
        Api::OffsetCommit | Api::OffsetFetch => 9,
        _ => *versions.end(),
    };
    *versions.start()..=newest.min(*versions.end())
}

impl Connection {
    /// Connects to `host:port` and signs in.
    ///
    /// # Errors
    /// When nobody answers in time, or we are not let in.
    pub async fn open(address: &str, settings: &Settings) -> Result<Connection> {
        let limit = Duration::from_millis(settings.connect_ms_max);
        let opened = timeout(limit, Connection::opened(address, settings)).await;
        opened.map_err(|_| Error::Unreachable {
            address: address.to_owned(),
            reason: format!("no connection within {limit:?}"),
        })?
    }

    async fn opened(address: &str, settings: &Settings) -> Result<Connection> {
        let unreachable = |error: std::io::Error| Error::Unreachable {
            address: address.to_owned(),
            reason: error.to_string(),
        };
        let socket = TcpStream::connect(address).await.map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let socket: Box<dyn Socket> = match &settings.tls {
            None => Box::new(socket),
            Some(tls) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                let name = security::server_name(host)?;
                let connector = security::connector(tls)?;
                Box::new(connector.connect(name, socket).await.map_err(unreachable)?)
            }
        };
        let mut connection = Connection::over(socket, address, settings);
        connection.learn_versions().await?;
        if let Some(sasl) = &settings.sasl {
            connection.sign_in(sasl).await?;
        }
        Ok(connection)
    }

    fn over(socket: Box<dyn Socket>, address: &str, settings: &Settings) -> Connection {
        let (reading, writing) = tokio::io::split(socket);
        let (requests, outgoing) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: Mutex::new(VecDeque::new()),
            is_closed: AtomicBool::new(false),
        });
        let tasks = [
            tokio::spawn(write(writing, outgoing, Arc::clone(&shared))),
            tokio::spawn(read(reading, settings.answer_bytes_max, Arc::clone(&shared))),
        ];
        Connection {
            address: address.to_owned(),
            requests,
            places: Arc::new(Semaphore::new(settings.in_flight_max)),
            shared,
            tasks,
            correlation: Mutex::new(0),
            client_id: settings.client_id.clone(),
            request_time_max: Duration::from_millis(settings.request_ms_max),
            versions: HashMap::new(),
            features: HashMap::new(),
            stale_at: None,
        }
    }

    /// A broker that does not know our newest version says in the oldest form which it knows.
    async fn learn_versions(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: "mainstem-kafka-client".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut told = ApiVersionsResponse::default();
        for version in [3, 0] {
            let mut bytes = self.raw(Api::ApiVersions, version, &request).await?.await?;
            let is_old = bytes.get(..2) == Some(&codes::UNSUPPORTED_VERSION.to_be_bytes());
            if version > 0 && is_old {
                continue;
            }
            let form = Form { version, is_flexible: Api::ApiVersions.is_flexible(version) };
            let mut input = Input::new(bytes.split_to(bytes.len()));
            told = read_whole(&mut input, form)?;
            break;
        }
        Error::of(told.error_code, None)?;
        let known =
            told.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        self.versions = known.collect();
        let features = told.finalized_features.into_iter();
        self.features = features.map(|it| (it.name, it.max_version_level)).collect();
        Ok(())
    }

    async fn sign_in(&mut self, sasl: &Sasl) -> Result<()> {
        let (mechanism, mut message, mut sign_in) = security::begin(sasl, &stdx::SystemRng);
        let told = self.ask(&SaslHandshakeRequest { mechanism: mechanism.to_owned() }).await?;
        if told.error_code != codes::NONE {
            let offered = told.mechanisms.join(", ");
            return Err(Error::SignIn(format!("{mechanism} is not offered, only {offered}")));
        }
        for _ in 0..SIGN_IN_STEPS_MAX {
            let told = self.ask(&SaslAuthenticateRequest { auth_bytes: message }).await?;
            if told.error_code != codes::NONE {
                let why = told.error_message.unwrap_or_else(|| codes::name(told.error_code).into());
                return Err(Error::SignIn(why));
            }
            let (back, proof) = answered(sign_in, told.auth_bytes).await?;
            sign_in = back;
            match proof {
                Proof::Done => {
                    let ms = u64::try_from(told.session_lifetime_ms).unwrap_or(0);
                    // With a fifth to spare for what is still under way.
                    let usable = Duration::from_millis(ms / 5 * 4);
                    self.stale_at = (ms > 0).then(|| Instant::now().checked_add(usable)).flatten();
                    return Ok(());
                }
                Proof::Say(next) => message = next,
            }
        }
        Err(Error::SignIn("the broker asks on and on".to_owned()))
    }

    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    /// Whether requests should go over a new connection.
    pub fn is_stale(&self) -> bool {
        self.is_closed() || self.stale_at.is_some_and(|at| Instant::now() >= at)
    }

    /// The level of a feature that the broker's cluster has agreed on; 0 when it has not.
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    pub fn serves(&self, api: Api) -> bool {
        self.version(api, *spoken(api).end()).is_ok()
    }

    /// The newest version up to `newest` that both know.
    pub fn version(&self, api: Api, newest: i16) -> Result<i16> {
        let ours = spoken(api);
        let theirs = self.versions.get(&api.key()).ok_or(Error::Unsupported(api.name()))?;
        let version = newest.min(*ours.end()).min(*theirs.end());
        let is_known = version >= *ours.start() && version >= *theirs.start();
        if is_known { Ok(version) } else { Err(Error::Unsupported(api.name())) }
    }

    /// Asks in the newest version that both know, and waits for the answer.
    ///
    /// # Errors
    /// When the connection or the time is over, or either side does not understand the other. What
    /// a broker refuses inside an answer is the caller's to look at.
    pub async fn ask<R: Request>(&self, request: &R) -> Result<R::Answer> {
        self.ask_up_to(i16::MAX, request).await
    }

    /// The same in at most this version.
    ///
    /// # Errors
    /// As `ask`.
    pub async fn ask_up_to<R: Request>(&self, newest: i16, request: &R) -> Result<R::Answer> {
        self.begin(newest, request).await?.await
    }

    /// Puts a request into its place behind those that went before; the answer comes later.
    /// Requests that must arrive in an order are begun in it.
    ///
    /// # Errors
    /// When the connection is over, or the broker does not know the request.
    pub async fn begin<R: Request>(
        &self,
        newest: i16,
        request: &R,
    ) -> Result<impl Future<Output = Result<R::Answer>> + Send + use<R>> {
        let version = self.version(R::API, newest)?;
        let answer = self.raw(R::API, version, request).await?;
        let is_flexible = R::API.is_flexible(version);
        Ok(async move {
            let mut input = Input::new(answer.await?);
            if is_flexible {
                input.tags(|_, _| Ok(()))?;
            }
            Ok(read_whole(&mut input, Form { version, is_flexible })?)
        })
    }

    /// The answer's bytes behind the correlation id.
    async fn raw<R: Wire>(
        &self,
        api: Api,
        version: i16,
        request: &R,
    ) -> Result<impl Future<Output = Result<Bytes>> + Send + use<R>> {
        let closed = || Error::Closed(self.address.clone());
        let places = Arc::clone(&self.places);
        let limit = self.request_time_max;
        let place = timeout(limit, places.acquire_owned()).await;
        let place = place.map_err(|_| Error::TimedOut(limit))?.map_err(|_| closed())?;
        let form = Form { version, is_flexible: api.is_flexible(version) };
        let (answer, answered) = oneshot::channel();
        {
            // Numbers go out in the order in which they are given.
            let mut correlation = self.correlation.lock();
            *correlation = correlation.wrapping_add(1);
            let frame = self.frame(api, form, *correlation, request);
            let waiting = Waiting { correlation: *correlation, answer, _place: place };
            if self.is_closed() || self.requests.send(Outgoing { frame, waiting }).is_err() {
                return Err(closed());
            }
        }
        let shared = Arc::clone(&self.shared);
        let address = self.address.clone();
        Ok(async move {
            match timeout(limit, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(Error::Closed(address)),
                Err(_) => {
                    // What comes behind an answer that does not come will not come either.
                    shared.close(&Error::Closed(address));
                    Err(Error::TimedOut(limit))
                }
            }
        })
    }

    fn frame(&self, api: Api, form: Form, correlation: i32, request: &impl Wire) -> Bytes {
        let mut frame = Output::with_capacity(128);
        frame.put_i32(0);
        frame.put_i16(api.key());
        frame.put_i16(form.version);
        frame.put_i32(correlation);
        self.client_id.write(&mut frame, Form { version: 0, is_flexible: false });
        if form.is_flexible {
            write_unsigned(&mut frame, 0);
        }
        request.write(&mut frame, form);
        let length = i32::try_from(frame.total() - 4).unwrap_or(i32::MAX);
        (&mut frame[..4]).put_i32(length);
        frame.into_bytes()
    }
}

/// Proofs are costly on purpose: not between other work.
async fn answered(mut sign_in: SignIn, answer: Bytes) -> Result<(SignIn, Proof)> {
    let step = tokio::task::spawn_blocking(move || {
        let proof = sign_in.answered(&answer);
        proof.map(|proof| (sign_in, proof))
    });
    step.await.map_err(|error| Error::SignIn(error.to_string()))?
}

async fn write(
    mut socket: WriteHalf<Box<dyn Socket>>,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
) {
    while let Some(Outgoing { frame, waiting }) = outgoing.recv().await {
        shared.waiting.lock().push_back(waiting);
        if shared.is_closed.load(Ordering::Acquire) {
            break;
        }
        if let Err(error) = socket.write_all(&frame).await {
            shared.close(&Error::Closed(error.to_string()));
            break;
        }
        if let Err(error) = socket.flush().await {
            shared.close(&Error::Closed(error.to_string()));
            break;
        }
    }
    shared.close(&Error::Closed("the connection has ended".to_owned()));
}

async fn read(mut socket: ReadHalf<Box<dyn Socket>>, bytes_max: usize, shared: Arc<Shared>) {
    let why = loop {
        let frame = match read_frame(&mut socket, bytes_max).await {
            Ok(frame) => frame,
            Err(error) => break error,
        };
        let Some((correlation, answer)) = frame else {
            break Error::Malformed("an answer without a number".to_owned());
        };
        let Some(waiting) = shared.waiting.lock().pop_front() else {
            break Error::Malformed("an answer that nobody asked for".to_owned());
        };
        if waiting.correlation != correlation {
            let why = Error::Malformed("answers are out of order".to_owned());
            // Who no longer listens need not hear it.
            let _ = waiting.answer.send(Err(why.clone()));
            break why;
        }
        // Who no longer listens need not hear it.
        let _ = waiting.answer.send(Ok(answer));
    };
    shared.close(&why);
}

type Frame = Option<(i32, Bytes)>;

async fn read_frame(socket: &mut ReadHalf<Box<dyn Socket>>, bytes_max: usize) -> Result<Frame> {
    let closed = |error: std::io::Error| Error::Closed(error.to_string());
    let length = socket.read_i32().await.map_err(closed)?;
    let length = usize::try_from(length).ok().filter(|&length| length <= bytes_max);
    let Some(length) = length else {
        return Err(Error::Malformed(format!("an answer of more than {bytes_max} bytes")));
    };
    // Room is made as bytes come, not for what is announced.
    let mut frame = Vec::new();
    let mut part = socket.take(length as u64);
    part.read_to_end(&mut frame).await.map_err(closed)?;
    if frame.len() < length {
        return Err(Error::Closed("in the middle of an answer".to_owned()));
    }
    let mut frame = Bytes::from(frame);
    if frame.len() < 4 {
        return Ok(None);
    }
    Ok(Some((frame.get_i32(), frame)))
}
