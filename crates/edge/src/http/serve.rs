//! One HTTP connection from its first byte to its last, or to the upgrade that ends HTTP on it.

use super::bare::{self, Bare};
use super::io::{IoHandle, Spoken, Stream};
use super::request::{Context, serve_request};
use crate::Config;
use crate::accept::{Accepted, Permit, refused};
use crate::config::ms;
use crate::shard::{self, Shard};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use port::{RequestId, metric};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

/// Bytes an HTTP/2 stream may have in our buffers, each way; the flow control of RFC 9113.
const H2_WINDOW_BYTES: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const H2_SEND_BYTES_MAX: usize = 256 * 1024;
/// A dead HTTP/2 peer is found by pinging it.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PING_ANSWER: Duration = Duration::from_secs(20);
/// hyper's buffer for heads and bodies of HTTP/1.
const H1_BUFFER_BYTES: usize = 64 * 1024;

/// A place among the shard's connections that are not WebSockets.
pub struct Place {
    protocol: &'static str,
}

impl Place {
    pub fn take(shard: &Shard, protocol: &'static str) -> Place {
        shard.served.set(shard.served.get() + 1);
        metrics::gauge!(metric::CONNECTIONS, "protocol" => protocol).increment(1.0);
        Place { protocol }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(metric::CONNECTIONS, "protocol" => self.protocol).decrement(1.0);
        if let Some(shard) = shard::current() {
            shard.served.set(shard.served.get().saturating_sub(1));
            if shard.is_draining() {
                shard.mailbox.wake();
            }
        }
    }
}

/// Begins to serve a socket on this shard.
pub fn start(shard: &Shard, accepted: Accepted) {
    let Accepted { socket, address, face, permit, places } = accepted;
    if shard.is_draining() {
        return refused("draining");
    }
    let Ok(socket) = TcpStream::from_std(socket) else {
        return refused("accept_error");
    };
    let context = Arc::new(Context::new(shard, address, face, places));
    let draining = shard.draining.subscribe();
    let place = Place::take(shard, "http");
    // Boxed: a task is as large as its largest moment, and WebSockets begin here too.
    tokio::spawn(Box::pin(async move {
        serve(socket, permit, context, draining).await;
        drop(place);
    }));
}

async fn serve(
    socket: TcpStream,
    permit: Permit,
    context: Arc<Context>,
    draining: watch::Receiver<bool>,
) {
    let deadline = Instant::now() + ms(context.config.http.head_ms_max);
    let Some(face) = context.face() else {
        return;
    };
    let stream = match face.tls.clone() {
        None => Stream::Plain(socket),
        Some(tls) => match timeout_at(deadline, TlsAcceptor::from(tls).accept(socket)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
            Ok(Err(_)) => return refused("tls_handshake"),
            Err(_) => return refused("tls_timeout"),
        },
    };
    let io = IoHandle::new(stream, permit);
    let end = drive(io.clone(), &context, draining, deadline).await;
    if let Some(bare) = io.bare().or(end)
        && let Some((stream, _permit)) = io.take()
    {
        bare::refuse(stream, bare, &new_request_id()).await;
    }
}

fn new_request_id() -> RequestId {
    let number = shard::current().map_or(0, |shard| shard.request_number());
    RequestId(format!("{number:016x}").into())
}

/// Runs hyper until the connection is over. Answers what the client still has to be told.
async fn drive(
    io: IoHandle,
    context: &Arc<Context>,
    mut draining: watch::Receiver<bool>,
    first_by: Instant,
) -> Option<Bare> {
    let builder = builder(&context.config);
    let service = {
        let context = Arc::clone(context);
        service_fn(move |request: hyper::Request<Incoming>| {
            serve_request(Arc::clone(&context), request)
        })
    };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(io.clone()), service);
    let mut connection = pin!(connection);
    let mut idle = Idle::new(first_by);
    let mut is_ending = false;
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                return outcome.err().and_then(|error| judge(error.as_ref(), &io));
            }
            _ = draining.wait_for(|draining| *draining), if !is_ending => {
                is_ending = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut idle.timer, if !is_ending => match idle.look(context) {
                Look::Wait => {}
                Look::NeverAsked => return late(&io),
                Look::Idle => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Watches for a first request that never comes, and for an HTTP/2 connection without streams.
struct Idle {
    timer: Pin<Box<tokio::time::Sleep>>,
    seen: Option<u32>,
}

enum Look {
    Wait,
    NeverAsked,
    Idle,
}

impl Idle {
    fn new(first_by: Instant) -> Idle {
        Idle { timer: Box::pin(tokio::time::sleep_until(first_by)), seen: None }
    }

    fn look(&mut self, context: &Context) -> Look {
        let asked = context.asked.load(Ordering::Relaxed);
        if asked == 0 {
            return Look::NeverAsked;
        }
        let is_quiet = context.in_flight.load(Ordering::Relaxed) == 0;
        if is_quiet && self.seen == Some(asked) {
            return Look::Idle;
        }
        self.seen = is_quiet.then_some(asked);
        self.timer.as_mut().reset(Instant::now() + ms(context.config.http.idle_ms_max));
        Look::Wait
    }
}

/// hyper ended with an error: whose, and is there anything to say?
fn judge(error: &(dyn std::error::Error + Send + Sync + 'static), io: &IoHandle) -> Option<Bare> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_timeout() {
        return late(io);
    }
    // What hyper could put into words was caught on its way to the socket.
    (error.is_parse() && io.bare().is_none()).then(|| refused("bad_http"));
    None
}

/// A head that came in part only; a kept connection on which nothing came ends without a word.
fn late(io: &IoHandle) -> Option<Bare> {
    match io.spoken() {
        Spoken::Http1 => Some(Bare::Timeout),
        Spoken::Nothing => None,
        Spoken::Http2 => {
            refused("head_timeout");
            None
        }
    }
}

fn builder(config: &Config) -> Builder<TokioExecutor> {
    let limits = &config.http;
    let mut builder = Builder::new(TokioExecutor::new());
    if config.web_socket.over_http2 {
        builder.http2().enable_connect_protocol();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(ms(limits.head_ms_max))
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max.max(H1_BUFFER_BYTES))
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.resets_max)
        .max_local_error_reset_streams(limits.resets_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(H2_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING_ANSWER);
    builder
}
