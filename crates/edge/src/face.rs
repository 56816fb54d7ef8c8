//! What answers on one listener, with everything around it.

use axum::Router;
use port::StreamMount;
use rustls::ServerConfig;
use std::sync::Arc;

pub struct Face {
    /// `public`, `admin` or a protocol: the label in metrics and logs.
    pub name: &'static str,
    pub answers: Answers,
    pub tls: Option<Arc<ServerConfig>>,
    /// Browsers are told to insist on TLS (RFC 6797).
    pub is_strict: bool,
}

pub enum Answers {
    /// HTTP, and what begins with it.
    Http(Router),
    /// A protocol with a port of its own.
    Stream(StreamMount),
}
