//! What answers on one listener: the router with everything around it.

use axum::Router;
use rustls::ServerConfig;
use std::sync::Arc;

pub struct Face {
    /// `public` or `admin`: the label in metrics and logs.
    pub name: &'static str,
    pub router: Router,
    pub tls: Option<Arc<ServerConfig>>,
    /// Browsers are told to insist on TLS (RFC 6797).
    pub is_strict: bool,
}
