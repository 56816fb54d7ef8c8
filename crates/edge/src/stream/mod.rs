//! Framed protocols on ports of their own: from the accepted socket, by TLS where asked, to a task
//! that pumps bytes between the socket and a `port::Driven`. It must not know what the frames say.

mod note;
pub(crate) mod output;
mod pump;

use crate::accept::{Accepted, refused};
use crate::clients;
use crate::config::ms;
use crate::face::Face;
use crate::http::io::Stream;
use crate::http::serve::Place;
use crate::shard::Shard;
use note::CloseNote;
use port::{Certificate, Peer, RequestId, StreamMount, StreamStart};
use pump::Pump;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Begins to serve a socket on this shard.
pub fn start(shard: &Shard, accepted: Accepted, face: &Face, mount: &StreamMount) {
    if shard.is_draining() {
        return refused("draining");
    }
    let Accepted { socket, address, permit, .. } = accepted;
    let Ok(local) = socket.local_addr() else {
        return refused("accept_error");
    };
    // A peer that vanished is found although nothing is sent to it.
    let _ = socket2::SockRef::from(&socket).set_keepalive(true);
    let Ok(socket) = TcpStream::from_std(socket) else {
        return refused("accept_error");
    };
    let note = Arc::new(CloseNote::default());
    let number = shard.request_number();
    let mut start = StreamStart {
        certificate: None,
        hub: Arc::clone(&shard.hub),
        peer: Peer {
            address,
            shard: shard.id,
            is_tls: face.tls.is_some(),
            request_id: RequestId(format!("{number:016x}").into()),
        },
        local,
        closer: Arc::clone(&note) as Arc<dyn port::Closer>,
        clock: Arc::clone(&shard.world.clock),
    };
    let tls = face.tls.clone();
    let handshake = ms(shard.config.http.head_ms_max);
    let place = Place::take(shard, mount.protocol);
    let draining = shard.draining.subscribe();
    let drain_wait = ms(shard.world.rng.below(shard.config.drain.reconnect_ms_max + 1));
    let mount = mount.clone();
    tokio::spawn(async move {
        let _held = (place, permit);
        let Some(stream) = open(socket, tls, handshake).await else {
            return;
        };
        if mount.client_certificates.is_some() {
            match shown(&stream) {
                Ok(certificate) => start.certificate = certificate.map(Arc::new),
                // It was signed by somebody who is trusted and says what nobody can read.
                Err(()) => return refused("client_certificate"),
            }
        }
        let driven = (mount.factory)(start);
        Pump::new(stream, driven, note, &mount).run(draining, drain_wait).await;
    });
}

/// The certificate that the client has shown, if it has.
fn shown(stream: &Stream) -> Result<Option<Certificate>, ()> {
    let Stream::Tls(stream) = stream else { return Ok(None) };
    let chain = stream.get_ref().1.peer_certificates();
    let Some(first) = chain.and_then(|chain| chain.first()) else { return Ok(None) };
    clients::described(first).map(Some).ok_or(())
}

async fn open(
    socket: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    within: Duration,
) -> Option<Stream> {
    let Some(tls) = tls else {
        return Some(Stream::Plain(socket));
    };
    match timeout(within, TlsAcceptor::from(tls).accept(socket)).await {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
        Ok(Err(_)) => {
            refused("tls_handshake");
            None
        }
        Err(_) => {
            refused("tls_timeout");
            None
        }
    }
}
