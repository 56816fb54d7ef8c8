//! wire-http
