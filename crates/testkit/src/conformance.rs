//! The contract that every protocol passes, written once over `Face` (one way in or out of the
//! platform) and `Stage` (where tenants come from), so that the same cases run in process against
//! `MemoryHub` and, in e2e, over sockets against the real server. It must know no protocol: what
//! a face cannot do, it says, and the cases that need it do not run.

mod cases;
mod face;
mod stage;

pub use cases::*;
pub use face::{
    Abilities, Aftermath, Face, Got, Page, Receipt, Sent, Soon, Start, Tail, Tailed, Told, unable,
};
pub use stage::{Counted, MemoryStage, Room, Stage};

use crate::memory_hub::MemoryHub;
use crate::served::Served;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long an awaited event may take before the case fails: far beyond what a loaded machine
/// needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One run of the contract: records go in through one face and come out of another, which may be
/// the same.
#[derive(Clone)]
pub struct Scene {
    pub stage: Arc<dyn Stage>,
    pub publisher: Arc<dyn Face>,
    pub receiver: Arc<dyn Face>,
}

impl Scene {
    /// A scene of one face that both publishes and delivers.
    pub fn of(stage: Arc<dyn Stage>, face: Arc<dyn Face>) -> Scene {
        Scene { stage, publisher: Arc::clone(&face), receiver: face }
    }

    /// A scene over the memory hub whose HTTP routes are really served, on a loopback socket.
    /// `faces` gets the hub and the base URL and answers who publishes and who receives; for a
    /// protocol of one direction, `faces::DirectFace` is the other.
    ///
    /// Must be called on a tokio runtime.
    pub async fn over_http(
        mounts: port::Mounts,
        faces: impl FnOnce(&MemoryHub, &str) -> (Arc<dyn Face>, Arc<dyn Face>),
    ) -> Scene {
        let stage = MemoryStage::new();
        let served = Served::start(stage.hub.shared(), mounts).await;
        let (publisher, receiver) = faces(&stage.hub, &served.base_url());
        stage.keep(served);
        Scene { stage, publisher, receiver }
    }

    /// Names the pair in failures.
    pub fn name(&self) -> String {
        format!("{} to {}", self.publisher.name(), self.receiver.name())
    }
}

/// Waits for what must come.
///
/// # Panics
/// When it does not come within `PATIENCE`.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Every case as a test of its own, in a module of the given name. The expression makes a fresh
/// `Scene` and is awaited once per case.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $scene:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::conformance!(@each $scene;
                appended_is_delivered,
                live_follows_history,
                resumes_without_gap_or_duplicate,
                stranger_is_refused,
                scope_is_required,
                other_tenant_is_invisible,
                foreign_cursor_is_refused,
                oversize_is_refused,
                slow_reader_is_caught_up,
                garbage_is_survived,
                connection_quota_is_shown,
                publish_rate_is_shown,
                metered_once,
                drain_is_polite,
            );
        }
    };
    (@each $scene:expr; $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let scene: $crate::conformance::Scene = $scene.await;
                $crate::conformance::$case(&scene).await;
            }
        )+
    };
}
