//! The edge as the server starts it: bound early, serving late, drained politely.

use crate::accept::{self, Acceptor, Sharing};
use crate::accounts::Accounts;
use crate::clients::ClientTrust;
use crate::config::PublicPort;
use crate::face::{Answers, Face};
use crate::http::router;
use crate::shard::mailbox::{Mailbox, Message};
use crate::shard::{Seed, run};
use crate::tls::Certificate;
use crate::{Config, EdgeError};
use axum::Router;
use futures_util::stream::{FuturesUnordered, StreamExt};
use port::{Hub, Mounts, ShardId, StreamMount};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use stdx::{Clock, Rng};
use tokio::sync::{oneshot, watch};

/// The number of the face for tenants; it comes first.
const PUBLIC: usize = 0;
/// How often the certificate's files are looked at.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(10);

/// What is outside the process and faked in tests.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

/// Everything that answers.
pub struct Faces {
    /// The protocols' routes and WebSocket endpoints, for tenants.
    pub mounts: Mounts,
    /// What answers on the public port where no mount does: console, health.
    pub fallback: Router,
    /// What answers on the admin port.
    pub admin: Router,
}

/// Reads the certificate's files again, on demand. Does nothing without TLS.
#[derive(Clone)]
pub struct Reload(Option<Arc<Certificate>>);

impl Reload {
    /// # Errors
    /// When the files cannot be used; the certificate in use then stays.
    pub fn reload(&self) -> Result<(), EdgeError> {
        self.0.as_ref().map_or(Ok(()), |certificate| certificate.reload())
    }
}

/// Bound sockets, not yet accepting.
pub struct Edge {
    config: Arc<Config>,
    hub: Arc<dyn Hub>,
    world: World,
    faces: Arc<[Face]>,
    /// One per face that is served here, with the face's number.
    listeners: Vec<(usize, TcpListener)>,
    /// Keeps the public port for the processes that serve it.
    _held: Option<socket2::Socket>,
    addresses: Vec<SocketAddr>,
    certificate: Option<Arc<Certificate>>,
    trusts: Vec<Arc<ClientTrust>>,
    accounts: Arc<Accounts>,
    writes: Arc<AtomicU64>,
}

/// The ports that were asked for.
#[derive(Default)]
struct Bound {
    /// With the face's number.
    listeners: Vec<(usize, TcpListener)>,
    addresses: Vec<SocketAddr>,
    held: Option<socket2::Socket>,
}

impl Bound {
    fn new(config: &Config, wanted: &[(SocketAddr, Face)]) -> Result<Bound, EdgeError> {
        let mut all = Bound::default();
        for (face, (address, what)) in wanted.iter().enumerate() {
            let address = *address;
            let bind = |source| EdgeError::Bind { address, source };
            let sharing = match (face, config.public) {
                (PUBLIC, PublicPort::Elsewhere) => {
                    let (socket, address) = accept::hold(address).map_err(bind)?;
                    all.addresses.push(address);
                    all.held = Some(socket);
                    continue;
                }
                (PUBLIC, PublicPort::Shared) => Sharing::Shared,
                _ => Sharing::Alone,
            };
            let backlog_max = config.accept.backlog_max;
            let listener = accept::bind(address, backlog_max, sharing).map_err(bind)?;
            let bound = listener.local_addr().map_err(bind)?;
            if let Answers::Stream(mount) = &what.answers {
                (mount.on_bound)(bound);
            }
            all.addresses.push(bound);
            all.listeners.push((face, listener));
        }
        Ok(all)
    }
}

