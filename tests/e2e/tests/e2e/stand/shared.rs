//! One server for all tests that do not end it. It lives as long as any of them holds it, because
//! what lives as long as the process is never dropped, and would outlive the tests.

use super::server::{Home, Server};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A running server and its data.
pub struct Shared {
    pub server: Server,
    _home: Home,
}

/// The server that tests share.
pub fn server() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let running = own();
    *shared = Arc::downgrade(&running);
    running
}

/// A server of its own, for a test that ends it.
pub fn own() -> Arc<Shared> {
    let home = Home::new(&json!({}));
    Arc::new(Shared { server: home.start(), _home: home })
}
