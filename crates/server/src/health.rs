//! Whether the process lives, whether it can do its work, and its figures.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::{About, Process, Telling};
use eventlog::Engine;
use link::Workers;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tenancy::Tenancy;

/// A dependency that takes longer counts as down.
const CHECK_TIME_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Health {
    pub engine: Arc<dyn Engine>,
    pub tenancy: Arc<Tenancy>,
    /// `None`: encryption at rest is off.
    pub keyring: Option<Arc<keys::Keyring>>,
    pub metrics: PrometheusHandle,
    pub is_draining: Arc<AtomicBool>,
    /// With several processes: those that serve clients, and how many there should be.
    pub workers: Option<(Workers, usize)>,
}

impl Health {
    /// Of a node that is not draining.
    pub fn new(
        engine: Arc<dyn Engine>,
        tenancy: Arc<Tenancy>,
        keyring: Option<Arc<keys::Keyring>>,
        metrics: PrometheusHandle,
    ) -> Health {
        let is_draining = Arc::default();
        Health { engine, tenancy, keyring, metrics, is_draining, workers: None }
    }

    /// `/healthz` and `/readyz`, and `/metrics` where it is wanted.
    pub fn routes(self, metrics: MetricsRoute) -> Router {
        let routes = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready));
        match metrics {
            MetricsRoute::Served => routes.route("/metrics", get(figures)),
            MetricsRoute::Hidden => routes,
        }
        .with_state(self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsRoute {
    Served,
    Hidden,
}

async fn alive() -> &'static str {
    "ok\n"
}

/// 200 when appends and look-ups work, else 503; either way with the state of each part.
async fn ready(State(health): State<Health>) -> Response {
    let (is_ready, body) = health.state().await;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

impl Health {
    /// Whether appends and look-ups work, and the state of each part.
    async fn state(&self) -> (bool, Value) {
        let ping = tokio::time::timeout(CHECK_TIME_MAX, self.tenancy.ping()).await;
        let database = match ping {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let log = self.engine.health();
        let is_draining = self.is_draining.load(Ordering::Relaxed);
        let serving = self.workers.as_ref().map(|(it, of)| (*it.serving().borrow(), *of));
        let is_served = serving.is_none_or(|(serving, _)| serving > 0);
        let is_ready = database.is_ok() && log.is_writable && is_served && !is_draining;
        let state = |is_ok: bool, reason: Option<String>| match (is_ok, reason) {
            (true, _) => json!({"status": "ok"}),
            (false, reason) => json!({"status": "down", "reason": reason}),
        };
        // Without it only tenants that are new cannot begin: no reason to take no traffic.
        let keys = match &self.keyring {
            None => json!({"status": "off"}),
            Some(keyring) => match keyring.failure() {
                None => json!({"status": "ok"}),
                Some(reason) => json!({"status": "degraded", "reason": reason}),
            },
        };
        let processes = match serving {
            None => json!({"status": "ok", "serving": 1, "of": 1}),
            Some((serving, of)) => {
                let status = match serving {
                    0 => "down",
                    serving if serving == of => "ok",
                    _ => "degraded",
                };
                json!({"status": status, "serving": serving, "of": of})
            }
        };
        let status = match (is_ready, is_draining) {
            (true, _) => "ready",
            (false, true) => "draining",
            (false, false) => "degraded",
        };
        let body = json!({
            "status": status,
            "log": state(log.is_writable, log.reason),
            "keys": keys,
            "database": state(database.is_ok(), database.err()),
            "processes": processes,
        });
        (is_ready, body)
    }

    /// Of every process of the node, as Prometheus reads it.
    pub async fn figures(&self) -> String {
        let own = self.metrics.render();
        let Some((workers, _)) = &self.workers else { return own };
        let mut texts = vec![("owner".to_owned(), own)];
        let of_workers = workers.figures().await.into_iter();
        texts.extend(of_workers.map(|(index, text)| (index.to_string(), text)));
        link::labelled(&texts)
    }
}

/// What the admin API passes on.
pub struct Told {
    pub health: Health,
    pub about: About,
}

impl Process for Told {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn figures(&self) -> Telling<'_, String> {
        Box::pin(self.health.figures())
    }

    fn state(&self) -> Telling<'_, Value> {
        Box::pin(async { self.health.state().await.1 })
    }
}

async fn figures(State(health): State<Health>) -> Response {
    let text = health.figures().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
