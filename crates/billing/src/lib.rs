//! Stripe as Mainstem uses it: a thin client, metered usage from an outbox, webhooks that say who
//! paid. It must not count usage, decide what it costs, or reach the log.
#![forbid(unsafe_code)]

mod client;
mod config;
mod events;
mod form;
mod reports;
mod routes;
mod signature;
mod subscribe;

#[cfg(test)]
mod tests;

pub use config::{Config, Keys};
pub use reports::Turn;
pub use subscribe::{Preview, PreviewLine};

use client::Client;
use port::{Live, Refusal};
use std::sync::Arc;
use stdx::{Clock, Rng};
use tenancy::Tenancy;

/// What billing is made of.
pub struct Parts {
    pub tenancy: Arc<Tenancy>,
    pub live: Arc<dyn Live>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub config: Config,
    pub keys: Keys,
}

/// One per node.
pub struct Billing {
    tenancy: Arc<Tenancy>,
    live: Arc<dyn Live>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    config: Config,
    keys: Keys,
    client: Client,
    /// One webhook event at a time: they are taken in the order of their making.
    taking: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Billing").finish_non_exhaustive()
    }
}

impl Billing {
    pub fn new(parts: Parts) -> Result<Arc<Billing>, Refusal> {
        let Parts { tenancy, live, clock, rng, config, keys } = parts;
        let client = Client::new(&config, keys.secret_key.clone(), Arc::clone(&rng))?;
        let taking = tokio::sync::Mutex::default();
        Ok(Arc::new(Billing { tenancy, live, clock, rng, config, keys, client, taking }))
    }

    /// The webhook's path, for the public port.
    pub fn routes(self: &Arc<Self>) -> axum::Router {
        routes::routes(Arc::clone(self))
    }
}
