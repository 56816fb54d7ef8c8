//! Serves the HTTP routes of protocols on a loopback socket, in place of the edge: for tests that
//! want real requests and no engine.

use axum::Extension;
use port::{HttpState, Hub, Mounts, Peer, RequestId, ShardId};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Routes being served; they stop when this drops.
pub struct Served {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Serves what `mounts` holds over `hub`. Subscriptions go to shard 0, which somebody must
    /// turn (`MemoryHub::drive`).
    pub async fn start(hub: Arc<dyn Hub>, mounts: Mounts) -> Served {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let peer = Peer {
            address,
            shard: ShardId(0),
            is_tls: false,
            request_id: RequestId("test-request".into()),
        };
        let mut routes = port::mounts::HttpRoutes::new();
        for (_, of_protocol) in mounts.http {
            routes = routes.merge(of_protocol);
        }
        let app = routes.layer(Extension(peer)).with_state(HttpState { hub });
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("serving ends only with the task");
        });
        Served { address, task }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}