impl Edge {
    /// Checks the settings, builds TLS and the router, and binds. Needs no runtime. When it has
    /// answered `Ok`, clients can connect; they are served once `serve` runs.
    pub fn bind(
        config: Config,
        faces: Faces,
        hub: Arc<dyn Hub>,
        world: World,
    ) -> Result<Edge, EdgeError> {
        config.check()?;
        let config = Arc::new(config);
        let certificate = config.tls.clone().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::server_config).transpose()?;
        let is_strict = certificate.as_ref().is_some_and(|certificate| certificate.is_lasting());
        let Faces { mut mounts, fallback, admin } = faces;
        let streams = std::mem::take(&mut mounts.streams);
        let public = router::public(&config, mounts, fallback, &hub)?;
        let http = |name, router| {
            let answers = Answers::Http(router);
            Face { name, answers, tls: tls.clone(), is_strict }
        };
        let mut wanted = vec![(config.listen, http("public", public))];
        if let Some(listen) = config.admin_listen {
            wanted.push((listen, http("admin", admin)));
        }
        let mut trusts = Vec::new();
        for mount in streams {
            // Where several processes serve the public port, protocols with a port of their own
            // stay with the one that has the log.
            if config.public != PublicPort::Shared {
                let trust = client_trust(&mount, certificate.as_ref())?;
                wanted.push((mount.listen, stream_face(mount, tls.as_ref(), trust.as_ref())?));
                trusts.extend(trust.map(|(trust, _)| trust));
            }
        }
        let Bound { listeners, addresses, held } = Bound::new(&config, &wanted)?;
        let faces = wanted.into_iter().map(|(_, face)| face).collect();
        let accounts = Accounts::new(config.web_socket.tenant_waiting_bytes_max);
        let writes = Arc::default();
        Ok(Edge {
            config,
            hub,
            world,
            faces,
            listeners,
            _held: held,
            addresses,
            certificate,
            trusts,
            accounts,
            writes,
        })
    }

    /// Where tenants' clients connect, with the real port when 0 was asked for.
    pub fn public_address(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or(self.config.listen)
    }

    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.config.admin_listen.and_then(|_| self.addresses.get(1).copied())
    }

    /// Where protocols with a port of their own are served, by their names.
    pub fn stream_addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let all = self.faces.iter().zip(&self.addresses);
        all.filter_map(|(face, &address)| match &face.answers {
            Answers::Http(_) => None,
            Answers::Stream(mount) => Some((mount.protocol, address)),
        })
        .collect()
    }

    /// How often WebSockets were written to so far, by all threads.
    pub fn writes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.writes)
    }

    pub fn certificate(&self) -> Reload {
        Reload(self.certificate.clone())
    }

    /// Serves until `drain` is ready, then advises, closes and ends within the configured time.
    /// Must run inside a tokio runtime: the acceptors live there, connections on own threads.
    ///
    /// # Errors
    /// When a thread cannot be started, or one ends before it was told to.
    pub async fn serve(self, drain: impl Future<Output = ()>) -> Result<(), EdgeError> {
        let (mailboxes, mut ended) = self.start_shards()?;
        let (stop, stopped) = watch::channel(false);
        let mut acceptors = tokio::task::JoinSet::new();
        for (face, listener) in self.listeners {
            let what = self.faces.get(face);
            let speaks_http = what.is_some_and(|it| matches!(it.answers, Answers::Http(_)));
            let acceptor = Acceptor {
                name: what.map_or("", |face| face.name),
                face,
                limits: self.config.accept.clone(),
                per_second_max: self.config.accepted_per_second(),
                clock: Arc::clone(&self.world.clock),
                shards: Arc::clone(&mailboxes),
                is_plain_http: speaks_http && self.certificate.is_none(),
                addresses: self.hub.addresses(),
            };
            acceptors.spawn(acceptor.run(listener, stopped.clone()));
        }
        if let Some(certificate) = self.certificate {
            let look = move || certificate.reload_if_changed();
            acceptors.spawn(watch_files("the certificate", look, stopped.clone()));
        }
        for trust in self.trusts {
            let look = move || trust.reload_if_changed();
            acceptors.spawn(watch_files(
                "the authority of clients' certificates",
                look,
                stopped.clone(),
            ));
        }
        let early = tokio::select! {
            () = drain => None,
            Some(end) = acceptors.join_next() => Some(format!("an acceptor ended: {end:?}")),
            _ = ended.next() => Some("an edge thread ended".to_owned()),
        };
        // Nobody is let in any more before those who are inside are told.
        stop.send_replace(true);
        while acceptors.join_next().await.is_some() {}
        for mailbox in mailboxes.iter() {
            mailbox.post(Message::Drain);
        }
        while ended.next().await.is_some() {}
        early.map_or(Ok(()), |lost| Err(EdgeError::Lost(lost)))
    }

    fn start_shards(&self) -> Result<Shards, EdgeError> {
        let mut mailboxes = Vec::new();
        let ends = FuturesUnordered::new();
        for id in 0..self.config.shard_count() {
            let mailbox = Arc::<Mailbox>::default();
            let (ended, end) = oneshot::channel();
            let seed = Seed {
                id: ShardId(id),
                config: Arc::clone(&self.config),
                hub: Arc::clone(&self.hub),
                world: self.world.clone(),
                mailbox: Arc::clone(&mailbox),
                faces: Arc::clone(&self.faces),
                accounts: Arc::clone(&self.accounts),
                writes: Arc::clone(&self.writes),
            };
            run::start(seed, ended)?;
            mailboxes.push(mailbox);
            ends.push(end);
        }
        Ok((mailboxes.into(), ends))
    }
}

type Asking = (Arc<ClientTrust>, Arc<rustls::ServerConfig>);

/// What a port's clients are asked by, if they are.
fn client_trust(
    mount: &StreamMount,
    certificate: Option<&Arc<Certificate>>,
) -> Result<Option<Asking>, EdgeError> {
    let Some(source) = mount.client_certificates.clone() else { return Ok(None) };
    let Some(certificate) = certificate.filter(|_| mount.is_tls) else {
        let protocol = mount.protocol;
        let reason = format!("the protocol `{protocol}` asks for certificates without TLS");
        return Err(EdgeError::Config { field: "client_certificates", reason });
    };
    let trust = ClientTrust::load(source, Arc::clone(certificate.provider()))?;
    let asking = certificate.asking_config(Arc::clone(&trust))?;
    Ok(Some((trust, asking)))
}

fn stream_face(
    mount: StreamMount,
    tls: Option<&Arc<rustls::ServerConfig>>,
    asking: Option<&Asking>,
) -> Result<Face, EdgeError> {
    let tls = asking.map(|(_, asking)| asking).or(tls);
    let tls = mount.is_tls.then(|| tls.cloned()).flatten();
    if mount.is_tls && tls.is_none() {
        let reason = format!("the protocol `{}` asks for TLS and there is none", mount.protocol);
        return Err(EdgeError::Config { field: "tls", reason });
    }
    Ok(Face { name: mount.protocol, answers: Answers::Stream(mount), tls, is_strict: false })
}

/// Where the threads are reached, and how each one's end is heard of.
type Shards = (Arc<[Arc<Mailbox>]>, FuturesUnordered<oneshot::Receiver<()>>);

async fn watch_files(
    what: &'static str,
    look: impl Fn() -> Result<bool, EdgeError> + Clone + Send + 'static,
    mut stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            () = tokio::time::sleep(CERTIFICATE_LOOK) => {}
        }
        match tokio::task::spawn_blocking(look.clone()).await {
            Ok(Ok(true)) => tracing::info!("{what} was exchanged"),
            Ok(Ok(false)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(%error, "{what}: the new files are not usable"),
        }
    }
}
